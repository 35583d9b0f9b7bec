"""How many electrons did each pixel hold? Level off, gain on, noise beside it."""

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable

__all__ = ["overscan_statistics", "process_amplifiers"]

MOST = np.finfo(np.float32).max  # nor is the noise endless where a count is
BLOCK = 64  # rows handled at a time, so that a block stays in the processor's cache


def process_amplifiers(
    ccd, amplifiers, *, overscan="auto", sigma_clip=5.0, bias=None, uncertainty=True, light=True
):
    """
    Subtract the overscan level, trim, and multiply by the gain, amplifier by amplifier.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or sequence of them
        A raw frame in adu; or one frame per amplifier, in their order. ``mask`` and ``flags``
        are carried along.
    amplifiers : sequence of `Amplifier`
    overscan : str, model, callable or None
        How the level follows the lines, see `Amplifier.measure_level`; `None` leaves the
        overscan alone. Amplifiers that have none keep their level.
    sigma_clip : float or None
        Rejection of overscan pixels.
    bias : `~astropy.nddata.CCDData`, shape (n_y, n_x), optional
        Master bias made with the same amplifiers and ``overscan``, in electron. It is
        subtracted here because the Poisson noise is that of the light alone.
    uncertainty : bool
        Whether to compute it: read noise, Poisson noise of the electrons (none where they
        are negative), error of the level and of the bias.
    light : bool
        `False` for a bias frame: what it holds is not photons and has no Poisson noise.

    Returns
    -------
    `~astropy.nddata.CCDData`, shape (n_y, n_x)
        In electron (float32), trimmed to the bounding box of all data sections; a gap that an
        amplifier names is masked and holds 0, with the amplifier's read noise. ``meta`` has
        for amplifier 1, 2, ...: ``AMPNAMn`` name, ``AMPLVLn`` mean level and ``AMPLVEn`` its
        standard error (adu), ``AMPDRFn`` drift (adu), ``AMPRONn`` read noise used and ``AMPOSNn``
        measured on the overscan (electron), ``AMPGAIn`` gain; ``OVERSCAN`` the method, and
        ``TRIMX0``, ``TRIMY0`` the raw pixel (0-indexed) that became pixel (0, 0).

    Raises
    ------
    ~astropy.units.UnitTypeError
        If the frame is not in adu or the bias not in electron.
    ValueError
        If sections overlap, leave a gap that no amplifier names or lie outside the frame, or no
        read noise is known.
    """
    amplifiers = _as_list(amplifiers)
    frames = _frames(ccd, amplifiers)
    box = bounding_box(amplifiers)
    shape = tuple(s.stop - s.start for s in box)
    data = np.empty(shape, np.float32)
    sigma = np.empty(shape, np.float32) if uncertainty else None
    gaps = gap_slices(amplifiers, box)
    mask = np.zeros(shape, bool) if gaps or _any_bad(frames) else None
    has_flags = any(frame.flags is not None for frame in frames)
    flags = np.zeros(shape, np.uint16) if has_flags else None
    meta = _copy_meta(frames[0])
    meta["TRIMX0"], meta["TRIMY0"] = box[1].start, box[0].start
    method = "none" if overscan is None else overscan if isinstance(overscan, str) else "model"
    meta["OVERSCAN"] = method if any(a.overscan is not None for a in amplifiers) else "none"
    _check_bias(bias, shape, amplifiers, meta["OVERSCAN"])
    for number, (frame, amplifier) in enumerate(zip(frames, amplifiers, strict=True), start=1):
        target = amplifier.place_in(box)
        level = None
        if overscan is not None and amplifier.overscan is not None:
            level = amplifier.measure_level(
                frame.data, frame.mask, method=overscan, sigma_clip=sigma_clip
            )
        read_noise = _read_noise(amplifier, level, uncertainty)
        offset = None if bias is None else bias.data[target]
        offset_sigma = None if bias is None or bias.uncertainty is None else bias.uncertainty.array
        subtract_and_scale(
            frame.data[amplifier.data], level, amplifier.gain.value, offset, data[target]
        )
        if mask is not None:
            mask[target] = _bad(frame)[amplifier.data]
        if flags is not None and frame.flags is not None:
            flags[target] = frame.flags[amplifier.data]
        if uncertainty:
            error = None if level is None else level.uncertainty * amplifier.gain.value
            noise_of(
                data[target],
                read_noise,
                None if error is None else np.expand_dims(error, 1 - level.axis),
                None if offset_sigma is None else offset_sigma[target],
                sigma[target],
                light=light,
            )
        if number in gaps:  # nothing was measured there
            data[gaps[number]], mask[gaps[number]] = 0, True
            if uncertainty:
                sigma[gaps[number]] = read_noise
        _note(meta, number, amplifier, level, read_noise)
    if bias is not None and bias.mask is not None:
        mask = bias.mask.copy() if mask is None else mask | bias.mask
    result = CCDData(data, unit=u.electron, mask=mask, meta=meta)
    result.flags = flags
    if uncertainty:
        result.uncertainty = StdDevUncertainty(sigma, copy=False)
    return result


