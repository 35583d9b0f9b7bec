"""How are lines tilted across the slit? Ask the sky lines of the science frame itself."""

import itertools
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy.interpolate import make_lsq_spline
from scipy.ndimage import median_filter

__all__ = ["SkyTilt", "SkyTiltError", "SkyTiltWarning", "measure_sky_tilt"]


class SkyTiltError(ValueError):
    """The sky has no lines from which a tilt could be measured."""


class SkyTiltWarning(AstropyUserWarning):
    """The tilt did not settle."""


@dataclass(frozen=True)
class SkyTilt:
    """
    Displacement of lines along the spectrum, as a polynomial in row and column.

    The effective pixel is that of ``guess`` (by default the column) minus
    ``sum_ij coefficients[i, j] v^(i+1) w^j``, with v and w running from -1 to 1 over the rows
    and columns of the image.

    Parameters
    ----------
    coefficients : array, shape (row_degree, column_degree + 1)
        In pixels.
    uncertainty : array, shape (row_degree, column_degree + 1)
        Their standard deviations.
    shape : (int, int)
        Shape (n_y, n_x) of the image.
    guess : array, shape (n_y, n_x), optional
        Map of effective pixels that was corrected.

    Examples
    --------
    >>> from slitlapse.sky import SkyTilt
    >>> tilt = SkyTilt([[3.0]], [[0.01]], (101, 50))  # from -3 to +3 pixels
    >>> tilt.effective_pixel()[[0, 50, 100], 20]
    array([23., 20., 17.])
    """

    coefficients: np.ndarray
    uncertainty: np.ndarray
    shape: tuple
    guess: np.ndarray | None = None

    def displacement(self):
        """Return the displacement of every pixel, array, shape (n_y, n_x)."""
        n_y, n_x = self.shape
        coefficients = np.atleast_2d(np.asarray(self.coefficients, dtype=float))
        powers = np.vander(np.linspace(-1, 1, n_y), len(coefficients) + 1, increasing=True)[:, 1:]
        across = np.vander(np.linspace(-1, 1, n_x), coefficients.shape[1], increasing=True)
        return powers @ coefficients @ across.T

    def effective_pixel(self):
        """Return the effective pixel of every pixel, array, shape (n_y, n_x)."""
        start = np.arange(self.shape[1]) if self.guess is None else self.guess
        return start - self.displacement()


def measure_sky_tilt(
    data, sky_pixels, *, guess=None, row_degree=2, column_degree=1, block=8, maxiters=20
):
    """
    Measure the tilt of lines from one image of the sky, or correct a tilt that has moved.

    Rows are combined to blocks by a median, which removes cosmic rays. Neighbouring blocks
    are compared to follow the lines from the middle of the slit outwards; then all blocks
    together fit one super-sampled spectrum and one displacement, by Gauss-Newton steps.

    Parameters
    ----------
    data : array, shape (n_y, n_x)
        Image in electron: a science frame, or an arc.
    sky_pixels : array of bool, shape (n_y, n_x)
        True on good pixels without star.
    guess : array, shape (n_y, n_x), optional
        Effective pixels, for example from arcs, to be corrected; by default the column.
    row_degree, column_degree : int
        Degrees of the displacement along the slit and along the spectrum.
    block : int
        Rows per block.
    maxiters : int
        Gauss-Newton steps at most.

    Returns
    -------
    `SkyTilt`

    Raises
    ------
    SkyTiltError
        If the sky shows too little structure, or too few rows.

    Warns
    -----
    SkyTiltWarning
        If the steps do not settle.
    """
    data = np.asarray(data, dtype=float)
    n_y, n_x = data.shape
    rows, spectra = _blocks(np.where(sky_pixels, data, np.nan), block)
    if len(rows) < row_degree + 2:
        raise SkyTiltError(
            f"Only {len(rows)} blocks of {block} rows have sky, too few for a displacement of "
            f"degree {row_degree}. Give more sky_pixels, or a smaller block or row_degree."
        )
    v, w = rows / (n_y - 1) * 2 - 1, np.linspace(-1, 1, n_x)
    powers = [(i, j) for i in range(1, row_degree + 1) for j in range(column_degree + 1)]
    terms = np.array([v**i * w**j for i, j in powers])
    base = np.broadcast_to(np.arange(n_x, dtype=float), spectra.shape)
    if guess is not None:
        index, column = np.clip(np.rint(rows).astype(int), 0, n_y - 1), np.arange(n_x)
        base = guess[index, column] + (rows - index) * np.gradient(guess, axis=0)[index, column]
    coefficients = np.zeros(len(terms))
    if guess is None:
        known = np.isfinite(spectra)
        # blocks that see half of the spectrum cannot be compared by eye; the fit can use them
        whole = known.mean(axis=1) > 0.7 * known.mean(axis=1).max()
        shifts = _follow(spectra[whole])
        middle = np.mean(v[whole], axis=1, where=known[whole])
        start = np.vander(middle, row_degree + 1, increasing=True)
        # the line of constant shift is free: only differences between rows count
        coefficients[:: column_degree + 1] = np.linalg.lstsq(start, shifts, rcond=None)[0][1:]
    local = False
    for i in range(maxiters):
        displacement = np.tensordot(coefficients, terms, 1)
        step, covariance, strength = _gauss_newton(spectra, base - displacement, terms, local)
        if strength < 10:
            raise SkyTiltError(
                f"The structure of this sky is {strength:.1f} times what noise alone shows, too "
                "little for a tilt. Take the tilt from arcs, or a mean of many exposures."
            )
        coefficients = coefficients + step
        size = np.max(np.abs(step) / np.sqrt(np.diag(covariance)))
        if local and size < 0.1:
            break
        # once the lines lie upon each other, one that does not fit must not decide alone
        local = local or size < 1 or i >= 6
    else:
        warnings.warn(
            f"The tilt still moves by {np.abs(step).max():.4f} pixels after {maxiters} steps. "
            "Give a better guess, or lower the degrees.",
            SkyTiltWarning,
            stacklevel=2,
        )
    size = (row_degree, column_degree + 1)
    uncertainty = np.sqrt(np.diag(covariance)).reshape(size)
    return SkyTilt(coefficients.reshape(size), uncertainty, data.shape, guess)


