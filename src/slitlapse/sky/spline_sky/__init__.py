"""How bright is the sky where its lines are tilted? One spectrum, sampled between the pixels."""

import warnings

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, VarianceUncertainty
from astropy.utils.exceptions import AstropyUserWarning
from specreduce.tracing import Trace
from specutils import Spectrum

from .sky_geometry import IlluminationWarning, SkyGeometry, SplineFit
from .sky_geometry.neighbouring_columns import column_correlations
from .sky_geometry.one_spectrum import MOST_MISFIT

__all__ = [
    "IlluminationWarning",
    "SkyGeometry",
    "SplineFit",
    "SplineSky",
    "TiltWarning",
    "column_correlations",
]


FLOOR = 0.05  # of the variance of a column: what does not come from the sky is at least that


class TiltWarning(AstropyUserWarning):
    """The sky lines are not where the map of effective pixels says."""


class SplineSky:
    """
    Sky of one exposure as a spline in the effective pixel times a polynomial along the slit.

    It gives the same outputs as `specreduce.background.Background`.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or `~specutils.Spectrum`, or array with ``read_noise``
        Image, dispersion along axis 1.
    tilt : `~specreduce.tilt_solution.TiltSolution`, array, shape (n_y, n_x), or `SkyGeometry`
        Where the lines lie: upstream's solution, the effective pixel of every pixel, or the
        `geometry` of an earlier exposure. With the latter, everything that takes long is done,
        and weights are those for that exposure's sky. None: lines are not tilted.
    sky_pixels : array of bool, shape (n_y, n_x), optional
        Pixels that show sky (see `SkyWindows.mask`); by default all.
    exclude : list of (Trace or number, float), optional
        Stars, with the half-width in pixels to leave out around each.
    knot_spacing, spatial_degree : float, int
        As in `SkyGeometry`.
    one_spectrum : bool, optional
        Take the sky as one spectrum times the slit's illumination, which is measured first
        (`SkyGeometry.with_illumination`): half of the noise under a star, and a quarter at the
        ends of the dispersion, where not all rows see a wavelength. By default if that adds less
        to the error than it saves; the attribute `one_spectrum` tells.
    read_noise : float, `~astropy.units.Quantity` or array, shape (n_y, n_x), optional
        Read noise in the unit of the image, which must then be electron. With it, variances are
        read noise squared plus the modelled sky. Without it, the median variance of each
        column's sky pixels is taken from ``image.uncertainty``, and how variances change
        with counts along the columns.
    sensitivity : array, shape (n_y, n_x), optional
        What the image was divided by; ``read_noise`` is then that before the division.
    sigma : float or None
        Pixels further than this from the fit are rejected.
    maxiters : int
        Rounds of rejection at most.

    Raises
    ------
    ValueError
        If there is neither an uncertainty nor a read noise, or shapes differ.

    Warns
    -----
    TiltWarning
        If residuals along bright lines are far above the noise (see `line_excess`).

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import SkyGeometry, SplineSky
    >>> y, x = np.mgrid[:60, :200]
    >>> effective = x - 0.05 * y  # lines tilted by 3 pixels
    >>> image = 100 + 1000 * np.exp(-0.5 * ((effective - 90) / 2) ** 2)
    >>> image[27:34] += 5000.0  # a star
    >>> sky = SplineSky(image, effective, exclude=[(30, 8)], read_noise=3.0)
    >>> (image - sky).flux.value[30, ::40].round()
    array([5000., 5000., 5000., 5000., 5000.])
    """

    # numpy must leave ``image - sky`` to us
    __array_ufunc__ = None

    def __init__(
        self, image, tilt=None, *, sky_pixels=None, exclude=(), knot_spacing=None,
        spatial_degree=2, one_spectrum=None, read_noise=None, sensitivity=None, sigma=6.0,
        maxiters=3,
    ):  # fmt: skip
        self.image = _as_spectrum(image)
        data = self.image.flux.value
        geometry = tilt
        if not isinstance(tilt, SkyGeometry):
            sky = np.isfinite(data) if sky_pixels is None else np.array(sky_pixels, dtype=bool)
            if self.image.mask is not None:
                sky &= ~self.image.mask
            y, x = np.indices(data.shape)
            for trace, half_width in exclude:
                sky &= np.abs(y - _track(trace)) > half_width
            geometry = SkyGeometry(
                x if tilt is None else tilt, sky, knot_spacing=knot_spacing,
                spatial_degree=spatial_degree,
            )  # fmt: skip
        if data.shape != geometry.sky_pixels.shape:
            raise ValueError(
                f"The image has shape {data.shape}, but the geometry is for "
                f"{geometry.sky_pixels.shape}."
            )
        noise, factor = _noise_model(self.image, geometry.sky_pixels, read_noise, sensitivity)
        options = {"photon_factor": factor, "mask": self.image.mask, "sigma": sigma}
        options["maxiters"] = maxiters
        if not geometry.is_weighted:
            geometry = geometry.weighted(geometry.fit(data, noise, **options).variance)
            geometry = _illuminated(geometry, geometry.fit(data, noise, **options), one_spectrum)
        self.geometry = geometry
        self.fit = geometry.fit(data, noise, **options)
        self.line_excess = self.fit.line_excess(data)
        if self.line_excess > 1.3:
            warnings.warn(
                f"On the flanks of sky lines the residuals scatter {self.line_excess:.2f} times as "
                "much as the noise: the lines are not where the effective pixels say. The tilt may "
                "have moved since the arcs (measure_sky_tilt corrects it), or the knots are too "
                "wide for the lines.",
                TiltWarning,
                stacklevel=2,
            )

    @property
    def one_spectrum(self):
        """Whether the sky is one spectrum times the illumination of the slit."""
        return self.geometry.illumination is not None

    @property
    def effective_pixel(self):
        """Dispersion coordinate of every pixel, array, shape (n_y, n_x)."""
        return self.geometry.effective_pixel

    @property
    def supersampled(self):
        """
        The sky pixels as one spectrum, in order of effective pixel.

        Returns
        -------
        effective_pixel, flux, used : arrays, shape (n_sky,)
            Coordinate, counts, and whether the fit kept the pixel.
        """
        sky = self.geometry.sky_pixels
        order = np.argsort(self.effective_pixel[sky])
        parts = self.effective_pixel, self.image.flux.value, self.fit.used
        return tuple(part[sky][order] for part in parts)

    def bkg_image(self, image=None):
        """
        Return the sky model as an image, NaN and masked where sky pixels do not reach.

        It carries no uncertainty: errors of neighbouring pixels are strongly correlated, and
        what matters for a sum of pixels is `aperture_variance`.
        """
        image = self._own_or(image)
        model = np.where(self.fit.good, self.fit.model, np.nan)
        return _spectrum(model, None, image)

    def bkg_spectrum(self, image=None, trace=None):
        """
        Return the sky per pixel along ``trace``, by default in the middle of the slit.

        The nearest row is taken, so that nothing is interpolated. Its uncertainty is that of
        the model.
        """
        image = self._own_or(image)
        n_y, n_x = image.shape
        where = 0.5 * (n_y - 1) if trace is None else _track(trace)
        rows = np.clip(np.rint(np.broadcast_to(where, n_x)).astype(int), 0, n_y - 1)
        weights = np.zeros((n_y, n_x))
        weights[rows, np.arange(n_x)] = 1.0
        level = self.bkg_image().flux.value[rows, np.arange(n_x)]
        return _spectrum(level, self.aperture_variance(weights), image)

    def aperture_variance(self, weights):
        """
        Return the variance per column of the sum of ``weights`` times the sky model.

        ``weights``, shape (n_y, n_x), is 1 in a boxcar aperture or holds optimal weights. The
        covariance between pixels is included. Shape (n_x,), in the unit of the image squared.
        """
        return self.fit.aperture_variance(weights)

    def sub_image(self, image=None):
        """Return the image minus the sky, with the uncertainty of the image."""
        image = self._own_or(image)
        values = image.flux.value - self.bkg_image().flux.value
        result = Spectrum(
            values * image.flux.unit, spectral_axis=image.spectral_axis, spectral_axis_index=1,
            uncertainty=image.uncertainty, mask=~np.isfinite(values),
        )  # fmt: skip
        if image.mask is not None:
            result.mask |= image.mask
        return result

    def sub_spectrum(self, image=None):
        """Return the sum of the image minus the sky along the slit, with sky covariance."""
        subtracted = self.sub_image(image)
        good = ~subtracted.mask
        flux = np.sum(subtracted.flux.value, axis=0, where=good)
        variance = None
        if subtracted.uncertainty is not None:
            variance = subtracted.uncertainty.represent_as(VarianceUncertainty).array
            variance = np.sum(variance, axis=0, where=good) + self.aperture_variance(1.0 * good)
        return _spectrum(np.where(good.any(axis=0), flux, np.nan), variance, subtracted)

    def __rsub__(self, image):
        """Return ``image`` minus the sky."""
        return self.sub_image(image)

    def _own_or(self, image):
        """Return ``image`` as a Spectrum of the right shape, the own image by default."""
        image = self.image if image is None else _as_spectrum(image)
        if image.shape != self.image.shape:
            raise ValueError(
                f"The sky was fitted to an image of shape {self.image.shape}, not {image.shape}."
            )
        return image


