"""Where on the slit is the sky of each star, once for all exposures of a placement?"""

import numpy as np

from slitlapse.automation.log import NightError
from slitlapse.sky import SkyWindows

__all__ = ["chosen_windows", "clear_of_stars", "needed_slice", "whole_slit", "without_stars"]

FARTHEST = 100  # rows from a star: farther away a slit is lit too differently to help
CLEAR = 6.0  # widths from a star: its light, the guess of it taken off, no longer matters
LOCAL = 12.0  # widths: where a star stands on an even background


def whole_slit(night, placement, lit):
    """Take the whole lit slit for sky, as far as it lies within 100 rows of a star."""
    rows = np.arange(placement.image.data.shape[0])[:, None]
    paths = [np.asarray(trace.trace, float) for trace in placement.traces.values()]
    near = np.any([np.abs(rows - path) < FARTHEST for path in paths], axis=0)
    sky = near & (True if lit is None else lit) & ~bad_pixels(placement.image)
    used = np.flatnonzero(clear_of_stars(night, placement, {"slit": sky}).any(axis=1))
    windows = SkyWindows(rows=[[used[0] - 0.5, used[-1] + 0.5]])
    return {
        "windows": dict.fromkeys(placement.traces, windows),
        "pixels": dict.fromkeys(placement.traces, sky),
    }


def chosen_windows(night, placement, lit):
    """Take the windows of ``night.toml``, or else choose some beside every star."""
    found = {name: sky_pixels(night, placement, name, lit) for name in placement.traces}
    return {
        "windows": {name: windows for name, (windows, _) in found.items()},
        "pixels": {name: pixels for name, (_, pixels) in found.items()},
    }


def clear_of_stars(night, placement, pixels):
    """All pixels that show sky to any star and are clear of all of them."""
    sky = np.logical_or.reduce(list(pixels.values()))
    for name in placement.traces:
        sky = sky & ~_on_stars(placement, name)
    if not sky.any():
        raise NightError(
            f"{night.source}: [sky] no pixel is farther than {CLEAR:g} widths from the stars "
            f"{', '.join(placement.traces)} and lit; name fewer stars"
        )
    return sky


def sky_pixels(night, placement, name, lit):
    """Choose the windows of one star and the pixels in them."""
    trace = placement.traces[name]
    others = placement.others(name)
    width = float(np.median(trace.width))
    widths = [float(np.median(other.width)) for other in others]
    shape = placement.image.data.shape
    try:
        if night.sky_windows is not None:
            windows = SkyWindows(offsets=[list(pair) for pair in night.sky_windows])
        else:
            windows = SkyWindows.automatic(
                trace, width, others=others, other_widths=widths, illuminated=lit,
                n_y=shape[0],
            )  # fmt: skip
        mask = windows.mask(
            shape, trace, others, width=width, other_widths=widths, illuminated=lit,
            bad=bad_pixels(placement.image),
        )  # fmt: skip
    except ValueError as error:
        raise NightError(f"{night.source}: [sky] windows of star {name}: {error}") from error
    return windows, mask


def bad_pixels(image):
    bad = ~np.isfinite(image.data)
    return bad if image.mask is None else bad | image.mask


def _on_stars(placement, name):
    """Pixels within some widths of a star."""
    trace = placement.traces[name]
    rows = np.arange(placement.image.data.shape[0])[:, None]
    return np.abs(rows - np.asarray(trace.trace, float)) < CLEAR * trace.width


def needed_slice(placement, pixels, half_rows):
    """Rows that hold all sky pixels and all apertures."""
    used = np.flatnonzero(pixels.any(axis=1))
    centres = [np.asarray(trace.trace, float) for trace in placement.traces.values()]
    low = min(used[0], *(c.min() - half_rows - 10 for c in centres))
    high = max(used[-1] + 1, *(c.max() + half_rows + 11 for c in centres))
    return slice(max(int(low), 0), min(int(np.ceil(high)), pixels.shape[0]))


def without_stars(placement, lit=None):
    """
    Take the stars off the mean frame, so that their wings do not pass for sky.

    Each star is its profile times a flux in every column, on an even background, by least squares.
    Bad pixels are NaN.
    """
    rest = np.where(bad_pixels(placement.image), np.nan, np.asarray(placement.image.data, float))
    profiles = {n: trace.profile_image(rest.shape) for n, trace in placement.traces.items()}
    flux = dict.fromkeys(profiles, 0.0)
    for name in [*profiles] * (1 if len(profiles) == 1 else 3):
        rest += profiles[name] * flux[name]
        flux[name] = _light_of(placement.traces[name], profiles[name], rest, lit)
        rest -= profiles[name] * flux[name]
    return rest


def _light_of(trace, profile, image, lit):
    """Flux of one star in every column, by least squares on an even background near it."""
    centre, reach = np.asarray(trace.trace, float), LOCAL * trace.width
    ends = [(centre - reach).min(), (centre + reach).max() + 1]
    band = slice(*np.clip(ends, 0, len(image)).astype(int))
    rows = np.arange(len(image))[band, None]
    near, profile = image[band], profile[band]
    use = (np.abs(rows - centre) < reach) & np.isfinite(near)
    if lit is not None:
        use &= lit[band]
    count = np.maximum(use.sum(axis=0), 1)
    contrast = use * (profile - (use * profile).sum(axis=0) / count)
    share = (contrast * profile).sum(axis=0)
    flux = (contrast * np.where(use, near, 0.0)).sum(axis=0)
    return np.divide(flux, share, out=np.zeros_like(flux), where=share > 0)