def _blocks(data, block):
    """Return mean rows and median spectra of blocks, shape (n_blocks, n_x), NaN where unknown."""
    n_blocks, n_x = len(data) // block, data.shape[1]
    stack = data[: n_blocks * block].reshape(n_blocks, block, n_x)
    known = np.isfinite(stack)
    count = known.sum(axis=1)
    ordered = np.sort(stack, axis=1)  # NaN last
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[:, np.newaxis] // 2, axis=1)
    high = np.take_along_axis(
        ordered, np.minimum(count // 2, np.maximum(count - 1, 0))[:, np.newaxis], axis=1
    )
    spectra = np.where(count > block / 2, 0.5 * (low + high)[:, 0], np.nan)
    y = np.arange(n_blocks * block).reshape(n_blocks, block, 1)
    # near a curved trace the rows that a block uses differ from column to column
    rows = np.sum(y * known, axis=1) / np.maximum(count, 1)
    keep = np.isfinite(spectra).mean(axis=1) > 0.25
    rows, spectra = rows[keep], spectra[keep]
    # every block sees the spectrum through its own illumination, and some see only part of it
    known = np.isfinite(spectra)
    usual = np.nanmedian(spectra[:, known.any(axis=0)], axis=0)
    bright = usual > 0.2 * np.median(usual)
    ratios = spectra[:, known.any(axis=0)][:, bright] / usual[bright]
    return rows, spectra / np.nanmedian(ratios, axis=1, keepdims=True)


def _follow(spectra, reach=5):
    """Return the shift of every block relative to the middle one, neighbour by neighbour."""
    column = np.arange(spectra.shape[1])
    known = np.isfinite(spectra)
    filled = [
        np.interp(column, column[ok], row[ok]) for ok, row in zip(known, spectra, strict=True)
    ]
    lines = np.array([row - median_filter(row, 51) for row in filled])
    # compress bright lines so that one of them does not decide alone
    lines = np.sign(lines) * np.sqrt(np.abs(lines))
    lags = np.arange(-reach, reach + 1)
    steps = []
    for here, there in itertools.pairwise(lines):
        product = np.array(
            [np.sum(here[reach:-reach] * np.roll(there, -k)[reach:-reach]) for k in lags]
        )
        best = int(np.clip(np.argmax(product), 1, lags.size - 2))
        left, middle, right = product[best - 1 : best + 2]
        bend = left - 2 * middle + right
        steps.append(lags[best] + (0.5 * (left - right) / bend if bend < 0 else 0.0))
    shifts = np.concatenate([[0.0], np.cumsum(steps)])
    return shifts - shifts[len(shifts) // 2]


def _gauss_newton(spectra, effective, terms, local):
    """Return one step of the coefficients, their covariance, and the strength of the lines."""
    known = np.isfinite(spectra)
    order = np.argsort(effective[known])
    x, y = effective[known][order], spectra[known][order]
    terms = terms[:, known][:, order]
    inner = np.arange(np.ceil(x[20]), np.floor(x[-20]), 1.0)[2:-2]
    inner = np.delete(inner, np.flatnonzero(np.histogram(x, inner)[0] < 2) + 1)
    knots = np.r_[[x[0]] * 4, inner, [x[-1]] * 4]
    spline = make_lsq_spline(x, y, knots)
    for _ in range(2):  # once without weights, once with
        distance = np.abs(y - spline(x))
        # the noise grows with the root of the sky, and no pixel may decide alone
        root_sky = np.sqrt(np.maximum(spline(x), 0.2 * np.median(y)))
        noise = root_sky * 1.4826 * max(np.median(distance / root_sky), 1e-12)
        if local:
            nearby = median_filter(distance, 2 * len(x) // len(knots) | 1, mode="nearest")
            noise = np.maximum(noise, 1.4826 * nearby)
        root = np.clip(6 - distance / noise, 0, 1) / noise
        spline = make_lsq_spline(x, y, knots, w=np.maximum(root, 1e-6 / noise))
    residual, slope = y - spline(x), spline.derivative()(x)
    # noise of unit variance gives a spline with n points per knot a slope of variance about 3 / n
    strength = np.mean((slope * root) ** 2) * len(x) / len(knots) / 3
    # what a step would change and the spectrum can take up as well tells nothing
    changes = (slope * terms).T
    changes = changes - make_lsq_spline(x, changes, knots, w=np.maximum(root, 1e-6 / noise))(x)
    design = changes * root[:, np.newaxis]
    covariance = np.linalg.pinv(design.T @ design)
    # a pixel that moves by d sees the spectrum at u - d
    return -covariance @ (design.T @ (residual * root)), covariance, strength
