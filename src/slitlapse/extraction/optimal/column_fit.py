"""How bright are the stars of a column, if every pixel counts by what it knows?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

__all__ = ["Columns", "steady_flux"]


@dataclass
class Columns:
    """
    All that is known of the pixels of some columns.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_rows, n_x)
        Counts; zero where not ``good``.
    design : `~numpy.ndarray`, shape (n_term, n_rows, n_x)
        Light of unit brightness in each pixel: of the stars first, then background terms.
    terms : sequence of three `~numpy.ndarray` or numbers
        Variance of a pixel is ``terms[0] + terms[1] * light + terms[2] * light**2``.
    good : `~numpy.ndarray` of bool, shape (n_rows, n_x)
        Shrinks as pixels are rejected.
    n_star : int
        Number of stars.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction.optimal.column_fit import Columns
    >>> profile = np.array([[0.2], [0.6], [0.2]])
    >>> columns = Columns(500 * profile, profile[None], (9.0, 1.0, 0.0), profile > 0, 1)
    >>> columns.converge(np.zeros((1, 1)))[0]
    array([[500.]])
    """

    data: np.ndarray
    design: np.ndarray
    terms: Sequence
    good: np.ndarray
    n_star: int

    def pick(self, x):
        """Keep some columns only, as copies (or all as they are)."""
        if x.size == self.data.shape[1]:
            return self
        terms = [term[:, x] if np.ndim(term) else term for term in self.terms]
        return Columns(self.data[:, x], self.design[:, :, x], terms, self.good[:, x], self.n_star)

    def single(self):
        """The same columns in single precision, sharing ``good``."""
        kind = np.float32
        terms = [np.asarray(term, dtype=kind) for term in self.terms]
        data, design = self.data.astype(kind), self.design.astype(kind)
        return Columns(data, design, terms, self.good, self.n_star)

    def light(self, flux):
        """Counts of all stars in each pixel; a negative star makes no photons."""
        flux = np.fmax(flux, 0)  # a flux that is not a number makes none either
        light = flux[0] * self.design[0]
        for f, star in zip(flux[1:], self.design[1 : self.n_star], strict=True):
            light += f * star
        return light

    def model(self, coefficients):
        """Counts that the fit expects in each pixel."""
        model = coefficients[0] * self.design[0]
        for c, term in zip(coefficients[1:], self.design[1:], strict=True):
            model += c * term
        return model

    def variance(self, flux):
        """Variance of each pixel if the stars are this bright."""
        constant, linear, square = self.terms
        light = self.light(flux)
        if np.ndim(square) or square != 0:
            linear = linear + light * square
        if np.ndim(linear) or linear != 1:
            light *= linear
        light += constant
        return light

    def solve(self, flux, want_weights=False):
        """
        Weighted least squares of each column, for the variance that ``flux`` makes.

        Returns coefficients and the variance of the pixels; then the weights, or, cheaper, the
        standard deviation of each star.
        """
        variance = self.variance(flux)
        inverse_variance = self.good / variance
        if len(self.design) == 1:
            weighted = self.design[0] * inverse_variance
            normal = np.einsum("yx,yx->x", weighted, self.design[0])
            inverse = np.divide(1, normal, out=np.full_like(normal, np.nan), where=normal > 0)
            found = inverse * np.einsum("yx,yx->x", weighted, self.data)
            last = (weighted * inverse)[None] if want_weights else np.sqrt(inverse)[None]
            return found[None], variance, last
        weighted = self.design * inverse_variance
        n = len(self.design)
        normal = np.empty((self.data.shape[1], n, n))
        right = np.empty((self.data.shape[1], n))
        for i in range(n):
            right[:, i] = np.einsum("yx,yx->x", weighted[i], self.data)
            for j in range(i + 1):
                product = np.einsum("yx,yx->x", weighted[i], self.design[j])
                normal[:, i, j] = normal[:, j, i] = product
        inverse = _invert(normal)
        found = np.einsum("xij,xj->ix", inverse, right).astype(self.data.dtype)
        if not want_weights:
            return found, variance, np.sqrt(np.einsum("xii->ix", inverse)[: self.n_star])
        inverse = np.ascontiguousarray(inverse.transpose(1, 2, 0), dtype=self.data.dtype)
        weights = np.stack([sum(inverse[i, j] * weighted[j] for j in range(n)) for i in range(n)])
        return found, variance, weights

    def converge(self, flux, tolerance=0.01, max_iter=10):
        """Repeat `solve` until no flux moves by more than a small part of its error."""
        for _ in range(max_iter):
            found, variance, sigma = self.solve(flux)
            step = np.abs(found[: self.n_star] - flux)
            flux = found[: self.n_star]
            if not np.any(step > tolerance * sigma):
                break
        return found, variance, sigma


def steady_flux(flux, sigma, size=11):
    """
    Shrink each flux to its running mean by as much as noise explains its scatter.

    After Lee (1980, IEEE Trans. PAMI 2, 165). Only the variance of the photons is made of it.
    """
    known = np.isfinite(flux) & np.isfinite(sigma)
    weight = uniform_filter1d(known.astype(float), size, axis=-1, mode="nearest")
    weight = np.maximum(weight, 1e-9)

    def running_mean(values):
        filled = np.where(known, values, 0).astype(float)
        return uniform_filter1d(filled, size, axis=-1, mode="nearest") / weight

    mean = running_mean(flux)
    spread = running_mean((flux - mean) ** 2)
    noise = 1.5 * running_mean(sigma**2)
    keep = 1 - np.minimum(noise / np.maximum(spread, 1e-30), 1)
    return np.where(known, mean + keep * (flux - mean), mean).astype(flux.dtype)


def _invert(normal):
    """Invert a stack of symmetric matrices; NaN where the good pixels do not settle them."""
    diagonal = np.einsum("xii->xi", normal)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1))
    scaled = normal / (scale[:, :, None] * scale[:, None, :])
    solvable = (diagonal > 0).all(axis=1)
    scaled[~solvable] = np.eye(normal.shape[1])
    solvable &= np.linalg.det(scaled) > 1e-6
    scaled[~solvable] = np.eye(normal.shape[1])
    inverse = np.linalg.inv(scaled) / (scale[:, :, None] * scale[:, None, :])
    inverse[~solvable] = np.nan
    return inverse
