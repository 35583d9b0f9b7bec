"""Which line is which, which of them to trust, and how stiff a curve do they ask for?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.polynomial import legendre
from scipy.special import gammaln

__all__ = ["LineIdentification", "identify_lines"]

MAX_DEGREE = 6
STIFF = (2, 3, 4)  # degrees with which names are tried besides those that the lines choose
BLEND_SHARE = 1.2  # natural log by which members of a blend may be brighter than listed
BRIGHTNESS_SCATTER = 1.2  # natural log of flux over expected flux
TAILS = np.array([3.0, 8.0, 30.0])  # degrees of freedom of Student's t: from heavy to normal
T_NORM = gammaln((TAILS + 1) / 2) - gammaln(TAILS / 2) - 0.5 * np.log(np.pi * TAILS)
SCATTERS = np.append(0.003, np.geomspace(0.005, 1, 25))  # pixels
FIRST_SCATTER = 0.1
MAX_STEPS = 60
UNCERTAIN = 3.0  # lines this many times less certain than the middle one are not used


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
    modelled : bool
        Whether the polynomial comes from models of whole arcs, and not from these lines alone.
    """

    lines: QTable
    coefficients: np.ndarray
    covariance: np.ndarray
    scatter: float
    criterion: dict
    modelled: bool = False


