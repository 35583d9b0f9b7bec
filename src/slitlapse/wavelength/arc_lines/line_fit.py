"""Where exactly are the peaks? All groups of touching lines of one size are fitted in one batch."""

import numpy as np
from scipy.special import ndtr

__all__ = ["fit_lines"]

SIGMA_TO_FWHM = 2.3548200450309493
WEIGHT_FLOOR = 0.2  # of a line's height: between the weights of photon and of read noise
MAX_GROUP = 8  # lines fitted together; longer chains are cut at their widest gap


def fit_lines(flux, noise, peaks, fwhm):
    """
    Fit pixel-integrated Gaussians on straight backgrounds to all lines, touching ones together.

    Parameters
    ----------
    flux, noise : array of shape (n_pixels,)
        Spectrum and its standard deviation, infinite where bad.
    peaks : array of int
        Pixels of the peaks, sorted.
    fwhm : float
        Typical width, pixels.

    Returns
    -------
    rows : array of shape (n_lines, 7)
        Centre, its error, sigma, area, its error, lopsidedness (third Gauss-Hermite moment in parts
        of the area), squared residuals in excess of the noise.
    """
    groups = _groups(np.asarray(peaks), fwhm)
    rows = []
    for size in {len(g) for g in groups}:
        rows += _fit_batch(flux, noise, groups, size, fwhm)
    return np.array(sorted(rows)).reshape(-1, 7)


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
