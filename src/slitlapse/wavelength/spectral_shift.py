"""By how much did each exposure's spectrum move along the detector, and how sure are we?"""

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from numpy.polynomial import legendre
from scipy.linalg import solveh_banded

__all__ = ["ShiftSeries", "measure_shift", "telluric_mask"]

TELLURIC_BANDS = (  # vacuum or air does not matter at this width, angstrom: O2 and H2O
    (5880, 5980), (6270, 6330), (6460, 6580), (6860, 6970), (7155, 7400), (7585, 7710),
    (8090, 8410), (8920, 9860), (10800, 12000),
)  # fmt: skip
PAD = 8  # spline coefficients beyond each end of the detector, besides the largest shift


@dataclass(frozen=True, eq=False)
class ShiftSeries:
    """
    Shift of every exposure along the dispersion, against a common template.

    What is at ``x`` in the template is at ``x + shift`` (plus ``stretch * (x - middle)``) in the
    exposure: a positive shift moved the spectrum towards larger x, and
    ``solution.shifted(shift, stretch)`` is that exposure's own solution.

    Parameters
    ----------
    shift, shift_uncertainty : array of shape (n_exposures,)
        Pixels. Without a given template the weighted mean shift is zero.
    stretch, stretch_uncertainty : array of shape (n_exposures,)
        Parts of the detector; zero unless asked for.
    chi2 : array of shape (n_exposures,)
        Reduced chi-squared; uncertainties have been enlarged by its root where that exceeds 1.
    template : array of shape (n_pixels,)
        The stacked spectrum at shift zero.
    n_clipped : int
        Pixels of all exposures left out as outliers.

    Examples
    --------
    >>> x = np.arange(400)
    >>> line = lambda centre: 1e4 * (1 - 0.6 * np.exp(-0.5 * ((x - centre) / 3) ** 2))
    >>> series = measure_shift([line(200.0), line(200.3)], uncertainty=100.0)
    >>> print(f"{series.shift[1] - series.shift[0]:.3f}")  # the second moved to larger x
    0.300
    """

    shift: np.ndarray
    shift_uncertainty: np.ndarray
    stretch: np.ndarray
    stretch_uncertainty: np.ndarray
    chi2: np.ndarray
    template: np.ndarray = field(repr=False)
    n_clipped: int = 0

    def plot(self, ax=None, time=None, **kwargs):
        """Draw shift against exposure number (or ``time``) with error bars; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        when = np.arange(len(self.shift)) if time is None else time
        ax.errorbar(when, self.shift, self.shift_uncertainty, **{"fmt": "o", "ms": 3, **kwargs})
        ax.set(xlabel="exposure" if time is None else "time", ylabel="shift (pixel)")
        return ax


def telluric_mask(wavelength, *, bands=TELLURIC_BANDS):
    """
    True where the Earth's atmosphere absorbs in bands (O2 and H2O), so where a star's own shift
    should not be measured, and the shift of the air's should.

    Parameters
    ----------
    wavelength : array-like or `~astropy.units.Quantity`
        Plain numbers are angstrom.
    bands : sequence of (low, high)
        Angstrom.
    """
    wave = u.Quantity(wavelength, u.AA).value
    return np.any([(wave >= low) & (wave <= high) for low, high in bands], axis=0)


def measure_shift(
    spectra,
    *,
    uncertainty=None,
    mask=None,
    use=None,
    template=None,
    stretch=False,
    continuum_degree=3,
    max_shift=10.0,
    clip=6.0,
    max_iterations=40,
):
    """
    Measure the shift of each exposure by least squares against their own stack.

    The template is a cubic spline with a knot per pixel, fitted to all exposures at their shifts;
    each exposure is that template, shifted, times a low-order polynomial (slit losses, airmass,
    seeing). Template and shifts are improved in turn until they agree, which is the maximum of the
    joint likelihood: the reported uncertainty is the Cramer-Rao bound with the continuum free.

    Parameters
    ----------
    spectra : array-like of shape (n_exposures, n_pixels)
    uncertainty : array-like, optional
        Standard deviation, broadcast to ``spectra``; without it the residuals tell.
    mask : array-like of bool, shape (n_exposures, n_pixels), optional
        True is bad.
    use : array-like of bool, shape (n_pixels,), optional
        Where to measure: ``~telluric_mask(wavelength)`` for a star, ``telluric_mask`` itself for
        the air, a window for a line.
    template : array-like of shape (n_pixels,), optional
        Measure against this spectrum (taken as free of noise) instead of the stack.
    stretch : bool
        Also measure a stretch about the middle pixel.
    continuum_degree : int
        Of the polynomial that each exposure's continuum may differ by.
    max_shift : float
        Largest shift to expect, pixels.
    clip : float
        Pixels further off than this many standard deviations are left out (cosmic rays).
    max_iterations : int

    Returns
    -------
    series : `ShiftSeries`

    Raises
    ------
    ValueError
        If there is nothing to compare, or no structure to measure a shift with.
    """
    flux, weight = _unpack(spectra, uncertainty, mask, use)
    fixed = template is not None
    if len(flux) < 2 and not fixed:
        raise ValueError("One spectrum has no shift. Give several, or a template to compare with.")
    state = _Stack(flux, weight, continuum_degree, stretch, int(np.ceil(max_shift)) + PAD)
    reference = np.asarray(template, float) if fixed else _middle(flux, weight)
    state.start(reference, max_shift)
    if fixed:
        state.spline = state.spline_of(reference)
    n_clipped = 0
    for iteration in range(max_iterations):
        if not fixed:
            state.stack()
        change = state.improve()
        if iteration in (2, 4):
            n_clipped += state.clip(clip, floor=0.0 if uncertainty is None else 1.0)
        if change < 1e-5 and iteration > 5:
            break
    return state.result(fixed, uncertainty is None, n_clipped)


def _unpack(spectra, uncertainty, mask, use):
    flux = np.array(getattr(spectra, "value", spectra), dtype=float)
    if flux.ndim != 2:
        raise ValueError(f"spectra have shape (n_exposures, n_pixels), found {flux.shape}.")
    bad = ~np.isfinite(flux)
    if mask is not None:
        bad |= np.asarray(mask, bool)
    if use is not None:
        bad |= ~np.asarray(use, bool)
    sigma = 1.0 if uncertainty is None else getattr(uncertainty, "value", uncertainty)
    sigma = np.broadcast_to(np.asarray(sigma, float), flux.shape)
    bad |= ~(sigma > 0) | ~np.isfinite(sigma)
    if (~bad).sum(axis=1).min() < 20:
        raise ValueError("An exposure has fewer than 20 good pixels to measure a shift with.")
    weight = np.where(bad, 0.0, 1 / np.where(bad, 1.0, sigma) ** 2)
    return np.where(np.isfinite(flux), flux, 0.0), weight


def _middle(flux, weight):
    """The exposure that resembles the median one most closely: a start."""
    scale = np.array([np.median(f[w > 0]) for f, w in zip(flux, weight, strict=True)])
    level = flux / np.where(scale == 0, 1, scale)[:, None]
    middle = np.median(level, axis=0)
    return flux[np.abs(level - middle).sum(axis=1).argmin()]


def _peak(lags, score):
    """Top of the parabola through the best lag and those beside it."""
    best = int(score.argmax())
    if not 0 < best < len(lags) - 1:
        return lags[best]
    before, top, after = score[best - 1 : best + 2]
    bend = before - 2 * top + after
    return lags[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def _cubic(part):
    """The four cubic B-splines that reach a point this far after a knot, and their slopes."""
    t = np.asarray(part)
    value = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    slope = [-3 * (1 - t) ** 2, 9 * t**2 - 12 * t, -9 * t**2 + 6 * t + 3, 3 * t**2]
    return np.array(value) / 6, np.array(slope) / 6


class _Stack:
    """Template, shifts and continua of a set of exposures, improved in turn."""

    def __init__(self, flux, weight, degree, stretch, pad):
        self.flux, self.weight, self.pad = flux, weight, pad
        self.n_exposures, self.n = flux.shape
        self.x = np.arange(self.n, dtype=float)
        self.arm = self.x - 0.5 * (self.n - 1)
        self.poly = legendre.legvander(self.arm / (0.5 * self.n), degree).T
        self.with_stretch = stretch
        self.shift = np.zeros(self.n_exposures)
        self.stretch = np.zeros(self.n_exposures)
        self.continuum = np.ones_like(flux)

    def place(self):
        """Template coordinate of every pixel: knot index and the part after it."""
        moved = self.arm - self.shift[:, None]
        where = moved / (1 + self.stretch[:, None]) + 0.5 * (self.n - 1) + self.pad
        index = np.floor(where).astype(int)
        index = np.clip(index, 1, self.n + 2 * self.pad - 3)
        return index, where - index

    def start(self, reference, max_shift):
        """Rough shifts from the cross-correlation of what is left of a cubic."""

        def flat(flux, weight):
            smooth = legendre.Legendre.fit(self.arm, flux, 3, w=np.sqrt(weight))
            rest = (flux - smooth(self.arm)) * (weight > 0)
            width = 5 * 1.4826 * np.median(np.abs(rest[weight > 0]))
            return np.clip(rest, -4 * width, width)  # dips may be deep, spikes are cosmic rays

        # only where the exposures look, too: bands left out of them would draw all aside
        first = flat(reference, (self.weight > 0).any(axis=0).astype(float))
        lags = np.arange(-int(max_shift), int(max_shift) + 1)
        inner = slice(len(lags), self.n - len(lags))
        shifted = np.array([np.roll(first, lag)[inner] for lag in lags])
        for i in range(self.n_exposures):
            score = shifted @ flat(self.flux[i], self.weight[i])[inner]
            self.shift[i] = _peak(lags, score)
        self.shift -= 0.0 if np.ptp(self.shift) else self.shift[0]

    def stack(self):
        """The spline that fits all exposures at their present shifts and continua."""
        size = self.n + 2 * self.pad
        index, part = self.place()
        basis, _ = _cubic(part)
        power = self.weight * self.continuum**2
        right = np.zeros(size)
        band = np.zeros((4, size))
        signal = self.weight * self.continuum * self.flux
        for a in range(4):
            at = (index + a - 1).ravel()
            right += np.bincount(at, (basis[a] * signal).ravel(), size)
            for b in range(a, 4):
                band[b - a] += np.bincount(at, (basis[a] * basis[b] * power).ravel(), size)
        # a whisper of smoothness where few pixels look; far below the noise elsewhere
        band[0] += 1e-7 * np.median(band[0][band[0] > 0]) + 1e-300
        self.spline = solveh_banded(band, right, lower=True)

    def spline_of(self, spectrum):
        """Coefficients of the spline through one spectrum, held at its ends."""
        size = self.n + 2 * self.pad
        values = np.pad(spectrum, self.pad, mode="edge")
        band = np.zeros((2, size))
        band[0], band[1, :-1] = 4 / 6, 1 / 6
        return solveh_banded(band, values, lower=True)

    def evaluate(self):
        """Template and its slope at every pixel of every exposure."""
        index, part = self.place()
        basis, slope = _cubic(part)
        near = np.stack([self.spline[index + a - 1] for a in range(4)])
        return (basis * near).sum(axis=0), (slope * near).sum(axis=0)

    def improve(self):
        """One Gauss-Newton step in continuum, shift and stretch of every exposure."""
        value, slope = self.evaluate()
        gradient = -slope * self.continuum
        columns = [p * value for p in self.poly] + [gradient]
        if self.with_stretch:
            columns.append(gradient * self.arm)
        design = np.stack(columns, axis=1)
        weighted = design * self.weight[:, None, :]
        normal = np.einsum("eix,ejx->eij", weighted, design)
        right = np.einsum("eix,ex->ei", weighted, self.flux)
        scale = np.sqrt(np.einsum("eii->ei", normal)) + 1e-300
        normal = normal / scale[:, :, None] / scale[:, None, :]
        inverse = np.linalg.pinv(normal, hermitian=True) / scale[:, :, None] / scale[:, None, :]
        answer = np.einsum("eij,ej->ei", inverse, right)
        k = len(self.poly)
        step = np.clip(answer[:, k], -1, 1)
        self.continuum = answer[:, :k] @ self.poly
        self.continuum /= np.mean(self.continuum, axis=0)  # the template carries the mean
        self.shift = self.shift + step
        if self.with_stretch:
            self.stretch = self.stretch + answer[:, k + 1]
        self.covariance = inverse[:, k:, k:]
        self.residual = self.flux - (design * answer[:, :, None]).sum(axis=1)
        return np.abs(step - step.mean()).max()

    def clip(self, limit, floor):
        """Leave out pixels far off, in units of the residuals' own scatter (at least ``floor``)."""
        pull = self.residual * np.sqrt(self.weight)
        spread = 1.4826 * np.median(np.abs(pull[self.weight > 0]))
        off = np.abs(pull) > limit * max(spread, floor, 1e-12)
        self.weight = np.where(off, 0.0, self.weight)
        return int(off.sum())

    def result(self, fixed, scale_free, n_clipped):
        """Collect everything, with shifts about their weighted mean."""
        free = (self.weight > 0).sum(axis=1) - self.covariance.shape[1] - len(self.poly)
        template_cost = 0 if fixed else self.n / self.n_exposures
        chi2 = (self.weight * self.residual**2).sum(axis=1) / np.maximum(free - template_cost, 1)
        variance = np.einsum("eii->ei", self.covariance)
        if not (variance[:, 0] > 0).all():
            raise ValueError("These spectra have no structure to measure a shift with.")
        variance = variance * (chi2 if scale_free else np.maximum(chi2, 1))[:, None]
        if not fixed:
            share = 1 / variance / (1 / variance).sum(axis=0)
            self.shift -= (share[:, 0] * self.shift).sum()
            variance = variance * (1 - share)  # the mean is set to zero, not measured
            if self.with_stretch:
                self.stretch -= (share[:, 1] * self.stretch).sum()
            self.stack()
        sigma = np.sqrt(variance)
        index = np.arange(self.n) + self.pad
        template = (self.spline[index - 1] + 4 * self.spline[index] + self.spline[index + 1]) / 6
        none = np.zeros(self.n_exposures)
        error = sigma[:, 1] if self.with_stretch else none
        return ShiftSeries(self.shift, sigma[:, 0], self.stretch, error, chi2, template, n_clipped)
