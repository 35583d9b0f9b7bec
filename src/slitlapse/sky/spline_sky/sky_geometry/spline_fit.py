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
