"""Which part of an error is the same in all exposures, so that a light curve does not see it?"""

import astropy.units as u
import numpy as np

__all__ = ["shared_flat_error"]

FWHM = np.sqrt(8 * np.log(2))
ROUND = 0.02  # of the star's width, to which its positions are told apart


def shared_flat_error(star):
    """
    Tell how much of the flat's error is shared by all exposures of a star.

    The sensitivity of a pixel was measured once: what is wrong with it is wrong in every exposure.
    A star that stands still sees a constant factor, which is gone when its light curve is divided
    by its mean; one that drifts by its own width sees other pixels with other errors.

    Parameters
    ----------
    star : SpectralTimeSeries
        With ``slit_position`` and ``seeing`` in its ``timelike``.

    Returns
    -------
    array, shape (n_time,)
        The share of ``variance_flat`` that disappears when the flux is divided by its mean in
        time: 1 for a star that stands still, 0 where nothing is known.

    Notes
    -----
    The errors of two exposures that are ``d`` apart along the slit have the correlation of the
    squared errors' weights: for a Gaussian profile of standard deviation ``w`` that is
    ``exp(-d**2 / (4 * w**2))``. With ``c`` the mean correlation of an exposure with all, the
    variance about the mean is that of one exposure times ``1 - 2 c + mean(c)``, here never more
    than the whole.
    """
    known = ("slit_position", "seeing")
    n_time = len(star.timelike)
    if any(name not in star.timelike.colnames for name in known):
        return np.zeros(n_time)
    place, fwhm = (u.Quantity(star.timelike[name]).value for name in known)
    seen = np.isfinite(place) & np.isfinite(fwhm) & (fwhm > 0)
    if not seen.any():
        return np.zeros(n_time)
    # in units of the width; places that are nearly the same are counted, not compared each by each
    place = place / (np.median(fwhm[seen]) / FWHM)
    places, number = np.unique(np.round(place[seen] / ROUND), return_counts=True)
    apart = places[:, None] * ROUND - place[None, :]
    correlation = (number @ np.exp(-(np.where(seen, apart, 0) ** 2) / 4)) / number.sum()
    shared = 2 * correlation - correlation[seen].mean()
    return np.where(seen, np.clip(shared, 0, 1), 0.0)