def identify_lines(arcs, coefficients, n_pixels, *, fwhm, degree=None, tolerance=None, clip=4.0):
    """
    Name the lines of all lamps, given a relation good to about half a line width.

    Parameters
    ----------
    arcs : list of (lines, wavelengths, spreads, fluxes, ions)
        Per arc: the table of ``find_lines``, and the lamp's lines as this spectrograph sees them:
        wavelength of each blend, how far that moves where a member is brighter by a factor e
        (both angstrom), expected flux, ion.
    coefficients : array
        Legendre coefficients of the relation so far (angstrom; detector mapped to -1 ... +1).
    n_pixels : int
    fwhm : float
        Line width, pixels.
    degree : int, optional
        Of the polynomial; left out, that of the smallest Bayesian information criterion up to 6,
        with at least two lines per coefficient, unless names found with a stiff curve are likelier.
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
    options = {"fwhm": fwhm, "tolerance": tolerance, "clip": clip}
    if degree is not None:
        return _settle(arcs, coefficients, n_pixels, degree, **options)
    found = [_settle(arcs, coefficients, n_pixels, d, **options) for d in (None, *STIFF)]
    return max(found, key=lambda each: _likelihood(each, n_pixels, fwhm))


def _settle(arcs, coefficients, n_pixels, degree, *, fwhm, tolerance, clip):
    """Name the lines and fit the curve in turn, until nothing changes."""
    tolerance = max(0.6 * fwhm, 1.0) if tolerance is None else tolerance
    coefficients, scatter, previous = np.asarray(coefficients, float), 0.1, None
    fixed, low_limit = degree, tolerance
    for iteration in range(12):
        named = _in_order([_name(arc, coefficients, n_pixels, fwhm, tolerance) for arc in arcs])
        _leave_out_uncertain(named, coefficients, n_pixels)
        matched = np.flatnonzero(named["reason"] == "")
        if len(matched) < 2:
            break
        x = named["pixel"][matched] / (0.5 * (n_pixels - 1)) - 1
        wave, sigma = named["wavelength"][matched], named["uncertainty"][matched]
        unit = np.abs(_slope(coefficients, x)) / (0.5 * (n_pixels - 1))
        degrees = _degrees(len(matched)) if fixed is None else [min(fixed, len(matched) - 1)]
        offset = wave - legendre.legval(x, coefficients)
        fits = {d: _robust_fit(x, wave, sigma, unit, offset, d, clip) for d in degrees}
        criterion = _criterion(fits, x, wave, sigma, unit)
        degree = min(criterion, key=criterion.get)
        coefficients, covariance, scatter, good = fits[degree]
        tolerance = max(0.35 * fwhm, 6 * scatter, 0.5)
        tolerance = min(tolerance, low_limit)
        state = (degree, tuple(wave[good]))
        if state == previous and iteration > 2:
            break
        previous = state
    if len(matched) < 2:
        return LineIdentification(
            _as_table(named), coefficients, np.full((1, 1), np.nan), scatter, {}
        )
    _judge(named, matched, good, coefficients, n_pixels, scatter, clip)
    return LineIdentification(_as_table(named), coefficients, covariance, scatter, criterion)


def _in_order(parts):
    """Lines of all arcs, by pixel: a dict of arrays."""
    named = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    order = np.argsort(named["pixel"], kind="stable")
    return {key: column[order] for key, column in named.items()}


def _as_table(named):
    """The lines with their units."""
    units = {"pixel": u.pix, "pixel_uncertainty": u.pix}
    units |= dict.fromkeys(("wavelength", "uncertainty", "residual"), u.AA)
    return QTable({key: column * units[key] if key in units else column
                   for key, column in named.items()})  # fmt: skip


def _likelihood(found, n_pixels, fwhm):
    """
    Log likelihood of the names and the curve, less what the curve's freedom is worth.

    Naming by the curve and fitting the curve to the names confirm one another: where listed lines
    stand close, a flexible curve settles on wrong names that fit it. Sets of names are compared
    by how closely the lines lie; a line without a name is as likely anywhere within two widths.
    """
    table = found.lines
    used = np.asarray(table["used"], bool)
    if not used.any():
        return -np.inf
    half = 0.5 * (n_pixels - 1)
    unit = np.abs(_slope(found.coefficients, table["pixel"].value[used] / half - 1)) / half
    sigma = table["uncertainty"].value[used]
    pull, width = table["residual"].value[used] / sigma, sigma / unit
    named = np.sum(-0.5 * pull**2 - np.log(np.sqrt(2 * np.pi) * width))
    nameless = np.sum(~used) * np.log(4 * fwhm)
    return named - nameless - 0.5 * len(found.coefficients) * np.log(used.sum())


def _leave_out_uncertain(named, coefficients, n_pixels):
    """Do not use lines that add nothing but confusion, as long as enough others remain."""
    half = 0.5 * (n_pixels - 1)
    matched = np.flatnonzero(named["reason"] == "")
    unit = np.abs(_slope(coefficients, named["pixel"][matched] / half - 1)) / half
    sigma = named["uncertainty"][matched] / unit
    if len(matched) < 12:
        return
    limit = max(UNCERTAIN * np.median(sigma), np.sort(sigma)[11], 0.05)
    pixel = named["pixel"][matched]
    kept = pixel[sigma <= limit]
    outside = (pixel < kept.min()) | (pixel > kept.max())  # better than to extrapolate
    out = (sigma > limit) & ~(outside & (sigma < min(4 * limit, 0.5)))
    named["reason"][matched[out]] = "too uncertain (faint or blended)"


def _slope(coefficients, x):
    return legendre.legval(x, legendre.legder(coefficients)) if len(coefficients) > 1 else 0 * x


def _degrees(n):
    top = int(np.clip(n // 2 - 1, 1, MAX_DEGREE))
    return list(range(min(2, top), top + 1))


def _name(arc, coefficients, n_pixels, fwhm, tolerance):
    """Give every observed line of one arc the listed one that suits best, or a reason why not."""
    lines, wave, spread, flux, ions = arc
    half = 0.5 * (n_pixels - 1)
    pixel = lines["pixel"].value
    expected = legendre.legval(pixel / half - 1, coefficients)
    unit = np.abs(_slope(coefficients, pixel / half - 1)) / half
    if not len(wave):  # an empty list names nothing, yet the lines stay in the table
        wave, spread, flux, ions = np.array([np.inf]), np.zeros(1), np.ones(1), np.array([""])
    offset = np.abs(wave - expected[:, None]) / unit[:, None]
    ratio = np.log(lines["flux"].value[:, None] / flux)
    misfit = (offset / (0.4 * tolerance)) ** 2 + (ratio / BRIGHTNESS_SCATTER) ** 2
    best = np.where(offset < tolerance, misfit, np.inf).argmin(axis=1)
    row = np.arange(len(pixel))
    reason = np.full(len(pixel), "", dtype="U40")
    reason[np.abs(ratio[row, best]) > 4 * BRIGHTNESS_SCATTER] = "brightness does not fit"
    reason[offset[row, best] > tolerance] = "no listed line near"
    for j in np.unique(best[reason == ""]):
        rivals = np.flatnonzero((best == j) & (reason == ""))
        reason[rivals[rivals != rivals[misfit[rivals, j].argmin()]]] = "another line fits better"
    for flag, text in (("narrow", "too narrow for a line"), ("edge", "cut by the edge")):
        reason[np.asarray(lines[flag])] = text
    extra = 0.12 * fwhm * np.asarray(lines["blended"]) + 0.2 * fwhm * np.asarray(lines["saturated"])
    error = np.hypot(lines["pixel_uncertainty"].value, extra) * unit
    blank = reason == "no listed line near"
    found = np.where(blank, np.nan, wave[best])
    name = np.where(blank, "", ions[best]).astype("U12")
    return {
        "lamp": np.array([ion.split(" ")[0] for ion in name], dtype="U12"),
        "ion": name,
        "pixel": pixel,
        "pixel_uncertainty": lines["pixel_uncertainty"].value,
        "wavelength": found,
        "uncertainty": np.hypot(error, BLEND_SHARE * spread[best]),
        "residual": found - expected,
        "used": np.zeros(len(pixel), bool),
        "reason": reason,
    }


def _robust_fit(x, wave, sigma, unit, residual, degree, clip):
    """
    Most likely polynomial where errors have the tails of Student's t; lines far off are dropped.

    The extra scatter is fitted along. With normal errors it would have to explain the few lines
    that are named wrongly or blended with strangers, and the precise ones would lose their weight.
    ``residual`` is that of the relation so far: it says whom to trust to begin with.
    """
    design = legendre.legvander(x, degree)
    n, free, scatter = len(x), max(len(x) - degree - 1, 1), FIRST_SCATTER
    tails = TAILS[0]
    good, curve = np.ones(n, bool), wave - residual
    for _ in range(MAX_STEPS):
        total = np.hypot(sigma, scatter * unit)
        weight = good * (tails + 1) / (tails + (residual / total) ** 2) / total**2
        part = design * weight[:, None]
        inverse = np.linalg.pinv(part.T @ design, hermitian=True)
        coefficients = inverse @ (part.T @ wave)
        before, curve = curve, design @ coefficients
        residual = wave - curve
        leverage = np.einsum("ij,jk,ik->i", part, inverse, design).clip(0, 0.99)
        pull = np.abs(residual) / (total * np.sqrt(1 - leverage))
        keep = pull < clip
        if keep.sum() < degree + 2:
            keep = pull <= np.sort(pull)[min(degree + 1, n - 1)]
        change, tails = _likely_errors(residual, sigma, unit, n / free)
        still = np.abs((curve - before) / unit).max() < 1e-3
        if still and (keep == good).all() and abs(change - scatter) < 0.05 * scatter + 1e-3:
            break
        good, scatter = keep, 0.5 * (scatter + change)
    known = (good * (tails + 1) / (tails + 3) / total**2)[:, None]  # Fisher's information of t
    covariance = np.linalg.pinv((design * known).T @ design, hermitian=True) * n / free
    return coefficients, covariance, scatter, good


def _likely_errors(residual, sigma, unit, correction):
    """Extra scatter (pixels) and tails under which residuals are likeliest."""
    square = correction * (residual / unit) ** 2
    variance = (sigma / unit) ** 2 + SCATTERS[:, None] ** 2
    log_density = [
        norm - 0.5 * (np.log(variance) + (tails + 1) * np.log1p(square / variance / tails))
        for norm, tails in zip(T_NORM, TAILS, strict=True)
    ]
    tail, scatter = divmod(int(np.sum(log_density, axis=2).argmax()), len(SCATTERS))
    return SCATTERS[scatter], TAILS[tail]


def _criterion(fits, x, wave, sigma, unit):
    """Bayesian information criterion of every degree, all judged on the same lines."""
    result = {}
    for degree, (coefficients, _, scatter, _) in fits.items():
        total = np.hypot(sigma / unit, scatter)
        pull = (wave - legendre.legval(x, coefficients)) / unit / total
        log_density = -np.log(total) - 0.5 * (TAILS[0] + 1) * np.log1p(pull**2 / TAILS[0])
        result[degree] = -2 * log_density.sum() + (degree + 1) * np.log(len(x))
    return result


def _judge(named, matched, good, coefficients, n_pixels, scatter, clip):
    """Write residuals and reasons."""
    half = 0.5 * (n_pixels - 1)
    x = named["pixel"] / half - 1
    unit = np.abs(_slope(coefficients, x)) / half
    named["residual"] = named["wavelength"] - legendre.legval(x, coefficients)
    total = np.hypot(named["uncertainty"], scatter * unit)
    named["uncertainty"] = total
    named["used"][matched[good]] = True
    for i in matched[~good]:
        pull = abs(named["residual"][i]) / total[i]
        named["reason"][i] = f"outlier ({pull:.1f} sigma)" if pull > clip else "outlier"
