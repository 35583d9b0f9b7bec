"""Which pixels see the same sky? Splines in the effective pixel, kept from exposure to exposure."""

import copy
from functools import cached_property

import numpy as np

from .aperture_band import make_band
from .banded_splines import PIXEL, BandedSplines
from .left_out import solve_without
from .one_spectrum import IlluminationWarning, slit_illumination
from .outliers import WavelengthCuts, column_limit
from .spline_fit import SplineFit

__all__ = ["IlluminationWarning", "SkyGeometry", "SplineFit"]

SPARE_ROWS = 6  # on each side of a star's window, for its drift
SETTLED = 0.1  # of a pixel's noise; what changes by less hides no outlier
MOST_BANDS = 12  # windows that are remembered


class SkyGeometry:
    """
    Everything about a sky fit that stays the same from exposure to exposure.

    The sky is ``sum_jk c_jk B_j(u) P_k(y)``: quintic B-splines in the effective pixel u, times
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
        Distance of knots in effective pixels. By default 0.9 where the lines are tilted enough
        (by 1.5 pixels over the rows), which follows lines of 2.5 pixels FWHM to 1 / 500 of their
        peak; else 1.
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
            knot_spacing = 0.9 if self._least_tilt() > 1.5 else 1.0
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
        self._weights = (keep / self.variance).astype(PIXEL)
        self._factor = self._splines.factorise(self._weights)
        self._covariances, self._bands, self._prepared = {}, [], []
        # of the weights in each interval between knots
        cells, n_knots = self._splines.interval.ravel(), self._splines.n_knots
        self._information = np.bincount(cells, self._weights.ravel(), n_knots)

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

    def prepare(self, first_row, n_rows, spare=12):
        """
        Work out the covariance of the sky around a star before any exposure is looked at.

        `band` then gives the same numbers in whatever order, and by whatever process, the
        exposures are measured.

        Parameters
        ----------
        first_row : array of int, shape (n_x,)
            First row of the star's usual window in each column.
        n_rows : int
            Number of rows of the window.
        spare : int
            Rows on each side for the star's drift; one that goes farther is slower.
        """
        self._prepared.append(self._make_band(np.asarray(first_row), n_rows, spare))

    def band(self, first_row, n_rows):
        """
        Return the covariance of the sky in the rows around a star, ready for any weights.

        What was not prepared is made when it is first asked for, with rows to spare, and kept.

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
        for band in self._prepared or self._bands:
            if band.holds(first_row, n_rows):
                return band.cut(first_row, n_rows)
        made = self._make_band(first_row, n_rows, SPARE_ROWS)
        if not self._prepared:  # else other exposures must not depend on this one
            self._bands = [*self._bands[1 - MOST_BANDS :], made]
        return made.cut(first_row, n_rows)

    def _make_band(self, first_row, n_rows, spare):
        wide = first_row - spare, n_rows + 2 * spare
        return make_band(self._splines, self._covariance, self.supported, *wide)

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
        illumination, misfit = self.find_illumination(fit, smoothness)
        new = SkyGeometry(
            self.effective_pixel, self.sky_pixels, knot_spacing=self.knot_spacing,
            spatial_degree=0, illumination=illumination, variance=fit.variance,
        )  # fmt: skip
        new.illumination_misfit = misfit
        return new

    def find_illumination(self, fit, smoothness=2):
        """
        Find by how much the slit makes the sky brighter or fainter, without a new geometry.

        Parameters
        ----------
        fit, smoothness
            As in `with_illumination`, whose warning this gives.

        Returns
        -------
        illumination : array, shape (n_rows, n_x)
            For ``SkyGeometry(..., spatial_degree=0, illumination=)``.
        misfit : float
            By how many times one spectrum times the illumination fits worse than noise.
        """
        return slit_illumination(fit, smoothness)

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
        data = np.asarray(data, dtype=PIXEL)
        bad = ~np.isfinite(data) if mask is None else mask | ~np.isfinite(data)
        if bad.any():
            data = np.where(bad, PIXEL(0), data)
        sky, everything = self.sky_pixels, self._splines.moments(self._weights * data)
        noise = (np.asarray(part, dtype=PIXEL) for part in (photon_factor, read_variance))
        photon_factor, read_variance = noise
        out = static = np.flatnonzero(bad & sky)
        if sigma is not None:
            out = np.union1d(static, self._cuts.glaring(data, ~bad, read_variance))
        coefficients, settled = self._solve(everything, data, out), sigma is None
        for rounds_left in range(int(maxiters), -1, -1):
            model = self._splines.evaluate(coefficients)
            variance = np.maximum(model, 0)
            variance *= photon_factor
            variance += read_variance
            if settled or rounds_left == 0:
                break
            square = np.square(data - model)
            wild = np.flatnonzero(square > PIXEL(sigma**2) * variance)
            wild = wild[sky.ravel()[wild]]
            # anew in each round: around a long hit the first residuals scatter a lot
            limit = column_limit(square, variance, sky, sigma, wild)
            limits = limit[wild % data.shape[1]] * variance.ravel()[wild]
            wild = np.union1d(static, wild[square.ravel()[wild] > limits])
            if np.array_equal(wild, out):
                break
            out, before = wild, coefficients
            coefficients = self._solve(everything, data, out)
            settled = self._change(before, coefficients) < SETTLED
        used = sky.copy()
        used.ravel()[out] = False
        return SplineFit(self, coefficients, model, variance, used)

    def _change(self, before, after):
        """Return by how much of a pixel's noise the sky has changed, where it has most."""
        change = np.abs(after - before).reshape(-1, self._splines.n_terms).sum(axis=1)
        return np.max(change * np.sqrt(self._information / np.maximum(self._splines.counts, 1)))

    @cached_property
    def _cuts(self):
        return WavelengthCuts(self._splines, self.effective_pixel, self.sky_pixels)

    def _solve(self, everything, data, pixels):
        """Return the coefficients with some pixels left out."""
        found = solve_without(self._splines, self._factor, everything, data, self._weights, pixels)
        if found is not None:
            return found
        left_out = np.zeros(data.size, dtype=bool)
        left_out[pixels] = True
        exact = self.weighted(self.variance, left_out.reshape(data.shape))
        return exact._splines.solve(exact._factor, exact._splines.moments(exact._weights * data))

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
