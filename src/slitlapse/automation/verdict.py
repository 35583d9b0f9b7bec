"""What would an experienced observer say about this night?"""

import astropy.units as u
import numpy as np
from scipy.ndimage import binary_dilation

from slitlapse.automation.comparisons import check_comparisons
from slitlapse.automation.light_curves import light_curves
from slitlapse.automation.scatter import residuals_of

__all__ = ["find_target", "judge_night"]

SATURATED, LOST, GAP = 4, 3, 8  # bits of ``reasons``
MANY_SATURATED = 0.005  # of all samples
MANY_LOST = 0.02
MUCH_LIGHT_LOST = 0.003  # of the light, on bad pixels
MANY_HITS = 0.015  # pixels rejected, per column
LARGE_DRIFT = 1.0  # of the FWHM along the slit
SEEING_CHANGE = 1.6  # largest over smallest
UNSTABLE = 0.5  # pixels along the dispersion
CLOUDY = 0.2  # change of white light beside that of the airmass
MOST_EXTINCTION = 0.8  # magnitudes per airmass
BRIGHTER_SKY = 2.0  # highest over lowest level
SKY_LIMITED = 2.0  # noise of the sky over that of the star, as variances
RED, CERTAIN = 1.5, 5.0  # scatter over expected noise, and standard errors beyond 1
CHANCE = 1e-3  # that noise without memory looks as correlated
POOR_FIT = 0.4  # pixels that half of the lines lie off the solution


def judge_night(series, solutions, *, arcs=None, checks=None):
    """
    Say what deserves attention, one sentence each.

    Parameters
    ----------
    series : dict of str to SpectralTimeSeries
        Of the same exposures.
    solutions : dict of str to StarWavelengths
    arcs : int, optional
        How many arcs there were to solve with, where that is known.
    checks : dict of str to WavelengthCheck or None, optional
        What the exposures' own lines say of each star's wavelengths.

    Returns
    -------
    list of str
        Empty for a night that is as it should be.
    """
    if not series:
        return []
    sentences = [
        *_judge_pixels(series),
        *_judge_wavelengths(series, solutions, arcs),
        *_judge_checks({} if checks is None else checks),
        *_judge_sky(series),
    ]
    if next(iter(series.values())).shape[1] > 1:
        sentences += [*_judge_motion(series), *_judge_clouds(series), *_judge_noise(series)]
    return sentences


def find_target(series):
    """
    Tell the target from its comparison stars.

    Parameters
    ----------
    series : dict of str to SpectralTimeSeries

    Returns
    -------
    target : SpectralTimeSeries
        The star called "target", else the first.
    comparisons : list of SpectralTimeSeries
        The others, as far as their wavelengths are of the same kind.
    """
    first = next((name for name in series if name.lower() == "target"), next(iter(series)))
    target = series[first]
    unit = target.wavelength.unit  # pixels, where the lamps gave no wavelengths
    others = [star for name, star in series.items() if name != first]
    return target, [star for star in others if star.wavelength.unit.is_equivalent(unit)]


def _names(names):
    """Stars in words: "star A", "stars A and B"."""
    names = list(names)
    if len(names) == 1:
        return f"star {names[0]}"
    return f"stars {', '.join(names[:-1])} and {names[-1]}"


def _judge_pixels(series):
    """Saturation, bad pixels, hits."""
    shares, lost = {}, {}
    for name, star in series.items():
        used = ~star.mask.all(axis=0)  # an exposure that is lost as a whole is a note, not this
        if not used.any():
            continue
        reasons = star.fluxlike["reasons"].value.astype(int)[:, used]
        saturated = (reasons & SATURATED) != 0
        shares[name] = saturated.mean()
        # what a saturated pixel bleeds into is a matter of saturation
        near = binary_dilation(saturated.any(axis=1), iterations=3)
        near |= ((reasons & GAP) != 0).any(axis=1)  # nobody expects light there
        if near.all():
            continue
        light = np.nan_to_num(star.fluxlike["bad_fraction"].value)[:, used][~near].mean()
        light -= _hits(star) / 10  # a hit pixel holds about a tenth of a column's light
        gone = ((reasons & LOST) != 0)[~near].mean()
        lost[name] = max(light, gone if gone > MANY_LOST else 0)
    for name, share in shares.items():
        if share > MANY_SATURATED:
            yield (
                f"Star {name} is saturated in {100 * share:.1f} % of its samples; they are "
                "masked. Expose less, or do not trust its brightest wavelengths."
            )
    bad = {name: share for name, share in lost.items() if share > MUCH_LIGHT_LOST}
    if bad:
        yield (
            f"Bad pixels took {100 * max(bad.values()):.1f} % of the light of {_names(bad)}: what "
            "is missing was made up for by the profile; look whether the list of bad pixels is "
            "right."
        )
    # hits fall on all stars alike; what is rejected from one only is the fault of its profile
    rate = min(_hits(star) for star in series.values())
    if rate > MANY_HITS:
        yield (
            f"Many cosmic rays: {100 * rate:.0f} pixels or more were rejected per 100 columns and "
            "exposure from every star. Shorter exposures would lose less."
        )


