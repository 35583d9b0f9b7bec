"""The sky of every exposure, by the method that ``night.toml`` names."""

import warnings
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from slitlapse.automation.sky_places import (
    chosen_windows,
    clear_of_stars,
    needed_slice,
    whole_slit,
    without_stars,
)
from slitlapse.sky import (
    IlluminationWarning,
    SkyGeometry,
    SkyTiltError,
    SkyTiltWarning,
    fit_columns,
    measure_sky_tilt,
)

__all__ = ["SkyModel", "SkyPlan", "plan_sky"]

SLIT_DEGREE = 3  # along the slit, of its illumination, which costs hardly any noise
FREE_DEGREE = 2  # the same where every wavelength has a polynomial of its own


@dataclass(frozen=True)
class SkyModel:
    """
    The sky under one star in one exposure.

    Parameters
    ----------
    image : array, shape (n_y, n_x)
        In electron; NaN where it is not known.
    aperture_variance : `ApertureVariance`
        Takes weights of the frame's shape, gives the variance of the weighted sum of the
        model, shape (n_x,).
    """

    image: np.ndarray
    aperture_variance: object


@dataclass(frozen=True, eq=False)
class ApertureVariance:
    """
    How well the tilted sky is known in a weighted sum of pixels.

    Parameters
    ----------
    fit : `~slitlapse.sky.SplineFit`
        Of the rows ``rows`` of the frame.
    rows : slice
    """

    fit: object
    rows: slice

    def __call__(self, weights):
        """Variance of the sum of the model with weights of the frame's shape, shape (n_x,)."""
        return self.fit.aperture_variance(weights[self.rows])

    def cut(self, window):
        """The same for weights in the cut-out of a `~slitlapse.extraction.RowWindow`, faster."""
        return self.fit.around(window.first_row - self.rows.start, window.n_rows)


@dataclass(frozen=True, eq=False)
class ColumnVariance:
    """
    How well a sky that was fitted column by column is known in a weighted sum of pixels.

    Parameters
    ----------
    fit : `~slitlapse.sky.ColumnFit`
    rows : slice
    """

    fit: object
    rows: slice

    def __call__(self, weights):
        """Variance of the sum of the model with weights of the frame's shape, shape (n_x,)."""
        rows = np.arange(self.rows.start, self.rows.stop)
        return self.fit.aperture_variance(weights[self.rows], rows)

    def cut(self, window):
        """The same for weights in the cut-out of a `~slitlapse.extraction.RowWindow`, faster."""
        return partial(self.fit.aperture_variance, rows=window.rows)


@dataclass(frozen=True)
class SkyPlan:
    """
    How and where to model the sky of every exposure.

    Parameters
    ----------
    method : str
        ``"tilted"``, ``"polynomial"`` or ``"median"``.
    pixels : dict of str to array of bool, shape (n_y, n_x)
        For each star the pixels that show sky.
    variance : array, shape (n_y, n_x)
        Read-noise variance in the corrected frame, electron squared.
    photon_factor : float or array
        Variance of one electron of sky in the corrected frame: 1 over the sensitivity.
    geometry : `~slitlapse.sky.SkyGeometry`, optional
        Of the tilted sky, for the rows ``rows``.
    rows : slice, optional
    windows : dict of str to `~slitlapse.sky.SkyWindows`
        Where the sky of each star is, in words that replay.
    """

    method: str
    pixels: dict
    variance: np.ndarray
    photon_factor: object = 1.0
    geometry: SkyGeometry | None = None
    rows: slice | None = None
    windows: dict = field(default_factory=dict)

    def fit(self, frame, shifts):
        """
        Model the sky of one exposure.

        Parameters
        ----------
        frame : `~astropy.nddata.CCDData`, shape (n_y, n_x)
            In electron.
        shifts : dict
            The stars and their shifts.

        Returns
        -------
        dict of str to SkyModel
        """
        data, mask = frame.data, frame.mask
        if self.method == "tilted":
            return dict.fromkeys(shifts, self._fit_tilted(data, mask))
        bad = ~np.isfinite(data) if mask is None else mask | ~np.isfinite(data)
        return {name: self._fit_columns(data, bad, name) for name in shifts}

    def prepare(self, window):
        """Work out once, before any exposure, what is needed around a star (`RowWindow`)."""
        if self.geometry is not None:
            self.geometry.prepare(window.first_row - self.rows.start, window.n_rows)

    def _fit_tilted(self, data, mask):
        rows = self.rows
        factor = self.photon_factor
        fit = self.geometry.fit(
            data[rows],
            self.variance[rows],
            photon_factor=factor if np.isscalar(factor) else factor[rows],
            mask=None if mask is None else mask[rows],
        )
        image = np.empty(data.shape, dtype=fit.model.dtype)
        image[: rows.start], image[rows.stop :] = np.nan, np.nan
        image[rows] = fit.model
        if not fit.good.all():
            image[rows][~fit.good] = np.nan
        return SkyModel(image, ApertureVariance(fit, rows))

    def _fit_columns(self, data, bad, name):
        pixels, factor = self.pixels[name], self.photon_factor
        used = np.flatnonzero(pixels.any(axis=1))
        windows = slice(used[0], used[-1] + 1)
        fit = fit_columns(
            data[windows],
            pixels[windows] & ~bad[windows],
            self.variance[windows],
            rows=np.arange(windows.start, windows.stop),
            degree=0 if self.method == "median" else 1,
            statistic="median" if self.method == "median" else "average",
            photon_factor=factor if np.isscalar(factor) else factor[windows],
        )
        # windows on one side only still have to reach the star
        rows = np.arange(self.rows.start, self.rows.stop)
        image = np.full(data.shape, np.nan)
        image[self.rows] = fit.evaluate(rows)
        return SkyModel(image, ColumnVariance(fit, self.rows))


