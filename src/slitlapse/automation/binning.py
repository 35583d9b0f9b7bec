"""Summing pixels into bins whose edges may fall inside a pixel."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time
from scipy.sparse import csr_array

__all__ = [
    "average_exposures",
    "bin_edges",
    "overlap_matrix",
    "pixel_edges",
    "sky_correlations_of",
    "sum_in_bins",
    "time_weights",
]


def pixel_edges(wavelength):
    """
    Wavelengths of the edges between pixels, half-way between their centres.

    Parameters
    ----------
    wavelength : `~astropy.units.Quantity`, shape (n_wave,)
        Wavelengths of the pixel centres, rising or falling.

    Returns
    -------
    `~astropy.units.Quantity`, shape (n_wave + 1,)
    """
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    first = wavelength[0] - (middle[0] - wavelength[0])
    last = wavelength[-1] + (wavelength[-1] - middle[-1])
    return u.Quantity([first, *middle, last])


def bin_edges(edges, width):
    """
    Edges of the bins that an observer asked for.

    Parameters
    ----------
    edges : `~astropy.units.Quantity`, shape (n + 1,)
        Edges of the pixels.
    width : `~astropy.units.Quantity` or int
        One width (a wavelength, or a number of pixels), or the edges themselves.

    Returns
    -------
    `~astropy.units.Quantity`, shape (n_bins + 1,)
        Only whole bins: what is left over at the red end belongs to none.
    """
    if isinstance(width, u.Quantity) and width.ndim == 1:
        found = width.to(edges.unit)
        if len(found) < 2 or np.any(np.diff(found.value) <= 0):
            raise ValueError(
                f"bin edges must be at least 2 rising wavelengths, but got {width}; sort them"
            )
        return found
    if isinstance(width, u.Quantity):
        step, low, high = width.to_value(edges.unit), *np.sort(edges.value[[0, -1]])
        if not step > 0:
            raise ValueError(f"a bin must be wider than nothing, but got {width}")
        n_bins = int((high - low) / step * (1 + 1e-12))
        if n_bins < 1:
            raise ValueError(
                f"a bin of {width} is wider than the whole spectrum, "
                f"{low:.1f} to {high:.1f} {edges.unit}; take narrower bins"
            )
        return (low + step * np.arange(n_bins + 1)) * edges.unit
    n = int(width)
    if n < 1 or n > len(edges) - 1:
        raise ValueError(f"a bin must hold 1 to {len(edges) - 1} pixels, but got {width}")
    return np.sort(edges[::n]) if edges[-1] > edges[0] else np.sort(edges[::-1][::n])


def overlap_matrix(edges, bins):
    """
    Which fraction of every pixel falls into every bin.

    Parameters
    ----------
    edges : array, shape (n + 1,)
        Pixel edges, rising or falling.
    bins : array, shape (n_bins + 1,)
        Bin edges, rising, in the same unit.

    Returns
    -------
    `~scipy.sparse.csr_array`, shape (n_bins, n)
        Columns of pixels that lie wholly within the bins add up to 1.
    """
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    first = np.clip(np.searchsorted(bins, low, side="right") - 1, 0, len(bins) - 2)
    last = np.clip(np.searchsorted(bins, high, side="left") - 1, 0, len(bins) - 2)
    rows, columns, values = [], [], []
    for step in range(int((last - first).max()) + 1):
        row = np.minimum(first + step, last)
        share = np.minimum(high, bins[row + 1]) - np.maximum(low, bins[row])
        use = (first + step <= last) & (share > 0)
        rows.append(row[use])
        columns.append(np.flatnonzero(use))
        values.append((share / (high - low))[use])
    where = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), where), shape=(len(bins) - 1, len(low)))


def sum_in_bins(weights, flux, variances, mask, correlations=None):
    """
    Sum fluxes in bins, making up for masked samples by the star's own mean spectrum.

    A masked sample cannot simply be left out of a sum: its light would be missing in one
    exposure and not in the next. The sum of what is left is scaled by the light that the
    bin holds in the mean of all exposures over the light that is left there, and the
    variance by the square of it.

    Parameters
    ----------
    weights : `~scipy.sparse.csr_array`, shape (n_bins, n)
        Fraction of every sample in every bin.
    flux : array, shape (n, m)
        Values to sum along the first axis.
    variances : dict of str to array, shape (n, m)
        Variances to sum with the squared weights.
    mask : array of bool, shape (n, m)
        True where a sample is bad.
    correlations : dict of str to array, shape (n_lags, n), optional
        For variances whose errors are not independent: entry [k - 1, i] is the correlation of
        the samples i and i + k.

    Returns
    -------
    total : array, shape (n_bins, m)
    sums : dict of str to array, shape (n_bins, m)
    lost : array, shape (n_bins, m)
        Fraction of the light of the bin that was masked and is made up for.
    """
    good = ~mask
    mean = np.where(good, flux, 0).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    template = np.clip(mean, 0, None)[:, None]
    light, left = weights @ template, weights @ (template * good)
    # a bin without light has no spectrum to scale by: there every sample counts the same
    dark = light <= 0
    light = np.where(dark, weights @ np.ones_like(template), light)
    left = np.where(dark, weights @ good.astype(float), left)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(left > 0, light / left, np.nan)
    scale[:, good.all(axis=0)] = 1.0
    squared = weights.power(2)
    total = (weights @ np.where(good, flux, 0)) * scale
    sums = {}
    for name, variance in variances.items():
        variance = np.where(good, variance, 0)
        sums[name] = squared @ variance
        if correlations is not None and name in correlations:
            sums[name] += _covariances(weights, variance, correlations[name])
        sums[name] *= scale**2
    return total, sums, 1 - 1 / scale


def _covariances(weights, variance, correlation):
    """What neighbours that err together add to the variance of a sum, shape (n_bins, m)."""
    error, total = np.sqrt(np.maximum(variance, 0)), 0.0
    for lag, known in enumerate(correlation[: len(error) - 1], start=1):
        both = weights[:, :-lag].multiply(weights[:, lag:]).tocsr()
        total = total + 2 * (both @ (known[:-lag, None] * error[:-lag] * error[lag:]))
    return total


def sky_correlations_of(wavelike):
    """
    Read how errors of the sky go together in neighbouring pixels, for `sum_in_bins`.

    Parameters
    ----------
    wavelike : `~astropy.table.QTable`, n_wave rows
        With ``pixel`` and ``skyfit_correlation_1`` and so on: of each pixel with the next ones.

    Returns
    -------
    dict of str to array, shape (n_lags, n_wave), or None
        Of ``variance_skyfit``, for the pixels that are in the table, be they neighbours or
        not; None where nothing is known.
    """
    names = [name for name in wavelike.colnames if name.startswith("skyfit_correlation_")]
    if not names or "pixel" not in wavelike.colnames:
        return None
    table = np.zeros((len(names) + 1, len(wavelike)))  # row 0 is for what is too far apart
    for lag in range(1, len(names) + 1):
        table[lag] = u.Quantity(wavelike[f"skyfit_correlation_{lag}"]).value
    known, pixel = np.zeros((len(names), len(wavelike))), u.Quantity(wavelike["pixel"]).value
    for lag in range(1, min(len(names), len(pixel) - 1) + 1):
        apart = np.rint(pixel[lag:] - pixel[:-lag]).astype(int)  # more than lag after a cut
        apart = np.where((apart > 0) & (apart <= len(names)), apart, 0)
        known[lag - 1, :-lag] = table[apart, np.arange(len(apart))]
    return {"variance_skyfit": known}


def time_weights(timelike, width):
    """
    Which fraction of every exposure falls into every bin of time.

    Parameters
    ----------
    timelike : `~astropy.table.QTable`, n_time rows
        With ``time`` (the middle) and, for edges, ``exposure_time``.
    width : int, `~astropy.units.Quantity` or `~astropy.time.Time`
        Exposures in a bin, or the width of a bin from the first exposure on: exposures stay
        whole. Or the rising edges of the bins: exposures are split where an edge falls.

    Returns
    -------
    `~scipy.sparse.csr_array`, shape (n_bins, n_time)
        Without bins that hold nothing.

    Raises
    ------
    ValueError
        Where the bins cannot be.
    """
    n_time, time = len(timelike), timelike["time"]
    if isinstance(width, Time):
        weights = _split_exposures(timelike, width)
        return csr_array(weights[weights.sum(axis=1) > 0])
    if isinstance(width, u.Quantity):
        step = width.to_value(u.day)
        if not step > 0:
            raise ValueError(f"a bin must be longer than nothing, but got {width}")
        group = np.floor((time - time.min()).to_value(u.day) / step + 1e-9).astype(int)
    else:
        if not 1 <= int(width) <= n_time:
            raise ValueError(f"a bin must hold 1 to {n_time} exposures, but got {width}")
        group = np.arange(n_time) // int(width)
    return csr_array((np.unique(group)[:, None] == group).astype(float))


def _split_exposures(timelike, edges):
    """Share of every exposure between every two edges, shape (n_bins, n_time)."""
    if "exposure_time" not in timelike.colnames:
        raise ValueError("to split exposures at edges in time, the series needs 'exposure_time'")
    start = timelike["time"][0]
    bins = np.atleast_1d((edges - start).to_value(u.s))
    if len(bins) < 2 or np.any(np.diff(bins) <= 0):
        raise ValueError("edges in time must be 2 or more, and rise; sort them")
    middle = (timelike["time"] - start).to_value(u.s)
    length = u.Quantity(timelike["exposure_time"]).to_value(u.s)
    if not np.all(length > 0):
        raise ValueError("an exposure that lasted no time cannot be split; give a width instead")
    low = np.maximum(middle - length / 2, bins[:-1, None])
    high = np.minimum(middle + length / 2, bins[1:, None])
    share = np.clip(high - low, 0, None) / length
    whole = (low == middle - length / 2) & (high == middle + length / 2)
    return np.where(whole, 1.0, share)


def average_exposures(timelike, weights):
    """
    What is known of every exposure, averaged as the exposures are added.

    Parameters
    ----------
    timelike : `~astropy.table.QTable`, n_time rows
    weights : `~scipy.sparse.csr_array`, shape (n_bins, n_time)

    Returns
    -------
    `~astropy.table.QTable`, n_bins rows
        Means of all numbers (errors of means where they end in ``_uncertainty``), sums of
        ``exposure_time``. Words are left out.
    """
    members = weights.toarray()
    share = members / members.sum(axis=1, keepdims=True)
    table, start = QTable(), timelike["time"][0]
    table["time"] = start + share @ (timelike["time"] - start).to_value(u.day) * u.day
    for name in timelike.colnames:
        column = timelike[name]
        if name == "time" or not np.issubdtype(np.asarray(column).dtype, np.number):
            continue
        values = u.Quantity(column)
        if name.endswith("_uncertainty"):
            table[name] = np.sqrt(share**2 @ values.value**2) * values.unit
        elif name == "exposure_time":
            table[name] = members @ values.value * values.unit
        else:
            table[name] = share @ values.value * values.unit
    return table
