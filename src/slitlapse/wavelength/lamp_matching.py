"""Of several guesses at the dispersion relation, which one do the lines of all lamps support?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

__all__ = ["ArcLines", "LampMatch", "match_guesses", "relative_strength"]

BEND_PRIOR = (0.04, 0.01, 0.003, 0.001)  # Legendre terms 2 to 5 over half the span, one sigma
N_BRIGHT, N_LINES = 80, 150  # lines of each arc in the first and in the last comparison
HOLLOW_CATHODE = {"Fe", "Cu", "Th"}  # their discharge ionises the gas they are filled with
N_FIRST, N_RIVALS = 16, 4  # guesses, and others far from the best, that are compared at first
ANOTHER = 1.5  # line widths from which a relation is another one
UNMISTAKABLE = 30.0  # log odds from which a relation needs no more rivals, if the best has half
BRIGHTNESS_SCATTER = 1.2  # natural log of a line's flux over its listed strength, within one ion
ION_SCATTER = 1.5  # the same, from ion to ion
BLEND_SHARE = 1.0  # natural log by which members' brightness may differ from the listed
ANY_BRIGHTNESS = 0.03  # floor: some lines are as bright as nobody expects


class ArcLines(NamedTuple):
    """What one arc shows, and what its lamps are known to shine at, as plain arrays."""

    pixel: np.ndarray  # centres of the lines seen
    uncertainty: np.ndarray
    flux: np.ndarray
    chance: np.ndarray  # that a line seen is a listed one
    wavelength: np.ndarray  # of the lines listed, angstrom
    strength: np.ndarray  # relative, see `relative_strength`
    ion: np.ndarray


class ListedLines(NamedTuple):
    """A lamp's lines at the resolution of the spectrograph, as plain arrays."""

    wavelength: np.ndarray  # of the peak of each blend, angstrom
    spread: np.ndarray  # how far it moves where a member is brighter by e; zero for one line
    strength: np.ndarray  # of all members, on the scale of the brightest one's ion
    flux: np.ndarray  # expected: the strength times a factor per ion, learned from matches
    ion: np.ndarray  # of the brightest member


class NearPairs(NamedTuple):
    """Which listed lines each line seen may be by its place: arrays of shape (n_seen, n_near)."""

    index: np.ndarray  # into the listed lines
    bell: np.ndarray  # density of the offset, per pixel; zero where the row is padded
    variance: np.ndarray


@dataclass(frozen=True, eq=False)
class LampMatch:
    """
    The best supported dispersion relation, and how much better it is than chance and than others.

    Parameters
    ----------
    coefficients : array of shape (6,)
        Legendre coefficients (angstrom) on pixels mapped to -1 ... +1.
    evidence : float
        Natural logarithm of the Bayes factor against lines that have nothing to do with the list:
        below zero it is chance, above 5 it is not.
    rival : float
        The same for the best relation that differs by more than a line width.
    weakest : float
        The lowest mean log odds of the lines of any fifth of the detector's lines: below zero, a
        part of the relation (an end, mostly) is wrong.
    listed : list of `ListedLines`
        Per arc, the lamp's lines as this spectrograph sees them under this relation.
    expected : list of array
        Per arc, the flux expected of every line in the lamp's list.
    """

    coefficients: np.ndarray
    evidence: float
    rival: float
    weakest: float
    listed: list
    expected: list

    @property
    def clear(self):
        """Whether others were compared, and none has half of its log odds."""
        return bool(self.evidence > max(UNMISTAKABLE, 2 * self.rival) and np.isfinite(self.rival))

    @property
    def unmistakable(self):
        """Whether it is clear, and all parts agree."""
        return self.clear and self.weakest > 0