def _hits(star):
    """Pixels rejected per column, in a typical exposure."""
    used = ~star.mask.all(axis=0)
    if "n_hit" not in star.timelike.colnames or not used.any():
        return 0.0
    return float(np.mean(np.asarray(star.timelike["n_hit"], float)[used])) / star.shape[0]


def _judge_wavelengths(series, solutions, arcs):
    """Lamps that are not what the headers say, and solutions that fit badly."""
    without = [name for name in series if name not in solutions]
    if without and arcs == 0:
        yield f"No arc was taken: the spectra of {_names(without)} count pixels."
    elif without:
        yield (
            f"The wrong arc? Its lines are not those of the lamps in its header, so that the "
            f"spectra of {_names(without)} count pixels. Name the lamps that shone in [lamps]."
        )
    for name in series:
        if name not in solutions:
            continue
        lines = solutions[name].main.lines
        if lines is None or not np.any(lines["used"]):
            continue
        scale = np.median(np.abs(np.diff(solutions[name].main.wavelength.to_value(u.AA))))
        left = u.Quantity(lines["residual"], u.AA).value[np.asarray(lines["used"], bool)] / scale
        off = np.median(np.abs(left))  # blends may lie farther off than that, a few of them
        if off > POOR_FIT:
            yield (
                f"The arc's lines lie {off:.1f} pixels off the wavelength solution of star "
                f"{name}: lines may be mistaken for others."
            )


def _judge_checks(checks):
    """Arcs whose wavelengths do not hold for the exposures."""
    off = {name: check for name, check in checks.items() if check is not None and check.is_off}
    if off:
        check = max(off.values(), key=lambda each: each.significance)
        yield (
            f"The arc does not hold for the exposures: with the wavelengths of {_names(off)}, "
            f"{check.source} lie {check.words}. Nothing was corrected: take an arc at the "
            "telescope's position, name another one in [frames], or move the wavelengths by "
            "that much yourself."
        )


def _judge_sky(series):
    """Moonlight, twilight, and a sky that outshines the star."""
    changes = {}
    for name, star in series.items():
        level = _values(star, "sky_level")
        if level.size and np.min(level) > 0:
            changes[name] = np.max(level) / np.min(level)
    risen = {name: factor for name, factor in changes.items() if factor > BRIGHTER_SKY}
    if risen:
        yield (
            f"The sky brightened by a factor of {max(risen.values()):.1f} in the course of the "
            "night: moonlight, twilight or lit clouds."
        )
        return
    drowned = {}
    for name, star in series.items():
        if not {"variance_sky", "variance_star"} <= set(star.fluxlike):
            continue
        parts = [star.fluxlike[f"variance_{part}"].value[~star.mask] for part in ("sky", "star")]
        sky, own = (np.nanmedian(part) if part.size else np.nan for part in parts)
        if sky > SKY_LIMITED * own:
            drowned[name] = np.sqrt(sky / own) if own > 0 else np.inf
    if drowned:
        yield (
            f"A bright sky: it gives {max(drowned.values()):.1f} times the noise of the light of "
            f"{_names(drowned)} itself. Moonlight, or a star too faint for its aperture."
        )


def _values(star, name):
    """A column as far as it is known, in exposures that are not lost."""
    if name not in star.timelike.colnames:
        return np.array([])
    values = u.Quantity(star.timelike[name]).value[~star.mask.all(axis=0)]
    return values[np.isfinite(values)]


