"""Where on the detector are the lines of an arc? Sub-pixel centres with uncertainties."""

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from scipy.ndimage import gaussian_filter1d, percentile_filter

from .line_fit import fit_lines

__all__ = ["find_lines", "unpack_spectrum"]

SIGMA_TO_FWHM = 2.3548200450309493


def find_lines(
    spectrum,
    *,
    uncertainty=None,
    mask=None,
    fwhm=None,
    min_snr=5.0,
    saturation=None,
    max_lines=None,
):
    """
    Find emission lines in an extracted arc and measure where they are.

    Peaks of the filtered spectrum are fitted with Gaussians integrated over the pixels, on a
    straight local background; lines that touch are fitted together.

    Parameters
    ----------
    spectrum : array-like of shape (n_pixels,), or `~specutils.Spectrum`
        Flux. From a `~specutils.Spectrum`, uncertainty and mask are taken along.
    uncertainty : array-like of shape (n_pixels,), optional
        Standard deviation. Without it the noise is measured between the lines, and that of the
        photons in them from the residuals of the fainter ones.
    mask : array-like of bool, shape (n_pixels,), optional
        True where a pixel is bad.
    fwhm : float, optional
        Width of the lines in pixels; measured from the strongest lines if not given.
    min_snr : float
        Lines whose filtered peak stands out by less are left out.
    saturation : float, optional
        Flux at and above which a pixel is saturated.
    max_lines : int, optional
        Keep only this many, the brightest.

    Returns
    -------
    lines : `~astropy.table.QTable`
        One row per line, by pixel: ``pixel``, ``pixel_uncertainty``, ``fwhm`` (all pixel),
        ``amplitude`` (height of the fitted line above the background, in the unit of the flux),
        ``flux``, ``snr``, and the flags ``blended`` (a close neighbour, or too broad or too
        lopsided to be one line; lopsidedness then counts as uncertainty), ``saturated``, ``edge``
        (cut by the edge), ``narrow`` (too sharp for the spectrograph: a hot pixel or a cosmic
        ray); ``meta["fwhm"]`` is the typical width, ``meta["n_pixels"]`` the spectrum's length.

    Raises
    ------
    ValueError
        If the spectrum is not one-dimensional, has fewer than 16 pixels, or no good pixel.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(200)
    >>> arc = 5 + 1e4 * np.exp(-0.5 * ((x - 80.25) / 2.0) ** 2)
    >>> lines = find_lines(arc, uncertainty=np.sqrt(arc))
    >>> print(f"{lines['pixel'][0]:.2f} +/- {lines['pixel_uncertainty'][0]:.2f}")
    80.25 pix +/- 0.01 pix
    """
    flux, sigma, bad, unit = unpack_spectrum(spectrum, uncertainty, mask)
    typical = 4.0 if fwhm is None else float(fwhm)
    for _ in range(3 if fwhm is None else 0):  # the width tells the filter, the filter the width
        typical = _typical_width(flux, _noise(flux, bad, sigma), bad, typical)
    noise = _noise(flux, bad, sigma)
    peaks = _find_peaks(flux, noise, bad, typical, min_snr)
    rows = fit_lines(flux, np.where(bad, np.inf, noise), peaks, typical)
    if sigma is None and len(rows):  # photons make the lines noisier than the gaps between them
        noise = _photon_noise(flux, noise, rows, typical)
        rows = fit_lines(flux, np.where(bad, np.inf, noise), peaks, typical)
    return _make_table(rows, flux, noise, bad, typical, unit, saturation, max_lines, min_snr)


