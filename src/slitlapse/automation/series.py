"""One star through the night: spectra, their errors and everything measured beside them."""

from dataclasses import dataclass, field
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import binning, series_file

__all__ = ["SpectralTimeSeries"]

ELECTRON = u.electron
VARIANCES = ("star", "sky", "read", "dark", "flat", "skyfit")


@dataclass(frozen=True)
class SpectralTimeSeries:
    """
    Spectra of one star, wavelength first and time second.

    Parameters
    ----------
    wavelike : `~astropy.table.QTable`, n_wave rows
        What depends on the pixel along the dispersion only. Column ``wavelength`` is required.
    timelike : `~astropy.table.QTable`, n_time rows
        What depends on the exposure only. Column ``time``, a mid-exposure
        `~astropy.time.Time`, is required.
    fluxlike : dict of str to `~astropy.units.Quantity`, shape (n_wave, n_time)
        What depends on both. Keys ``flux`` and ``uncertainty`` are required.
    mask : array of bool, shape (n_wave, n_time), optional
        True where the flux must not be used.
    metadata : dict, optional
        Everything else, of the kinds that JSON knows.

    Raises
    ------
    ValueError
        Where a shape disagrees or something required is missing.

    Notes
    -----
    The arrangement follows the ``Rainbow`` of the package chromatic.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy.table import QTable
    >>> from astropy.time import Time
    >>> series = SpectralTimeSeries(
    ...     wavelike=QTable({"wavelength": [500, 501, 502, 503] * u.nm}),
    ...     timelike=QTable({"time": Time([2460000.5, 2460000.6], format="jd", scale="tdb")}),
    ...     fluxlike={"flux": np.full((4, 2), 100.0) * u.electron,
    ...               "uncertainty": np.full((4, 2), 10.0) * u.electron})
    >>> series
    <SpectralTimeSeries: 4 wavelengths (500.0 to 503.0 nm) x 2 times>
    >>> series.bin(wavelength=2).flux[:, 0]
    <Quantity [200., 200.] electron>
    """

    wavelike: QTable
    timelike: QTable
    fluxlike: dict
    mask: np.ndarray | None = None
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        for table, name in ((self.wavelike, "wavelength"), (self.timelike, "time")):
            if name not in table.colnames:
                raise ValueError(f"a series needs a column '{name}', but got {table.colnames}")
        if not isinstance(self.timelike["time"], Time):
            raise ValueError("the column 'time' must be an astropy Time, with its scale")
        for name in ("flux", "uncertainty"):
            if name not in self.fluxlike:
                raise ValueError(f"a series needs '{name}', but got {sorted(self.fluxlike)}")
        fluxlike = {name: u.Quantity(value) for name, value in self.fluxlike.items()}
        for name, value in fluxlike.items():
            if value.shape != self.shape:
                raise ValueError(
                    f"'{name}' has the shape {value.shape}, but {self.shape[0]} wavelengths and "
                    f"{self.shape[1]} times make {self.shape}: wavelength is the first axis"
                )
        mask = np.zeros(self.shape, bool) if self.mask is None else np.array(self.mask, bool)
        if mask.shape != self.shape:
            raise ValueError(f"the mask has the shape {mask.shape} instead of {self.shape}")
        object.__setattr__(self, "fluxlike", fluxlike)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "metadata", dict(self.metadata))

    def __repr__(self):
        low, high = self.wavelength[[0, -1]].value
        return (
            f"<{type(self).__name__}: {self.shape[0]} wavelengths ({low:.1f} to {high:.1f} "
            f"{self.wavelength.unit}) x {self.shape[1]} times>"
        )

    @property
    def shape(self):
        """Number of wavelengths and of times."""
        return len(self.wavelike), len(self.timelike)

    @property
    def name(self):
        """Name of the star."""
        return self.metadata.get("star", "")

    @property
    def wavelength(self):
        """Wavelengths of the pixels, `~astropy.units.Quantity`, shape (n_wave,)."""
        return self.wavelike["wavelength"]

    @property
    def time(self):
        """Middle of every exposure, `~astropy.time.Time`, shape (n_time,)."""
        return self.timelike["time"]

    @property
    def flux(self):
        """Light of the star, `~astropy.units.Quantity`, shape (n_wave, n_time)."""
        return self.fluxlike["flux"]

    @property
    def uncertainty(self):
        """Standard deviation of the flux, `~astropy.units.Quantity`, shape (n_wave, n_time)."""
        return self.fluxlike["uncertainty"]

    @cached_property
    def wavelength_2d(self):
        """
        Wavelength of every pixel in every exposure, shape (n_wave, n_time).

        The solution moved by the shift measured in each exposure: what was seen at pixel x
        moved to x + shift, so that pixel x now holds the wavelength of x - shift. Nothing is
        resampled for it.
        """
        if "wavelength_shift" not in self.timelike.colnames:
            return np.repeat(self.wavelength[:, None], self.shape[1], axis=1)
        shift = np.nan_to_num(u.Quantity(self.timelike["wavelength_shift"]).value)
        slope = np.gradient(self.wavelength)
        return self.wavelength[:, None] - slope[:, None] * shift[None, :]

    def __getitem__(self, key):
        """Cut out wavelengths and times: ``series[100:200, ::2]``."""
        key = key if isinstance(key, tuple) else (key, slice(None))
        wave, time = (slice(k, k + 1) if isinstance(k, int) else k for k in key)
        return type(self)(
            self.wavelike[wave],
            self.timelike[time],
            {name: value[wave][:, time] for name, value in self.fluxlike.items()},
            self.mask[wave][:, time],
            self.metadata,
        )

    def with_flux(self, name):
        """
        Take another of the fluxes for the headline one, with its uncertainty.

        Parameters
        ----------
        name : str
            ``"12"`` for ``flux_12``, or ``"optimal"``; see `other_fluxes`. The parts of the
            variance, which are those of the headline flux, are left out.
        """
        if f"flux_{name}" not in self.fluxlike or f"uncertainty_{name}" not in self.fluxlike:
            raise ValueError(
                f"star {self.name or '?'} has no flux '{name}'; there are {self.other_fluxes}"
            )
        fluxlike = {k: v for k, v in self.fluxlike.items() if not k.startswith("variance_")}
        fluxlike["flux"] = self.fluxlike[f"flux_{name}"]
        fluxlike["uncertainty"] = self.fluxlike[f"uncertainty_{name}"]
        metadata = self.metadata | {"headline": name}
        return type(self)(self.wavelike, self.timelike, fluxlike, self.mask, metadata)

    @property
    def other_fluxes(self):
        """Names of the fluxes measured beside the headline one, for `with_flux`."""
        found = [key.removeprefix("flux_") for key in self.fluxlike if key.startswith("flux_")]
        return [name for name in found if f"uncertainty_{name}" in self.fluxlike]

    def bin(self, *, wavelength=None, time=None, lost=0.5):
        """
        Sum the light in bins, splitting the pixels on which an edge falls.

        Parameters
        ----------
        wavelength : `~astropy.units.Quantity` or int, optional
            Width of the bins, or the rising edges of the bins; an int counts pixels.
        time : `~astropy.units.Quantity`, int or `~astropy.time.Time`, optional
            Width of the bins in time; an int counts exposures. Rising edges split the exposures
            on which they fall; with a width every exposure stays whole. Empty bins are left out.
        lost : float
            A bin of which more than this fraction of its light was masked is masked itself.
            Below it the star's own mean spectrum makes up for what is missing.

        Returns
        -------
        SpectralTimeSeries
            With ``flux``, ``uncertainty``, ``sky`` and the variances summed,
            and ``bad_fraction`` the fraction of the light that was made up for.
        """
        binned = self
        if wavelength is not None:
            binned = binned._bin_wavelength(wavelength, lost)
        if time is not None:
            binned = binned._bin_time(time, lost)
        return binned

    def _summed(self, weights, lost, transpose):
        """Sum everything additive with ``weights``; return the fluxlike dict and the mask."""

        def turn(array):
            return array.T if transpose else array

        parts = {k: v for k, v in self.fluxlike.items() if k.startswith("variance_")}
        squares = {name: turn(value.value) for name, value in parts.items()}
        squares["total"] = turn(self.uncertainty.value) ** 2
        mask = turn(self.mask) | ~np.isfinite(turn(self.flux.value))
        together = None
        if not transpose and "variance_skyfit" in squares:
            together = binning.sky_correlations_of(self.wavelike)
        if together is not None:  # what is left of the total has no memory
            squares["total"] = squares["total"] - squares["variance_skyfit"]
        flux, sums, missing = binning.sum_in_bins(
            weights, turn(self.flux.value), squares, mask, together
        )
        total = sums.pop("total")
        if together is not None:
            total = total + sums["variance_skyfit"]
        fluxlike = {
            "flux": turn(flux) * self.flux.unit,
            "uncertainty": turn(np.sqrt(total)) * self.uncertainty.unit,
            "bad_fraction": u.Quantity(turn(missing)),
        }
        fluxlike |= {name: turn(value) * parts[name].unit for name, value in sums.items()}
        if "sky" in self.fluxlike:
            sky = turn(np.nan_to_num(self.fluxlike["sky"].value))
            fluxlike["sky"] = turn(weights @ sky) * self.fluxlike["sky"].unit
        return fluxlike, turn(~(missing <= lost))

    def _bin_wavelength(self, width, lost):
        edges = binning.pixel_edges(self.wavelength)
        bins = binning.bin_edges(edges, width)
        weights = binning.overlap_matrix(edges.value, bins.value)
        fluxlike, mask = self._summed(weights, lost, transpose=False)
        wavelike = QTable({"wavelength": 0.5 * (bins[1:] + bins[:-1])})
        wavelike["wavelength_lower"], wavelike["wavelength_upper"] = bins[:-1], bins[1:]
        covered = binning.overlap_matrix(bins.value, np.sort(edges.value[[0, -1]]))
        mask |= (covered.toarray()[0] < 1 - 1e-9)[:, None]  # a bin past the end of the spectrum
        return type(self)(wavelike, self.timelike, fluxlike, mask, self.metadata)

    def _bin_time(self, width, lost):
        weights = binning.time_weights(self.timelike, width)
        fluxlike, mask = self._summed(weights, lost, transpose=True)
        timelike = binning.average_exposures(self.timelike, weights)
        return type(self)(self.wavelike, timelike, fluxlike, mask, self.metadata)

    def __truediv__(self, other):
        """
        Divide by another star, with the errors and masks of both.

        Both must have the same wavelengths and the same times: stars on one slit rarely have
        the same wavelength in the same pixel, so bin both on the same edges first.
        """
        if not isinstance(other, SpectralTimeSeries):
            return NotImplemented
        unit = self.wavelength.unit
        if (
            self.shape != other.shape
            or not other.wavelength.unit.is_equivalent(unit)
            or not np.allclose(self.wavelength.value, other.wavelength.to_value(unit), rtol=1e-9)
        ):
            raise ValueError(
                f"{self!r} and {other!r} do not share their wavelengths; nothing is resampled "
                "silently: bin both on the same edges first, with .bin(wavelength=edges)"
            )
        if np.any(np.abs((self.time - other.time).to_value(u.s)) > 0.5):
            raise ValueError("the two stars were not observed at the same times; select those")
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (self.flux / other.flux).decompose()
            relative = np.hypot(self.uncertainty / self.flux, other.uncertainty / other.flux)
            error = np.abs(ratio) * relative.decompose()
        mask = self.mask | other.mask | ~np.isfinite(ratio.value)
        metadata = self.metadata | {"star": f"{self.name} / {other.name}"}
        fluxlike = {"flux": ratio, "uncertainty": error}
        return type(self)(self.wavelike, self.timelike, fluxlike, mask, metadata)

    def write(self, path, overwrite=False):
        """Write one FITS file, whole or not at all."""
        series_file.write(self, path, overwrite=overwrite)

    @classmethod
    def read(cls, path):
        """Read what `write` wrote."""
        return cls(**series_file.read(path))

    def plot(self, ax=None, **kwargs):
        """Draw the mean spectrum, of a few bins in many exposures light curves; return the Axes."""
        from slitlapse.automation import explain

        n_wave, n_time = self.shape
        curves = n_wave < n_time and n_wave <= explain.MOST_CURVES
        draw = explain.plot_light_curves if curves else explain.plot_mean_spectrum
        return draw(self, ax=ax, **kwargs)

    def imshow(self, ax=None, **kwargs):
        """Draw flux over its mean in time, wavelength against time, and return the Axes."""
        from slitlapse.automation import explain

        return explain.show_series(self, ax=ax, **kwargs)

    def animate(self, **kwargs):
        """Make a movie of the spectra through the night; keep it with ``.save(path)``."""
        from slitlapse.automation import movies

        return movies.animate_spectra([self], **kwargs)

    def to_rainbow(self):
        """Give the series to chromatic (optional extra) as a ``Rainbow``."""
        from slitlapse.automation import rainbow

        return rainbow.to_rainbow(self)

    def to_spectrum(self):
        """Give all exposures as one `~specutils.Spectrum`, time first, as specutils has it."""
        from slitlapse.automation import spectra

        return spectra.to_spectrum(self)

    def to_collection(self):
        """Give a `~specutils.SpectrumCollection`: wavelengths of each exposure, with its shift."""
        from slitlapse.automation import spectra

        return spectra.to_collection(self)
