"""Which wavelength falls on which pixel, how well is that known, and in air or in vacuum?"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from numpy.polynomial import polynomial
from specutils import Spectrum

from .dispersion_curve import BASES, MEDIA, NO_LINES, carry_over, convert, monotonic_branch, scaled

__all__ = ["WavelengthSolution"]


@dataclass(frozen=True, eq=False)
class WavelengthSolution:
    """
    A smooth relation between pixel and wavelength, with its uncertainty and its evidence.

    Parameters
    ----------
    coefficients : array-like of shape (degree + 1,)
        Of the polynomial, in angstrom.
    domain : pair of float
        Pixels that are mapped to -1 and +1 before the polynomial is evaluated.
    n_pixels : int
        Length of the detector along the dispersion.
    medium : {"air", "vacuum"}
        What the wavelengths given out are in.
    basis : {"legendre", "chebyshev", "polynomial"}
    covariance : array-like of shape (degree + 1, degree + 1), optional
        Of the coefficients, in square angstrom.
    lines : `~astropy.table.QTable`, optional
        The evidence: ``lamp``, ``ion``, ``pixel``, ``pixel_uncertainty``, ``wavelength``,
        ``residual``, ``used``, ``reason``.
    verdict : str
        In plain words, why to believe it.
    fitted_medium : {"air", "vacuum"}, optional
        What the coefficients are in, where that differs from ``medium``.

    Examples
    --------
    >>> solution = WavelengthSolution([5000.0, 1000.0], (0, 1000), 1001, medium="air")
    >>> solution.pixel_to_wavelength([0, 500, 750]).value
    array([4000., 5000., 5500.])
    >>> float(solution.wavelength_to_pixel(5500))
    750.0
    >>> solution.to_medium("vacuum").pixel_to_wavelength(500)
    <Quantity 5001.39485068 Angstrom>
    """

    coefficients: np.ndarray
    domain: tuple
    n_pixels: int
    medium: str = "air"
    basis: str = "legendre"
    covariance: np.ndarray | None = field(default=None, repr=False)
    lines: QTable | None = field(default=None, repr=False)
    verdict: str = "built by hand"
    fitted_medium: str | None = None

    def __post_init__(self):
        put = object.__setattr__
        put(self, "coefficients", np.atleast_1d(np.asarray(self.coefficients, float)))
        put(self, "domain", tuple(float(v) for v in self.domain))
        put(self, "n_pixels", int(self.n_pixels))
        put(self, "fitted_medium", self.fitted_medium or self.medium)
        if self.covariance is not None:
            put(self, "covariance", np.asarray(self.covariance, float))
        if self.basis not in BASES:
            raise ValueError(f"basis is {self.basis!r}; choose one of {', '.join(BASES)}.")
        for medium in (self.medium, self.fitted_medium):
            if medium not in MEDIA:
                raise ValueError(f"medium is {medium!r}; say 'air' or 'vacuum'.")

    @classmethod
    def fit(
        cls,
        pixel,
        wavelength,
        *,
        n_pixels,
        degree,
        uncertainty=None,
        medium="air",
        basis="legendre",
        **kwargs,
    ):
        """
        Fit a polynomial to known lines, all of them, weighted by their uncertainties.

        Parameters
        ----------
        pixel, wavelength : array-like of shape (n_lines,)
            Where the lines are and what they are (plain numbers are angstrom).
        n_pixels, degree : int
        uncertainty : array-like of shape (n_lines,), optional
            Of each line, in angstrom. Without it the scatter of the residuals is used.
        medium, basis : str
        **kwargs
            ``lines`` and ``verdict`` of the solution.

        Raises
        ------
        ValueError
            With fewer lines than coefficients.
        """
        pixel = np.asarray(getattr(pixel, "value", pixel), float)
        wave = u.Quantity(wavelength, u.AA).value
        if len(pixel) <= degree:
            raise ValueError(
                f"A polynomial of degree {degree} needs at least {degree + 1} lines, found "
                f"{len(pixel)}. Lower the degree or add lines."
            )
        domain = (0.0, n_pixels - 1.0)
        sigma = np.ones(len(pixel)) if uncertainty is None else u.Quantity(uncertainty, u.AA).value
        design = BASES[basis][1](scaled(pixel, domain), degree) / sigma[:, None]
        coefficients, *_ = np.linalg.lstsq(design, wave / sigma, rcond=None)
        covariance = np.linalg.pinv(design.T @ design, hermitian=True)
        if uncertainty is None:
            misfit = ((wave / sigma - design @ coefficients) ** 2).sum()
            covariance = covariance * misfit / max(len(pixel) - degree - 1, 1)
        return cls(coefficients, domain, n_pixels, medium, basis, covariance, **kwargs)

    @property
    def degree(self):
        """Degree of the polynomial."""
        return len(self.coefficients) - 1

    def _angstrom(self, pixel):
        pixel = np.asarray(getattr(pixel, "value", pixel), float)
        return BASES[self.basis][0](scaled(pixel, self.domain), self.coefficients)

    def pixel_to_wavelength(self, pixel):
        """Wavelength at (fractional) pixels, a `~astropy.units.Quantity` in angstrom."""
        wave = self._angstrom(pixel) * u.AA
        return convert(wave, self.fitted_medium, self.medium)

    def wavelength_to_pixel(self, wavelength):
        """
        Pixel at which wavelengths (plain numbers are angstrom) in `medium` fall.

        Outside the detector the nearest branch is followed one detector length further; what lies
        beyond, or where the polynomial turns back, is NaN.
        """
        wave = u.Quantity(wavelength, u.AA)
        wave = convert(wave, self.medium, self.fitted_medium).value
        grid, value = self._branch
        order = 1 if value[-1] > value[0] else -1
        pixel = np.interp(wave, value[::order], grid[::order], left=np.nan, right=np.nan)
        for _ in range(4):  # Newton, from a start good to a small part of a pixel
            pixel = pixel - (self._angstrom(pixel) - wave) / self._slope(pixel)
        return pixel

    @cached_property
    def _branch(self):
        """Pixels around the detector as far as wavelength stays monotonic, and their values."""
        return monotonic_branch(self._angstrom, self.n_pixels)

    def _slope(self, pixel):
        step = 1e-3 * (self.domain[1] - self.domain[0])
        return (self._angstrom(pixel + step) - self._angstrom(pixel - step)) / (2 * step)

    def dispersion(self, pixel):
        """Angstrom per pixel; negative where wavelength falls with pixel."""
        pixel = np.asarray(getattr(pixel, "value", pixel), float)
        return self._slope(pixel) * u.AA / u.pix

    def uncertainty(self, pixel):
        """One standard deviation of the wavelength of the solution at each pixel, in angstrom."""
        pixel = np.asarray(getattr(pixel, "value", pixel), float)
        if self.covariance is None:
            return np.full(pixel.shape, np.nan) * u.AA
        design = BASES[self.basis][1](scaled(pixel, self.domain), self.degree)
        variance = np.einsum("...i,ij,...j->...", design, self.covariance, design)
        return np.sqrt(np.maximum(variance, 0)) * u.AA

    @cached_property
    def wavelength(self):
        """Wavelength of every pixel centre, shape (n_pixels,)."""
        return self.pixel_to_wavelength(np.arange(self.n_pixels))

    @cached_property
    def wavelength_uncertainty(self):
        """Uncertainty of the solution at every pixel centre, shape (n_pixels,)."""
        return self.uncertainty(np.arange(self.n_pixels))

    @property
    def n_used(self):
        """Number of lines behind the solution."""
        return 0 if self.lines is None else int(np.sum(self.lines["used"]))

    @property
    def rms(self):
        """Root mean square residual of the lines used, in angstrom."""
        if self.n_used == 0:
            return np.nan * u.AA
        residual = self.lines["residual"][self.lines["used"]]
        return np.sqrt(np.mean(residual**2)).to(u.AA)

    @property
    def rms_pixel(self):
        """Root mean square residual of the lines used, in pixels."""
        if self.n_used == 0:
            return np.nan
        used = self.lines[self.lines["used"]]
        slope = self.dispersion(used["pixel"]).value
        return float(np.sqrt(np.mean((used["residual"].to_value(u.AA) / slope) ** 2)))

    def to_medium(self, medium):
        """Give the same solution speaking of ``"air"`` or ``"vacuum"``."""
        lines = self.lines
        if lines is not None and medium != self.medium:
            lines = lines.copy()
            lines["wavelength"] = convert(lines["wavelength"], self.medium, medium)
        return replace(self, medium=medium, lines=lines)

    def remapped(self, old_pixel, note=""):
        """
        Carry the solution to other pixels.

        Parameters
        ----------
        old_pixel : array-like of shape (n_new,)
            For each new pixel, the pixel of this solution that sees the same wavelength; smooth
            and monotonic (a slanted line seen along another row, a binned detector).
        note : str
            Added to the verdict.

        Returns
        -------
        solution : `WavelengthSolution`
            Of the same basis, with two more degrees where the map is not a straight line.
        """
        old_pixel = np.asarray(old_pixel, float)
        n = len(old_pixel)
        carry, straight = carry_over(old_pixel, self.basis, self.domain, self.degree)
        covariance = None if self.covariance is None else carry @ self.covariance @ carry.T
        lines = self.lines
        if lines is not None:
            lines = lines.copy()
            inverse = polynomial.Polynomial.fit(old_pixel, np.arange(n), 1 if straight else 7)
            lines["pixel"] = inverse(lines["pixel"].value) * u.pix
        return replace(
            self,
            coefficients=carry @ self.coefficients,
            domain=(0.0, n - 1.0),
            n_pixels=n,
            covariance=covariance,
            lines=lines,
            verdict=f"{self.verdict} {note}".strip(),
        )

    def shifted(self, pixels, stretch=0.0):
        """
        Give the solution of a spectrum whose features moved towards larger x by ``pixels``.

        What this solution has at pixel x, the new one has at ``x + pixels`` (plus
        ``stretch * (x - middle)``), so ``new.pixel_to_wavelength(x + pixels)`` equals
        ``old.pixel_to_wavelength(x)``. Lines and covariance move along.
        """
        middle = 0.5 * (self.n_pixels - 1)

        def move(x):
            return x + pixels + stretch * (x - middle)

        lines = self.lines
        if lines is not None:
            lines = lines.copy()
            lines["pixel"] = move(lines["pixel"].value) * u.pix
        return replace(self, domain=tuple(move(np.array(self.domain))), lines=lines)

    def scaled(self, factor):
        """Give the solution of a detector binned by ``factor`` more along the dispersion."""
        n = int(self.n_pixels // factor)
        return self.remapped(np.arange(n) * factor + 0.5 * (factor - 1), f"(binned {factor:g} x)")

    def calibrate(self, flux, *, uncertainty=None, mask=None):
        """
        Attach wavelengths to a spectrum on its own pixels; nothing is resampled.

        ``flux`` is a `~specutils.Spectrum` or an array of shape (..., n_pixels), with standard
        deviation and mask (True = bad) if it has any. The `~specutils.Spectrum` given back carries
        ``medium`` and ``wavelength_uncertainty`` in its ``meta``.
        """
        meta = {"medium": self.medium, "wavelength_uncertainty": self.wavelength_uncertainty}
        if hasattr(flux, "flux"):
            meta = {**flux.meta, **meta}
            uncertainty = flux.uncertainty if uncertainty is None else uncertainty
            mask = flux.mask if mask is None else mask
            flux = flux.flux
        flux = u.Quantity(flux)
        if flux.shape[-1] != self.n_pixels:
            raise ValueError(
                f"The spectrum has {flux.shape[-1]} pixels and the solution {self.n_pixels}: they "
                "are not of the same detector window. Cut or bin both alike (see scaled)."
            )
        if uncertainty is not None and not hasattr(uncertainty, "uncertainty_type"):
            uncertainty = StdDevUncertainty(uncertainty, unit=flux.unit)
        return Spectrum(
            flux,
            spectral_axis=self.wavelength,
            spectral_axis_index=flux.ndim - 1,
            uncertainty=uncertainty,
            mask=mask,
            meta=meta,
        )

    def to_table(self):
        """
        Everything in one table: the lines, and the solution in ``meta``.

        Write it with ``table.write(path, format="ascii.ecsv")``; `from_table` builds it again.
        """
        table = QTable(NO_LINES) if self.lines is None else self.lines.copy()
        keep = ("n_pixels", "medium", "basis", "verdict", "fitted_medium")
        table.meta["wavelength_solution"] = {
            **{name: getattr(self, name) for name in keep},
            "domain": list(self.domain),
            "coefficients": self.coefficients.tolist(),
            "covariance": None if self.covariance is None else self.covariance.tolist(),
        }
        return table

    @classmethod
    def from_table(cls, table):
        """Build the solution that `to_table` wrote."""
        if "wavelength_solution" not in table.meta:
            raise ValueError(
                "This table's meta has no 'wavelength_solution'. Give a table written by to_table."
            )
        meta = table.meta["wavelength_solution"]
        lines = QTable(table) if len(table) else None
        return cls(**meta, lines=lines)

    def plot(self, ax=None, **kwargs):
        """Draw wavelength against pixel, with the lines behind it, and return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        ax.plot(np.arange(self.n_pixels), self.wavelength.value, **{"label": "solution", **kwargs})
        if self.n_used:
            used = self.lines[self.lines["used"]]
            ax.plot(used["pixel"].value, used["wavelength"].value, "k.", label="lines used")
        ax.set(xlabel="pixel", ylabel=f"wavelength in {self.medium} (angstrom)")
        return ax
