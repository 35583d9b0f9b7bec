"""What is the middle of many frames, in each of millions of pixels? Fast, and with its error."""

from functools import lru_cache

import numpy as np

__all__ = ["median", "median_factor"]


def median(values):
    """
    Median over axis 0 of the finite values, as fast as can be.

    Parameters
    ----------
    values : float32 `~numpy.ndarray`, shape (n_frames, n_pixels)
        NaN where bad.

    Returns
    -------
    `~numpy.ndarray`, shape (n_pixels,)
        NaN where no value is finite.
    """
    n = len(values)
    if n > 64:  # sorting, which numpy does in vector registers, wins
        ordered = np.sort(np.ascontiguousarray(values.T), axis=1)
        middle = 0.5 * (ordered[:, (n - 1) // 2] + ordered[:, n // 2])
        holes = np.isnan(ordered[:, -1])  # NaN is sorted to the end
    else:
        rows = list(values)
        for i, j in _network(n):
            rows[i], rows[j] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
        middle = 0.5 * (rows[(n - 1) // 2] + rows[n // 2])
        holes = np.isnan(middle)  # one NaN spreads to all that it is compared with
    if holes.any():
        middle[holes] = _nanmedian(values[:, holes])
    return middle


@lru_cache(maxsize=64)
def _network(n):
    """
    Pairs of rows to compare and exchange, in order, so that the middle ones end up sorted.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M), less
    the pairs that the middle does not depend on. On whole rows that fit the cache this
    is several times faster than sorting every pixel by itself.
    """
    pairs, top = [], 1 << max((n - 1).bit_length() - 1, 0)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    needed, kept = {(n - 1) // 2, n // 2}, []
    for i, j in reversed(pairs):
        if i in needed or j in needed:
            needed |= {i, j}
            kept.append((i, j))
    return tuple(reversed(kept))


def _nanmedian(stack):
    """Median of the finite values; NaN where there is none, without a warning."""
    ordered = np.sort(stack, axis=0)  # NaN is sorted to the end
    count = np.isfinite(stack).sum(axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), axis=0)
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(stack) - 1), axis=0)
    return np.where(count > 0, 0.5 * (low + high), np.nan)[0]


def median_factor(n):
    """
    Standard error of the median of ``n`` Gaussian values over that of their mean.

    1.2533 for many. Efficiencies of Hodges & Lehmann 1967, JASA 62, 926, then an expansion
    in 1 / n.
    """
    exact = np.array([1, 1, 1, 1.1602, 1.0922, 1.1976, 1.1351, 1.2137, 1.1588, 1.2226])
    n = np.asarray(n)
    large = np.sqrt(np.pi / 2 * n / (n + np.pi / 2 - n % 2))
    return np.where(n < len(exact), exact[np.minimum(n, len(exact) - 1)], large)
