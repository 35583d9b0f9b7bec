"""What do many frames of the same thing agree on? One master frame, in bounded memory."""

from pathlib import Path

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

__all__ = ["combine_frames"]

BLOCK = 2**17  # pixels of one frame handled at a time


def combine_frames(
    frames, *, method="mean", sigma=5.0, scale=None, unit=None, memory_limit=5e8, hdu=0
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
        If there is no frame, or sizes, units or gains differ.

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
    scales = _scales(sources, scale)
    shape = first.shape
    data, error = np.empty(shape, np.float32), np.empty(shape, np.float32)
    count = np.empty(shape, np.int32)
    per_row = shape[1] * len(sources) * (4 + 4 * first.has_uncertainty + 1) * 2
    rows = max(1, min(shape[0], int(memory_limit / per_row)))
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        stack, sigmas = _read_stack(sources, part, scales)
        data[part], error[part], count[part] = _combine_stack(stack, sigmas, method, sigma)
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
        self.path = Path(frame) if isinstance(frame, (str, Path)) else None
        self.given_unit = unit
        ccd = self._load()
        self.shape, self.unit, self.meta = ccd.data.shape, ccd.unit, ccd.meta.copy()
        self.has_uncertainty = ccd.uncertainty is not None
        self.kept = ccd if isinstance(frame, CCDData) else None

    def _load(self):
        if isinstance(self.frame, CCDData):
            return self.frame
        if self.path is not None:
            return CCDData.read(self.path, hdu=self.hdu, unit=self.given_unit)
        return self.frame()

    def rows(self, part):
        """Data, mask and standard deviation of some rows."""
        ccd = self._load() if self.kept is None else self.kept
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
    """Centre, its error, and the number of values used, per pixel."""
    shape = stack.shape[1:]
    good = np.isfinite(stack)
    all_good = good.all()
    centre = np.median(stack, axis=0) if all_good else _nanmedian(stack)
    noise = _noise(stack, sigmas, centre)
    if sigma is not None and len(stack) > 2:
        with np.errstate(invalid="ignore"):
            kept = np.abs(stack - centre) <= sigma * noise
        kept &= good
    else:
        kept = good
    count = kept.sum(axis=0)
    safe = np.maximum(count, 1)
    if method == "mean":
        value = np.where(kept, stack, 0).sum(axis=0) / safe
    else:
        value = centre if kept.all() else _nanmedian(np.where(kept, stack, np.nan))
    error = noise / np.sqrt(safe)
    if sigmas is not None:
        error = np.sqrt(np.where(kept, sigmas**2, 0).sum(axis=0)) / safe
        error = np.where(count > 0, error, noise)
    if method == "median":
        error = error * median_factor(count)
    return value.reshape(shape), error, count


def _nanmedian(stack):
    """Median of the finite values; NaN where there is none, without a warning."""
    ordered = np.sort(stack, axis=0)  # NaN is sorted to the end
    count = np.isfinite(stack).sum(axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), axis=0)
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(stack) - 1), axis=0)
    return np.where(count > 0, 0.5 * (low + high), np.nan)[0]


def _noise(stack, sigmas, centre):
    """Standard deviation of one value of every pixel."""
    if sigmas is not None:
        return np.median(sigmas, axis=0)
    if len(stack) < 2:
        return np.zeros_like(centre)
    squares = np.where(np.isfinite(stack), (stack - centre) ** 2, np.nan)
    n = len(stack)
    deviation = _nanmedian(squares)  # the median, so that a hit in one frame does not count
    order = np.argsort(centre, axis=None)
    level = centre.ravel()[order]
    finite = np.isfinite(level)
    level, spread = level[finite], deviation.ravel()[order][finite]
    n_bins = int(np.clip(len(level) // 2000, 1, 50))
    groups = np.array_split(np.arange(len(level)), n_bins)
    x = np.array([level[g].mean() for g in groups])
    y = np.array(
        [np.mean(np.minimum(spread[g], 25 * np.median(spread[g]) + 1e-30)) for g in groups]
    )
    # variance over the median squared distance from the median of n Gaussian values
    few = (1, 1, 1.994, 2.894, 2.538, 2.427, 2.350, 2.320, 2.288, 2.277, 2.258)
    factor = few[n] if n < len(few) else 2.198 * (1 + 0.25 / n)
    return np.sqrt(np.interp(centre, x, y * factor))


def median_factor(n):
    """Standard error of the median of ``n`` Gaussian values over that of their mean."""
    # efficiencies of Hodges & Lehmann 1967, JASA 62, 926, then an expansion in 1/n
    exact = np.array([1, 1, 1, 1.1602, 1.0922, 1.1976, 1.1351, 1.2137, 1.1588, 1.2226])
    n = np.asarray(n)
    large = np.sqrt(np.pi / 2 * n / (n + np.pi / 2 - n % 2))
    return np.where(n < len(exact), exact[np.minimum(n, len(exact) - 1)], large)
