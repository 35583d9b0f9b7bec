"""How bright is the sky under the star, column by column? A robust polynomial along the slit."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, VarianceUncertainty
from specreduce.background import Background
from specreduce.tracing import Trace
from specutils import Spectrum

__all__ = ["ColumnFit", "PolynomialBackground", "fit_columns"]

MAD_TO_SIGMA = 1.4826  # for a Gaussian


@dataclass(frozen=True)
class ColumnFit:
    """
    A polynomial along the slit for every column, with its covariance.

    Parameters
    ----------
    coefficients : array, shape (n_x, degree + 1)
        Legendre coefficients in ``t = (y - centre) / scale``, in the unit of the image; NaN in
        columns that could not be fitted.
    covariance : array, shape (n_x, degree + 1, degree + 1)
        Their covariance.
    centre, scale : float
        Row of t = 0, and rows per unit of t.
    used : array of bool, shape (n_rows, n_x)
        Sky pixels that were not rejected.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    centre: float
    scale: float
    used: np.ndarray

    def basis(self, rows):
        """Return the Legendre polynomials at ``rows`` (pixels), shape (n_rows, degree + 1)."""
        t = (np.asarray(rows, dtype=float) - self.centre) / self.scale
        return np.polynomial.legendre.legvander(t, self.coefficients.shape[1] - 1)

    def evaluate(self, rows):
        """Return the sky at ``rows`` (pixels), shape (n_rows, n_x)."""
        return self.basis(rows) @ self.coefficients.T

    def variance(self, rows):
        """Return the variance of the sky model pixel by pixel, shape (n_rows, n_x)."""
        basis = self.basis(rows)
        pairs = (basis[:, :, np.newaxis] * basis[:, np.newaxis]).reshape(len(basis), -1)
        return pairs @ self.covariance.reshape(len(self.covariance), -1).T

    def aperture_variance(self, weights, rows):
        """
        Return the variance per column of the sum of ``weights`` times the sky model.

        ``weights``, shape (n_rows, n_x), is 1 in a boxcar aperture or holds optimal weights;
        ``rows``, shape (n_rows,), are its rows in the image. The covariance between pixels is
        included. Shape (n_x,), in the unit of the image squared.
        """
        moments = weights.T @ self.basis(rows)
        # the einsum of three terms does not pair them up by itself
        return np.einsum("xk,xk->x", moments, np.einsum("xkl,xl->xk", self.covariance, moments))


def fit_columns(
    data, sky, read_variance, *, rows=None, degree=1, statistic="average", photon_factor=1.0,
    sigma=5.0, maxiters=5,
):  # fmt: skip
    """
    Fit a robust polynomial along the slit to every column at once.

    The variance of a pixel is ``read_variance + photon_factor * model``, never its own count:
    weights from the data favour pixels that fluctuated downwards. A column in which a pixel
    sticks out starts again from medians, because a least-squares line through a cosmic ray would
    reject the sky instead. Where the sky bends more than the polynomial can follow (a tilted sky
    line), the threshold grows with the scatter, so that the line is not taken for outliers.

    Parameters
    ----------
    data : array, shape (n_rows, n_x)
        Image, or a cut-out of some rows, in electron.
    sky : array of bool, shape (n_rows, n_x)
        True where a good pixel shows only sky.
    read_variance : float, array, shape (n_x,) or (n_rows, n_x)
        Variance that is there without sky (read noise, dark current), in electron squared.
    rows : array, shape (n_rows,), optional
        Rows of the image that ``data`` holds; 0, 1, 2, ... by default.
    degree : int
        Degree along the slit. Keep it for a whole night.
    statistic : "average" or "median"
        Weighted least squares, or the median (degree 0).
    photon_factor : float or array, shape (n_rows, n_x)
        Variance per count of sky: 1 for electrons, 1/s where the image was divided by s.
    sigma : float or None
        Pixels further than this from the fit are rejected; None keeps all.
    maxiters : int
        Rounds of rejection at most.

    Returns
    -------
    `ColumnFit`
    """
    data = np.asarray(data, dtype=float)
    rows = np.arange(len(data), dtype=float) if rows is None else np.asarray(rows, dtype=float)
    centre = 0.5 * (rows[0] + rows[-1])
    scale = max(0.5 * (rows[-1] - rows[0]), 1.0)
    basis = np.polynomial.legendre.legvander((rows - centre) / scale, degree)
    sky = sky & np.isfinite(data)
    noise = np.broadcast_to(np.asarray(read_variance, dtype=float), data.shape)
    factor = np.broadcast_to(np.asarray(photon_factor, dtype=float), data.shape)
    problem = (np.where(sky, data, 0.0), sky, noise, factor)
    solve = _medians if statistic == "median" else _least_squares
    coefficients, covariance, variance = solve(basis, *problem)
    used = sky
    if sigma is not None:
        residual = problem[0] - basis @ coefficients.T
        wild = (residual**2 > sigma**2 * variance) & sky
        again = np.flatnonzero(wild.any(axis=0))  # most columns need no second look
        if again.size:
            part = tuple(array[:, again] for array in problem)
            c, k, kept = _clip(basis, part, solve, sigma, maxiters)
            used = sky.copy()
            coefficients[again], covariance[again], used[:, again] = c, k, kept
    hopeless = used.sum(axis=0) <= degree
    coefficients[hopeless], covariance[hopeless] = np.nan, np.nan
    return ColumnFit(coefficients, covariance, centre, scale, used)


