"""What share of a star's light falls on each pixel along the slit?"""

from collections import namedtuple
from functools import lru_cache, partial

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

__all__ = ["profile_evaluator"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1
Table = namedtuple("Table", "step half cdf pdf slope")  # of a profile of width 1


def profile_evaluator(family, beta=None, dtype=float, *, wings=False):
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
    wings : bool
        Whether the derivative with respect to 1 / beta is asked for, too.

    Returns
    -------
    callable
        ``evaluate(rows, center, width)`` with ``rows`` (n_rows, n_x) and the others (n_x,) gives
        the profile and its derivatives with respect to centre and log width (and 1 / beta, at the
        mean beta), (n_rows, n_x).
    """
    if family != "moffat":
        return partial(_integrate, [_tabulate("gaussian", None, dtype)], None, None)
    shape = 1 / np.asarray(beta, dtype=float)
    low, high = shape.min(), shape.max()
    nodes = [float(shape.mean())] if high - low < 1e-6 else [low, 0.5 * (low + high), high]
    shares = [  # quadratic interpolation in 1 / beta between three tables
        np.prod([(shape - b) / (a - b) for b in nodes if b != a], axis=0).astype(dtype)
        for a in nodes
    ]
    tables = [_tabulate("moffat", float(1 / a), dtype) for a in nodes]
    far = _tabulate_wings(float(np.mean(beta)), 0.01, dtype) if wings else None
    return partial(_integrate, tables, shares if len(nodes) > 1 else None, far)


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


def _look_up(table, near, d):
    """Read running integral and density: Taylor series from the nearest entry."""
    pdf, rise = np.take(table.pdf, near), np.take(table.slope, near)
    rise *= d
    cdf = np.take(table.cdf, near)
    cdf += d * (pdf + 0.5 * rise)
    pdf += rise
    return cdf, pdf


def _edges(rows, center, width, dtype):
    """Give the edges of pixels from the star, in widths, and which are lower and upper ones."""
    n = len(rows)
    if n > 1 and np.all(np.diff(rows[:, :1], axis=0) == 1):  # pixels share edges
        first, size = rows[n // 2] - 0.5 - center, np.arange(n + 1, dtype=dtype) - n // 2
        low, high = slice(n), slice(1, None)
        edges = size[:, None] + first.astype(dtype)
    else:
        low, high = slice(n), slice(n, None)
        edges = np.concatenate([rows - 0.5 - center, rows + 0.5 - center]).astype(dtype)
    edges *= np.asarray(1 / width, dtype)
    return edges, low, high


def _integrate(tables, shares, wings, rows, center, width):
    """Integrate over pixels; give the profile and what centre, log width (and shape) change."""
    step, half, cdf, *_ = tables[0]
    t, low, high = _edges(rows, np.asarray(center), np.asarray(width), cdf.dtype)
    np.clip(t, -half, half, out=t)
    near = np.rint(t * (1 / step))
    d = t - near * step
    near = near.astype(np.intp)
    near += cdf.size // 2
    cdf, pdf = _look_up(tables[0], near, d)
    if shares is not None:
        cdf, pdf = shares[0] * cdf, shares[0] * pdf
        for table, share in zip(tables[1:], shares[1:], strict=True):
            for total, part in zip((cdf, pdf), _look_up(table, near, d), strict=True):
                total += share * part
    parts = [cdf, pdf, t * pdf]
    if wings is not None:
        parts.append(np.take(wings.cdf, near) + d * np.take(wings.pdf, near))
    profile, by_t, by_w, *by_shape = (part[high] - part[low] for part in parts)
    by_t *= np.asarray(-1 / width, by_t.dtype)
    return profile, by_t, np.negative(by_w, out=by_w), *by_shape
