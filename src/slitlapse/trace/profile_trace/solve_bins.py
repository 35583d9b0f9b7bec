"""What do the columns of a bin say together, and all bins about what they share?"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Bins", "add_up_bins"]


@dataclass(frozen=True)
class Bins:
    """
    Normal equations of bins along the spectrum.

    The first two unknowns (centre and log width) belong to each bin, the others (distances of
    neighbours, shape) are common to all.

    Parameters
    ----------
    x : `~numpy.ndarray`, shape (n_bins,)
        Mean column, weighted by what each says about the centre.
    info, gradient : `~numpy.ndarray`, shape (n_bins, n, n) and (n_bins, n)
        Sums over the columns of each bin.
    empty : `~numpy.ndarray` of bool, shape (n_bins,)
        Bins that say nothing.
    """

    x: np.ndarray
    info: np.ndarray
    gradient: np.ndarray
    empty: np.ndarray

    @cached_property
    def _inverse(self):
        """Inverse of what belongs to each bin, shape (n_bins, 2, 2)."""
        return np.linalg.inv(np.where(self.empty[:, None, None], np.eye(2), self.info[:, :2, :2]))

    def common_steps(self):
        """Give the steps common to all bins, those of the bins being free: shape (n - 2,)."""
        _, right = self._without_local
        return self._spread @ right.sum(axis=0)

    def last_by_bin(self):
        """Give the last step and its uncertainty as each bin alone sees it."""
        left, right = (a[:, -1, -1] if a.ndim == 3 else a[:, -1] for a in self._without_local)
        known = left > 0
        left = np.where(known, left, 1.0)
        return np.where(known, right / left, 0.0), np.where(known, 1 / np.sqrt(left), np.inf)

    def local_steps(self, common):
        """
        Give the steps of each bin and their uncertainties, that of the common ones included.

        Parameters
        ----------
        common : `~numpy.ndarray`, shape (n_bins, n - 2)

        Returns
        -------
        steps, uncertainties : `~numpy.ndarray`, shape (n_bins, 2)
        """
        steps = np.einsum("bij,bj->bi", self._inverse, self.gradient[:, :2])
        steps -= np.einsum("bik,bk->bi", self._onto, common)
        variance = np.einsum("bii->bi", self._inverse).copy()
        # what is common is not known better than by all bins
        variance += np.einsum("bik,bik->bi", self._onto @ self._spread, self._onto)
        sigma = np.sqrt(variance)
        steps[self.empty], sigma[self.empty] = 0.0, np.inf
        return steps, sigma

    @cached_property
    def _onto(self):
        """What the common steps do to those of each bin, shape (n_bins, 2, n - 2)."""
        return self._inverse @ self.info[:, :2, 2:]

    @cached_property
    def _spread(self):
        """Covariance of the common steps, shape (n - 2, n - 2)."""
        left, _ = self._without_local
        if left.shape[-1] == 0:
            return np.zeros((0, 0))
        return np.linalg.pinv(left.sum(axis=0), hermitian=True)

    @cached_property
    def _without_local(self):
        """The common unknowns alone, what belongs to each bin being eliminated."""
        left = self.info[:, 2:, 2:] - np.einsum("bji,bjk->bik", self.info[:, :2, 2:], self._onto)
        right = self.gradient[:, 2:] - np.einsum("bji,bj->bi", self._onto, self.gradient[:, :2])
        left[self.empty], right[self.empty] = 0.0, 0.0
        return left, right


def add_up_bins(info, gradient, x, starts):
    """
    Add up columns in bins.

    Parameters
    ----------
    info, gradient : `~numpy.ndarray`, shape (n_x, n, n) and (n_x, n)
        What each column says.
    x : `~numpy.ndarray`, shape (n_x,)
        Their positions.
    starts : `~numpy.ndarray` of int, shape (n_bins,)
        First column of each bin.

    Returns
    -------
    Bins
    """
    weight = info[:, 0, 0]
    info, gradient = (np.add.reduceat(a, starts, axis=0) for a in (info, gradient))
    counts = np.diff(np.append(starts, x.size))
    total = np.add.reduceat(weight, starts)
    det = info[:, 0, 0] * info[:, 1, 1] - info[:, 0, 1] ** 2
    empty = ~(det > 1e-9 * info[:, 0, 0] * info[:, 1, 1])
    mean = np.add.reduceat(weight * x, starts) / np.where(empty, 1.0, total)
    at = np.where(empty, np.add.reduceat(x * 1.0, starts) / counts, mean)
    return Bins(at, info, gradient, empty)
