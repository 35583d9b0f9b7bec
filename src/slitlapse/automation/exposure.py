"""One exposure, step by step: where the stars are, the sky under them, their light."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.nddata import CCDData

from slitlapse.automation.frames import FrameDoor
from slitlapse.automation.log import NightError
from slitlapse.automation.sky_model import SkyPlan
from slitlapse.extraction import (
    PixelNoise,
    RowWindow,
    boxcar_sums,
    diagnostic_arrays,
    optimal_sums,
)
from slitlapse.photons import MaskBits
from slitlapse.trace import ProfileShift, measure_profile_shift

__all__ = ["ExposurePlan", "measure_exposure"]

PIXEL = np.float32
WING_STEP = 16, 128  # columns between which the wings change evenly, if at least 16
WING_MOVE = 0.5  # px; the trace moves by no more between them
MOST_BAD = 0.9  # of the pixels of an exposure; beyond it there is nothing to measure
POOR_SHIFT = 0.3  # px; a star too faint to say better moves with the others
PROFILE_ERROR = 0.02  # of a real star's light: no reason to call the core of a bright one a hit


@dataclass(frozen=True)
class ExposurePlan:
    """
    What is the same for all exposures of one placement of the stars.

    Parameters
    ----------
    door : FrameDoor
    traces : dict of str to `~slitlapse.trace.ProfileTrace`
    sky : SkyPlan
    read_noise : array, shape (n_y, n_x)
        In electron, of the frame before it is divided by the sensitivity.
    widths : tuple of float
        Full widths of the boxcar, in pixels.
    half_rows : int
        Rows that are looked at on each side of a star.
    beyond_slit : array of bool, shape (n_y, n_x), optional
        Where no sky is, nor a star's background.
    """

    door: FrameDoor
    traces: dict
    sky: SkyPlan
    read_noise: np.ndarray
    widths: tuple
    half_rows: int
    beyond_slit: np.ndarray | None = None

    def measured(self):
        """The same without what only measuring needs, which is large: for the time after it."""
        sky = replace(self.sky, geometry=None, pixels={}, variance=None, photon_factor=None)
        return replace(self, sky=sky, read_noise=None, beyond_slit=None)


def measure_exposure(plan, filename, exposure_time):
    """
    Measure all stars in one exposure.

    Parameters
    ----------
    plan : ExposurePlan
    filename : str
    exposure_time : `~astropy.units.Quantity`

    Returns
    -------
    dict of str to array
        Keys are ``<star>/<what>``, values have the shape (n_x,), (n_width, n_x) or (); only
        ``lost``, the reason, where the frame cannot be used.
    """
    try:
        frame = plan.door.electrons(filename, "science", exposure_time, uncertainty=False)
    except NightError as error:
        return {"lost": np.array(str(error))}
    bad = 0 if frame.mask is None else np.mean(frame.mask)
    if bad > MOST_BAD:
        words = f"{100 * bad:.0f} % of the pixels of {filename} are saturated or bad"
        return {"lost": np.array(words)}
    shifts = find_shifts(plan, frame)
    views = {name: look_at(plan, name, shifts[name]) for name in plan.traces}
    sky = plan.sky.fit(without_stars(plan, frame, views, shifts), shifts)
    noise = pixel_noise(plan, sky, exposure_time)
    found = {}
    for name, view in views.items():
        measured = measure_star(plan, frame, name, view, shifts, sky[name], noise[name])
        measured |= {
            "spatial_shift": shifts[name].offset,
            "spatial_shift_uncertainty": shifts[name].offset_uncertainty,
            "width_factor": shifts[name].width_factor,
            "bias_level": bias_level(frame),
        }
        found |= {f"{name}/{key}": _compact(key, value) for key, value in measured.items()}
    return found


def _compact(key, value):
    """Fluxes in double precision, what describes them in single: long nights have many."""
    value = np.asarray(value)
    single = value.ndim and value.dtype.kind == "f" and not key.startswith("flux")
    return value.astype(np.float32) if single else value


@dataclass(frozen=True)
class Shift:
    """Where and how wide a star is in this exposure, compared with its trace."""

    offset: float
    offset_uncertainty: float
    width_factor: float


def find_shifts(plan, frame):
    """Measure the shift of every star; one too faint for that moves as the others do."""
    typical = float(np.median(plan.read_noise))
    dark = plan.beyond_slit
    found = {name: _shift_of(frame, trace, typical, dark) for name, trace in plan.traces.items()}
    good = [
        s for s in found.values() if np.isfinite(s.offset) and s.offset_uncertainty < POOR_SHIFT
    ]
    if not good:
        return {name: Shift(0.0, np.nan, 1.0) for name in found}
    weights = np.array([1 / s.offset_uncertainty**2 for s in good])
    offset = float(np.average([s.offset for s in good], weights=weights))
    factor = float(np.average([s.width_factor for s in good], weights=weights))
    common = Shift(offset, float(weights.sum() ** -0.5), factor)
    return {
        name: Shift(s.offset, s.offset_uncertainty, s.width_factor) if s in good else common
        for name, s in found.items()
    }


def _shift_of(frame, trace, read_noise, beyond_slit):
    """Shift of one star, unknown where too few good pixels are near it."""
    try:
        return measure_profile_shift(frame, trace, read_noise=read_noise, mask=beyond_slit)
    except ValueError:
        return ProfileShift(np.nan, np.inf)


@dataclass(frozen=True, eq=False)
class View:
    """One star in this exposure: the rows around it, and how its light spreads over them."""

    window: RowWindow
    centre: np.ndarray
    width: np.ndarray
    profile: np.ndarray


def look_at(plan, name, shift):
    """Cut the window that follows a star, and draw its profile there."""
    trace = plan.traces[name]
    centre = np.asarray(trace.trace, float) + shift.offset
    window = RowWindow.around(centre, plan.half_rows, plan.read_noise.shape[0])
    profile = trace.profile(window.rows, shift.offset, shift.width_factor)
    return View(window, centre, trace.width * shift.width_factor, profile)


def without_stars(plan, frame, views, shifts):
    """
    Take a first guess of the stars off a frame, so that their wings do not pass for sky.

    Each column is a star on an even background, by plain least squares: wrong by some per cent,
    which the wings' share of the light (about a per cent) makes harmless.

    Parameters
    ----------
    plan : ExposurePlan
    frame : `~astropy.nddata.CCDData`, shape (n_y, n_x)
    views : dict of str to View
    shifts : dict of str to Shift

    Returns
    -------
    `~astropy.nddata.CCDData`
        A copy, without the stars in the rows of the sky; mask and all else are the frame's own.
    """
    rows = plan.sky.rows
    rest = frame.data.astype(PIXEL)
    wings, light = [], []
    for name, view in views.items():
        shift, nodes = shifts[name], _wing_nodes(view.centre)
        flux, moved = _guess_flux(frame, view, plan.beyond_slit), (shift.offset, shift.width_factor)
        if nodes is None:
            rest[rows] -= plan.traces[name].profile_image(rest.shape, *moved)[rows] * flux
        else:
            y = np.arange(rows.start, rows.stop)
            wings.append(plan.traces[name].profile_and_slopes(y, *moved, columns=nodes)[0])
            light.append(_between(nodes) * flux)
    if wings:
        # single precision as the frame itself: a ten-millionth of the star
        rest[rows] -= np.hstack(wings).astype(PIXEL) @ np.vstack(light).astype(PIXEL)
    return CCDData(rest, unit=frame.unit, mask=frame.mask, flags=frame.flags, meta=frame.meta)


def _wing_nodes(centre):
    """Columns where the wings are drawn; None, all of them, where the trace is steep."""
    n_x, steepest = len(centre), np.max(np.abs(np.diff(centre)))
    step = min(WING_MOVE / max(steepest, 1e-9), WING_STEP[1])
    if step < WING_STEP[0]:
        return None
    return np.linspace(0, n_x - 1, int(np.ceil(n_x / step)) + 1).round().astype(int)


def _between(nodes):
    """Weights of linear interpolation between columns, shape (n_nodes, n_x)."""
    x = np.arange(nodes[-1] + 1)
    left = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
    along = (x - nodes[left]) / (nodes[left + 1] - nodes[left])
    weights = np.zeros((len(nodes), x.size))
    weights[left, x], weights[left + 1, x] = 1 - along, along
    return weights


def _guess_flux(frame, view, beyond_slit):
    """Light of one star by plain least squares on an even background, shape (n_x,)."""
    data = view.window.cut(frame.data)
    good = ~view.window.outside & np.isfinite(data)
    for bad in (frame.mask, beyond_slit):
        if bad is not None:
            good &= ~view.window.cut(bad)
    weight = good / np.maximum(good.sum(axis=0), 1)
    contrast = weight * (view.profile - (weight * view.profile).sum(axis=0))
    light = (contrast * np.where(good, data, 0)).sum(axis=0)
    share = (contrast * view.profile).sum(axis=0)
    return np.divide(light, share, out=np.zeros_like(light), where=share > 0)


def pixel_noise(plan, sky, exposure_time):
    """Noise of every pixel of the frame without the stars, for each star's sky."""
    door = plan.door
    constant = {"read_noise": plan.read_noise}
    if door.sensitivity is not None:
        constant["sensitivity"] = door.sensitivity.sensitivity
        constant["sensitivity_uncertainty"] = door.sensitivity.uncertainty
    if door.dark is not None:
        dark = door.dark.expected(exposure_time).value
        constant["dark"] = dark / constant.get("sensitivity", 1.0)
    return {
        name: PixelNoise(sky=model.image, aperture_variance=model.aperture_variance, **constant)
        for name, model in sky.items()
    }


