"""Which stars are on the slit, and in which rows?"""

import numpy as np
from astropy import units as u
from astropy.table import QTable
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.signal import find_peaks

__all__ = ["find_stars"]

FWHM = np.sqrt(8 * np.log(2))
N_SEGMENTS, N_GROUPS = 16, 5
WIDEST, STEP = 300, 6  # rows: of the search for a strong bow


def find_stars(image, *, mask=None, columns=None, n_stars=None, threshold=5.0, max_tilt=40):
    """
    Find stars on a cut across the slit.

    Columns are averaged in segments so that a hit by a cosmic ray is outvoted, and the segments
    are moved by the tilt common to all stars that makes them stand out best before they are
    added. What is smooth along the slit (sky, gradients, the edges of the slit) is removed with a
    running median; a row that stands out alone is a hot row and not a star.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        Image with dispersion along axis 1; the sky may still be in it.
    mask : array-like of bool, shape (n_y, n_x), or None
        Pixels to leave out (``True``), in addition to the image's own mask and to NaN.
    columns : slice, (int, int) or None
        Columns to use; the positions hold in the middle of them. ``None``: all.
    n_stars : int or None
        How many stars to return at most, the brightest first.
    threshold : float
        Least significance (flux over its uncertainty).
    max_tilt : float
        How far, in rows, a star may move over the columns used. Where there is no such star, one
        is looked for that moves and bows by up to 300 rows.

    Returns
    -------
    `~astropy.table.QTable`
        One row per star, the brightest first: ``position`` and ``position_uncertainty`` (pix, at
        the middle of ``columns``), ``flux`` (mean per column, unit of the image, electron where it
        has none), ``fwhm`` (pix), ``significance``. Empty where there is none. ``meta``
        holds the ``cut`` itself, its ``cut_uncertainty``, the ``smooth`` part that was removed, the
        ``column`` in the middle, and the ``movement`` in rows of each of the segments.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.trace import find_stars
    >>> rows = np.arange(80)[:, None]
    >>> star = 300 * np.exp(-0.5 * ((rows - 31.2) / 2) ** 2)
    >>> image = np.random.default_rng(0).normal(50 + star, 5, (80, 500))
    >>> print(find_stars(image)["position"].round(1))
    [31.2] pix
    """
    data, good, unit = _parse(image, mask)
    data, good, middle = _choose(data, good, columns)
    cuts = _segments(data, good)
    found, meta, beyond = _find(cuts, threshold, max_tilt, wide=False)
    if not found or beyond:
        wide = _find(cuts, threshold, max_tilt, wide=True)
        found, meta = wide[:2] if wide[0] else (found, meta)
    columns_out = np.array(found[:n_stars], float).reshape(-1, 5).T
    names = ["position", "position_uncertainty", "flux", "fwhm", "significance"]
    units = [u.pix, u.pix, unit, u.pix, u.dimensionless_unscaled]
    table = QTable([c * n for c, n in zip(columns_out, units, strict=True)], names=names)
    table.meta.update(column=middle, **meta)
    return table


def _find(cuts, threshold, max_tilt, wide):
    """Add up the segments and measure what stands out, the brightest first."""
    cut, error, inner, movement, beyond = _add_up(cuts, max_tilt, wide)
    smooth = _running_median(cut)
    rows, noise = _detect(cut - smooth, error, threshold)
    flat = cut - smooth, inner - _running_median(inner)
    found = [_measure(*flat, noise, row, [r for r in rows if r != row]) for row in rows]
    step = [abs(np.diff(smooth[np.clip([r - 10, r + 10], 0, cut.size - 1)])[0]) for r in rows]
    found = [f for f, r, s in zip(found, rows, step, strict=True) if cut[r] - smooth[r] > 0.1 * s]
    found = [f for f in found if f[4] > threshold and 0 <= f[0] <= cut.size - 1]
    found = [f for f in found if np.isfinite(error[round(f[0])])]  # not where nothing was seen
    meta = {"movement": movement, "cut": cut, "cut_uncertainty": error, "smooth": smooth}
    return sorted(found, key=lambda f: -f[2]), meta, beyond


def _parse(image, mask):
    """Take data, good pixels and unit out of what came in."""
    unit = getattr(image, "unit", None)
    data = image.value if isinstance(image, u.Quantity) else image
    data = np.asarray(data if isinstance(data, np.ndarray) else data.data, dtype=float)
    if data.ndim != 2:
        raise ValueError(f"The image must have 2 dimensions, but has {data.ndim}.")
    good = np.isfinite(data)
    for bad in (getattr(image, "mask", None), mask):
        if bad is not None and np.shape(bad) not in ((), data.shape):
            raise ValueError(f"The mask has shape {np.shape(bad)}, the image {data.shape}.")
        if bad is not None:
            good &= ~np.asarray(bad, bool)
    return np.where(good, data, 0), good, u.electron if unit is None else unit


