"""Which pixels see the same sky? Splines in the effective pixel, kept from exposure to exposure."""

import copy
import warnings
from functools import cached_property

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy.ndimage import maximum_filter1d

from .aperture_band import make_band
from .banded_splines import BandedSplines
from .one_spectrum import separate
from .spline_fit import SplineFit

__all__ = ["IlluminationWarning", "SkyGeometry", "SplineFit"]

MAD_TO_SIGMA = 1.4826  # for a Gaussian
SPARE_ROWS = 6  # on each side of a star's window, for its drift
MOST_BANDS = 12  # windows that are remembered


class IlluminationWarning(AstropyUserWarning):
    """The sky is not one spectrum times the illumination of the slit."""


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
    knot_spacing : float, optional
        Distance of knots in effective pixels. By default 0.75 where the lines are tilted enough
        (by 1.5 pixels over the rows), which follows lines of 2.8 pixels FWHM; else 1.
    spatial_degree : int
        Degree of the polynomial along the slit.
    illumination : array, shape (n_rows, n_x), optional
        Factor by which every pixel sees the sky; 1 by default. Where it is known (see
        `with_illumination`), ``spatial_degree=0`` will do, and all rows measure one spectrum.
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
        self, effective_pixel, sky_pixels, *, knot_spacing=None, spatial_degree=2,
        illumination=None, variance=None,
    ):  # fmt: skip
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
        if knot_spacing is None:
            knot_spacing = 0.75 if self._least_tilt() > 1.5 else 1.0
        self.knot_spacing, self.spatial_degree = float(knot_spacing), int(spatial_degree)
        self.illumination = illumination
        self._splines = BandedSplines(
            self.effective_pixel, self.sky_pixels, knot_spacing, spatial_degree, illumination
        )
        self.is_weighted = variance is not None
        self._weigh(variance if self.is_weighted else np.ones(sky_pixels.shape))

    def _least_tilt(self):
        """Return how far lines are tilted over the sky rows, in the least tilted column."""
        few = slice(None, None, max(self.sky_pixels.shape[1] // 64, 1))
        sky, effective = self.sky_pixels[:, few], self.effective_pixel[:, few]
        highest = np.max(effective, axis=0, where=sky, initial=-np.inf)
        lowest = np.min(effective, axis=0, where=sky, initial=np.inf)
        return np.min((highest - lowest)[sky.any(axis=0)])

    def _weigh(self, variance, left_out=None):
        """Set the weights and factorise the normal equations."""
        self.variance = np.broadcast_to(np.asarray(variance, dtype=float), self.sky_pixels.shape)
        keep = self.sky_pixels if left_out is None else self.sky_pixels & ~left_out
        self._weights = keep / self.variance
        self._factor = self._splines.factorise(self._weights)
        self._covariances, self._bands = {}, []

    @property
    def supported(self):
        """Pixels whose sky is known, array of bool, shape (n_rows, n_x)."""
        return self._splines.supported

    def _covariance(self, size):
        """Return the covariance of splines up to ``size`` apart, made once."""
        reach = 16
        while reach < size:  # lines tilted a lot within the aperture
            reach *= 2
        if reach not in self._covariances:
            self._covariances[reach] = self._splines.inverse_band(self._factor, reach)
        return self._covariances[reach]

    def band(self, first_row, n_rows):
        """
        Return the covariance of the sky in the rows around a star, ready for any weights.

        Made once and kept, with rows to spare for a star that drifts.

        Parameters
        ----------
        first_row : array of int, shape (n_x,)
            First row of the window in each column; may lie outside the image.
        n_rows : int
            Number of rows of the window.

        Returns
        -------
        `ApertureBand`
        """
        first_row = np.asarray(first_row)
        for band in self._bands:
            if band.holds(first_row, n_rows):
                return band.cut(first_row, n_rows)
        self._bands = self._bands[1 - MOST_BANDS :]
        wide = first_row - SPARE_ROWS, n_rows + 2 * SPARE_ROWS
        self._bands.append(make_band(self._splines, self._covariance, self.supported, *wide))
        return self._bands[-1].cut(first_row, n_rows)

    def weighted(self, variance, left_out=None):
        """
        Return this geometry with weights for the given expected variance of the sky.

        Parameters
        ----------
        variance : array, shape (n_rows, n_x)
            For example `SplineFit.variance` of the first exposure.
        left_out : array of bool, shape (n_rows, n_x), optional
            Sky pixels to leave out.
        """
        new = copy.copy(self)
        new.is_weighted = True
        new._weigh(variance, left_out)
        return new

    def with_illumination(self, fit, smoothness=2):
        """
        Return a geometry in which the sky is one spectrum times the illumination of the slit.

        A free polynomial of degree 2 for every knot costs half of the information on the sky
        under a star. But it is the slit that makes the sky differ, whatever the wavelength: so
        the ratios of coefficients become polynomials in the effective pixel.

        Parameters
        ----------
        fit : `SplineFit`
            Of a good exposure, or of the mean of many, by a geometry with polynomials.
        smoothness : int
            Degree of the ratios in the effective pixel.

        Returns
        -------
        `SkyGeometry`
            With ``spatial_degree`` 0, weighted for the sky of ``fit``.

        Warns
        -----
        IlluminationWarning
            If one spectrum describes the sky much worse than the polynomials did.
        """
        used = fit.geometry
        if not used.is_weighted:  # its errors would not be in units of the noise
            used = used.weighted(fit.variance)
        old = used._splines
        middle, reach = np.mean(old.knots), np.ptp(old.knots) / 2
        slow = np.polynomial.legendre.legvander((old.knots - middle) / reach, smoothness)
        _, ratios, misfit = separate(used._factor, fit.coefficients, slow)
        t = np.clip((self.effective_pixel - middle) / reach, -1, 1)
        illumination = np.ones(t.shape)
        for k, ratio in enumerate(ratios, start=1):
            across = np.polynomial.legendre.legval(t, ratio)
            illumination += across * old.along[:, k, np.newaxis]
        new = SkyGeometry(
            self.effective_pixel, self.sky_pixels, knot_spacing=self.knot_spacing,
            spatial_degree=0, illumination=illumination, variance=fit.variance,
        )  # fmt: skip
        new.illumination_misfit = misfit
        if misfit > 2.0:
            warnings.warn(
                f"One spectrum times the slit's illumination fits {misfit:.1f} times worse than "
                "noise: the sky changes along the slit in other ways (scattered light, nebula, "
                "wings of stars). Keep the polynomials along the slit.",
                IlluminationWarning,
                stacklevel=2,
            )
        return new

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
        everything = self._splines.moments(weights * data)
        static = bad & sky
        left_out = static if sigma is None else static | self._glaring(data, ~bad, read_variance)
        limit = None
        for i in range(int(maxiters) + 1):
            coefficients = self._without(everything, data, weights, np.flatnonzero(left_out))
            model = self._splines.evaluate(coefficients)
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

    @cached_property
    def _straight(self):
        """Rows (about 100) and the columns in them nearest to the middle of each interval."""
        splines, n_x = self._splines, self.sky_pixels.shape[1]
        rows = np.arange(0, len(self.sky_pixels), max(len(self.sky_pixels) // 100, 1))
        middles = splines.knots[1:-2] + splines.spacing / 2
        column = np.arange(n_x)
        found = [np.interp(middles, self.effective_pixel[row], column, -9, -9) for row in rows]
        columns = np.rint(found).astype(int)
        use = (columns >= 0) & self.sky_pixels[rows[:, np.newaxis], columns]
        return rows[:, np.newaxis], columns, use

    def _glaring(self, data, good, read_variance):
        """
        Find hits so bright that one would spoil the first fit around it.

        A pixel is one if it is far above what the brightest tenth of the rows show nearby at
        the same wavelength.
        """
        rows, columns, use = self._straight
        use = use & good[rows, columns]
        few = np.where(use, data[rows, columns], -np.inf).T
        rank = int(0.9 * few.shape[1])
        level = np.partition(np.ascontiguousarray(few), rank, axis=1)[:, rank]
        level = np.maximum(maximum_filter1d(level, 5), 0.0)
        noise = np.sqrt(np.median(read_variance) + level)
        high, low = 1.5 * level + 20 * noise, -20 * noise
        high[np.count_nonzero(use, axis=0) < 0.2 * len(rows)] = np.inf
        cell = self._splines.interval
        return self.sky_pixels & good & ((data > high[cell]) | (data < low[cell]))

    def _without(self, everything, data, weights, pixels):
        """
        Solve with some pixels left out, by conjugate gradients that start from all pixels.

        Some rounds do, each much cheaper than a new factor.
        """
        splines, solve = self._splines, lambda moments: self._splines.solve(self._factor, moments)
        if pixels.size == 0:
            return solve(everything)
        design, index = splines.rows_of(pixels)
        weight = weights.ravel()[pixels]

        def spread(values):
            total = design * (weight * values)[:, np.newaxis]
            return np.bincount(index.ravel(), total.ravel(), everything.size)

        def missing(coefficients):
            return spread(np.einsum("pi,pi->p", design, coefficients[index]))

        solution = solve(everything - spread(data.ravel()[pixels]))
        residual = missing(solution)
        step = preconditioned = solve(residual)
        image = residual  # of the step, under the normal equations of all pixels
        error = residual @ preconditioned
        for _ in range(40):
            if error < 1e-9:  # chi-square, in the metric of all pixels, that is still missing
                return solution
            change = image - missing(step)
            length = error / (step @ change)
            solution, residual = solution + length * step, residual - length * change
            preconditioned, before = solve(residual), error
            error = residual @ preconditioned
            step = preconditioned + error / before * step
            image = residual + error / before * image
        left_out = np.zeros(data.size, dtype=bool)
        left_out[pixels] = True
        exact = self.weighted(self.variance, left_out.reshape(data.shape))
        return splines.solve(exact._factor, everything - spread(data.ravel()[pixels]))

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
        weights = np.asarray(weights, dtype=float)
        unknown = np.any((weights != 0) & ~self.supported, axis=0)
        weights = np.where(self.supported, weights, 0.0)  # others have no spline of their own
        covariance = self._covariance(self._splines.span(weights)[1])
        total = self._splines.sum_variance(weights, covariance)
        if variance is not None:
            square = weights**2
            now, then = (np.sum(square * v, axis=0) for v in (variance, self.variance))
            total *= np.divide(now, then, out=np.ones(total.size), where=then > 0)
        return np.where(unknown, np.nan, total)


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