def overscan_statistics(ccd, amplifiers, *, overscan="auto", sigma_clip=5.0):
    """
    Level, drift and noise of every amplifier, measured on its overscan.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or sequence of them
        As in `process_amplifiers`.
    amplifiers : sequence of `Amplifier`
        Those without an overscan are left out.
    overscan, sigma_clip
        As in `process_amplifiers`.

    Returns
    -------
    `~astropy.table.QTable`
        A row per amplifier: ``name``, ``level``, ``level_uncertainty``, ``drift`` (adu),
        ``read_noise`` (electron), ``n_pixels``, ``n_clipped``, ``method``.
    """
    amplifiers = _as_list(amplifiers)
    rows = []
    for frame, amplifier in zip(_frames(ccd, amplifiers), amplifiers, strict=True):
        if amplifier.overscan is not None:
            level = amplifier.measure_level(
                frame.data, frame.mask, method=overscan, sigma_clip=sigma_clip
            )
            rows.append(
                {
                    "name": amplifier.name,
                    "level": level.level.mean() * u.adu,
                    "level_uncertainty": _mean_error(level) * u.adu,
                    "drift": level.drift * u.adu,
                    "read_noise": level.read_noise * u.adu * amplifier.gain,
                    "n_pixels": level.n_pixels,
                    "n_clipped": level.n_clipped,
                    "method": level.method,
                }
            )
    if not rows:
        raise ValueError("None of the amplifiers has an overscan: there is nothing to measure.")
    return QTable(rows)


def subtract_and_scale(raw, level, gain, offset, out):
    """Write ``(raw - level) * gain - offset`` into ``out``, in blocks that fit the cache."""
    image = None if level is None else level.image.astype(np.float32)
    gain = np.float32(gain)
    for start in range(0, len(raw), BLOCK):
        rows = slice(start, start + BLOCK)
        part = out[rows]
        if image is None:
            np.multiply(raw[rows], gain, out=part, casting="unsafe", dtype=np.float32)
        else:
            here = image if len(image) == 1 else image[rows]
            np.subtract(raw[rows], here, out=part, casting="unsafe", dtype=np.float32)
            part *= gain
        if offset is not None:
            part -= offset[rows]


def noise_of(electrons, read_noise, level_error, bias_error, out, *, light):
    """Write the standard deviation of every pixel into ``out``: finite everywhere."""
    constant = np.float32(read_noise**2)
    if level_error is not None:
        constant = (constant + level_error**2).astype(np.float32)
    for start in range(0, len(electrons), BLOCK):
        rows = slice(start, start + BLOCK)
        part = out[rows]
        if light:
            np.fmax(electrons[rows], np.float32(0), out=part)  # 0, no photons, where it is NaN
            np.minimum(part, MOST, out=part)
        else:
            part[:] = 0
        part += constant if np.ndim(constant) == 0 or len(constant) == 1 else constant[rows]
        if bias_error is not None:
            part += bias_error[rows] ** 2
        np.sqrt(part, out=part)


def _as_list(amplifiers):
    amplifiers = list(amplifiers) if isinstance(amplifiers, Sequence) else [amplifiers]
    if not amplifiers:
        raise ValueError("At least one amplifier is needed, but the list is empty.")
    return amplifiers


def _frames(ccd, amplifiers):
    """One checked frame per amplifier."""
    frames = [ccd] * len(amplifiers) if isinstance(ccd, CCDData) else list(ccd)
    if len(frames) != len(amplifiers):
        raise ValueError(
            f"{len(frames)} frames were given for {len(amplifiers)} amplifiers: "
            "give one frame that holds all, or one per amplifier."
        )
    for frame, amplifier in zip(frames, amplifiers, strict=True):
        if frame.unit != u.adu:
            raise u.UnitTypeError(
                f"Raw frames are in adu, but this one is in {frame.unit}: "
                "process the frame that came from the detector, once."
            )
        amplifier.check(frame.data.shape)
    return frames


def gap_slices(amplifiers, box):
    """Slices (y, x) in the trimmed frame of the gap that amplifier 1, 2, ... names, if any."""
    return {
        number: tuple(
            slice(part.start - edge.start, part.stop - edge.start)
            for part, edge in zip(amplifier.gap, box, strict=True)
        )
        for number, amplifier in enumerate(amplifiers, start=1)
        if amplifier.gap is not None
    }


def gap_mask(amplifiers):
    """True in the gaps that amplifiers name, on the trimmed frame; `None` where there is none."""
    amplifiers = _as_list(amplifiers)
    if all(amplifier.gap is None for amplifier in amplifiers):
        return None
    box = bounding_box(amplifiers)
    mask = np.zeros([edge.stop - edge.start for edge in box], bool)
    for gap in gap_slices(amplifiers, box).values():
        mask[gap] = True
    return mask


