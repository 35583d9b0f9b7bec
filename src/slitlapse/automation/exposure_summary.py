"""What of one exposure goes into the series of a star?"""

import astropy.units as u
import numpy as np

__all__ = ["PARTS", "SCALAR_UNITS", "spectral_unit", "summarise_exposure"]

FWHM = np.sqrt(8 * np.log(2))
PARTS = ("star", "sky", "read", "dark", "flat", "skyfit")
MOST_LOST = 0.5  # of the light in the aperture; beyond it the profile cannot make up for it
SPECTRAL_UNITS = {
    "offset": u.pix,
    "width": u.pix,
    "bad_fraction": u.one,
    "enclosed": u.one,
    "chi2": u.one,
    "sky_slope": u.electron / u.pix,
}
SCALAR_UNITS = {
    "spatial_shift": u.pix,
    "spatial_shift_uncertainty": u.pix,
    "bias_level": u.adu,
    "seeing": u.pix,
    "sky_level": u.electron,
    "n_hit": None,
}


def spectral_unit(name):
    """Unit of what `summarise_exposure` gives for every wavelength: electron where not told."""
    return u.electron**2 if name.startswith("variance") else SPECTRAL_UNITS.get(name, u.electron)


def summarise_exposure(arrays, widths, method):
    """
    Choose the headline, and sum up the parts of the variance of everything else.

    Exposure by exposure, because a night has hundreds, with more of each than a series keeps.

    Parameters
    ----------
    arrays : dict of str to array
        What `~slitlapse.automation.exposure.measure_star` gave for one star.
    widths : sequence of float
        Full widths of the boxcars.
    method : str
        Of the headline: ``"optimal"`` or ``"boxcar"``, then of the middle width.

    Returns
    -------
    dict of str to array
        What `~slitlapse.automation.SpectralTimeSeries` has for every wavelength, shape (n_x,);
        ``reasons``, bits of why a sample is bad; and the keys of ``SCALAR_UNITS``, shape ().
    """
    head, boxcar = len(widths) // 2, arrays["flux_boxcar"]
    optimal = method == "optimal"
    best = {part: arrays[f"optimal_{part}"] for part in PARTS}
    boxes = {part: arrays[f"boxcar_{part}"] for part in PARTS}
    total_boxes = sum(boxes.values())
    variances = best if optimal else {part: value[head] for part, value in boxes.items()}
    total, other = sum(best.values()), total_boxes[head]
    flux, second, lost = arrays["flux_optimal"], boxcar[head], arrays["bad_fraction_optimal"]
    if not optimal:
        total, other = other, total
        flux, second, lost = second, flux, arrays["bad_fraction"][head]
    found = {
        "flux": flux,
        "uncertainty": np.sqrt(total),
        "sky": arrays["sky_level"] * widths[head],
        **{f"variance_{part}": value for part, value in variances.items()},
        "offset": arrays["offset"],
        "width": arrays["measured_width"],
        "peak": arrays["peak"],
        "bad_fraction": lost,
        "enclosed": arrays["enclosed"][head],
        "chi2": arrays["chi2"],
        "sky_slope": arrays["sky_slope"],
        "baseline": arrays["baseline"],
        f"flux_{'boxcar' if optimal else 'optimal'}": second,
        f"uncertainty_{'boxcar' if optimal else 'optimal'}": np.sqrt(other),
    }
    for index, width in enumerate(widths):
        found[f"flux_{width:g}"] = boxcar[index]
        found[f"uncertainty_{width:g}"] = np.sqrt(total_boxes[index])
    found["reasons"] = (2 * (lost > MOST_LOST) + 4 * arrays["saturated"]).astype(np.int16)
    level = arrays["sky_level"]
    for key in ("spatial_shift", "spatial_shift_uncertainty", "bias_level"):
        found[key] = np.asarray(arrays[key], float)
    found["seeing"] = np.asarray(FWHM * np.median(arrays["width_used"]), float)
    typical = np.nanmedian(level) if np.isfinite(level).any() else np.nan
    found["sky_level"] = np.asarray(typical, float)
    found["n_hit"] = np.asarray(arrays["n_hit"].sum())
    return found