def unpack_spectrum(spectrum, uncertainty=None, mask=None):
    """
    Take an arc spectrum apart: what `find_lines` takes, as plain arrays of shape (n_pixels,).

    Returns
    -------
    flux : array
        In ``unit``; interpolated where it is bad, so that a peak finder finds nothing there.
    sigma : array or None
        Standard deviation, in ``unit``; None where it is not known.
    bad : array of bool
        Masked, not finite, or without a usable uncertainty.
    unit : `~astropy.units.Unit` or None

    Raises
    ------
    ValueError
        If it is not one spectrum of 16 pixels or more, or has no good pixel.
    """
    flux = getattr(spectrum, "flux", spectrum)
    if hasattr(spectrum, "flux"):
        if uncertainty is None and spectrum.uncertainty is not None:
            uncertainty = spectrum.uncertainty.represent_as(StdDevUncertainty).quantity
        mask = spectrum.mask if mask is None else mask
    unit = getattr(flux, "unit", None)
    flux = np.array(getattr(flux, "value", flux), dtype=float)
    if flux.ndim != 1 or flux.size < 16:
        raise ValueError(
            f"An arc spectrum is one-dimensional with 16 pixels or more, found shape {flux.shape}. "
            "Extract the arc along the star's trace first."
        )
    sigma = uncertainty
    if sigma is not None:
        sigma = np.array(u.Quantity(sigma, unit).value if unit else sigma, dtype=float)
        sigma = np.broadcast_to(sigma, flux.shape).copy()
    bad = np.zeros(flux.shape, bool) if mask is None else np.array(mask, bool)
    bad = bad | ~np.isfinite(flux)
    if sigma is not None:
        bad |= ~(sigma > 0) | ~np.isfinite(sigma)
    if bad.all():
        raise ValueError("Every pixel of this arc spectrum is masked or not finite.")
    good = np.flatnonzero(~bad)
    flux[bad] = np.interp(np.flatnonzero(bad), good, flux[good])  # only the peak finder sees these
    return flux, sigma, bad, unit


def _noise(flux, bad, sigma):
    """Per-pixel standard deviation: as given, else one number from pixels between the lines."""
    if sigma is not None:
        return np.where(bad, np.nanmedian(sigma[~bad]), sigma)
    third = np.diff(flux, 3) / np.sqrt(20)  # third differences do not see slopes or curvature
    quiet = np.abs(third[flux[2:-1] <= np.quantile(flux, 0.6)])
    level = 1.4826 * np.median(quiet) if quiet.size else 0.0
    return np.full(flux.shape, max(level, 1e-9 * np.ptp(flux) + 1e-30))


def _background(flux, fwhm):
    width = 2 * int(np.ceil(6 * fwhm)) + 1
    return gaussian_filter1d(percentile_filter(flux, 25, width, mode="nearest"), width / 4)


def _filtered(flux, noise, bad, fwhm):
    """Signal-to-noise of a line of this width centred on each pixel."""
    sigma = fwhm / SIGMA_TO_FWHM
    weight = np.where(bad, 0.0, noise**-2.0)
    signal = (flux - _background(flux, fwhm)) * weight
    norm = gaussian_filter1d(weight, sigma / np.sqrt(2), mode="constant")
    # sum(k s w) / sqrt(sum(k^2 w)), with k^2 a Gaussian narrower by sqrt(2)
    area = 2 * np.sqrt(np.pi) * sigma
    top = gaussian_filter1d(signal, sigma, mode="constant")
    return top * np.sqrt(area / np.maximum(norm, 1e-300))


def _local_maxima(values, threshold):
    inner = values[1:-1]
    peak = (inner > values[:-2]) & (inner >= values[2:]) & (inner > threshold)
    return np.flatnonzero(peak) + 1


def _find_peaks(flux, noise, bad, fwhm, min_snr):
    """Integer pixels of the lines: peaks of the filtered spectrum, and sharper ones it merged."""
    snr = _filtered(flux, noise, bad, fwhm)
    broad = _local_maxima(snr, min_snr)
    sharp = _local_maxima(_filtered(flux, noise, bad, max(0.5 * fwhm, 1.2)), 2 * min_snr)
    extra = [p for p in sharp if np.abs(broad - p).min(initial=1e9) >= 0.75 * fwhm]
    if len(extra):
        depth = flux - _background(flux, fwhm)
        near = [depth[max(p - int(2 * fwhm), 0) : p + int(2 * fwhm) + 1].max() for p in extra]
        extra = [p for p, top in zip(extra, near, strict=True) if depth[p] > 0.1 * top]
    return np.sort(np.concatenate([broad, np.array(extra, int)]))


def _photon_noise(flux, noise, rows, fwhm):
    """Add noise in proportion to the light above the gaps, by as much as lines' residuals ask."""
    area, excess = rows[:, 3], rows[:, 6]
    bright = area > 20 * rows[:, 4]
    if bright.sum() < 4:
        return noise
    # an imperfect profile leaves more in brighter lines, photons the same: ask the fainter third
    fainter = bright & (area <= np.quantile(area[bright], 1 / 3))
    per_flux = max(np.median(excess[fainter] / area[fainter]), 0.0)
    light = np.maximum(flux - _background(flux, fwhm), 0.0)
    return np.sqrt(noise**2 + per_flux * light)