def bounding_box(amplifiers):
    """Slices (y, x) around all output sections, which must fill it once together with gaps."""
    gaps = [amplifier for amplifier in amplifiers if amplifier.gap is not None]
    names = [amplifier.name for amplifier in [*amplifiers, *gaps]]
    ends = [amplifier.extent for amplifier in amplifiers]
    ends += [tuple((part.start, part.stop) for part in amplifier.gap) for amplifier in gaps]
    low = [min(end[axis][0] for end in ends) for axis in (0, 1)]
    high = [max(end[axis][1] for end in ends) for axis in (0, 1)]
    for i, first in enumerate(ends):
        for j, second in enumerate(ends[:i]):
            if all(max(a[0], b[0]) < min(a[1], b[1]) for a, b in zip(first, second, strict=True)):
                raise ValueError(
                    f"The data sections or gaps of amplifiers {names[j]!r} and {names[i]!r} "
                    "overlap: a pixel is read by one amplifier only."
                )
    area = sum((y[1] - y[0]) * (x[1] - x[0]) for y, x in ends)
    if area != (high[0] - low[0]) * (high[1] - low[1]):
        raise ValueError(
            f"The data sections leave a gap: they cover {area} of the "
            f"{(high[0] - low[0]) * (high[1] - low[1])} pixels of their bounding box "
            f"[{low[1] + 1}:{high[1]},{low[0] + 1}:{high[0]}]; add the missing amplifier, or name "
            "as gap what nobody reads."
        )
    return slice(low[0], high[0]), slice(low[1], high[1])


def _bad(frame):
    """Masked or not finite."""
    bad = np.zeros(frame.data.shape, bool) if frame.mask is None else frame.mask
    return bad | ~np.isfinite(frame.data) if frame.data.dtype.kind == "f" else bad


def _any_bad(frames):
    return any(frame.mask is not None or frame.data.dtype.kind == "f" for frame in frames)


def _copy_meta(frame):
    return frame.meta.copy() if hasattr(frame.meta, "copy") else dict(frame.meta)


def _check_bias(bias, shape, amplifiers, overscan):
    """Refuse a bias that was not made like the frame."""
    if bias is None:
        return
    made = bias.meta.get("OVERSCAN", overscan)
    if (made == "none") != (overscan == "none"):
        raise ValueError(
            f"The bias was made with overscan {made!r}, the frame is processed with {overscan!r}: "
            "one still holds the level that the other has lost. Treat both alike."
        )
    for number, amplifier in enumerate(amplifiers, start=1):
        gain = bias.meta.get(f"AMPGAI{number}", amplifier.gain.value)
        if not np.isclose(gain, amplifier.gain.value):
            raise ValueError(
                f"The bias was made with a gain of {gain:.4g} for amplifier {amplifier.name!r}, "
                f"the frame is processed with {amplifier.gain.value:.4g}: use the same."
            )
    if bias.unit != u.electron:
        raise u.UnitTypeError(
            f"The bias must be in electron, but is in {bias.unit}: combine processed bias frames."
        )
    if bias.data.shape != shape:
        raise ValueError(
            f"The bias has {bias.data.shape} pixels (y, x), but the trimmed frame {shape}: "
            "use a bias made with the same sections and binning."
        )


def _read_noise(amplifier, level, needed):
    """In electron: as given, else as the overscan shows."""
    if amplifier.read_noise is not None:
        return float(amplifier.read_noise.value)
    if level is not None and np.isfinite(level.read_noise):
        return level.read_noise * float(amplifier.gain.value)
    if needed:
        raise ValueError(
            f"Amplifier {amplifier.name!r} has no read noise and no overscan to measure it on: "
            "measure it on bias frames with measure_read_noise, or give it."
        )
    return np.nan


def _mean_error(level):
    """Standard error of the mean level: neighbouring lines share their error, jumps do not."""
    n_lines = len(level.level)
    return max(level.read_noise / np.sqrt(level.n_pixels), level.uncertainty.min() / n_lines**0.5)


def _note(meta, number, amplifier, level, read_noise):
    """Write what was measured on one amplifier into the frame's header."""
    meta[f"AMPNAM{number}"] = amplifier.name
    meta[f"AMPGAI{number}"] = float(amplifier.gain.value)
    if np.isfinite(read_noise):
        meta[f"AMPRON{number}"] = read_noise
    if level is not None:
        meta[f"AMPLVL{number}"] = float(level.level.mean())
        meta[f"AMPLVE{number}"] = float(_mean_error(level))
        meta[f"AMPDRF{number}"] = level.drift
        meta[f"AMPOSN{number}"] = level.read_noise * float(amplifier.gain.value)
