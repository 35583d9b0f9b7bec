"""How is a smooth function of one coordinate fitted to a million scattered pixels, fast?"""

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.ndimage import minimum_filter1d
from scipy.sparse import csr_array

__all__ = ["PIXEL", "TAPS", "BandedSplines"]

PIXEL = np.float32
TAPS = 6  # splines that a pixel sees
BLOCK = 16  # rows whose products are summed at once: they fit the processor's cache
ENOUGH = 50_000  # pixels tell whether all share one phase
# how a quintic B-spline rises in its first three intervals, highest power first
PIECES = np.array([[1, 0, 0, 0, 0, 0], [-5, 5, 10, 10, 5, 1], [10, -20, -20, 20, 50, 26]]) / 120


class BandedSplines:
    """
    Quintic B-splines in a coordinate of every pixel, times polynomials along the rows.

    The design matrix has six times ``n_terms`` entries per pixel, the normal equations a
    narrow band. What does not depend on the pixel values is made once. Pixels are computed in
    single precision, which is good to some ten-millionths of their value and twice as fast.

    Parameters
    ----------
    coordinate : array, shape (n_rows, n_x)
        Coordinate of every pixel; NaN where there is none.
    where : array of bool, shape (n_rows, n_x)
        Pixels that will be fitted: they say how far the knots reach.
    spacing : float
        Distance of knots.
    degree : int
        Degree of the Legendre polynomials along the rows.
    scale : array, shape (n_rows, n_x), optional
        Factor by which every pixel sees the function.

    Raises
    ------
    ValueError
        If many knot intervals hold no pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky.spline_sky.sky_geometry.banded_splines import BandedSplines
    >>> coordinate = np.arange(50.0) + np.linspace(0, 2, 30)[:, np.newaxis]
    >>> splines = BandedSplines(coordinate, np.ones((30, 50), dtype=bool), 1.0, 0)
    >>> factor = splines.factorise(np.ones((30, 50)))
    >>> values = np.sin(coordinate / 5)
    >>> found = splines.evaluate(splines.solve(factor, splines.moments(values)))
    >>> bool(np.abs(found - values).max() < 1e-4)
    True
    """

    def __init__(self, coordinate, where, spacing, degree, scale=None):
        self.shape, self.spacing = coordinate.shape, float(spacing)
        self.n_terms = degree + 1
        self.along = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(coordinate)), degree)
        h = self.spacing
        # where lines are not tilted all pixels share one phase, and the knots must lie on it:
        # half-way between, a spline cannot tell a zigzag from zero
        few = coordinate[where]
        angle = 2 * np.pi / h * few[:: max(few.size // ENOUGH, 1)]
        common = np.mean(np.cos(angle)) + 1j * np.mean(np.sin(angle))
        phase = np.angle(common) / (2 * np.pi) if np.abs(common) > 0.5 else 0.0
        position = np.where(np.isfinite(coordinate), coordinate, -1e9) / h - phase
        interval = np.floor(position + 1e-9).astype(np.int64)
        t = np.clip(position - interval, 0.0, 1.0)
        first, last = interval[where].min(), interval[where].max()
        inside = (interval >= first) & (interval <= last)
        self.interval = np.where(inside, interval - first, 0).astype(np.int32)
        counts = np.bincount(self.interval[where], minlength=last - first + 1)
        if np.mean(counts[1:-1] == 0) > 0.2:
            raise ValueError(
                f"With knots every {h} pixels, {np.sum(counts == 0)} of {counts.size} knot "
                "intervals hold no sky pixel: the lines are not tilted enough to sample the sky "
                "that finely. Use knot_spacing=1.0 or more."
            )
        # an interval with fewer pixels than terms along the rows is not known
        self.supported = inside & (counts >= self.n_terms)[self.interval]
        self.n_knots = counts.size + TAPS - 1
        self.held = np.pad(counts, (0, TAPS - 1))  # pixels in every interval
        # and in the emptiest of the six intervals that a spline covers
        self.counts = minimum_filter1d(self.held, TAPS, origin=TAPS // 2 - 1, mode="constant")
        centre = first + 1 - TAPS // 2  # of the first spline
        self.knots = (centre + np.arange(self.n_knots) + phase) * h
        self.middles = (first + 0.5 + np.arange(counts.size) + phase) * h  # of the intervals
        self.taps = _taps(t)
        scale = inside if scale is None else np.where(inside, scale, 0.0)
        self.taps *= scale.astype(PIXEL)[..., np.newaxis]
        self._make_matrices()

    def _make_matrices(self):
        """Set up the design matrix, and its transpose, from intervals and entries."""
        n_rows, n_x = self.shape
        # one function for all rows needs no sums row by row, which is quicker
        apart = n_rows if self.n_terms > 1 else 1
        rows = np.arange(n_rows, dtype=np.int32)[:, np.newaxis, np.newaxis] % apart
        columns = rows * self.n_knots + self.interval[..., np.newaxis]
        columns = columns + np.arange(TAPS, dtype=np.int32)
        pointers = np.arange(n_rows * n_x + 1, dtype=np.int32) * TAPS
        self._matrix = csr_array(
            (self.taps.ravel(), columns.ravel(), pointers),
            shape=(n_rows * n_x, apart * self.n_knots),
        )
        self._transpose = self._matrix.T

    def __getstate__(self):
        """Leave out, for other processes, what is quickly made again and three times as large."""
        return {k: v for k, v in vars(self).items() if k not in ("_matrix", "_transpose")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._make_matrices()

    def moments(self, values):
        """Return the right-hand side of the normal equations for weighted ``values``."""
        total = (self._transpose @ values.astype(PIXEL, copy=False).ravel()).astype(float)
        if self.n_terms == 1:
            return total
        along = total.reshape(-1, self.n_knots)
        return np.ascontiguousarray((self.along.T @ along).T).ravel()

    def evaluate(self, coefficients):
        """Return the function in every pixel, array, shape (n_rows, n_x)."""
        if self.n_terms > 1:
            coefficients = self.along @ coefficients.reshape(-1, self.n_terms).T
        return (self._matrix @ coefficients.astype(PIXEL).ravel()).reshape(self.shape)

    def factorise(self, weights):
        """Sum the banded normal equations for ``weights`` and return their Cholesky factor."""
        n_terms, n_knots = self.n_terms, self.n_knots
        sums = np.zeros((TAPS, n_terms**2, n_knots))
        for start in range(0, self.shape[0], BLOCK):
            self._add_products(sums, weights, slice(start, start + BLOCK))
        band = np.zeros((TAPS * n_terms, n_knots * n_terms))
        for apart, block in enumerate(sums.reshape(TAPS, n_terms, n_terms, n_knots)):
            for k in range(n_terms):
                for other in range(k if apart == 0 else 0, n_terms):
                    band[apart * n_terms + other - k, k::n_terms] = block[k, other]
        # splines that no pixel sees are held at zero; 1e-9 of a weight moves nothing else
        band[0] += 1e-9 * np.median(band[0, band[0] > 0])
        return cholesky_banded(band, lower=True, check_finite=False)

    def _add_products(self, sums, weights, rows):
        """Add to the normal equations what some rows say of splines 0 to 5 knots apart."""
        pixels = np.flatnonzero(weights[rows])
        taps = np.ascontiguousarray(self.taps[rows].reshape(-1, TAPS)[pixels].T)
        # nearly singular ends need exact sums
        weights = weights[rows].ravel()[pixels].astype(float)
        # one function for all rows needs no sums row by row
        along = self.along[rows] if self.n_terms > 1 else self.along[:1]
        pairs = (along[:, :, np.newaxis] * along[:, np.newaxis]).reshape(len(along), -1)
        row = pixels // self.shape[1] % len(along)
        cell = self.interval[rows].ravel()[pixels] + row * self.n_knots
        for apart in range(TAPS):
            total = np.zeros(len(along) * self.n_knots)
            for m in range(TAPS - apart):
                product = weights * taps[m]
                product *= taps[m + apart]
                part = np.bincount(cell, product, total.size)
                total[m:] += part[: total.size - m]
            sums[apart] += pairs.T @ total.reshape(len(along), -1)

    def solve(self, factor, moments):
        """Return the coefficients, shape (n_knots * n_terms,)."""
        return cho_solve_banded((factor, True), moments, check_finite=False)

    def whiten(self, factor, coefficients):
        """Return the product of the transposed factor with coefficients: unit noise each."""
        result = np.zeros_like(coefficients)
        for d, diagonal in enumerate(factor):
            result[: result.size - d] += diagonal[: result.size - d] * coefficients[d:]
        return result

    def rows_of(self, pixels):
        """Return entries and coefficient numbers of the design matrix, for flat pixel numbers."""
        along = self.along[pixels // self.shape[1]]
        entries = self.taps.reshape(-1, TAPS)[pixels][:, :, np.newaxis] * along[:, np.newaxis]
        index = self.interval.ravel()[pixels, np.newaxis] + np.arange(TAPS)
        index = index[..., np.newaxis] * self.n_terms + np.arange(self.n_terms)
        return entries.reshape(len(pixels), -1), index.reshape(len(pixels), -1)

    def inverse_band(self, factor, reach=16):
        """
        Return the covariance of coefficients up to ``reach`` knots apart.

        Shape (2 reach + 1, n_terms, n_knots, n_terms): entry [reach + d, k, j, l] is that of
        c[j + d, k] with c[j, l]. The inverse of a banded matrix fades with the distance, so
        unit vectors far apart are solved for together.
        """
        period, knots = 4 * reach, np.arange(self.n_knots)
        probes = np.zeros((self.n_knots, self.n_terms, period, self.n_terms))
        for term in range(self.n_terms):
            probes[knots, term, knots % period, term] = 1.0
        flat = probes.reshape(self.n_knots * self.n_terms, -1)
        answer = self.solve(factor, flat).reshape(probes.shape)
        result = np.zeros((2 * reach + 1, self.n_terms, self.n_knots, self.n_terms))
        for d in range(-reach, reach + 1):
            here = knots[max(0, -d) : self.n_knots - max(0, d)]
            result[reach + d][:, here] = answer[here + d, :, here % period].transpose(1, 0, 2)
        return result

    def span(self, weights):
        """Return first spline and number of splines under each column's weighted pixels."""
        used = weights != 0
        first = np.min(np.where(used, self.interval, self.n_knots), axis=0)
        last = np.max(np.where(used, self.interval, 0), axis=0)
        return np.minimum(first, self.n_knots - TAPS), int(np.max(last - first, initial=0)) + TAPS

    def sum_variance(self, weights, inverse_band):
        """Return the variance per column of the sum of ``weights`` times the function."""
        n_x, reach = self.shape[1], len(inverse_band) // 2
        rows = np.flatnonzero(np.any(weights != 0, axis=1))
        if rows.size == 0:
            return np.zeros(n_x)
        first, size = self.span(weights)
        weights = weights[rows]
        local = self.interval[rows] - first
        # sum the aperture's pixels for each of the few splines that its columns see
        cell = (local + size * np.arange(n_x))[weights != 0]
        terms = np.repeat(self.along[rows], np.count_nonzero(weights, axis=1), axis=0)
        share = self.taps[rows][weights != 0] * weights[weights != 0][:, np.newaxis]
        sums = np.zeros((self.n_terms, n_x * size + TAPS - 1))
        for k in range(self.n_terms):
            for m in range(TAPS):
                total = np.bincount(cell, share[:, m] * terms[:, k], n_x * size)
                sums[k, m : m + n_x * size] += total
        sums = sums[:, : n_x * size].reshape(self.n_terms, n_x, size).transpose(2, 1, 0)
        total = np.zeros(n_x)
        for b in range(size):
            knot = np.minimum(first + b, self.n_knots - 1)
            for a in range(b, size):  # the covariance is symmetric
                block = inverse_band[reach + a - b][:, knot]
                pair = np.einsum("kxl,xl->xk", block, sums[b])
                total += (1 if a == b else 2) * np.sum(pair * sums[a], axis=1)
        return total


def _taps(t):
    """Values of the six quintic B-splines at ``t`` in 0..1, last axis 6."""
    taps = np.empty((*t.shape, TAPS), dtype=PIXEL)
    part = np.empty(t.shape, dtype=PIXEL)
    for x, side in ((1 - t, 1), (t, -1)):
        x = x.astype(PIXEL)
        for m, coefficients in enumerate(PIECES):
            part[:] = coefficients[0]
            for coefficient in coefficients[1:]:
                part *= x
                part += PIXEL(coefficient)
            taps[..., m if side > 0 else TAPS - 1 - m] = part
    return taps
