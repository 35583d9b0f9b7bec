"""How much light does a star of known spectra put into each pixel? Nothing of it is lost."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation.binning import pixel_edges
from slitlapse.automation.log import NightError
from slitlapse.automation.series import SpectralTimeSeries

__all__ = ["electrons_in_pixels", "truth_from_rainbow"]


def electrons_in_pixels(truth, edges, index, *, level):
    """
    Integrate a true spectrum over the pixels of a detector.

    Parameters
    ----------
    truth : `~slitlapse.automation.SpectralTimeSeries`
        In electron: what each of its bins holds, spread evenly over the bin. In any other unit,
        or none: a density over wavelength of which only the shape and the changes count.
    edges : `~astropy.units.Quantity`, shape (n_x + 1,)
        Wavelengths of the pixels' edges.
    index : int
        Of the exposure; a truth of one time holds for all.
    level : float
        Where the truth is not in electron: electrons per pixel, the median over the pixels of
        its mean in time.

    Returns
    -------
    array, shape (n_x,)
        Electrons.

    Raises
    ------
    NightError
        Where the truth does not reach over all pixels, has gaps, or ends before the night.
    """
    bins = pixel_edges(truth.wavelength).to_value(u.AA)
    edges = u.Quantity(edges).to_value(u.AA)
    _check(truth, bins, edges, index)
    flux = truth.flux.value
    now = flux[:, 0] if flux.shape[1] == 1 else flux[:, index]
    if truth.flux.unit.is_equivalent(u.electron):
        return _integrate(bins, now * truth.flux.unit.to(u.electron), edges)
    width = np.abs(np.diff(bins))
    typical = np.median(_integrate(bins, flux.mean(axis=1) * width, edges))
    return level / typical * _integrate(bins, now * width, edges)


def _integrate(bins, content, edges):
    """Content of the pixels between ``edges``, each bin's spread evenly over it."""
    running = np.concatenate([[0.0], np.cumsum(content)])
    if bins[0] > bins[-1]:
        bins, running = bins[::-1], running[::-1]
    return np.abs(np.diff(np.interp(edges, bins, running)))


def _check(truth, bins, edges, index):
    if bins.min() > edges.min() or bins.max() < edges.max():
        raise NightError(
            f"the truth of star {truth.name or '?'} reaches from {bins.min():.0f} to "
            f"{bins.max():.0f} angstrom, but the detector sees {edges.min():.0f} to "
            f"{edges.max():.0f}: give one that covers it, or an instrument with a narrower range"
        )
    if truth.shape[1] != 1 and index >= truth.shape[1]:
        raise NightError(
            f"the truth of star {truth.name or '?'} has {truth.shape[1]} times, but the night has "
            "more exposures: give n_exposures, or a truth of one time"
        )
    if truth.mask.any() or not np.all(np.isfinite(truth.flux.value)):
        raise NightError(
            f"the truth of star {truth.name or '?'} has masked or infinite samples: nobody knows "
            "how much light they stand for; bin it, or fill them first"
        )


def truth_from_rainbow(rainbow, name="target"):
    """
    Take the truth of a star from a ``Rainbow`` of the package chromatic.

    Parameters
    ----------
    rainbow : chromatic.Rainbow
        Such as ``SimulatedRainbow().inject_transit()``. Where noise was injected, the model
        beneath it is taken.
    name : str
        Of the star.

    Returns
    -------
    `~slitlapse.automation.SpectralTimeSeries`
        With the rainbow's spacing in time, from an arbitrary first moment.

    Examples
    --------
    >>> from chromatic import SimulatedRainbow                       # doctest: +SKIP
    >>> transit = SimulatedRainbow(R=200).inject_transit()           # doctest: +SKIP
    >>> truth = truth_from_rainbow(transit)                          # doctest: +SKIP
    """
    flux = u.Quantity(rainbow.fluxlike.get("model", rainbow.fluxlike["flux"]))
    since = u.Quantity(rainbow.timelike["time"])
    time = Time("2025-01-01T00:00:00") + (since - since[0])
    fluxlike = {"flux": flux, "uncertainty": np.zeros(flux.shape) * flux.unit}
    return SpectralTimeSeries(
        QTable({"wavelength": u.Quantity(rainbow.wavelike["wavelength"])}),
        QTable({"time": time}), fluxlike, metadata={"star": name},
    )  # fmt: skip
