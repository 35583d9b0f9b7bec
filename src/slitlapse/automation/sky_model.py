"""The sky of every exposure, by the method that ``night.toml`` names."""

from dataclasses import dataclass, field

import numpy as np

from slitlapse.automation.log import NightError
from slitlapse.sky import SkyGeometry, SkyWindows, fit_columns

__all__ = ["SkyModel", "SkyPlan", "plan_sky"]

SPATIAL_DEGREE = 2  # along the slit, of the tilted sky: slits are not lit evenly


@dataclass(frozen=True)
class SkyModel:
    """
    The sky under one star in one exposure.

    Parameters
    ----------
    image : array, shape (n_y, n_x)
        In electron; NaN where it is not known.
    aperture_variance : callable
        Takes weights of the frame's shape, gives the variance of the weighted sum of the
        model, shape (n_x,).
    """

    image: np.ndarray
    aperture_variance: object


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
        data = np.asarray(frame.data, float)
        bad = ~np.isfinite(data)
        if frame.mask is not None:
            bad |= frame.mask
        if self.method == "tilted":
            model = self._fit_tilted(data, bad)
            return dict.fromkeys(shifts, model)
        return {name: self._fit_columns(data, bad, name) for name in shifts}

    def _fit_tilted(self, data, bad):
        rows = self.rows
        factor = self.photon_factor
        fit = self.geometry.fit(
            data[rows],
            self.variance[rows],
            photon_factor=factor if np.isscalar(factor) else factor[rows],
            mask=bad[rows],
        )
        image = np.full(data.shape, np.nan)
        image[rows] = fit.model
        return SkyModel(image, lambda weights: fit.aperture_variance(weights[rows]))

    def _fit_columns(self, data, bad, name):
        pixels = self.pixels[name]
        lit = np.flatnonzero(pixels.any(axis=1))
        rows = slice(lit[0], lit[-1] + 1)
        numbers = np.arange(lit[0], lit[-1] + 1)
        factor = self.photon_factor
        fit = fit_columns(
            data[rows],
            pixels[rows] & ~bad[rows],
            self.variance[rows],
            rows=numbers,
            degree=0 if self.method == "median" else 1,
            statistic="median" if self.method == "median" else "average",
            photon_factor=factor if np.isscalar(factor) else factor[rows],
        )
        image = np.full(data.shape, np.nan)
        image[rows] = fit.evaluate(numbers)
        return SkyModel(image, lambda weights: fit.aperture_variance(weights[rows], numbers))


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
        Effective dispersion coordinate of every pixel, from the arcs.
    half_rows : int
        Rows on each side of a star that the sky must cover.
    notes : list of str
        Gets a sentence where the method asked for is not possible.

    Returns
    -------
    SkyPlan
    """
    shape = placement.image.data.shape
    method = night.sky_method
    if method == "tilted" and tilt is None:
        method = "polynomial"
        notes.append(
            "Without an arc the tilt of the sky lines is not known: the sky is a straight line "
            "along the slit, column by column"
        )
    sensitivity = 1.0
    if calibration.door.sensitivity is not None:
        sensitivity = np.asarray(calibration.door.sensitivity.sensitivity, float)
    lit = None if calibration.illuminated is None else calibration.illuminated.mask
    pixels, windows = {}, {}
    for name in placement.traces:
        windows[name], pixels[name] = sky_pixels(night, placement, name, lit)
    variance = np.broadcast_to((read_noise / sensitivity) ** 2, shape)
    plan = SkyPlan(method, pixels, variance, 1 / sensitivity, windows=windows)
    if method != "tilted":
        return plan
    every = np.logical_or.reduce(list(pixels.values()))
    for name in placement.traces:
        every &= ~_on_stars(placement, name)
    rows = needed_slice(placement, every, half_rows)
    geometry = SkyGeometry(tilt[rows], every[rows], spatial_degree=SPATIAL_DEGREE)
    plan = SkyPlan(method, pixels, variance, 1 / sensitivity, geometry, rows, windows)
    first = plan.geometry.fit(
        np.asarray(placement.image.data, float)[rows],
        variance[rows],
        photon_factor=1.0 if np.isscalar(plan.photon_factor) else plan.photon_factor[rows],
        mask=_bad(placement.image)[rows],
    )
    geometry = geometry.weighted(first.variance)
    return SkyPlan(method, pixels, variance, 1 / sensitivity, geometry, rows, windows)


def sky_pixels(night, placement, name, lit):
    """Choose the windows of one star and the pixels in them."""
    trace = placement.traces[name]
    others = placement.others(name)
    width = float(np.median(trace.width))
    widths = [float(np.median(other.width)) for other in others]
    shape = placement.image.data.shape
    rows_lit = None if lit is None else lit.mean(axis=1) > 0.9
    try:
        if night.sky_windows is not None:
            windows = SkyWindows(offsets=[list(pair) for pair in night.sky_windows])
        else:
            windows = SkyWindows.automatic(
                trace, width, others=others, other_widths=widths, illuminated=rows_lit,
                n_y=shape[0],
            )  # fmt: skip
        mask = windows.mask(
            shape, trace, others, width=width, other_widths=widths, illuminated=rows_lit,
            bad=_bad(placement.image),
        )  # fmt: skip
    except ValueError as error:
        raise NightError(f"{night.source}: [sky] windows of star {name}: {error}") from error
    return windows, mask


def _bad(image):
    bad = ~np.isfinite(image.data)
    return bad if image.mask is None else bad | image.mask


def _on_stars(placement, name, clearance=5.0):
    """Pixels within some widths of a star."""
    trace = placement.traces[name]
    rows = np.arange(placement.image.data.shape[0])[:, None]
    return np.abs(rows - np.asarray(trace.trace, float)) < clearance * trace.width


def needed_slice(placement, pixels, half_rows):
    """Rows that hold all sky pixels and all apertures."""
    used = np.flatnonzero(pixels.any(axis=1))
    centres = [np.asarray(trace.trace, float) for trace in placement.traces.values()]
    low = min(used[0], *(c.min() - half_rows - 10 for c in centres))
    high = max(used[-1] + 1, *(c.max() + half_rows + 11 for c in centres))
    return slice(max(int(low), 0), min(int(np.ceil(high)), pixels.shape[0]))
