"""How do spectra come onto one wavelength grid, and what does that do to their noise?"""

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np

__all__ = ["ResampledSpectra", "resample_flux"]


@dataclass(frozen=True, eq=False)
class ResampledSpectra:
    """
    Spectra on a common grid, with the correlation that resampling has put between its bins.

    Parameters
    ----------
    edges : `~astropy.units.Quantity` of shape (n_bins + 1,)
        Of the bins.
    flux : array of shape (n_spectra, n_bins)
        Counts per bin: what fell into it, so that the sum over all bins is kept.
    uncertainty : array of shape (n_spectra, n_bins)
        Standard deviation of each bin by itself.
    covariance : array of shape (n_spectra, n_bins, reach + 1)
        ``covariance[i, j, k]`` is that of bins j and j + k; ``k = 0`` is the variance.
    mask : array of bool, shape (n_spectra, n_bins)
        True where a bin is not wholly covered by good pixels; flux and uncertainty are NaN there.
    """

    edges: u.Quantity
    flux: np.ndarray
    uncertainty: np.ndarray
    covariance: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)

    @property
    def wavelength(self):
        """Middle of each bin."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def correlation(self):
        """Correlation of each bin with those after it, shape as ``covariance``; 1 at k = 0."""
        variance = self.covariance[:, :, 0]
        result = np.full(self.covariance.shape, np.nan)
        n = variance.shape[1]
        for k in range(self.covariance.shape[2]):
            pair = variance[:, : n - k] * variance[:, k:]
            with np.errstate(invalid="ignore", divide="ignore"):
                result[:, : n - k, k] = self.covariance[:, : n - k, k] / np.sqrt(pair)
        return result

    def sum_uncertainty(self, first, last):
        """
        Standard deviation of the sum of bins ``first`` to ``last`` (not included), per spectrum.

        Adding variances alone would be too small: neighbours share pixels.
        """
        part = self.covariance[:, first:last]
        total = part[:, :, 0].sum(axis=1)
        for k in range(1, min(part.shape[2], part.shape[1])):
            total = total + 2 * part[:, :-k, k].sum(axis=1)
        return np.sqrt(total)


def resample_flux(flux, wavelength, edges, *, uncertainty=None, mask=None):
    """
    Share the counts of every pixel among the bins it overlaps.

    The light in a pixel is taken to be evenly spread over it, so counts are kept to the last
    electron. This smooths by up to a pixel and correlates neighbouring bins: use native pixels
    where you can, and the covariance given back where you cannot.

    Parameters
    ----------
    flux : array-like of shape (n_spectra, n_pixels) or (n_pixels,)
        Counts per pixel.
    wavelength : `~astropy.units.Quantity`, shape as ``flux`` or (n_pixels,)
        Of the pixels' centres; rising or falling.
    edges : `~astropy.units.Quantity` of shape (n_bins + 1,)
        Of the bins, rising.
    uncertainty : array-like, optional
        Standard deviation of each pixel, independent of its neighbours; zero if not given.
    mask : array-like of bool, optional
        True is bad: bins that such a pixel reaches into are masked, not filled.

    Returns
    -------
    spectra : `ResampledSpectra`

    Raises
    ------
    ValueError
        If shapes do not fit, or wavelengths or edges are not monotonic.

    Examples
    --------
    >>> wave = np.array([5000.0, 5001.0, 5002.0, 5003.0]) * u.AA
    >>> edges = np.array([4999.5, 5001.0, 5002.5]) * u.AA
    >>> found = resample_flux([10.0, 20.0, 30.0, 40.0], wave, edges, uncertainty=np.ones(4))
    >>> found.flux
    array([[20., 40.]])
    >>> found.correlation[0, 0, 1].round(2)  # half of the second pixel is in either bin
    np.float64(0.2)
    """
    flux = np.atleast_2d(np.array(getattr(flux, "value", flux), float))
    wave = np.broadcast_to(u.Quantity(wavelength, u.AA).value, flux.shape)
    grid = u.Quantity(edges, u.AA).value
    sigma = 0.0 if uncertainty is None else getattr(uncertainty, "value", uncertainty)
    sigma = np.broadcast_to(np.asarray(sigma, float), flux.shape)
    bad = np.zeros(flux.shape, bool) if mask is None else np.array(mask, bool)
    bad = np.broadcast_to(bad, flux.shape) | ~np.isfinite(flux) | ~np.isfinite(sigma)
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.diff(grid) > 0):
        raise ValueError("The edges of the bins must rise: give n_bins + 1 of them, sorted.")
    step = np.diff(wave, axis=1)
    if wave.shape[1] < 2 or not np.all((step > 0) == (step[:, :1] > 0)) or (step == 0).any():
        raise ValueError("The wavelengths of the pixels must rise or fall all along the spectrum.")
    found = [_resample(*row, grid) for row in zip(flux, wave, sigma, bad, strict=True)]
    counts, bands, masks = zip(*found, strict=True)
    reach = max(band.shape[1] for band in bands)
    covariance = np.stack([np.pad(b, ((0, 0), (0, reach - b.shape[1]))) for b in bands])
    return ResampledSpectra(
        grid * u.AA, np.stack(counts), np.sqrt(covariance[:, :, 0]), covariance, np.stack(masks)
    )


def _resample(flux, wave, sigma, bad, grid):
    """Counts, banded covariance and mask of one spectrum."""
    middle = 0.5 * (wave[1:] + wave[:-1])
    border = np.concatenate([[2 * wave[0] - middle[0]], middle, [2 * wave[-1] - middle[-1]]])
    low, high = np.minimum(border[:-1], border[1:]), np.maximum(border[:-1], border[1:])
    n = len(grid) - 1
    first = np.searchsorted(grid, low, side="right") - 1
    last = np.searchsorted(grid, high, side="left") - 1
    reach = int((last - first).max())  # how many bins further a pixel may reach
    bins = first[:, None] + np.arange(reach + 1)
    inside = (bins >= 0) & (bins < n)
    at = np.clip(bins, 0, n - 1)
    overlap = np.minimum(high[:, None], grid[at + 1]) - np.maximum(low[:, None], grid[at])
    share = np.where(inside, np.maximum(overlap, 0), 0) / (high - low)[:, None]
    good = np.where(bad, 0.0, 1.0)
    counts = np.bincount(at.ravel(), (share * np.where(bad, 0, flux)[:, None]).ravel(), n)
    covered = np.bincount(at.ravel(), (share * ((high - low) * good)[:, None]).ravel(), n)
    masked = covered < (1 - 1e-9) * np.diff(grid)
    variance = np.where(bad, 0, sigma)[:, None] ** 2
    band = np.zeros((n, reach + 1))
    for k in range(reach + 1):
        both = share[:, : reach + 1 - k] * share[:, k:] * variance
        band[:, k] = np.bincount(at[:, : reach + 1 - k].ravel(), both.ravel(), n)
    counts[masked] = np.nan
    for k in range(reach + 1):
        band[masked, k] = np.nan
        band[: n - k, k][masked[k:]] = np.nan
    return counts, band, masked
