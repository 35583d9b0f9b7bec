"""Of several guesses at the dispersion relation, which one do the lines of all lamps support?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

__all__ = ["ArcLines", "LampMatch", "match_guesses", "relative_strength"]

BEND_PRIOR = (0.04, 0.01, 0.003, 0.001)  # Legendre terms 2 to 5 over half the span, one sigma
HOLLOW_CATHODE = {"Fe", "Cu", "Th"}  # their discharge ionises the gas they are filled with
BRIGHTNESS_SCATTER = 1.2  # natural log of a line's flux over its listed strength, within one ion
ION_SCATTER = 1.5  # the same, from ion to ion
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
    sigma : float
        Scatter (pixels) at which lines were matched at the end.
    """

    coefficients: np.ndarray
    evidence: float
    rival: float
    sigma: float


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
    end_sigma = max(0.25, 0.12 * fwhm)
    coarse = max(1.2, 2 * end_sigma)
    states = []
    for a0, a1, a2 in guesses:
        start = np.array([a0 + a2 / 3, a1, 2 * a2 / 3, 0, 0, 0])
        ladder = np.geomspace(start_sigma, coarse, 6)
        states.append(_settle(arcs, start, n_pixels, ladder, prior, fwhm))
    states.sort(key=lambda state: -state[1])
    final = []
    for coefficients, _ in states[:n_final]:
        ladder = np.append(np.geomspace(coarse, end_sigma, 5), [end_sigma] * 3)
        final.append(_settle(arcs, coefficients, n_pixels, ladder, prior, fwhm))
    final.sort(key=lambda state: -state[1])
    best, evidence = final[0]
    v = np.linspace(-0.9, 0.9, 19)
    unit = abs(best[1]) / (0.5 * (n_pixels - 1))
    different = [
        value
        for other, value in final[1:] + states[n_final:]
        if np.median(np.abs(legendre.legval(v, other - best))) / unit > 1.5 * fwhm
    ]
    return LampMatch(best, evidence, max(different, default=-np.inf), end_sigma)


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


def _settle(arcs, coefficients, n_pixels, ladder, prior, fwhm):
    """Refine one relation down a ladder of tolerances; give it back with its evidence."""
    half = 0.5 * (n_pixels - 1)
    unit = abs(coefficients[1]) / half  # angstrom per pixel, for this guess
    width = np.array([prior[0] / unit, prior[1] / unit, *(b * half for b in BEND_PRIOR)])
    theta = coefficients / unit
    centre = theta.copy()
    centre[2:] = 0  # bends are believed to be small, middle and span to be as guessed
    lists = [_nearby(arc, coefficients, half, unit, fwhm) for arc in arcs]
    basis = [legendre.legvander(arc.pixel / half - 1, 5) for arc in arcs]
    shares = [_share(arc, listed) for arc, listed in zip(arcs, lists, strict=True)]
    for step, sigma in enumerate(ladder):
        normal, right, support = np.diag(width**-2.0), centre / width**2, 0.0
        for k, (arc, design, listed) in enumerate(zip(arcs, basis, lists, strict=True)):
            if not len(listed[0]):
                support += np.log(1 - arc.chance).sum()
                continue
            spread = np.hypot(sigma, arc.uncertainty)[:, None]
            offset = listed[0] / unit - (design @ theta)[:, None]
            bell = np.exp(-0.5 * (offset / spread) ** 2) / (np.sqrt(2 * np.pi) * spread)
            hit = arc.chance[:, None] * shares[k] * n_pixels * bell
            total = 1 - arc.chance + hit.sum(axis=1)
            support += np.log(total).sum()
            belong = hit / total[:, None]
            if step % 2:
                shares[k] = _share(arc, listed, belong)
            belong = belong / spread**2
            normal = normal + (design * belong.sum(axis=1)[:, None]).T @ design
            right = right + design.T @ (belong @ (listed[0] / unit))
        occam = -np.log(width).sum() - 0.5 * np.linalg.slogdet(normal)[1]
        penalty = -0.5 * (((theta - centre) / width) ** 2).sum()
        theta = np.linalg.solve(normal, right)
    return theta * unit, support + occam + penalty


def _share(arc, listed, belong=None):
    """
    Which listed lines an observed one of this brightness may be: shape (n_seen, n_listed).

    Lines of one ion are as bright as listed times a factor, which is learned from the lines that
    ``belong``; to begin with the brightest seen are the strongest listed.
    """
    _, strength, ion = listed
    if not len(strength):
        return np.zeros((len(arc.pixel), 0))
    seen, known = np.log(arc.flux), np.log(strength)
    n = max(min(len(seen), len(known)) // 2, 3)
    common = np.mean(np.sort(seen)[-n:]) - np.mean(np.sort(known)[-int(1.5 * n) :])
    factor = np.full(len(known), common)
    if belong is not None:
        offset = seen[:, None] - known
        for name in np.unique(ion):
            of = ion == name
            weight = belong[:, of].sum() / BRIGHTNESS_SCATTER**2
            total = (belong[:, of] * offset[:, of]).sum() / BRIGHTNESS_SCATTER**2
            factor[of] = (total + common / ION_SCATTER**2) / (weight + ION_SCATTER**-2.0)
    pull = (seen[:, None] - known - factor) / BRIGHTNESS_SCATTER
    suits = np.exp(-0.5 * pull**2) + ANY_BRIGHTNESS
    return suits / suits.sum(axis=1, keepdims=True)


def _nearby(arc, coefficients, half, unit, fwhm):
    """Listed lines that may fall on the detector, blends merged: wavelength, strength, ion."""
    ends = legendre.legval(np.array([-1.0, 1.0]), coefficients)
    margin = 0.02 * np.ptp(ends)
    inside = (arc.wavelength > ends.min() - margin) & (arc.wavelength < ends.max() + margin)
    wave, strength, ion = arc.wavelength[inside], arc.strength[inside], arc.ion[inside]
    limit = 3 * len(arc.pixel) + 20
    if len(wave) > limit:
        strongest = np.sort(np.argsort(-strength)[:limit])
        wave, strength, ion = wave[strongest], strength[strongest], ion[strongest]
    if not len(wave):
        return wave, strength, ion
    new = np.append(0, np.flatnonzero(np.diff(wave) > 0.6 * fwhm * unit) + 1)
    total = np.add.reduceat(strength, new)
    mean = np.add.reduceat(strength * wave, new) / total
    group = np.repeat(np.arange(len(new)), np.diff(np.append(new, len(wave))))
    brightest = np.lexsort((strength, group))[np.append(new[1:], len(wave)) - 1]
    return mean, total, ion[brightest]