def match_guesses(arcs, guesses, n_pixels, *, prior, fwhm, start_sigma, n_final=8):
    """
    Let every guess settle onto the lines, and compare what supports them.

    Each guess is refined by expectation and maximisation: every observed line belongs to the
    listed ones in proportion to their nearness and to how well its brightness suits theirs, the
    relation is fitted to that, and nearness is made narrower from step to step.

    Parameters
    ----------
    arcs : list of `ArcLines`
    guesses : array of shape (n_guesses, 3)
        Wavelength = a0 + a1 v + a2 v**2 with v from -1 to +1 along the detector.
    n_pixels : int
    prior : (float, float)
        One sigma of what was known beforehand of the wavelength at the middle, and of half the
        span, in angstrom: the less was known, the more lines are needed.
    fwhm : float
        Line width in pixels.
    start_sigma : float
        How far off (pixels) the guesses may be.
    n_final : int
        How many guesses are followed to the end.

    Returns
    -------
    match : `LampMatch`

    Raises
    ------
    ValueError
        If there is nothing to match: no guess, or no line.
    """
    if not len(guesses) or not sum(len(arc.pixel) for arc in arcs):
        raise ValueError("There is nothing to match: no guess at the dispersion, or no line.")
    bright = [_brightest(arc, N_BRIGHT) for arc in arcs]  # crowds only confuse while far off
    arcs = [_brightest(arc, N_LINES) for arc in arcs]
    a0, a1, a2 = np.transpose(guesses)
    starts = np.stack([a0 + a2 / 3, a1, 2 * a2 / 3, *np.zeros((3, len(a0)))], axis=1)
    first = np.zeros(len(starts), bool)
    first[:N_FIRST] = True
    rivals = _apart(starts, starts[0], n_pixels) > start_sigma + ANOTHER * fwhm
    first[np.flatnonzero(rivals)[:N_RIVALS]] = True
    coarse = max(1.2, 2 * _end_sigma(fwhm))
    ladder, states = np.geomspace(start_sigma, coarse, 6), []
    for batch, n_followed in ((starts[first], max(n_final // 2, 1)), (starts[~first], n_final)):
        states += [_settle(bright, start, n_pixels, ladder, prior, fwhm) for start in batch]
        different = _without_twins(states, n_pixels)
        match = _follow(different, n_followed, bright, arcs, n_pixels, prior, fwhm)
        if match.unmistakable or first.all():
            break
    return match


def _apart(coefficients, reference, n_pixels):
    """How many pixels relations differ from one of them, at the median along the detector."""
    wave = legendre.legval(np.linspace(-0.9, 0.9, 19), np.transpose(coefficients - reference))
    return np.median(np.abs(wave), axis=-1) * 0.5 * (n_pixels - 1) / abs(reference[1])


def _end_sigma(fwhm):
    return max(0.25, 0.1 * fwhm)


def _follow(states, n_final, bright, arcs, n_pixels, prior, fwhm):
    """Follow the best states to the end, and compare the best of them with what differs from it."""
    end_sigma = _end_sigma(fwhm)
    coarse = max(1.2, 2 * end_sigma)
    ladder = np.append(np.geomspace(2 * coarse, coarse, 3), [coarse] * 2)
    apart = _apart(np.array([state[0] for state in states]), states[0][0], n_pixels)
    chosen = [k for k in range(len(states)) if k < n_final]
    if not np.any(apart[:n_final] > ANOTHER * fwhm):  # a fair comparison follows the rival as far
        chosen += list(np.flatnonzero(apart > ANOTHER * fwhm)[:1])
    closer = [
        _settle(bright, states[k][0], n_pixels, ladder, prior, fwhm, blend=True) for k in chosen
    ]
    ladder = np.append(np.geomspace(coarse, end_sigma, 5), [end_sigma] * 3)
    final = [
        _settle(arcs, coefficients, n_pixels, ladder, prior, fwhm, blend=True)
        for coefficients, *_ in _without_twins(closer, n_pixels)
    ]
    final.sort(key=lambda state: -state[1])
    best, evidence, listed, support = final[0]
    order = np.argsort(np.concatenate([arc.pixel for arc in arcs]))
    weakest = min(part.mean() for part in np.array_split(support[order], min(5, len(support))))
    learned = [_learned(arc, lines) for arc, lines in zip(arcs, listed, strict=True)]
    again = _settle(learned, best, n_pixels, [end_sigma] * 4, prior, fwhm, blend=True)
    best, listed = again[0], again[2]
    expected = [_learned(*pair).strength for pair in zip(learned, listed, strict=True)]
    others = final[1:] + [state for k, state in enumerate(states) if k not in chosen]
    apart = _apart(np.array([state[0] for state in others]).reshape(-1, 6), best, n_pixels)
    different = [state[1] for state, far in zip(others, apart > ANOTHER * fwhm, strict=True) if far]
    return LampMatch(best, evidence, max(different, default=-np.inf), weakest, listed, expected)


def _without_twins(states, n_pixels):
    """States by evidence, without those that settled onto a better one (to half a pixel)."""
    v, kept, places = np.linspace(-1, 1, 9), [], []
    for state in sorted(states, key=lambda state: -state[1]):
        wave = legendre.legval(v, state[0])
        unit = abs(state[0][1]) / (0.5 * (n_pixels - 1))
        if all(np.abs(wave - other).max() > 0.5 * unit for other in places):
            kept.append(state)
            places.append(wave)
    return kept


def _brightest(arc, n):
    """The ``n`` brightest lines seen."""
    keep = np.sort(np.argsort(-arc.flux)[:n])
    return arc._replace(**{name: getattr(arc, name)[keep] for name in arc._fields[:4]})


def relative_strength(strength, ion):
    """
    Listed strengths on one scale: of each ion relative to its strongest line.

    Ionised species are taken to be fainter by 3, and brighter by 5 where the lamp is a hollow
    cathode (which iron, copper and thorium lamps are).
    """
    strength, ion = np.asarray(strength, float), np.asarray(ion, str)
    result = np.empty(len(strength))
    names = np.unique(ion)
    hollow = bool({name.split()[0] for name in names} & HOLLOW_CATHODE)
    for name in names:
        of = ion == name
        top = strength[of].max()
        result[of] = strength[of] / (top if top > 0 else 1) + 1e-6
        if name.endswith(" II"):
            result[of] *= 5.0 if hollow and name == "Ar II" else 0.3
    return result


def _settle(arcs, coefficients, n_pixels, ladder, prior, fwhm, blend=False):
    """Refine a relation down a ladder of tolerances: it, its evidence, lists, odds per line."""
    half = 0.5 * (n_pixels - 1)
    unit = abs(coefficients[1]) / half  # angstrom per pixel, for this guess
    width = np.array([prior[0] / unit, prior[1] / unit, *(b * half for b in BEND_PRIOR)])
    theta = coefficients / unit
    centre = theta.copy()
    centre[2:] = 0  # bends are believed to be small, middle and span to be as guessed
    basis = [legendre.legvander(arc.pixel / half - 1, 5) for arc in arcs]
    seen = [_as_seen(arc, coefficients, fwhm * unit, blend) for arc in arcs]
    shares = [_share(arc, listed) for arc, listed in zip(arcs, seen, strict=True)]
    rows = [np.arange(len(arc.pixel))[:, None] for arc in arcs]
    faintest = [np.quantile(arc.flux, 0.05) if len(arc.flux) else 1.0 for arc in arcs]
    for step, sigma in enumerate(ladder):
        normal, right, support = np.diag(width**-2.0), centre / width**2, []
        for k, (arc, design, listed) in enumerate(zip(arcs, basis, seen, strict=True)):
            if not len(listed.wavelength):
                support.append(np.log(1 - arc.chance))
                continue
            near = _within_reach(arc, listed, design @ theta, sigma, unit)
            hit = arc.chance[:, None] * shares[k][rows[k], near.index] * n_pixels * near.bell
            total = 1 - arc.chance + hit.sum(axis=1)
            support.append(np.log(total))
            belong = hit / total[:, None]
            if step % 2:
                seen[k] = _rescaled(arc, listed, near.index, belong, faintest[k])
                shares[k] = _share(arc, seen[k])
            belong = belong / near.variance
            normal = normal + (design * belong.sum(axis=1)[:, None]).T @ design
            right = right + design.T @ (belong * listed.wavelength[near.index] / unit).sum(axis=1)
        occam = -np.log(width).sum() - 0.5 * np.linalg.slogdet(normal)[1]
        penalty = -0.5 * (((theta - centre) / width) ** 2).sum()
        theta = np.linalg.solve(normal, right)
    support = np.concatenate(support)
    return theta * unit, support.sum() + occam + penalty, seen, support


def _within_reach(arc, listed, expected, sigma, unit):
    """Pairs of lines seen and listed that are near enough to matter: (n_seen, n_near) each."""
    wave, spread = listed.wavelength / unit, BLEND_SHARE * listed.spread / unit
    reach = 5 * np.sqrt(sigma**2 + arc.uncertainty.max() ** 2 + spread.max() ** 2)
    first, end = np.searchsorted(wave, expected - reach), np.searchsorted(wave, expected + reach)
    index = first[:, None] + np.arange(max((end - first).max(), 1))
    inside = index < end[:, None]
    index = np.where(inside, index, 0)
    variance = sigma**2 + arc.uncertainty[:, None] ** 2 + spread[index] ** 2
    offset = np.where(inside, wave[index] - expected[:, None], 0.0)
    bell = inside * np.exp(-0.5 * offset**2 / variance) / np.sqrt(2 * np.pi * variance)
    return NearPairs(index, bell, variance)


def _share(arc, listed):
    """Which listed lines one of this brightness may be: shape (n_seen, n_listed), rows sum to 1."""
    pull = (np.log(arc.flux)[:, None] - np.log(listed.flux)) / BRIGHTNESS_SCATTER
    suits = np.exp(-0.5 * pull**2) + ANY_BRIGHTNESS
    return suits / np.maximum(suits.sum(axis=1, keepdims=True), 1e-300)


def _rescaled(arc, listed, index, belong, faintest):
    """
    Learn how bright each ion is, from its lines that are seen and from those that are not.

    A line expected well above the faintest one seen, yet missing, counts as half that bright.
    """
    flux, known = np.log(arc.flux), np.log(listed.strength)
    mass, light = (
        np.bincount(index.ravel(), part.ravel(), len(known))
        for part in (belong, belong * flux[:, None])
    )
    seen = mass > 0.3
    value = np.where(seen, light / np.maximum(mass, 1e-9), 0.0)
    value = np.where(seen, value, np.log(0.5 * faintest)) - known
    counts = seen | (listed.flux > 2 * faintest)
    common = (
        np.mean(value[seen]) if seen.sum() > 3 else np.log(listed.flux / listed.strength).mean()
    )
    factor = np.empty(len(known))
    for name in np.unique(listed.ion):
        of = listed.ion == name
        weight = (of & counts).sum() / BRIGHTNESS_SCATTER**2
        total = value[of & counts].sum() / BRIGHTNESS_SCATTER**2
        factor[of] = (total + common / ION_SCATTER**2) / (weight + ION_SCATTER**-2.0)
    return listed._replace(flux=listed.strength * np.exp(factor))


def _learned(arc, listed):
    """Put the learned brightness of each ion into the strengths of the whole list."""
    strength = arc.strength.copy()
    for name in np.unique(listed.ion):
        ratio = (listed.flux / listed.strength)[listed.ion == name]
        strength[arc.ion == name] *= ratio[0]
    return arc._replace(strength=strength)


def _as_seen(arc, coefficients, resolution, blend):
    """Listed lines that may fall on the detector, blends merged (roughly, or by their peaks)."""
    ends = legendre.legval(np.array([-1.0, 1.0]), coefficients)
    margin = 0.02 * np.ptp(ends)
    inside = (arc.wavelength > ends.min() - margin) & (arc.wavelength < ends.max() + margin)
    inside = np.flatnonzero(inside)
    inside = inside[np.argsort(arc.wavelength[inside], kind="stable")]
    wave, strength, ion = arc.wavelength[inside], arc.strength[inside], arc.ion[inside]
    limit = min((6 if blend else 3) * len(arc.pixel) + 20, 700)
    if len(wave) > limit:
        strongest = np.sort(np.argsort(-strength)[:limit])
        wave, strength, ion = wave[strongest], strength[strongest], ion[strongest]
    peak = _peaks(wave, strength, resolution / 2.355) if blend else wave
    gap = (0.15 if blend else 0.6) * resolution
    order = np.argsort(peak, kind="stable")
    peak, wave, strength, ion = peak[order], wave[order], strength[order], ion[order]
    new = np.append(0, np.flatnonzero(np.diff(peak) > gap) + 1)[: len(wave)]
    total = np.add.reduceat(strength, new) if len(wave) else wave
    mean = np.add.reduceat(strength * (peak if blend else wave), new) / total if len(wave) else wave
    group = np.repeat(np.arange(len(new)), np.diff(np.append(new, len(wave))))
    pull = (strength * (wave - mean[group])) ** 2  # how far each member's brightness moves it
    spread = np.sqrt(np.add.reduceat(pull, new)) / total if len(wave) else wave
    best = np.lexsort((strength, group))[np.append(new[1:], len(wave)) - 1] if len(wave) else []
    known, seen = np.log(total), np.log(arc.flux)
    n = max(min(len(seen), len(known)) // 2, 3)  # to begin with, the brightest are the strongest
    common = np.sort(seen)[-n:].mean() - np.sort(known)[-int(1.5 * n) :].mean() if len(wave) else 0
    return ListedLines(mean, spread, total, total * np.exp(common), ion[best])


def _peaks(wave, strength, sigma):
    """Where the blend that each line is part of peaks (mean shift on the smoothed spectrum)."""
    first = np.searchsorted(wave, wave - 5 * sigma)
    end = np.searchsorted(wave, wave + 5 * sigma)
    index = first[:, None] + np.arange((end - first).max(initial=1))
    inside = index < end[:, None]
    index = np.where(inside, index, 0)
    other, bright = wave[index], np.where(inside, strength[index], 0.0)
    peak = wave.copy()
    for _ in range(8):
        near = bright * np.exp(-0.5 * np.minimum(((peak[:, None] - other) / sigma) ** 2, 500))
        peak = (near * other).sum(axis=1) / near.sum(axis=1)
    return peak
