"""How far do arc lines lean across the slit? One map of effective pixels answers for every star."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from astropy.modeling import models
from scipy.ndimage import median_filter
from scipy.signal import find_peaks
from specreduce.tilt_solution import TiltSolution

__all__ = ["LineTilt"]


@dataclass(frozen=True, eq=False)
class LineTilt:
    """
    The lean and curvature of lines: where each pixel would be at a reference row.

    A line that is at ``x`` on the reference row is at
    ``x + sum_pq coefficients[p, q] * Y**(p + 1) * X**q`` on row ``y``, with
    ``X = 2 x / (n_x - 1) - 1`` and ``Y = (y - reference_row) / n_y``.

    Parameters
    ----------
    coefficients : array-like of shape (n_p, n_q)
        Pixels.
    shape : (int, int)
        Of the image, ``(n_y, n_x)``, dispersion along x.
    reference_row : float
    rms : float
        Scatter of the measured line positions about the model, pixels.
    n_lines : int
        Lines that were followed.
    positions : array of shape (n, 4), optional
        Measured x, y, x on the reference row, and whether used: what `plot` draws.

    Examples
    --------
    >>> tilt = LineTilt([[6.0]], (200, 1000), reference_row=100.0)
    >>> float(tilt.detector(500.0, 200.0))  # 100 rows up, half the image: 3 pixels to the right
    503.0
    >>> float(tilt.effective(503.0, 200.0))
    500.0
    """

    coefficients: np.ndarray
    shape: tuple
    reference_row: float
    rms: float = np.nan
    n_lines: int = 0
    positions: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self):
        put = object.__setattr__
        put(self, "coefficients", np.atleast_2d(np.asarray(self.coefficients, float)))
        put(self, "shape", tuple(int(n) for n in self.shape))
        put(self, "reference_row", float(self.reference_row))

    @classmethod
    def none(cls, shape):
        """Lines that stand upright."""
        return cls([[0.0]], shape, 0.5 * (shape[0] - 1), 0.0)

    @classmethod
    def measure(
        cls,
        image,
        *,
        reference_row=None,
        mask=None,
        fwhm=None,
        lines=None,
        n_blocks=24,
        degree=None,
        min_snr=15.0,
    ):
        """
        Follow the lines of an arc frame from the reference row up and down.

        Rows are averaged in blocks; in each, all lines are re-centred at once with a Gaussian
        window, starting from where the blocks before say they are. One two-dimensional polynomial
        and one position per line are then fitted to everything, outliers clipped.

        Parameters
        ----------
        image : array-like of shape (n_y, n_x), or `~astropy.nddata.CCDData`
            Arc frame, or the sum of several.
        reference_row : float, optional
            The middle of the lit rows if not given.
        mask : array-like of bool, shape (n_y, n_x), optional
            True is bad.
        fwhm : float, optional
            Of the lines; 4 pixels if not given (it only sizes the window).
        lines : array-like, optional
            Pixels of the lines to follow on the reference row; found if not given.
        n_blocks : int
            Blocks of rows.
        degree : (int, int), optional
            Of the polynomial along the slit and along the dispersion; found by the Bayesian
            information criterion if not given.
        min_snr : float
            Lines weaker than this in their block are left out of it.

        Returns
        -------
        tilt : `LineTilt`

        Raises
        ------
        ValueError
            If fewer than three lines can be followed over half of the lit rows.
        """
        data, bad = _unpack(image, mask)
        fwhm = 4.0 if fwhm is None else float(fwhm)
        rows, blocks, noise = _blocks(data, bad, n_blocks)
        if reference_row is None:
            reference_row = rows.mean()
        start = int(np.abs(rows - reference_row).argmin())
        seed = _find(blocks[start], noise[start], fwhm, min_snr) if lines is None else lines
        seed = np.asarray(getattr(seed, "value", seed), float)
        x, weight = np.zeros((len(rows), 0)), np.zeros((len(rows), 0))
        if len(seed):
            x, weight = _follow(blocks, noise, rows, start, seed, fwhm, min_snr)
        enough = (weight > 0).sum(axis=0) >= 0.5 * len(rows)
        if enough.sum() < 3:
            raise ValueError(
                f"Only {enough.sum()} arc lines can be followed across the slit; at least 3 are "
                "needed. Give an arc with more light, or LineTilt.none(shape)."
            )
        x, weight = x[:, enough], weight[:, enough]
        fits = _candidates(x, weight, rows, reference_row, data.shape, degree)
        best = min(fits, key=lambda fit: fit[0])
        _, terms, at_reference, good, rms = best
        y = np.broadcast_to(rows[:, None], x.shape)
        where = np.broadcast_to(at_reference, x.shape)
        positions = np.stack([a[weight > 0] for a in (x, y, where, good)], axis=1)
        return cls(terms, data.shape, reference_row, rms, x.shape[1], positions)

    def _lean(self, pixel, row):
        """How far a line at ``pixel`` on the reference row is moved on ``row``."""
        x = 2 * np.asarray(pixel, float) / (self.shape[1] - 1) - 1
        y = (np.asarray(row, float) - self.reference_row) / self.shape[0]
        across = [np.polynomial.polynomial.polyval(x, terms) for terms in self.coefficients]
        total = 0.0
        for part in across[::-1]:
            total = (total + part) * y
        return total

    def detector(self, pixel, row):
        """Where on ``row`` the line is that is at ``pixel`` on the reference row (broadcasts)."""
        return np.asarray(pixel, float) + self._lean(pixel, row)

    def effective(self, pixel, row):
        """Where on the reference row the line is that is at ``pixel`` on ``row`` (broadcasts)."""
        pixel = np.asarray(pixel, float)
        guess = pixel - self._lean(pixel, row)
        for _ in range(20):
            change = pixel - self._lean(guess, row) - guess
            guess = guess + change
            if np.abs(change).max(initial=0.0) < 1e-9:
                break
        return guess

    @cached_property
    def effective_pixel(self):
        """Dispersion coordinate of every pixel at the reference row, shape (n_y, n_x)."""
        return self.effective(np.arange(self.shape[1]), np.arange(self.shape[0])[:, None])

    def carry(self, solution, row):
        """
        Carry the reference row's wavelength solution to another row or along a trace.

        Parameters
        ----------
        solution : `~slitlapse.wavelength.WavelengthSolution`
            Of the reference row.
        row : float or array-like of shape (n_x,)
            A row, or a star's trace.

        Returns
        -------
        solution : `~slitlapse.wavelength.WavelengthSolution`
        """
        x = np.arange(self.shape[1])
        return solution.remapped(self.effective(x, np.broadcast_to(row, x.shape)))

    def wavelength_2d(self, solution):
        """Wavelength of every pixel of the image, shape (n_y, n_x), from the reference row's."""
        return solution.pixel_to_wavelength(self.effective_pixel)

    def to_specreduce(self):
        """The same map as specreduce's `~specreduce.tilt_solution.TiltSolution`."""
        n_p, n_q = self.coefficients.shape
        n_y, n_x = self.shape
        middle = 0.5 * (n_x - 1)
        terms = {"c0_0": middle, "c1_0": 1.0}
        for p in range(n_p):
            for q in range(n_q):
                scale = n_y ** -(p + 1.0) * middle**-q
                terms[f"c{q}_{p + 1}"] = terms.get(f"c{q}_{p + 1}", 0.0) + (
                    self.coefficients[p, q] * scale
                )
        polynomial = models.Polynomial2D(n_p + n_q, **terms)
        shift = models.Shift(-middle) & models.Shift(-self.reference_row)
        return TiltSolution(shift | polynomial, image_shape=self.shape)

    def plot(self, ax=None, **kwargs):
        """Draw how far lines lean from the reference row, measured and modelled; return Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        rows = np.arange(self.shape[0])
        for pixel in np.linspace(0, self.shape[1] - 1, 5):
            label = f"line at x = {pixel:.0f}"
            ax.plot(self._lean(pixel, rows), rows, **{"lw": 1, "label": label, **kwargs})
        if self.positions is not None:
            x, y, where, used = self.positions.T
            ax.plot((x - where)[used > 0], y[used > 0], "k.", ms=1, alpha=0.5)
        ax.set(xlabel="displacement from the reference row (pixel)", ylabel="row")
        return ax


def _unpack(image, mask):
    data = np.array(getattr(image, "data", image), dtype=float)
    mask = getattr(image, "mask", None) if mask is None else mask
    if data.ndim != 2:
        raise ValueError(f"An arc frame has two dimensions, found shape {data.shape}.")
    bad = ~np.isfinite(data) if mask is None else np.asarray(mask, bool) | ~np.isfinite(data)
    return np.where(bad, 0.0, data), bad


def _blocks(data, bad, n_blocks):
    """Mean of good pixels in blocks of lit rows: middle rows, spectra, noise per pixel."""
    light = np.quantile(data, 0.98, axis=1) - np.median(data, axis=1)
    lit = light > 0.25 * np.quantile(light, 0.8)
    first, last = np.flatnonzero(lit)[[0, -1]]
    edges = np.unique(np.linspace(first, last + 1, n_blocks + 1).round().astype(int))
    count = np.add.reduceat(~bad, edges[:-1], axis=0)[: len(edges) - 1]
    count[-1] = (~bad)[edges[-2] : edges[-1]].sum(axis=0)
    total = np.array([data[a:b].sum(axis=0) for a, b in pairwise(edges)])
    blocks = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    rows = 0.5 * (edges[:-1] + edges[1:] - 1)
    blocks = np.where(np.isfinite(blocks), blocks, np.nanmedian(blocks, axis=1, keepdims=True))
    third = np.abs(np.diff(blocks, 3, axis=1)) / np.sqrt(20)
    noise = 1.4826 * np.median(third, axis=1)
    return rows, blocks, np.maximum(noise, 1e-9 * np.ptp(blocks))


def _flat(spectrum, fwhm):
    return spectrum - median_filter(spectrum, 2 * int(8 * fwhm) + 1, mode="nearest")


def _find(spectrum, noise, fwhm, min_snr):
    height = _flat(spectrum, fwhm)
    peaks, _ = find_peaks(height, height=min_snr * noise, distance=max(int(2.5 * fwhm), 1))
    inside = (peaks > 3 * fwhm) & (peaks < len(height) - 1 - 3 * fwhm)
    return peaks[inside].astype(float)


def _recentre(spectrum, noise, start, fwhm):
    """Gaussian-window centroids of all lines of one block, and their signal-to-noise."""
    sigma = 0.6 * fwhm
    reach = int(np.ceil(2.5 * sigma)) + 1
    height = _flat(spectrum, fwhm)
    x = start.copy()
    for _ in range(8):
        first = np.clip(np.round(np.nan_to_num(x)).astype(int), reach, len(height) - 1 - reach)
        index = first[:, None] + np.arange(-reach, reach + 1)
        window = np.exp(-0.5 * ((index - x[:, None]) / sigma) ** 2)
        flux = height[index] * window
        total = flux.sum(axis=1)
        step = 2 * (flux * (index - x[:, None])).sum(axis=1) / np.where(total > 0, total, np.nan)
        x = x + np.clip(step, -0.5 * fwhm, 0.5 * fwhm)
    return x, total / (noise * np.sqrt((window**2).sum(axis=1)))


def _follow(blocks, noise, rows, start, seed, fwhm, min_snr):
    """Positions and weights of every line in every block, walking away from the start."""
    x = np.full((len(rows), len(seed)), np.nan)
    weight = np.zeros_like(x)
    for order in (range(start, len(rows)), range(start - 1, -1, -1)):
        here, drift = seed.copy(), np.zeros(len(seed))
        if order.step == -1 and start > 0:
            here = np.where(np.isfinite(x[start]), x[start], seed)
        for k in order:
            found, snr = _recentre(blocks[k], noise[k], here + drift, fwhm)
            jump = found - here
            common = np.nanmedian(jump)
            ok = np.isfinite(found) & (snr > min_snr) & (np.abs(jump - common) < 0.5 * fwhm)
            x[k, ok], weight[k, ok] = found[ok], snr[ok]
            new = np.where(ok, found, here + common if np.isfinite(common) else here)
            drift, here = 0.5 * np.clip(new - here, -fwhm, fwhm), new
    return x, weight


def _candidates(x, weight, rows, reference, shape, degree):
    """Fits of several degrees: criterion, terms, positions on the reference row, used, rms."""
    measured = weight > 0
    k, line = np.nonzero(measured)
    value, y = x[measured], (rows[k] - reference) / shape[0]
    sigma = np.maximum(2.0 / weight[measured], 0.002)
    at = np.array([np.interp(reference, rows[m], x[m, j]) for j, m in enumerate(measured.T)])
    tries = [tuple(degree)] if degree else [(p, q) for p in (1, 2, 3, 4) for q in (0, 1, 2, 3)]
    results = []
    for n_p, n_q in tries:
        place, good, extra = at.copy(), np.ones(len(value), bool), 0.0
        for _ in range(5):
            across = np.polynomial.polynomial.polyvander(2 * place[line] / (shape[1] - 1) - 1, n_q)
            along = y[:, None] ** np.arange(1, n_p + 1)
            design = (along[:, :, None] * across[:, None, :]).reshape(len(value), -1)
            terms, place, residual = _solve(design, line, value, sigma, good, extra, len(at))
            spread = 1.4826 * np.median(np.abs(residual[good]))
            extra = np.sqrt(max(spread**2 - np.median(sigma) ** 2, 0.0))
            good = np.abs(residual) < 4 * np.hypot(sigma, spread)
        rms = float(np.sqrt(np.mean(residual[good] ** 2)))
        pull = np.minimum(np.abs(residual) / np.hypot(sigma, 0.002), 50)
        criterion = len(value) * np.log(np.mean(pull**2)) + terms.size * np.log(len(value))
        used = np.zeros(x.shape)
        used[measured] = good
        results.append((criterion, terms.reshape(n_p, n_q + 1), place, used, rms))
    return results


def _solve(design, line, value, sigma, good, extra, n_lines):
    """Least squares for the terms with one free position per line (eliminated by centring)."""
    weight = np.where(good, 1 / (sigma**2 + extra**2), 0.0)
    total = np.maximum(np.bincount(line, weight, n_lines), 1e-300)

    def mean(value):
        return (np.bincount(line, weight * value, n_lines) / total)[line]

    centred = design - np.column_stack([mean(column) for column in design.T])
    root = np.sqrt(weight)
    terms = np.linalg.lstsq(centred * root[:, None], (value - mean(value)) * root, rcond=None)[0]
    place = np.bincount(line, weight * (value - design @ terms), n_lines) / total
    return terms, place, value - design @ terms - place[line]
