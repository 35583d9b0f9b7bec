"""
Wavelength: how do pixels relate to real wavelengths?

The question
------------
Which wavelength falls on which pixel of which star, how well do we know it, and how does it drift
through the night?

In plain words
--------------
A lamp shines at wavelengths that laboratories have measured. We find its lines on the detector,
find out which line is which from the pattern they make, and draw a smooth curve through them. The
slit's image is slanted, so each star gets its own curve; and the spectrograph bends, so each
exposure gets its own shift.

Forward
-------
`lamp_line_list`, `sky_line_list`, `read_line_list` (what lamps and sky shine at), `find_lines`
(where lines are), `search_dispersion`, `match_guesses`, `identify_lines`, `model_arcs` (what
blends tell) and the five in one call, `match_lamps`; `WavelengthSolution` (the answer; `to_gwcs`,
`to_fits_wcs` and `to_specreduce` tell it to others); `LineTilt` (each star its own solution);
`measure_shift` (each exposure its own shift, with its uncertainty, or none); `find_offset`,
`measure_zero_point`, `measure_oxygen` (lines of the sky, of the Sun in it, or of the air, as a
check); `resample_flux` (only where a common grid is asked for).

Backward
--------
`simulate.arc_spectrum` and `simulate.arc_image` draw the arc that a solution, a line list and a
tilt predict; `simulate.simulate_spectrograph` invents whole instruments.

How do we know?
---------------
Invented spectrographs with known truth are solved from the lamps' names; real arcs of nine
instruments agree with published line tables; a wrong lamp is refused; shifts reach the Cramer-Rao
bound with honest uncertainties; `plot_wavelength_story` draws observed against simulated arc,
residuals by lamp with error bars, and what was not used; `plot_shifts` the drift of the night.
"""

from dataclasses import replace

import astropy.units as u
import numpy as np
from numpy.polynomial import legendre

from slitlapse._upstream import prefer

from .arc_lines import find_lines, unpack_spectrum
from .arc_modelling import ArcModel, ArcSpectrum, correct_curve, model_arcs
from .common_grid import ResampledSpectra, resample_flux
from .dispersion_search import DispersionSearch, first_guesses, search_dispersion
from .explain import (
    plot_arc_comparison,
    plot_arc_image_comparison,
    plot_dispersion,
    plot_shifts,
    plot_wavelength_residuals,
    plot_wavelength_story,
)
from .lamp_matching import ArcLines, LampMatch, match_guesses, relative_strength
from .line_identification import LineIdentification, identify_lines
from .line_lists import (
    KNOWN_LAMPS,
    LineList,
    convert_medium,
    lamp_line_list,
    merge_blends,
    read_line_list,
    sky_line_list,
    split_lamp_names,
)
from .line_tilt import LineTilt
from .oxygen_bands import OxygenOffset, measure_oxygen, oxygen_transmission
from .solution_verdict import BELIEVE, WavelengthError, give_verdict, margin_of
from .spectral_shift import ShiftSeries, measure_shift
from .spectrum_offset import SpectrumOffset, find_offset
from .sunlight import sunlight_lines
from .telluric_bands import telluric_mask
from .wavelength_export import to_fits_wcs, to_gwcs, to_header, to_specreduce
from .wavelength_solution import WavelengthSolution
from .zero_point import ZeroPoint, measure_zero_point

(LineList, convert_medium, lamp_line_list, merge_blends, read_line_list, sky_line_list,
 split_lamp_names) = prefer(
    "specreduce.lamp_lines", LineList, convert_medium, lamp_line_list, merge_blends,
    read_line_list, sky_line_list, split_lamp_names,
)  # fmt: skip

__all__ = [
    "KNOWN_LAMPS",
    "ArcLines",
    "ArcModel",
    "ArcSpectrum",
    "DispersionSearch",
    "LampMatch",
    "LineIdentification",
    "LineList",
    "LineTilt",
    "OxygenOffset",
    "ResampledSpectra",
    "ShiftSeries",
    "SpectrumOffset",
    "WavelengthError",
    "WavelengthSolution",
    "ZeroPoint",
    "convert_medium",
    "find_lines",
    "find_offset",
    "identify_lines",
    "lamp_line_list",
    "match_guesses",
    "match_lamps",
    "measure_oxygen",
    "measure_shift",
    "measure_zero_point",
    "merge_blends",
    "model_arcs",
    "oxygen_transmission",
    "plot_arc_comparison",
    "plot_arc_image_comparison",
    "plot_dispersion",
    "plot_shifts",
    "plot_wavelength_residuals",
    "plot_wavelength_story",
    "read_line_list",
    "relative_strength",
    "resample_flux",
    "search_dispersion",
    "sky_line_list",
    "split_lamp_names",
    "sunlight_lines",
    "telluric_mask",
    "to_fits_wcs",
    "to_gwcs",
    "to_header",
    "to_specreduce",
]