def _illuminated(geometry, fit, one_spectrum):
    """Return the geometry of one spectrum, where it is asked for or better than polynomials."""
    if one_spectrum is False or geometry.spatial_degree == 0:
        return geometry
    if one_spectrum:
        return geometry.with_illumination(fit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IlluminationWarning)  # it only chooses
        single = geometry.with_illumination(fit)
    return single if single.illumination_misfit <= MOST_MISFIT else geometry


def _track(trace):
    """Return the positions of a trace or number; an array's own ``trace`` is its sum."""
    values = trace.trace if isinstance(trace, Trace) else trace
    return np.asarray(np.ma.getdata(values), dtype=float)


def _as_spectrum(image):
    """Return any image as a 2-D Spectrum; nothing is invented and nothing copied."""
    if isinstance(image, Spectrum):
        return image
    data = image.data if isinstance(image, NDData) else np.asarray(image)
    unit = getattr(image, "unit", None)
    return Spectrum(
        np.asarray(data, dtype=float) << (u.electron if unit is None else unit),
        spectral_axis=np.arange(data.shape[1]) * u.pix,
        uncertainty=getattr(image, "uncertainty", None),
        mask=getattr(image, "mask", None),
        spectral_axis_index=1,
    )


def _noise_model(image, sky, read_noise, sensitivity):
    """Return the variance without sky, and the variance per count of sky."""
    if read_noise is not None:
        read_noise = u.Quantity(read_noise, image.flux.unit).value
        factor = 1.0 if sensitivity is None else 1.0 / np.asarray(sensitivity, dtype=float)
        return (read_noise * factor) ** 2, factor
    if image.uncertainty is None:
        raise ValueError(
            "The image has no uncertainty, and no read noise was given, so the noise is unknown. "
            "Give read_noise (in electron), or an image with an uncertainty."
        )
    variance = image.uncertainty.represent_as(VarianceUncertainty).array
    # one number per column, and by how much variances change with counts along columns: weights
    # that differ with each pixel's own count would be biased
    known = sky & np.isfinite(variance) & np.isfinite(image.flux.value)
    seen = known.any(axis=0)
    level, counts = np.ones(sky.shape[1]), np.zeros(sky.shape[1])
    off = []
    for middle, values in ((level, variance), (counts, image.flux.value)):
        values = np.where(known, values, np.nan)
        middle[seen] = np.nanmedian(values[:, seen], axis=0)
        off.append(np.nan_to_num(values - middle))
    slope = max(np.sum(off[0] * off[1]) / max(np.sum(off[1] ** 2), 1e-300), 0.0)
    return np.maximum(level - slope * counts, FLOOR * level), slope


def _spectrum(values, variance, image):
    """Return values as a Spectrum in the unit of ``image``, with the kind of its uncertainty."""
    uncertainty = None
    if variance is not None:
        kind = VarianceUncertainty if image.uncertainty is None else type(image.uncertainty)
        uncertainty = VarianceUncertainty(variance, unit=image.flux.unit**2).represent_as(kind)
    return Spectrum(
        values * image.flux.unit, spectral_axis=image.spectral_axis, uncertainty=uncertainty,
        mask=~np.isfinite(values), spectral_axis_index=values.ndim - 1,
    )  # fmt: skip
