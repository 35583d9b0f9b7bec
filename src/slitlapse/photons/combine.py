"""What do many frames of the same thing agree on? One master frame, in bounded memory."""

from functools import lru_cache
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

__all__ = ["combine_frames"]

BLOCK = 2**14  # pixels handled at a time, so that all frames' values fit the cache


def combine_frames(
    frames,
    *,
    method="mean",
    sigma=5.0,
    scale=None,
    alike=None,
    max_rejected=0.2,
    unit=None,
    memory_limit=5e8,
    hdu=0,
):
    """
    Combine frames pixel by pixel, rejecting outliers.

    Parameters
    ----------
    frames : sequence of `~astropy.nddata.CCDData`, path or callable
        Frames of one size and unit. A path is a FITS file; a callable takes no argument and
        returns a `~astropy.nddata.CCDData` (it may be called more than once).
    method : {"mean", "median"}
        "mean" of what is left after rejection, or "median" (of the same).
    sigma : float or None
        Values farther from the pixel's median than this many standard deviations are rejected.
        The standard deviation is the one frames agree on at that signal (see Notes).
    scale : callable, optional
        Frames are divided by ``scale(data)`` over the mean of it over all frames: for flats
        under a lamp that drifts, `numpy.nanmedian`.
    alike : dict, optional
        Header keywords that must agree, and by how much numbers may differ from the first
        frame's: ``{"EXPTIME": 0, "CCDTEMP": 1.0, "LAMP": 0}``.
    max_rejected : float or None
        A frame that disagrees with the others (or is masked where they are not) in a larger
        part of its pixels is of something else: another lamp, another exposure time, saturated.
        `None`: do not ask.
    unit : unit, optional
        Of paths whose header has no BUNIT.
    memory_limit : float
        Bytes that may be held at a time.
    hdu : int or str
        Of paths.

    Returns
    -------
    `~astropy.nddata.CCDData`
        With the uncertainty of the mean, or of the median, which is larger by up to 1.2533.
        Masked where no frame has a good value. ``meta`` is that of the first frame plus
        ``NCOMBINE``, ``COMBINED`` (the method) and ``NREJECT``.

    Raises
    ------
    ValueError
        If there is no frame, if sizes, units, gains or ``alike`` keywords differ, or if one
        frame is not like the others.

    Notes
    -----
    With the frames' own uncertainties, the noise of a pixel is their median over the frames
    (which a hit does not move). Without, it is found from the frames: their scatter, pooled
    over pixels of similar signal, because the scatter of a few values alone is too uncertain to
    reject by.
    """
    frames = list(frames)
    if not frames:
        raise ValueError("There is no frame to combine: the list is empty.")
    if method not in ("mean", "median"):
        raise ValueError(f"The method is {method!r}; it must be 'mean' or 'median'.")
    sources = [_Source(frame, unit, hdu) for frame in frames]
    first = sources[0]
    for number, source in enumerate(sources):
        _check_alike(first, source, number)
        _check_keywords(first, source, number, {} if alike is None else alike)
    scales = _scales(sources, scale)
    shape = first.shape
    data, error = np.empty(shape, np.float32), np.empty(shape, np.float32)
    count = np.empty(shape, np.int32)
    per_row = shape[1] * len(sources) * (4 + 4 * first.has_uncertainty)
    rows = max(1, min(shape[0], int(memory_limit / per_row)))
    rejected = np.zeros(len(sources), np.int64)
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        stack, sigmas = _read_stack(sources, part, scales)
        data[part], error[part], count[part], lost = _combine_stack(stack, sigmas, method, sigma)
        rejected += lost
    if max_rejected is not None and len(sources) > 2:
        _check_odd_one(rejected / data.size, max_rejected)
    mask = count == 0
    meta = first.meta
    meta["NCOMBINE"] = len(sources)
    meta["COMBINED"] = method
    meta["NREJECT"] = int(len(sources) * mask.size - count.sum(dtype=np.int64))
    data[mask] = np.nan
    return CCDData(
        data, unit=first.unit, mask=mask, uncertainty=StdDevUncertainty(error), meta=meta
    )


