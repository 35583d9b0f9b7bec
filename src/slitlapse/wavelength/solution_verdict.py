"""Is a relation between pixel and wavelength to be believed, and why?"""

import astropy.units as u
import numpy as np

__all__ = ["BELIEVE", "WavelengthError", "give_verdict", "margin_of"]

BELIEVE = 6.0  # natural log of the odds below which a relation is not believed


class WavelengthError(ValueError):
    """No relation between pixel and wavelength could be believed; the message says why."""


def margin_of(match):
    """Log odds of a match against the next best relation, or against none at all."""
    return match.evidence - max(match.rival, 0.0)


def give_verdict(match, found, curve, names):
    """
    Say in words why a relation is believed, or raise.

    Parameters
    ----------
    match : `~slitlapse.wavelength.LampMatch`
        Or anything with ``evidence`` and ``rival``, log odds.
    found : `~slitlapse.wavelength.LineIdentification`
        With the ``coefficients``, ``lines`` and ``scatter`` of the relation, and whether it comes
        from models of whole arcs (``modelled``).
    curve : `~slitlapse.wavelength.WavelengthSolution`
    names : str
        Of the lamps.

    Returns
    -------
    verdict : str

    Raises
    ------
    WavelengthError
        Which says why not.
    """
    margin = margin_of(match)
    used = int(found.lines["used"].sum())
    if match.evidence < BELIEVE or margin < BELIEVE or used < len(found.coefficients) + 1:
        why = (
            "the lines found are not those of the lamps better than by chance"
            if match.evidence < BELIEVE
            else f"another relation fits the lines almost as well (log odds {margin:.1f})"
            if margin < BELIEVE
            else f"only {used} lines agree"
        )
        raise WavelengthError(
            f"No wavelength solution from {names}: {why} (log evidence {match.evidence:.1f}). "
            "Check which lamps were on, narrow wavelength_range, or give a guess or pairs."
        )
    used_lines = found.lines[found.lines["used"]]
    residual = np.abs(used_lines["residual"].to_value(u.AA))
    per_pixel = np.abs(np.gradient(curve.wavelength.value))
    slope = np.interp(used_lines["pixel"].value, np.arange(curve.n_pixels), per_pixel)
    error = curve.wavelength_uncertainty.value
    text = (
        f"{used} of {len(found.lines)} lines of {names} used; log odds against chance "
        f"{match.evidence:.0f}, against the next best relation {margin:.0f}; half of the lines lie "
        f"within {np.median(residual):.2g} angstrom ({np.median(residual / slope):.2g} pixel) of "
        f"the curve, which is known to {np.median(error):.2g} angstrom "
        f"({np.median(error / per_pixel):.2g} pixel)."
    )
    if found.modelled:
        text += " The curve comes from models of the whole arcs: it is known better than by lines."
    if found.scatter > 0.01:
        text += f" Lines scatter by {found.scatter:.2g} pixel beyond their own uncertainties."
    return text
