"""By how much did each exposure's spectrum move along the detector, and how sure are we?"""

import numpy as np

from .joint_fit import JointFit, interpolating_spline, spline_at_knots
from .shift_series import ShiftSeries

__all__ = ["JointFit", "ShiftSeries", "measure_shift"]

SETTLED = (5, 7, 9, 11)  # iterations after which depth and shift of bands are told apart


def measure_shift(
    spectra,
    *,
    uncertainty=None,
    mask=None,
    use=None,
    telluric=None,
    template=None,
    stretch=False,
    continuum_degree=3,
    max_shift=10.0,
    clip=6.0,
    max_iterations=40,
):
    """
    Measure the shift of each exposure by least squares against their own stack.

    The template is a cubic spline with a knot per pixel, fitted to all exposures at their shifts,
    as stiff as the noise asks (restricted maximum likelihood); each exposure is that template,
    shifted, times a low-order polynomial (slit losses, airmass, seeing). Both are improved in turn
    until they agree, which is the maximum of the joint likelihood: the uncertainty is the
    Cramer-Rao bound with the continuum free, and larger where the template is so noisy that it had
    to be smoothed. Last, every exposure is compared with the others'
    template at every whole-pixel shift; where no shift stands out, none is reported.

    Parameters
    ----------
    spectra : array-like of shape (n_exposures, n_pixels)
    uncertainty : array-like, optional
        Standard deviation, broadcast to ``spectra``; without it the residuals tell.
    mask : array-like of bool, shape (n_exposures, n_pixels), optional
        True is bad.
    use : array-like of bool, shape (n_pixels,), optional
        Where to measure: outside ``telluric_mask`` for a star, inside for the air.
    telluric : array-like of bool, shape (n_pixels,), optional
        Bands of the air (``telluric_mask``): every run of True deepens by itself.
    template : array-like of shape (n_pixels,), optional
        Measure against this spectrum (taken as free of noise) instead of the stack.
    stretch : bool
        Also measure a stretch about the middle pixel.
    continuum_degree : int
        Of the polynomial that each exposure's continuum may differ by.
    max_shift : float
        Largest shift to look for, pixels.
    clip : float
        Pixels this many standard deviations off are left out (cosmic rays).
    max_iterations : int

    Returns
    -------
    series : `ShiftSeries`

    Raises
    ------
    ValueError
        For one spectrum without a template, or fewer than 20 good pixels.
    """
    flux, weight = _unpack(spectra, uncertainty, mask, use)
    fixed = template is not None
    if len(flux) < 2 and not fixed:
        raise ValueError("One spectrum has no shift. Give several, or a template to compare with.")
    if telluric is not None and np.shape(telluric) != flux.shape[1:]:
        raise ValueError(
            f"telluric has shape {np.shape(telluric)}, but the spectra {flux.shape[1]} pixels: "
            "give one value per pixel."
        )
    state = JointFit(flux, weight, continuum_degree, stretch, max_shift, telluric)
    if fixed:
        state.spline = interpolating_spline(np.asarray(template, float), state.pad)
    state.start(fixed)
    n_clipped = 0
    for iteration in range(max_iterations):
        if not fixed:
            state.stack(choose=iteration < 6)
        if telluric is not None and iteration > 1:
            state.learn_bands(look=iteration > 3)
            if iteration in SETTLED:
                state.tell_apart()
        change = state.improve()
        if iteration in (2, 4):
            n_clipped += state.clip(clip, floor=0.0 if uncertainty is None else 1.0)
        if iteration == 5:  # noise may have led a first guess astray: look everywhere again
            state.settle(fixed)
        if change < 1e-5 and iteration > (7 if telluric is None else SETTLED[-1]):
            break
    variance, chi2 = state.conclude(fixed, uncertainty is None)
    sigma = np.sqrt(variance)
    shift, moved = (np.where(state.known, v, np.nan) for v in (state.shift, state.stretch))
    return ShiftSeries(
        shift,
        sigma[:, 0],
        moved,
        sigma[:, 1] if stretch else np.zeros_like(shift),
        chi2,
        spline_at_knots(state.spline[state.pad - 1 : flux.shape[1] + state.pad + 1]),
        n_clipped,
        state.reason,
        None if telluric is None else 1 + state.amount[:, 1:],
    )


def _unpack(spectra, uncertainty, mask, use):
    flux = np.array(getattr(spectra, "value", spectra), dtype=float)
    if flux.ndim != 2:
        raise ValueError(f"spectra have shape (n_exposures, n_pixels), found {flux.shape}.")
    bad = ~np.isfinite(flux)
    if mask is not None:
        bad |= np.asarray(mask, bool)
    if use is not None:
        bad |= ~np.asarray(use, bool)
    if uncertainty is None:
        uncertainty = _scatter(flux, bad)
    sigma = getattr(uncertainty, "value", uncertainty)
    sigma = np.broadcast_to(np.asarray(sigma, float), flux.shape)
    bad |= ~(sigma > 0) | ~np.isfinite(sigma)
    if (~bad).sum(axis=1).min() < 20:
        raise ValueError("An exposure has fewer than 20 good pixels to measure a shift with.")
    weight = np.where(bad, 0.0, 1 / np.where(bad, 1.0, sigma) ** 2)
    return np.where(np.isfinite(flux), flux, 0.0), weight


def _scatter(flux, bad):
    """Noise of each exposure, from third differences."""
    third = np.ma.masked_invalid(np.diff(np.where(bad, np.nan, flux), 3))
    level = 1.4826 * np.ma.median(np.abs(third), axis=1).filled(0) / np.sqrt(20)
    return np.maximum(level, 1e-6 * np.abs(flux[~bad]).max(initial=1e-30))[:, None]
