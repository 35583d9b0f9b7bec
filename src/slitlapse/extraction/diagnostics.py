"""What did star, sky and detector do at each wavelength? One table, the same for all."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

__all__ = ["measure_diagnostics"]


def measure_diagnostics(
    data,
    rows,
    centre,
    width,
    profile,
    flux,
    *,
    variance=None,
    sky=None,
    mask=None,
    raw=None,
    reference=None,
    half_width=None,
):
    """
    Measure one exposure of one star, wavelength by wavelength.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_rows, n_x)
        Sky-subtracted counts, electron.
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre, width : `~numpy.ndarray`, shape (n_x,)
        Row and Gaussian width of the star that the extraction used, pixel.
    profile : `~numpy.ndarray`, shape (n_rows, n_x)
        Fraction of the star's light in each pixel.
    flux : `~numpy.ndarray`, shape (n_x,)
        Light of the whole star, electron.
    variance : `~numpy.ndarray`, shape (n_rows, n_x), optional
        Variance of each pixel by the model; without it, ``chi2`` is NaN.
    sky : `~numpy.ndarray`, shape (n_rows, n_x), optional
        Sky that was subtracted; without it, its level and slope are NaN.
    mask : `~numpy.ndarray` of bool, shape (n_rows, n_x), optional
        True = bad.
    raw : `~numpy.ndarray`, shape (n_rows, n_x), optional
        Counts as read out, adu; without it, ``largest_raw`` is NaN.
    reference : `~numpy.ndarray`, shape (n_x,), optional
        Row from which ``offset`` counts; by default ``centre``.
    half_width : float, optional
        Half of the aperture in which the bad pixels are counted and moments taken, pixel; by
        default three widths. Farther rows tell the base line.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each column of the detector: ``offset`` and ``measured_width`` (moments of
        the light in the aperture, for the truncation of a Gaussian corrected), ``width`` (as
        used), ``peak`` (highest pixel of the fitted star, electron), ``largest_raw`` (adu),
        ``n_bad``, ``bad_fraction`` (share of the profile), ``chi2`` (per degree of freedom),
        ``sky_level`` (electron per pixel at the star), ``sky_slope`` (electron per pixel per
        row), ``baseline`` (mean of what is left beside the star, electron per pixel).
    """
    bad = np.zeros(data.shape, bool) if mask is None else mask
    offset = rows - centre
    reach = 3 * width if half_width is None else np.broadcast_to(half_width, np.shape(width))
    inside = np.abs(offset) <= reach
    near, far = inside & ~bad, ~inside & ~bad
    model = flux * profile
    residual = data - model
    table = QTable()
    shift, spread = _moments(np.where(near, residual, 0), inside, offset, flux, width)
    base = 0.0 if reference is None else centre - reference
    table["offset"] = (base + shift) * u.pix
    table["width"] = np.asarray(width, dtype=float) * u.pix
    table["measured_width"] = spread * u.pix
    table["peak"] = model.max(axis=0) * u.electron
    largest = np.full(len(centre), np.nan)
    if raw is not None:
        largest = np.where(inside, raw, -np.inf).max(axis=0)
    table["largest_raw"] = largest * u.adu
    table["n_bad"] = (inside & bad).sum(axis=0)
    table["bad_fraction"] = (profile * (inside & bad)).sum(axis=0) / (profile * inside).sum(axis=0)
    table["chi2"] = _chi_square(residual, variance, near)
    level, slope = _line(sky, inside, offset)
    table["sky_level"] = level * u.electron
    table["sky_slope"] = slope * u.electron / u.pix
    number = far.sum(axis=0)
    left = np.where(far, residual, 0).sum(axis=0)
    table["baseline"] = _divide(left, number) * u.electron
    return table


def _divide(a, b):
    """Divide, NaN where the divisor is zero."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b != 0)


def _moments(residual, inside, offset, flux, width):
    """
    Find shift and width from what the fitted star leaves over.

    To first order a star displaced by ``d`` and wider by ``e`` leaves ``flux * (d * -P' + e *
    dP/dwidth)``. The residual is projected on these two shapes of a Gaussian, which needs no
    correction for the light beyond the aperture and ignores pixels without weight.
    """
    t = offset / width
    shape = np.where(inside, np.exp(-0.5 * t * t) / (np.sqrt(2 * np.pi) * width), 0)
    by_shift, by_width = shape * t / width, shape * (t * t - 1) / width
    shift = _divide((residual * by_shift).sum(axis=0), flux * (by_shift**2).sum(axis=0))
    spread = _divide((residual * by_width).sum(axis=0), flux * (by_width**2).sum(axis=0))
    return shift, width + spread


def _chi_square(residual, variance, near):
    """Chi-square per degree of freedom within the aperture; one flux was fitted."""
    if variance is None:
        return np.full(residual.shape[1], np.nan)
    terms = np.divide(residual**2, variance, out=np.zeros(residual.shape), where=near)
    return _divide(terms.sum(axis=0), np.maximum(near.sum(axis=0) - 1, 0).astype(float))


def _line(sky, inside, offset):
    """Level at the star and slope along the slit of the subtracted sky."""
    if sky is None:
        return np.full((2, inside.shape[1]), np.nan)
    number = inside.sum(axis=0)
    mean_t = _divide((offset * inside).sum(axis=0), number.astype(float))
    mean_s = _divide((sky * inside).sum(axis=0), number.astype(float))
    t = np.where(inside, offset - mean_t, 0)
    slope = _divide((t * sky).sum(axis=0), (t * t).sum(axis=0))
    return mean_s - slope * mean_t, slope
