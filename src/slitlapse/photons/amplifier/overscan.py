"""At what level does an amplifier read zero light? A line of its overscan at a time, smoothed."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.modeling import Model
from astropy.modeling.fitting import LinearLSQFitter
from scipy.fft import dct
from scipy.interpolate import BSpline
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.ndimage import maximum_filter1d, median_filter
from scipy.signal import savgol_filter
from scipy.sparse import eye_array

__all__ = ["OverscanLevel", "line_means", "model_level", "unevenness"]


@dataclass(frozen=True)
class OverscanLevel:
    """
    The level of one amplifier in one frame, measured on its overscan.

    Parameters
    ----------
    level, uncertainty : float `~numpy.ndarray`, shape (n_lines,)
        Level and its standard error in adu, for every row (``axis`` 0) or column (``axis`` 1)
        of the amplifier's data section.
    axis : int
        0: one level per row (overscan beside the data), 1: one per column (above or below).
    read_noise : float
        Standard deviation of the overscan pixels about their line's mean, in adu.
    n_pixels, n_clipped : int
        Overscan pixels looked at, and those of them rejected.
    method : str
        How the level was found, in words.
    """

    level: np.ndarray
    uncertainty: np.ndarray
    axis: int
    read_noise: float
    n_pixels: int
    n_clipped: int
    method: str

    @property
    def drift(self):
        """Largest minus smallest level, in adu."""
        return float(np.ptp(self.level))

    @property
    def image(self):
        """The level shaped to be subtracted from the data section: (n_y, 1) or (1, n_x)."""
        return np.expand_dims(self.level, 1 - self.axis)


def line_means(pixels, good, sigma_clip, name):
    """
    Clipped mean of every line of an overscan.

    Single pixels are rejected against the median of their line, and places in the line (the
    columns of an overscan beside the data) whose mean over all lines stands out: the first and
    last pixel of an overscan often differ.

    Parameters
    ----------
    pixels : float `~numpy.ndarray`, shape (n_lines, n_pixels)
    good : bool `~numpy.ndarray`, shape (n_lines, n_pixels)
    sigma_clip : float or None
    name : str
        Of the amplifier, for messages.

    Returns
    -------
    means, counts : `~numpy.ndarray`, shape (n_lines,)
        NaN and 0 where no pixel is good.
    noise : float
        Standard deviation of a pixel about its line's mean.
    n_clipped : int
    """
    n_before = np.count_nonzero(good)
    if not n_before:
        raise ValueError(f"The overscan of amplifier {name!r} has no good pixel.")
    if n_before == good.size:
        centre = pixels.mean(axis=1, keepdims=True)
        some = slice(None, None, max(1, len(pixels) // 400))
        scale = _scale(pixels[some] - centre[some])
        # the mean will do, but for lines where something stands out: medians take longer
        residual = pixels - centre
        limit = 0.8 * (sigma_clip or np.inf) * scale
        unsure = (residual.max(axis=1) > limit) | (residual.min(axis=1) < -limit)
        centre[unsure] = np.median(pixels[unsure], axis=1, keepdims=True)
        residual[unsure] = pixels[unsure] - centre[unsure]
    else:
        some = good.any(axis=1)
        centre = np.zeros((len(pixels), 1), np.float32)
        holes = np.where(good, pixels, np.nan)[some]
        centre[some] = np.nanmedian(holes, axis=1, keepdims=True)
        residual = np.where(good, pixels - centre, 0)
        scale = _scale(residual[good])
        unsure = slice(None)
    if sigma_clip is not None:
        good = good.copy()
        good[unsure] &= np.abs(residual[unsure]) < sigma_clip * scale
        good &= ~_odd_places(residual, good, sigma_clip, scale)
    counts = np.count_nonzero(good, axis=1)
    residual *= good
    offset = residual.sum(axis=1).astype(float) / np.maximum(counts, 1)
    means = np.where(counts > 0, centre[:, 0] + offset, np.nan)
    freedom = np.maximum(counts - 1, 0).sum()
    square = np.einsum("ij,ij->i", residual, residual) - counts * offset**2
    noise = float(np.sqrt(square.sum() / freedom)) if freedom > 0 else np.nan
    return means, counts, noise, int(n_before - counts.sum())


def _scale(residual):
    """Robust standard deviation; in integers even no scatter has a step's width, 1 / sqrt(12)."""
    return np.hypot(1.4826 * np.median(np.abs(residual)), 0.29)


