"""How well is the sky known under a star? Two or three numbers per pixel tell it."""

from dataclasses import dataclass

import numpy as np

__all__ = ["ApertureBand", "make_band"]

NEGLECTED = 1e-3  # share of the variance that may be left out
COLUMNS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class ApertureBand:
    """
    The covariance of the sky model in a band of rows that follows a star.

    The errors of the model in the pixels of one column are those of the few splines that the
    column sees, so that their covariance is ``sum_r F_ry F_ry'`` with few r. The variance of any
    weighted sum is then ``sum_r (sum_y w_y F_ry)**2``: some multiplications per pixel.

    Parameters
    ----------
    first_row : array of int, shape (n_x,)
        First row of the band in each column.
    factor : array, shape (rank, n_rows, n_x)
        F, in the unit of the image; 0 where the sky is not known.
    known : array of bool, shape (n_rows, n_x)
        Pixels whose sky is known.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky.spline_sky.sky_geometry.aperture_band import ApertureBand
    >>> band = ApertureBand(np.array([3]), np.full((1, 2, 1), 0.5), np.ones((2, 1), dtype=bool))
    >>> band.variance(np.ones((2, 1)))
    array([1.])
    """

    first_row: np.ndarray
    factor: np.ndarray
    known: np.ndarray

    def holds(self, first_row, n_rows):
        """Tell whether a window of rows lies within this band in all columns."""
        above = first_row - self.first_row
        return bool(np.all((above >= 0) & (above + n_rows <= len(self.known))))

    def cut(self, first_row, n_rows):
        """Return the part of the band that a window of rows sees, as an `ApertureBand`."""
        above = first_row - self.first_row
        if np.all(above == above[0]):
            part = slice(above[0], above[0] + n_rows)
            return ApertureBand(first_row, self.factor[:, part], self.known[part])
        n_x = first_row.size
        index = (above + np.arange(n_rows)[:, np.newaxis]) * n_x + np.arange(n_x)
        factor = self.factor.reshape(len(self.factor), -1).take(index, axis=1)
        return ApertureBand(first_row, factor, self.known.take(index))

    def variance(self, weights):
        """
        Return the variance per column of the sum of ``weights`` times the sky model.

        Parameters
        ----------
        weights : array, shape (n_rows, n_x)

        Returns
        -------
        array, shape (n_x,)
            NaN where a pixel with a weight has no sky.
        """
        weights = np.asarray(weights, dtype=self.factor.dtype)
        total = np.zeros(weights.shape[1])
        for part in self.factor:
            total += np.einsum("yx,yx->x", weights, part) ** 2
        if not self.known.all():
            total[((weights != 0) & ~self.known).any(axis=0)] = np.nan
        return total


def make_band(splines, covariance, supported, first_row, n_rows):
    """
    Work out the covariance of the sky model in a band of rows.

    Parameters
    ----------
    splines : `BandedSplines`
    covariance : callable
        Given a number of neighbouring splines, the `BandedSplines.inverse_band` that holds them.
    supported : array of bool, shape (n_y, n_x)
        Pixels whose sky is known.
    first_row : array of int, shape (n_x,)
        First row of the band in each column; rows beyond the image are not known.
    n_rows : int

    Returns
    -------
    `ApertureBand`
        Of the smallest rank that leaves out a thousandth of the variance at most.
    """
    n_y, n_x = splines.shape
    rows = first_row + np.arange(n_rows)[:, np.newaxis]
    known = (rows >= 0) & (rows < n_y)
    rows = np.clip(rows, 0, n_y - 1)
    known &= supported[rows, np.arange(n_x)]
    interval = splines.interval[rows, np.arange(n_x)]
    first = np.min(np.where(known, interval, splines.n_knots), axis=0)
    last = np.max(np.where(known, interval, 0), axis=0)
    n_taps = splines.taps.shape[-1]
    first = np.minimum(first, splines.n_knots - n_taps)
    size = int(np.max(last - first, initial=0)) + n_taps
    band = covariance(size)
    parts = []
    for start in range(0, n_x, COLUMNS_AT_ONCE):
        part = np.arange(start, min(start + COLUMNS_AT_ONCE, n_x))
        design = _design(splines, rows[:, part], part, interval[:, part], first[part], size)
        design[~known[:, part].T] = 0.0
        parts.append(_factor(design, _blocks(splines, band, first[part], size)))
    rank = max(part.shape[2] for part in parts)
    factor = np.zeros((rank, n_rows, n_x), dtype=np.float32)
    for number, part in enumerate(parts):
        start = number * COLUMNS_AT_ONCE
        factor[: part.shape[2], :, start : start + len(part)] = part.transpose(2, 1, 0)
    return ApertureBand(np.asarray(first_row), factor, known)


def _design(splines, rows, columns, interval, first, size):
    """Return what each pixel takes of each coefficient, shape (n_x, n_rows, size * n_terms)."""
    n_terms, n_taps = splines.n_terms, splines.taps.shape[-1]
    design = np.zeros((columns.size, len(rows), size, n_terms))
    taps, along = splines.taps[rows, columns], splines.along[rows]
    local = np.clip(interval - first, 0, size - n_taps).T
    x, y = np.indices(local.shape, sparse=True)
    for m in range(n_taps):
        design[x, y, local + m] = (taps[..., m, np.newaxis] * along).transpose(1, 0, 2)
    return design.reshape(columns.size, len(rows), -1)


def _blocks(splines, band, first, size):
    """Return the covariance of the coefficients that each column sees, shape (n_x, n, n)."""
    n_terms, reach = splines.n_terms, len(band) // 2
    blocks = np.zeros((first.size, size, n_terms, size, n_terms))
    for b in range(size):
        knot = np.minimum(first + b, splines.n_knots - 1)
        for a in range(size):
            inside = (first + a < splines.n_knots) & (first + b < splines.n_knots)
            block = band[reach + a - b][:, knot].transpose(1, 0, 2)
            blocks[:, a, :, b] = np.where(inside[:, np.newaxis, np.newaxis], block, 0.0)
    return blocks.reshape(first.size, size * n_terms, -1)


def _factor(design, covariance):
    """Return F, shape (n_x, n_rows, rank), with ``F F^T`` nearly the covariance of the pixels."""
    size, axes = np.linalg.eigh(0.5 * (covariance + covariance.transpose(0, 2, 1)))
    full = design @ (axes * np.sqrt(np.maximum(size, 0.0))[:, np.newaxis])
    size, axes = np.linalg.eigh(full.transpose(0, 2, 1) @ full)
    share = np.cumsum(np.maximum(size, 0.0), axis=1)  # of the smallest ones
    neglected = np.sum(share <= NEGLECTED * share[:, -1:], axis=1)
    rank = size.shape[1] - int(np.min(neglected))
    return full @ axes[:, :, ::-1][:, :, : max(rank, 1)]
