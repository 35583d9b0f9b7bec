"""One spectrum and many shifts, each improved in turn: which explain all exposures best?"""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import minimum_filter1d

from .band_depth import log_depth, number_bands, slope_in_depth
from .first_look import spikes, typical_exposure
from .lag_verdict import AMBIGUOUS, doubts
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

FINE = 0.25  # pixel: the step with which shifts are compared
FAINTEST = 1e-3  # of the brightest light: below, no logarithm is taken
FEWEST = 16  # pixels of a band that tell what belongs to the air
NO_BAND = 1e12  # a part of slope is as good as excluded
N_ROUNDS = 3  # of taking turns
PAD = 8  # spline coefficients beyond each end of the detector, besides the largest shift


class JointFit:
    """Template, shifts, continua and depths of bands of a set of exposures, improved in turn."""

    def __init__(self, flux, weight, degree, stretch, max_shift, telluric=None):
        self.flux, self.weight = flux, weight
        self.max_shift, self.pad = max_shift, int(np.ceil(max_shift)) + PAD
        self.n_exposures, self.n = flux.shape
        self.x = np.arange(self.n, dtype=float)
        self.arm = self.x - 0.5 * (self.n - 1)
        self.poly = legendre.legvander(self.arm / (0.5 * self.n), degree).T
        self.with_stretch = stretch
        self.shift, self.stretch = np.zeros((2, self.n_exposures))
        self.continuum = np.ones_like(flux)
        self.bands = None if telluric is None else number_bands(telluric, self.pad)
        self.pattern = np.zeros(self.n + 2 * self.pad)  # logarithm of the bands' transmission
        self.changing = None  # equations and stiffness of what deepens
        n_bands = 0 if telluric is None else self.bands.max()
        self.amount = np.zeros((self.n_exposures, n_bands + 1))  # more of it; the first is no band
        self.stiffness, self.fixed = 1.0, False
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
        self.fixed = fixed
        full = self.weight.copy()
        self.weight[spikes(self.flux, full)] = 0.0
        if not fixed:
            self.stack(among=[typical_exposure(self.flux, self.weight)])
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
        free = (self.weight > 0).sum(axis=1) - len(self.poly)
        self.reason = doubts(lags, chi2, free, np.abs(self.shift) > self.max_shift, fixed)
        self.known, best = self.reason == "", chi2.argmin(axis=1)
        astray = np.abs(lags[best] - self.shift) > 1  # pixel
        for e in np.flatnonzero(astray):
            self.shift[e], self.continuum[e] = lags[best[e]], continua[best[e], e] @ self.poly
        return astray

    def deeper(self, among=slice(None)):
        """Logarithm of the bands' transmission at every pixel, and how much more of it there is."""
        index, part = (each[among] for each in self.place())
        basis, _ = cubic_basis(part)
        pattern = sum(basis[a] * self.pattern[index + a - 1] for a in range(4))
        band = self.bands[index + (part > 0.5)]
        return pattern, np.take_along_axis(self.amount[among], band, axis=1), band

    def scale(self, among=slice(None)):
        """What the template is multiplied with in some exposures."""
        continuum = self.continuum[among]
        if self.bands is None:
            return continuum
        pattern, amount, _ = self.deeper(among)
        return continuum * np.exp(amount * pattern)

    def equations(self, among, slope=False):
        """Normal equations (banded) of the spline that fits some exposures."""
        index, part = (each[among] for each in self.place())
        scale, weight = self.scale(among), self.weight[among]
        power, signal = weight * scale**2, weight * scale * self.flux[among]
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
        if self.changing is not None:
            band, stiffness = self.changing
            freedom += banded_trace(banded_inverse(band, stiffness), band)
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
        """Template and its slope at every pixel of every exposure, at the depth of its bands."""
        value, slope = self.at_pixels(self.spline)
        if self.bands is not None:
            _, tilt = self.at_pixels(self.pattern)
            pattern, amount, _ = self.deeper()
            deeper = np.exp(amount * pattern)
            value, slope = value * deeper, (slope + value * amount * tilt) * deeper
        return value, slope

    def at_pixels(self, spline):
        """Value and slope of a spline at every pixel of every exposure."""
        index, part = self.place()
        basis, slope = cubic_basis(part)
        near = np.stack([spline[index + a - 1] for a in range(4)])
        return (basis * near).sum(axis=0), (slope * near).sum(axis=0)

    def learn_bands(self, look=True):
        """What deepens in the bands: their logarithm at first, then what exposures differ by."""
        inside = self.bands > 0
        values = np.pad(spline_at_knots(self.spline), 1, mode="edge")
        guess = interpolating_spline(log_depth(values, self.bands), 0)
        if not look:
            self.pattern = np.where(inside, guess, 0.0)
            return
        here, amount, _ = self.deeper()
        value, _ = self.evaluate()
        light = self.continuum * value
        lever = light * amount
        rest = self.flux - light + lever * (here - self.at_pixels(guess)[0])
        index, part = self.place()
        power, signal = self.weight * lever**2, self.weight * lever * rest
        if (power * here**2).sum() < 1:  # nothing has become deeper
            self.pattern = np.where(inside, guess, 0.0)
            return
        band, right = spline_equations(index, part, power, signal, len(guess))
        stiffness = likeliest_stiffness(band, right)
        change = solve_spline(band, right, stiffness)
        self.changing = band, stiffness
        self.pattern = np.where(inside, guess + change, 0.0)

    def tell_apart(self):
        """
        Depth or shift? Weigh what the exposures say against what a star's lines may leave.

        What deepens in a band may contain a part of the template's slope, which is a shift that
        goes with the depth. Where bands deepen one without the other, the exposures see it.
        """
        knots = np.pad(spline_at_knots(self.spline), 1, mode="edge")
        knots = np.log(np.maximum(knots, FAINTEST * knots.max()))
        pattern, slope = np.pad(spline_at_knots(self.pattern), 1), np.gradient(knots)
        told = self.equations(slice(None))[0][0] * np.exp(2 * knots)
        n_bands = self.amount.shape[1] - 1
        part, trust = np.zeros(n_bands), np.full(n_bands, NO_BAND)
        for b in range(n_bands):
            at = (self.bands == b + 1) & (told > 0)
            if at.sum() > FEWEST:
                part[b], variance = slope_in_depth(pattern[at], knots[at], told[at])
                trust[b] = 1 / max(variance, 1 / NO_BAND)
        known, self.lean = self.ask_exposures(slope, told)
        self.doubt = np.linalg.inv(known + np.diag(trust))
        step = np.append(0, -self.doubt @ (trust * part))
        self.pattern += interpolating_spline(slope, 0) * step[self.bands]

    def ask_exposures(self, slope, told):
        """Information on a part of ``slope`` in each band, and the shift that goes with it."""
        seen = (self.weight > 0).any(axis=0)
        index, part = (each[:, seen] for each in self.place())
        weight, basis = self.weight[:, seen], cubic_basis(part)[0]
        pattern, amount, band = (each[:, seen] for each in self.deeper())
        light = (self.continuum * self.evaluate()[0])[:, seen]

        def read(spline):
            return sum(basis[a] * spline[index + a - 1] for a in range(4))

        moved = light * read(interpolating_spline(slope, 0))
        numbers = np.arange(1, self.amount.shape[1])
        columns = [p * light for p in self.poly[:, seen]] + [
            light * pattern * (band == b) for b in numbers
        ]
        design = np.stack([-moved, *columns], axis=1)
        weighted = design * weight[:, None]
        inverse = np.linalg.pinv(np.einsum("eix,ejx->eij", weighted, design), hermitian=True)
        free, lean = [], np.zeros((len(light), len(numbers)))
        for b in numbers:
            rest = moved * amount * (band == b)
            for _ in range(N_ROUNDS):
                answer = np.einsum("eij,ej->ei", inverse, np.einsum("ejx,ex->ej", weighted, rest))
                lean[:, b - 1] += answer[:, 0]
                rest = rest - np.einsum("eix,ei->ex", design, answer)
                lever = light * amount
                told_here = (weight * lever**2, weight * lever * rest, len(self.spline))
                same = solve_spline(*spline_equations(index, part, *told_here), 1e-6)
                parts, whole = (
                    np.bincount(self.bands, told * one * slope) for one in (same, slope)
                )
                same -= (parts / np.maximum(whole, 1e-300))[self.bands] * slope
                rest = rest - lever * read(same)
            free.append(rest)
        return np.einsum("aex,ex,bex->ab", free, weight, free), lean

    def improve(self):
        """One Gauss-Newton step in continuum, shift, stretch and depths of every exposure."""
        value, slope = self.evaluate()
        gradient = -slope * self.continuum
        columns = [p * value for p in self.poly] + [gradient]
        if self.with_stretch:
            columns.append(gradient * self.arm)
        if self.bands is not None:
            pattern, _, band = self.deeper()
            light = self.continuum * value * pattern
            columns += [light * (band == b) for b in range(1, self.amount.shape[1])]
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
        last = k + 1 + self.with_stretch
        self.amount[:, 1:] = np.clip(self.amount[:, 1:] + answer[:, last:], -1, 9)
        if not self.fixed:  # the template carries the mean
            typical = self.known | ~self.known.any()
            self.continuum /= self.continuum[typical].mean(axis=0)
            self.amount -= self.amount[typical].mean(axis=0)
        self.shift = self.shift + step
        if self.with_stretch:
            self.stretch = self.stretch + answer[:, k + 1]
        self.covariance = inverse[:, k:last, k:last]
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
        if self.bands is not None:
            variance[:, 0] += np.einsum("ea,ab,eb->e", self.lean, self.doubt, self.lean)
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
