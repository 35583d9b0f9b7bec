"""What is the sky of one exposure, and how well is it known?"""

from dataclasses import dataclass

import numpy as np

__all__ = ["SplineFit"]


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
    >>> fit.model[30, ::50]
    array([100., 100., 100., 100.])
    >>> fit.variance[30, ::50]
    array([109., 109., 109., 109.])
    """

    geometry: object
    coefficients: np.ndarray
    model: np.ndarray
    variance: np.ndarray
    used: np.ndarray

    @property
    def good(self):
        """Pixels where the sky is known, array of bool, shape (n_rows, n_x)."""
        return self.geometry.supported

    def aperture_variance(self, weights):
        """Return `SkyGeometry.aperture_variance` for this exposure."""
        return self.geometry.aperture_variance(weights, self.variance)

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
