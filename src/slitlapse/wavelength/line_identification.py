"""Which line is which, which of them to trust, and how stiff a curve do they ask for?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from numpy.polynomial import legendre

__all__ = ["LineIdentification", "identify_lines"]

MAX_DEGREE = 6
BLEND_SHARE = 0.35  # of a listed blend's spread that its centre may be off by, lamps differing


@dataclass(frozen=True, eq=False)
class LineIdentification:
    """
    Lines with their names, and the polynomial through those used.

    Parameters
    ----------
    lines : `~astropy.table.QTable`
        ``lamp``, ``ion``, ``pixel``, ``pixel_uncertainty``, ``wavelength``, ``uncertainty`` (of
        the match, angstrom: centre, blends and scatter), ``residual``, ``used``, ``reason``.
    coefficients, covariance : array
        Legendre, pixels 0 ... n_pixels - 1 mapped to -1 ... +1; angstrom.
    scatter : float
        Pixels added to every line's uncertainty because residuals ask for it.
    criterion : dict
        Bayesian information criterion of each degree tried; the smallest was taken.
    """

    lines: QTable
    coefficients: np.ndarray
    covariance: np.ndarray
    scatter: float
    criterion: dict


def identify_lines(arcs, coefficients, n_pixels, *, fwhm, degree=None, tolerance=None, clip=4.0):
    """
    Name the lines of all lamps, given a relation good to about half a line width.

    Parameters
    ----------
    arcs : list of (lines, wavelengths, strengths, ions, lamps)
        Per arc: the table of ``find_lines``; the lamp's list as arrays (angstrom, relative
        strength, names).
    coefficients : array
        Legendre coefficients of the relation so far (angstrom; detector mapped to -1 ... +1).
    n_pixels : int
    fwhm : float
        Line width, pixels.
    degree : int, optional
        Of the polynomial; left out, that of the smallest Bayesian information criterion up to 6,
        with at least two lines per coefficient.
    tolerance : float, optional
        How far (pixels) a line may lie from where it is expected; 0.6 fwhm at first.
    clip : float
        Matches further off than this many standard deviations are not used.

    Returns
    -------
    identification : `LineIdentification`

    Notes
    -----
    The polynomial is refitted and the lines named again until nothing changes. Weights are from
    the centroids' uncertainties, from the spread of listed blends, and from an extra scatter that
    makes the residuals as large as expected. Lines saturated, blended or cut by the edge count
    with a larger uncertainty or not at all, and say so.
    """
    tolerance = max(0.6 * fwhm, 1.0) if tolerance is None else tolerance
    coefficients, scatter, previous = np.asarray(coefficients, float), 0.1, None
    fixed, low_limit = degree, tolerance
    for iteration in range(12):
        table = vstack(
            [_name(arc, coefficients, n_pixels, fwhm, tolerance) for arc in arcs],
            metadata_conflicts="silent",
        )
        table.sort("pixel")
        matched = np.flatnonzero(table["reason"] == "")
        if len(matched) < 2:
            break
        x = table["pixel"].value[matched] / (0.5 * (n_pixels - 1)) - 1
        wave = table["wavelength"].value[matched]
        sigma = table["uncertainty"].value[matched]
        unit = np.abs(_slope(coefficients, x)) / (0.5 * (n_pixels - 1))
        degrees = _degrees(len(matched)) if fixed is None else [min(fixed, len(matched) - 1)]
        fits = {d: _robust_fit(x, wave, sigma, unit, d, clip, scatter) for d in degrees}
        criterion = {d: _criterion(fits, d) for d in degrees}
        degree = min(criterion, key=criterion.get)
        coefficients, covariance, scatter, good = fits[degree]
        tolerance = max(0.35 * fwhm, 6 * scatter, 0.5)
        tolerance = min(tolerance, low_limit)
        state = (degree, tuple(wave[good]))
        if state == previous and iteration > 2:
            break
        previous = state
    if len(matched) < 2:
        return LineIdentification(table, coefficients, np.full((1, 1), np.nan), scatter, {})
    _judge(table, matched, good, coefficients, n_pixels, scatter, clip)
    return LineIdentification(table, coefficients, covariance, scatter, criterion)


def _slope(coefficients, x):
    return legendre.legval(x, legendre.legder(coefficients)) if len(coefficients) > 1 else 0 * x


def _degrees(n):
    top = int(np.clip(n // 2 - 1, 1, MAX_DEGREE))
    return list(range(min(2, top), top + 1))


def _name(arc, coefficients, n_pixels, fwhm, tolerance):
    """Give every observed line of one arc the nearest listed one, or a reason why not."""
    lines, wave, strength, ions, lamps = arc
    half = 0.5 * (n_pixels - 1)
    pixel = lines["pixel"].value
    expected = legendre.legval(pixel / half - 1, coefficients)
    unit = np.abs(_slope(coefficients, pixel / half - 1)) / half
    wave, strength, ions, lamps, spread = _merge(
        wave, strength, ions, lamps, expected, 0.7 * fwhm * np.median(unit), len(lines)
    )
    nearest = np.abs(wave - expected[:, None]).argmin(axis=1) if len(wave) else 0 * pixel
    nearest = nearest.astype(int)
    found = wave[nearest] if len(wave) else np.full(len(pixel), np.inf)
    offset = np.abs(found - expected) / unit
    reason = np.full(len(pixel), "", dtype="U40")
    reason[offset > tolerance] = "no listed line near"
    for j in np.unique(nearest[reason == ""]):
        rivals = np.flatnonzero((nearest == j) & (reason == ""))
        keep = rivals[np.argmax(lines["flux"][rivals].value * np.exp(-offset[rivals] / fwhm))]
        reason[rivals[rivals != keep]] = "another line fits better"
    for flag, text in (("narrow", "too narrow for a line"), ("edge", "cut by the edge")):
        reason[np.asarray(lines[flag])] = text
    extra = 0.12 * fwhm * np.asarray(lines["blended"]) + 0.2 * fwhm * np.asarray(lines["saturated"])
    error = np.hypot(lines["pixel_uncertainty"].value, extra) * unit
    blank = reason == "no listed line near"
    if not len(wave):
        ions = lamps = np.array([""])
        spread, nearest = np.zeros(1), nearest * 0
    return QTable(
        {
            "lamp": np.where(blank, "", lamps[nearest]).astype("U12"),
            "ion": np.where(blank, "", ions[nearest]).astype("U12"),
            "pixel": lines["pixel"],
            "pixel_uncertainty": lines["pixel_uncertainty"],
            "wavelength": np.where(blank, np.nan, found) * u.AA,
            "uncertainty": np.hypot(error, BLEND_SHARE * spread[nearest]) * u.AA,
            "residual": np.where(blank, np.nan, found - expected) * u.AA,
            "used": np.zeros(len(pixel), bool),
            "reason": reason,
        }
    )


def _merge(wave, strength, ions, lamps, expected, resolution, n_lines):
    """The strongest listed lines on the detector, blends merged, with each blend's spread."""
    inside = (wave > expected.min() - 5 * resolution) & (wave < expected.max() + 5 * resolution)
    wave, strength, ions, lamps = wave[inside], strength[inside], ions[inside], lamps[inside]
    limit = 4 * n_lines + 20
    if len(wave) > limit:
        keep = np.sort(np.argsort(-strength)[:limit])
        wave, strength, ions, lamps = wave[keep], strength[keep], ions[keep], lamps[keep]
    if not len(wave):
        return wave, strength, ions, lamps, wave
    new = np.append(0, np.flatnonzero(np.diff(wave) > resolution) + 1)
    total = np.add.reduceat(strength, new)
    mean = np.add.reduceat(strength * wave, new) / total
    group = np.repeat(np.arange(len(new)), np.diff(np.append(new, len(wave))))
    spread = np.sqrt(np.add.reduceat(strength * (wave - mean[group]) ** 2, new) / total)
    best = np.lexsort((strength, group))[np.append(new[1:], len(wave)) - 1]
    return mean, total, ions[best], lamps[best], spread