def measure_star(plan, frame, name, view, shifts, sky, noise):
    """
    Measure the light of one star, and what describes it, at every wavelength.

    Its neighbours within the window are solved for together with it; the boxcar then sums
    what is left when their light is taken off.
    """
    traces, window, centre = plan.traces, view.window, view.centre
    rows = window.rows
    data = window.cut(frame.data).astype(float) - window.cut(sky.image)
    mask = window.outside | ~np.isfinite(data)
    if frame.mask is not None:
        mask |= window.cut(frame.mask)
    here = noise.cut(window)
    near = _neighbours(traces, name, 2 * plan.half_rows)
    others = [traces[n].profile(rows, shifts[n].offset, shifts[n].width_factor) for n in near]
    profiles = np.stack([view.profile, *others])
    best = optimal_sums(data, profiles, here, mask, profile_error=PROFILE_ERROR)
    hit = best.rejected
    others = (profiles[1:], best.weights[1:]) if near else None
    half_widths = np.array(plan.widths) / 2
    box = boxcar_sums(
        data, rows, centre, half_widths, profiles[0], here, mask | hit, neighbours=others
    )
    lonely = data - np.nansum(best.flux[1:, None] * profiles[1:], axis=0) if near else data
    diagnostics = diagnostic_arrays(
        lonely, rows, centre, view.width, profiles[0], best.flux[0],
        sky=window.cut(sky.image), mask=mask | hit,
    )  # fmt: skip
    result = {
        "flux_boxcar": box.flux,
        "enclosed": box.enclosed,
        "bad_fraction": box.bad_fraction,
        "flux_optimal": best.flux[0],
        "bad_fraction_optimal": best.bad_fraction[0],
        "chi2": best.chi2,
        "n_hit": hit.sum(axis=0),
        "saturated": _touches(frame, window, centre, half_widths.max(), MaskBits.saturated),
    }
    result |= {f"boxcar_{part}": values for part, values in box.variances.items()}
    result |= {f"optimal_{part}": values[0] for part, values in best.variances.items()}
    result |= {key: diagnostics[key] for key in DIAGNOSTICS}
    result["width_used"] = view.width
    return result


