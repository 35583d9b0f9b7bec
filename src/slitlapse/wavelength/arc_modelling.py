"""What does a whole arc say about its wavelengths where hardly any of its lines stands alone?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

__all__ = ["ArcModel", "ArcSpectrum", "correct_curve", "model_arcs"]

BRIGHTNESS_SCATTER = 1.2  # natural log of a line's flux over its expected flux
# one sigma: natural log of the Gaussian's width and of the slit's; parts of the light that lean
# and that are in wings
WIDTH_SCATTER = (0.2, 0.5, 0.1, 0.1)
MERGED = 0.15  # line widths within which two lines are one
PROFILE_ERROR = 0.02  # of the light: no line has exactly this shape
TAILS = 4.0  # degrees of freedom of Student's t: some lines are on nobody's list
FAINTEST = 1e-4  # of the brightest line; fainter ones are left out
N_KNOTS = 12  # of the background
CENTRE_FLOOR = 0.2  # of a line's height: weights of the fits that other lines' centres come from
N_BLOCKS = 24  # pieces of an arc whose errors are taken to be independent


class ArcSpectrum(NamedTuple):
    """One arc, and where and how bright its lines are believed to be."""

    flux: np.ndarray  # of shape (n_pixels,); NaN where it is bad
    uncertainty: np.ndarray | None  # None: from the gaps between lines
    pixel: np.ndarray  # of each listed line, by the curve so far
    expected: np.ndarray  # flux of each listed line


@dataclass(frozen=True, eq=False)
class ArcModel:
    """
    How the lines of whole arcs are displaced from where a curve puts them.

    Parameters
    ----------
    displacement : array of shape (degree + 1,)
        Legendre coefficients, pixels: lines are at x + d(x), not at x.
    covariance : array
        Of these: from the noise, and from how independent pieces of the arcs disagree.
    fluxes : list of array
        The modelled arcs.
    """

    displacement: np.ndarray
    covariance: np.ndarray
    fluxes: list

    def at(self, pixel, n_pixels):
        """Displacement in pixels at ``pixel`` of a detector of ``n_pixels``."""
        return legendre.legval(2 * np.asarray(pixel) / (n_pixels - 1) - 1, self.displacement)

    def corrected(self, coefficients, n_pixels):
        """
        Take a curve to where the arcs say that it is.

        Parameters
        ----------
        coefficients : array
            Legendre, wavelengths of the curve whose pixels were modelled (detector on -1 ... +1).
        n_pixels : int

        Returns
        -------
        coefficients, covariance : array
            Of one degree more than the curve or the displacement, whichever bends more.
        """
        half = 0.5 * (n_pixels - 1)
        v = np.cos(np.pi * (np.arange(401) + 0.5) / 401)
        before = v
        for _ in range(5):  # what is seen at v was believed to be at before
            before = v - legendre.legval(before, self.displacement) / half
        degree = max(len(coefficients), len(self.displacement))
        back = np.linalg.pinv(legendre.legvander(v, degree))
        slope = legendre.legval(v, legendre.legder(coefficients)) / half
        effect = back @ (-slope[:, None] * legendre.legvander(v, len(self.displacement) - 1))
        curve = back @ legendre.legval(before, coefficients)
        return curve, effect @ self.covariance @ effect.T


class _Lines:
    """The parameters of one arc while they are fitted: brightness of lines, background, widths."""

    def __init__(self, arc, fwhm):
        order = np.argsort(arc.pixel)
        pixel, flux = arc.pixel[order], np.maximum(arc.expected[order], 1e-30)
        group = np.append(0, np.cumsum(np.diff(pixel) > MERGED * fwhm))
        total = np.bincount(group, flux)
        self.pixel = np.bincount(group, flux * pixel) / total
        self.expected = np.log(total)
        self.bright = self.expected.copy()
        self.widths = _typical_widths(fwhm)
        good = np.isfinite(arc.flux)
        self.flux = np.where(good, arc.flux, 0.0)
        sigma = _noise(self.flux[good]) if arc.uncertainty is None else arc.uncertainty
        self.uncertainty = np.where(good, sigma, np.inf)
        knots = np.arange(len(good))[:, None] * (N_KNOTS - 1) / (len(good) - 1)
        self.hats = np.maximum(1 - np.abs(knots - np.arange(N_KNOTS)), 0)
        self.background = np.full(N_KNOTS, np.quantile(arc.flux[good], 0.2))

    def evaluate(self, displacement, fwhm):
        """Model, derivative by every line's brightness (sparse) and by all else (dense)."""
        n = len(self.flux)
        basis = legendre.legvander(2 * self.pixel / (n - 1) - 1, len(displacement) - 1)
        centre = self.pixel + basis @ displacement
        reach = int(np.ceil(3 * fwhm)) + 2
        first = np.round(centre).astype(int) - reach
        edge = first[:, None] + np.arange(2 * reach + 2) - 0.5 - centre[:, None]
        index = first[:, None] + np.arange(2 * reach + 1)
        inside = (index >= 0) & (index < n)
        bright = np.exp(self.bright)[:, None]
        line = np.broadcast_to(np.arange(len(centre))[:, None], index.shape)[inside]
        place = (index[inside], line)

        def spread(values):
            return sparse.csc_array(((bright * values)[inside], place), shape=(n, len(centre)))

        step = 0.02
        by_bright = spread(_profile(edge, self.widths))
        moved = (_profile(edge - step, self.widths) - _profile(edge + step, self.widths)) / step / 2
        by_width = []
        for k in range(len(self.widths)):
            more, less = self.widths.copy(), self.widths.copy()
            more[k] += step
            less[k] -= step
            change = (_profile(edge, more) - _profile(edge, less)) / step / 2
            by_width.append(np.bincount(index[inside], (bright * change)[inside], n))
        rest = np.column_stack([self.hats, *by_width, spread(moved) @ basis])
        return by_bright.sum(axis=1) + self.hats @ self.background, by_bright, rest


