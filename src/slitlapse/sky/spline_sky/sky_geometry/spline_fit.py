"""What is the sky of one exposure, and how well is it known?"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["SplineFit"]

REACH = (1, 4, 6, 4, 1)  # of the model in a pixel, in intervals between knots


@dataclass(frozen=True, eq=False)
class SplineFit:
    """
    The sky of one exposure.

    Parameters
    ----------
    geometry : `SkyGeometry`
        What it was fitted with.
    coefficients : array, shape (n_knots * (spatial_degree + 1),)
        Of the splines times polynomials, in the unit of the image.
    model : array, shape (n_rows, n_x)
        Sky in every pixel.
    variance : array, shape (n_rows, n_x)
        Variance of a pixel that holds only this sky.
    used : array of bool, shape (n_rows, n_x)
        Pixels that were used: sky, not masked, not rejected.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import SkyGeometry
    >>> y, x = np.mgrid[:60, :200]
    >>> geometry = SkyGeometry(x - 0.05 * y, np.abs(y - 30) > 8)
    >>> fit = geometry.fit(np.full((60, 200), 100.0), read_variance=9.0)
    >>> fit.model[30, ::50].round(2)
    array([100., 100., 100., 100.], dtype=float32)
    >>> fit.variance[30, ::50].round(2)
    array([109., 109., 109., 109.], dtype=float32)
    """

    geometry: object
    coefficients: np.ndarray
    model: np.ndarray
    variance: np.ndarray
    used: np.ndarray

    @cached_property
    def good(self):
        """
        Pixels where the sky is known, array of bool, shape (n_rows, n_x).

        It is not where no sky pixel sees the wavelength, or all that do were left out.
        """
        known = np.isfinite(self._raised)
        if known.all():
            return self.geometry.supported
        return self.geometry.supported & known[self.geometry._splines.interval]

    def aperture_variance(self, weights):
        """
        Return `SkyGeometry.aperture_variance` for this exposure.

        Pixels that were left out raise it by the share of the information that they held on
        the wavelength in question: right within 1 % on average for a tenth of the pixels. In one
        column it matters which they were; for a cosmic ray in 300 rows that is below 1 %.
        """
        weights = np.asarray(weights, dtype=float)
        total = self.geometry.aperture_variance(weights, self.variance)
        square = weights**2
        sums = np.maximum(np.sum(square, axis=0), 1e-300)
        interval = np.sum(square * self.geometry._splines.interval, axis=0) / sums
        return total * self._raised[np.rint(interval).astype(int)]

    def around(self, first_row, n_rows):
        """
        Return the same for cut-outs around a star, by some multiplications per pixel.

        The covariance of the sky in these rows is worked out once for all exposures
        (`SkyGeometry.band`) but for a thousandth of the variance.

        Parameters
        ----------
        first_row : array of int, shape (n_x,)
            Row of the image that the first row of the cut-out shows, column by column.
        n_rows : int
            Number of rows of the cut-out.

        Returns
        -------
        callable
            Given weights of shape (n_rows, n_x), returns the variance, shape (n_x,).
        """
        band, geometry = self.geometry.band(first_row, n_rows), self.geometry
        n_y, n_x = self.variance.shape
        rows = np.clip(first_row + np.arange(n_rows)[:, np.newaxis], 0, n_y - 1)
        index = rows * n_x + np.arange(n_x)
        now, then = np.take(self.variance, index), np.take(geometry.variance, index)
        raised = self._raised[np.take(geometry._splines.interval, index[n_rows // 2])]

        def variance_of(weights):
            square = np.square(weights)
            before = np.einsum("yx,yx->x", square, then)
            ratio = np.einsum("yx,yx->x", square, now)
            ratio = np.divide(ratio, before, out=np.ones(n_x), where=before > 0)
            return band.variance(weights) * ratio * raised

        return variance_of

    @cached_property
    def _raised(self):
        """
        Factor by which pixels that were left out raise the variance, shape (n_knots,).

        NaN for intervals between knots of which too few pixels are left.
        """
        geometry, splines = self.geometry, self.geometry._splines
        pixels = np.flatnonzero(geometry.sky_pixels & ~self.used)
        if pixels.size == 0:
            return np.ones(splines.n_knots)
        cells, weights = splines.interval.ravel()[pixels], geometry._weights.ravel()[pixels]
        lost = np.bincount(cells, weights, splines.n_knots)
        left = splines.held - np.bincount(cells, minlength=splines.n_knots)
        # what a pixel of the model draws on: some intervals around it
        lost, everything = (np.convolve(x, REACH, "same") for x in (lost, geometry._information))
        kept = 1 - np.divide(lost, everything, out=np.zeros(lost.size), where=everything > 0)
        kept[(left < splines.n_terms) & (splines.held >= splines.n_terms)] = np.nan
        return 1.0 / np.maximum(kept, 1e-3)

    def line_excess(self, data):
        """
        Return how far residuals on the flanks of sky lines scatter, in units of their noise.

        About 1 where lines are where the effective pixels say; 1.3 and more where the tilt has
        moved or the knots are too wide. NaN where fewer than 100 sky pixels lie on flanks.
        """
        noise = np.sqrt(self.variance[self.used])
        # a flank is where the sky changes by more than its noise from one pixel to the next
        steep = np.abs(np.gradient(self.model, axis=1))[self.used] > noise
        if np.count_nonzero(steep) < 100:
            return np.nan
        pull = (np.asarray(data) - self.model)[self.used] / noise
        return float(np.std(pull[steep]))
