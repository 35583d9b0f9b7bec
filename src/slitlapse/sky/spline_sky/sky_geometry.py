"""Which pixels see the same sky? Splines in the effective pixel, kept from exposure to exposure."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.ndimage import maximum_filter1d
from scipy.sparse import csr_array

__all__ = ["SkyGeometry", "SplineFit"]

MAD_TO_SIGMA = 1.4826  # for a Gaussian


class SkyGeometry:
    """
    Everything about a sky fit that stays the same from exposure to exposure.

    The sky is ``sum_jk c_jk B_j(u) P_k(y)``: cubic B-splines in the effective pixel u, times
    Legendre polynomials along the slit (Kelson 2003, PASP 115, 688). Nothing is resampled: every
    pixel is compared with the spline at its own effective pixel. The spline describes the
    spectrum as pixels see it, that is, already integrated over a pixel.

    Parameters
    ----------
    effective_pixel : array, shape (n_rows, n_x), or `~specreduce.tilt_solution.TiltSolution`
        Dispersion coordinate of every pixel: equal numbers see the same wavelength.
    sky_pixels : array of bool, shape (n_rows, n_x)
        True on pixels that show sky and are good in every exposure.
    knot_spacing : float
        Distance of knots in effective pixels.
    spatial_degree : int
        Degree of the polynomial along the slit.
    variance : array, shape (n_rows, n_x), optional
        Expected variance of the sky in every pixel, for the weights; by default all are equal.

    Raises
    ------
    ValueError
        If shapes differ, no sky is left, or the tilt leaves knots without pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import SkyGeometry
    >>> y, x = np.mgrid[:60, :200]
    >>> effective = x - 0.05 * y  # lines tilted by 3 pixels
    >>> spectrum = lambda u: 100 + 1000 * np.exp(-0.5 * ((u - 90) / 2) ** 2)
    >>> geometry = SkyGeometry(effective, np.abs(y - 30) > 8)
    >>> fit = geometry.fit(spectrum(effective), read_variance=9.0)
    >>> bool(np.abs(fit.model - spectrum(effective))[fit.good].max() < 1)
    True
    """

    def __init__(
        self, effective_pixel, sky_pixels, *, knot_spacing=1.0, spatial_degree=1, variance=None
    ):
        sky_pixels = np.asarray(sky_pixels, dtype=bool)
        if hasattr(effective_pixel, "det_to_corr"):
            y, x = np.indices(sky_pixels.shape, dtype=float)
            effective_pixel = effective_pixel.det_to_corr(x, y)[0]
        self.effective_pixel = np.asarray(effective_pixel, dtype=float)
        if sky_pixels.shape != self.effective_pixel.shape:
            raise ValueError(
                f"The map of effective pixels has shape {self.effective_pixel.shape}, but the "
                f"sky pixels have {sky_pixels.shape}. Cut both to the same rows."
            )
        self.sky_pixels = sky_pixels & np.isfinite(self.effective_pixel)
        if not self.sky_pixels.any():
            raise ValueError("No sky pixel is left. Give windows that hold good pixels.")
        self.knot_spacing, self.spatial_degree = float(knot_spacing), int(spatial_degree)
        n_rows = len(self.effective_pixel)
        self._along = np.polynomial.legendre.legvander(np.linspace(-1, 1, n_rows), spatial_degree)
        self._lay_knots()
        shape = self.effective_pixel.shape
        self.variance = np.ones(shape) if variance is None else np.broadcast_to(variance, shape)
        self._factorise(self.sky_pixels / self.variance)

    def _lay_knots(self):
        """Place knots, and find the four splines that every pixel sees."""
        h, pixels = self.knot_spacing, self.effective_pixel
        # where lines are not tilted all pixels share one phase, and the knots must lie on it:
        # half-way between, a cubic spline cannot tell a zigzag from zero
        common = np.mean(np.exp(2j * np.pi / h * pixels[self.sky_pixels]))
        phase = np.angle(common) / (2 * np.pi) if np.abs(common) > 0.5 else 0.0
        position = np.where(np.isfinite(pixels), pixels, -1e9) / h - phase
        interval = np.floor(position + 1e-9).astype(np.int64)
        t = np.clip(position - interval, 0.0, 1.0)
        first, last = (f(interval[self.sky_pixels]) for f in (np.min, np.max))
        inside = (interval >= first) & (interval <= last)
        interval = np.where(inside, interval - first, 0).astype(np.int32)
        counts = np.bincount(interval[self.sky_pixels], minlength=last - first + 1)
        if np.mean(counts[1:-1] == 0) > 0.2:
            raise ValueError(
                f"With knots every {h} pixels, {np.sum(counts == 0)} of {counts.size} knot "
                "intervals hold no sky pixel: the lines are not tilted enough to sample the sky "
                "that finely. Use knot_spacing=1.0 or more."
            )
        # an interval with fewer pixels than terms along the slit is not known
        self.supported = inside & (counts > self.spatial_degree)[interval]
        s = 1.0 - t
        taps = np.stack([s**3, 4 - 3 * t**2 * (1 + s), 4 - 3 * s**2 * (1 + t), t**3], -1) / 6
        taps[~inside] = 0.0
        self.n_knots = counts.size + 3
        self.first_knot = (first - 1 + phase) * h  # centre of the first spline
        self._interval, self._taps = interval.ravel(), taps.reshape(-1, 4)
        self._n_terms = self.spatial_degree + 1
        rows = np.arange(len(pixels), dtype=np.int32)[:, np.newaxis, np.newaxis]
        columns = rows * self.n_knots + interval[..., np.newaxis] + np.arange(4, dtype=np.int32)
        pointers = np.arange(pixels.size + 1, dtype=np.int32) * 4
        self._splines = csr_array(
            (self._taps.ravel(), columns.ravel(), pointers),
            shape=(pixels.size, len(pixels) * self.n_knots),
        )
        self._splines_back = self._splines.T

    def _factorise(self, weights):
        """Sum the banded normal equations and take their Cholesky factor."""
        n_terms, n_knots = self._n_terms, self.n_knots
        band = np.zeros((4 * n_terms, n_knots * n_terms))
        pairs = (self._along[:, :, np.newaxis] * self._along[:, np.newaxis]).reshape(-1, n_terms**2)
        n_rows, self._weights, weights = len(self._along), weights, weights.ravel()
        cell = np.repeat(np.arange(n_rows) * n_knots, weights.size // n_rows) + self._interval
        for apart in range(4):
            total = np.zeros(n_rows * n_knots)
            for m in range(4 - apart):
                product = weights * self._taps[:, m] * self._taps[:, m + apart]
                total[m:] += np.bincount(cell, product, n_rows * n_knots)[: total.size - m]
            block = (pairs.T @ total.reshape(n_rows, n_knots)).reshape(n_terms, n_terms, n_knots)
            for k in range(n_terms):
                for other in range(k if apart == 0 else 0, n_terms):
                    band[apart * n_terms + other - k, k::n_terms] = block[k, other]
        diagonal = band[0]
        # splines that no pixel sees are held at zero; 1e-9 of a weight moves nothing else
        diagonal += 1e-9 * np.median(diagonal[diagonal > 0])
        self._cholesky = cholesky_banded(band, lower=True, check_finite=False)

    def weighted(self, variance, weights=None):
        """Return this geometry with weights for the given expected variance of the sky."""
        new = object.__new__(SkyGeometry)
        new.__dict__.update(self.__dict__)
        new.__dict__.pop("covariance", None)
        new.variance = np.broadcast_to(np.asarray(variance, dtype=float), self.sky_pixels.shape)
        new._factorise(new.sky_pixels / new.variance if weights is None else weights)
        return new

    def _solve(self, moments):
        return cho_solve_banded((self._cholesky, True), moments, check_finite=False)

    def evaluate(self, coefficients):
        """Return the sky in every pixel, NaN where the sky pixels do not reach."""
        along = self._along @ coefficients.reshape(-1, self._n_terms).T
        return (self._splines @ along.ravel()).reshape(self.sky_pixels.shape)

    def _moments(self, values):
        along = (self._splines_back @ values.ravel()).reshape(-1, self.n_knots)
        return np.ascontiguousarray((self._along.T @ along).T).ravel()

    def fit(self, data, read_variance, *, photon_factor=1.0, mask=None, sigma=6.0, maxiters=3):
        """
        Fit the sky of one exposure.

        Parameters
        ----------
        data : array, shape (n_rows, n_x)
            Image in electron.
        read_variance : float or array, shape (n_rows, n_x)
            Variance that is there without sky (read noise, dark current), in electron squared.
        photon_factor : float or array, shape (n_rows, n_x)
            Variance per count of sky: 1 for electrons, 1/s where the image was divided by s.
        mask : array of bool, shape (n_rows, n_x), optional
            True on pixels that are bad in this exposure.
        sigma : float or None
            Pixels further than this from the fit are rejected; None keeps all.
        maxiters : int
            Rounds of rejection at most.

        Returns
        -------
        `SplineFit`
        """
        data = np.asarray(data, dtype=float)
        bad = ~np.isfinite(data) if mask is None else mask | ~np.isfinite(data)
        if bad.any():
            data = np.where(bad, 0.0, data)
        sky, weights = self.sky_pixels, self._weights
        everything = self._moments(weights * data)
        static = bad & sky
        left_out = static if sigma is None else static | _glaring(data, sky & ~bad, read_variance)
        limit = None
        for i in range(int(maxiters) + 1):
            coefficients = self._without(everything, data, weights, np.flatnonzero(left_out))
            model = self.evaluate(coefficients)
            variance = read_variance + photon_factor * np.maximum(model, 0.0)
            if sigma is None or i == maxiters:
                break
            square = (data - model) ** 2
            if limit is None:
                limit = _column_limit(square, variance, sky, sigma)
            wild = static | (sky & (square > limit * variance))
            if np.array_equal(wild, left_out):
                break
            left_out = wild
        return SplineFit(self, coefficients, model, variance, sky & ~left_out)

    def _without(self, everything, data, weights, pixels):
        """
        Solve with some pixels left out.

        Each is replaced by the model and the solution repeated until it stands still: that is
        the least-squares solution without them, and needs no new factor (few pixels are
        missing, so each round shrinks the error by their share, some hundred times).
        """
        if pixels.size == 0:
            return self._solve(everything)
        taps, along = self._taps[pixels], self._along[pixels // data.shape[1]]
        index = (self._interval[pixels, np.newaxis] + np.arange(4))[..., np.newaxis]
        index = (index * self._n_terms + np.arange(self._n_terms)).reshape(len(pixels), -1)
        design = (taps[:, :, np.newaxis] * along[:, np.newaxis]).reshape(len(pixels), -1)
        weight, replaced = weights.ravel()[pixels], data.ravel()[pixels]

        def spread(values):
            total = design * (weight * values)[:, np.newaxis]
            return np.bincount(index.ravel(), total.ravel(), everything.size)

        others = everything - spread(replaced)
        coefficients, replaced = self._solve(others), np.zeros(len(pixels))
        for _ in range(8):
            before, replaced = replaced, np.einsum("pi,pi->p", design, coefficients[index])
            coefficients = self._solve(others + spread(replaced))
            if np.all((replaced - before) ** 2 * weight < 1e-6):
                return coefficients
        kept = weights.copy().ravel()
        kept[pixels] = 0.0
        return self.weighted(self.variance, kept)._solve(others)

    @cached_property
    def covariance(self):
        """
        Covariance of spline coefficients up to ``reach`` knots apart.

        Shape (2 reach + 1, n_terms, n_knots, n_terms): entry [reach + d, k, j, l] is that of
        c[j + d, k] with c[j, l]. The inverse of a banded matrix fades with the distance, so
        unit vectors far apart are solved for together.
        """
        reach, n_terms = 16, self._n_terms
        period = 4 * reach
        probes = np.zeros((self.n_knots, n_terms, period, n_terms))
        knots = np.arange(self.n_knots)
        for term in range(n_terms):
            probes[knots, term, knots % period, term] = 1.0
        answer = self._solve(probes.reshape(self.n_knots * n_terms, -1)).reshape(probes.shape)
        result = np.zeros((2 * reach + 1, n_terms, self.n_knots, n_terms))
        for d in range(-reach, reach + 1):
            here = knots[max(0, -d) : self.n_knots - max(0, d)]
            result[reach + d][:, here] = answer[here + d, :, here % period].transpose(1, 0, 2)
        return result

    def aperture_variance(self, weights, variance=None):
        """
        Return the variance per column of the sum of ``weights`` times the sky model.

        Parameters
        ----------
        weights : array, shape (n_rows, n_x)
            Weight of every pixel: 1 in a boxcar aperture, the optimal weights otherwise.
        variance : array, shape (n_rows, n_x), optional
            Variance of the pixels of this exposure, if it is not the one the weights were made
            for; the result is scaled by the mean ratio in the aperture, column by column.

        Returns
        -------
        array, shape (n_x,)
            Variance with the covariance between pixels; NaN where the aperture holds pixels
            without sky model.
        """
        n_rows, n_x = self.sky_pixels.shape
        n_terms, reach = self._n_terms, len(self.covariance) // 2
        rows = np.flatnonzero(np.any(weights != 0, axis=1))
        if rows.size == 0:
            return np.zeros(n_x)
        interval = self._interval.reshape(n_rows, n_x)[rows]
        first = np.min(np.where(weights[rows] != 0, interval, self.n_knots), axis=0)
        first = np.minimum(first, self.n_knots - 4)
        local = np.clip(interval - first, 0, None)
        size = int(local.max(where=weights[rows] != 0, initial=0)) + 4
        if size > reach:
            raise ValueError(
                f"The lines are tilted by {size - 4} knots within the aperture; "
                f"{reach - 4} is the most that is supported. Use a narrower aperture."
            )
        sums = np.zeros((n_x, size, n_terms))
        column = np.arange(n_x)
        taps = self._taps.reshape(n_rows, n_x, 4)
        for i, row in enumerate(rows):
            for m in range(4):
                share = weights[row] * taps[row, :, m]
                where = np.minimum(local[i] + m, size - 1)
                sums[column, where] += share[:, np.newaxis] * self._along[row]
        total = np.zeros(n_x)
        for a in range(size):
            for b in range(size):
                knot = np.minimum(first + b, self.n_knots - 1)
                block = self.covariance[reach + a - b][:, knot]
                total += np.einsum("xk,kxl,xl->x", sums[:, a], block, sums[:, b])
        if variance is not None:
            square = weights[rows] ** 2
            now, then = (np.sum(square * v[rows], axis=0) for v in (variance, self.variance))
            total *= np.divide(now, then, out=np.ones(n_x), where=then > 0)
        unknown = np.any((weights[rows] != 0) & ~self.supported[rows], axis=0)
        return np.where(unknown, np.nan, total)


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
    """

    geometry: SkyGeometry
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