def _odd_places(residual, good, sigma_clip, scale):
    """Places in the line, bool of shape (n_pixels,), whose mean over the lines stands out."""
    counts = np.maximum(good.sum(axis=0), 1)
    mean = np.einsum("ij,ij->j", residual, good) / counts
    distance = np.abs(mean - np.median(mean))
    # a real but tiny difference of one place among many does not matter: 0.3 of the noise
    spread = 4 * 1.4826 * np.median(distance)
    return distance > np.maximum(sigma_clip * scale / np.sqrt(counts), max(0.3 * scale, spread))


def unevenness(pixels):
    """
    Tell how much the places of a line differ, over the noise of a pixel.

    Far less than 1 where no light comes, because all places then hold the same level.

    Parameters
    ----------
    pixels : float `~numpy.ndarray`, shape (n_lines, n_pixels)
    """
    pixels = pixels[:: max(1, len(pixels) // 200)]
    median = np.nanmedian if np.isnan(pixels).any() else np.median  # the faster of the two
    residual = pixels - median(pixels, axis=1, keepdims=True)
    places = median(residual, axis=0)
    noise = np.hypot(1.4826 * median(np.abs(residual - places)), 0.29)
    return float(1.4826 * np.median(np.abs(places - np.median(places))) / noise)


def model_level(means, counts, noise, method, *, jumps=True):
    """
    Turn the means of lines into the level.

    Parameters
    ----------
    means, counts : `~numpy.ndarray`, shape (n_lines,)
        As `line_means` returns them.
    noise : float
        Standard deviation of a pixel.
    method : str, model or callable
        See `Amplifier.measure_level`.
    jumps : bool
        Whether ``"auto"`` may follow jumps from line to line.

    Returns
    -------
    level, variance : `~numpy.ndarray`, shape (n_lines,)
    words : str
        The method.
    """
    lines = np.arange(len(means), dtype=float)
    weights = counts / max(counts.mean(), 1e-9)
    if not counts.all():  # lines without a good pixel get the level between their neighbours
        means = np.interp(lines, lines[counts > 0], means[counts > 0])
    line_variance = noise**2 / counts.mean()
    ones = np.ones_like(means)
    if isinstance(method, Model):
        where = np.linspace(-1, 1, len(means))
        fitted = LinearLSQFitter()(method, where, means, weights=np.sqrt(weights))
        n_free = len(fitted.parameters)
        name = type(method).__name__
        return fitted(where), ones * line_variance * n_free / len(means), f"{name}, {n_free} terms"
    if callable(method):
        return np.asarray(method(means), float), ones * line_variance, "own smoother"
    if method == "constant":
        level = np.average(means, weights=weights)
        return ones * level, ones * line_variance / len(means), "constant"
    if method == "rows":
        return means, noise**2 / np.maximum(counts, 0.5), "every line by itself"
    if method == "savgol":
        window = min(65, (len(means) - 1) // 2 * 2 + 1)
        order = min(5, window - 1)
        kept = savgol_filter(np.eye(1, window, window // 2)[0], window, order)[window // 2]
        return savgol_filter(means, window, order), ones * line_variance * kept, "Savitzky-Golay"
    if method == "auto":
        return _smooth(means, weights, line_variance, jumps)
    raise ValueError(
        f"The overscan method is {method!r}; known are 'auto', 'constant', 'rows', 'savgol', "
        "a linear astropy model, or a callable that smooths the line means."
    )


def _smooth(means, weights, line_variance, may_jump):
    """Smoothing spline through the line means, as stiff as they allow."""
    n = len(means)
    if n < 8 or not line_variance > 0:
        level = np.average(means, weights=weights)
        return np.full(n, level), np.full(n, line_variance / n), "constant (few lines)"
    odd = _odd_lines(means, line_variance)
    if odd.any():
        lines = np.arange(n)
        means = np.where(odd, np.interp(lines, lines[~odd], means[~odd]), means)
        weights = np.where(odd, 0, weights)
    length, jump = _choose_length(means, line_variance, may_jump)
    centre = np.average(means, weights=weights)  # what is left is small, and so is rounding
    smooth, leverage = _spline(means - centre, weights, length)
    keep = jump / (1 + jump)
    variance = line_variance * ((1 - keep) ** 2 * (1 + jump) * leverage + keep)
    words = f"smooth over {length:.3g} lines" + (f", {keep:.2f} of jumps kept" if jump else "")
    return centre + smooth + keep * (means - centre - smooth), variance, words


def _odd_lines(means, line_variance):
    """Single lines far off their neighbours, such as a column that bleeds into the overscan."""
    distance = np.abs(means - median_filter(means, min(31, len(means) // 2), mode="nearest"))
    scale = np.hypot(1.4826 * np.median(distance), np.sqrt(line_variance))
    odd = distance > 8 * scale
    return odd if odd.mean() < 0.05 else np.zeros(len(means), bool)


def _choose_length(means, line_variance, may_jump):
    """Smoothing length in lines, and the variance of line-to-line jumps over the noise's."""
    n = len(means)
    parabolas = _parabolas(n)
    residual = means - parabolas @ (parabolas.T @ means)
    power = dct(residual, norm="ortho")[3:] ** 2 / line_variance
    starts, lengths, jumps, log_model, precision = _spectra(n, may_jump)
    # what varies slowly with frequency is binned
    unlikely = log_model + precision @ np.add.reduceat(power, starts)
    unlikely[1:] += 10  # jumps must be beyond chance: following them puts noise into lines
    jump, length = np.unravel_index(np.argmin(unlikely), unlikely.shape)
    return lengths[length], jumps[jump]


@lru_cache(maxsize=32)
def _parabolas(n):
    """Constant, slope and bowl over n lines, orthonormal, shape (n, 3)."""
    return np.linalg.qr(np.vander(np.linspace(-1, 1, n), 3))[0]


@lru_cache(maxsize=32)
def _spectra(n, may_jump):
    """
    Power spectra that n lines have under every smoothing length and size of jumps.

    Returns
    -------
    starts : `~numpy.ndarray` of int
        First frequency of every bin.
    lengths, jumps : `~numpy.ndarray`
        What is tried.
    log_model : `~numpy.ndarray`, shape (n_jumps, n_lengths)
        Sum of the logarithms of the power.
    precision : `~numpy.ndarray`, shape (n_jumps, n_lengths, n_bins)
        One over the power.
    """
    omega4 = (2 - 2 * np.cos(np.pi * np.arange(3, n) / n)) ** 2
    starts = np.unique(np.round(np.geomspace(1, n - 2, 80)).astype(int) - 1)[:-1]
    sizes = np.diff(np.append(starts, n - 3))
    omega4 = np.add.reduceat(omega4, starts) / sizes
    lengths = np.geomspace(0.5, n, 36)
    jumps = np.array([0, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 100, 1000] if may_jump else [0.0])
    model = 1 + jumps[:, None, None] + 1 / (lengths[:, None] ** 4 * omega4)
    return starts, lengths, jumps, np.log(model) @ sizes, 1 / model


def _spline(values, weights, length):
    """
    Smoothing spline of some stiffness about a parabola, and its variance over a line mean's.

    The parabola is fitted with it, as stiff as the curve may be: the stiffness is chosen from
    what a parabola leaves.
    """
    n = len(values)
    # Knots as far apart as the curve can bend: with one in every line, stiff curves of thousands
    # of lines are beyond the computer's precision.
    spacing = max(1, int(length / 16))
    basis = _basis(n, spacing)
    if np.ptp(weights) == 0:
        factor, bowl, left = _factor(n, spacing, length), *_bowl(n, spacing, length)
    else:
        factor = _factorise(n, spacing, length, weights)
        bowl, left = _what_is_left(basis, factor, weights)
    smooth = basis @ cho_solve_banded((factor, False), basis.T @ (weights * values))
    share = (weights * bowl) @ left
    leverage = _leverage(n, spacing, length)
    if not weights.all():  # less is known where lines are missing
        lines = np.arange(n)
        near = np.flatnonzero(maximum_filter1d(weights == 0, 2 * int(min(length, n)) + 1))
        some = near[np.unique(np.linspace(0, len(near) - 1, 64).astype(int))]
        there = np.interp(lines[near], some, _diagonal(basis, factor, some))
        leverage = leverage.copy()
        leverage[near] = np.maximum(leverage[near], there)
    if share > 1e-6 * (weights @ bowl**2):  # else the curve itself follows any parabola
        smooth += left * ((weights * left) @ values) / share
        leverage = leverage + left**2 / share
    return smooth, leverage


def _what_is_left(basis, factor, weights):
    """A parabola, and what the smooth curve leaves of it."""
    bowl = np.linspace(-1, 1, basis.shape[0]) ** 2
    bowl -= np.average(bowl, weights=weights)
    return bowl, bowl - basis @ cho_solve_banded((factor, False), basis.T @ (weights * bowl))


@lru_cache(maxsize=64)
def _bowl(n, spacing, length):
    return _what_is_left(_basis(n, spacing), _factor(n, spacing, length), np.ones(n))


@lru_cache(maxsize=32)
def _basis(n, spacing):
    """Cubic B-splines at n lines; with a knot in every line, the lines themselves."""
    if spacing == 1:
        return eye_array(n, format="csr")
    n_parts = -(-(n - 1) // spacing)
    knots = spacing * np.arange(-3.0, n_parts + 4) - 0.5 * (n_parts * spacing - (n - 1))
    return BSpline.design_matrix(np.arange(n, dtype=float), knots, 3)


@lru_cache(maxsize=64)
def _factor(n, spacing, length):
    return _factorise(n, spacing, length, np.ones(n))


def _factorise(n, spacing, length, weights):
    """Cholesky factor (upper bands) of the normal matrix: fit of the lines plus penalty."""
    basis = _basis(n, spacing)
    normal = basis.T @ basis.multiply(weights[:, None])
    m = normal.shape[0]
    bands = np.zeros((4, m))
    for offset in range(4):
        bands[3 - offset, offset:] = normal.diagonal(offset)
    # squared second differences of the coefficients, which are ``spacing`` lines apart
    penalty = length**4 / spacing**3
    bands[1, 2:] += penalty
    bands[2, 1:] -= penalty * np.concatenate([[2], np.full(m - 3, 4), [2]])
    bands[3] += penalty * np.concatenate([[1, 5], np.full(m - 4, 6), [5, 1]])
    return cholesky_banded(bands)


def _diagonal(basis, factor, lines):
    """Leverage of some lines: of (basis, normal matrix inverted, basis) the diagonal."""
    rows = basis[lines].toarray()
    return np.einsum("ij,ji->i", rows, cho_solve_banded((factor, False), rows.T))


@lru_cache(maxsize=64)
def _leverage(n, spacing, length):
    """Variance of the smooth curve over that of one line mean, where no line is missing."""
    where = np.unique(np.round(np.geomspace(1, n / 2 + 1, 24)).astype(int) - 1)
    where = where[where < n]
    diagonal = _diagonal(_basis(n, spacing), _factor(n, spacing, length), where)
    lines = np.arange(n)
    return np.interp(np.minimum(lines, n - 1 - lines), where, diagonal)
