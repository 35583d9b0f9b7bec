"""What share of a star's light falls on each pixel along the slit?"""

from collections import namedtuple
from functools import lru_cache, partial

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

__all__ = ["profile_evaluator", "wings_evaluator"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1
Table = namedtuple("Table", "step half cdf pdf slope")  # of a profile of width 1


def profile_evaluator(family, beta=None):
    """
    Give the function that integrates a profile family over pixels.

    A table of the running integral is read twice per pixel edge, so that every family costs the
    same; the error is below 1e-7 of the total.

    Parameters
    ----------
    family : {"gaussian", "moffat"}
        Family; the width is always FWHM / 2.3548. ("moments" stands on a Gaussian.)
    beta : float, `~numpy.ndarray` of shape (n_x,), or None
        Exponent of a Moffat profile (Moffat 1969), > 1; it may change along the spectrum.

    Returns
    -------
    callable
        ``evaluate(rows, center, width)`` with ``rows`` (n_rows, n_x) and the others (n_x,) gives
        the profile and its derivatives with respect to centre and log width, (n_rows, n_x).
    """
    if family != "moffat":
        return partial(_integrate, _tabulate("gaussian", None))
    if np.ndim(beta) == 0:
        return partial(_integrate, _tabulate("moffat", float(beta)))
    shape = 1 / np.asarray(beta)
    low, high = shape.min(), shape.max()
    if high - low < 1e-6:
        return partial(_integrate, _tabulate("moffat", float(1 / shape.mean())))
    nodes = low, 0.5 * (low + high), high
    share = [  # quadratic interpolation in 1 / beta between three tables
        np.prod([(shape - b) / (a - b) for b in nodes if b != a], axis=0) for a in nodes
    ]
    tables = [_tabulate("moffat", float(1 / a)) for a in nodes]

    def evaluate(rows, center, width):
        parts = [_integrate(table, rows, center, width) for table in tables]
        return tuple(
            sum(s * part[k] for s, part in zip(share, parts, strict=True)) for k in range(3)
        )

    return evaluate


def wings_evaluator(beta, step=0.01):
    """
    Give the function that evaluates the derivative of a Moffat profile with respect to 1 / beta.

    Parameters
    ----------
    beta : float or `~numpy.ndarray`, shape (n_x,)
        Exponent.

    Returns
    -------
    callable
        ``wings(rows, center, width)`` for consecutive rows, shape (n_rows, n_x).
    """
    table = _tabulate_wings(float(np.mean(beta)), step)

    def wings(rows, center, width):
        edges = (np.concatenate([rows - 0.5, rows[-1:] + 0.5]) - center) / width
        return np.diff(_look_up(table, edges)[0], axis=0)

    return wings


@lru_cache(maxsize=256)
def _tabulate_wings(beta, step):
    """Tabulate the derivative of the running integral with respect to 1 / beta."""
    low, high = (_tabulate("moffat", 1 / (1 / beta + d)) for d in (-step, step))
    change = [(b - a) / (2 * step) for a, b in zip(low[2:], high[2:], strict=True)]
    return Table(low.step, low.half, *change)


@lru_cache(maxsize=256)
def _tabulate(family, beta, step=0.02, half=100.0):
    """Tabulate the running integral of a profile as wide as a Gaussian of sigma 1."""
    t = np.arange(-half, half + step / 2, step)
    if family != "moffat":
        pdf = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
        return Table(step, half, ndtr(t), pdf, -t * pdf)
    alpha = 0.5 * FWHM / np.sqrt(2 ** (1 / beta) - 1)
    # one-dimensional Moffat = Student's t distribution with 2 beta - 1 degrees of freedom
    r = 1 + (t / alpha) ** 2
    pdf = np.exp(gammaln(beta) - gammaln(beta - 0.5)) / (alpha * np.sqrt(np.pi)) * r**-beta
    cdf = stdtr(2 * beta - 1, t / alpha * np.sqrt(2 * beta - 1))
    return Table(step, half, cdf, pdf, -2 * beta * t / alpha**2 / r * pdf)


def _look_up(table, t):
    """Read running integral and density at ``t``: Taylor series from the nearest entry."""
    t = np.clip(t, -table.half, table.half)
    near = np.rint((t + table.half) / table.step).astype(np.intp)
    d = t - (near * table.step - table.half)
    pdf, slope = table.pdf[near], table.slope[near]
    return table.cdf[near] + d * (pdf + 0.5 * d * slope), pdf + d * slope


def _integrate(table, rows, center, width):
    """Integrate over pixels; give the profile and what centre and log width change in it."""
    if rows.shape[0] > 1 and np.all(np.diff(rows[:, :1], axis=0) == 1):  # pixels share edges
        edges = (np.concatenate([rows - 0.5, rows[-1:] + 0.5]) - center) / width
        cdf, pdf = _look_up(table, edges)
        profile, by_t, by_w = (np.diff(part, axis=0) for part in (cdf, pdf, edges * pdf))
    else:
        low, high = (rows - 0.5 - center) / width, (rows + 0.5 - center) / width
        (c0, p0), (c1, p1) = _look_up(table, low), _look_up(table, high)
        profile, by_t, by_w = c1 - c0, p1 - p0, high * p1 - low * p0
    return profile, by_t / -width, -by_w
