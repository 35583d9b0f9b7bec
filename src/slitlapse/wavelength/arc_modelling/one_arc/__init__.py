"""What does one arc say, whose lines are as bright as they like, of where they all are?"""

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.ndimage import maximum_filter1d

from .line_shape import N_TERMS, N_WIDTHS, LineShape, typical_widths, width_terms

__all__ = ["ArcSpectrum", "OneArc"]

BRIGHTNESS_SCATTER = 1.2  # natural log of a line's flux over its expected flux
# one sigma: natural log of the Gaussian's width and of the slit's; parts of the light that lean
# and that are in wings; and how much they change from the middle to the ends
WIDTH_SCATTER = np.array([[0.2, 0.5, 0.1, 0.1], [0.2, 0.02, 0.05, 0.05], [0.2, 0.02, 0.05, 0.05]]).T
MERGED = 0.05  # line widths within which two lines are one: no spectrum can tell them apart
PROFILE_ERROR = 0.01  # of the light, at least: no line has exactly this shape
FEW = 30  # pixels, of which a median is too uncertain
HALO = 0.002  # of a line's brightest pixel, within three widths: so much light is scattered
TAILS = 4.0  # degrees of freedom of Student's t: some lines are on nobody's list
N_KNOTS = 12  # of the background
N_SHAPE = N_WIDTHS * N_TERMS
N_BLOCKS = 24  # pieces of an arc whose errors are taken to be independent


class ArcSpectrum(NamedTuple):
    """One arc, and where and how bright its lines are believed to be."""

    flux: np.ndarray  # of shape (n_pixels,); NaN where it is bad
    uncertainty: np.ndarray | None  # None: from the gaps between lines
    pixel: np.ndarray  # of each listed line, by the curve so far
    expected: np.ndarray  # flux of each listed line


