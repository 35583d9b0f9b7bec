"""Which pixels show no sky but a cosmic ray, and which only a model that does not fit?"""

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

__all__ = ["WavelengthCuts", "column_limit"]

MAD_TO_SIGMA = 1.4826  # for a Gaussian
FEW = 100  # rows are enough to see how far residuals scatter
CUTS = 40  # and fewer to see how bright the sky is
MOST = 0.75  # of the rows show no hit at a wavelength
SPARSE = 8  # rows and columns between pixels that tell the typical read noise


class WavelengthCuts:
    """
    Cuts along the lines of the sky, one for each interval between knots, to see what stands out.

    Parameters
    ----------
    splines : `BandedSplines`
    effective_pixel : array, shape (n_rows, n_x)
    sky_pixels : array of bool, shape (n_rows, n_x)
    """

    def __init__(self, splines, effective_pixel, sky_pixels):
        rows = np.arange(0, len(sky_pixels), max(len(sky_pixels) // CUTS, 1))
        middles = splines.middles
        column = np.arange(sky_pixels.shape[1])
        found = [np.interp(middles, effective_pixel[row], column, -9, -9) for row in rows]
        self.interval, self.sky = splines.interval, sky_pixels
        columns = np.rint(found).astype(int)
        self.use = (columns >= 0) & sky_pixels[rows[:, np.newaxis], columns]
        self.pixels = rows[:, np.newaxis] * column.size + columns
        # intervals that a column sees
        first = np.min(self.interval, axis=0, where=sky_pixels, initial=middles.size - 1)
        last = np.max(self.interval, axis=0, where=sky_pixels, initial=0)
        self.middle, self.span = (first + last) // 2, int(np.max(last - first)) + 3

    def glaring(self, data, good, read_variance):
        """
        Find hits so bright that one would spoil the first fit around it.

        A pixel is one if it is far above what three quarters of the rows show nearby at the
        same wavelength: a long hit may cover the others, and so may a line whose tilt is not
        quite known.

        Parameters
        ----------
        data : array, shape (n_rows, n_x)
        good : array of bool, shape (n_rows, n_x)
        read_variance : float or array

        Returns
        -------
        array of int
            Flat numbers of these pixels, in order.
        """
        use = self.use & np.take(good, self.pixels)
        few = np.where(use, np.take(data, self.pixels), -np.inf).T
        rank = int(MOST * few.shape[1])
        level = np.partition(np.ascontiguousarray(few), rank, axis=1)[:, rank]
        level = np.maximum(maximum_filter1d(level, 5), 0.0)
        few = np.broadcast_to(read_variance, data.shape)[::SPARSE, ::SPARSE]
        noise = np.sqrt(np.median(few) + level)
        high, low = 1.5 * level + 20 * noise, -20 * noise
        high[np.count_nonzero(use, axis=0) < 0.2 * len(use)] = np.inf
        # most pixels are below the lowest limit of their column, which is quick to see
        limit = minimum_filter1d(high, self.span, mode="nearest")[self.middle]
        apart = np.flatnonzero(data > limit)
        if np.min(data) < np.max(low):
            apart = np.union1d(apart, np.flatnonzero(data < np.max(low)))
        apart = apart[(self.sky & good).ravel()[apart]]
        cell, values = self.interval.ravel()[apart], data.ravel()[apart]
        return apart[(values > high[cell]) | (values < low[cell])]


def column_limit(square, variance, sky, sigma, pixels):
    """
    Return the largest square of a residual, in units of its variance, that is no outlier.

    Where the model does not follow the sky (a wrong tilt), the residuals of whole columns
    scatter by more than the noise; the limit grows with them, so that lines are not rejected.

    Parameters
    ----------
    square, variance : array, shape (n_rows, n_x)
        Of the residuals.
    sky : array of bool, shape (n_rows, n_x)
    sigma : float
    pixels : array of int
        Flat numbers of those beyond ``sigma``: only their columns are looked at.

    Returns
    -------
    array, shape (n_x,)
    """
    n_x = square.shape[1]
    limit = np.full(n_x, float(sigma) ** 2)
    columns = np.flatnonzero(np.bincount(pixels % n_x, minlength=n_x))
    step = max(len(square) // FEW, 1)
    few = (square[::step, columns] / variance[::step, columns]).T
    use = sky[::step, columns].T
    # unused pixels alternate between the two ends and leave the median where it is
    ends = np.where(np.cumsum(~use, axis=1) % 2 == 0, 0.0, np.inf)
    middle = few.shape[1] // 2
    scatter = np.partition(np.where(use, few, ends), middle, axis=1)[:, middle]
    limit[columns] *= np.maximum(MAD_TO_SIGMA**2 * scatter, 1.0)
    return limit
