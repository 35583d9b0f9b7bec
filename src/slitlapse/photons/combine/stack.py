"""What do the values of a pixel agree on, and which of them does not belong? Plain arrays."""

import numpy as np

from .median import median, median_factor

__all__ = ["combine_stack"]

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
        noise = np.interp(centre, *noise_curve).astype(np.float32)
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
    return value, np.where(np.isfinite(error), error, 0), count, lost


def _noise_curve(stack):
    """Standard deviation of one value against signal, from the scatter between frames."""
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
    return signal, np.array([_pooled_noise(sample[:, g], centre[g], step) for g in groups])


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
