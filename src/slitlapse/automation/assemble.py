"""Put the exposures of a night together: one series per star."""

from itertools import takewhile

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time

from slitlapse import __version__
from slitlapse.automation.exposure_summary import (
    SCALAR_UNITS,
    spectral_unit,
    summarise_exposure,
)
from slitlapse.automation.hits_in_time import find_hits_in_time, tell_hits
from slitlapse.automation.series import SpectralTimeSeries
from slitlapse.automation.store import file_checksum
from slitlapse.automation.times import barycentric_times, pointing_table
from slitlapse.photons import MaskBits
from slitlapse.wavelength import measure_shift, telluric_mask

__all__ = ["assemble_series", "series_filename"]

TEXT = np.dtype(str)
# of the log, that are told otherwise or are no series
LOG_COLUMNS = ("time", "exposure_time", "airmass", "ra", "dec", "n_x", "n_y", "filename")
FEWEST_PIXELS = 50  # good ones, of an exposure whose shift along the dispersion is measured
REASONS = {
    1: "no good pixel in the aperture",
    2: "more than half of the light in the aperture fell on bad pixels",
    4: "a pixel in the aperture is saturated",
    8: "the star's light fell into a gap between detectors",
    16: "a hit: the exposures before and after do not have this light",
}


def series_filename(name, taken):
    """
    File name of a star: its own name, with what file systems dislike replaced.

    Parameters
    ----------
    name : str
    taken : iterable of str
        Names of the night's stars in their order; those before this one keep their file names,
        also where letters in upper and lower case are the same to a file system.

    Returns
    -------
    str
    """
    used = set()
    for each in [*takewhile(lambda other: other != name, taken), name]:
        safe = "".join(c if c.isalnum() or c in "-_+." else "_" for c in each).strip(".") or "star"
        unique, number = safe, 1
        while unique.lower() in used:
            number += 1
            unique = f"{safe}-{number}"
        used.add(unique.lower())
    return f"{unique}.fits"


def assemble_series(
    name, night, chosen, calibration, plans, exposures, wavelengths, notes, sky_correlation=None
):
    """
    Put what was measured of one star into one series.

    Parameters
    ----------
    name : str
        Of the star.
    night : Night
    chosen : ChosenFrames
    calibration : Calibration
    plans : dict of str to ExposurePlan
        By file name.
    exposures : StoredExposures
        What `~slitlapse.automation.exposure.measure_exposure` gave, in order of time.
    wavelengths : StarWavelengths or None
        Without it the wavelengths are pixel numbers.
    notes : sequence of str
    sky_correlation : array, shape (n_lags, n_x), optional
        Of the star, see `~slitlapse.automation.sky_correlations.sky_correlations`.

    Returns
    -------
    SpectralTimeSeries
    """
    table = chosen["science"]
    plan = plans[str(table["filename"][0])]

    def summarise(arrays):
        return summarise_exposure(arrays, plan.widths, night.extraction_method)

    measured = exposures.star(name, summarise)
    scalars = {key: measured.pop(key) for key in SCALAR_UNITS}
    reasons = measured.pop("reasons")
    reasons |= ~np.isfinite(measured["flux"]) | ~np.isfinite(measured["uncertainty"])
    reasons |= 8 * _in_gap(plan, name)[:, None].astype(reasons.dtype)
    # views, not copies: long nights have large arrays
    fluxlike = {key: values << spectral_unit(key) for key, values in measured.items()}
    mask = reasons != 0
    time, reference = _times(night, table)
    wavelike = _wavelike(wavelengths, fluxlike["flux"].shape[0], sky_correlation)
    timelike = QTable({"time": time})
    timelike["exposure_time"] = table["exposure_time"]
    _add_pointing(timelike, night, table)
    for key, unit in SCALAR_UNITS.items():
        timelike[key] = scalars[key] if unit is None else scalars[key] << unit
    _add_wavelength_shift(timelike, fluxlike, mask, wavelike)
    timelike["slit_position"] = _middle_rows(plans, name, table) + timelike["spatial_shift"]
    timelike["filename"] = [str(each) for each in table["filename"]]
    _add_header_series(timelike, table)
    told = []
    if night.hits == "time":
        hit = _hits_in_time(plans, fluxlike, mask, timelike)
        reasons, mask = reasons | 16 * hit.astype(reasons.dtype), mask | hit
        told = tell_hits(name, hit)
    if wavelengths is not None and len(wavelengths.solutions) > 1:
        each = [wavelengths.wavelength_at(moment) for moment in table["time"]]
        fluxlike["wavelength"] = u.Quantity(each).T
    fluxlike["reasons"] = u.Quantity(reasons.astype(np.int16))
    metadata = _metadata(name, night, chosen, calibration, plan, wavelengths, reference, notes)
    metadata |= {"hits_in_time": told, "notes": [*notes, *told]} if told else {}
    return SpectralTimeSeries(wavelike, timelike, fluxlike, mask, metadata)


