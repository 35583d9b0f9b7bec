"""Where does a star go, roughly, when its trace is tilted or bowed?"""

import itertools

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d, uniform_filter1d

__all__ = ["StarNotFoundError", "follow_star"]

SEEN = 5.0  # sigma: a maximum that counts
FOOT = 12  # rows on either side among which the foot of a maximum lies
STRIP = 4  # reaches on either side of the guess that are looked at first
NEAR = 2.5  # rows: a farther maximum must be brighter by exp(distance^2 / 2 NEAR^2)


class StarNotFoundError(ValueError):
    """No star was found where one was asked for."""


def follow_star(data, good, guess=None, reach=15.0):
    """
    Walk along a star from the middle of the frame to both ends.

    Columns are added up in bins (64, or 16, 4, 1 where the star is too faint for that); in each bin
    the star is the maximum nearest to where the last few bins point. So the path may bow by
    hundreds of rows, while neighbours and cosmic rays do not catch it.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_y, n_x)
        Image.
    good : `~numpy.ndarray` of bool, shape (n_y, n_x)
        Pixels that can be used.
    guess : float, `~numpy.ndarray` of shape (n_x,), or None
        Row at the middle column, or everywhere; ``None``: the brightest star.
    reach : float
        How far from ``guess``, in rows, the star may be.

    Returns
    -------
    x, offset : `~numpy.ndarray`, shape (n_seen,)
        Columns where the star was seen, and its rows from ``base`` there.
    base : `~numpy.ndarray`, shape (n_x,)
        The guess, in every column.

    Raises
    ------
    StarNotFoundError
        Where nothing stands out within reach.
    """
    if guess is not None:
        guess = np.asarray(guess, float)
        # most stars stay near: fewer rows are faster
        low = max(int(np.min(guess) - STRIP * reach), 0)
        high = min(int(np.max(guess) + STRIP * reach) + 1, data.shape[0])
        margin = reach + FOOT
        if 0 < high - low < 0.6 * data.shape[0]:
            found = _follow(data[low:high], good[low:high], guess - low, reach)
            if isinstance(found, tuple):
                row = found[1] + np.interp(found[0], np.arange(data.shape[1]), found[2]) + low
                if (low == 0 or row.min() > low + margin) and (
                    high == data.shape[0] or row.max() < high - margin
                ):
                    return found[0], found[1], found[2] + low
    found = _follow(data, good, guess, reach)
    if isinstance(found, str):
        raise StarNotFoundError(found)
    return found


def _follow(data, good, guess, reach):
    """Follow the star; give what was found, or a sentence that says why not."""
    n_x = data.shape[1]
    brightest = 0.0
    for n_bins in (64, 16, 4, 1):
        n_bins = min(n_bins, max(n_x // 8, 1))
        snr = _significance(data, good, n_bins)
        x = (np.arange(n_bins) + 0.5) * n_x / n_bins - 0.5
        row = guess
        if guess is None:
            sharp = snr - uniform_filter1d(snr, 41, axis=0)
            row = np.argmax(np.clip(sharp, 0, 20).mean(axis=1))
        base = np.broadcast_to(np.asarray(row, float), n_x)
        x0 = base[np.rint(x).astype(int)]
        peaks = _peaks(snr)
        start = _start(peaks, x, x0, reach)
        if start is not None:
            offset = _walk(peaks, x, x0, *start, 0.4 * reach)
            seen = np.isfinite(offset)
            if seen.sum() >= min(4, (n_bins + 1) // 2):
                return x[seen], offset[seen], base
        near = np.abs(np.arange(data.shape[0])[:, None] - x0).min(axis=1) <= reach
        if near.any():
            brightest = max(brightest, (snr[near].max(axis=0) - np.median(snr[near], axis=0)).max())
    where = "" if guess is None else f" within {reach:g} rows of {x0[n_bins // 2]:.1f}"
    found = f"the brightest row is {brightest:.1f} sigma above its surroundings, "
    found += f"and {SEEN:g} are needed" if brightest < SEEN else "but that is no peak to follow"
    return f"No star stands out{where}: {found}. Look at find_stars(image), or give another guess."


def _significance(data, good, n_bins):
    """Add up columns in bins and divide by the noise: shape (n_y, n_bins)."""
    n_y, n_x = data.shape
    edges = np.linspace(0, n_x, 5 * n_bins + 1).astype(int)[:-1]
    cuts = np.add.reduceat(data, edges, axis=1)
    if good.all():
        cuts /= np.diff(np.append(edges, n_x))
    else:
        count = np.add.reduceat(good.astype(np.int32), edges, axis=1)
        typical = np.median(cuts[count > 0] / count[count > 0]) if count.any() else 0.0
        cuts = np.where(count > 0, cuts / np.maximum(count, 1), typical)
    cuts = _median_of_five(*np.moveaxis(cuts.reshape(n_y, n_bins, 5), 2, 0))  # hits reach one
    cuts = gaussian_filter1d(cuts, 1.5, axis=0)
    # noise from differences of rows that share nothing: a star reaches few of them
    steps = cuts[5:] - cuts[:-5] if n_y > 10 else cuts
    steps = np.abs(steps - np.median(steps, axis=0))
    k = int(0.3 * len(steps))
    noise = np.partition(steps, k, axis=0)[k] / (0.385 * np.sqrt(2))
    return cuts / np.maximum(noise, 1e-9 * np.abs(cuts).max() + 1e-30)


def _median_of_five(a, b, c, d, e):
    """Give the median of five arrays by comparisons, faster than sorting."""
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    return np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), e))


