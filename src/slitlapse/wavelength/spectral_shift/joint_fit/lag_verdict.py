"""Does one shift fit an exposure better than all others, so that it may be believed?"""

import numpy as np

__all__ = ["AMBIGUOUS", "doubts", "valley_bottoms"]

CONVINCED = 20.0  # chi-squared by which one shift must stand out among all others
FEW = 0.25  # part of the exposures; where no more agree, they must do so twice as well
TWIN = 0.03  # part of the contrast (best to typical shift) by which it must, the template's errors
AMBIGUOUS = "another shift fits as well"


def valley_bottoms(chi2):
    """Chi-squared at the bottom of each valley: a parabola through every three lags."""
    left, centre, right = chi2[:, :-2], chi2[:, 1:-1], chi2[:, 2:]
    bend = left - 2 * centre + right
    lowest = (bend > 0) & (centre <= left) & (centre <= right)
    gain = np.where(lowest, (left - right) ** 2 / (8 * np.where(lowest, bend, 1.0)), 0.0)
    return chi2 - np.pad(gain, ((0, 0), (1, 1)))


def doubts(lags, chi2, n_free, beyond, fixed):
    """
    Say why an exposure's shift is not believed; nothing where it is.

    Parameters
    ----------
    lags : array of shape (n_lags,)
        Shifts that have been compared, pixels.
    chi2 : array of shape (n_exposures, n_lags)
    n_free : array of int, shape (n_exposures,)
        Degrees of freedom.
    beyond : array of bool, shape (n_exposures,)
        The shift is larger than was looked for.
    fixed : bool
        They were compared with a given template; else with each other, and where only few agree,
        they must do so twice as well.

    Returns
    -------
    array of str, shape (n_exposures,)
    """
    best, bottom = chi2.argmin(axis=1), valley_bottoms(chi2)
    lowest = bottom.min(axis=1, keepdims=True)
    worse = (bottom - lowest) / np.maximum(lowest / n_free[:, None], 1)
    worse[np.abs(lags - lags[best][:, None]) < 2] = np.inf  # the slopes of its own valley
    beside = np.pad(chi2, ((0, 0), (1, 1)), constant_values=-np.inf)
    valley = (chi2 < beside[:, :-2]) & (chi2 < beside[:, 2:])
    rival = np.where(valley, worse, np.inf).min(axis=1)
    contrast = np.median(worse, axis=1)
    for least in (CONVINCED, 2 * CONVINCED):
        limit = np.maximum(least, TWIN * contrast)
        reasons = {
            "no shift fits better than others": contrast < least,
            AMBIGUOUS: np.minimum(worse.min(axis=1), rival) < limit,
            "beyond max_shift": beyond,
        }
        reason = np.select(list(reasons.values()), list(reasons), "")
        if fixed or np.mean(reason == "") > FEW:
            break  # of many pairs of exposures, one or two look alike by chance
    return reason
