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
MOST_BAD = 0.9  # of the pixels of a science frame that is looked at
FEWEST_TO_CHOOSE = 6
CLEAR_WINGS = 0.2  # relative error of the wings' exponent beyond which it is not one's own
BLUR = 0.02  # typical shift over the width, or change of the width, that is worth a choice
ONE_STAR = 1.0  # px between two positions below which they are those of one star
NEAR = 18.0  # widths: stars nearer than that are in each other's wings and windows,
WINDOWS, SPARE = 15.0, 6.0  # or nearer than these widths and rows, where they are narrow
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


def place_stars(night, chosen, calibration, notes):
    """
    Find the stars of a night and trace them on the mean of the science frames.

    Parameters
    ----------
    night : Night
    chosen : ChosenFrames
    calibration : Calibration
    notes : list of str
        Gets a sentence for a star that was found but cannot be traced.

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
    return [
        _place(night, chosen, calibration, key, members, notes) for key, members in places.items()
    ]


def _place(night, chosen, calibration, key, members, notes):
    """Find and trace the stars of exposures that share a place."""
    looked = readable_frames(chosen, calibration, members)
    image = mean_frame(chosen, calibration, looked)
    noise = _noise_of(image, calibration, looked[0])
    named = bool(night.stars)
    if named:
        rows = dict(zip(night.stars, key, strict=True))
        _check_inside(night, rows, image.data.shape[0])
        _check_apart(night, rows)
    else:
        rows = _search(night, image, calibration)
    lit = calibration.within_slit
    traces = trace_stars(lit(image), rows, noise, night, notes=None if named else notes)
    if len(looked) > 1:
        near = {name: list(trace.neighbours) for name, trace in traces.items()}
        alike, betas = look_at_single_frames(chosen, calibration, looked, traces, near)
        if alike is not None:
            image = mean_frame(chosen, calibration, alike)
            noise = _noise_of(image, calibration, alike[0])
        rows = {name: rows[name] for name in traces}
        traces = trace_stars(lit(image), rows, noise, night, betas=betas)
    return Placement(tuple(members), image, traces)


def readable_frames(chosen, calibration, names):
    """
    Choose up to 25 science frames, spread over the night, that hold light at all.

    Raises
    ------
    NightError
        Where none can be used: what is wrong with the last of them.
    """
    times, good, trouble = _exposure_times(chosen), [], None
    for index in np.unique(np.linspace(0, len(names) - 1, MOST_FRAMES).round().astype(int)):
        name = names[index]
        try:
            frame = calibration.door.electrons(name, "science", times[name])
        except NightError as error:
            trouble = error  # said again, with its name, where every exposure is measured
            continue
        if frame.mask is None or np.mean(frame.mask) < MOST_BAD:
            good.append(name)
    if not good:
        raise trouble or NightError(
            f"no science frame can be used: in {', '.join(names[:3])} more than "
            f"{100 * MOST_BAD:.0f} % of the pixels are saturated or bad"
        )
    return good


def mean_frame(chosen, calibration, names):
    """Combine science frames into one in electron."""
    times = _exposure_times(chosen)
    loaders = [
        lambda name=name: calibration.door.electrons(name, "science", times[name]) for name in names
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
        counted = ", ".join(f"{i} is {name}" for i, name in enumerate(names))
        raise NightError(
            f"the science frames cannot be combined: {error} (Frame {counted}.)"
        ) from error


def look_at_single_frames(chosen, calibration, names, traces, neighbours):
    """
    Fit every star in single exposures, because a mean frame has a profile that none of them had.

    Between exposures the stars drift and the seeing changes: their mean is wider and of another
    shape, and its wings would put each exposure's flux wrong by parts in a thousand.

    Parameters
    ----------
    chosen : ChosenFrames
    calibration : Calibration
    names : sequence of str
        The exposures to look at.
    traces : dict of str to `~slitlapse.trace.ProfileTrace`
        Of the mean frame.
    neighbours : dict of str to list of float
        Distances of other stars in a star's window.

    Returns
    -------
    alike : list of str or None
        The third of the exposures in which the stars were most alike; None where all are alike
        enough, or too few to choose.
    betas : dict of str to float or array of shape (n_x,)
        Exponent of each star's wings; only of stars that are bright enough to tell it.
    """
    times = _exposure_times(chosen)
    read_noise = float(np.median(calibration.door.read_noise(names[0])))
    brightest = max(traces, key=lambda name: np.nansum(traces[name].table["amplitude"].value))
    width = float(np.median(traces[brightest].width))
    found, wings = [], {name: [] for name in traces}
    for frame_name in names:
        frame = calibration.door.electrons(frame_name, "science", times[frame_name])
        frame = calibration.within_slit(frame)
        shift = measure_profile_shift(frame, traces[brightest], read_noise=read_noise)
        found.append((shift.offset / width, shift.width_factor))
        for name, trace in traces.items():
            if not _has_clear_wings(trace):
                continue
            guess = np.asarray(trace.trace, float)[len(trace.width) // 2]
            try:
                single = ProfileTrace(
                    frame, guess=guess + shift.offset if np.isfinite(shift.offset) else guess,
                    read_noise=read_noise, neighbours=neighbours[name],
                )  # fmt: skip
            except StarNotFoundError:
                continue  # too faint in a single exposure: the mean frame is what there is
            if _has_clear_wings(single):
                wings[name].append((1 / single.beta, single.beta_uncertainty / single.beta**2))
    return _alike(names, np.array(found)), _mean_wings(wings)


def _alike(names, found):
    """Choose the exposures nearest to the typical shift and width."""
    seen = np.flatnonzero(np.isfinite(found).all(axis=1))
    if len(seen) < FEWEST_TO_CHOOSE:
        return None
    away = np.hypot(*(found[seen] - np.median(found[seen], axis=0)).T)
    if not np.median(away) > BLUR:
        return None
    best = seen[np.argsort(away)[: max(3, len(away) // 3)]]
    return [names[i] for i in sorted(best)]


def _has_clear_wings(trace):
    """Whether the exponent of a star's wings was measured well."""
    error = trace.beta_uncertainty
    return error is not None and bool(np.all((error > 0) & (error < CLEAR_WINGS * trace.beta)))


