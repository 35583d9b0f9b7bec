"""Which pixels lie along a path, and how wide is what shines there?"""

import itertools

import numpy as np
from scipy.ndimage import gaussian_filter1d

__all__ = ["cut_out", "mean_cut", "rough_width", "rough_window", "rows_around", "usual_reach"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1
ENOUGH = 1024  # columns, for a first look at the width
BENT = 0.01  # of the star's height: what rows that are to lie on a straight line may be off it


def cut_out(data, good, path, reach, columns=slice(None), dtype=None):
    """
    Cut the rows around a path out of an image, moved by whole pixels only.

    Parameters
    ----------
    data, good : `~numpy.ndarray`, shape (n_y, n_x)
        Pixels, and whether they can be used.
    path : `~numpy.ndarray`, shape (n_x,)
        Row of the star in every column.
    reach : int
        Rows on either side.
    columns : slice
        Columns to cut out.
    dtype : type or None
        Of the pixels; ``None``: as they are.

    Returns
    -------
    cut, seen, rows : `~numpy.ndarray`, shape (2 reach + 1, n_columns)
        Pixels, whether they can be used (inside the image and good), and their rows.
    """
    n_y = len(data)
    path = path[columns]
    data, good = data[:, columns], good[:, columns]
    first = np.rint(path).astype(np.intp) - reach
    size = 2 * reach + 1
    inside = first.size and first.min() >= 0 and first.max() + size <= n_y
    make = np.empty if inside else np.zeros
    cut = make((size, path.size), data.dtype if dtype is None else dtype)
    seen = make(cut.shape, bool)
    # from one step of a whole pixel to the next the rows are the same
    steps = [0, *(np.flatnonzero(np.diff(first)) + 1).tolist(), path.size]
    for left, right in itertools.pairwise(steps):
        top = int(first[left])
        low, high = max(top, 0), min(top + size, n_y)
        if low < high:
            into = slice(low - top, high - top), slice(left, right)
            cut[into], seen[into] = data[low:high, into[1]], good[low:high, into[1]]
    if not seen.all():
        cut[~seen] = 0.0
    return cut, seen, first + np.arange(size, dtype=float)[:, None]


def rows_around(path, reach, n_y):
    """Give the slice of the rows of an image of ``n_y`` that `cut_out` looks at."""
    first, last = np.rint(np.min(path)) - reach, np.rint(np.max(path)) + reach
    return slice(int(np.clip(first, 0, n_y - 1)), int(np.clip(last + 1, 1, n_y)))


def mean_cut(data, good, path, reach=40):
    """
    Give the mean cut along a path: what a row usually holds.

    Returns
    -------
    cut : `~numpy.ndarray`, shape (2 reach + 1,)
        Not a number where no pixel is seen.
    """
    some = slice(None, None, max(path.size // ENOUGH, 1))
    cut, seen, _ = cut_out(data, good, path, reach, some)
    groups = np.linspace(0, cut.shape[1], 16).astype(int)[:-1]
    count = np.add.reduceat(seen, groups, axis=1, dtype=int)
    cut = np.add.reduceat(cut, groups, axis=1) / np.maximum(count, 1)
    if not seen.all():
        cut = np.where(count > 0, cut, np.median(cut[count > 0]) if seen.any() else 0.0)
    cut = np.median(cut, axis=1)  # a hit is outvoted
    return np.where(seen.any(axis=1), cut, np.nan)


def rough_width(cut):
    """
    Guess from a mean cut how wide its star is, and how far it is alone.

    Parameters
    ----------
    cut : `~numpy.ndarray`, shape (2 reach + 1,)
        From `mean_cut`, the star in the middle.

    Returns
    -------
    width : float
        Sigma, pixels, from the narrower side.
    alone : int
        Rows on either side before something rises that is half as bright as the star.
    """
    reach = cut.size // 2
    known = np.isfinite(cut)
    cut = gaussian_filter1d(np.where(known, cut, np.median(cut[known]) if known.any() else 0), 1.0)
    sides = cut[reach::-1], cut[reach:]
    low = max(min(side.min(), np.percentile(side, 25)) for side in sides)
    half = low + 0.5 * (cut[reach - 3 : reach + 4].max() - low)
    near, far = sorted(_crossing(side, half) for side in sides)
    full = near + min(far, near + 1)  # the path is good to half a row; farther out is a neighbour
    width = np.sqrt(max((full / FWHM) ** 2 - 1.08, 0.7))  # less what filter and pixel have added
    alone = reach
    for side in sides:
        first = np.argmin(side > half)
        again = np.flatnonzero(side[first:] > half)
        if again.size:
            alone = min(alone, first + int(np.argmin(side[first : first + again[0] + 1])))
    return float(width), max(alone, 3)


def usual_reach(width):
    """Give the rows on either side that hold a star and enough sky beside it."""
    return max(7.5 * float(np.median(width)) + 3, 8)


def rough_window(cut, width):
    """
    Choose from a mean cut how many rows on either side of a star are to be looked at.

    As many as tell its width from its wings and the sky to 3 per cent of the best possible
    (Moffat profiles), if the rows beyond the `usual_reach`, which tell it to 6 per cent, lie on a
    straight line: no other star, no bent sky.

    Parameters
    ----------
    cut : `~numpy.ndarray`, shape (2 reach + 1,)
        From `mean_cut`.
    width : float
        Sigma, pixels.

    Returns
    -------
    float
    """
    usual, wide = usual_reach(width), min(11 * width + 4, cut.size // 2)
    y = np.arange(cut.size) - cut.size // 2
    beyond = np.abs(y) > usual
    beside = beyond & (np.abs(y) <= wide)
    level = cut[beside]
    if level.size < 4 or not np.isfinite(level).all():
        return usual
    bends = np.abs(cut[:-2] - 2 * cut[1:-1] + cut[2:])[beyond[1:-1]]
    noise = 1.4826 * np.nanmedian(bends) / np.sqrt(6)
    y = y[beside] - y[beside].mean()
    bent = level - level.mean() - (y @ level) / (y @ y) * y
    bent = np.abs(bent[:-1] + bent[1:]).max() / 2  # a star fills more than one row
    height = np.nanmax(cut) - level.mean()
    return wide if bent < BENT * height + 4 * noise / np.sqrt(2) else usual


def _crossing(side, half):
    """Say how far from the middle a side falls to half, between two rows."""
    k = int(np.argmin(side > half))
    if k == 0:
        return 0.5
    return k - 1 + (side[k - 1] - half) / max(side[k - 1] - side[k], 1e-30)
