"""What would an experienced observer say about this night?"""

import astropy.units as u
import numpy as np

__all__ = ["judge_night"]

MANY_SATURATED = 0.005  # of all samples
MANY_LOST = 0.02
LARGE_DRIFT = 1.0  # of the FWHM along the slit
UNSTABLE = 0.5  # pixels along the dispersion
CLOUDY = 0.2  # change of white light from one exposure to the next


def judge_night(series, solutions):
    """
    Say what deserves attention, one sentence each.

    Parameters
    ----------
    series : dict of str to SpectralTimeSeries
    solutions : dict of str to StarWavelengths

    Returns
    -------
    list of str
        Empty for a night that is as it should be.
    """
    sentences = []
    for name, star in series.items():
        sentences += _judge_pixels(name, star)
        if star.shape[1] > 1:
            sentences += _judge_motion(name, star)
        if name not in solutions:
            sentences.append(f"Star {name} has no wavelengths: its spectra count pixels.")
    if series:
        sentences += _judge_clouds(series)
    return sentences


def _judge_pixels(name, star):
    """Saturation and lost light."""
    reasons = star.fluxlike["reasons"].value.astype(int)
    saturated = np.mean((reasons & 4) != 0)
    if saturated > MANY_SATURATED:
        yield (
            f"Star {name} is saturated in {100 * saturated:.1f} % of its samples; they are "
            "masked. Expose less, or do not trust its brightest wavelengths."
        )
    lost = np.mean((reasons & 3) != 0)
    if lost > MANY_LOST:
        yield f"Star {name} has lost {100 * lost:.1f} % of its samples to bad pixels."


def _judge_motion(name, star):
    """Drifts along the slit and along the dispersion."""
    drift = np.ptp(u.Quantity(star.timelike["spatial_shift"]).value)
    fwhm = np.median(u.Quantity(star.timelike["seeing"]).value)
    if drift > LARGE_DRIFT * fwhm:
        yield (
            f"Star {name} drifted by {drift:.1f} pixels along the slit ({drift / fwhm:.1f} times "
            "its width): the apertures followed, but look for slit losses in its light curve."
        )
    shift = u.Quantity(star.timelike["wavelength_shift"]).value
    error = u.Quantity(star.timelike["wavelength_shift_uncertainty"]).value
    known = np.isfinite(shift) & np.isfinite(error) & (error < UNSTABLE / 3)
    if known.sum() > 1 and np.ptp(shift[known]) > UNSTABLE:
        yield (
            f"The spectrum of star {name} moved by {np.ptp(shift[known]):.2f} pixels along the "
            "dispersion: use wavelength_shift when you bin, or bins will mix."
        )


def _judge_clouds(series):
    """Light that all stars lose together."""
    curves = []
    for star in series.values():
        flux = np.where(star.mask, np.nan, star.flux.value)
        white = np.nansum(flux, axis=0)
        curves.append(white / np.median(white))
    if len(curves[0]) < 3:
        return
    common = np.median(curves, axis=0)
    jump = np.max(np.abs(np.diff(common)))
    if jump > CLOUDY:
        yield (
            f"The light of the stars jumped by {100 * jump:.0f} % from one exposure to the next: "
            "clouds, or slit losses. Trust ratios of stars more than single ones."
        )
