"""Backward: what would the detector have written down?"""

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from .process import bounding_box

__all__ = ["simulate_bias", "simulate_dark", "simulate_flat", "to_raw"]

ADU_MAX = 65535


def to_raw(
    electrons,
    amplifiers,
    *,
    rng,
    bias_level=1000.0,
    drift=None,
    bias_pattern=None,
    dark=None,
    saturation=ADU_MAX,
    shape=None,
    poisson=True,
    header=None,
    separate=False,
):
    """
    Turn expected electrons into the raw frame that a detector would write.

    Poisson noise, gain, read noise, the level of each amplifier with its drift, rounding to
    integers, saturation, and each amplifier's data and overscan where its sections say. The
    way back of `process_amplifiers`.

    Parameters
    ----------
    electrons : `~astropy.units.Quantity` or array, shape (n_y, n_x)
        Expected electrons on the bounding box of all output sections (the trimmed frame).
    amplifiers : sequence of `Amplifier`
        Their ``read_noise`` must be given.
    rng : `~numpy.random.Generator`
    bias_level : float or sequence of float
        Level in adu, one for all or one per amplifier.
    drift : array, shape (n_lines,), or sequence of them, optional
        What is added to the level in adu, line by line of the raw frame: along rows for an
        amplifier whose overscan is beside the data (or that has none), else along columns. One
        for all or one per amplifier.
    bias_pattern : `~astropy.units.Quantity` or array, shape (n_y, n_x), optional
        Fixed pattern of the trimmed frame, in electron.
    dark : `~astropy.units.Quantity` or array, shape (n_y, n_x), optional
        Expected dark electrons.
    saturation : float
        Largest raw value in adu; above 65535 the frame has 32 bits.
    shape : tuple of int, optional
        Of the raw frame (n_y, n_x); default: just what holds all sections.
    poisson : bool
        Whether to draw photon noise.
    header : dict or `~astropy.io.fits.Header`, optional
        Becomes the frame's ``meta``.
    separate : bool
        Whether each amplifier writes a frame (an HDU) of its own.

    Returns
    -------
    `~astropy.nddata.CCDData` or list of them
        In adu, uint16 or uint32, shape ``shape``. Pixels in no section hold the first amplifier's
        level.

    Raises
    ------
    ValueError
        If the image does not fit the sections, or a read noise is missing.
    """
    electrons = _plain(electrons)
    amplifiers = list(amplifiers)
    box = bounding_box(amplifiers)
    expected_shape = tuple(s.stop - s.start for s in box)
    if electrons.shape != expected_shape:
        raise ValueError(
            f"The image has {electrons.shape} pixels (y, x), but the amplifiers' data sections "
            f"span {expected_shape}: give one electron image for all."
        )
    light = electrons if dark is None else electrons + _plain(dark)
    light = rng.poisson(np.maximum(light, 0)).astype(float) if poisson else light
    if bias_pattern is not None:
        light = light + _plain(bias_pattern)
    levels = np.broadcast_to(bias_level, len(amplifiers))
    drifts = drift if isinstance(drift, (list, tuple)) else [drift] * len(amplifiers)
    groups = [[i] for i in range(len(amplifiers))] if separate else [range(len(amplifiers))]
    frames = []
    for group in groups:
        members = [amplifiers[i] for i in group]
        size = _raw_shape(members) if shape is None else shape
        noise = _read_noise(members[0]) / members[0].gain.value
        raw = levels[group[0]] + rng.normal(0, noise, size)
        for i in group:
            amplifier = amplifiers[i]
            here = light[amplifier.place_in(box)]
            _read_out(raw, here, amplifier, levels[i], drifts[i], rng)
        kind = np.uint16 if saturation <= ADU_MAX else np.uint32
        raw = np.clip(np.rint(raw), 0, saturation).astype(kind)
        frames.append(CCDData(raw, unit=u.adu, meta={} if header is None else header.copy()))
    return frames if separate else frames[0]


def simulate_bias(amplifiers, *, rng, **kwargs):
    """Draw a raw bias frame: `to_raw` without light."""
    return to_raw(np.zeros(_trimmed_shape(amplifiers)), amplifiers, rng=rng, **kwargs)


def simulate_dark(dark_current, exposure_time, amplifiers, *, rng, **kwargs):
    """
    Draw a raw dark frame.

    Parameters
    ----------
    dark_current : `DarkCurrent`
        Of the trimmed frame.
    exposure_time : `~astropy.units.Quantity`
    amplifiers, rng, **kwargs
        As in `to_raw`.
    """
    empty = np.zeros(_trimmed_shape(amplifiers))
    dark = np.maximum(dark_current.expected(exposure_time).value, 0)
    return to_raw(empty, amplifiers, rng=rng, dark=dark, **kwargs)


def simulate_flat(lamp, amplifiers, *, sensitivity=None, rng, **kwargs):
    """
    Draw a raw flat frame.

    Parameters
    ----------
    lamp : array, shape (n_y, n_x)
        Expected electrons of a detector with the same sensitivity everywhere.
    amplifiers, rng, **kwargs
        As in `to_raw`.
    sensitivity : array, shape (n_y, n_x), optional
        Of the pixels, relative to their surroundings.
    """
    expected = _plain(lamp) if sensitivity is None else _plain(lamp) * sensitivity
    return to_raw(expected, amplifiers, rng=rng, **kwargs)


def _read_out(raw, light, amplifier, level, drift, rng):
    """Write one amplifier's sections into the raw frame."""
    noise, gain = _read_noise(amplifier), amplifier.gain.value
    sections = [(amplifier.overscan, 0.0), (amplifier.data, light)]  # unlit rows may be inside
    by_column = False
    if amplifier.overscan is not None:
        over, data = amplifier.overscan[0], amplifier.data[0]
        by_column = not (over.start <= data.start and over.stop >= data.stop)
    for section, electrons in sections:
        if section is None:
            continue
        size = tuple(s.stop - s.start for s in section)
        here = level + (electrons + rng.normal(0, noise, size)) / gain
        if drift is not None:
            along = np.asarray(drift, float)
            here += along[None, section[1]] if by_column else along[section[0], None]
        raw[section] = here


def _plain(image):
    return image.to_value(u.electron) if isinstance(image, u.Quantity) else np.asarray(image, float)


def _read_noise(amplifier):
    if amplifier.read_noise is None:
        raise ValueError(
            f"Amplifier {amplifier.name!r} has no read noise: a simulation needs one, give it."
        )
    return amplifier.read_noise.value


def _raw_shape(amplifiers):
    sections = [s for a in amplifiers for s in (a.data, a.overscan) if s is not None]
    return tuple(max(section[axis].stop for section in sections) for axis in (0, 1))


def _trimmed_shape(amplifiers):
    return tuple(s.stop - s.start for s in bounding_box(list(amplifiers)))