DIAGNOSTICS = ("offset", "measured_width", "peak", "sky_level", "sky_slope", "baseline")


def _neighbours(traces, name, reach):
    """Stars whose light reaches into this one's window."""
    mine = np.asarray(traces[name].trace, float)
    return [
        other
        for other, trace in traces.items()
        if other != name and np.min(np.abs(np.asarray(trace.trace, float) - mine)) < reach
    ]


def _touches(frame, window, centre, half_width, bit):
    """Whether a pixel with this flag lies in the aperture, column by column."""
    if frame.flags is None:
        return np.zeros(len(centre), bool)
    flagged = (window.cut(frame.flags) & bit) != 0
    if flagged.any():
        flagged &= np.abs(window.rows - centre) < half_width + 0.5
    return flagged.any(axis=0)


def bias_level(frame):
    """Mean level of the amplifiers that was taken off, in adu; NaN where none was."""
    levels = [frame.meta[key] for key in frame.meta if str(key).startswith("AMPLVL")]
    return float(np.mean(levels)) if levels else np.nan


def default_widths(traces):
    """Full widths of the boxcar from the seeing: 2, 3 and 4 times the largest FWHM."""
    fwhm = max(float(np.median(trace.fwhm)) for trace in traces.values())
    return tuple(round(factor * fwhm * 2) / 2 for factor in (2.0, 3.0, 4.0))


def needed_rows(traces, widths):
    """Rows on each side of a star that hold its aperture, wings and some drift."""
    fwhm = max(float(np.median(trace.fwhm)) for trace in traces.values())
    return int(np.ceil(max(max(widths) / 2, 3 * fwhm) + 3))
