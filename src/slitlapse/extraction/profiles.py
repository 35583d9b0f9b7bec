"""How is a star's light spread over the rows? Profiles integrated over pixels."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, ndtr

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
    start = (rows - centre - 0.5) / scale

    def cumulative(t):
        # Student's t with 2 beta - 1 degrees of freedom, from the near tail: no cancellation
        tail = 0.5 * betainc(beta - 0.5, 0.5, 1 / (1 + t * t))
        return np.where(t < 0, tail, 1 - tail)

    return cumulative(start + 1 / scale) - cumulative(start)


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
        columns and exposures fall at different offsets, and their medians draw the curve at
        sub-pixel level. Nothing is resampled.

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
        offsets, fractions, weights = [], [], []
        masks = [None] * len(data) if masks is None else masks
        for image, row, centre, width, mask in zip(data, rows, centres, widths, masks, strict=True):
            total = image.sum(axis=0)
            good = np.isfinite(total) & (total > 0)
            good &= True if mask is None else ~mask.any(axis=0)
            edge = (row + 0.5 - centre) / width
            below = np.cumsum(image, axis=0) / np.where(good, total, 1)
            edge, below = np.broadcast_arrays(edge, below)
            offsets.append(edge[:, good].ravel())
            fractions.append(below[:, good].ravel())
            weights.append(np.broadcast_to(total[good], edge[:, good].shape).ravel())
        offsets, fractions, weights = map(np.concatenate, (offsets, fractions, weights))
        grid = np.arange(-reach, reach + step / 2, step)
        curve = _local_lines(offsets, fractions, weights, grid, step)
        curve = np.maximum.accumulate(np.clip(curve, 0, 1))
        return cls(grid, (curve - curve[0]) / (curve[-1] - curve[0]))

    def __call__(self, rows, centre, width):
        """Integrate over pixels; arguments and result as in `gaussian_profile`."""
        from scipy.interpolate import PchipInterpolator

        curve = PchipInterpolator(self.offset, self.cumulative)
        low, high = self.offset[0], self.offset[-1]
        start = (rows - centre - 0.5) / width
        stop = start + 1 / np.asarray(width)
        return curve(np.clip(stop, low, high)) - curve(np.clip(start, low, high))


def _local_lines(x, y, weights, grid, step):
    """Fit a weighted straight line to the points nearest to each grid point."""
    index = np.rint((x - grid[0]) / step).astype(int)
    curve = np.full(grid.size, np.nan)
    inside = (index >= 0) & (index < grid.size)
    index, x, y, weights = index[inside], x[inside], y[inside], weights[inside]
    t = x - grid[index]
    sums = [
        np.bincount(index, weights * value, minlength=grid.size)
        for value in (np.ones_like(t), t, t * t, y, t * y)
    ]
    s0, s1, s2, sy, sty = sums
    determinant = s0 * s2 - s1**2
    solved = determinant > 1e-12 * np.maximum(s0 * s2, 1e-300)
    curve[solved] = ((s2 * sy - s1 * sty) / np.where(solved, determinant, 1))[solved]
    few = ~solved & (s0 > 0)
    curve[few] = (sy / np.where(s0 > 0, s0, 1))[few]
    known = np.isfinite(curve)
    return np.interp(grid, grid[known], curve[known])
