"""Which flats of a set do not belong: saturated, or of another lamp?"""

import numpy as np

__all__ = ["find_odd_flats"]


def find_odd_flats(flats, *, tolerance=0.1, most_masked=0.05, n_bins=32):
    """
    Name the flats whose lamp or whose bad pixels are not those of the others.

    The lamp's spectrum is taken in bins along the dispersion, its level left out, and compared
    with the median of the set. Lamps that warm up change colour by a few per cent between the
    ends; another lamp, filter or slit changes much more.

    Parameters
    ----------
    flats : sequence of `~astropy.nddata.CCDData`, shape (n_y, n_x)
        Their bias subtracted, dispersion along axis 1; or functions without arguments that return
        one, so that a large set need not be in memory at once. ``mask`` is honoured: a saturated
        flat is one with more masked pixels than the others.
    tolerance : float
        Relative root mean square difference of spectra that is still the same lamp.
    most_masked : float
        Fraction of the pixels that may be masked beyond what is usual in the set.
    n_bins : int
        Bins along the dispersion.

    Returns
    -------
    dict of int to str
        Place in the set to the reason, in words; empty where all belong. Of two flats that differ
        nobody can say which is right: both are named.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.flats import find_odd_flats
    >>> red, blue = np.linspace(1, 2, 64), np.linspace(2, 1, 64)
    >>> find_odd_flats([np.tile(lamp, (10, 1)) for lamp in (red, red, blue)])
    {2: 'its light along the dispersion differs by 43 % from that of the others: another lamp?'}
    """
    spectra, masked = [], []
    for flat in flats:
        spectrum, share = _summary(flat() if callable(flat) else flat, n_bins)
        spectra.append(spectrum)
        masked.append(share)
    if len(spectra) < 2:
        return {}
    reasons = {}
    # the usual share is that of the cleanest half: of two, one may be saturated
    beyond = np.array(masked) - np.quantile(masked, 0.5, method="lower")
    for place in np.flatnonzero(beyond > most_masked):
        reasons[int(place)] = (
            f"{100 * masked[place]:.0f} % of its pixels are masked, {100 * beyond[place]:.0f} % "
            "more than usual in the set: saturated?"
        )
    rest = [place for place in range(len(spectra)) if place not in reasons]
    if len(rest) < 2:
        return reasons
    spectra = np.array([spectra[place] for place in rest])
    for place, off in zip(rest, _differences(spectra), strict=True):
        if off > tolerance:
            reasons[place] = (
                f"its light along the dispersion differs by {100 * off:.0f} % from that of the "
                "others: another lamp?"
            )
    return dict(sorted(reasons.items()))


def _summary(flat, n_bins):
    """Light in bins along the dispersion, of the lit part of each, and the share masked."""
    values = np.asarray(flat.data if hasattr(flat, "mask") else flat)
    mask = getattr(flat, "mask", None)
    mask = mask if np.ndim(mask) else np.zeros((1, values.shape[1]), bool)
    bins = np.array_split(np.arange(values.shape[1]), min(n_bins, values.shape[1]))
    spectrum = np.full(len(bins), np.nan)
    for number, columns in enumerate(bins):
        part = np.where(mask[:, columns], np.nan, values[:, columns])
        if np.isfinite(part).any():
            spectrum[number] = np.nanpercentile(part, 90)  # a slit may light a part of the rows
    return spectrum, float(np.mean(mask))


def _differences(spectra):
    """Relative rms difference of each spectrum from the median of all, levels left out."""
    known = np.isfinite(spectra).all(axis=0)
    if not known.any():
        return np.zeros(len(spectra))
    spectra = spectra[:, known]
    bright = np.median(spectra, axis=0) > 0.05 * np.median(spectra, axis=0).max()
    spectra = spectra[:, bright] / np.mean(spectra[:, bright], axis=1, keepdims=True)
    if len(spectra) == 2:
        usual = spectra[::-1]
    else:
        usual = np.median(spectra, axis=0)
    return np.sqrt(np.mean((spectra / usual - 1) ** 2, axis=1))