def plan_sky(night, placement, calibration, read_noise, tilt, half_rows, notes):
    """
    Decide where the sky is and how to model it, once for all exposures of a placement.

    Parameters
    ----------
    night : Night
    placement : Placement
    calibration : Calibration
    read_noise : array, shape (n_y, n_x)
        In electron, before the division by the sensitivity.
    tilt : array, shape (n_y, n_x), or None
        Effective dispersion coordinate of every pixel, from the arcs. Without it, the sky lines
        of the mean frame are asked.
    half_rows : int
        Rows on each side of a star that the sky must cover.
    notes : list of str
        Gets a sentence where the method asked for is not possible.

    Returns
    -------
    SkyPlan
    """
    shape = placement.image.data.shape
    sensitivity = 1.0
    if calibration.door.sensitivity is not None:
        sensitivity = np.asarray(calibration.door.sensitivity.sensitivity, float)
    lit = None if calibration.illuminated is None else calibration.illuminated.mask
    variance = np.broadcast_to((read_noise / sensitivity) ** 2, shape)
    plan = SkyPlan("tilted", {}, variance, 1 / sensitivity)
    if night.sky_method == "tilted":
        places = whole_slit if night.sky_windows is None else chosen_windows
        plan = replace(plan, **places(night, placement, lit))
        mean = without_stars(placement, lit)
        sky = clear_of_stars(night, placement, plan.pixels)
        tilt = tilt if tilt is not None else tilt_of_sky(mean, sky, notes)
        if tilt is not None:
            plan = replace(plan, rows=needed_slice(placement, sky, half_rows))
            return replace(plan, geometry=_geometry(plan, mean, sky, tilt, notes))
    method = "polynomial" if night.sky_method == "tilted" else night.sky_method
    plan = replace(plan, method=method, **chosen_windows(night, placement, lit))
    every = np.logical_or.reduce(list(plan.pixels.values()))
    return replace(plan, rows=needed_slice(placement, every, half_rows))


def _geometry(plan, mean, sky, tilt, notes):
    """Prepare the splines in the effective pixel on the mean of the exposures."""
    rows = plan.rows
    factor = plan.photon_factor if np.isscalar(plan.photon_factor) else plan.photon_factor[rows]

    def fit(geometry):
        return geometry.fit(mean[rows], plan.variance[rows], photon_factor=factor)

    def weigh(tilt, degree):
        geometry = SkyGeometry(tilt[rows], sky[rows], spatial_degree=degree)
        return geometry.weighted(fit(geometry).variance)

    def one_spectrum(tilt):
        geometry = weigh(tilt, SLIT_DEGREE)
        first = fit(geometry)
        with warnings.catch_warnings():
            warnings.simplefilter("error", IlluminationWarning)
            try:
                illumination, _ = geometry.find_illumination(first)
            except IlluminationWarning:
                return None
        known = {"illumination": illumination, "variance": first.variance}
        del geometry, first  # two would be a gigabyte on large frames
        return SkyGeometry(tilt[rows], sky[rows], spatial_degree=0, **known)

    geometry, moved = one_spectrum(tilt), None
    if geometry is None:  # because lines are not where the arcs had them?
        moved = _moved_since(tilt, mean, sky)
        if moved is not None:
            geometry = one_spectrum(tilt - moved)
    if geometry is None:
        notes.append(
            "The sky is not one spectrum times the illumination of the slit: at every wavelength "
            "it is a polynomial of its own along the slit, which is noisier"
        )
        return weigh(tilt, FREE_DEGREE)
    if moved is not None:
        notes.append(
            f"The lines of the sky are tilted by up to {np.ptp(moved[rows], axis=0).max():.2f} "
            "pixels otherwise than those of the arcs; the tilt of the sky's own lines is used"
        )
    return geometry


def _moved_since(tilt, mean, sky):
    """Measure on the sky lines how far they lie from where the arcs say; None if they cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkyTiltWarning)
        try:
            return measure_sky_tilt(mean, sky, guess=tilt).displacement()
        except (SkyTiltError, SkyTiltWarning):
            return None


def tilt_of_sky(mean, sky, notes):
    """
    Measure the tilt of the sky's own lines, where no arc tells it.

    Parameters
    ----------
    mean : array, shape (n_y, n_x)
        Mean of the exposures, without stars.
    sky : array of bool, shape (n_y, n_x)
    notes : list of str
        Gets a sentence that says what was done.

    Returns
    -------
    array, shape (n_y, n_x), or None
        Effective pixels; None where the sky has too few lines.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SkyTiltWarning)
        try:
            tilt = measure_sky_tilt(mean, sky)
        except SkyTiltError as error:
            notes.append(
                "Without an arc the tilt of the sky lines is not known, nor do they tell it "
                f"themselves ({error}): the sky is a straight line along the slit, column by column"
            )
            return None
    notes.append(
        "Without an arc the tilt of the lines was measured on the sky lines of the mean of the "
        "exposures" + "".join(f". {warning.message}" for warning in caught)
    )
    return tilt.effective_pixel()
