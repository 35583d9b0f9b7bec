"""By how many pixels is a spectrum off its wavelengths, when that may be many?"""

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.optimize import nnls

__all__ = ["SpectrumOffset", "find_offset"]

FINE = 8  # samples per pixel of the templates
KNOTS = 60  # pixels between the knots of what is smooth
WIDTHS = (2.0, 2.8, 4.0, 5.6, 8.0)  # pixels, FWHM of lines that are tried
MODEL_ERROR = 0.2  # of the light of a line: strengths vary from night to night
PLACE = 64  # pixels that give one independent answer
CLEAR = 0.25  # of the FWHM: a place that knows the offset better has a say
OUTLIER = 4.0  # standard deviations


@dataclass(frozen=True, eq=False)
class SpectrumOffset:
    """
    How far a whole spectrum must be moved until known features explain it.

    Parameters
    ----------
    shift, shift_uncertainty : float
        Pixels; a positive one says that everything falls further right than it should, which
        ``solution.shifted(shift)`` takes into account.
    contrast : float
        Improvement of chi square over the best offset elsewhere, in units of the reduced chi
        square. Noise alone gives a dozen.
    n_places : int
        Stretches of 64 pixels that agree on it.
    fwhm : float
        Of the lines, pixels.
    shares : dict of str to float
        What each kind of feature contributes to it; the sum is 1.

    Examples
    --------
    >>> found = SpectrumOffset(-17.2, 0.1, contrast=900.0, n_places=6, fwhm=3.0)
    >>> found.shift
    -17.2
    """

    shift: float
    shift_uncertainty: float
    contrast: float
    n_places: int
    fwhm: float
    shares: dict = field(default_factory=dict)


def find_offset(spectrum, solution, features, *, absorption=(), uncertainty=None, max_shift=30.0):
    """
    Find the offset at which known features explain a spectrum best, and how sure that is.

    What is smooth is projected out; for every offset the features are fitted together, each kind
    with its own strength, which cannot be negative. At the best one each stretch of 64 pixels is
    asked by itself, and their scatter goes into the uncertainty.

    Parameters
    ----------
    spectrum : array-like, shape (n_pixels,)
        Of the sky or of a star; bad pixels are not finite.
    solution : `~slitlapse.wavelength.WavelengthSolution`
    features : dict of str to (wavelength, strength)
        Each kind of feature, whose lines keep their relative strengths: wavelengths (plain
        numbers are angstrom) in the solution's medium. The strengths of absorption lines are
        equivalent widths in angstrom.
    absorption : collection of str
        Kinds of features that are dips in what is smooth.
    uncertainty : array-like, shape (n_pixels,), optional
        By default the scatter of neighbouring pixels.
    max_shift : float
        Pixels, in both directions.

    Returns
    -------
    SpectrumOffset

    Raises
    ------
    ValueError
        If no feature lies on the spectrum, or no stretch of it tells an offset.
    """
    flux = np.array(getattr(spectrum, "value", spectrum), float)
    problem = _Problem.of(flux, uncertainty)
    lines = _lines_on(features, absorption, solution, len(flux), max_shift)
    best, gains, steps = None, None, None
    for fwhm in WIDTHS:
        templates = _Templates(lines, fwhm, problem, max_shift)
        here = np.linspace(-max_shift, max_shift, 2 * int(np.ceil(4 * max_shift / fwhm)) + 1)
        gain = np.array([problem.solve(templates.at(step))[0].sum() for step in here])
        if best is None or gain.max() > gains.max():
            best, gains, steps = templates, gain, here
    start = steps[gains.argmax()]
    shift, error, n_places, gain, noise = _settle(problem, best, start)
    away = np.abs(steps - start) > max(1.5 * best.fwhm, 3.0)
    contrast = (gains.max() - gains[away].max(initial=0.0)) / noise
    shares = dict(zip(lines, (gain / gain.sum()).tolist(), strict=True))
    return SpectrumOffset(shift, error, float(contrast), n_places, best.fwhm, shares)


def _lines_on(features, absorption, solution, n_pixels, max_shift):
    """Pixel and strength of the features that may fall on the spectrum, and whether dips."""
    found = {}
    for name, (wavelength, strength) in features.items():
        pixel = solution.wavelength_to_pixel(u.Quantity(wavelength, u.AA))
        near = np.isfinite(pixel) & (pixel > -max_shift) & (pixel < n_pixels + max_shift)
        if not near.any():
            continue
        strength, pixel = np.asarray(strength, float)[near], pixel[near]
        if name in absorption:
            strength = strength / np.abs(solution.dispersion(pixel).value)
        found[name] = (pixel, strength, name in absorption)
    if not found:
        raise ValueError(
            "None of the known features lies on this spectrum: give others, or a larger max_shift."
        )
    return found