def _hits_in_time(plans, fluxlike, mask, timelike):
    """Samples that jumped up in any aperture, compared with exposures of the same placement."""
    names = [name.removeprefix("flux") for name in fluxlike if name.startswith("flux")]
    flux, error = (
        [fluxlike[start + name].value for name in names] for start in ("flux", "uncertainty")
    )
    groups = [id(plans[each].traces) for each in timelike["filename"]]
    return find_hits_in_time(flux, error, mask, timelike["wavelength_shift"].value, groups=groups)


def _middle_rows(plans, name, table):
    """Where the star's trace crosses the middle of the dispersion axis, for every exposure."""
    traces = [plans[str(each)].traces[name].trace for each in table["filename"]]
    return np.array([float(trace[len(trace) // 2]) for trace in traces]) * u.pix


def _in_gap(plan, name):
    """Whether the star's trace lies in a gap between detectors, bool of shape (n_x,)."""
    centre = np.asarray(plan.traces[name].trace, float)
    if plan.door.bad is None:
        return np.zeros(len(centre), bool)
    rows = np.clip(np.rint(centre).astype(int), 0, len(plan.door.bad) - 1)
    return (plan.door.bad[rows, np.arange(len(centre))] & MaskBits.gap) != 0


def _times(night, table):
    """BJD_TDB where the target and the site are known, else UTC; and which it is, in words."""
    time = Time(np.asarray(table["time"].jd1), np.asarray(table["time"].jd2), format="jd")
    target = find_target(night, table)
    if target is None or night.instrument.site is None:
        lacking = "the target's coordinates" if target is None else "the telescope's site"
        return time, f"UTC of mid-exposure, because {lacking} are not known"
    return (
        barycentric_times(time, target, night.instrument.site),
        f"BJD_TDB of mid-exposure, for {target.to_string('hmsdms', precision=2)}",
    )


def find_target(night, table):
    """Coordinates from ``night.toml``, else the mean of those in the headers, or None."""
    if night.target is not None:
        return night.target
    ra, dec = table["ra"].to_value(u.deg), table["dec"].to_value(u.deg)
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        return None
    return SkyCoord(ra[known][0] * u.deg, dec[known][0] * u.deg)


def _wavelike(wavelengths, n_wave, sky_correlation):
    """What depends on the pixel only; without an arc its number is its wavelength."""
    pixel = np.arange(n_wave, dtype=float) * u.pix
    wavelike = QTable({"wavelength": pixel})
    if wavelengths is not None:
        main = wavelengths.main
        wavelike["wavelength"] = main.wavelength
        wavelike["wavelength_uncertainty"] = main.wavelength_uncertainty
    wavelike["pixel"] = pixel
    for lag, values in enumerate(() if sky_correlation is None else sky_correlation, start=1):
        wavelike[f"skyfit_correlation_{lag}"] = values
    return wavelike


def _add_pointing(timelike, night, table):
    """Airmass of the log; angles computed where target and site are known."""
    timelike["airmass"] = np.array(table["airmass"], float)
    target, site = find_target(night, table), night.instrument.site
    if target is None or site is None:
        return
    moments = Time(np.asarray(table["time"].jd1), np.asarray(table["time"].jd2), format="jd")
    computed = pointing_table(moments, target, site)
    missing = ~np.isfinite(timelike["airmass"])
    timelike["airmass"][missing] = computed["airmass"][missing]
    for name in computed.colnames:
        if name != "airmass":
            timelike[name] = computed[name]


def _add_header_series(timelike, table):
    """Take along every number of the log: rotator, focus, and each card that varies."""
    taken = {name.lower() for name in timelike.colnames}  # FITS tables do not tell cases apart
    for name in table.colnames:
        values = table[name]
        if (
            name in LOG_COLUMNS
            or values.ndim > 1
            or getattr(values, "dtype", TEXT).kind not in "fi"
        ):
            continue
        # what is computed keeps its name; the card beside it says that it is one
        key = f"header_{name}" if name.lower() in taken else name
        timelike[key] = np.array(values, float)
        taken.add(key.lower())


def _add_wavelength_shift(timelike, fluxlike, mask, wavelike):
    """Shift of every exposure along the dispersion, against the mean of all."""
    n_time = len(timelike)
    shift, error = np.full(n_time, np.nan), np.full(n_time, np.nan)
    if n_time > 1:
        # an exposure without light has no lines to measure a shift with
        known = (~mask).sum(axis=0) >= FEWEST_PIXELS
        wave = wavelike["wavelength"]
        use = np.ones(len(wave), bool)
        if wave.unit.is_equivalent(u.AA):
            use = ~telluric_mask(wave)
        if known.sum() > 1:
            measured = measure_shift(
                fluxlike["flux"].value.T[known],
                uncertainty=fluxlike["uncertainty"].value.T[known],
                mask=mask.T[known],
                use=use,
            )
            shift[known], error[known] = measured.shift, measured.shift_uncertainty
    timelike["wavelength_shift"] = shift * u.pix
    timelike["wavelength_shift_uncertainty"] = error * u.pix


def _metadata(name, night, chosen, calibration, plan, wavelengths, reference, notes):
    """Everything that a person needs to understand and to repeat the series."""
    names = [str(each) for kind in chosen.tables for each in chosen[kind]["filename"]]
    metadata = {
        "star": name,
        "object": str(chosen["science"]["object"][0]),
        "instrument": night.instrument.name,
        "time_reference": reference,
        "medium": night.instrument.medium if wavelengths is not None else "",
        "parameters": describe_night(night),
        "widths": list(plan.widths),
        "headline": night.extraction_method,
        "sky_method": plan.sky.method,
        "sky_windows": plan.sky.windows[name].to_text(),
        "read_noise": [float(n.to_value(u.electron)) for n in calibration.door.read_noises],
        "read_noise_source": calibration.read_noise_source,
        "mask_meanings": {str(bit): words for bit, words in REASONS.items()},
        "notes": list(notes),
        "versions": versions(),
        "checksums": {each: file_checksum(night.data / each) for each in names},
    }
    if wavelengths is not None:
        metadata["wavelength_verdict"] = [each.verdict for each in wavelengths.solutions]
    return metadata


def describe_night(night):
    """The decisions of ``night.toml`` as plain values."""
    return {
        "instrument": night.instrument.name,
        "object": night.object,
        "target": None if night.target is None else night.target.to_string("hmsdms"),
        "stars": night.stars,
        "frames": night.frames,
        "lamps": night.lamps,
        "sky_method": night.sky_method,
        "sky_windows": None if night.sky_windows is None else [list(w) for w in night.sky_windows],
        "extraction_method": night.extraction_method,
        "widths": None if night.widths is None else list(night.widths),
        "hits": night.hits,
        "degree": night.degree,
        "arcs": night.arcs,
    }


def versions():
    """Versions of what made the result."""
    from importlib.metadata import version

    names = ("numpy", "scipy", "astropy", "ccdproc", "specreduce", "specutils", "photutils")
    return {"slitlapse": __version__} | {name: version(name) for name in names}