CONTRADICTED = 1.5  # typical pulls of lines, on a curve that models of whole arcs ask for
STAGES = ("coarse", "promising", "usual", "all", "finest")  # of a search, see `first_guesses`


def match_lamps(
    arcs,
    *,
    wavelength_range=None,
    dispersion=None,
    guess=None,
    pairs=None,
    degree=None,
    medium="air",
    n_pixels=None,
    increasing=None,
    saturation=None,
    fwhm=None,
    model_blends=True,
):
    """
    Solve the wavelengths of one detector from the arcs of one or several lamps.

    Parameters
    ----------
    arcs : list of (lamps, arc) or (lamps, arc, uncertainty), or dict of lamps to arc
        ``lamps`` is what `split_lamp_names` reads, or a `LineList` of your own; ``arc`` a
        spectrum (array of shape (n_pixels,), or `~specutils.Spectrum`) or a table of `find_lines`.
    wavelength_range : pair of float or `~astropy.units.Quantity`, optional
        Rough, angstrom, in any order; may be wrong by 10 %.
    dispersion : float or `~astropy.units.Quantity`, optional
        Rough angstrom per pixel, without sign.
    guess : `WavelengthSolution`, optional
        Of another night or a neighbouring star; may be off by some ten pixels.
    pairs : sequence of (pixel, wavelength), optional
        Lines you have identified, two or more.
    degree : int, optional
        Of the polynomial; by default found by the Bayesian information criterion.
    medium : {"air", "vacuum"}
        Of the range, the pairs, and the solution.
    n_pixels : int, optional
        Length of the detector, where only tables are given.
    increasing : bool, optional
        Whether wavelength increases with pixel; by default both are tried.
    saturation, fwhm : float, optional
        For `find_lines`.
    model_blends : bool
        Model the whole spectra with `model_arcs`, too, and take their curve where it is known
        better than that of the lines and no line contradicts it: in crowds, where nobody knows how
        bright a blend's members are, and where lines are few. The verdict says whether it was.

    Returns
    -------
    solution : `WavelengthSolution`
        With all lines of all lamps in ``lines`` and a ``verdict``.

    Raises
    ------
    WavelengthError
        If no relation explains the lines far better than chance and than every other relation.
    ValueError
        For lamps or input that cannot be read.
    """
    tables, lists, spectra, n_pixels = _read_arcs(arcs, medium, n_pixels, saturation, fwhm)
    observed = [_observed(table, lines) for table, lines in zip(tables, lists, strict=True)]
    lit = [k for k, arc in enumerate(observed) if len(arc.pixel)]
    tables, observed, spectra = ([part[k] for k in lit] for part in (tables, observed, spectra))
    n_seen = sum(len(arc.pixel) for arc in observed)
    n_needed = 4 if guess is None and pairs is None else 1
    if n_seen < n_needed:
        raise WavelengthError(
            f"Only {n_seen} usable lines were found in the arcs of {_names(lists)}; at least "
            f"{n_needed} are needed. Is the lamp on? With few lines, give pairs or a guess."
        )
    width = float(np.median([table.meta["fwhm"] for table in tables]))
    known = (wavelength_range, dispersion, guess, pairs, increasing, medium)
    match = _search_and_match(observed, n_pixels, known, width)
    named = [
        (table, seen.wavelength, seen.spread, seen.flux, seen.ion)
        for table, seen in zip(tables, match.listed, strict=True)
    ]
    found = identify_lines(named, match.coefficients, n_pixels, fwhm=width, degree=degree)
    if model_blends:
        wavelengths = [one.wavelength for one in observed]
        found = _model_whole(found, spectra, wavelengths, match.expected, n_pixels, width)
    curve = WavelengthSolution(
        found.coefficients,
        (0, n_pixels - 1),
        n_pixels,
        medium,
        covariance=found.covariance,
        lines=found.lines,
    )
    return replace(curve, verdict=give_verdict(match, found, curve, _names(lists)))


def _search_and_match(observed, n_pixels, known, width):
    """Search coarsely, then finely where that did well, then everywhere, until one is clear."""
    wavelength_range, dispersion, guess, pairs, _, medium = known
    blind = wavelength_range is None and guess is None and pairs is None
    stages = [stage for stage in STAGES if dispersion is None or stage != "usual"]
    if not blind:
        stages = ["all"] if wavelength_range is None else ["coarse", "all"]
    scout, after, matches = None, None, []
    for stage in stages:
        search, prior, start = first_guesses(
            observed, n_pixels, *known, stage=stage, scout=scout, after=after
        )
        coarse, last = stage == "coarse", stage in ("all", "finest")
        scout, after = (search, None) if coarse else (scout, search)
        options = {"prior": prior, "fwhm": width, "start_sigma": start}
        match = match_guesses(observed, search.coefficients, n_pixels, **options)
        if blind and (match.evidence >= BELIEVE or last):
            match = _look_closer(match, observed, n_pixels, prior, width, medium, stage)
        if blind and coarse and match.clear and not match.unmistakable:  # an end may be wrong
            match = _look_closer(match, observed, n_pixels, prior, width, medium, "all")
        matches.append(match)
        if match.unmistakable or (blind and coarse and match.clear):
            return match
        if last and margin_of(match) >= BELIEVE:
            return match
    return max(matches[-2:], key=margin_of)


