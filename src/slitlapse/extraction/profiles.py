"""How is a star's light spread over the rows? Profiles integrated over pixels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr, stdtr

__all__ = ["EmpiricalProfile", "gaussian_profile", "model_profile", "moffat_profile"]

FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian of width 1


def gaussian_profile(rows, centre, width):
    """
    Fraction of a Gaussian star's light in each pixel.

    Parameters
    ----------
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre, width : `~numpy.ndarray`, shape (n_x,)
        Row of the star and its standard deviation, pixel.

    Returns
    -------
    `~numpy.ndarray`, shape (n_rows, n_x)
        Integrated over each pixel; all rows, seen or not, add up to 1.
    """
    start = (rows - centre - 0.5) / width
    return ndtr(start + 1 / np.asarray(width)) - ndtr(start)


def moffat_profile(rows, centre, width, beta=3.0):
    """
    Fraction of a Moffat star's light in each pixel.

    The light along the slit follows ``(1 + (y / alpha)**2)**-beta`` (Moffat 1969), as
    `~astropy.modeling.functional_models.Moffat1D` does.

    Parameters
    ----------
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre, width : `~numpy.ndarray`, shape (n_x,)
        Row of the star and its FWHM / 2.3548, pixel.
    beta : float
        Exponent, more than 0.5.

    Returns
    -------
    `~numpy.ndarray`, shape (n_rows, n_x)
    """
    if not beta > 0.5:
        raise ValueError(f"A Moffat star of exponent beta={beta} has endless light: give > 0.5.")
    scale = np.asarray(width) * FWHM / (2 * np.sqrt(2 ** (1 / beta) - 1))
    freedom = 2 * beta - 1  # the curve is Student's t distribution in another scale
    start = np.sqrt(freedom) * (rows - centre - 0.5) / scale
    return stdtr(freedom, start + np.sqrt(freedom) / scale) - stdtr(freedom, start)


def model_profile(model, rows, centre, width, n_sub=7):
    """
    Fraction of the light in each pixel, for any one-dimensional astropy model.

    Parameters
    ----------
    model : `~astropy.modeling.Model`
        Light against ``(row - centre) / width``; need not be normalised.
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre, width : `~numpy.ndarray`, shape (n_x,)
        Row of the star and its width, pixel.
    n_sub : int
        Gauss-Legendre points in each pixel.

    Returns
    -------
    `~numpy.ndarray`, shape (n_rows, n_x)
    """
    points, weights = np.polynomial.legendre.leggauss(n_sub)
    grid, step = np.linspace(-50, 50, 20001, retstep=True)
    norm = np.sum(model(grid)) * step
    offset = rows - centre
    total = sum(w * model((offset + 0.5 * p) / width) for p, w in zip(points, weights, strict=True))
    return 0.5 * total / (norm * np.asarray(width))


@dataclass(frozen=True, eq=False)
class EmpiricalProfile:
    """
    A profile measured from the frames themselves, as a cumulative curve.

    Parameters
    ----------
    offset : `~numpy.ndarray`, shape (n,)
        Distance from the centre in units of the width, increasing and evenly spaced.
    cumulative : `~numpy.ndarray`, shape (n,)
        Fraction of the light below each offset.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import EmpiricalProfile, gaussian_profile
    >>> rows, centre, width = np.arange(21)[:, None], np.linspace(9.6, 10.4, 50), np.full(50, 2.0)
    >>> star = 1000 * gaussian_profile(rows, centre, width)
    >>> profile = EmpiricalProfile.from_cutouts([star], [rows], [centre], [width])
    >>> bool(np.abs(profile(rows, centre, width) - star / 1000).max() < 2e-3)
    True
    """

    offset: np.ndarray
    cumulative: np.ndarray

    @classmethod
    def from_cutouts(cls, data, rows, centres, widths, *, masks=None, reach=8.0, step=0.125):
        """
        Build a profile from sky-subtracted cut-outs of one or many exposures.

        Every edge between two pixels tells the fraction of the light below it; edges of all
        columns and exposures fall at different offsets, and together draw the curve at sub-pixel
        level. Nothing is resampled.

        Parameters
        ----------
        data : sequence of `~numpy.ndarray`, each of shape (n_rows, n_x)
            Sky-subtracted star light.
        rows : sequence of `~numpy.ndarray`
            Rows of the pixels, (n_rows, n_x) or (n_rows, 1).
        centres, widths : sequences of `~numpy.ndarray`, each of shape (n_x,)
            Centre and width of each exposure.
        masks : sequence of `~numpy.ndarray` of bool, optional
            True = bad. A column with a bad pixel is left out.
        reach, step : float
            Extent and spacing of the curve, in units of the width.

        Returns
        -------
        `EmpiricalProfile`
        """
        masks = [None] * len(data) if masks is None else masks
        parts = [
            _fractions(*exposure)
            for exposure in zip(data, rows, centres, widths, masks, strict=True)
        ]
        edge, below, total = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        grid = np.arange(-reach, reach + step / 2, step)
        for _ in range(3):  # columns with hits stand out from the curve they helped to draw
            weights = np.broadcast_to(total, edge.shape)
            curve = _local_parabolas(edge.ravel(), below.ravel(), weights.ravel(), grid, step)
            misfit = np.abs(below - np.interp(edge, grid, curve)).max(axis=0) * np.sqrt(total)
            keep = misfit <= 3 * np.median(misfit)
            edge, below, total = edge[:, keep], below[:, keep], total[keep]
        curve = np.maximum.accumulate(np.clip(curve, 0, 1))
        return cls(grid, (curve - curve[0]) / (curve[-1] - curve[0]))

    @cached_property
    def _cubics(self):
        """Monotone cubic between each two offsets, highest power first, shape (4, n - 1)."""
        return PchipInterpolator(self.offset, self.cumulative).c

    def __call__(self, rows, centre, width):
        """Integrate over pixels; arguments and result as in `gaussian_profile`."""
        rows = np.broadcast_to(rows, (len(rows), np.size(centre)))
        edges = np.concatenate([rows - 0.5, rows[-1:] + 0.5])  # the rows follow one another
        edges = np.clip((edges - centre) / width, self.offset[0], self.offset[-1])
        step = self.offset[1] - self.offset[0]
        index = ((edges - self.offset[0]) / step).astype(int)
        index = np.minimum(index, len(self.offset) - 2)
        t = edges - self.offset[index]
        cubic, square, slope, level = self._cubics
        below = ((cubic[index] * t + square[index]) * t + slope[index]) * t + level[index]
        return np.diff(below, axis=0)


def _fractions(image, row, centre, width, mask):
    """Offset of the upper edge of each pixel, fraction of the light below it, and the light."""
    total = image.sum(axis=0)
    good = np.isfinite(total) & (total > 0)
    good &= True if mask is None else ~mask.any(axis=0)
    edge = np.broadcast_to((row + 0.5 - centre) / width, image.shape)[:, good]
    return edge, np.cumsum(image[:, good], axis=0) / total[good], total[good]


def _local_parabolas(x, y, weights, grid, step):
    """Fit a weighted parabola to the points nearest to each grid point; return its value there."""
    index = np.rint((x - grid[0]) / step).astype(int)
    inside = (index >= 0) & (index < grid.size)
    index, x, y, weights = index[inside], x[inside], y[inside], weights[inside]
    t = (x - grid[index]) / step

    def binned(values):
        return np.bincount(index, weights * values, minlength=grid.size)

    powers = [binned(t**power) for power in range(5)]
    normal = np.array([[powers[i + j] for j in range(3)] for i in range(3)]).transpose(2, 0, 1)
    right = np.array([binned(y * t**power) for power in range(3)]).T
    known = powers[0] > 0
    # where a bin holds too few points for a parabola, the ridge turns it into their mean
    ridge = 1e-6 * powers[0][known, None, None] * np.diag([0.0, 1.0, 1.0])
    curve = np.linalg.solve(normal[known] + ridge, right[known][..., None])[:, 0, 0]
    return np.interp(grid, grid[known], curve)
