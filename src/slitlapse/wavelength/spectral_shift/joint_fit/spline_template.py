"""What smooth curve runs through all exposures at once? A cubic spline with a knot per pixel."""

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, solveh_banded

__all__ = [
    "banded_inverse",
    "banded_trace",
    "cubic_basis",
    "interpolating_spline",
    "likeliest_stiffness",
    "roughness",
    "solve_spline",
    "spline_at_knots",
    "spline_equations",
]


def cubic_basis(part):
    """
    Values and slopes of the four cubic B-splines that reach a point.

    Parameters
    ----------
    part : array-like
        How far after a knot the point lies, in knots (0 to 1).

    Returns
    -------
    value, slope : array of shape (4, ...)
        Of the splines centred one knot before, at, one and two knots after the knot.
    """
    t = np.asarray(part)
    value = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    slope = [-3 * (1 - t) ** 2, 9 * t**2 - 12 * t, -9 * t**2 + 6 * t + 3, 3 * t**2]
    return np.array(value) / 6, np.array(slope) / 6


def roughness(size):
    """Sum of squared third differences of spline coefficients, lower banded; a hint of a level."""
    third, band = (-1.0, 3.0, -3.0, 1.0), np.zeros((4, size))
    for a, b in zip(*np.triu_indices(4), strict=True):
        band[b - a, a : size - 3 + a] += third[a] * third[b]
    return band + np.array([1e-9, 0, 0, 0])[:, None]


def spline_equations(index, part, power, signal, size, *, slope=False):
    """
    Normal equations of the spline through points of any number of exposures.

    Parameters
    ----------
    index, part : array
        Knot before each point, and the part of a knot after it.
    power, signal : array
        Of each point: weight times scale squared, and weight times scale times value.
    size : int
        Number of coefficients.
    slope : bool
        The points tell the spline's slope instead of its value.

    Returns
    -------
    band : array of shape (4, size)
        Lower banded matrix.
    right : array of shape (size,)
    """
    basis = cubic_basis(part)[slope]
    right, band = np.zeros(size), np.zeros((4, size))
    for a in range(4):
        at = (index + a - 1).ravel()
        right += np.bincount(at, (basis[a] * signal).ravel(), size)
        for b in range(a, 4):
            band[b - a] += np.bincount(at, (basis[a] * basis[b] * power).ravel(), size)
    return band, right


def likeliest_stiffness(band, right):
    """Stiffness (in units of the typical weight) of greatest restricted likelihood."""
    unit, best = np.median(band[0][band[0] > 0]), (np.inf, 1.0)
    for stiffness in 10.0 ** np.arange(-6, 7):
        factor = cholesky_banded(band + stiffness * unit * roughness(right.size), lower=True)
        power = right @ cho_solve_banded((factor, True), right)
        # restricted likelihood, up to a constant
        score = 2 * np.log(factor[0]).sum() - (right.size - 3) * np.log(stiffness) - power
        best = min(best, (score, stiffness))
    return best[1]


def solve_spline(band, right, stiffness):
    """Coefficients of the spline of these equations."""
    unit = stiffness * np.median(band[0][band[0] > 0])
    return solveh_banded(band + unit * roughness(right.size), right, lower=True)


def banded_inverse(band, stiffness):
    """Covariance of the coefficients of `solve_spline`, lower banded: only near neighbours."""
    size, covariance = band.shape[1], np.zeros(band.shape)
    unit = stiffness * np.median(band[0][band[0] > 0])
    factor = cholesky_banded(band + unit * roughness(size), lower=True)
    for first in range(0, size, 256):
        columns = np.arange(first, min(first + 256, size))
        unknown = np.zeros((size, len(columns)))
        unknown[columns, columns - first] = 1.0
        solved = cho_solve_banded((factor, True), unknown)
        for k in range(len(band)):
            inside = columns[columns + k < size]
            covariance[k, inside] = solved[inside + k, inside - first]
    return covariance


def banded_trace(one, other):
    """Trace of the product of two symmetric matrices, of which one at least is banded."""
    return 2 * (one * other).sum() - (one[0] * other[0]).sum()


def interpolating_spline(values, pad):
    """Coefficients of the spline through one spectrum, held at its ends for ``pad`` knots more."""
    values = np.pad(values, pad, mode="edge")
    band = np.array([[4 / 6], [1 / 6]]) * np.ones(values.size)
    return solveh_banded(band, values, lower=True)


def spline_at_knots(spline):
    """Values at all knots but the first and the last."""
    return (spline[..., :-2] + 4 * spline[..., 1:-1] + spline[..., 2:]) / 6