def _judge_motion(series):
    """Drifts along the slit and along the dispersion, and the seeing."""
    drifts, moves, seeing = {}, {}, 1.0
    for name, star in series.items():
        drift, fwhm = _values(star, "spatial_shift"), _values(star, "seeing")
        if drift.size and fwhm.size:
            seeing = max(seeing, fwhm.max() / fwhm.min())
            if np.ptp(drift) > LARGE_DRIFT * np.median(fwhm):
                drifts[name] = (np.ptp(drift), np.ptp(drift) / np.median(fwhm))
        shift = _values(star, "wavelength_shift")
        error = _values(star, "wavelength_shift_uncertainty")
        # the two most distant of many noisy shifts are 5 standard deviations apart
        if shift.size > 1 and error.size and np.ptp(shift) > UNSTABLE + 5 * np.median(error):
            moves[name] = np.ptp(shift)
    if drifts:
        pixels, widths = max(drifts.values())
        yield (
            f"The image of {_names(drifts)} drifted by {pixels:.1f} pixels along the slit "
            f"({widths:.1f} times its width): the apertures followed, but look for slit losses in "
            "the light curves."
        )
    if moves:
        yield (
            f"An unstable shift: the spectrum of {_names(moves)} moved by "
            f"{max(moves.values()):.2f} pixels along the dispersion. Use wavelength_2d when you "
            "bin, or bins will mix."
        )
    if seeing > SEEING_CHANGE:
        yield (
            f"The seeing changed by a factor of {seeing:.1f}: the slit and the apertures lost a "
            "varying part of the light."
        )


def _judge_clouds(series):
    """Light that all stars lose together, beside what the air takes as its path grows."""
    curves = []
    for star in series.values():
        white = star.bin(wavelength=star.shape[0])
        flux = np.where(white.mask[0], np.nan, white.flux.value[0])
        middle = np.nanmedian(flux) if np.isfinite(flux).any() else np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            curves.append(np.log(np.where(flux > 0, flux / middle, np.nan)))
    known = np.isfinite(curves).any(axis=0)
    if known.sum() < 3:
        return
    common = np.nanmedian(np.array(curves)[:, known], axis=0)
    airmass = u.Quantity(next(iter(series.values())).timelike["airmass"]).value[known]
    slope = 0.0
    if np.isfinite(airmass).all() and np.ptp(airmass) > 0.02:
        slope = np.polyfit(airmass, common, 1)[0]
        slope = np.clip(slope, -MOST_EXTINCTION / 1.0857, 0)
    left = common - slope * airmass if slope else common
    change = 1 - np.exp(-np.ptp(left))
    if change > CLOUDY:
        stars = "the stars lost" if len(series) > 1 else "the star lost"
        yield (
            f"Cloudy: {stars} up to {100 * change:.0f} % of the light for a while. Trust ratios "
            "of stars more than single ones, and check the slit."
        )


def _judge_noise(series):
    """Comparison stars that vary, and light curves that do not scatter as noise does."""
    target, others = find_target(series)
    if not others:
        return
    try:
        check = check_comparisons(others, target)
        quiet = check.quiet(others) or others
        left = residuals_of(light_curves(target, quiet), transit=True)
    except ValueError:  # stars that have no wavelength in common: there is nothing to compare
        return
    for name in check.variable:
        yield (
            f"Comparison star {name} varies: its light over that of the others scatters more than "
            "noise does. Leave it out."
        )
    excess, n_free = left.excess[0], left.n_free[0]
    if not (n_free >= 8 and excess > RED):
        return
    if excess - 1 < CERTAIN * left.excess_uncertainty[0]:
        return
    words = f"The light of {_names([target.name])} over its comparison stars"
    if left.chance_of_correlation[0] < CHANCE:
        yield (
            f"Red noise: {words[0].lower()}{words[1:]} scatters {excess:.1f} times as much as its "
            "noise budget, in waves from exposure to exposure: it will not average down."
        )
    else:
        yield (
            f"{words} scatters {excess:.1f} times as much as its noise budget, differently in "
            "each exposure: scintillation, or hits that were not found."
        )
