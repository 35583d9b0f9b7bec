"""What can go wrong in a night? Each defect by its name, to be put into a simulated one."""

from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from slitlapse.automation.log import NightError

__all__ = ["DEFECTS", "add_defects"]

OTHER_LAMPS = ("Kr+Xe", "CuAr", "HgCd")  # what shines instead: the first that shares no lamp


def add_defects(defects, conditions, stars, detector, lamps):
    """
    Put defects into the plan of a night.

    Parameters
    ----------
    defects : sequence of str
        Keys of `DEFECTS`.
    conditions : `~slitlapse.automation.conditions.Conditions`
    stars : tuple of `~slitlapse.automation.scene.SimulatedStar`
    detector : `~slitlapse.automation.detector.SimulatedDetector`
    lamps : str
        That the arcs' headers name.

    Returns
    -------
    conditions, stars
        With the defects.

    Raises
    ------
    NightError
        Where there is no such defect, or it needs more stars.
    """
    for name in [defects] if isinstance(defects, str) else defects:
        if name not in DEFECTS:
            close = get_close_matches(name, DEFECTS, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise NightError(f"there is no defect '{name}'; {hint}Known are {', '.join(DEFECTS)}")
        _, change = DEFECTS[name]
        conditions, stars = change(conditions, tuple(stars), detector, lamps)
    return conditions, stars


def _saturated(conditions, stars, detector, lamps):
    """The first star's brightest pixels hold half as many electrons again as saturate."""
    share = 0.94 / conditions.seeing  # of a Gaussian's light in its brightest pixel
    level = 1.5 * detector.full_well / share
    return conditions, (replace(stars[0], level=level), *stars[1:])


def _variable(conditions, stars, detector, lamps):
    """The last comparison star changes by 3 %."""
    if len(stars) < 3:
        raise NightError(
            f"a variable comparison star is found by comparing it with others: the defect "
            f"'variable-comparison' needs 3 stars or more, but there are {len(stars)}"
        )
    return conditions, (*stars[:-1], replace(stars[-1], variation=0.03))


def _red_noise(conditions, stars, detector, lamps):
    """The first star flickers by half a per cent over some exposures."""
    return conditions, (replace(stars[0], variation=0.005, period=0.17), *stars[1:])


def _wrong_arc(conditions, stars, detector, lamps):
    """Other lamps shone than the header names."""
    named = set(lamps.split("+"))
    for other in OTHER_LAMPS:
        if not any(lamp in other for lamp in named):
            return conditions.changed(arc_lamps=other), stars
    raise NightError(f"none of the lamps {', '.join(OTHER_LAMPS)} is unlike {lamps}")


def _changed(**changes):
    """A defect that is nothing but other conditions."""

    def change(conditions, stars, detector, lamps):
        return conditions.changed(**changes), stars

    return change


def _scaled(**factors):
    """A defect that is a multiple of the seeing."""

    def change(conditions, stars, detector, lamps):
        values = {name: factor * conditions.seeing for name, factor in factors.items()}
        return conditions.changed(**values), stars

    return change


def _without(*kinds):
    """A defect that is a kind of frame nobody took."""

    def change(conditions, stars, detector, lamps):
        lacking = tuple(np.unique([*conditions.without, *kinds]).tolist())
        return conditions.changed(without=lacking), stars

    return change


DEFECTS = {  # name: what it is, and how it changes conditions and stars
    "saturated": ("the first star is too bright for the detector", _saturated),
    "clouds": ("a cloud takes 60 % of the light for a while", _changed(cloud_bank=0.6)),
    "drift": ("the stars move by twice the seeing along the slit", _scaled(drift=2.0)),
    "unstable-shift": ("the spectrum moves by 2 pixels", _changed(flexure=2.0)),
    "bad-seeing": ("the seeing changes by a factor of two", _changed(seeing_change=0.4)),
    "wrong-arc": ("other lamps shone than the headers say", _wrong_arc),
    "moved-arc": ("the arc lies 6 pixels off the exposures", _changed(arc_shift=6.0)),
    "variable-comparison": ("the last comparison star varies by 3 %", _variable),
    "red-noise": ("the first star flickers by 0.5 % over some exposures", _red_noise),
    "hits": ("a hundred times as many cosmic rays as usual", _changed(cosmic_rays=5.0)),
    "hot-pixels": ("one pixel of a hundred is hot", _changed(hot_pixels=0.01)),
    "missing-bias": ("nobody took biases", _without("bias")),
    "missing-flat": ("nobody took flats", _without("flat")),
    "missing-arc": ("nobody took an arc", _without("arc")),
    "torn-frame": ("the file of one exposure was cut off in the middle", _changed(torn_frames=1)),
}
