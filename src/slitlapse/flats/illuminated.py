"""Which pixels does the slit light?"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

__all__ = ["IlluminatedRegion", "find_illuminated"]


@dataclass(frozen=True)
class IlluminatedRegion:
    """
    The region that one slit or several light, between edges that may slope and curve.

    Parameters
    ----------
    lower, upper : float `~numpy.ndarray`, shape (n_slits, n_x)
        Position of both edges along the slit, in pixels (pixel i spans i - 0.5 to i + 0.5), in
        every column; slits from low to high.
    n_y : int
        Rows of the frame.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.flats import IlluminatedRegion
    >>> region = IlluminatedRegion(np.full((1, 4), 1.5), np.full((1, 4), 3.5), n_y=6)
    >>> region.mask[:, 0]
    array([False, False,  True,  True, False, False])
    """

    lower: np.ndarray
    upper: np.ndarray
    n_y: int

    @property
    def n_slits(self):
        """How many slits there are."""
        return len(self.lower)

    @property
    def mask(self):
        """True where lit, bool `~numpy.ndarray` of shape (n_y, n_x)."""
        return self.slit_number >= 0

    @property
    def slit_number(self):
        """0 for the first slit, 1 for the second, ..., -1 in the dark; shape (n_y, n_x)."""
        rows = np.arange(self.n_y)[:, None]
        number = np.full((self.n_y, self.lower.shape[1]), -1, np.int16)
        for i, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            # only pixels that are lit all over
            number[(rows - 0.5 >= low) & (rows + 0.5 <= high)] = i
        return number

    def shrink(self, pixels):
        """Return a region whose edges are moved inward by ``pixels`` (outward if negative)."""
        return IlluminatedRegion(self.lower + pixels, self.upper - pixels, self.n_y)

    def plot(self, ax=None, **kwargs):
        """Draw the edges over a picture of a flat; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        for edge in (*self.lower, *self.upper):
            ax.plot(np.arange(len(edge)), edge, **{"color": "C3", "lw": 1, **kwargs})
        return ax


def find_illuminated(
    flat, *, threshold=0.5, min_height=10, degree=2, n_cuts=32, min_signal=None, margin=2.0
):
    """
    Find the lit region of a flat: rows above a fraction of the light around them.

    The flat is cut into pieces along the dispersion; in each, the median cut across the slit is
    compared with ``threshold`` times its own bright level, and the crossings are found between
    pixels. Straight or curved lines through the crossings of all cuts, fitted with outliers
    rejected, are the edges.

    Parameters
    ----------
    flat : `~astropy.nddata.CCDData` or array, shape (n_y, n_x)
        A flat, dispersion along axis 1, its bias subtracted.
    threshold : float
        Fraction of the bright level (90th percentile of the cut) that is the edge.
    min_height : int
        Lit stretches with fewer rows are not a slit, dark ones with fewer do not divide one.
    degree : int
        Of the polynomials through the edges: 1 for sloped, 2 for curved ones.
    n_cuts : int
        Pieces along the dispersion.
    min_signal : float, optional
        Cuts with a lower bright level are not used; default: five times the scatter of the
        dark rows, or a hundredth of the brightest cut, whichever is more.
    margin : float
        By how many pixels edges are moved inward, because they are not sharp.

    Returns
    -------
    IlluminatedRegion

    Raises
    ------
    ValueError
        If no light is found.
    """
    image = np.asarray(flat.data if hasattr(flat, "mask") else flat)
    mask = getattr(flat, "mask", None)
    mask = mask if np.ndim(mask) else np.zeros((1, image.shape[1]), bool)
    n_y, n_x = image.shape
    pieces = np.array_split(np.arange(n_x), min(n_cuts, n_x))
    x = np.array([piece.mean() for piece in pieces])
    cuts = np.array([_median_cut(np.where(mask[:, p], np.nan, image[:, p])) for p in pieces])
    bright = np.nanpercentile(cuts, 90, axis=1)
    if min_signal is None:
        noise = 1.4826 * np.nanmedian(np.abs(np.diff(cuts, axis=1))) / np.sqrt(2)
        min_signal = max(5 * noise, 0.01 * np.nanmax(bright))
    used = np.flatnonzero(bright > min_signal)
    if len(used) == 0 or not np.nanmax(bright) > 0:
        raise ValueError(
            f"No light was found on the flat: its brightest cut has {np.nanmax(bright):.3g}. "
            "Is it a flat, and is its bias subtracted?"
        )
    found = [_edges(cuts[i], threshold * bright[i], min_height) for i in used]
    n_slits = int(np.median([len(edges) for edges in found]))
    if n_slits == 0:
        raise ValueError(
            f"No stretch of at least {min_height} lit rows was found; lower min_height."
        )
    same = [i for i, edges in enumerate(found) if len(edges) == n_slits]
    edges = np.array([found[i] for i in same])  # (n_used, n_slits, 2)
    where = x[used[same]]
    lines = np.empty((n_slits, 2, n_x))
    for slit in range(n_slits):
        for side in (0, 1):
            lines[slit, side] = _robust_line(where, edges[:, slit, side], degree, n_x)
    low, high = lines[:, 0] + margin, lines[:, 1] - margin
    # at the border of the detector there is no edge: the light goes on
    low = np.where(lines[:, 0] <= -0.4, -0.5, low)
    high = np.where(lines[:, 1] >= n_y - 0.6, n_y - 0.5, high)
    return IlluminatedRegion(low, high, n_y)