def _names(lists):
    return " + ".join("".join(dict.fromkeys(lines["lamp"])) for lines in lists)


def _read_arcs(arcs, medium, n_pixels, saturation, fwhm):
    """Line tables, line lists and spectra (or None), one of each per arc."""
    entries = list(arcs.items()) if isinstance(arcs, dict) else [tuple(arc) for arc in arcs]
    if not entries:
        raise ValueError("There is no arc. Give a list of (lamps, spectrum).")
    tables, lists, spectra = [], [], []
    for lamps, arc, *more in entries:
        if isinstance(lamps, LineList):
            lists.append(lamps.to_medium(medium))
        else:
            lists.append(lamp_line_list(lamps, medium=medium))
        if hasattr(arc, "colnames"):
            tables.append(arc)
            spectra.append(None)
        else:
            sigma = more[0] if more else None
            tables.append(find_lines(arc, uncertainty=sigma, saturation=saturation, fwhm=fwhm))
            spectra.append(_good_parts(arc, sigma, saturation))
    sizes = {table.meta["n_pixels"] for table in tables if "n_pixels" in table.meta}
    if len(sizes) > 1 or (not sizes and n_pixels is None):
        raise ValueError(f"Arcs must share one detector, found lengths {sorted(sizes)} pixels.")
    return tables, lists, spectra, int(n_pixels or sizes.pop())


def _good_parts(arc, uncertainty=None, saturation=None):
    """Flux, NaN where it is bad or saturated, and uncertainty or None, shape (n_pixels,)."""
    flux, sigma, bad, _ = unpack_spectrum(arc, uncertainty)
    flux[bad | (flux >= (np.inf if saturation is None else saturation))] = np.nan
    return flux, sigma


def _model_whole(found, spectra, wavelengths, expected, n_pixels, width):
    """Ask the whole arcs, not their lines alone; keep the curve that is known better."""
    used = found.lines["pixel"][found.lines["used"]].value
    if not len(used) or any(one is None for one in spectra):
        return found
    half = 0.5 * (n_pixels - 1)
    curve, covariance = correct_curve(
        found.coefficients, spectra, wavelengths, expected, n_pixels, width
    )
    v = np.linspace(used.min(), used.max(), 100) / half - 1
    if _known_to(covariance, v) > _known_to(found.covariance, v):
        return found
    lines = found.lines.copy()
    wave = legendre.legval(lines["pixel"].value / half - 1, curve)
    lines["residual"] = lines["wavelength"] - wave * u.AA
    before, after = (np.median(np.abs((each["residual"] / each["uncertainty"])[each["used"]].value))
                     for each in (found.lines, lines))  # fmt: skip
    if after > CONTRADICTED * max(before, 1.0):  # no line's shape was like the model's
        return found
    return replace(found, coefficients=curve, covariance=covariance, lines=lines, modelled=True)


def _known_to(covariance, v):
    """Root mean square uncertainty of a curve of this covariance at places along the detector."""
    return np.sqrt(np.mean(legendre.legval2d(v, v, covariance)))


def _observed(table, lines):
    """Lines seen and lines listed, as plain arrays."""
    table = table[~(table["edge"] | table["narrow"])]
    flux = table["flux"].value
    order = np.argsort(np.argsort(-flux))
    return ArcLines(
        pixel=table["pixel"].value,
        uncertainty=table["pixel_uncertainty"].value,
        flux=flux,
        chance=np.clip(0.9 - 0.5 * order / max(len(table), 1), 0.3, 0.9),
        wavelength=lines["wavelength"].value,
        strength=relative_strength(lines["strength"], lines["ion"]),
        ion=np.asarray(lines["ion"]),
    )


def _look_closer(match, observed, n_pixels, prior, width, medium, stage):
    """Search again, finer, around what a blind search found: its ends may have settled wrongly."""
    ends = legendre.legval(np.array([-1.0, 1.0]), match.coefficients)
    rising = bool(ends[1] > ends[0])
    search, _, start = first_guesses(
        observed, n_pixels, ends, None, None, None, rising, medium, slack=0.5,
        stage="coarse" if stage == "coarse" else "all",
    )  # fmt: skip
    options = {"prior": prior, "fwhm": width, "start_sigma": start}
    closer = match_guesses(observed, search.coefficients, n_pixels, **options)
    best = max(match, closer, key=lambda one: one.evidence)
    return replace(best, rival=max(match.rival, min(closer.rival, best.evidence)))