def model_arcs(arcs, *, fwhm, degree=3, max_steps=20):
    """
    Fit whole arcs with all their listed lines: brightness of each, widths, and a displacement.

    Lines are a Gaussian behind an evenly lit slit, which may lean and have wings (Gauss-Hermite
    functions of third and fourth order, van der Marel & Franx 1993); all of one arc have one shape.
    Where lines overlap, the centre of a blend depends on how bright its members are, which no
    list knows for a given lamp. The spectrum knows: each line may be as bright as it asks for,
    within a factor of some three around what is expected, while all share one displacement.

    Parameters
    ----------
    arcs : list of `ArcSpectrum`
        All on one detector. Lines that are not expected on it may be left out.
    fwhm : float
        Line width, pixels.
    degree : int
        Of the displacement along the detector.
    max_steps : int
        Of Gauss and Newton.

    Returns
    -------
    model : `ArcModel`

    Raises
    ------
    ValueError
        If no arc has a line to fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(400)
    >>> listed = np.array([50.0, 130.0, 134.0, 250.0, 255.0, 340.0])
    >>> away = x[:, None] - listed - 0.3
    >>> seen = np.exp(-0.5 * (away / 1.7) ** 2) @ [5e3, 9e3, 2e3, 4e3, 5e3, 3e3]
    >>> arc = ArcSpectrum(seen, np.full(400, 5.0), listed, np.full(6, 2e4))
    >>> print(f"{model_arcs([arc], fwhm=4.0, degree=0).displacement[0]:.2f}")
    0.30
    """
    fitted = [_Lines(arc, fwhm) for arc in arcs if len(arc.pixel)]
    if not fitted:
        raise ValueError("No arc has a listed line on the detector; there is nothing to fit.")
    displacement = np.zeros(degree + 1)
    for _ in range(max_steps):
        parts = [_marginal(lines, displacement, fwhm) for lines in fitted]
        known = sum(part[0] for part in parts) + 1e-6 * np.eye(degree + 1)
        step = np.linalg.solve(known, sum(part[1].sum(axis=0) for part in parts))
        step = np.clip(step, -0.5 * fwhm, 0.5 * fwhm)
        displacement = displacement + step
        for lines, part in zip(fitted, parts, strict=True):
            _move(lines, part[2] - part[3] @ step)
        if np.abs(step).max() < 1e-3:
            break
    parts = [_marginal(lines, displacement, fwhm) for lines in fitted]
    inverse = np.linalg.inv(sum(part[0] for part in parts) + 1e-6 * np.eye(degree + 1))
    pieces = np.vstack([part[1] for part in parts])
    # each alone is too small: pieces cannot disagree about what they were free to absorb
    few = len(pieces) / max(len(pieces) - degree - 1, 1)
    covariance = inverse + inverse @ (pieces.T @ pieces) @ inverse * few
    fluxes = [lines.evaluate(displacement, fwhm)[0] for lines in fitted]
    return ArcModel(displacement, covariance, fluxes)


