"""What does a whole arc say about its wavelengths where hardly any of its lines stands alone?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded

from .line_shape import LineShape, typical_widths

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
        self.widths = typical_widths(fwhm)
        good = np.isfinite(arc.flux)
        self.flux = np.where(good, arc.flux, 0.0)
        sigma = _noise(self.flux[good]) if arc.uncertainty is None else arc.uncertainty
        self.uncertainty = np.where(good, sigma, np.inf)
        knots = np.arange(len(good))[:, None] * (N_KNOTS - 1) / (len(good) - 1)
        self.hats = np.maximum(1 - np.abs(knots - np.arange(N_KNOTS)), 0)
        self.background = np.full(N_KNOTS, np.quantile(arc.flux[good], 0.2))

    def evaluate(self, displacement, fwhm):
        """Model, derivative by every line's brightness (sparse) and by all else (dense)."""
        n, n_lines = len(self.flux), len(self.pixel)
        basis = legendre.legvander(2 * self.pixel / (n - 1) - 1, len(displacement) - 1)
        centre = self.pixel + basis @ displacement
        shape = LineShape(self.widths, int(np.ceil(3 * fwhm)) + 2)
        index = shape.first_pixel(centre)[:, None] + np.arange(2 * shape.reach + 1)
        inside = (index >= 0) & (index < n)
        counts = shape.at(centre) * (np.exp(self.bright)[:, None] * inside)
        index = np.clip(index, 0, n - 1).ravel()  # what lies outside has no light
        starts = np.arange(0, index.size + 1, 2 * shape.reach + 1)
        by_bright, moved = (
            sparse.csc_array((part.ravel(), index, starts), shape=(n, n_lines))
            for part in counts[:2]
        )
        by_width = [np.bincount(index, part.ravel(), n) for part in counts[2:]]
        rest = np.column_stack([self.hats, *by_width, moved @ basis])
        light = np.bincount(index, counts[0].ravel(), n)
        return light + self.hats @ self.background, by_bright, rest


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
    weighted = weight[:, None] * rest
    cross, among = by_bright.T @ weighted, weighted.T @ rest
    banded = _banded(by_bright, weight)
    off = [lines.expected - lines.bright, np.zeros(N_KNOTS), typical_widths(fwhm) - lines.widths]
    prior = np.full(n_lines, BRIGHTNESS_SCATTER**-2.0)
    prior = np.concatenate([prior, np.full(N_KNOTS, 1e-12), np.power(WIDTH_SCATTER, -2.0)])
    banded[-1] += prior[:n_lines]
    corner = among[:-n_terms, :-n_terms] + np.diag(prior[n_lines:])
    mixed = np.vstack([cross[:, -n_terms:], among[:-n_terms, -n_terms:]])
    pull = weight * residual
    gradient = np.concatenate([by_bright.T @ pull, dense.T @ pull]) + prior * np.concatenate(off)
    right = np.column_stack([mixed, gradient])
    solved = _solve_bordered(banded, cross[:, :-n_terms], corner, right)
    coupling, own = solved[:, :-1], solved[:, -1]
    alone = shift - by_bright @ coupling[:n_lines] - dense @ coupling[n_lines:]
    known = among[-n_terms:, -n_terms:] - mixed.T @ coupling
    n = len(lines.flux)
    block = np.arange(n) * N_BLOCKS // n
    line_block = np.clip(lines.pixel.astype(int), 0, n - 1) * N_BLOCKS // n
    pieces = np.zeros((N_BLOCKS, n_terms))
    np.add.at(pieces, block, pull[:, None] * alone)
    np.add.at(pieces, line_block, -(prior[:n_lines] * off[0])[:, None] * coupling[:n_lines])
    widths = (prior[-4:] * off[2]) @ coupling[-4:]
    return known, pieces - widths / N_BLOCKS, own, coupling


def _banded(by_bright, weight):
    """Normal matrix of the lines' brightness: lines are in order, and only near ones overlap."""
    scaled = by_bright.copy()
    scaled.data = by_bright.data * np.sqrt(weight)[by_bright.indices]
    normal = (scaled.T @ scaled).tocoo()
    above = normal.col >= normal.row
    row, column, value = normal.row[above], normal.col[above], normal.data[above]
    width = int(np.max(column - row, initial=0))
    banded = np.zeros((width + 1, by_bright.shape[1]))
    np.add.at(banded, (width + row - column, column), value)
    return banded


def _solve_bordered(banded, border, corner, right):
    """Solve [[banded, border], [border.T, corner]] x = right, the banded block in upper form."""
    n = len(border)
    factor = cholesky_banded(banded)
    solved = cho_solve_banded((factor, False), np.hstack([border, right[:n]]))
    through, alone = solved[:, : border.shape[1]], solved[:, border.shape[1] :]
    rest = np.linalg.solve(corner - border.T @ through, right[n:] - border.T @ alone)
    return np.vstack([alone - through @ rest, rest])


def _move(lines, step):
    """Take a step that no line may take too far."""
    n = len(lines.bright)
    lines.bright = lines.bright + np.clip(step[:n], -1, 1)
    lines.background = lines.background + step[n:-4]
    lines.widths = lines.widths + np.clip(step[-4:], -0.1, 0.2)
