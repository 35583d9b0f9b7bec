"""Where on the detector are the lines of an arc? Sub-pixel centres with uncertainties."""

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.special import ndtr

__all__ = ["find_lines"]

SIGMA_TO_FWHM = 2.3548200450309493
WEIGHT_FLOOR = 0.2  # of a line's height: between the weights of photon and of read noise
MAX_GROUP = 8  # lines fitted together; longer chains are cut at their widest gap


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
    flux, sigma, bad, unit = _unpack(spectrum, uncertainty, mask)
    typical = 4.0 if fwhm is None else float(fwhm)
    for _ in range(3 if fwhm is None else 0):  # the width tells the filter, the filter the width
        typical = _typical_width(flux, _noise(flux, bad, sigma), bad, typical)
    noise = _noise(flux, bad, sigma)
    peaks = _find_peaks(flux, noise, bad, typical, min_snr)
    rows = _fit_all(flux, np.where(bad, np.inf, noise), peaks, typical)
    if sigma is None and len(rows):  # photons make the lines noisier than the gaps between them
        noise = _photon_noise(flux, noise, rows, typical)
        rows = _fit_all(flux, np.where(bad, np.inf, noise), peaks, typical)
    return _make_table(rows, flux, noise, bad, typical, unit, saturation, max_lines, min_snr)


def _unpack(spectrum, uncertainty, mask):
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


def _groups(peaks, fwhm):
    """Cut the sorted peaks into runs whose neighbours touch."""
    groups = [[p] for p in peaks[:1]]
    for peak in peaks[1:]:
        if peak - groups[-1][-1] < 2.2 * fwhm:
            groups[-1].append(peak)
        else:
            groups.append([peak])
    cut = []
    while groups:
        group = groups.pop()
        if len(group) > MAX_GROUP:
            gap = int(np.argmax(np.diff(group)[1:-1])) + 2 if len(group) > 3 else 1
            groups += [group[:gap], group[gap:]]
        else:
            cut.append(group)
    return sorted(cut)


def _fit_all(flux, noise, peaks, fwhm):
    """Fit all groups, equal sizes in one batch: centre, error, sigma, flux, error, skew, excess."""
    groups = _groups(np.asarray(peaks), fwhm)
    rows = []
    for size in {len(g) for g in groups}:
        rows += _fit_batch(flux, noise, groups, size, fwhm)
    return np.array(sorted(rows)).reshape(-1, 7)


