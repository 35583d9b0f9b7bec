"""Which pixels cannot be trusted, and for what reason?"""

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.nddata.bitmask import BitFlagNameMap
from scipy.ndimage import maximum_filter, median_filter

__all__ = ["MaskBits", "find_dead_pixels", "find_hot_pixels", "flag_raw", "flag_where", "repair"]


class MaskBits(BitFlagNameMap):
    """
    Why a pixel is bad: the bits of ``frame.flags``, which add up.

    Examples
    --------
    >>> from slitlapse.photons import MaskBits
    >>> flags = MaskBits.saturated | MaskBits.cosmic_ray
    >>> bool(flags & MaskBits.saturated), bool(flags & MaskBits.hot)
    (True, False)
    """

    bad_section = 1 << 0, "a region the observer named"
    not_finite = 1 << 1, "NaN or infinite in the raw frame"
    saturated = 1 << 2, "raw adu at or above the saturation level"
    bleeding = 1 << 3, "next to a saturated stretch of a column"
    hot = 1 << 4, "too much signal in the dark"
    dead = 1 << 5, "too little response to light"
    nonlinear = 1 << 6, "raw adu above the linear range"
    no_sensitivity = 1 << 7, "the flat could not measure it: sensitivity 1, no reason to mask"
    cosmic_ray = 1 << 8, "hit by a particle"
    outlier = 1 << 9, "unlike itself in other frames"
    bad_calibration = 1 << 10, "bad in a master bias, dark or flat"
    gap = 1 << 11, "between two detectors, where there is no pixel"


def flag_raw(ccd, *, saturation=None, linear=None, bad_sections=(), bleed_length=5, bleed_axis=0):
    """
    Flag what the raw frame alone can tell, before anything is subtracted from it.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`, shape (n_y, n_x)
        A raw frame in adu.
    saturation, linear : float or `~astropy.units.Quantity`, optional
        Raw adu at and above which a pixel is saturated, and above which it is not linear.
    bad_sections : sequence of str or tuple of slice
        Regions of the raw frame, FITS sections ``"[x1:x2,y1:y2]"`` or slices ``(y, x)``.
    bleed_length : int
        A run of that many saturated pixels along a column is bleeding: the two pixels beyond
        either end and the neighbouring columns are flagged with it.
    bleed_axis : int
        Axis along which charge is moved to the amplifier: 0 (columns) or 1 (rows).

    Returns
    -------
    `~astropy.nddata.CCDData`
        The same data, with ``flags`` (uint16, see `MaskBits`) and ``mask``; earlier ones are kept.

    Raises
    ------
    ~astropy.units.UnitTypeError
        If the frame is not in adu.
    ValueError
        If a section cannot be read or lies outside the frame.
    """
    if ccd.unit != u.adu:
        raise u.UnitTypeError(
            f"Saturation is judged on raw adu, but the frame is in {ccd.unit}: flag it first."
        )
    flags = np.zeros(ccd.data.shape, np.uint16) if ccd.flags is None else ccd.flags.copy()
    for section in bad_sections:
        flags[_as_slices(section, ccd.data.shape)] |= np.uint16(MaskBits.bad_section)
    if ccd.data.dtype.kind == "f":
        flags[~np.isfinite(ccd.data)] |= np.uint16(MaskBits.not_finite)
    if linear is not None:
        flags[ccd.data > u.Quantity(linear, u.adu).value] |= np.uint16(MaskBits.nonlinear)
    if saturation is not None:
        saturated = ccd.data >= u.Quantity(saturation, u.adu).value
        if saturated.any():
            flags[saturated] |= np.uint16(MaskBits.saturated)
            flags[_bleeding(saturated, bleed_length, bleed_axis)] |= np.uint16(MaskBits.bleeding)
    return _with_flags(ccd, flags)


def flag_where(ccd, bad, reason):
    """
    Add one reason to the flags of some pixels, and mask them.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`, shape (n_y, n_x)
    bad : bool `~numpy.ndarray`, shape (n_y, n_x)
    reason : str
        A name in `MaskBits`, such as ``"hot"``.

    Returns
    -------
    `~astropy.nddata.CCDData`
    """
    flags = np.zeros(ccd.data.shape, np.uint16) if ccd.flags is None else ccd.flags.copy()
    flags[bad] |= np.uint16(MaskBits[reason])
    return _with_flags(ccd, flags)


def find_hot_pixels(dark, *, sigma=6.0, box=None):
    """
    Find pixels that stand out in a dark or a bias.

    Parameters
    ----------
    dark : `~astropy.nddata.CCDData`, shape (n_y, n_x)
        A master dark or bias. With an uncertainty, that and the robust scatter of all pixels,
        whichever is larger, says what stands out; else the scatter alone.
    sigma : float
        How far above their surroundings hot pixels are.
    box : int, optional
        Compare with the median of a box of this size instead of that of the whole frame.

    Returns
    -------
    bool `~numpy.ndarray`, shape (n_y, n_x)
    """
    values = np.asarray(dark.data, float)
    good = np.isfinite(values) if dark.mask is None else np.isfinite(values) & ~dark.mask
    centre = np.median(values[good])
    if box is not None:
        centre = median_filter(np.where(good, values, centre), box)
    scatter = 1.4826 * np.median(np.abs(values - centre)[good])
    if dark.uncertainty is not None:
        scatter = np.maximum(scatter, dark.uncertainty.array)
    return good & (values - centre > sigma * scatter)


