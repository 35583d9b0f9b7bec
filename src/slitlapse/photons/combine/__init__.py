"""What do many frames of the same thing agree on? One master frame, in bounded memory."""

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

from .frame_source import FrameSource
from .stack import combine_stack

__all__ = ["combine_frames"]


def combine_frames(
    frames,
    *,
    method="mean",
    sigma=5.0,
    scale=None,
    alike=None,
    max_rejected=0.2,
    unit=None,
    memory_limit=4e8,
    hdu=0,
):
    """
    Combine frames pixel by pixel, rejecting outliers.

    Parameters
    ----------
    frames : sequence of `~astropy.nddata.CCDData`, path or callable
        Frames of one size and unit. A path is a FITS file; a callable takes no argument and
        returns a `~astropy.nddata.CCDData` (it is called once per stripe, see ``memory_limit``).
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
        Of two frames, only those with uncertainties can be told to disagree. `None`: do not ask.
    unit : unit, optional
        Of paths whose header has no BUNIT.
    memory_limit : float
        Bytes of all frames' pixels that may be held at a time: more are read stripe by stripe.
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
    first = FrameSource(frames[0], unit, hdu, hold=True)
    hold = len(frames) * first.n_bytes <= memory_limit
    if not hold:
        first.release()
    sources = [first, *(FrameSource(frame, unit, hdu, hold=hold) for frame in frames[1:])]
    for number, source in enumerate(sources):
        _check_alike(first, source, number)
        _check_keywords(first, source, number, {} if alike is None else alike)
    scales = _scales(sources, scale)
    shape = first.shape
    data, error = np.empty(shape, np.float32), np.empty(shape, np.float32)
    count = np.empty(shape, np.int16)
    per_row = shape[1] * len(sources) * (4 + 4 * first.has_uncertainty)
    rows = max(1, min(shape[0], int(memory_limit / per_row)))
    rejected, apart = np.zeros(len(sources), np.int64), 0
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        stack, sigmas = _read_stack(sources, part, scales)
        data[part], error[part], count[part], lost = combine_stack(stack, sigmas, method, sigma)
        rejected += lost
        if len(stack) == 2 and sigmas is not None and sigma is not None:
            apart += np.count_nonzero(np.abs(stack[1] - stack[0]) > sigma * np.hypot(*sigmas))
        del stack, sigmas  # before the next are read
    if max_rejected is not None:
        _check_odd_one(rejected / data.size, apart / data.size, max_rejected)
    mask = count == 0
    meta = first.meta
    meta["NCOMBINE"] = len(sources)
    meta["COMBINED"] = method
    meta["NREJECT"] = int(rejected.sum())
    data[mask] = np.nan
    return CCDData(
        data, unit=first.unit, mask=mask, uncertainty=StdDevUncertainty(error), meta=meta
    )


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
    for key in sorted({str(key) for meta in (first.meta, source.meta) for key in meta}):
        gains = [meta.get(key, "no record") for meta in (source.meta, first.meta)]
        if key.startswith("AMPGAI") and gains[0] != gains[1]:
            raise ValueError(
                f"Frame {number} was processed with a gain of {gains[0]}, the first with "
                f"{gains[1]} ({key}): process all with the same amplifiers."
            )


def _check_keywords(first, source, number, alike):
    """Refuse frames whose header says that they are something else."""
    for key, tolerance in alike.items():
        for who, meta in (("the first frame", first.meta), (f"frame {number}", source.meta)):
            if key not in meta:
                raise ValueError(
                    f"{key} should agree, but {who} has no such card: add it, leave the frame "
                    f"out, or take {key} out of alike."
                )
        a, b = first.meta[key], source.meta[key]
        numbers = all(isinstance(value, (int, float)) for value in (a, b))
        if (abs(a - b) > tolerance) if numbers else (a != b):
            raise ValueError(
                f"Frame {number} has {key} = {b!r}, the first {a!r}: combine them separately."
            )


def _check_odd_one(rejected, apart, limit):
    """Refuse a set of frames one of which disagrees with the others."""
    if apart > limit:
        raise ValueError(
            f"The two frames disagree in {100 * apart:.0f} % of their pixels: is one of another "
            "lamp or exposure time, or saturated? Leave it out, or scale the frames to one level."
        )
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
        source.release()
    return stack, sigmas