def _least_squares(basis, data, use, noise, factor):
    """Return coefficients, covariance and pixel variance: uniform weights first, then proper."""
    n_terms = basis.shape[1]
    pairs = (basis[:, :, np.newaxis] * basis[:, np.newaxis]).reshape(len(basis), -1)
    weights = use.astype(float)
    short = np.count_nonzero(use, axis=0) < n_terms
    for _ in range(2):
        normal = (weights.T @ pairs).reshape(-1, n_terms, n_terms)
        normal[short] = np.eye(n_terms)
        moments = (weights * data).T @ basis
        covariance = np.linalg.inv(normal)
        coefficients = np.einsum("xkl,xl->xk", covariance, moments)
        variance = noise + factor * np.maximum(basis @ coefficients.T, 0.0)
        weights = use / variance
    return coefficients, covariance, variance


def _medians(basis, data, use, noise, factor):
    """Do the same with the median of each column."""
    level, n = _column_median(data, use)
    variance = noise + factor * np.maximum(level, 0.0)
    mean_variance = np.sum(variance, axis=0, where=use) / np.maximum(n, 1)
    # exact for n = 1 and for large n, within 2 % between
    covariance = 0.5 * np.pi / (n + 0.5 * np.pi - 1) * mean_variance
    return level[:, np.newaxis], covariance[:, np.newaxis, np.newaxis], variance


def _column_median(values, use):
    """Return the median of the used pixels of each column, and their number."""
    ordered = np.sort(np.where(use, values, np.inf).T, axis=1)
    n = np.count_nonzero(use, axis=0)
    column = np.arange(len(ordered))
    low = ordered[column, np.maximum(n - 1, 0) // 2]
    high = ordered[column, np.minimum(n // 2, np.maximum(n - 1, 0))]
    return np.where(n > 0, 0.5 * (np.where(n > 0, low, 0) + np.where(n > 0, high, 0)), 0.0), n


def _robust_start(basis, data, use):
    """Return a first model from medians: a line through the two halves of the slit."""
    level = _column_median(data, use)[0]
    model = np.broadcast_to(level, data.shape)
    if basis.shape[1] > 1:
        t = basis[:, 1]
        halves = [use & half[:, np.newaxis] for half in (t < 0, t >= 0)]
        (low, n_low), (high, n_high) = (_column_median(data, half) for half in halves)
        t_low, t_high = (
            (t @ half) / np.maximum(count, 1)
            for half, count in zip(halves, (n_low, n_high), strict=True)
        )
        enough = (n_low >= 3) & (n_high >= 3)
        slope = np.where(enough, (high - low) / np.where(enough, t_high - t_low, 1.0), 0.0)
        middle = np.where(enough, low - slope * t_low, level)
        model = middle + slope * t[:, np.newaxis]
    return model


def _clip(basis, problem, solve, sigma, maxiters):
    """Fit columns with outliers: medians first, then reject, readmit and fit until settled."""
    data, sky, noise, factor = problem
    model = _robust_start(basis, data, sky)
    variance = noise + factor * np.maximum(model, 0.0)
    used = None
    for _ in range(max(int(maxiters), 1)):
        pull = np.abs(data - model) / np.sqrt(variance)
        scatter = MAD_TO_SIGMA * _column_median(pull, sky)[0]
        kept = sky & (pull <= sigma * np.maximum(scatter, 1.0))
        if used is not None and np.array_equal(kept, used):
            break
        used = kept
        coefficients, covariance, variance = solve(basis, data, used, noise, factor)
        model = basis @ coefficients.T
    return coefficients, covariance, used


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
        u.Quantity(data, u.electron if unit is None else unit, copy=False, dtype=float),
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
    level, n = _column_median(variance, sky)
    return np.where(n > 0, level, 1.0), 0.0


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
