"""Do the arc's wavelengths hold for the exposures? Ask lines that sky and air have themselves."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from slitlapse.wavelength import (
    convert_medium,
    find_offset,
    measure_oxygen,
    measure_zero_point,
    sky_line_list,
    sunlight_lines,
)

__all__ = ["WavelengthCheck", "check_wavelengths", "tell_check", "tell_unchecked"]

LARGE = 0.5  # pixels; an offset beyond it is worth a sentence
CERTAIN = 5.0  # standard deviations, likewise
KNOWN_TO = 0.05  # pixels; blends and what is not listed leave that much in any case
# A star beside the middle of the slit has its own lines, and those of the air, off by a pixel or
# so, and what it absorbs itself near the bands of oxygen does the rest.
LARGE_OF_STARS, STARS_KNOWN_TO = 2.0, 0.3
OXYGEN = (0.4, 2.5)  # seen over expected; anything else is not oxygen
CLEAR = 40.0  # contrast above which the offset is not a chance
# pixels in which lines are looked for, contrast that is asked for, and places that agree: the
# farther, the more chances
REACHES = ((30.0, CLEAR, 2), (150.0, 2.5 * CLEAR, 3))
SUN = "sunlight"


@dataclass(frozen=True)
class WavelengthCheck:
    """
    What the exposures' own lines say of the wavelengths that the arc gave.

    Parameters
    ----------
    shift, shift_uncertainty : float
        Pixels by which known lines lie at larger x, and so too far to the red, than the
        wavelengths say.
    source : str
        Which lines, in words.
    n_lines : int
        How many of them, or how many stretches of the spectrum.
    dispersion : float
        Angstrom per pixel.
    large, known_to : float
        Pixels that are worth a sentence, and that no such measurement is better than.

    Examples
    --------
    >>> check = WavelengthCheck(-17.2, 0.4, "lines of the sky", 9, dispersion=0.84)
    >>> check.is_off
    True
    >>> check.words
    '17.2 ± 0.4 pixels (14.4 angstrom) too far to the blue'
    """

    shift: float
    shift_uncertainty: float
    source: str
    n_lines: int
    dispersion: float
    large: float = LARGE
    known_to: float = KNOWN_TO

    @property
    def significance(self):
        """Offset over its uncertainty, blends allowed for."""
        return abs(self.shift) / np.hypot(self.shift_uncertainty, self.known_to)

    @property
    def is_off(self):
        """Whether the wavelengths are off by more than is ``large``, and surely so."""
        return bool(abs(self.shift) > self.large and self.significance > CERTAIN)

    @property
    def words(self):
        """The offset: how much, and to which side."""
        digits = 1 if abs(self.shift) > 1 else 2
        side = "red" if self.shift > 0 else "blue"
        return (
            f"{abs(self.shift):.{digits}f} ± {max(self.shift_uncertainty, 0.1**digits):.{digits}f} "
            f"pixels ({abs(self.shift * self.dispersion):.{digits}f} angstrom) too far to the "
            f"{side}"
        )


def check_wavelengths(series, wavelengths):
    """
    Measure how far the lines of the sky lie off the wavelengths of one star.

    Emission lines are asked first, the Sun's lines in moonlight or twilight where there are none;
    where the sky is too faint, the oxygen that the air puts into the star's own light. Where
    several arcs were used, the exposures of each are looked at by themselves.

    Parameters
    ----------
    series : SpectralTimeSeries
    wavelengths : StarWavelengths

    Returns
    -------
    WavelengthCheck or None
        The largest offset over its uncertainty; None where nothing can tell.
    """
    if "sky" not in series.fluxlike:
        return None
    found = []
    for solution, members in _groups(series, wavelengths):
        sky = np.where(series.mask, np.nan, series.fluxlike["sky"].value)[:, members]
        check = check_sky(_typical(sky), solution)
        if check is None:
            check = check_star(*_typical_star(series, members), solution)
        found += [] if check is None else [check]
    return max(found, key=lambda check: check.significance, default=None)


def _groups(series, wavelengths):
    """Solutions, and which exposures each of them is for."""
    if len(wavelengths.solutions) == 1 or "wavelength" not in series.fluxlike:
        yield wavelengths.main, slice(None)
        return
    used = series.fluxlike["wavelength"].to_value(u.AA)
    middle = len(used) // 2
    each = np.array([s.wavelength.to_value(u.AA)[middle] for s in wavelengths.solutions])
    nearest = np.abs(used[middle] - each[:, None]).argmin(axis=0)
    for index in np.unique(nearest):
        solution, members = wavelengths.solutions[index], nearest == index
        # between two arcs wavelengths may be interpolated: a shift, nearly
        away = np.median(used[middle, members]) - each[index]
        yield solution.shifted(-away / solution.dispersion(middle).value), members


def check_sky(sky, solution):
    """
    Measure how far the lines of a spectrum of the sky lie off a solution.

    Parameters
    ----------
    sky : array, shape (n_x,)
        Not finite where it is not known.
    solution : `~slitlapse.wavelength.WavelengthSolution`

    Returns
    -------
    WavelengthCheck or None
    """
    rough = _search(sky, solution)
    if rough is None:
        return None
    scale = float(np.median(np.abs(np.diff(solution.wavelength.to_value(u.AA)))))
    if rough.shares.get(SUN, 0.0) < 0.5:
        try:
            return _by_single_lines(sky, solution, rough, scale)
        except ValueError:
            pass  # fewer than two stand alone: what all of them tell together remains
    words = "lines of the sky"
    if rough.shares.get(SUN, 0.0) >= 0.5:
        words = "lines of sunlight in the sky"
    check = WavelengthCheck(rough.shift, rough.shift_uncertainty, words, rough.n_places, scale)
    # what is known no better than that, and shows no large offset, has checked nothing
    return check if check.is_off or rough.shift_uncertainty < LARGE else None


def _search(sky, solution):
    """Look nearby first, farther away unless lines are where they should be; None: no answer."""
    features, best = known_features(solution.medium), None
    for reach, clear, places in REACHES:
        try:
            found = find_offset(sky, solution, features, absorption=[SUN], max_shift=reach)
        except ValueError:  # nothing in this range, or too faint
            continue
        # at the end of the reach, what was found may be the slope of something beyond it
        inside = abs(found.shift) < reach - 3
        if inside and found.contrast > clear and found.n_places >= places:
            best = found if best is None or found.contrast > best.contrast else best
            if abs(best.shift) < best.fwhm:
                break
    return best


def _typical(values):
    """Median over the exposures, NaN where there is none, shape (n_x,)."""
    typical = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    typical[some] = np.nanmedian(values[some], axis=1)
    return typical


def _typical_star(series, members):
    """Median spectrum of a star and its uncertainty."""
    flux, error = (
        _typical(np.where(series.mask, np.nan, values.value)[:, members])
        for values in (series.flux, series.uncertainty)
    )
    number = np.zeros(series.shape[1])[members].size
    return flux, error * (1.25 if number > 2 else 1.0) / np.sqrt(number)


def check_star(flux, uncertainty, solution):
    """
    Measure how far the bands of oxygen in a star's spectrum lie off a solution.

    Parameters
    ----------
    flux, uncertainty : array, shape (n_x,)
        Not finite where it is not known.
    solution : `~slitlapse.wavelength.WavelengthSolution`

    Returns
    -------
    WavelengthCheck or None
    """
    try:
        found = measure_oxygen(flux, solution, uncertainty=uncertainty)
    except ValueError:  # out of range
        return None
    if found.contrast < CLEAR or not OXYGEN[0] < found.strength < OXYGEN[1]:
        return None
    scale = float(np.median(np.abs(np.diff(solution.wavelength.to_value(u.AA)))))
    return WavelengthCheck(
        found.shift, found.shift_uncertainty, "bands of the air's oxygen", len(found.bands), scale,
        large=LARGE_OF_STARS, known_to=STARS_KNOWN_TO,
    )  # fmt: skip


def _by_single_lines(sky, solution, rough, scale):
    """Ask the emission lines one by one: each has a background of its own."""
    lines = sky_line_list(medium=solution.medium, fwhm=rough.fwhm * scale)
    fine = measure_zero_point(
        sky, solution.shifted(rough.shift), lines, fwhm=rough.fwhm,
        max_shift=max(0.75 * rough.fwhm, 2.0), shining=sky_line_list(medium=solution.medium),
    )  # fmt: skip
    shift, n_lines = rough.shift + fine.shift, int(np.sum(fine.lines["used"]))
    return WavelengthCheck(shift, fine.shift_uncertainty, "lines of the sky", n_lines, scale)


def known_features(medium):
    """Kinds of lines that the sky may have: wavelengths in a medium, and strengths."""
    lines = sky_line_list(medium=medium)
    ions, strength = np.asarray(lines["ion"]).astype(str), np.asarray(lines["strength"])
    kinds = {
        ion: (lines["wavelength"][ions == ion], strength[ions == ion])
        for ion in np.unique(ions).tolist()
    }
    wavelength, width = sunlight_lines()
    return kinds | {SUN: (convert_medium(wavelength, "air", medium), width)}


def tell_check(check):
    """
    Say in one sentence what was found.

    Parameters
    ----------
    check : WavelengthCheck or None
    """
    if check is None:
        return "Nothing in the exposures tells whether the wavelengths hold for them."
    close = abs(check.shift) < check.large
    end = "" if check.is_off else ", which is near enough" if close else ", which may be chance"
    return f"In the exposures, {check.source} ({check.n_lines} of them) lie {check.words}{end}."


def tell_unchecked(checks, solutions):
    """
    Say for which stars nothing tells whether the wavelengths hold.

    Parameters
    ----------
    checks : dict of str to WavelengthCheck or None
    solutions : dict of str to StarWavelengths

    Returns
    -------
    list of str
        At most one sentence.
    """
    names = [name for name in solutions if checks.get(name) is None]
    if not names:
        return []
    ends = solutions[names[0]].main.wavelength[[0, -1]].to_value(u.AA)
    return [
        f"The wavelengths of {', '.join(names)} could not be checked on the exposures: between "
        f"{ends.min():.0f} and {ends.max():.0f} angstrom no line of the sky or the air tells; "
        "they hold if the arc was taken at the telescope's position"
    ]