def _typical_width(flux, noise, bad, fwhm):
    """Median full width at half maximum of the strongest lines, from where they cross half."""
    peaks = _find_peaks(flux, noise, bad, fwhm, 10.0)
    height = flux - _background(flux, fwhm)
    widths = []
    for peak in peaks[np.argsort(-height[peaks])][:25]:
        half = 0.5 * height[peak]
        below = np.flatnonzero(height < half)
        left, right = below[below < peak], below[below > peak]
        if left.size and right.size and not bad[left[-1] : right[0] + 1].any():
            a, b = left[-1], right[0]
            start = a + (half - height[a]) / (height[a + 1] - height[a])
            stop = b - (half - height[b]) / (height[b - 1] - height[b])
            widths.append(stop - start)
    if not widths:
        return fwhm
    return float(np.clip(np.quantile(widths, 0.4), 1.2, flux.size / 8))  # blends only broaden


def _smooth(centre, value, good, n, floor):
    """Robust parabola along the detector (focus and coma change), for every line."""
    for _ in range(4):
        if good.sum() < 4:
            break
        degree = 2 if good.sum() > 12 else 0
        fit = np.polynomial.Polynomial.fit(centre[good], value[good], degree, domain=[0, n])
        off = value - fit(centre)
        spread = 1.4826 * np.median(np.abs(off[good])) + floor
        good = good & (off < 2.0 * spread) & (off > -3 * spread)  # blends are broad, never sharp
    return fit(centre) if good.sum() >= 4 else np.full(len(value), np.median(value))


def _make_table(rows, flux, noise, bad, fwhm, unit, saturation, max_lines, min_snr):
    centre, error, sigma, area, area_error, skew, _ = rows.T
    inside = (centre > -0.5) & (centre < flux.size - 0.5) & (area > 0) & (error < fwhm)
    inside &= area > 0.6 * min_snr * area_error
    centre, error, sigma, area, area_error, skew, _ = rows[inside].T
    width = sigma * SIGMA_TO_FWHM
    snr = area / area_error
    good = (width < 2 * fwhm) & (width > 0.5 * fwhm) & (snr > np.median(snr if len(snr) else 0) / 3)
    typical = _smooth(centre, width, good, flux.size, 0.02 * fwhm) if len(width) else width
    typical = np.clip(typical, 0.6 * fwhm, 1.6 * fwhm)
    amplitude = area / (np.sqrt(2 * np.pi) * sigma)
    gap = np.abs(centre[:, None] - centre)
    lean = skew - _smooth(centre, skew, good, flux.size, 0.01) if len(skew) > 8 else skew
    lean = np.where(np.abs(lean) > 5 / snr, lean, 0.0)
    rival = (amplitude > 0.05 * amplitude[:, None]) & (gap > 0) & (gap < 1.5 * typical[:, None])
    core = np.maximum(0.5 * typical, 1.0)[:, None]
    near = np.abs(np.arange(flux.size) - centre[:, None]) <= core
    full = np.zeros(flux.size, bool) if saturation is None else flux >= saturation
    of_flux = unit if unit is not None else u.dimensionless_unscaled
    table = QTable(
        {
            "pixel": centre * u.pix,
            "pixel_uncertainty": np.hypot(error, lean * sigma) * u.pix,
            "fwhm": width * u.pix,
            "amplitude": amplitude * of_flux,
            "flux": area * of_flux,
            "snr": snr,
            "blended": rival.any(axis=1) | (width > 1.4 * typical) | (np.abs(lean) > 0.05),
            "saturated": (near & full).any(axis=1),
            "edge": (centre < typical) | (centre > flux.size - 1 - typical),
            "narrow": width < 0.6 * typical,
        },
        meta={
            "fwhm": float(np.median(typical)) if len(typical) else fwhm,
            "n_pixels": int(flux.size),
        },
    )
    table["edge"] |= (near & bad).any(axis=1)
    return table if max_lines is None else table[np.sort(np.argsort(-area)[:max_lines])]