def _peaks(snr):
    """
    List the maxima of each bin that stand out: rows, refined by parabolas, and log heights.

    The height of a maximum is that above the higher of the lowest rows on either side.
    """
    if len(snr) < 3:
        return [[] for _ in snr.T]
    feet = [
        minimum_filter1d(snr, FOOT + 1, axis=0, mode="nearest", origin=side)
        for side in (FOOT // 2, -(FOOT // 2))
    ]
    below, inner, above = snr[:-2], snr[1:-1], snr[2:]
    height = inner - np.maximum(*feet)[1:-1]
    # column after column
    x, y = np.nonzero(((inner >= below) & (inner > above) & (height > SEEN)).T)
    a, b, c = below[y, x], inner[y, x], above[y, x]
    row = y + 1 + np.clip(0.5 * (a - c) / (a - 2 * b + c), -0.5, 0.5)
    found = list(zip((y + 1).tolist(), row.tolist(), np.log(height[y, x]).tolist(), strict=True))
    ends = np.searchsorted(x, np.arange(snr.shape[1] + 1))
    return [found[first:last] for first, last in itertools.pairwise(ends)]


def _start(peaks, x, x0, reach):
    """Choose the bin, near the middle, and the row to start from."""
    away = np.abs(x - x.mean()) / max(np.ptp(x), 1.0)
    for i in np.argsort(away)[: max(len(peaks) // 3, 1)]:
        row = _nearest_maximum(peaks[i], x0[i], reach)
        if row is not None:
            return i, row
    return None


def _walk(peaks, x, x0, start, row, reach):
    """Follow the star to both sides; NaN where it is not seen."""
    x, x0 = x.tolist(), x0.tolist()
    offset = [np.nan] * len(x)
    offset[start] = row - x0[start]
    for side in (range(start + 1, len(x)), range(start - 1, -1, -1)):
        seen = [(x[start], offset[start])]
        for i in side:
            row = _nearest_maximum(peaks[i], x0[i] + _ahead(x[i], seen), reach)
            if row is not None:
                offset[i] = row - x0[i]
                seen = [*seen[-4:], (x[i], offset[i])]
    return np.array(offset)


def _ahead(x, points):
    """Continue the line through a few points; the median of where it leads from each of them."""
    mean_x = sum(p[0] for p in points) / len(points)
    mean_y = sum(p[1] for p in points) / len(points)
    square = sum((p[0] - mean_x) ** 2 for p in points)
    slope = sum((p[0] - mean_x) * (p[1] - mean_y) for p in points) / square if square > 0 else 0.0
    return sorted(p[1] + slope * (x - p[0]) for p in points)[len(points) // 2]


def _nearest_maximum(peaks, row, reach):
    """Choose the maximum that is bright and near, of those within reach."""
    best, found = -np.inf, None
    for peak, refined, log_height in peaks:
        away = peak - row
        liking = log_height - 0.5 * (away / NEAR) ** 2
        if abs(away) <= reach and liking > best:
            best, found = liking, refined
    return found