def correct_curve(coefficients, spectra, wavelengths, expected, n_pixels, fwhm):
    """
    Model whole arcs by a curve that is right to a fraction of a line width, and correct it.

    Parameters
    ----------
    coefficients : array
        Legendre, the curve so far (angstrom; detector on -1 ... +1).
    spectra : list of (flux, uncertainty)
        Plain arrays of shape (n_pixels,) in one unit; the flux is NaN where it is bad or
        saturated, the uncertainty None where it is not known.
    wavelengths, expected : list of array
        Per arc, its lamp's lines and the flux expected of each.
    n_pixels : int
    fwhm : float
        Line width, pixels.

    Returns
    -------
    coefficients, covariance : array

    Raises
    ------
    ValueError
        If no arc has a listed line on the detector.
    """
    half = 0.5 * (n_pixels - 1)
    x = np.linspace(-3 * fwhm, n_pixels - 1 + 3 * fwhm, 4 * n_pixels)
    wave = legendre.legval(x / half - 1, coefficients)
    if wave[-1] < wave[0]:
        x, wave = x[::-1], wave[::-1]
    arcs = []
    for (flux, uncertainty), listed, bright in zip(spectra, wavelengths, expected, strict=True):
        near = (listed > wave[0]) & (listed < wave[-1])
        near &= bright > FAINTEST * np.max(bright, initial=0.0, where=near)
        arcs.append(ArcSpectrum(flux, uncertainty, np.interp(listed[near], wave, x), bright[near]))
    model = model_arcs(arcs, fwhm=fwhm, degree=max(len(coefficients) - 1, 3))
    return model.corrected(coefficients, n_pixels)


def _noise(flux):
    """Noise between the lines, from third differences: they see no slopes."""
    third = np.diff(flux, 3) / np.sqrt(20)
    quiet = np.abs(third[flux[2:-1] <= np.quantile(flux, 0.6)])
    return max(1.4826 * np.median(quiet), 1e-6 * np.ptp(flux) + 1e-30)


def _profile(edge, widths):
    """Share of a line's light in each pixel; a Gaussian fitted to it is centred on zero."""
    return np.diff(_below(edge + _fitted_centre(widths), widths), axis=1)


def _fitted_centre(widths):
    """Where a Gaussian on a slope finds a leaning line, with the weights of `find_lines`."""
    if widths[2] == 0:
        return 0.0
    sigma, slit = np.exp(widths[:2])
    total = np.sqrt(sigma**2 + slit**2 / 12)
    edge = np.linspace(-5, 5, 101) * total
    x, light = 0.5 * (edge[1:] + edge[:-1]) / total, np.diff(_below(edge, widths))
    centre, width = 0.0, 1.0
    for _ in range(6):
        z = (x - centre) / width
        bell = np.exp(-0.5 * z**2)
        design = np.stack([bell, bell * z, bell * z**2, np.ones(len(x)), x], axis=1)
        weighted = design / (bell + CENTRE_FLOOR)[:, None]
        height, move, widen, *_ = np.linalg.solve(weighted.T @ design, weighted.T @ light)
        centre += width * np.clip(move / height, -0.5, 0.5)
        width *= np.exp(np.clip(widen / height, -0.2, 0.2))
    return total * centre


