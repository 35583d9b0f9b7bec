"""What share of a star's light falls on each pixel along the slit?"""

from collections import namedtuple
from functools import lru_cache, partial

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

__all__ = ["profile_evaluator"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1
Shape = namedtuple("Shape", "step half cdf pdf slope")  # tables of a profile of width 1


@lru_cache(maxsize=64)
def profile_evaluator(family, beta=None):
    """
    Give the function ``evaluate(rows, center, width)`` of a profile family.

    It returns the profile integrated over pixels and its derivatives with respect to the centre
    and to the logarithm of the width, each of shape (n_rows, n_x).
    """
    return partial(_integrate, _tabulate(family, beta))


def _tabulate(profile, beta, step=0.02, half=100.0):
    """Tabulate the running integral of a profile as wide as a Gaussian of sigma 1."""
    t = np.arange(-half, half + step / 2, step)
    if profile != "moffat":
        pdf = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
        return Shape(step, half, ndtr(t), pdf, -t * pdf)
    alpha = 0.5 * FWHM / np.sqrt(2 ** (1 / beta) - 1)
    # one-dimensional Moffat = Student's t distribution with 2 beta - 1 degrees of freedom
    r = 1 + (t / alpha) ** 2
    pdf = np.exp(gammaln(beta) - gammaln(beta - 0.5)) / (alpha * np.sqrt(np.pi)) * r**-beta
    cdf = stdtr(2 * beta - 1, t / alpha * np.sqrt(2 * beta - 1))
    return Shape(step, half, cdf, pdf, -2 * beta * t / alpha**2 / r * pdf)


def _look_up(shape, t):
    """Read running integral and density at ``t``: Taylor series from the nearest entry."""
    t = np.clip(t, -shape.half, shape.half)
    near = np.rint((t + shape.half) / shape.step).astype(np.intp)
    d = t - (near * shape.step - shape.half)
    pdf, slope = shape.pdf[near], shape.slope[near]
    return shape.cdf[near] + d * (pdf + 0.5 * d * slope), pdf + d * slope


def _integrate(shape, rows, center, width):
    """Integrate over pixels; give the profile and what centre and log width change in it."""
    if rows.shape[0] > 1 and np.all(np.diff(rows[:, :1], axis=0) == 1):  # pixels share edges
        edges = (np.concatenate([rows - 0.5, rows[-1:] + 0.5]) - center) / width
        cdf, pdf = _look_up(shape, edges)
        parts = cdf, pdf, edges * pdf
        profile, by_t, by_w = (np.diff(part, axis=0) for part in parts)
    else:
        low, high = (rows - 0.5 - center) / width, (rows + 0.5 - center) / width
        (c0, p0), (c1, p1) = _look_up(shape, low), _look_up(shape, high)
        profile, by_t, by_w = c1 - c0, p1 - p0, high * p1 - low * p0
    return profile, by_t / -width, -by_w
