"""What do the values of a pixel agree on, and which of them does not belong? Plain arrays."""

from functools import lru_cache

import numpy as np

__all__ = ["combine_stack", "median", "median_factor"]

CACHED = 2**20  # values handled at a time, so that they fit the processor's cache


def combine_stack(stack, sigmas, method, sigma):
    """
    Combine frames pixel by pixel.

    Parameters
    ----------
    stack : float32 `~numpy.ndarray`, shape (n_frames, n_y, n_x)
        NaN where bad.
    sigmas : float32 `~numpy.ndarray`, shape (n_frames, n_y, n_x), or None
        Standard deviations.
    method, sigma
        See `combine_frames`.

    Returns
    -------
    value, error : `~numpy.ndarray`, shape (n_y, n_x)
    count : int `~numpy.ndarray`, shape (n_y, n_x)
        Values used.
    lost : int `~numpy.ndarray`, shape (n_frames,)
        Values rejected or bad, by frame.
    """
    n, shape = len(stack), stack.shape[1:]
    stack = stack.reshape(n, -1)
    sigmas = None if sigmas is None else sigmas.reshape(n, -1)
    noise_curve = None if sigmas is not None or n < 2 else _noise_curve(stack)
    value = np.empty(stack.shape[1], np.float32)
    error, count = np.empty_like(value), np.empty(value.shape, np.int32)
    lost = np.zeros(n, np.int64)
    block = int(np.clip(CACHED // n, 2**11, 2**14))
    for start in range(0, len(value), block):
        part = slice(start, start + block)
        errors = None if sigmas is None else sigmas[:, part]
        value[part], error[part], count[part], bad = _combine_block(
            stack[:, part], errors, noise_curve, method, sigma
        )
        lost += bad
    return value.reshape(shape), error.reshape(shape), count.reshape(shape), lost


def _combine_block(values, errors, noise_curve, method, sigma):
    """Combine some pixels: values and errors have shape (n_frames, n_pixels)."""
    n = len(values)
    centre = median(values)
    if errors is not None:
        noise = median(errors)
    elif noise_curve is not None:
        noise = np.interp(centre, *noise_curve[:2]).astype(np.float32)
    else:
        noise = np.zeros_like(centre)
    limit = np.inf if sigma is None or n < 3 else sigma * noise
    bad = ~(np.abs(values - centre) <= limit)  # NaN is bad, too
    lost = np.count_nonzero(bad, axis=1)
    if lost.any():
        count = n - np.count_nonzero(bad, axis=0)
        values = np.where(bad, np.nan if method == "median" else np.float32(0), values)
        errors = None if errors is None else np.where(bad, np.float32(0), errors)
    else:
        count = np.full(centre.shape, n)
    safe = np.maximum(count, 1).astype(np.float32)
    if method == "mean":
        value = values.sum(axis=0) / safe
    else:
        value = median(values) if lost.any() else centre
    if errors is None:
        error = noise / np.sqrt(safe)
    else:
        error = np.where(count > 0, np.sqrt(np.einsum("ij,ij->j", errors, errors)) / safe, noise)
    if method == "median":
        error = error * median_factor(count)
        if noise_curve is not None:  # of many integers, the median is still one
            error = np.hypot(error, noise_curve[2])
    return value, np.where(np.isfinite(error), error, 0), count, lost


def _noise_curve(stack):
    """Signals, the standard deviation of one value there, and the least that it can be."""
    n_sample = min(40000, max(4000, 4 * 10**6 // len(stack)))
    sample = stack[:, :: max(1, stack.shape[1] // n_sample)]
    centre = median(sample)
    order = np.argsort(centre)
    order = order[np.isfinite(centre[order])]
    if len(order) == 0:
        return None
    some = order[:: len(order) // 800 + 1]
    distance = np.abs(sample[:, some] - centre[some])
    # groups by signal, if signals differ by more than their noise: else noise picks the group
    low, high = centre[order[len(order) // 50]], centre[order[-1 - len(order) // 50]]
    apart = 2 * np.nanquantile(distance, 0.84) + 1e-30
    n_groups = np.clip((high - low) / apart, 1, max(1, min(50, len(order) // 800)))
    groups = np.array_split(order, int(n_groups))
    signal = np.array([centre[g].mean() for g in groups])
    # raw frames of little noise: a value is known no better than the step of an integer
    finite = sample[:, some][np.isfinite(distance)]
    step = 1 / np.sqrt(12) if np.array_equal(finite, np.rint(finite)) else 0.0
    noise = np.array([_pooled_noise(sample[:, g], centre[g], step) for g in groups])
    return signal, noise, step


def _pooled_noise(values, centre, least):
    """Standard deviation of a value, from pixels of like signal: (n_frames, n_pixels)."""
    distance = np.abs(values - centre)
    # a first guess that hits do not move; medians do not see steps of integers
    guess = max(np.quantile(distance[np.isfinite(distance)], 0.84), least)
    quiet = median(distance) < 5 * guess  # a few hot pixels must not make the noise of all
    used = (distance < 5 * guess) & quiet
    count = used.sum(axis=0)
    freedom = np.maximum(count - 1, 0).sum()
    if not freedom:
        return guess
    residual = np.where(used, values - centre, 0).astype(float)
    residual -= residual.sum(axis=0) / np.maximum(count, 1)
    return max(np.sqrt(np.vdot(residual, residual * used) / freedom), least)


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
