"""How bright was the star, compared with its neighbours on the slit, in each colour?"""

import astropy.units as u
import numpy as np

from slitlapse.automation.binning import pixel_edges
from slitlapse.automation.series import SpectralTimeSeries

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


def light_curves(target, comparisons=(), *, wavelength=None):
    """
    Divide a star by the sum of its comparison stars, bin by bin, with the errors of all.

    Parameters
    ----------
    target : SpectralTimeSeries
        The star in question.
    comparisons : sequence of SpectralTimeSeries
        Stars to compare with, added up: a bright one counts for more, as its photons do.
        Without any, the target alone is given.
    wavelength : `~astropy.units.Quantity`, optional
        Width of the bins or their rising edges; by default one white bin of all that the
        stars have in common.

    Returns
    -------
    SpectralTimeSeries
        ``flux`` is the ratio over its own mean in time, so about 1; ``uncertainty`` its
        standard deviation from the noise budgets of all stars.

    Notes
    -----
    All stars are summed between the same wavelengths, with fractional pixel edges, before
    anything is divided.
    """
    stars = [target, *comparisons]
    edges = wavelength
    if wavelength is None or u.Quantity(wavelength).ndim == 0:
        edges = common_edges(stars, wavelength)
    binned = [star.bin(wavelength=edges) for star in stars]
    curve = binned[0]
    if len(binned) > 1:
        curve = curve / _sum(binned[1:])
    return _normalise(curve)


def _sum(stars):
    """Add stars that are binned alike."""
    flux = sum(star.flux for star in stars)
    variance = sum(star.uncertainty**2 for star in stars)
    mask = np.logical_or.reduce([star.mask for star in stars])
    name = " + ".join(star.name for star in stars)
    fluxlike = {"flux": flux, "uncertainty": np.sqrt(variance)}
    first = stars[0]
    return SpectralTimeSeries(
        first.wavelike, first.timelike, fluxlike, mask, first.metadata | {"star": name}
    )


def _normalise(curve):
    """Divide every bin by its mean in time, weighted by the errors."""
    good = ~curve.mask & np.isfinite(curve.flux.value) & (curve.uncertainty.value > 0)
    weight = np.where(good, 1 / np.where(good, curve.uncertainty.value, 1) ** 2, 0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weight * np.where(good, curve.flux.value, 0)).sum(axis=1) / total
        flux = curve.flux.value / mean[:, None]
        error = curve.uncertainty.value / np.abs(mean)[:, None]
    fluxlike = {"flux": u.Quantity(flux), "uncertainty": u.Quantity(error)}
    return SpectralTimeSeries(
        curve.wavelike, curve.timelike, fluxlike, ~good | ~np.isfinite(flux), curve.metadata
    )
