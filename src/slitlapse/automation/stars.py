"""Which stars are on the slit, and where does the light of each one lie?"""

import string
from dataclasses import dataclass
from itertools import pairwise

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from slitlapse.automation.log import NightError
from slitlapse.photons import combine_frames
from slitlapse.trace import (
    ProfileTrace,
    StarNotFoundError,
    find_stars,
    measure_profile_shift,
)

__all__ = ["Placement", "place_stars"]

MOST_FRAMES = 25  # enough for a mean frame; more only take longer
FEWEST_TO_CHOOSE = 6
BLUR = 0.02  # typical shift over the width, or change of the width, that is worth a choice
ONE_STAR = 1.0  # px between two positions below which they are those of one star
SEARCH_THRESHOLD = 10  # significance of a star that nobody named


@dataclass(frozen=True)
class Placement:
    """
    Exposures in which the stars stood at the same place, and that place.

    Parameters
    ----------
    filenames : tuple of str
        The science frames.
    image : `~astropy.nddata.CCDData`
        Their median (or, of one or two, mean) in electron.
    traces : dict of str to `~slitlapse.trace.ProfileTrace`
        Name of each star and where its light lies in ``image``.
    """

    filenames: tuple
    image: CCDData
    traces: dict

    def others(self, name):
        """Traces of the stars besides ``name``."""
        return [trace for other, trace in self.traces.items() if other != name]


def place_stars(night, chosen, calibration):
    """
    Find the stars of a night and trace them on the mean of the science frames.

    Parameters
    ----------
    night : Night
    chosen : ChosenFrames
    calibration : Calibration

    Returns
    -------
    list of Placement
        One for each nod position that ``night.toml`` names, else one.

    Raises
    ------
    NightError
        Where a star is not where it was said to be, or there is none.
    """
    names = [str(name) for name in chosen["science"]["filename"]]
    places = {}
    for name in names:
        key = tuple(night.position(star, name) for star in night.stars)
        places.setdefault(key, []).append(name)
    placements = []
    for key, members in places.items():
        image = mean_frame(chosen, calibration, members)
        noise = _noise_of(image, calibration, members[0])
        if night.stars:
            rows = dict(zip(night.stars, key, strict=True))
            _check_inside(night, rows, image.data.shape[0])
            _check_apart(night, rows)
        else:
            rows = _search(night, image, calibration)
        traces = trace_stars(image, rows, noise, night)
        alike = frames_alike(chosen, calibration, members, traces)
        if alike is not None:
            image = mean_frame(chosen, calibration, alike)
            noise = _noise_of(image, calibration, members[0])
            traces = trace_stars(image, rows, noise, night)
        placements.append(Placement(tuple(members), image, traces))
    return placements


def mean_frame(chosen, calibration, names):
    """Combine up to 25 science frames, spread over the night, into one in electron."""
    spread = np.unique(np.linspace(0, len(names) - 1, MOST_FRAMES).round().astype(int))
    table = chosen["science"]
    times = dict(zip(map(str, table["filename"]), table["exposure_time"], strict=True))
    loaders = [
        lambda name=names[i]: calibration.door.electrons(name, "science", times[name])
        for i in spread
    ]
    if len(loaders) == 1:
        return loaders[0]()
    # not a clipped mean: stars drift and the seeing changes, which is no reason to reject
    method = "mean" if len(loaders) == 2 else "median"
    try:
        return combine_frames(loaders, method=method, sigma=None)
    except NightError:
        raise
    except ValueError as error:
        counted = ", ".join(f"{i} is {names[j]}" for i, j in enumerate(spread))
        raise NightError(
            f"the science frames cannot be combined: {error} (Frame {counted}.)"
        ) from error


def frames_alike(chosen, calibration, names, traces):
    """
    Choose the frames in which the stars were most alike, where it matters.

    The mean of frames between which the stars drifted and the seeing changed has a profile
    that no exposure had: wider, and of another shape. A third of the frames, those nearest to
    the typical one, gives the profile that the others have after a shift and a stretch.

    Returns
    -------
    list of str or None
        None where all frames are alike enough, or too few to choose.
    """
    if len(names) < FEWEST_TO_CHOOSE:
        return None
    spread = np.unique(np.linspace(0, len(names) - 1, MOST_FRAMES).round().astype(int))
    table = chosen["science"]
    times = dict(zip(map(str, table["filename"]), table["exposure_time"], strict=True))
    read_noise = float(np.median(calibration.door.read_noise(names[0])))
    brightest = max(traces.values(), key=lambda trace: np.nansum(trace.table["amplitude"].value))
    width = float(np.median(brightest.width))
    found = []
    for index in spread:
        frame = calibration.door.electrons(names[index], "science", times[names[index]])
        shift = measure_profile_shift(frame, brightest, read_noise=read_noise)
        found.append((shift.offset / width, shift.width_factor))
    found = np.array(found)
    away = np.hypot(*(found - np.nanmedian(found, axis=0)).T)
    if not np.nanmedian(away) > BLUR:
        return None
    best = np.argsort(away)[: max(3, len(away) // 3)]
    return [names[spread[i]] for i in sorted(best)]


def _noise_of(image, calibration, filename):
    """Typical read noise of one pixel in the mean frame, in electron."""
    single = np.median(calibration.door.read_noise(filename))
    return float(single / np.sqrt(image.meta.get("NCOMBINE", 1)))


def _check_inside(night, rows, n_y):
    for name, row in rows.items():
        if not 0 <= row <= n_y - 1:
            raise NightError(
                f"{night.source}: [stars] {name} is said to be at row {row:g}, but the trimmed "
                f"frame has rows 0 to {n_y - 1}; give a position on it"
            )


def _check_apart(night, rows):
    """Refuse two names for one star."""
    names = sorted(rows, key=rows.get)
    for first, second in pairwise(names):
        if rows[second] - rows[first] < ONE_STAR:
            raise NightError(
                f"{night.source}: [stars] {first} and {second} are both said to be at row "
                f"{rows[first]:g}; name a star once, or correct one of the positions"
            )


def _search(night, image, calibration):
    """Name the stars that stand out on the slit A, B, ... by brightness."""
    mask = np.zeros(image.data.shape, bool) if image.mask is None else image.mask.copy()
    if calibration.illuminated is not None:
        mask |= ~calibration.illuminated.mask
    found = find_stars(image, mask=mask, threshold=SEARCH_THRESHOLD)
    if not len(found):
        raise NightError(
            f"{night.source}: no star stands out on the slit in the mean of the science frames; "
            "give its position in [stars], for example A = 123.4"
        )
    letters = string.ascii_uppercase
    rows = found["position"].to_value(u.pix)
    return {letters[i]: float(row) for i, row in enumerate(rows[: len(letters)])}


def trace_stars(image, rows, read_noise, night):
    """Trace every star, fitting those that share a window together."""
    traces = {}
    for name, row in rows.items():
        try:
            trace = ProfileTrace(image, guess=row, read_noise=read_noise)
            near = [
                other - row for other in rows.values() if 0 < abs(other - row) < 2 * trace.reach
            ]
            if near:
                trace = ProfileTrace(image, guess=row, read_noise=read_noise, neighbours=near)
        except StarNotFoundError as error:
            raise NightError(
                f"{night.source}: star {name} cannot be traced from row {row:.1f}: {error}"
            ) from error
        traces[name] = trace
    return traces