def _choose(data, good, columns):
    """Keep the columns asked for; also give the column in their middle."""
    if columns is not None and not isinstance(columns, slice):
        columns = slice(*columns)
    start, stop, _ = (columns or slice(None)).indices(data.shape[1])
    if stop - start < 1:
        raise ValueError(
            f"columns {start} to {stop} hold nothing of an image with {data.shape[1]} columns."
        )
    return data[:, start:stop], good[:, start:stop], 0.5 * (start + stop - 1)


def _segments(data, good):
    """Average the columns of many short groups: shape (n_y, n_segments, n_groups)."""
    n_y, n_x = data.shape
    segments = max(min(N_SEGMENTS, n_x // N_GROUPS), 1)
    groups = N_GROUPS if n_x >= N_GROUPS else 1
    starts = np.linspace(0, n_x, segments * groups + 1).astype(int)[:-1]
    seen = np.add.reduceat(good.astype(np.int32), starts, axis=1)
    mean = np.add.reduceat(data, starts, axis=1) / np.maximum(seen, 1)
    mean[seen == 0] = np.nan
    return mean.reshape(n_y, segments, groups)


def _add_up(cuts, max_tilt, wide):
    """Move the segments by the tilt that makes the cut sharpest and average them robustly."""
    n_y, segments, _ = cuts.shape
    with np.errstate(invalid="ignore"):
        sky = _median(cuts.reshape(n_y, -1), axis=0).reshape(1, segments, -1)
        cuts = cuts - sky  # lines and continuum of the sky, roughly
    one = _median(cuts, axis=2)
    flat = one - median_filter(np.nan_to_num(one), (min(41, n_y), 1), mode="nearest")
    noise = 1.4826 * _median(np.abs(flat), axis=0) + 1e-12
    weight = np.clip(gaussian_filter1d(np.nan_to_num(flat / noise), 1.5, axis=0), -3, 30)
    shifts, beyond = _align(weight, max_tilt, wide)
    index = np.arange(n_y)[:, None] + np.rint(shifts).astype(int)
    inside = (index >= 0) & (index < n_y)
    moved = np.take_along_axis(cuts, np.clip(index, 0, n_y - 1)[:, :, None], axis=0)
    moved = np.where(inside[:, :, None], moved, np.nan)
    moved = moved.reshape(n_y, -1)
    far = np.abs(moved - _median(moved, axis=1)[:, None])
    with np.errstate(invalid="ignore"):
        moved[far > 8 * _median(far, axis=1)[:, None]] = np.nan  # hits, 5 sigma
    n_used = np.maximum(np.isfinite(moved).sum(axis=1), 1)
    steps = np.abs(np.diff(moved, axis=1))
    error = 1.4826 * _median(steps, axis=1) / np.sqrt(2 * n_used)
    known = np.flatnonzero(np.isfinite(moved).any(axis=1))
    cut = np.nansum(moved, axis=1) / n_used
    cut = np.interp(np.arange(n_y), known, cut[known]) if known.size else cut
    n = moved.shape[1] // 4  # the middle half: what a wrong bow hardly moves
    few = np.maximum(np.isfinite(moved[:, n : 3 * n]).sum(axis=1), 1)
    inner = np.nansum(moved[:, n : 3 * n], axis=1) / few if n > 0 else cut
    inner = np.where(np.isfinite(moved[:, n : 3 * n]).any(axis=1), inner, cut)
    return cut, np.where(np.isfinite(error) & (error > 0), error, np.inf), inner, shifts, beyond


def _align(weight, max_tilt, wide):
    """Find the straight, then the bowed movement of the segments that adds up sharpest."""
    n_y, segments = weight.shape
    place = (np.arange(segments) + 0.5) / segments - 0.5
    rows = np.arange(n_y)[:, None]

    # a wide search must not gain by what the last rows would say beyond the frame
    end = np.zeros_like(weight[:1]) if wide else weight[-1:]
    start = np.zeros_like(weight[:1]) if wide else weight[:1]
    tilt, bow, far = 0, 0, int(max_tilt)

    def sharpness(tilt, bow, weight=weight):
        index = rows + np.rint(tilt * place + 4 * bow * place**2).astype(int)
        framed = np.concatenate([start, weight, end])
        total = np.take_along_axis(framed, np.clip(index + 1, 0, n_y + 1), axis=0).sum(axis=1)
        return (np.maximum(total, 0) ** 2).sum() * (1 - 1e-6 * (abs(tilt) + abs(bow)))

    if wide:  # every tilt with every bow, in steps, of blurred segments
        blurred = gaussian_filter1d(weight, STEP / 2, axis=0)
        grid = np.arange(-min(n_y, WIDEST), min(n_y, WIDEST) + 1, STEP)
        pairs = [(t, b) for t in grid for b in grid[np.abs(grid) <= grid[-1] / 2]]
        tilt, bow = max(pairs, key=lambda pair: sharpness(*pair, blurred))
        far = STEP
    for _ in range(2):
        tilt = max(np.arange(tilt - far, tilt + far + 0.5), key=lambda t: sharpness(t, bow))
        bow = max(bow + 0.5 * np.arange(-far, far + 0.5), key=lambda b: sharpness(tilt, b))
    return tilt * place + 4 * bow * place**2, max(abs(tilt), 2 * abs(bow)) >= max_tilt


def _median(values, axis):
    """Median without NaN; NaN (and no complaint) where nothing is left."""
    values = np.sort(values, axis=axis)  # NaN goes last
    count = np.isfinite(values).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(values, np.maximum(count - 1, 0) // 2, axis)
    high = np.take_along_axis(values, np.minimum(count // 2, np.maximum(count - 1, 0)), axis)
    return np.squeeze(0.5 * (low + high), axis=axis)


def _detect(cut, error, threshold):
    """Give the rows of local maxima that stand out, on three scales, without hot rows."""
    finite = np.isfinite(error)
    error = np.where(finite, error, np.median(error[finite]) if finite.any() else np.inf)
    scatter = 1.4826 * np.median(np.abs(cut))
    more = max(scatter**2 - np.median(error) ** 2, 0) if finite.any() else 0  # flat-field rests
    noise = np.sqrt(error**2 + more)
    rows = []
    alone = median_filter(cut, 3, mode="nearest")
    peaked = np.where(cut - alone > 6 * noise + 1.5 * np.abs(alone), alone, cut)  # hot rows
    for width in (1.0, 2.0, 4.0):
        smooth = gaussian_filter1d(peaked, width, mode="nearest")
        snr = smooth / (np.sqrt(gaussian_filter1d(noise**2, width)) / np.sqrt(3.545 * width))
        for row in find_peaks(np.pad(snr, 1), height=threshold, prominence=threshold)[0] - 1:
            if all(abs(row - other) > 3 * width for other in rows):
                rows.append(int(row))
    return _without_ripples(gaussian_filter1d(peaked, 1.0, mode="nearest"), rows), noise


def _without_ripples(cut, rows):
    """Drop maxima in the wings of a brighter star that are not worth 2 per cent of its peak."""
    kept = []
    for row in sorted(rows, key=lambda r: -cut[r]):
        dips = [cut[row] - cut[min(row, o) : max(row, o) + 1].min() for o in kept]
        if all(dip > 0.02 * cut[o] or abs(row - o) > 40 for dip, o in zip(dips, kept, strict=True)):
            kept.append(row)
    return kept


def _running_median(cut):
    """Smooth part of a cut: running median; beyond the ends it goes on level."""
    size = min(41, max(cut.size // 2 * 2 - 1, 1))
    half = size // 2
    ends = np.median(cut[:size]), np.median(cut[-size:])
    return median_filter(np.pad(cut, half, constant_values=ends), size)[half : half + cut.size]


def _measure(cut, inner, error, row, others):
    """Measure position, flux, width and significance of the star that peaks at ``row``."""
    n_y = cut.size
    gap = min([abs(row - o) for o in others], default=n_y)
    fine = np.interp(np.arange(0, n_y - 1, 0.1), np.arange(n_y), cut)
    i = min(10 * row, fine.size - 1)
    below = fine < cut[row] / 2
    left = np.argmax(below[i::-1]) if below[: i + 1].any() else None
    right = np.argmax(below[i:]) if below[i:].any() else None
    # at the edge of the frame one side tells for both
    whole = fine.size if left is None and right is None else None
    left, right = (
        next(side for side in sides if side is not None)
        for sides in ((left, right, whole), (right, left, whole))
    )
    fwhm = np.clip(0.1 * min(left + right, 2 * min(left, right) + 20), 1.0, max(2.0 * gap, 1.0))
    reach = int(np.ceil(np.clip(1.2 * fwhm, 2, max(0.5 * gap, 2))))
    part = slice(max(row - reach, 0), row + reach + 1)
    rows = np.arange(n_y)[part]
    noise = error[part][np.isfinite(error[part])]
    noise = np.median(noise) if noise.size else np.inf
    center, matched = _fit_peak(cut[part], rows, float(row), fwhm / FWHM)
    flux, significance = cut[part].sum(), matched / noise
    if significance > 20:
        center = _fit_peak(inner[part], rows, center, fwhm / FWHM)[0]
        noise = np.sqrt(2) * noise
    uncertainty = fwhm / FWHM * np.sqrt(2) * noise / max(matched, 1e-9 * noise)
    return center, uncertainty, flux, fwhm, significance


def _fit_peak(cut, rows, center, sigma):
    """Fit centre and height of a Gaussian of known width; also give height over unit noise."""
    start = center
    for _ in range(20):
        t = (rows - center) / sigma
        shape = np.exp(-0.5 * t**2)
        norm = np.sqrt((shape**2).sum())
        height = (shape * cut).sum() / norm**2
        if height <= 0:
            break
        step = (t * shape * (cut - height * shape)).sum() / (height * (t * shape) @ (t * shape))
        center = np.clip(
            center + np.clip(step, -1, 1) * sigma, start - 2 * sigma, start + 2 * sigma
        )
    return float(center), float(height * norm)
