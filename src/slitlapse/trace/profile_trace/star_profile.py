"""What share of a star's light falls on each pixel along the slit?"""

from collections import namedtuple
from functools import lru_cache, partial

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

__all__ = ["profile_evaluator", "wings_evaluator"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1
Table = namedtuple("Table", "step half cdf pdf slope")  # of a profile of width 1


def profile_evaluator(family, beta=None, dtype=float):
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
    dtype : type
        Of the results; with ``numpy.float32`` the error is some 1e-7 of the total, and all is
        faster.

    Returns
    -------
    callable
        ``evaluate(rows, center, width)`` with ``rows`` (n_rows, n_x) and the others (n_x,) gives
        the profile and its derivatives with respect to centre and log width, (n_rows, n_x).
    """
    if family != "moffat":
        return partial(_integrate, _tabulate("gaussian", None, dtype))
    if np.ndim(beta) == 0:
        return partial(_integrate, _tabulate("moffat", float(beta), dtype))
    shape = 1 / np.asarray(beta)
    low, high = shape.min(), shape.max()
    if high - low < 1e-6:
        return partial(_integrate, _tabulate("moffat", float(1 / shape.mean()), dtype))
    nodes = low, 0.5 * (low + high), high
    share = [  # quadratic interpolation in 1 / beta between three tables
        np.prod([(shape - b) / (a - b) for b in nodes if b != a], axis=0).astype(dtype)
        for a in nodes
    ]
    tables = [_tabulate("moffat", float(1 / a), dtype) for a in nodes]

    def evaluate(rows, center, width):
        parts = [_integrate(table, rows, center, width) for table in tables]
        return tuple(
            sum(s * part[k] for s, part in zip(share, parts, strict=True)) for k in range(3)
        )

    return evaluate


def wings_evaluator(beta, step=0.01, dtype=float):
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
    table = _tabulate_wings(float(np.mean(beta)), step, dtype)

    def wings(rows, center, width):
        edges = _edges(rows, center, width, dtype)
        near, d = _nearest(table, edges)
        change = np.take(table.cdf, near) + d * np.take(table.pdf, near)
        return change[1:] - change[:-1]

    return wings


@lru_cache(maxsize=256)
def _tabulate_wings(beta, step, dtype):
    """Tabulate the derivative of the running integral with respect to 1 / beta."""
    low, high = (_tabulate("moffat", 1 / (1 / beta + d), float) for d in (-step, step))
    change = [((b - a) / (2 * step)).astype(dtype) for a, b in zip(low[2:], high[2:], strict=True)]
    return Table(low.step, low.half, *change)


@lru_cache(maxsize=256)
def _tabulate(family, beta, dtype, step=0.02, half=100.0):
    """Tabulate the running integral of a profile as wide as a Gaussian of sigma 1."""
    if dtype is not float:
        table = _tabulate(family, beta, float, step, half)
        return Table(step, half, *(column.astype(dtype) for column in table[2:]))
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


def _nearest(table, t):
    """Give the nearest entry of a table, and how far it is."""
    steps = np.clip((t + table.half) * (1 / table.step), 0, table.cdf.size - 1)
    near = np.rint(steps)
    steps -= near
    steps *= table.step
    return near.astype(np.intp), steps


def _look_up(table, t):
    """Read running integral and density at ``t``: Taylor series from the nearest entry."""
    near, d = _nearest(table, t)
    pdf, rise = np.take(table.pdf, near), np.take(table.slope, near)
    rise *= d
    cdf = np.take(table.cdf, near) + d * (pdf + 0.5 * rise)
    pdf += rise
    return cdf, pdf


def _edges(rows, center, width, dtype):
    """Give the edges of consecutive pixels from the star, in widths."""
    n_x = np.broadcast_shapes(rows.shape[1:], np.shape(center), np.shape(width))
    edges = np.empty((rows.shape[0] + 1, *n_x))
    np.subtract(rows[0] - 0.5, center, out=edges[0])
    np.subtract(rows, center - 0.5, out=edges[1:])
    return np.divide(edges, width, out=edges).astype(dtype, copy=False)


def _integrate(table, rows, center, width):
    """Integrate over pixels; give the profile and what centre and log width change in it."""
    if rows.shape[0] > 1 and np.all(np.diff(rows[:, :1], axis=0) == 1):  # pixels share edges
        edges = _edges(rows, center, width, table.cdf.dtype)
        cdf, pdf = _look_up(table, edges)
        profile, by_t, by_w = (part[1:] - part[:-1] for part in (cdf, pdf, edges * pdf))
    else:
        low, high = (rows - 0.5 - center) / width, (rows + 0.5 - center) / width
        (c0, p0), (c1, p1) = _look_up(table, low), _look_up(table, high)
        profile, by_t, by_w = c1 - c0, p1 - p0, high * p1 - low * p0
    return profile, by_t * np.asarray(-1 / width, by_t.dtype), -by_w