@dataclass(frozen=True, eq=False)
class _Problem:
    """A spectrum, weighted and without what is smooth in it."""

    weight: np.ndarray
    smooth: np.ndarray
    basis: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, flux, uncertainty):
        good = np.isfinite(flux)
        if good.sum() < 2 * KNOTS:
            raise ValueError(f"Only {good.sum()} pixels of the spectrum are good.")
        x = np.arange(len(flux), dtype=float)
        filled = np.interp(x, x[good], flux[good])
        # half of the pixels may be on lines: a running median, smoothed, is near enough
        smooth = gaussian_filter1d(median_filter(filled, KNOTS + 1, mode="nearest"), KNOTS / 4)
        if uncertainty is None:
            jumps = np.abs(np.diff(filled, 2))
            uncertainty = 1.4826 * np.median(jumps) / np.sqrt(6) + 1e-12 * np.ptp(filled)
        sigma = np.hypot(uncertainty, MODEL_ERROR * (filled - smooth))
        good &= np.isfinite(sigma) & (sigma > 0)
        weight = np.divide(1.0, sigma, out=np.zeros(len(flux)), where=good)
        inner = np.linspace(0, len(flux) - 1, max(2, len(flux) // KNOTS + 1))
        knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
        design = BSpline.design_matrix(x, knots, 3).toarray()
        basis, _ = np.linalg.qr(weight[:, None] * design)
        basis = basis[:, np.abs(basis).max(axis=0) > 0]
        values = weight * np.where(good, flux, 0.0)
        return cls(weight, smooth, basis, values - basis @ (basis.T @ values))

    def project(self, templates):
        """Weigh templates and take out what is smooth, shape (n_pixels, n_templates)."""
        weighted = self.weight[:, None] * templates
        return weighted - self.basis @ (self.basis.T @ weighted)

    def solve(self, templates):
        """Improvement of chi square by each template, and their strengths, which are positive."""
        design = self.project(templates)
        scale = np.sqrt((design**2).sum(axis=0))
        design = design / np.where(scale > 0, scale, 1.0)
        right = design.T @ self.values
        normal = design.T @ design + 1e-9 * np.eye(len(right))
        root = np.linalg.cholesky(normal)
        strength, _ = nnls(root.T, np.linalg.solve(root, right))
        gain = strength * right  # at the minimum, where none is held at zero or its part is zero
        return gain, np.divide(strength, scale, out=np.zeros_like(scale), where=scale > 0)


class _Templates:
    """Features of one line width, drawn finely once and read off at any offset."""

    def __init__(self, lines, fwhm, problem, max_shift):
        n_pixels = len(problem.weight)
        self.fwhm, self.margin = fwhm, int(max_shift) + 20
        self.x = np.arange(n_pixels, dtype=float)
        size = (n_pixels + 2 * self.margin) * FINE
        self.grid = np.arange(size) / FINE - self.margin
        self.curves, self.factors = [], []
        for pixel, strength, dip in lines.values():
            comb, place = np.zeros(size), (pixel + self.margin) * FINE
            first = np.floor(place).astype(int)
            for offset, share in ((0, 1 - (place - first)), (1, place - first)):
                inside = (first + offset >= 0) & (first + offset < size)
                np.add.at(comb, (first + offset)[inside], (share * strength)[inside])
            self.curves.append(gaussian_filter1d(comb * FINE, fwhm / 2.3548 * FINE))
            self.factors.append(-np.maximum(problem.smooth, 0.0) if dip else 1.0)

    def at(self, shift):
        """Features at an offset in pixels, shape (n_pixels, n_features)."""
        read = [np.interp(self.x - shift, self.grid, curve) for curve in self.curves]
        return np.stack([f * r for f, r in zip(self.factors, read, strict=True)], axis=1)


def _settle(problem, templates, start):
    """Go to the best offset by linear steps, then ask each place by itself."""
    shift = start
    for _ in range(8):
        gain, amplitudes = problem.solve(templates.at(shift))
        slope = (templates.at(shift + 0.1) - templates.at(shift - 0.1)) @ amplitudes / 0.2
        slope = problem.project(slope[:, None])[:, 0]
        left = problem.values - problem.project(templates.at(shift)) @ amplitudes
        if not slope @ slope > 0:
            raise ValueError("Nothing in this spectrum looks like the known features.")
        step = np.clip(slope @ left / (slope @ slope), -1.0, 1.0)
        shift += step
        if abs(step) < 1e-3:
            break
    n_free = (problem.weight > 0).sum() - problem.basis.shape[1] - len(amplitudes) - 1
    noise = max(float(left @ left / max(n_free, 1)), 1e-30)
    starts = np.arange(0, len(left), PLACE)
    known = np.add.reduceat(slope**2, starts)
    known = np.maximum(known, 1e-30)
    offset = np.add.reduceat(slope * left, starts) / known
    error = np.sqrt(noise / known)
    used = error < CLEAR * templates.fwhm
    if not used.any():
        raise ValueError("The known features are too faint in this spectrum to tell an offset.")
    while True:
        spread = np.var(offset[used], ddof=1) if used.sum() > 1 else 0.0
        extra = max(spread - np.mean(error[used] ** 2), 0.0)
        weight = used / (error**2 + extra)
        mean = (weight * offset).sum() / weight.sum()
        pull = np.abs(offset - mean) * np.sqrt(weight)
        if used.sum() < 4 or pull.max() < OUTLIER:
            break
        used[pull.argmax()] = False
    return float(shift + mean), float(weight.sum() ** -0.5), int(used.sum()), gain, noise
