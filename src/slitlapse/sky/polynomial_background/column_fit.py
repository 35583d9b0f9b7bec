"""What is the best polynomial along the slit, in every column at once?"""

from dataclasses import dataclass

import numpy as np

__all__ = ["ColumnFit", "fit_columns"]

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
        ``rows``, shape (n_rows,), are its rows in the image, or (n_rows, n_x) where they differ
        from column to column. The covariance between pixels is included. Shape (n_x,), in the
        unit of the image squared.
        """
        basis = self.basis(rows)
        if basis.ndim == 3:
            moments = np.einsum("yx,yxk->xk", weights, basis)
        else:
            moments = weights.T @ basis
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
    for i in range(max(int(maxiters), 1)):
        pull = np.abs(data - model) / np.sqrt(variance)
        if i < 2:  # against the start from medians, and once against a fit
            scatter = MAD_TO_SIGMA * _column_median(pull, sky)[0]
        kept = sky & (pull <= sigma * np.maximum(scatter, 1.0))
        if used is not None and np.array_equal(kept, used):
            break
        used = kept
        coefficients, covariance, variance = solve(basis, data, used, noise, factor)
        model = basis @ coefficients.T
    return coefficients, covariance, used
