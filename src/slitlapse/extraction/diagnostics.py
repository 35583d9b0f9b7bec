"""What did star, sky and detector do at each wavelength? One table, the same for all."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

__all__ = ["diagnostic_arrays", "measure_diagnostics"]

UNITS = {
    "offset": u.pix,
    "offset_uncertainty": u.pix,
    "width": u.pix,
    "measured_width": u.pix,
    "measured_width_uncertainty": u.pix,
    "peak": u.electron,
    "largest_raw": u.adu,
    "n_bad": None,
    "bad_fraction": None,
    "chi2": None,
    "sky_level": u.electron,
    "sky_slope": u.electron / u.pix,
    "baseline": u.electron,
}


def measure_diagnostics(data, rows, centre, width, profile, flux, **options):
    """
    Measure one exposure of one star, wavelength by wavelength.

    Parameters
    ----------
    data, rows, centre, width, profile, flux
        As in `diagnostic_arrays`.
    **options
        As in `diagnostic_arrays`.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each column of the detector:

        * ``offset``, ``measured_width`` and their ``_uncertainty`` (pixel): where the star was
          and how wide, from what the fitted star leaves over, to first order in both; the
          uncertainties are NaN without a variance;
        * ``width`` (pixel), as used by the extraction;
        * ``peak`` (electron): highest pixel of the fitted star; ``largest_raw`` (adu);
        * ``n_bad``, ``bad_fraction`` (share of the light in the aperture);
        * ``chi2``: of the profile, per degree of freedom;
        * ``sky_level`` (electron per pixel, at the star), ``sky_slope`` (the same per row);
        * ``baseline`` (electron per pixel): mean of what is left beside the star.
    """
    found = diagnostic_arrays(data, rows, centre, width, profile, flux, **options)
    table = QTable()
    for name, unit in UNITS.items():
        table[name] = found[name] if unit is None else found[name] * unit
    return table


def diagnostic_arrays(
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
    Measure the columns of `measure_diagnostics`, quicker than a table is made.

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
        Half of the aperture in which the star is looked at, pixel; by default three widths.
        Farther rows tell the base line.

    Returns
    -------
    dict of str to `~numpy.ndarray`, each of shape (n_x,)
        The columns of `measure_diagnostics`, in its units.
    """
    bad = np.zeros(data.shape, bool) if mask is None else mask
    offset = rows - centre
    reach = 3 * width if half_width is None else np.broadcast_to(half_width, np.shape(width))
    inside = np.abs(offset) <= reach
    near, far = inside & ~bad, ~(inside | bad)
    model = flux * profile
    residual = np.where(bad, 0, data - model)
    weight = near / (1.0 if variance is None else np.where(variance > 0, variance, np.inf))
    shape = _moments(residual, weight, profile, offset, flux)
    unknown = np.nan if variance is None else 1.0
    base = 0.0 if reference is None else centre - reference
    largest = np.full(len(centre), np.nan)
    if raw is not None:
        largest = np.where(inside, raw, -np.inf).max(axis=0)
    level, slope = _line(sky, inside, offset)
    lost = _sum(profile, inside & bad)
    return {
        "offset": base + shape[0],
        "offset_uncertainty": unknown * shape[1],
        "width": np.asarray(width, dtype=float),
        "measured_width": width * (1 + shape[2]),
        "measured_width_uncertainty": unknown * width * shape[3],
        "peak": model.max(axis=0),
        "largest_raw": largest,
        "n_bad": (inside & bad).sum(axis=0),
        "bad_fraction": _divide(lost, _sum(profile, inside)),
        "chi2": _chi_square(residual, variance, near),
        "sky_level": level,
        "sky_slope": slope,
        "baseline": _divide(_sum(residual, far), far.sum(axis=0)),
    }


def _sum(values, where):
    """Sum over the rows where a condition holds, shape (n_x,)."""
    return np.einsum("yx,yx->x", values, where.astype(float))


def _divide(a, b):
    """Divide, NaN where the divisor is zero."""
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b != 0)


def _moments(residual, weight, profile, offset, flux):
    """
    Find shift and widening from what the fitted star leaves over.

    To first order a star displaced by ``d`` and wider by a factor ``1 + e`` leaves ``flux * (d *
    dP/dc + e * dP/dlog(w))``. The two shapes come from the profile itself, are made orthogonal
    to it (the flux was fitted already) and to each other, and compared with the residual.

    Returns the shift, its uncertainty, the widening and its uncertainty, each of shape (n_x,).
    """
    padded = np.pad(profile, ((2, 2), (0, 0)), mode="edge")
    slope = (8 * (padded[3:-1] - padded[1:-3]) - (padded[4:] - padded[:-4])) / 12
    by_shift, by_width = -slope, -(profile + offset * slope)

    def dot(a, b):
        return np.einsum("yx,yx->x", a, b)

    weighted = weight * profile
    norm = dot(weighted, profile)
    by_shift -= _divide(dot(by_shift, weighted), norm) * profile
    by_width -= _divide(dot(by_width, weighted), norm) * profile
    weighted = weight * by_shift
    shift_norm = dot(by_shift, weighted)
    mixed = _divide(dot(by_width, weighted), shift_norm)
    shift = _divide(dot(residual, weighted), flux * shift_norm)
    by_width -= mixed * by_shift
    weighted = weight * by_width
    width_norm = dot(by_width, weighted)
    widening = _divide(dot(residual, weighted), flux * width_norm)
    shift -= widening * mixed
    width_error = _divide(1.0, np.abs(flux) * np.sqrt(width_norm))
    shift_error = np.hypot(_divide(1.0, np.abs(flux) * np.sqrt(shift_norm)), width_error * mixed)
    return shift, shift_error, widening, width_error


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
    number = inside.sum(axis=0).astype(float)
    mean_t = _divide(_sum(offset, inside), number)
    mean_s = _divide(_sum(sky, inside), number)
    t = np.where(inside, offset - mean_t, 0)
    slope = _divide(np.einsum("yx,yx->x", t, sky), np.einsum("yx,yx->x", t, t))
    return mean_s - slope * mean_t, slope
