"""Which pixels lie along a path, and how wide is what shines there?"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

__all__ = ["cut_out", "rough_width", "rows_around"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1
ENOUGH = 2048  # columns, for a first look at the width


def cut_out(data, good, path, reach, columns=slice(None)):
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

    Returns
    -------
    cut, seen, rows : `~numpy.ndarray`, shape (2 reach + 1, n_columns)
        Pixels, whether they can be used (inside the image and good), and their rows.
    """
    n_y, n_x = data.shape
    x = np.arange(n_x)[columns]
    rows = np.rint(path[x]).astype(np.intp) + np.arange(-reach, reach + 1)[:, None]
    flat = np.clip(rows, 0, n_y - 1) * n_x + x
    seen = good.ravel().take(flat)
    if rows[0].min() < 0 or rows[-1].max() >= n_y:
        seen &= (rows >= 0) & (rows < n_y)
    cut = data.ravel().take(flat)
    if not seen.all():
        cut[~seen] = 0.0
    return cut, seen, rows.astype(float)


def rows_around(path, reach, n_y):
    """Give the slice of the rows of an image of ``n_y`` that `cut_out` looks at."""
    first, last = np.rint(np.min(path)) - reach, np.rint(np.max(path)) + reach
    return slice(int(np.clip(first, 0, n_y - 1)), int(np.clip(last + 1, 1, n_y)))


def rough_width(data, good, path, reach=25):
    """
    Guess from the mean cut along a path how wide its star is, and how far it is alone.

    Returns
    -------
    width : float
        Sigma, pixels, from the narrower side.
    alone : int
        Rows on either side before something rises that is half as bright as the star.
    """
    some = slice(None, None, max(path.size // ENOUGH, 1))
    cut, seen, _ = cut_out(data, good, path, reach, some)
    groups = np.linspace(0, cut.shape[1], 16).astype(int)[:-1]
    count = np.add.reduceat(seen.astype(int), groups, axis=1)
    cut = np.add.reduceat(cut, groups, axis=1) / np.maximum(count, 1)
    cut = np.where(count > 0, cut, np.median(cut[count > 0]) if seen.any() else 0.0)
    cut = gaussian_filter1d(np.median(cut, axis=1), 1.0)  # a hit is outvoted
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


def _crossing(side, half):
    """Say how far from the middle a side falls to half, between two rows."""
    k = int(np.argmin(side > half))
    if k == 0:
        return 0.5
    return k - 1 + (side[k - 1] - half) / max(side[k - 1] - side[k], 1e-30)