def _median_cut(piece):
    """Median along the dispersion, NaN filled from the rows around."""
    cut = np.full(len(piece), np.nan)
    some = np.isfinite(piece).any(axis=1)
    cut[some] = np.nanmedian(piece[some], axis=1)
    rows = np.arange(len(cut))
    return np.interp(rows, rows[some], cut[some]) if some.any() else cut


def _edges(cut, level, min_height):
    """Pairs of positions where a cut crosses ``level``, up and down."""
    lit = median_filter(cut, 3, mode="nearest") > level
    lit = _drop_short(lit, min_height, value=False)
    lit = _drop_short(lit, min_height, value=True)
    step = np.diff(np.concatenate([[False], lit, [False]]).astype(int))
    pairs = []
    for low, high in zip(np.flatnonzero(step == 1), np.flatnonzero(step == -1), strict=True):
        pairs.append((_crossing(cut, low - 1, level), _crossing(cut, high - 1, level)))
    return pairs


def _drop_short(lit, length, value):
    """Flip runs of ``value`` shorter than ``length``, unless they touch the border."""
    out = lit.copy()
    is_value = np.concatenate([[False], lit == value, [False]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(is_value) == 1), np.flatnonzero(np.diff(is_value) == -1)
    for low, high in zip(starts, ends, strict=True):
        inside = low > 0 and high < len(lit)
        if high - low < length and (inside or value):
            out[low:high] = not value
    return out


def _crossing(cut, i, level):
    """Where the cut crosses ``level`` between pixels i and i + 1; the border if outside."""
    if i < 0:
        return -0.5
    if i + 1 >= len(cut):
        return len(cut) - 0.5
    step = cut[i + 1] - cut[i]
    return i + (np.clip((level - cut[i]) / step, 0, 1) if step else 0.5)


def _robust_line(x, y, degree, n_x):
    """Polynomial through (x, y), evaluated in every column; outliers rejected."""
    scaled, grid = 2 * x / n_x - 1, 2 * np.arange(n_x) / n_x - 1
    good = np.ones(len(x), bool)
    for _ in range(5):
        degree = min(degree, max(good.sum() - 2, 0))
        fit = np.polynomial.polynomial.polyfit(scaled[good], y[good], degree)
        residual = np.abs(y - np.polynomial.polynomial.polyval(scaled, fit))
        good = residual <= 4 * 1.4826 * np.median(residual[good]) + 0.1
    return np.polynomial.polynomial.polyval(grid, fit)
