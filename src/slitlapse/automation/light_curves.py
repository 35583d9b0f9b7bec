"""How bright was the star, compared with its neighbours on the slit, in each colour?"""

import astropy.units as u
import numpy as np

from slitlapse.automation.binning import pixel_edges
from slitlapse.automation.series import SpectralTimeSeries
from slitlapse.automation.shared_errors import shared_flat_error

__all__ = ["common_edges", "light_curves"]


def common_edges(stars, width=None):
    """
    Bin edges that every star covers.

    Parameters
    ----------
    stars : sequence of SpectralTimeSeries
    width : `~astropy.units.Quantity`, optional
        Width of a bin; by default one bin holds all that the stars have in common.

    Returns
    -------
    `~astropy.units.Quantity`, shape (n_bins + 1,)

    Raises
    ------
    ValueError
        Where the stars have no wavelength in common, or less than one bin.
    """
    unit = stars[0].wavelength.unit
    edges = [np.sort(pixel_edges(star.wavelength).to_value(unit)) for star in stars]
    low, high = max(edge[0] for edge in edges), min(edge[-1] for edge in edges)
    if low >= high:
        names = ", ".join(star.name or "?" for star in stars)
        raise ValueError(f"the stars {names} have no wavelength in common; compare others")
    if width is None:
        return [low, high] * unit
    step = u.Quantity(width).to_value(unit)
    n_bins = int((high - low) / step * (1 + 1e-12))
    if n_bins < 1:
        raise ValueError(
            f"a bin of {width} is wider than what the stars share, {low:.1f} to {high:.1f} "
            f"{unit}; take narrower bins"
        )
    spare = (high - low) - n_bins * step
    return (low + spare / 2 + step * np.arange(n_bins + 1)) * unit


def light_curves(target, comparisons=(), *, wavelength=None, weights=None):
    """
    Divide a star by a weighted sum of its comparison stars, bin by bin, with the errors of all.

    Parameters
    ----------
    target : SpectralTimeSeries
        The star in question.
    comparisons : sequence of SpectralTimeSeries
        Stars to compare with. Without any, the target alone is given.
    wavelength : `~astropy.units.Quantity`, optional
        Width of the bins or their rising edges; by default one white bin of all that the
        stars have in common.
    weights : sequence of float, optional
        What an electron of each comparison star counts; all 1 is the plain sum. By default each
        bin of each star has its mean flux over its mean variance: 1 where photons are all of
        the noise, less where sky and read noise add to it.

    Returns
    -------
    SpectralTimeSeries
        ``flux`` is the ratio over its own mean in time, so about 1; ``uncertainty`` its
        standard deviation from exposure to exposure, from the noise budgets of all stars; and
        ``fluxlike["uncertainty_common"]`` what all exposures have wrong together, that is the
        flat's part as far as the stars stood still: it belongs to the level of the ratio, not
        to its changes. The squares of both add up to those of the whole budget.

    Raises
    ------
    ValueError
        Where the stars have no wavelength in common, or the weights do not fit the stars.

    Notes
    -----
    All stars are summed between the same wavelengths, with fractional pixel edges, before
    anything is divided. Weights do not change in time, so that what all stars share cancels
    whatever they are; those by default give the sum the smallest relative error, as long as
    the stars' noises have nothing in common.
    """
    comparisons = list(comparisons)
    if weights is not None and (
        len(weights) != len(comparisons) or not np.all(np.asarray(weights, float) > 0)
    ):
        raise ValueError(
            f"{len(comparisons)} comparison stars need as many weights above 0, but got {weights}"
        )
    edges = wavelength
    if wavelength is None or u.Quantity(wavelength).ndim == 0:
        edges = common_edges([target, *comparisons], wavelength)
    curve = _binned(target, edges)
    common = _relative(curve)
    if comparisons:
        reference = _reference([_binned(star, edges) for star in comparisons], weights)
        common = common + _relative(reference)
        curve = curve / reference
    return _normalise(curve, common)


def _binned(star, edges):
    """Bin a star, and say which variance its exposures have in common."""
    binned = star.bin(wavelength=edges)
    flat = binned.fluxlike.get("variance_flat")
    common = 0 * binned.flux.value if flat is None else flat.value * shared_flat_error(star)
    binned.fluxlike["variance_common"] = common * binned.flux.unit**2
    return binned


def _relative(star):
    """Common variance in units of the squared flux, shape (n_bins, n_time)."""
    flux = star.flux.value
    known = np.isfinite(flux) & (flux != 0)
    common = np.nan_to_num(star.fluxlike["variance_common"].value)
    return np.divide(common, flux**2, out=np.zeros_like(flux), where=known)


def _reference(stars, weights):
    """Add stars that are binned alike, each with its weight."""
    if weights is None:
        each = np.stack([_noise_weight(star) for star in stars])
    else:
        each = np.ones((len(stars), stars[0].shape[0])) * np.asarray(weights, float)[:, None]
    flux = sum(
        w[:, None] * np.nan_to_num(star.flux.value) for w, star in zip(each, stars, strict=True)
    )
    variance, common = (
        sum((w**2)[:, None] * np.nan_to_num(v) for w, v in zip(each, values, strict=True))
        for values in (
            [star.uncertainty.value**2 for star in stars],
            [star.fluxlike["variance_common"].value for star in stars],
        )
    )
    counts = (each > 0)[:, :, None]  # a star without light in a bin does not mask it
    mask = np.logical_or.reduce(
        [star.mask & used for star, used in zip(stars, counts, strict=True)]
    )
    mask |= ~counts.any(axis=0)
    name = " + ".join(star.name for star in stars)
    name = f"({name})" if len(stars) > 1 else name
    first = stars[0]
    unit = first.flux.unit
    fluxlike = {
        "flux": flux * unit,
        "uncertainty": np.sqrt(variance) * unit,
        "variance_common": common * unit**2,
    }
    return SpectralTimeSeries(
        first.wavelike, first.timelike, fluxlike, mask, first.metadata | {"star": name}
    )


def _noise_weight(star):
    """Mean flux over mean variance of every bin, shape (n_bins,); 0 where there is no light."""
    good = ~star.mask & np.isfinite(star.flux.value) & (star.uncertainty.value > 0)
    flux = np.where(good, star.flux.value, 0).sum(axis=1)
    variance = np.where(good, star.uncertainty.value**2, 0).sum(axis=1)
    weight = np.divide(flux, variance, out=np.zeros_like(flux), where=variance > 0)
    return np.maximum(weight, 0)


def _normalise(curve, common):
    """Divide every bin by its mean in time, weighted by the errors; split off what is common."""
    good = ~curve.mask & np.isfinite(curve.flux.value) & (curve.uncertainty.value > 0)
    weight = np.where(good, 1 / np.where(good, curve.uncertainty.value, 1) ** 2, 0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weight * np.where(good, curve.flux.value, 0)).sum(axis=1) / total
        flux = curve.flux.value / mean[:, None]
        error = curve.uncertainty.value / np.abs(mean)[:, None]
        shared = np.minimum(np.abs(flux) * np.sqrt(common), error)
        error = np.sqrt(error**2 - shared**2)
    fluxlike = {
        "flux": u.Quantity(flux),
        "uncertainty": u.Quantity(error),
        "uncertainty_common": u.Quantity(shared),
    }
    return SpectralTimeSeries(
        curve.wavelike, curve.timelike, fluxlike, ~good | ~np.isfinite(flux), curve.metadata
    )