def find_dead_pixels(flat, *, threshold=0.5, box=15, minimum=None):
    """
    Find pixels that answer light with less than half of what their surroundings do.

    Parameters
    ----------
    flat : `~astropy.nddata.CCDData`, shape (n_y, n_x)
        A combined flat.
    threshold : float
        Fraction of the median of a box along the row around it below which a pixel is dead.
        The box is along the row so that the edges of a slit do not look dead.
    box : int
        Its size in pixels.
    minimum : float, optional
        Surroundings with less signal than this are not judged; default: a tenth of the
        95th percentile of the frame.

    Returns
    -------
    bool `~numpy.ndarray`, shape (n_y, n_x)
    """
    values = np.nan_to_num(np.asarray(flat.data, float))
    minimum = 0.1 * np.percentile(values, 95) if minimum is None else minimum
    wide = (3, 2 * box + 1)
    # A median is no larger than the largest: only where that one could condemn a pixel, and
    # these are few, are medians worth their time.
    largest = maximum_filter(values, wide)
    y, x = np.nonzero((largest > minimum) & (values < threshold * largest))
    # a whole dead column is judged against its neighbours, not against itself
    around = np.maximum(_medians_at(values, y, x, (1, box)), _medians_at(values, y, x, wide))
    dead = np.zeros(values.shape, bool)
    dead[y, x] = (around > minimum) & (values[y, x] < threshold * around)
    return dead


def repair(ccd, *, box=5):
    """
    Fill masked pixels with the median of good neighbours, for pictures only.

    Nothing that measures should see the result: a filled pixel holds no information. The mask
    and flags stay, and the header says ``REPAIRED = True``.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`, shape (n_y, n_x)
    box : int
        Size of the neighbourhood, an odd number of pixels; it grows where all are bad.

    Returns
    -------
    `~astropy.nddata.CCDData`
    """
    values = np.array(ccd.data, float)
    bad = ~np.isfinite(values) if ccd.mask is None else ccd.mask | ~np.isfinite(values)
    values[bad] = np.nan
    filled, (y, x) = values.copy(), np.nonzero(bad)
    while len(y) and box < 2 * max(values.shape):
        filled[y, x] = _medians_at(values, y, x, (box, box))
        left = np.isnan(filled[y, x])
        y, x, box = y[left], x[left], 2 * box + 1
    filled[y, x] = 0
    result = _with_flags(ccd, ccd.flags)
    result.data = filled
    result.mask = ccd.mask
    result.meta["REPAIRED"] = True
    return result


def _bleeding(saturated, length, axis):
    """Neighbours of saturated runs of at least ``length`` pixels along ``axis``."""
    columns = saturated if axis == 0 else saturated.T
    padded = np.pad(columns, ((1, 1), (0, 0))).astype(np.int8)
    step = np.diff(padded, axis=0).T  # by column: +1 where a run starts, -1 one past its end
    (x, low), high = np.nonzero(step == 1), np.nonzero(step == -1)[1]
    bleeding = np.zeros_like(columns)
    for i in np.flatnonzero(high - low >= length):
        bleeding[max(low[i] - 2, 0) : high[i] + 2, max(x[i] - 1, 0) : x[i] + 2] = True
    return bleeding if axis == 0 else bleeding.T


def _medians_at(values, y, x, size):
    """Median of a box around some pixels; the frame is mirrored at its edges, NaN is left out."""
    before = [n // 2 for n in size]
    padded = np.pad(
        values, [(m, n - 1 - m) for m, n in zip(before, size, strict=True)], "symmetric"
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)
    medians, chunk = np.empty(len(y)), max(1, 2**21 // (size[0] * size[1]))
    for start in range(0, len(y), chunk):
        part = slice(start, start + chunk)
        ordered = np.sort(windows[y[part], x[part]].reshape(len(y[part]), -1), axis=1)
        count = np.isfinite(ordered).sum(axis=1)  # NaN is sorted to the end
        medians[part] = np.take_along_axis(ordered, count[:, None] // 2, axis=1)[:, 0]
    return medians


def _as_slices(section, shape):
    """Slices (y, x) of a FITS section."""
    if isinstance(section, str):
        parts = section.strip().strip("[]").replace(":", ",").split(",")
        if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
            raise ValueError(f"The bad section {section!r} is not like '[480:721,1:440]'.")
        x1, x2, y1, y2 = map(int, parts)
        section = slice(y1 - 1, y2), slice(x1 - 1, x2)
    for s, n in zip(section, shape, strict=True):
        if not 0 <= s.start < s.stop <= n:
            raise ValueError(
                f"The bad section {section} does not lie in the frame of {shape} pixels (y, x)."
            )
    return section


def _with_flags(ccd, flags):
    """Shallow copy of a frame with other flags; what they say is masked, bar 'no_sensitivity'."""
    mask = ccd.mask
    if flags is not None:
        flagged = (flags & ~np.uint16(MaskBits.no_sensitivity)) != 0
        mask = flagged if mask is None else mask | flagged
    result = CCDData(
        ccd.data, unit=ccd.unit, mask=mask, uncertainty=ccd.uncertainty, meta=ccd.meta.copy()
    )
    result.flags = flags
    return result