class _Source:
    """One frame, wherever it is, read by rows."""

    def __init__(self, frame, unit, hdu):
        self.frame, self.hdu = frame, hdu
        self.is_path = isinstance(frame, (str, Path))
        if self.is_path:
            self._open(unit)
            return
        ccd = frame if isinstance(frame, CCDData) else frame()
        self.shape, self.unit, self.meta = ccd.data.shape, ccd.unit, ccd.meta.copy()
        self.has_uncertainty = ccd.uncertainty is not None

    def _open(self, unit):
        """Look at a file's header only."""
        with fits.open(self.frame) as hdus:
            self.meta, self.shape = hdus[self.hdu].header.copy(), hdus[self.hdu].shape
            self.extensions = {hdu.name for hdu in hdus} & {"MASK", "UNCERT"}
        unit = self.meta.get("BUNIT") if unit is None else unit
        if unit is None:
            raise ValueError(f"{self.frame} has no card BUNIT: say which unit its pixels have.")
        self.unit = u.Unit(unit)
        self.has_uncertainty = "UNCERT" in self.extensions

    def rows(self, part):
        """Data, mask and standard deviation of some rows."""
        if self.is_path:
            with fits.open(self.frame) as hdus:
                read = lambda name: hdus[name].section[part] if name in self.extensions else None  # noqa: E731
                mask = read("MASK")
                data = hdus[self.hdu].section[part]
                return data, None if mask is None else mask.astype(bool), read("UNCERT")
        ccd = self.frame if isinstance(self.frame, CCDData) else self.frame()
        mask = None if ccd.mask is None else ccd.mask[part]
        error = None if ccd.uncertainty is None else ccd.uncertainty.array[part]
        return ccd.data[part], mask, error


def _check_alike(first, source, number):
    """Refuse to mix sizes, units and gains."""
    if source.shape != first.shape:
        raise ValueError(
            f"Frame {number} has {source.shape} pixels (y, x), the first {first.shape}: "
            "combine frames of one size and binning."
        )
    if source.unit != first.unit:
        raise ValueError(
            f"Frame {number} is in {source.unit}, the first in {first.unit}: combine one unit."
        )
    if source.has_uncertainty != first.has_uncertainty:
        raise ValueError(
            f"Only one of frame {number} and the first has an uncertainty: give both or neither."
        )
    for key in first.meta:
        if str(key).startswith("AMPGAI") and source.meta.get(key) != first.meta[key]:
            raise ValueError(
                f"Frame {number} was processed with a gain of {source.meta.get(key)}, the first "
                f"with {first.meta[key]} ({key}): process all with the same amplifiers."
            )


def _check_keywords(first, source, number, alike):
    """Refuse frames whose header says that they are something else."""
    for key, tolerance in alike.items():
        for who, meta in (("the first frame", first.meta), (f"frame {number}", source.meta)):
            if key not in meta:
                raise ValueError(f"{key} should agree, but {who} has no such card.")
        a, b = first.meta[key], source.meta[key]
        numbers = all(isinstance(value, (int, float)) for value in (a, b))
        if (abs(a - b) > tolerance) if numbers else (a != b):
            raise ValueError(
                f"Frame {number} has {key} = {b!r}, the first {a!r}: combine them separately."
            )


def _check_odd_one(rejected, limit):
    """Refuse a set of frames one of which disagrees with the others."""
    worst = int(np.argmax(rejected))
    if rejected[worst] - np.median(rejected) > limit:
        raise ValueError(
            f"Frame {worst} disagrees with the others in {100 * rejected[worst]:.0f} % of its "
            f"pixels (typical: {100 * np.median(rejected):.1f} %): is it of another lamp or "
            "exposure time, or saturated? Leave it out, or scale the frames to one level."
        )


def _scales(sources, scale):
    """What to divide each frame by."""
    if scale is None:
        return np.ones(len(sources))
    values = []
    for source in sources:
        data, mask, _ = source.rows(slice(None))
        values.append(scale(data if mask is None else np.where(mask, np.nan, data)))
    values = np.array(values, float)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"The scales of the frames are {values}; they must be positive.")
    return values / values.mean()


