"""How much has the error of the sky in one column to do with that in the next?"""

import numpy as np
from scipy.sparse import csr_array

__all__ = ["column_correlations"]

FADED = 24  # columns, beyond which errors have nothing in common


def column_correlations(geometry, weights, n_lags=6):
    """
    Correlate the errors of the sky's sums in neighbouring columns.

    A spline shares the pixels of a few columns. Whoever adds up columns needs that: with knots
    closer than pixels, neighbouring columns err in opposite directions, and the error of the
    sum is smaller than that of independent columns; with knots wider apart it is larger.

    Parameters
    ----------
    geometry : `SkyGeometry`
    weights : array, shape (n_rows, n_x)
        Weight of every pixel in the sum of its column: 1 in a boxcar aperture. Correlations
        hardly depend on them.
    n_lags : int
        How many neighbours on the right of each column.

    Returns
    -------
    array, shape (n_lags, n_x)
        Entry [k - 1, x] is the correlation of column x with column x + k; 0 where one of them
        holds no sky model.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import SkyGeometry, column_correlations
    >>> y, x = np.mgrid[:60, :200]
    >>> star = np.abs(y - 30) < 5
    >>> geometry = SkyGeometry(x - 0.05 * y, ~star, knot_spacing=0.75)
    >>> found = column_correlations(geometry, star.astype(float))
    >>> bool(found[0, 100] < -0.1), bool(1 + 2 * found[:, 60:140].sum(axis=0).mean() < 0.8)
    (True, True)
    """
    splines, n_x = geometry._splines, geometry.sky_pixels.shape[1]
    weights = np.where(geometry.supported, weights, 0.0)
    pixels = np.flatnonzero(weights)
    entries, index = splines.rows_of(pixels)
    entries = entries * weights.ravel()[pixels, np.newaxis]
    columns = np.broadcast_to((pixels % n_x)[:, np.newaxis], index.shape)
    shape = splines.n_knots * splines.n_terms, n_x
    design = csr_array((entries.ravel(), (index.ravel(), columns.ravel())), shape=shape)
    # every so many columns are asked together: what one answers the other does not hear
    x, apart = np.arange(n_x), n_lags + FADED
    together = csr_array((np.ones(n_x), (x, x % apart)), shape=(n_x, apart))
    answer = splines.solve(geometry._factor, (design @ together).toarray())
    heard = design.T @ answer
    variance = heard[x, x % apart]
    found = np.zeros((n_lags, n_x))
    for lag in range(1, min(n_lags, n_x - 1) + 1):
        here, there = x[:-lag], x[lag:]
        both = variance[here] * variance[there]
        np.divide(
            heard[there, here % apart], np.sqrt(np.maximum(both, 0)),
            out=found[lag - 1, :-lag], where=both > 0,
        )  # fmt: skip
    return found
