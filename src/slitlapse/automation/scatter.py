"""How much does a light curve scatter, and does it average down as noise does?"""

from dataclasses import dataclass

import numpy as np
from astropy.table import QTable
from scipy.optimize import least_squares
from scipy.stats import chi2

__all__ = [
    "FEWEST_WITH_TRANSIT",
    "Residuals",
    "measure_scatter",
    "residuals_of",
    "scatter_by_bin_size",
]

FEWEST_LEFT = 4  # bins more than the model has numbers
FEWEST_WITH_TRANSIT = 16  # exposures, of which a transit and noise can be told apart
SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


@dataclass(frozen=True, eq=False)
class Residuals:
    """
    What a smooth model leaves of a light curve.

    Parameters
    ----------
    values, errors : array, shape (n_bins, n_time)
        Light minus model, and quoted standard deviations; NaN where masked.
    model : array, shape (n_bins, n_time)
    n_parameters : int
        How many numbers of each curve the model took.
    """

    values: np.ndarray
    errors: np.ndarray
    model: np.ndarray
    n_parameters: int

    @property
    def n_good(self):
        """Exposures that count, shape (n_bins,)."""
        return np.isfinite(self.values).sum(axis=1)

    @property
    def n_free(self):
        """Degrees of freedom, shape (n_bins,)."""
        return self.n_good - self.n_parameters

    @property
    def excess(self):
        """Scatter over quoted noise, shape (n_bins,): 1 where the noise budget is complete."""
        power = np.nansum((self.values / self.errors) ** 2, axis=1)
        free = self.n_free.astype(float)
        return np.sqrt(np.divide(power, free, out=np.full(len(power), np.nan), where=free > 0))

    @property
    def excess_uncertainty(self):
        """Standard error of ``excess`` if the noise is white, shape (n_bins,)."""
        return 1 / np.sqrt(2 * np.maximum(self.n_free, 1))

    def correlation(self, lag=1):
        """Of exposures that are ``lag`` apart, shape (n_bins,): about 0 for white noise."""
        ratio = np.nan_to_num(self.values / self.errors)
        power = (ratio**2).sum(axis=1)
        lagged = (ratio[:, lag:] * ratio[:, :-lag]).sum(axis=1)
        return np.divide(lagged, power, out=np.zeros(len(power)), where=power > 0)

    @property
    def chance_of_correlation(self):
        """
        Probability that noise without memory is correlated as much, shape (n_bins,).

        All lags up to a sixth of the exposures together (Ljung & Box 1978, Biometrika 65, 297).
        """
        n = np.maximum(self.n_good, 2)
        lags = range(1, max(2, self.values.shape[1] // 6) + 1)
        terms = [self.correlation(lag) ** 2 / np.maximum(n - lag, 1) for lag in lags]
        return chi2.sf(n * (n + 2) * np.sum(terms, axis=0), len(lags))


def residuals_of(curves, *, transit=False, degree=2):
    """
    Take a slow trend off light curves, and a transit where there may be one.

    Parameters
    ----------
    curves : SpectralTimeSeries
        As of `~slitlapse.automation.light_curves`.
    transit : bool
        Whether to fit a transit too: a trapezoid with a round bottom, its times found on the mean
        of all bins and the same for all. With fewer than 16 exposures nothing is then known.
    degree : int
        Of the polynomial in time.

    Returns
    -------
    Residuals
    """
    good = ~curves.mask & np.isfinite(curves.flux.value) & (curves.uncertainty.value > 0)
    flux = np.where(good, curves.flux.value, 0)
    weight = np.where(good, 1 / np.where(good, curves.uncertainty.value, 1), 0)
    hours = (curves.time - curves.time[0]).to_value("hour")
    span = max(np.ptp(hours), 1e-9)
    along = 2 * (hours - hours.min()) / span - 1
    basis = along[:, None] ** np.arange(degree + 1)
    n_parameters = basis.shape[1]
    shape = None
    if transit and len(along) < FEWEST_WITH_TRANSIT:
        good = np.zeros_like(good)  # who knows what is transit and what is noise
    elif transit:
        total = (weight**2).sum(axis=0)
        mean = np.divide((weight**2 * flux).sum(axis=0), total, out=0 * total, where=total > 0)
        shape = _find_transit(along, mean, np.sqrt(total), basis)
    if shape is not None:
        basis = np.column_stack([basis, shape])
        n_parameters = basis.shape[1] + 3  # its middle, its length and its edge
    model = np.array([_fit(basis, f, w) for f, w in zip(flux, weight, strict=True)])
    values = np.where(good, flux - model, np.nan)
    errors = np.where(good, curves.uncertainty.value, np.nan)
    return Residuals(values, errors, model, n_parameters)


def _fit(basis, flux, weight):
    """Weighted least squares; the model, shape (n_time,)."""
    return basis @ np.linalg.lstsq(basis * weight[:, None], flux * weight, rcond=None)[0]


def _trapezoid(along, middle, half, edge):
    """Height 1 at the bottom and 0 outside, shape (..., n_time); ``half`` from edge to edge."""
    return np.clip((half - np.abs(along - middle)) / edge + 0.5, 0, 1)


def _bottom(along, middle, half, edge):
    """Trapezoid and its round bottom, shape (n_time, 2)."""
    flat = _trapezoid(along, middle, half, edge)
    return np.column_stack([flat, flat * ((along - middle) / half) ** 2])


def _find_transit(along, flux, weight, basis):
    """The best transit beside a trend: a search on a grid, then least squares."""
    trend, _ = np.linalg.qr(basis * weight[:, None])
    rest = weight * flux - trend @ (trend.T @ (weight * flux))
    grid = np.meshgrid(
        np.linspace(-1, 1, min(2 * len(along), 81)),
        np.geomspace(max(4 / len(along), 0.05), 0.9, 12),
        (0.1, 0.4, 0.9),
        indexing="ij",
    )
    middle, half, share = (each.ravel()[:, None] for each in grid)
    shapes = _trapezoid(along, middle, half, share * half) * weight
    shapes = shapes - (shapes @ trend) @ trend.T
    power = (shapes**2).sum(axis=1)
    along_it = shapes @ rest
    dip = (along_it < 0) & (power > 1e-6 * np.sum(weight**2))  # a transit takes light away
    if not dip.any():
        return None
    gain = np.where(dip, along_it**2 / np.where(dip, power, 1), 0)

    def left(numbers):
        columns = np.column_stack([basis, _bottom(along, *numbers)])
        return weight * (flux - _fit(columns, flux, weight))

    tries = []
    for best in np.argsort(gain)[-200::66]:  # several starts: the grid is coarser than an edge
        start = [middle[best, 0], half[best, 0], share[best, 0] * half[best, 0]]
        low, high = [-1.2, 0.02, 0.005], [1.2, 1.2, 1.2]
        start = np.clip(start, np.add(low, 1e-6), np.subtract(high, 1e-6))
        tries.append(least_squares(left, start, bounds=(low, high), x_scale=[0.1, 0.1, 0.1]))
    return _bottom(along, *min(tries, key=lambda found: found.cost).x)


def measure_scatter(curves, *, transit=False, degree=2):
    """
    Compare the scatter of every bin with the noise that was expected.

    Parameters
    ----------
    curves, transit, degree
        As in `residuals_of`.

    Returns
    -------
    `~astropy.table.QTable`, a row per bin
        ``wavelength``, ``scatter`` (standard deviation of what trend and transit leave, with their
        numbers counted) and ``scatter_uncertainty``, ``expected`` (root mean square of the quoted
        errors), ``excess`` (one over the other) and ``n_good``.
    """
    left = residuals_of(curves, transit=transit, degree=degree)
    with np.errstate(invalid="ignore", divide="ignore"):
        free = np.where(left.n_free > 0, left.n_free, np.nan)
        scatter = np.sqrt(np.nansum(left.values**2, axis=1) / free)
        expected = np.sqrt(np.nansum(left.errors**2, axis=1) / left.n_good)
        table = QTable({"wavelength": curves.wavelength, "scatter": scatter})
        table["scatter_uncertainty"] = scatter / np.sqrt(2 * free)
        table["expected"] = expected
        table["excess"] = scatter / expected
    table["n_good"] = left.n_good
    return table


def scatter_by_bin_size(curves, *, transit=False, degree=2):
    """
    Average more and more exposures: does the scatter fall as that of white noise does?

    Parameters
    ----------
    curves, transit, degree
        As in `residuals_of`.

    Returns
    -------
    `~astropy.table.QTable`, a row per size
        ``size`` in exposures, ``n_bins``; ``scatter``, ``scatter_uncertainty`` and ``expected``
        of shape (n_sizes, n_curves). ``expected`` is the white-noise line: the quoted errors
        over the root of the size. Sizes end where the model has taken most of the bins' freedom.

    Notes
    -----
    The model is smooth, so what it takes it takes from the averages: each size has as many
    degrees of freedom as bins less the model's numbers, and the relative error of each point is
    that of a standard deviation of white noise with n of them, 1/sqrt(2 n). Pont et al. (2006,
    MNRAS 373, 231) and Winn et al. (2008, ApJ 683, 1076) explain the test.
    """
    left = residuals_of(curves, transit=transit, degree=degree)
    n_curves, n_time = left.values.shape
    table = {name: [] for name in ("size", "n_bins", "scatter", "scatter_uncertainty", "expected")}
    for size in SIZES:
        n_bins = n_time // size
        free = n_bins - left.n_parameters
        if free < FEWEST_LEFT:
            break
        cut = np.s_[:, : n_bins * size]
        values = left.values[cut].reshape(n_curves, n_bins, size)
        errors = left.errors[cut].reshape(values.shape)
        number = np.isfinite(values).sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(values, axis=2) / number
            error = np.sqrt(np.nansum(errors**2, axis=2)) / number
        filled = np.maximum(np.isfinite(mean).sum(axis=1), 1)
        free = np.maximum(filled - left.n_parameters, 1)
        scatter = np.sqrt(np.nansum(mean**2, axis=1) / free)
        row = (size, n_bins, scatter, scatter / np.sqrt(2 * free),
               np.sqrt(np.nansum(error**2, axis=1) / filled))  # fmt: skip
        for name, value in zip(table, row, strict=True):
            table[name].append(value)
    return QTable({name: np.array(values) for name, values in table.items()})