def _read_stack(sources, part, scales):
    """Rows of all frames: (n_frames, n_rows, n_x), NaN where bad; and standard deviations."""
    n_rows = part.stop - part.start
    stack = np.empty((len(sources), n_rows, sources[0].shape[1]), np.float32)
    sigmas = np.empty_like(stack) if sources[0].has_uncertainty else None
    for i, (source, factor) in enumerate(zip(sources, scales, strict=True)):
        data, mask, error = source.rows(part)
        stack[i] = data
        if factor != 1:
            stack[i] /= factor
        if mask is not None:
            stack[i][mask] = np.nan
        if error is not None:
            sigmas[i] = error / factor
    return stack, sigmas


def _combine_stack(stack, sigmas, method, sigma):
    """Centre, its error, the number of values used per pixel; values lost per frame."""
    n, shape = len(stack), stack.shape[1:]
    stack = stack.reshape(n, -1)
    sigmas = None if sigmas is None else sigmas.reshape(n, -1)
    noise_curve = None if sigmas is not None or n < 2 else _noise_curve(stack)
    value = np.empty(stack.shape[1], np.float32)
    error, count = np.empty_like(value), np.empty(value.shape, np.int32)
    lost = np.zeros(n, np.int64)
    for start in range(0, len(value), BLOCK):
        part = slice(start, start + BLOCK)
        errors = None if sigmas is None else sigmas[:, part]
        value[part], error[part], count[part], bad = _combine_block(
            stack[:, part], errors, noise_curve, method, sigma
        )
        lost += bad
    return value.reshape(shape), error.reshape(shape), count.reshape(shape), lost


def _combine_block(values, errors, noise_curve, method, sigma):
    """Combine some pixels: values and errors have shape (n_frames, n_pixels)."""
    n = len(values)
    centre = _median(values)
    if errors is not None:
        noise = _median(errors)
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
        value = _median(values) if lost.any() else centre
    if errors is None:
        error = noise / np.sqrt(safe)
    else:
        error = np.where(count > 0, np.sqrt(np.einsum("ij,ij->j", errors, errors)) / safe, noise)
    if method == "median":
        error = error * median_factor(count)
    return value, np.where(np.isfinite(error), error, 0), count, lost


def _median(values):
    """Median over axis 0 of the finite values; NaN where there is none."""
    n = len(values)
    if n > 48:
        median = np.median(np.ascontiguousarray(values.T), axis=1)
    else:
        rows = list(values)
        for i, j in _network(n):
            rows[i], rows[j] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
        median = 0.5 * (rows[(n - 1) // 2] + rows[n // 2])
    holes = np.isnan(median)
    if holes.any():
        median[holes] = _nanmedian(values[:, holes])
    return median


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


def _noise_curve(stack):
    """Standard deviation of one value against signal, from the scatter between frames."""
    n = len(stack)
    sample = stack[:, :: max(1, stack.shape[1] // 40000)]
    centre = _median(sample)
    spread = _median((sample - centre) ** 2)  # the median, so that a hit does not count
    order = np.argsort(centre)
    order = order[np.isfinite(centre[order])]
    if len(order) == 0:
        return None
    groups = np.array_split(order, int(np.clip(len(order) // 800, 1, 50)))
    signal = np.array([centre[g].mean() for g in groups])
    # a few hot pixels must not make the noise of all at their signal
    square = [np.mean(np.minimum(spread[g], 25 * np.median(spread[g]) + 1e-30)) for g in groups]
    # variance over the median squared distance from the median of n Gaussian values
    few = (1, 1, 1.994, 2.894, 2.538, 2.427, 2.350, 2.320, 2.288, 2.277, 2.258)
    factor = few[n] if n < len(few) else 2.198 * (1 + 0.25 / n)
    return signal, np.sqrt(factor * np.array(square))


def median_factor(n):
    """Standard error of the median of ``n`` Gaussian values over that of their mean."""
    # efficiencies of Hodges & Lehmann 1967, JASA 62, 926, then an expansion in 1/n
    exact = np.array([1, 1, 1, 1.1602, 1.0922, 1.1976, 1.1351, 1.2137, 1.1588, 1.2226])
    n = np.asarray(n)
    large = np.sqrt(np.pi / 2 * n / (n + np.pi / 2 - n % 2))
    return np.where(n < len(exact), exact[np.minimum(n, len(exact) - 1)], large)
