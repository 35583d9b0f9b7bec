"""Make what is the same for all exposures: noise, bias, dark current, sensitivity."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from slitlapse.automation.frames import FrameDoor
from slitlapse.automation.log import NightError
from slitlapse.flats import (
    IlluminatedRegion,
    find_illuminated,
    find_odd_flats,
    fit_pixel_sensitivity,
)
from slitlapse.photons import (
    DarkCurrent,
    MaskBits,
    combine_frames,
    find_dead_pixels,
    gap_mask,
    measure_read_noise,
    process_amplifiers,
    turn,
)

__all__ = ["Calibration", "make_calibration"]

DARK_FLAT = 5  # read noises of a lit pixel below which a flat shows no light
TEMPERATURE = "detector_temperature"  # as instrument files call it in [header]
MOST_DEGREES = 2.0  # dark current doubles every 6 or so
SATURATED = MaskBits.saturated | MaskBits.bleeding


@dataclass(frozen=True)
class Calibration:
    """
    What the calibration frames of a night told.

    Parameters
    ----------
    door : FrameDoor
        Opens any frame of the night.
    flat : `~astropy.nddata.CCDData`, optional
        Combined flat in electron, turned.
    illuminated : `~slitlapse.flats.IlluminatedRegion`, optional
        Where the slit lights the detector; None where the flat does not tell.
    read_noise_source : str
        Where the read noises come from, in words.
    notes : tuple of str
        What was missing and what is lost by it.
    """

    door: FrameDoor
    flat: CCDData | None = None
    illuminated: IlluminatedRegion | None = None
    read_noise_source: str = ""
    notes: tuple = ()

    @property
    def beyond_slit(self):
        """True for pixels that no sky can reach, bool of shape (n_y, n_x); None if not known."""
        return None if self.illuminated is None else ~self.illuminated.mask

    def within_slit(self, image):
        """Mask what lies beyond the slit in a copy of an image: no background is there."""
        if self.illuminated is None:
            return image
        mask = self.beyond_slit if image.mask is None else self.beyond_slit | image.mask
        return CCDData(
            image.data, unit=image.unit, mask=mask, uncertainty=image.uncertainty, meta=image.meta
        )


def make_calibration(night, chosen):
    """
    Make the calibration of a night from its frames.

    Parameters
    ----------
    night : Night
    chosen : ChosenFrames

    Returns
    -------
    Calibration

    Raises
    ------
    NightError
        Where neither bias frames nor an overscan could take off the level.
    """
    door = FrameDoor(night.instrument, night.data, shape=chosen.shape)
    notes = []
    noises, source = find_read_noises(door, chosen)
    door = door.with_(read_noises=noises)
    door = door.with_(bias=make_bias(door, chosen, notes))
    door = door.with_(dark=make_dark(door, chosen, notes))
    flat = make_flat(door, chosen, notes)
    gaps = gap_mask(door.raw(_any_frame(chosen))[1])
    gaps = None if gaps is None else turn(gaps, night.instrument.dispersion)
    region, sensitivity = None, None
    if flat is not None:
        region = _illuminated(flat, notes)
    if region is not None:
        sensitivity = fit_pixel_sensitivity(flat, region)
        _note_poor_flat(sensitivity, region.mask if gaps is None else region.mask & ~gaps, notes)
    lit = None if region is None else flat  # without light, no pixel can be called dead
    door = door.with_(sensitivity=sensitivity, bad=always_bad(door, lit, sensitivity, gaps))
    return Calibration(door, flat, _slit_of(night, chosen, region, notes), source, tuple(notes))


def find_read_noises(door, chosen):
    """
    Read noise of every amplifier: as stated, else from the biases, else from the overscan.

    Returns
    -------
    tuple of `~astropy.units.Quantity`
        In electron.
    str
        Where they come from.
    """
    _, amplifiers = door.raw(_any_frame(chosen))
    if all(amplifier.read_noise is not None for amplifier in amplifiers):
        return tuple(a.read_noise for a in amplifiers), "as the instrument file says"
    biases = chosen["bias"]["filename"]
    if len(biases) > 1:
        raw = [door.raw(name)[0] for name in biases[:10]]
        with door.naming(biases[0]):
            if isinstance(raw[0], list):
                measured = [
                    measure_read_noise([each[i] for each in raw], [amplifier])[0]
                    for i, amplifier in enumerate(amplifiers)
                ]
            else:
                measured = measure_read_noise(raw, amplifiers)
        return tuple(m.sigma for m in measured), f"measured on {len(raw)} bias frames"
    name = _any_frame(chosen, without=door.instrument.bias_subtracted)
    frames, amplifiers = door.raw(name)
    for amplifier in amplifiers:
        if amplifier.read_noise is None and amplifier.overscan is None:
            raise NightError(
                f"the read noise of amplifier {amplifier.name} is not known: give read_noise in "
                f"{door.described_by}, two bias frames, or an overscan"
            )
    with door.naming(name):
        meta = process_amplifiers(frames, amplifiers).meta
    found = [meta[f"AMPRON{n}"] * u.electron for n in range(1, len(amplifiers) + 1)]
    return tuple(found), f"measured on the overscan of {name}"


def make_bias(door, chosen, notes):
    """Combine the bias frames, or make sure that an overscan takes the level off."""
    names = chosen["bias"]["filename"]
    if len(names):
        loaders = [_opener(door, name) for name in names]
        return combine_frames(loaders)
    needing = [
        kind
        for kind in ("science", "arc", "flat", "dark")
        if len(chosen[kind]) and kind not in door.instrument.bias_subtracted
    ]
    if not needing:
        return None
    _, amplifiers = door.raw(chosen[needing[0]]["filename"][0])
    bare = [amplifier.name for amplifier in amplifiers if amplifier.overscan is None]
    if bare:
        raise NightError(
            f"there is no bias frame, and amplifier {', '.join(bare)} of {door.described_by} "
            f"has no overscan: nothing can take the level off the {needing[0]} frames. Add bias "
            "frames, or name the kinds that arrive without it in bias_subtracted"
        )
    notes.append(
        "There is no bias frame: the overscan alone takes off the level, a fixed pattern stays"
    )
    return None


def _opener(door, name):
    """A callable that opens a bias frame: raw orientation, no bias subtracted."""

    def load():
        frames, amplifiers = door.raw(name)
        with door.naming(name):
            return process_amplifiers(frames, amplifiers, light=False)  # a level is no light

    return load


def make_dark(door, chosen, notes):
    """Combine the darks of the longest exposure time into a dark current."""
    table = darks_as_cold(chosen, notes)
    if not len(table):
        return None
    times = table["exposure_time"].to_value(u.s)
    longest = np.nanmax(times)
    if not longest > 0:
        notes.append("The dark frames have no exposure time: no dark current is subtracted")
        return None
    same = np.abs(times - longest) < 0.01 * longest + 0.1
    for row in table[~same]:
        notes.append(
            f"{row['filename']} (dark) is left out: {row['exposure_time']:.0f}, where the longest "
            f"darks have {longest:.0f} s"
        )
    names = table["filename"][same]
    master = combine_frames([lambda name=name: door.electrons(name, "dark") for name in names])
    return DarkCurrent.from_master(master, longest * u.s)


def darks_as_cold(chosen, notes):
    """Choose the darks at the temperature of the science frames, as far as headers tell."""
    darks, science = chosen["dark"], chosen["science"]
    if TEMPERATURE not in darks.colnames or not len(darks) or not len(science):
        return darks
    usual = np.median(np.asarray(science[TEMPERATURE], float))
    away = np.abs(np.asarray(darks[TEMPERATURE], float) - usual) > MOST_DEGREES
    for row in darks[away]:
        notes.append(
            f"{row['filename']} (dark) is left out: it was taken at {row[TEMPERATURE]:.1f} "
            f"degrees, the science frames at {usual:.1f}"
        )
    return darks[~away]


def make_flat(door, chosen, notes):
    """Combine the flats at one level of light; those that do not belong are left out by name."""
    names = []
    odd = find_odd_flats(_sound_flats(door, chosen["flat"]["filename"], names, notes))
    if 2 * len(odd) >= len(names):  # nobody can say which of them are right
        notes.extend(f"{names[place]} (flat) is kept, but {why}" for place, why in odd.items())
        odd = {}
    notes.extend(f"{names[place]} (flat) is left out: {why}" for place, why in odd.items())
    names = [name for place, name in enumerate(names) if place not in odd]
    if not names:
        notes.append("There is no flat: the sensitivity of every pixel is taken as 1")
        return None
    loaders = [lambda name=name: door.electrons(name, "flat") for name in names]
    return combine_frames(loaders, scale=lamp_level if len(names) > 1 else None)


def _sound_flats(door, filenames, names, notes):
    """Yield the flats that are neither saturated nor dark, and collect their names."""
    for name in filenames:
        frame = door.electrons(name, "flat")
        saturated = np.mean((frame.flags & SATURATED) != 0) if frame.flags is not None else 0
        if saturated > 0.2:
            notes.append(f"{name} (flat) is left out: {100 * saturated:.0f} % of it is saturated")
        elif not lamp_level(frame.data) > DARK_FLAT * np.median(door.read_noise(name)):
            notes.append(f"{name} (flat) is left out: it shows no light")
        else:
            names.append(name)
            yield frame


def lamp_level(data):
    """Level of the lit part of a flat: a slit may light only a tenth of the frame."""
    return float(np.nanpercentile(data, 90))


def _illuminated(flat, notes):
    try:
        return find_illuminated(flat)
    except ValueError as error:
        notes.append(f"The flat shows no lit slit ({error}): the sensitivity is taken as 1")
        return None


def _slit_of(night, chosen, region, notes):
    """Forget the lit region where a star of the night stands beyond it: another slit was used."""
    if region is None:
        return None
    lit = region.mask[:, region.mask.shape[1] // 2]
    for name in map(str, chosen["science"]["filename"]):
        for star in night.stars:
            row = round(night.position(star, name))
            if 0 <= row < len(lit) and not lit[row]:
                notes.append(
                    f"The flat does not light the slit at row {row}, where star {star} is said to "
                    "be: where the slit ends is taken as not known"
                )
                return None
    return region


def _note_poor_flat(sensitivity, lit, notes):
    lost = np.mean(sensitivity.mask[lit])
    if lost > 0.01:
        notes.append(
            f"{100 * lost:.0f} % of the lit pixels are too dark, saturated or bad in the flat: "
            "their sensitivity is taken as 1"
        )


def always_bad(door, flat, sensitivity, gaps=None):
    """Flags (uint16, turned) of the pixels that are bad in every frame, or None."""
    parts = []
    if door.dark is not None and door.dark.hot is not None:
        parts.append(np.where(door.dark.hot, MaskBits.hot, 0))
    if flat is not None:
        parts.append(np.where(find_dead_pixels(flat), MaskBits.dead, 0))
    if sensitivity is not None:
        parts.append(np.where(sensitivity.mask, MaskBits.no_sensitivity, 0))
    if gaps is not None:
        parts.append(np.where(gaps, MaskBits.gap, 0))
    if not parts:
        return None
    return np.bitwise_or.reduce(parts).astype(np.uint16)


def _any_frame(chosen, without=()):
    """File name of one frame, a science frame where there is one."""
    for kind in ("science", "flat", "arc", "bias", "dark"):
        if kind not in without and len(chosen[kind]):
            return chosen[kind]["filename"][0]
    raise NightError("there is no raw frame that still has its bias level; add one")