def _mean_wings(wings):
    """
    Weighted mean of 1 / beta, whose errors are more even than those of beta.

    A number, or an array along the spectrum where most exposures show that it changes there.
    """
    betas = {}
    for name, found in wings.items():
        if not found:
            continue
        if np.mean([np.ndim(shape) > 0 for shape, _ in found]) <= 0.5:
            found = [(np.mean(shape), np.mean(error)) for shape, error in found]
        value, error = (np.stack(np.broadcast_arrays(*part)) for part in zip(*found, strict=True))
        betas[name] = 1 / np.average(value, axis=0, weights=error**-2.0)
    return betas


def _exposure_times(chosen):
    """Exposure time of every science frame by its name."""
    table = chosen["science"]
    return dict(zip(map(str, table["filename"]), table["exposure_time"], strict=True))


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
    found = find_stars(calibration.within_slit(image), threshold=SEARCH_THRESHOLD)
    if not len(found):
        raise NightError(
            f"{night.source}: no star stands out on the slit in the mean of the science frames; "
            "give its position in [stars], for example A = 123.4"
        )
    letters = string.ascii_uppercase
    rows = found["position"].to_value(u.pix)
    return {letters[i]: float(row) for i, row in enumerate(rows[: len(letters)])}


def trace_stars(image, rows, read_noise, night, betas=None, notes=None):
    """
    Trace every star, fitting those that share a window together.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    rows : dict of str to float
        Where each star is, at the middle of the dispersion axis.
    read_noise : float
        Of one pixel of ``image``, electron.
    night : Night
    betas : dict of str to float, optional
        Exponents of the wings that are known already.
    notes : list of str, optional
        Gets a sentence for each star that cannot be traced; without it that is an error.

    Returns
    -------
    dict of str to `~slitlapse.trace.ProfileTrace`
    """
    traces, betas = {}, {} if betas is None else betas
    for name, row in rows.items():
        options = {"guess": row, "read_noise": read_noise, "beta": betas.get(name)}
        try:
            trace = ProfileTrace(image, **options)
            # not by its window: that is cut short half-way to a neighbour, and wider where it is
            # alone, but a star outside it cannot be fitted with it
            width = float(np.median(trace.width))
            far = max(NEAR * width, WINDOWS * width + SPARE)
            near = [other - row for other in rows.values() if 0 < abs(other - row) < far]
            if near:
                trace = ProfileTrace(image, neighbours=near, **options)
        except StarNotFoundError as error:
            if notes is None:
                raise NightError(
                    f"{night.source}: star {name} cannot be traced from row {row:.1f}: {error}"
                ) from error
            notes.append(f"What stands out at row {row:.1f} is left out: {error}")
            continue
        traces[name] = trace
    if not traces:
        raise NightError(
            f"{night.source}: nothing that stands out on the slit (rows "
            f"{', '.join(f'{row:.1f}' for row in rows.values())}) can be traced; give the position "
            "of the stars in [stars], for example A = 123.4"
        )
    return traces
