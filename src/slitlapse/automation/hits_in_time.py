"""Which samples of a star's spectra jumped up in one exposure alone?"""

import numpy as np
from scipy.interpolate import CubicSpline

from slitlapse.extraction import TemporalOutliers

__all__ = ["find_hits_in_time", "tell_hits"]

CLEAR = 5.0  # of its error; what the light of a block must be, to tell how bright it is
BLOCK = 32  # columns over which clouds, seeing and extinction are even
SHIFT_ERROR = 0.05  # px, by which the shift of an exposure along the dispersion may be wrong
STEADY = 0.001  # of the light; flats and slits do not let a star be more constant


def find_hits_in_time(flux, uncertainty, mask, shift=None, *, groups=None):
    """
    Find samples that are brighter than the exposures before and after say.

    A cosmic ray that is small beside a bright star's light, or lies along its profile, looks like
    the star on one frame, because the profile is known to some per cent only. But the exposures
    before and after do not have it, and what they agree upon is known much better.

    Parameters
    ----------
    flux, uncertainty : sequence of array, shape (n_wave, n_time)
        Of one star, in every aperture, electron, in order of time.
    mask : array of bool, shape (n_wave, n_time)
        True = bad already: neither used nor marked.
    shift : array, shape (n_time,), optional
        Pixels by which the spectrum of each exposure moved along the dispersion; NaN as 0.
    groups : sequence of length n_time, optional
        Exposures with the same entry are compared: those of one nod position.

    Returns
    -------
    array of bool, shape (n_wave, n_time)
        True where the light jumped up in any of the apertures.

    Notes
    -----
    The comparing is that of `~slitlapse.extraction.TemporalOutliers`, with apertures for rows:
    with up to three exposures on either side, beyond six standard deviations. Expected is the
    median of all exposures, moved by the shift and scaled by what 32 columns say together, so
    that clouds, seeing and transits, sharp or slow, belong to the expectation. A line that flares
    up in one exposure alone cannot be told from a hit.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.automation import find_hits_in_time
    >>> flux = np.random.default_rng(1).normal(1e5, 300, (200, 9))
    >>> flux[120, 4] += 4000
    >>> np.argwhere(find_hits_in_time([flux], [np.full((200, 9), 300.0)], flux < 0))
    array([[120,   4]])
    """
    n_time = mask.shape[1]
    shift = np.zeros(n_time) if shift is None else np.nan_to_num(np.asarray(shift, float))
    _, group = np.unique([0] * n_time if groups is None else groups, return_inverse=True)
    found = np.zeros(mask.shape, bool)
    for number in range(group.max(initial=-1) + 1):
        own = np.flatnonzero((group == number) & ~mask.all(axis=0))  # the lost are no neighbours
        if own.size > 1:
            parts = [[each[:, own] for each in apertures] for apertures in (flux, uncertainty)]
            found[:, own] = _compare(*parts, mask[:, own], shift[own])
    return found


def _compare(flux, uncertainty, mask, shift):
    """Marks of exposures that stood at the same place, shape (n_wave, n_time)."""
    shift = shift - np.median(shift)
    usual = [_usual(each, mask, shift) for each in flux]
    # ratios of light would mean nothing where there is none: each column is given some
    spare = [_typical(each, mask) for each in uncertainty]
    outliers, marks = TemporalOutliers(profile_error=STEADY), []
    for index, moved in enumerate(shift):
        rows = []
        for each, error, spline, more in zip(flux, uncertainty, usual, spare, strict=True):
            bad = mask[:, index] | ~np.isfinite(each[:, index]) | ~np.isfinite(error[:, index])
            data = np.where(bad, 0, each[:, index])
            model = _expected(spline, data, error[:, index], bad, moved)
            slope = SHIFT_ERROR * np.gradient(model)
            data, model = data + more, model + more
            rows.append((data, model, np.where(bad, 0, error[:, index]) ** 2 + slope**2, bad))
        marks += outliers.add(*(np.array(each) for each in zip(*rows, strict=True)))
    marks += outliers.finish()
    found = np.array([mark.any(axis=0) for mark in marks]).T
    # at the ends light comes in that other exposures did not see, and splines know least
    ends = int(np.ceil(2 * np.abs(shift).max()))
    found[:ends], found[len(found) - ends :] = False, False
    return found


def _typical(error, mask):
    """Median of the errors of good samples."""
    good = ~mask & np.isfinite(error)
    return np.median(error[good]) if good.any() else 1.0


def _usual(flux, mask, shift):
    """The spectrum that the star usually has, as a function of the pixel."""
    pixel = np.arange(len(flux))
    good = ~mask & np.isfinite(flux)
    aligned = np.where(good, flux, np.inf)
    for index in np.flatnonzero((np.abs(shift) > SHIFT_ERROR) & good.any(axis=0)):
        # only to know what to expect: no data are resampled
        own = good[:, index]
        spline = CubicSpline(pixel, np.interp(pixel, pixel[own], flux[own, index]))
        there = np.clip(pixel + shift[index], 0, pixel[-1])
        known = own[np.rint(there).astype(int)]
        aligned[:, index] = np.where(known, spline(there), np.inf)
    aligned.sort(axis=1)
    number = np.isfinite(aligned).sum(axis=1)
    middle = aligned[pixel, np.maximum(number - 1, 0) // 2]
    seen = number > 0
    middle = np.interp(pixel, pixel[seen], middle[seen]) if seen.any() else np.zeros(len(pixel))
    return CubicSpline(pixel, middle)


def _expected(usual, data, error, bad, moved):
    """The usual spectrum where this exposure had it, times what its columns say together."""
    pixel = np.arange(len(data))
    model = usual(np.clip(pixel - moved, 0, pixel[-1]))
    use = ~bad & (model > 0)
    ratio = np.divide(data, model, out=np.full(len(data), np.inf), where=use)
    light, noise = (np.where(use, each, np.inf) for each in (model, error))
    number = _blocks(use, False).sum(axis=1)
    ratio, light, noise = (
        _medians(_blocks(each, np.inf), number) for each in (ratio, light, noise)
    )
    # columns without light tell no ratio
    clear = (number > BLOCK // 4) & (light * np.sqrt(number) > CLEAR * noise)
    if not clear.any():
        return model
    middle = (np.arange(number.size)[clear] + 0.5) * BLOCK - 0.5
    return model * np.interp(pixel, np.minimum(middle, pixel[-1]), ratio[clear])


def _blocks(values, fill):
    """Stretches of columns, one in each row; the last is filled up."""
    spare = -len(values) % BLOCK
    return np.concatenate([values, np.full(spare, fill, values.dtype)]).reshape(-1, BLOCK)


def _medians(blocks, number):
    """Median of the finite values of each block, the lower of two; 0 where there are none."""
    ordered = np.sort(blocks, axis=1)
    middle = ordered[np.arange(len(blocks)), np.maximum(number - 1, 0) // 2]
    return np.where(number > 0, middle, 0.0)


def tell_hits(name, found):
    """
    Say how many samples were found.

    Parameters
    ----------
    name : str
        Of the star.
    found : array of bool, shape (n_wave, n_time)

    Returns
    -------
    list of str
        A sentence, or none where there is nothing to say.
    """
    number = int(found.sum())
    if not number:
        return []
    return [
        f"Star {name}: {number} of {found.size} samples are masked as hits, because the exposures "
        "before and after do not have their light"
    ]