def _robust_fit(x, wave, sigma, unit, degree, clip, scatter):
    """Weighted Legendre fit; outliers dropped one by one, scatter adjusted to the residuals."""
    design = legendre.legvander(x, degree)
    good = np.ones(len(x), bool)
    for _ in range(len(x)):
        total = np.hypot(sigma, scatter * unit)
        part = design[good] / total[good, None]
        coefficients = np.linalg.lstsq(part, wave[good] / total[good], rcond=None)[0]
        covariance = np.linalg.pinv(part.T @ part, hermitian=True)
        residual = wave - design @ coefficients
        free = max(good.sum() - degree - 1, 1)
        leverage = np.einsum("ij,jk,ik->i", design, covariance, design)
        own = np.sqrt(np.maximum(total**2 - np.where(good, leverage, -leverage), 1e-4 * total**2))
        change = _more_scatter(residual[good], sigma[good], unit[good], free, scatter)
        pull = np.abs(residual) / own
        worst = np.where(good, pull, 0).argmax()
        if pull[worst] > clip and good.sum() > degree + 2 and free > 1:
            good[worst] = False
        elif abs(change - scatter) < 0.02 * scatter + 1e-4:
            back = ~good & (pull < 0.7 * clip)
            if not back.any():
                break
            good |= back
        scatter = change
    return coefficients, covariance, scatter, good


def _more_scatter(residual, sigma, unit, free, scatter):
    """Extra scatter (pixels) with which the robust spread of the residuals is as expected."""
    scale = np.sqrt(len(residual) / free)
    spread = 1.4826 * np.median(np.abs(residual / unit)) * scale
    rms = np.sqrt(np.mean((residual / unit) ** 2)) * scale
    have = np.sqrt(np.median((sigma / unit) ** 2))
    target = np.sqrt(max(min(0.5 * (spread + rms), 1.3 * spread + 1e-3) ** 2 - have**2, 0))
    return 0.5 * scatter + 0.5 * max(target, 1e-3)


def _criterion(fits, degree):
    """Bayesian information criterion, on the lines that the stiffest and the softest both use."""
    coefficients, _, scatter, good = fits[degree]
    n, n_out = good.sum(), (~good).sum()
    # scatter stands for the size of the residuals; every line thrown out costs like a 4 sigma one
    return n * np.log(scatter**2 + 1e-4) + (degree + 1) * np.log(len(good)) + 6.0 * n_out


def _judge(table, matched, good, coefficients, n_pixels, scatter, clip):
    """Write residuals and reasons."""
    half = 0.5 * (n_pixels - 1)
    x = table["pixel"].value / half - 1
    unit = np.abs(_slope(coefficients, x)) / half
    table["residual"] = table["wavelength"] - legendre.legval(x, coefficients) * u.AA
    total = np.hypot(table["uncertainty"].value, scatter * unit)
    table["uncertainty"] = total * u.AA
    table["used"][matched[good]] = True
    for i in matched[~good]:
        pull = abs(table["residual"][i].value) / total[i]
        table["reason"][i] = f"outlier ({pull:.1f} sigma)" if pull > clip else "outlier"