def _glaring(data, use, read_variance):
    """
    Find hits so bright that one would spoil the first fit around it.

    A pixel is one if it is far above the brightest tenth of all columns nearby.
    """
    few = np.where(use, data, -np.inf)[:: max(len(data) // 100, 1)].T
    level = np.partition(few, int(0.9 * few.shape[1]), axis=1)[:, int(0.9 * few.shape[1])]
    level = np.maximum(maximum_filter1d(level, 17), 0.0)
    noise = np.sqrt(read_variance + level)
    return use & ((data > 1.5 * level + 20 * noise) | (data < -20 * noise))


def _column_limit(square, variance, sky, sigma):
    """
    Return the largest square of a residual, in units of its variance, that is no outlier.

    Where the model does not follow the sky (a wrong tilt), the residuals of whole columns
    scatter by more than the noise; the limit grows with them, so that lines are not rejected.
    """
    limit = np.full(square.shape[1], float(sigma) ** 2)
    columns = np.flatnonzero(np.any(sky & (square > sigma**2 * variance), axis=0))
    step = max(len(square) // 100, 1)
    few = (square[::step, columns] / variance[::step, columns]).T
    use = sky[::step, columns].T
    # unused pixels alternate between the two ends and leave the median where it is
    ends = np.where(np.cumsum(~use, axis=1) % 2 == 0, 0.0, np.inf)
    middle = few.shape[1] // 2
    scatter = np.partition(np.where(use, few, ends), middle, axis=1)[:, middle]
    limit[columns] *= np.maximum(MAD_TO_SIGMA**2 * scatter, 1.0)
    return limit
