"""Which stars are on the slit, and where does the light of each one lie?"""

import string
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from slitlapse.automation.log import NightError
from slitlapse.photons import combine_frames
from slitlapse.trace import ProfileTrace, StarNotFoundError, find_stars

__all__ = ["Placement", "place_stars"]

MOST_FRAMES = 25  # enough for a mean frame; more only take longer
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
        else:
            rows = _search(night, image, calibration)
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
    if len(loaders) == 2:
        return combine_frames(loaders, method="mean", sigma=None)
    return combine_frames(loaders, method="median", sigma=None)


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