def _below(edge, widths):
    """Light below an edge: a Gaussian behind an evenly lit slit, leaning and with wings."""
    sigma, slit, lean, wings = *np.exp(widths[:2]), *widths[2:]
    upper, lower = (edge + slit / 2) / sigma, (edge - slit / 2) / sigma
    z = edge / np.sqrt(sigma**2 + slit**2 / 12)
    bell = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    # integrals of Gauss-Hermite functions of third and fourth order
    leaning = -(8 * z**2 + 4) * bell / np.sqrt(48)
    winged = (12 * ndtr(z) - 16 * z**3 * bell) / np.sqrt(384)
    even = sigma / slit * (_ramp(upper) - _ramp(lower))
    return even + lean * leaning + wings * winged


def _ramp(z):
    """Integral of the normal distribution function."""
    return z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _marginal(lines, displacement, fwhm):
    """
    What one arc knows of the displacement once its own parameters are free.

    Returns
    -------
    known : array, the information
    pieces : array of shape (n_blocks, n_terms), the gradient by pieces of the detector
    own, coupling : the step of the arc's own parameters, and how much less per displacement
    """
    model, by_bright, rest = lines.evaluate(displacement, fwhm)
    n_terms, n_lines = len(displacement), by_bright.shape[1]
    total = np.hypot(lines.uncertainty, PROFILE_ERROR * np.abs(model))
    residual = lines.flux - model
    weight = (TAILS + 1) / (TAILS + (residual / total) ** 2) / total**2
    dense, shift = rest[:, :-n_terms], rest[:, -n_terms:]
    cross = by_bright.T @ (weight[:, None] * rest)
    own = np.block(
        [
            [(by_bright.T @ (by_bright * weight[:, None])).toarray(), cross[:, :-n_terms]],
            [cross[:, :-n_terms].T, (dense * weight[:, None]).T @ dense],
        ]
    )
    off = [lines.expected - lines.bright, np.zeros(N_KNOTS), _typical_widths(fwhm) - lines.widths]
    prior = np.full(n_lines, BRIGHTNESS_SCATTER**-2.0)
    prior = np.concatenate([prior, np.full(N_KNOTS, 1e-12), np.power(WIDTH_SCATTER, -2.0)])
    own[np.diag_indices(len(own))] += prior
    mixed = np.vstack([cross[:, -n_terms:], (dense * weight[:, None]).T @ shift])
    pull = weight * residual
    gradient = np.concatenate([by_bright.T @ pull, dense.T @ pull]) + prior * np.concatenate(off)
    factor = cho_factor(own)
    coupling = cho_solve(factor, mixed)
    alone = shift - by_bright @ coupling[:n_lines] - dense @ coupling[n_lines:]
    known = (shift * weight[:, None]).T @ shift - mixed.T @ coupling
    n = len(lines.flux)
    block = np.arange(n) * N_BLOCKS // n
    line_block = np.clip(lines.pixel.astype(int), 0, n - 1) * N_BLOCKS // n
    pieces = np.zeros((N_BLOCKS, n_terms))
    np.add.at(pieces, block, pull[:, None] * alone)
    np.add.at(pieces, line_block, -(prior[:n_lines] * off[0])[:, None] * coupling[:n_lines])
    widths = (prior[-4:] * off[2]) @ coupling[-4:]
    return known, pieces - widths / N_BLOCKS, cho_solve(factor, gradient), coupling


def _typical_widths(fwhm):
    return np.array([np.log(0.95 * fwhm / 2.3548), np.log(0.5 * fwhm), 0.0, 0.0])


def _move(lines, step):
    """Take a step that no line may take too far."""
    n = len(lines.bright)
    lines.bright = lines.bright + np.clip(step[:n], -1, 1)
    lines.background = lines.background + step[n:-4]
    lines.widths = lines.widths + np.clip(step[-4:], -0.1, 0.2)