class OneArc:
    """
    An arc and its own parameters while it is fitted: brightness of lines, background, line shape.

    Parameters
    ----------
    arc : `ArcSpectrum`
    fwhm : float
        Line width, pixels.
    """

    def __init__(self, arc, fwhm):
        self.fwhm = fwhm
        order = np.argsort(arc.pixel)
        pixel, flux = arc.pixel[order], np.maximum(arc.expected[order], 1e-30)
        group = np.append(0, np.cumsum(np.diff(pixel) > MERGED * fwhm))
        total = np.bincount(group, flux)
        self.pixel = np.bincount(group, flux * pixel) / total
        self.expected = np.log(total)
        self.widths = typical_widths(fwhm)
        good = np.isfinite(arc.flux)
        self.flux = np.where(good, arc.flux, 0.0)
        sigma = _noise(self.flux[good]) if arc.uncertainty is None else arc.uncertainty
        self.uncertainty = np.where(good, sigma, np.inf)
        knots = np.arange(len(good))[:, None] * (N_KNOTS - 1) / (len(good) - 1)
        self.hats = np.maximum(1 - np.abs(knots - np.arange(N_KNOTS)), 0)
        self.background = np.full(N_KNOTS, np.quantile(arc.flux[good], 0.2))
        light = self.flux - self.background[0]
        near = maximum_filter1d(light, 2 * int(np.ceil(3 * fwhm)) + 1)
        self.shape_error = np.hypot(PROFILE_ERROR * light, HALO * near)
        self.bright = self._first_brightness(light, fwhm)

    def _first_brightness(self, light, fwhm):
        """Share the light where lines are expected among them: cores, not halos, are fitted."""
        light = maximum_filter1d(light, int(fwhm) | 1)
        at = np.clip(np.round(self.pixel).astype(int), 0, len(light) - 1)
        seen = np.isfinite(self.uncertainty[at])
        faintest = np.where(seen, self.uncertainty[at], 1.0)
        total = np.append(0, np.cumsum(np.exp(self.expected)))
        first, end = (np.searchsorted(self.pixel, self.pixel + side * 0.5 * fwhm, side=s)
                      for side, s in ((-1, "left"), (1, "right")))  # fmt: skip
        share = self.expected - np.log(total[end] - total[first])
        # 1.06: a Gaussian's area over its height and full width
        found = np.log(1.06 * fwhm * np.maximum(light[at], faintest)) + share
        return np.where(seen, found, self.expected)

    def evaluate(self, displacement):
        """
        Light, and how it changes.

        Returns
        -------
        model : array of shape (n_pixels,)
        by_bright : sparse array of shape (n_pixels, n_lines), by the log of each line's brightness
        rest : array of shape (n_pixels, n), by background, shape and displacement
        """
        n, n_lines = len(self.flux), len(self.pixel)
        along = 2 * self.pixel / (n - 1) - 1
        basis = legendre.legvander(along, len(displacement) - 1)
        centre = self.pixel + basis @ displacement
        shape = LineShape(self.widths, int(np.ceil(3 * self.fwhm)) + 2)
        index = shape.first_pixel(centre)[:, None] + np.arange(2 * shape.reach + 1)
        inside = (index >= 0) & (index < n)
        counts = shape.at(centre, along) * (np.exp(self.bright)[:, None] * inside)
        index = np.clip(index, 0, n - 1).ravel()  # what lies outside has no light
        starts = np.arange(0, index.size + 1, 2 * shape.reach + 1)
        by_bright, moved = (
            sparse.csc_array((part.ravel(), index, starts), shape=(n, n_lines))
            for part in counts[:2]
        )
        terms = width_terms(along)
        by_width = [
            sparse.csc_array((part.ravel(), index, starts), shape=(n, n_lines)) @ terms
            for part in counts[2:]
        ]
        rest = np.column_stack([self.hats, *by_width, moved @ basis])
        light = np.bincount(index, counts[0].ravel(), n)
        return light + self.hats @ self.background, by_bright, rest

    def marginal(self, displacement, robust=True):
        """
        What the arc knows of the displacement once its own parameters are free.

        Parameters
        ----------
        displacement : array of shape (n_terms,)
            Legendre coefficients, pixels.
        robust : bool
            Whether errors have the tails of Student's t, and not those of a normal distribution.

        Returns
        -------
        known : array of shape (n_terms, n_terms), the information
        pieces : array of shape (N_BLOCKS, n_terms), the gradient by pieces of the detector
        own, coupling : the step of the arc's own parameters, and how much less per displacement
        """
        model, by_bright, rest = self.evaluate(displacement)
        n_terms, n_lines = len(displacement), by_bright.shape[1]
        residual = self.flux - model
        total = self._total_uncertainty(residual)
        weight = 1 / total**2
        if robust:
            weight *= (TAILS + 1) / (TAILS + (residual / total) ** 2)
        dense, shift = rest[:, :-n_terms], rest[:, -n_terms:]
        weighted = weight[:, None] * rest
        cross, among = by_bright.T @ weighted, weighted.T @ rest
        prior, off = self._prior()
        banded = _banded(by_bright, weight)
        banded[-1] += prior[:n_lines]
        corner = among[:-n_terms, :-n_terms] + np.diag(prior[n_lines:])
        mixed = np.vstack([cross[:, -n_terms:], among[:-n_terms, -n_terms:]])
        pull = weight * residual
        gradient = np.concatenate([by_bright.T @ pull, dense.T @ pull]) + prior * off
        right = np.column_stack([mixed, gradient])
        solved = _solve_bordered(banded, cross[:, :-n_terms], corner, right)
        coupling, own = solved[:, :-1], solved[:, -1]
        alone = shift - by_bright @ coupling[:n_lines] - dense @ coupling[n_lines:]
        known = among[-n_terms:, -n_terms:] - mixed.T @ coupling
        n = len(self.flux)
        pieces = np.zeros((N_BLOCKS, n_terms))
        np.add.at(pieces, np.arange(n) * N_BLOCKS // n, pull[:, None] * alone)
        block = np.clip(self.pixel.astype(int), 0, n - 1) * N_BLOCKS // n
        np.add.at(pieces, block, -(prior * off)[:n_lines, None] * coupling[:n_lines])
        shape = (prior * off)[-N_SHAPE:] @ coupling[-N_SHAPE:]
        return known, pieces - shape / N_BLOCKS, own, coupling

    def _prior(self):
        """What was believed of the arc's own parameters: information, and how far they are off."""
        bright = np.full(len(self.pixel), BRIGHTNESS_SCATTER**-2.0)
        shape = (typical_widths(self.fwhm) - self.widths).ravel()
        off = [self.expected - self.bright, np.zeros(N_KNOTS), shape]
        prior = [bright, np.full(N_KNOTS, 1e-12), WIDTH_SCATTER.ravel() ** -2]
        return np.concatenate(prior), np.concatenate(off)

    def _total_uncertainty(self, residual):
        """Noise, and what the shape is not: as much as bright lines show, or the least."""
        bright = self.shape_error > self.uncertainty
        misfit = 1.0
        if bright.sum() > FEW:
            pull = residual[bright] / np.hypot(self.uncertainty, self.shape_error)[bright]
            misfit = max(1.4826 * np.median(np.abs(pull)), 1.0)
        return np.hypot(self.uncertainty, misfit * self.shape_error)

    def move(self, step, limit):
        """
        Take a step of the arc's own parameters that no line may take too far.

        Parameters
        ----------
        step : array
            As ``own`` of `marginal`.
        limit : float
            Natural log of the factor by which a line may become brighter or fainter.
        """
        n = len(self.bright)
        self.bright = self.bright + np.clip(step[:n], -limit, limit)
        self.background = self.background + step[n:-N_SHAPE]
        change = np.clip(step[-N_SHAPE:], -0.1, 0.2)
        self.widths = self.widths + change.reshape(N_WIDTHS, N_TERMS)


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


def _noise(flux):
    """Noise between the lines, from third differences: they see no slopes."""
    third = np.diff(flux, 3) / np.sqrt(20)
    quiet = np.abs(third[flux[2:-1] <= np.quantile(flux, 0.6)])
    return max(1.4826 * np.median(quiet), 1e-6 * np.ptp(flux) + 1e-30)