def _windows(groups, size, fwhm, n):
    """Pixel indices of each group's window, padded with -1; halfway to neighbours at most."""
    reach = int(np.ceil(2.0 * fwhm)) + 1
    first = np.array([g[0] for g in groups])
    last = np.array([g[-1] for g in groups])
    low = np.maximum(first - reach, np.concatenate([[0], (last[:-1] + first[1:]) // 2]))
    high = np.minimum(last + reach, np.concatenate([(last[:-1] + first[1:]) // 2, [n - 1]]))
    chosen = np.array([i for i, g in enumerate(groups) if len(g) == size])
    low, high = low[chosen], high[chosen]
    x = low[:, None] + np.arange((high - low).max() + 1)
    return np.where(x <= high[:, None], x, -1), np.array([groups[i] for i in chosen], float)


def _model(parameters, x, size):
    """Pixel-integrated Gaussians of common width plus a line, and the derivatives."""
    centre, area = parameters[:, :size], parameters[:, size : 2 * size]
    sigma = parameters[:, 2 * size, None, None]
    z_low = (x[:, :, None] - 0.5 - centre[:, None, :]) / sigma
    z_high = z_low + 1 / sigma
    pdf_low, pdf_high = (np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) for z in (z_low, z_high))
    shape = ndtr(z_high) - ndtr(z_low)
    offset = x - x.mean(axis=1, keepdims=True)
    value = (shape * area[:, None, :]).sum(axis=2)
    value += parameters[:, -2, None] + parameters[:, -1, None] * offset
    height = area[:, None, :] / sigma
    wider = -(height * (z_high * pdf_high - z_low * pdf_low)).sum(axis=2)
    plain = np.stack([wider, np.ones_like(x), offset], axis=2)
    return value, np.concatenate([-height * (pdf_high - pdf_low), shape, plain], axis=2)


def _fit_batch(flux, noise, groups, size, fwhm):
    """Fit all groups of one size at once; weights follow the shapes found, so twice."""
    index, start = _windows(groups, size, fwhm, flux.size)
    used = index >= 0
    x = np.where(used, index, index[:, :1]).astype(float)
    data = flux[x.astype(int)]
    proper = np.where(used, noise[x.astype(int)] ** -2.0, 0.0)
    base = np.where(used, data, np.inf).min(axis=1)
    height = np.maximum(flux[start.astype(int)] - base[:, None], 1e-12)
    sigma = np.full(len(start), fwhm / SIGMA_TO_FWHM)
    p = np.column_stack(
        [start, height * sigma[:, None] * np.sqrt(2 * np.pi), sigma, base, 0 * base]
    )
    for _ in range(2):
        weight = np.where(proper > 0, _shape_weight(p, x, size), 0.0)
        p, value, jacobian = _least_squares(p, x, data, weight, size, fwhm)
    return _rows_of(p, x, data - value, jacobian, weight, proper, size)


def _shape_weight(p, x, size):
    """
    Weights that depend on a line's shape, not on its brightness.

    Spectrographs' lines lean. With weights from the noise alone a bright line's tail counts for
    more than a faint one's, and their centres would differ by a tenth of the width. These cost
    less than 10 % in the uncertainty of a centre, from read noise to photon noise.
    """
    sigma = p[:, 2 * size, None, None]
    area = p[:, None, size : 2 * size]
    area = np.maximum(area, 1e-3 * np.abs(area).max(axis=2, keepdims=True) + 1e-300)
    bell = np.exp(-0.5 * np.minimum(((x[:, :, None] - p[:, None, :size]) / sigma) ** 2, 500))
    near = area * bell**0.25 + 1e-60 * area
    top = (near * area).sum(axis=2) / near.sum(axis=2)  # height of the line that rules here
    return 1 / ((area * bell).sum(axis=2) + WEIGHT_FLOOR * top)


def _least_squares(p, x, data, weight, size, fwhm):
    """Levenberg-Marquardt on all groups at once: parameters, model and its derivatives."""
    damping = np.full(len(p), 1e-3)
    value, jacobian = _model(p, x, size)
    chi2 = (weight * (data - value) ** 2).sum(axis=1)
    for _ in range(25):
        normal = np.einsum("gxa,gx,gxb->gab", jacobian, weight, jacobian)
        right = np.einsum("gxa,gx,gx->ga", jacobian, weight, data - value)
        scale = np.sqrt(np.einsum("gaa->ga", normal)) + 1e-30
        unit = normal / scale[:, :, None] / scale[:, None, :]
        unit = unit + np.eye(p.shape[1]) * (damping[:, None, None] + 1e-12)
        step = np.linalg.solve(unit, (right / scale)[:, :, None])[:, :, 0] / scale
        step[:, :size] = np.clip(step[:, :size], -0.5 * fwhm, 0.5 * fwhm)
        trial = p + step
        trial[:, 2 * size] = np.clip(trial[:, 2 * size], 0.25, 1.5 * fwhm)
        new_value, new_jacobian = _model(trial, x, size)
        new_chi2 = (weight * (data - new_value) ** 2).sum(axis=1)
        better = new_chi2 <= chi2
        p = np.where(better[:, None], trial, p)
        value[better], jacobian[better] = new_value[better], new_jacobian[better]
        small = np.abs(step[:, :size]).max(axis=1) < 1e-5
        chi2 = np.where(better, new_chi2, chi2)
        damping = np.where(better, damping * 0.1, damping * 10).clip(1e-9, 1e6)
        if (small & better).all():
            break
    return p, value, jacobian


def _skew(p, x, weight, residual, size):
    """
    Third Gauss-Hermite moment of each line, in parts of its flux: asymmetry betrays a blend.

    Shape (n_groups, size); noise gives it a spread of about 1 / snr.
    """
    z = (x[:, :, None] - p[:, None, :size]) / p[:, 2 * size, None, None]
    odd = (z**3 - 3 * z) * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) / p[:, 2 * size, None, None]
    odd = odd * p[:, None, size : 2 * size]
    top = np.einsum("gx,gxk,gx->gk", weight, odd, residual)
    return top / np.maximum(np.einsum("gx,gxk->gk", weight, odd**2), 1e-300)


def _rows_of(p, x, residual, jacobian, weight, proper, size):
    """One row per line, with the uncertainties that the noise gives under these weights."""
    skew = _skew(p, x, weight, residual, size)
    normal = np.einsum("gxa,gx,gxb->gab", jacobian, weight, jacobian)
    scale = np.sqrt(np.einsum("gaa->ga", normal)) + 1e-30
    unit = np.linalg.pinv(normal / scale[:, :, None] / scale[:, None, :], hermitian=True)
    inverse = unit / scale[:, :, None] / scale[:, None, :]
    noisy = np.where(proper > 0, weight**2 / np.where(proper > 0, proper, 1), 0.0)
    spread = np.einsum("gxa,gx,gxb->gab", jacobian, noisy, jacobian)
    error = np.sqrt(np.abs(np.einsum("gab,gbc,gca->ga", inverse, spread, inverse)))
    free = (proper > 0).sum(axis=1) - p.shape[1]
    # squared residuals beyond those of the quiet pixels, per line
    chi2 = (proper * residual**2).sum(axis=1)
    excess = (chi2 - free) / np.maximum(proper.max(axis=1), 1e-300) / size
    alike = np.ones((1, size))
    columns = [p[:, :size], error[:, :size], p[:, [2 * size]] * alike]
    columns += [p[:, size : 2 * size], error[:, size : 2 * size], skew, excess[:, None] * alike]
    return [tuple(row) for row in np.stack(columns, axis=2).reshape(-1, 7)]


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
