"""By how much did each exposure's spectrum move along the detector, and how sure are we?"""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import minimum_filter1d

from .shift_series import ShiftSeries
from .spline_template import (
    cubic_basis,
    interpolating_spline,
    likeliest_stiffness,
    solve_spline,
    spline_at_knots,
    spline_equations,
)

__all__ = ["JointFit", "ShiftSeries", "measure_shift"]

CONVINCED = 20.0  # chi-squared by which one shift must stand out among all others
FEW = 0.25  # part of the exposures; where no more agree, they must do so twice as well
TWIN = 0.03  # part of the contrast (best to typical shift) by which it must, the template's errors
FINE = 0.25  # pixel: the step with which shifts are compared
AMBIGUOUS = "another shift fits as well"
PAD = 8  # spline coefficients beyond each end of the detector, besides the largest shift


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

    The template is a cubic spline with a knot per pixel, fitted to all exposures at their shifts,
    as stiff as the noise asks (restricted maximum likelihood); each exposure is that template,
    shifted, times a low-order polynomial (slit losses, airmass, seeing). Both are improved in turn
    until they agree, which is the maximum of the joint likelihood: the uncertainty is the
    Cramer-Rao bound with the continuum free. Last, every exposure is compared with the others'
    template at every whole-pixel shift; where no shift stands out, none is reported.

    Parameters
    ----------
    spectra : array-like of shape (n_exposures, n_pixels)
    uncertainty : array-like, optional
        Standard deviation, broadcast to ``spectra``; without it the residuals tell.
    mask : array-like of bool, shape (n_exposures, n_pixels), optional
        True is bad.
    use : array-like of bool, shape (n_pixels,), optional
        Where to measure: outside ``telluric_mask`` for a star, inside for the air.
    template : array-like of shape (n_pixels,), optional
        Measure against this spectrum (taken as free of noise) instead of the stack.
    stretch : bool
        Also measure a stretch about the middle pixel.
    continuum_degree : int
        Of the polynomial that each exposure's continuum may differ by.
    max_shift : float
        Largest shift to look for, pixels.
    clip : float
        Pixels this many standard deviations off are left out (cosmic rays).
    max_iterations : int

    Returns
    -------
    series : `ShiftSeries`

    Raises
    ------
    ValueError
        For one spectrum without a template, or fewer than 20 good pixels.
    """
    flux, weight = _unpack(spectra, uncertainty, mask, use)
    fixed = template is not None
    if len(flux) < 2 and not fixed:
        raise ValueError("One spectrum has no shift. Give several, or a template to compare with.")
    state = JointFit(flux, weight, continuum_degree, stretch, max_shift)
    if fixed:
        state.spline = interpolating_spline(np.asarray(template, float), state.pad)
    state.start(fixed)
    n_clipped = 0
    for iteration in range(max_iterations):
        if not fixed:
            state.stack(choose=iteration < 6)
        change = state.improve()
        if iteration in (2, 4):
            n_clipped += state.clip(clip, floor=0.0 if uncertainty is None else 1.0)
        if iteration == 5:  # noise may have led a first guess astray: look everywhere again
            state.settle(fixed)
        if change < 1e-5 and iteration > 7:
            break
    variance, chi2 = state.conclude(fixed, uncertainty is None)
    sigma = np.sqrt(variance)
    shift, moved = (np.where(state.known, v, np.nan) for v in (state.shift, state.stretch))
    return ShiftSeries(
        shift,
        sigma[:, 0],
        moved,
        sigma[:, 1] if stretch else np.zeros_like(shift),
        chi2,
        spline_at_knots(state.spline[state.pad - 1 : flux.shape[1] + state.pad + 1]),
        n_clipped,
        state.reason,
    )


def _unpack(spectra, uncertainty, mask, use):
    flux = np.array(getattr(spectra, "value", spectra), dtype=float)
    if flux.ndim != 2:
        raise ValueError(f"spectra have shape (n_exposures, n_pixels), found {flux.shape}.")
    bad = ~np.isfinite(flux)
    if mask is not None:
        bad |= np.asarray(mask, bool)
    if use is not None:
        bad |= ~np.asarray(use, bool)
    if uncertainty is None:
        uncertainty = _scatter(flux, bad)
    sigma = getattr(uncertainty, "value", uncertainty)
    sigma = np.broadcast_to(np.asarray(sigma, float), flux.shape)
    bad |= ~(sigma > 0) | ~np.isfinite(sigma)
    if (~bad).sum(axis=1).min() < 20:
        raise ValueError("An exposure has fewer than 20 good pixels to measure a shift with.")
    weight = np.where(bad, 0.0, 1 / np.where(bad, 1.0, sigma) ** 2)
    return np.where(np.isfinite(flux), flux, 0.0), weight


def _scatter(flux, bad):
    """Noise of each exposure, from third differences."""
    third = np.ma.masked_invalid(np.diff(np.where(bad, np.nan, flux), 3))
    level = 1.4826 * np.ma.median(np.abs(third), axis=1).filled(0) / np.sqrt(20)
    return np.maximum(level, 1e-6 * np.abs(flux[~bad]).max(initial=1e-30))[:, None]


def _typical_exposure(flux, weight):
    """The exposure that resembles the median one most closely: a start."""
    scale = np.ma.median(np.ma.array(flux, mask=weight == 0), axis=1).filled(1)
    level = flux / np.where(scale == 0, 1, scale)[:, None]
    return np.abs(level - np.median(level, axis=0)).sum(axis=1).argmin()


def _between(chi2):
    """Chi-squared at the bottom of each valley: a parabola through every three lags."""
    left, centre, right = chi2[:, :-2], chi2[:, 1:-1], chi2[:, 2:]
    bend = left - 2 * centre + right
    lowest = (bend > 0) & (centre <= left) & (centre <= right)
    gain = np.where(lowest, (left - right) ** 2 / (8 * np.where(lowest, bend, 1.0)), 0.0)
    return chi2 - np.pad(gain, ((0, 0), (1, 1)))


class JointFit:
    """Template, shifts and continua of a set of exposures, improved in turn."""

    def __init__(self, flux, weight, degree, stretch, max_shift):
        self.flux, self.weight = flux, weight
        self.max_shift, self.pad = max_shift, int(np.ceil(max_shift)) + PAD
        self.n_exposures, self.n = flux.shape
        self.x = np.arange(self.n, dtype=float)
        self.arm = self.x - 0.5 * (self.n - 1)
        self.poly = legendre.legvander(self.arm / (0.5 * self.n), degree).T
        self.with_stretch = stretch
        self.shift, self.stretch = np.zeros((2, self.n_exposures))
        self.continuum = np.ones_like(flux)
        self.stiffness = 1.0
        self.known = np.ones(len(flux), bool)
        self.reason = np.full(len(flux), "", dtype="U60")

    def place(self):
        """Template coordinate of every pixel: knot index and the part after it."""
        moved = (self.arm - self.shift[:, None]) / (1 + self.stretch[:, None])
        where = moved + 0.5 * (self.n - 1) + self.pad
        index = np.clip(np.floor(where).astype(int), 1, self.n + 2 * self.pad - 3)
        return index, where - index

    def start(self, fixed):
        """Whole-pixel shifts against the template, or the most typical exposure."""
        full = self.weight.copy()
        for e, (flux, weight) in enumerate(zip(self.flux, full, strict=True)):
            smooth = legendre.Legendre.fit(self.arm, flux, 3, w=np.sqrt(weight))(self.arm)
            rest = (flux - smooth) * np.sqrt(weight)  # cosmic rays stand far above a cubic
            spike = rest > 8 * 1.4826 * np.median(np.abs(rest[weight > 0]))
            self.weight[e] = np.where(spike, 0.0, weight)
        if not fixed:
            self.stack(among=[_typical_exposure(self.flux, self.weight)])
        lags, chi2, continua = self.scan([self.spline] * self.n_exposures)
        best = chi2.argmin(axis=1)
        self.shift = lags[best] + 0.0
        self.continuum = np.stack([continua[b, e] for e, b in enumerate(best)]) @ self.poly
        self.weight = full

    def scan(self, splines, step=1.0):
        """Chi-squared of every exposure at shifts ``step`` apart, the continuum free."""
        reach = int(int(self.max_shift) / step)
        lags, splines = np.arange(-reach, reach + 1) * step, np.array(splines)
        pairs = (self.poly[:, None] * self.poly).reshape(-1, self.n).T
        # what no exposure saw is no evidence against the shifts that would bring it in
        seen = (self.weight > 0).any(axis=0)
        inner = minimum_filter1d(seen, 2 * int(self.max_shift) + 1, mode="constant", cval=0)
        weight = self.weight * (inner if inner.sum() > 0.5 * seen.sum() else 1)
        k, power, continua = len(self.poly), [], []
        for lag in lags:
            first = int(np.floor(-lag))
            basis, _ = cubic_basis(-lag - first)
            near = splines[:, self.pad + first - 1 :][:, : self.n + 3]
            value = sum(basis[a] * near[:, a : a + self.n] for a in range(4))
            normal = ((weight * value**2) @ pairs).reshape(-1, k, k)
            right = (weight * value * self.flux) @ self.poly.T
            continua.append(np.einsum("eij,ej->ei", np.linalg.pinv(normal, hermitian=True), right))
            power.append((right * continua[-1]).sum(axis=1))
        chi2 = (weight * self.flux**2).sum(axis=1)[:, None] - np.array(power).T
        return lags, chi2, np.array(continua)

    def settle(self, fixed):
        """Compare each exposure with the others at every shift: move it, or say it has none."""
        splines = [self.spline] * self.n_exposures if fixed else self.without_each()
        lags, chi2, continua = self.scan(splines, FINE)
        best, bottom = chi2.argmin(axis=1), _between(chi2)
        least = bottom.min(axis=1, keepdims=True)
        free = (self.weight > 0).sum(axis=1, keepdims=True) - len(self.poly)
        worse = (bottom - least) / np.maximum(least / free, 1)
        worse[np.abs(lags - lags[best][:, None]) < 2] = np.inf  # the slopes of its own valley
        beside = np.pad(chi2, ((0, 0), (1, 1)), constant_values=-np.inf)
        valley = (chi2 < beside[:, :-2]) & (chi2 < beside[:, 2:])
        rival = np.where(valley, worse, np.inf).min(axis=1)
        contrast = np.median(worse, axis=1)
        for least in (CONVINCED, 2 * CONVINCED):
            limit = np.maximum(least, TWIN * contrast)
            reasons = {
                "no shift fits better than others": contrast < least,
                AMBIGUOUS: np.minimum(worse.min(axis=1), rival) < limit,
                "beyond max_shift": np.abs(self.shift) > self.max_shift,
            }
            self.reason = np.select(list(reasons.values()), list(reasons), "")
            self.known = self.reason == ""
            if fixed or self.known.mean() > FEW:
                break  # of many pairs of exposures, one or two look alike by chance
        astray = np.abs(lags[best] - self.shift) > 1  # pixel
        for e in np.flatnonzero(astray):
            self.shift[e], self.continuum[e] = lags[best[e]], continua[best[e], e] @ self.poly
        return astray

    def equations(self, among):
        """Normal equations (banded) of the spline that fits some exposures."""
        index, part = (each[among] for each in self.place())
        power = self.weight[among] * self.continuum[among] ** 2
        signal = self.weight[among] * self.continuum[among] * self.flux[among]
        return spline_equations(index, part, power, signal, self.n + 2 * self.pad)

    def stack(self, choose=True, among=None):
        """The spline that fits all exposures at their present shifts and continua."""
        band, right = self.equations((self.known | ~self.known.any()) if among is None else among)
        if choose:
            self.stiffness = likeliest_stiffness(band, right)
        self.spline = solve_spline(band, right, self.stiffness)
        self.rigour = self.stiffness * np.median(band[0][band[0] > 0])

    def freedom(self):
        """Parameters that the template uses up (where the restricted likelihood is greatest)."""
        return min(3 + self.rigour * (np.diff(self.spline, 3) ** 2).sum(), self.n)

    def without_each(self):
        """The spline of all exposures but one, for each."""
        result = []
        band, right = self.equations(self.known)
        for one in np.eye(self.n_exposures, dtype=bool):
            own = self.equations(one & self.known)
            others = band - own[0], right - own[1]
            alone = not (self.known & ~one).any()
            result.append(
                solve_spline(*(self.equations(~one) if alone else others), self.stiffness)
            )
        return result

    def evaluate(self):
        """Template and its slope at every pixel of every exposure."""
        index, part = self.place()
        basis, slope = cubic_basis(part)
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
        typical = self.continuum[self.known | ~self.known.any()]
        self.continuum /= typical.mean(axis=0)  # the template carries the mean
        self.shift = self.shift + step
        if self.with_stretch:
            self.stretch = self.stretch + answer[:, k + 1]
        self.covariance = inverse[:, k:, k:]
        self.residual = self.flux - (design * answer[:, :, None]).sum(axis=1)
        return np.abs(step - step.mean()).max()

    def clip(self, limit, floor):
        """Leave out pixels far off, in units of the residuals' scatter (at least ``floor``)."""
        pull = self.residual * np.sqrt(self.weight)
        spread = 1.4826 * np.median(np.abs(pull[self.weight > 0]))
        off = np.abs(pull) > limit * max(spread, floor, 1e-12)
        self.weight = np.where(off, 0.0, self.weight)
        return int(off.sum())

    def conclude(self, fixed, scale_free):
        """Variances (shift, stretch) and chi-squared; shifts are now about their weighted mean."""
        free = (self.weight > 0).sum(axis=1) - self.covariance.shape[1] - len(self.poly)
        chi2 = (self.weight * self.residual**2).sum(axis=1)
        chi2 /= np.maximum(free - (0 if fixed else self.freedom() / self.n_exposures), 1)
        variance = np.einsum("eii->ei", self.covariance)
        astray = self.settle(fixed) | ~(variance[:, 0] > 0)
        self.reason[astray & self.known] = AMBIGUOUS
        if not fixed and (self.known & ~astray).sum() < 2:
            self.reason[self.known] = "no other exposure to compare with"
        self.known = self.reason == ""
        variance = np.where(self.known[:, None], variance, np.inf)
        variance = variance * (chi2 if scale_free else np.maximum(chi2, 1))[:, None]
        if not fixed and self.known.any():
            share = 1 / variance / (1 / variance).sum(axis=0)
            self.shift -= (share[:, 0] * self.shift).sum()
            variance = variance * (1 - share)  # the mean is set to zero, not measured
            if self.with_stretch:
                self.stretch -= (share[:, 1] * self.stretch).sum()
            self.stack()
        return variance, chi2
