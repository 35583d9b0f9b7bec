"""One spectrum and many shifts, each improved in turn: which explain all exposures best?"""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import minimum_filter1d

from .spline_template import (
    banded_inverse,
    banded_trace,
    cubic_basis,
    interpolating_spline,
    likeliest_stiffness,
    solve_spline,
    spline_at_knots,
    spline_equations,
)

__all__ = ["JointFit", "interpolating_spline", "spline_at_knots"]

CONVINCED = 20.0  # chi-squared by which one shift must stand out among all others
FEW = 0.25  # part of the exposures; where no more agree, they must do so twice as well
TWIN = 0.03  # part of the contrast (best to typical shift) by which it must, the template's errors
FINE = 0.25  # pixel: the step with which shifts are compared
AMBIGUOUS = "another shift fits as well"
PAD = 8  # spline coefficients beyond each end of the detector, besides the largest shift


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

    def equations(self, among, slope=False):
        """Normal equations (banded) of the spline that fits some exposures."""
        index, part = (each[among] for each in self.place())
        power = self.weight[among] * self.continuum[among] ** 2
        signal = self.weight[among] * self.continuum[among] * self.flux[among]
        return spline_equations(index, part, power, signal, self.n + 2 * self.pad, slope=slope)

    def stack(self, choose=True, among=None):
        """The spline that fits all exposures at their present shifts and continua."""
        band, right = self.equations((self.known | ~self.known.any()) if among is None else among)
        if choose:
            self.stiffness = likeliest_stiffness(band, right)
        self.spline = solve_spline(band, right, self.stiffness)
        self.rigour = self.stiffness * np.median(band[0][band[0] > 0])

    def leniency(self):
        """
        What the stiffness of the template changes: parameters that it uses up, and how much more
        chi-squared bends with the shifts than a template as smooth as this one says.

        A smoothed template has shallower lines than the star, so its slopes alone understate what
        the exposures tell. What is missing is the pull of the stiffness upon a moved template,
        less what noise, which it has taken for lines, adds to that.
        """
        among = self.known | ~self.known.any()
        covariance = banded_inverse(self.equations(among)[0], self.stiffness)
        freedom = banded_trace(covariance, self.equations(among)[0])
        _, slope = self.evaluate()
        told = (self.weight * (self.continuum * slope) ** 2)[among].sum()
        missing = self.rigour * (np.diff(self.spline, 4) ** 2).sum()
        missing -= banded_trace(covariance, self.equations(among, slope=True)[0])
        return freedom, 1 + max(missing, 0.0) / max(told, 1e-300)

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
        freedom, bend = (0.0, 1.0) if fixed else self.leniency()
        chi2 /= np.maximum(free - freedom / self.n_exposures, 1)
        variance = np.einsum("eii->ei", self.covariance) / bend**2
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
