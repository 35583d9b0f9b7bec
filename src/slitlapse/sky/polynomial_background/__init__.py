"""How bright is the sky under the star, column by column? A robust polynomial along the slit."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, VarianceUncertainty
from specreduce.background import Background
from specreduce.tracing import Trace
from specutils import Spectrum

from .column_fit import ColumnFit, fit_columns

__all__ = ["ColumnFit", "PolynomialBackground", "fit_columns"]


@dataclass
class PolynomialBackground(Background):
    """
    Sky as a robust polynomial along the slit, one per column.

    A `specreduce.background.Background` with the same constructor order, classmethods and
    outputs, whose sky may vary along the slit, whose masked columns stay masked, and whose
    `aperture_variance` knows that the sky errors of the pixels of an aperture are not independent.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or `~specutils.Spectrum`, or array with ``read_noise``
        Image, dispersion along axis 1.
    traces : Trace, number, or list of these
        Centres of the sky windows; the middle of the image by default.
    width : float
        Width of each window, in pixels: a pixel counts if its centre lies within.
    statistic : "average" or "median"
        Weighted least-squares polynomial, or the column median (degree 0).
    disp_axis, crossdisp_axis, mask_treatment
        1, 0 and "apply" (masked and non-finite pixels are left out): nothing else is supported.
    sigma : float or None
        Pixels further than this from the fit are rejected.
    degree : int, optional
        Degree along the slit; 1 by default, 0 for the median.
    maxiters : int
        Rounds of rejection at most.
    sky_pixels : array of bool, shape (n_y, n_x), optional
        Pixels that show sky (see `SkyWindows.mask`), instead of ``traces`` and ``width``.
    read_noise : float, `~astropy.units.Quantity` or array, shape (n_y, n_x), optional
        In electron, for images in electron: variances are then read noise squared plus modelled
        sky. Without it, ``image.uncertainty`` gives the median variance of each column's sky.
    sensitivity : array, shape (n_y, n_x), optional
        What the image was divided by; ``read_noise`` is that before the division.

    Raises
    ------
    ValueError
        Without uncertainty or read noise, or without an unmasked sky pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import PolynomialBackground
    >>> y = np.arange(100.0)[:, np.newaxis]
    >>> image = np.full((100, 20), 50.0) + 0.1 * y
    >>> image[45:56] += 1000.0  # a star
    >>> sky = PolynomialBackground.two_sided(image, 50, 25, width=20, read_noise=3.0)
    >>> sky.bkg_image().flux.value[50, :3]
    array([55., 55., 55.])
    """

    degree: int | None = None
    maxiters: int = 5
    sky_pixels: np.ndarray | None = None
    read_noise: object = None
    sensitivity: np.ndarray | None = None

    def __post_init__(self):
        if (self.disp_axis, self.crossdisp_axis, self.mask_treatment) != (1, 0, "apply"):
            raise ValueError("Only disp_axis=1, crossdisp_axis=0, mask_treatment='apply' work.")
        if self.statistic not in ("average", "median"):
            raise ValueError(f"statistic is 'average' or 'median', not {self.statistic!r}.")
        if self.degree is None:
            self.degree = 0 if self.statistic == "median" else 1
        if self.statistic == "median" and self.degree != 0:
            raise ValueError(f"A median has degree 0, but degree={self.degree} was asked for.")
        self.image = _as_spectrum(self.image)
        data = self.image.flux.value
        good = np.isfinite(data)
        if self.image.mask is not None:
            good &= ~self.image.mask
        self._centre = 0.5 * (len(data) - 1)
        if self.sky_pixels is None:
            self.sky_pixels = self._windows(data.shape)
        sky = np.asarray(self.sky_pixels, dtype=bool) & good
        if not sky.any():
            raise ValueError(
                "All sky pixels are masked or outside the image. Move the windows with traces "
                "and width, or give sky_pixels, a boolean image that is True on sky."
            )
        noise, factor = _noise_model(self.image, sky, self.read_noise, self.sensitivity)
        self.fit = fit_columns(
            data, sky, noise, degree=self.degree, statistic=self.statistic, photon_factor=factor,
            sigma=self.sigma, maxiters=self.maxiters,
        )  # fmt: skip
        self._outlier_mask = sky & ~self.fit.used

    @classmethod
    def two_sided(cls, image, trace_object, separation, **kwargs):
        """Put a window on each side of the trace, ``separation`` pixels away."""
        return cls(image, [trace_object - separation, trace_object + separation], **kwargs)

    @classmethod
    def one_sided(cls, image, trace_object, separation, **kwargs):
        """Put one window ``separation`` pixels above the trace, below it if negative."""
        return cls(image, [trace_object + separation], **kwargs)

    def _windows(self, shape):
        """Return the sky pixels that ``traces`` and ``width`` describe."""
        if self.width <= 0:
            raise ValueError(f"width must be a positive number of pixels, not {self.width}.")
        if isinstance(self.traces, list) and not self.traces:
            self.traces = shape[0] / 2.0
        traces = self.traces if isinstance(self.traces, (list, tuple)) else [self.traces]
        centres = [_track(trace) for trace in traces]
        centres = np.stack([np.broadcast_to(centre, shape[1]) for centre in centres])
        y = np.arange(shape[0])[:, np.newaxis]
        windows = np.abs(y - centres[:, np.newaxis]) <= self.width / 2
        for window, centre in zip(windows, centres, strict=True):
            if not window.any():
                raise ValueError(
                    f"A sky window of {self.width} pixels around row {np.nanmean(centre):.1f} "
                    f"lies outside the image, which has {shape[0]} rows. Move it."
                )
        self._centre = centres.mean(axis=0)
        return windows.any(axis=0)

    def bkg_image(self, image=None):
        """
        Return the sky model, NaN and masked in columns without a fit.

        Its errors are correlated: for sums of pixels use `aperture_variance`.
        """
        image = self._own_or(image)
        rows = np.arange(image.shape[0])
        return _spectrum(self.fit.evaluate(rows), self.fit.variance(rows), image)

    def bkg_spectrum(self, image=None, trace=None):
        """Return the sky per pixel along ``trace``, by default the middle of the windows."""
        image = self._own_or(image)
        where = self._centre if trace is None else trace
        where = np.broadcast_to(_track(where), image.shape[1])
        basis = self.fit.basis(where)
        level = np.einsum("xk,xk->x", basis, self.fit.coefficients)
        variance = np.einsum("xk,xkl,xl->x", basis, self.fit.covariance, basis)
        return _spectrum(level, variance, image)

    def aperture_variance(self, weights):
        """Return `ColumnFit.aperture_variance` for ``weights`` of shape (n_y, n_x)."""
        return self.fit.aperture_variance(weights, np.arange(len(weights)))

    def sub_image(self, image=None):
        """Return the image minus the sky; variances add pixel by pixel, where there are any."""
        image = self._own_or(image)
        sky = self.bkg_image(image)
        if image.uncertainty is None:
            sky.uncertainty = None  # that of the sky alone would pass for the whole
        return image - sky

    def sub_spectrum(self, image=None):
        """Return the sum of the image minus the sky along the slit, with sky covariance."""
        image = self._own_or(image)
        subtracted = self.sub_image(image)
        good = ~subtracted.mask
        flux = np.sum(subtracted.flux.value, axis=0, where=good)
        variance = None
        if image.uncertainty is not None:
            pixels = image.uncertainty.represent_as(VarianceUncertainty).array
            variance = np.sum(pixels, axis=0, where=good) + self.aperture_variance(1.0 * good)
        return _spectrum(np.where(good.any(axis=0), flux, np.nan), variance, image)

    def _own_or(self, image):
        """Return ``image`` as a Spectrum of the right shape, the own image by default."""
        image = self.image if image is None else _as_spectrum(image)
        if image.shape != self.image.shape:
            raise ValueError(
                f"The sky was fitted to an image of shape {self.image.shape}, not {image.shape}."
            )
        return image


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
    # one number per column: weights that differ with each pixel's own count would be biased
    values = np.where(sky & np.isfinite(variance), variance, np.nan)
    known = np.isfinite(values).any(axis=0)
    level = np.ones(values.shape[1])
    level[known] = np.nanmedian(values[:, known], axis=0)
    return level, 0.0


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
