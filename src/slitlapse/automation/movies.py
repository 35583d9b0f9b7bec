"""How did the stars change through the night, and through the colours? Movies of both."""

from dataclasses import replace

import astropy.units as u
import numpy as np

from slitlapse.automation.light_curves import common_edges, light_curves
from slitlapse.automation.scatter import FEWEST_WITH_TRANSIT, measure_scatter
from slitlapse.look import Movie, MoviePanel

__all__ = [
    "DIAGNOSTICS",
    "animate_light_curves",
    "animate_spectra",
    "through_time",
    "through_wavelength",
]

MOST_FRAMES = 100  # exposures; a longer night is thinned out evenly
MOST_POINTS = 300  # of a spectrum
MOST_TIMES = 150  # of a light curve; exposures of a longer night are added up
N_COLOURS = 30
DIAGNOSTICS = {
    "spatial_shift": "slit shift (px)",
    "wavelength_shift": "spectral shift (px)",
    "seeing": "seeing (px)",
    "sky_level": "sky (e/px)",
    "airmass": "airmass",
}


def through_time(stars):
    """
    Make a movie of the spectra of all stars, exposure by exposure.

    Parameters
    ----------
    stars : sequence of SpectralTimeSeries
        Of the same exposures.

    Returns
    -------
    `~slitlapse.look.Movie`
        A panel per star with its mean spectrum dashed, and beside them what was measured in each
        exposure.
    """
    first = stars[0]
    frames = np.arange(0, first.shape[1], -(-first.shape[1] // MOST_FRAMES))
    hours = _hours(first)
    panels = []
    for star in stars:
        wave, flux = _coarse(star)
        top = np.nanpercentile(flux, 99.9) if np.isfinite(flux).any() else 1.0
        low = min(0.0, np.nanpercentile(flux, 0.1)) if np.isfinite(flux).any() else 0.0
        with np.errstate(invalid="ignore"):
            mean = np.nanmean(np.where(np.isfinite(flux).any(axis=1)[:, None], flux, 0), axis=1)
        panels.append(
            MoviePanel(
                wave, flux[:, frames].T, f"wavelength ({star.wavelength.unit})",
                f"star {star.name} ({star.flux.unit} per pixel)", reference=mean,
                limits=(low, max(1.05 * top, low + 1e-9)),
            )
        )  # fmt: skip
    strips = []
    for key, label in DIAGNOSTICS.items():
        own = [star for star in stars if key in star.timelike.colnames]
        values = [u.Quantity(star.timelike[key]).value for star in own]
        if not own or not np.isfinite(values).any():
            continue
        if np.allclose(values[0], values, rtol=1e-6, equal_nan=True):
            own, values = own[:1], values[:1]  # the same for all stars
        names = [star.name for star in own] if len(own) > 1 else ()
        strips.append(
            MoviePanel(hours, values, "", label, cursor=hours[frames], points=True, names=names)
        )
    if strips:
        strips[-1] = replace(strips[-1], xlabel="hours")
    times = first.time.utc.isot
    captions = [f"{times[i][:19]} UTC   exposure {i + 1} of {first.shape[1]}" for i in frames]
    return Movie(panels, captions, strips)


def through_wavelength(stars, target=None, comparisons=()):
    """
    Make a movie of the light curves of all stars, colour by colour.

    Parameters
    ----------
    stars : sequence of SpectralTimeSeries
    target : SpectralTimeSeries, optional
        Its ratio to the comparison stars gets a panel of its own.
    comparisons : sequence of SpectralTimeSeries

    Returns
    -------
    `~slitlapse.look.Movie`
        Light curves over their own mean, with their errors, and beside them where in the spectrum
        one is, and the scatter of the ratio.
    """
    stars = [_fewer_times(star) for star in stars]
    span = common_edges(stars)
    edges = np.linspace(span[0], span[1], N_COLOURS + 1)
    curves = [light_curves(star, wavelength=edges) for star in stars]
    if target is not None and comparisons:
        others = [_fewer_times(star) for star in comparisons]
        curves.append(light_curves(_fewer_times(target), others, wavelength=edges))
    hours = _hours(stars[0])
    panels = [
        MoviePanel(
            hours, np.where(curve.mask, np.nan, curve.flux.value), "hours",
            f"star {curve.name} (relative)", reference=np.ones(len(hours)),
            error=np.where(curve.mask, 0, curve.uncertainty.value), points=True,
            limits=_limits(curve),
        )
        for curve in curves
    ]  # fmt: skip
    middle = curves[0].wavelength
    unit = f"wavelength ({middle.unit})"
    strips = []
    for star in stars:
        wave, flux = _coarse(star)
        known = np.isfinite(flux).any(axis=1)
        mean = np.full(len(wave), np.nan)
        mean[known] = np.nanmean(flux[known], axis=1)
        strips.append(
            MoviePanel(wave, [mean], unit, f"star {star.name}, mean", cursor=middle.value)
        )
    with_ratio = len(curves) > len(stars) and len(hours) >= FEWEST_WITH_TRANSIT
    table = measure_scatter(curves[-1], transit=with_ratio)
    rows = 1e6 * np.array([table["scatter"], table["expected"]])
    strips.append(
        MoviePanel(
            middle.value, rows, unit, "scatter (ppm)",
            cursor=middle.value, points=True, names=("measured", "expected"),
        )
    )  # fmt: skip
    captions = [
        f"{low:.0f} to {high:.0f} {middle.unit}"
        for low, high in zip(edges[:-1].value, edges[1:].value, strict=True)
    ]
    return Movie(panels, captions, strips)


def _hours(series):
    return (series.time - series.time[0]).to_value(u.hour)


def _fewer_times(star):
    """Add up exposures where there are more than a picture shows."""
    return star if star.shape[1] <= MOST_TIMES else star.bin(time=-(-star.shape[1] // MOST_TIMES))


def _coarse(star):
    """Wavelengths and mean flux per pixel of a few hundred bins; NaN where masked."""
    n_wave = star.shape[0]
    step = -(-n_wave // MOST_POINTS)
    if step == 1:
        return star.wavelength.value, np.where(star.mask, np.nan, star.flux.value)
    binned = star.bin(wavelength=step)
    flux = np.where(binned.mask, np.nan, binned.flux.value) / step
    return binned.wavelength.to_value(star.wavelength.unit), flux


def _limits(curve):
    """Of all colours together, without the few that stand far out."""
    flux = curve.flux.value[~curve.mask]
    if not flux.size:
        return None
    low, high = np.percentile(flux, [0.5, 99.5])
    room = max(0.3 * (high - low), 1e-4)
    return low - room, high + room


def animate_spectra(stars, interval=200):
    """
    Make a movie: the spectra of all stars, one exposure a frame.

    Parameters
    ----------
    stars : sequence of SpectralTimeSeries
        Of the same exposures.
    interval : float
        Milliseconds between frames.

    Returns
    -------
    `~matplotlib.animation.FuncAnimation`
        Keep it with ``.save("night.gif")``.
    """
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation

    figure = plt.figure(figsize=(7, 2.2 * len(stars)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(stars), 1, sharex=True))
    lines = []
    for ax, star in zip(axes, stars, strict=True):
        flux = np.where(star.mask, np.nan, star.flux.value)
        (line,) = ax.plot(star.wavelength.value, flux[:, 0], lw=0.8)
        ax.set(ylabel=f"star {star.name}\n({star.flux.unit})")
        ax.set_ylim(min(0, np.nanpercentile(flux, 0.5)), 1.1 * np.nanpercentile(flux, 99.8))
        lines.append((line, flux))
    axes[-1].set_xlabel(f"wavelength ({stars[0].wavelength.unit})")

    def draw(index):
        for line, flux in lines:
            line.set_ydata(flux[:, index])
        axes[0].set_title(f"{stars[0].time[index].utc.iso[:19]} UTC")
        return [line for line, _ in lines]

    return FuncAnimation(figure, draw, frames=stars[0].shape[1], interval=interval)


def animate_light_curves(curves, diagnostics=(), interval=200):
    """
    Make a movie: the light curves of all stars, one colour a frame, diagnostics beside them.

    Parameters
    ----------
    curves : sequence of SpectralTimeSeries
        With the same bins, as `~slitlapse.automation.light_curves` gives them.
    diagnostics : sequence of str
        Columns of ``timelike`` to draw beside them.
    interval : float
        Milliseconds between frames.

    Returns
    -------
    `~matplotlib.animation.FuncAnimation`
        Keep it with ``.save("colours.gif")``.
    """
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation

    rows, wide = max(len(curves), len(diagnostics)), 7 if not len(diagnostics) else 11
    figure = plt.figure(figsize=(wide, 2.0 * rows + 0.4), layout="constrained")
    halves = figure.subfigures(1, 2, width_ratios=(2, 1)) if len(diagnostics) else [figure]
    axes = np.atleast_1d(halves[0].subplots(len(curves), 1, sharex=True))
    lines = []
    for ax, curve in zip(axes, curves, strict=True):
        flux = np.where(curve.mask, np.nan, curve.flux.value)
        (line,) = ax.plot(_hours(curve), flux[0], "o", ms=3)
        ax.axhline(1, color="0.7", lw=0.6, zorder=0)
        low, high = np.nanpercentile(flux, [0.5, 99.5])
        ax.set(
            ylabel=f"star {curve.name}", ylim=(low - 0.3 * (high - low), high + 0.3 * (high - low))
        )
        lines.append((line, flux))
    axes[-1].set_xlabel(f"hours since {curves[0].time[0].utc.iso[:16]} UTC")
    if len(diagnostics):
        for ax, name in zip(
            np.atleast_1d(halves[1].subplots(len(diagnostics), 1, sharex=True)),
            diagnostics,
            strict=True,
        ):
            ax.plot(_hours(curves[0]), u.Quantity(curves[0].timelike[name]).value, ".", color="k")
            ax.set_ylabel(name.replace("_", " "))

    def draw(index):
        for line, flux in lines:
            line.set_ydata(flux[index])
        axes[0].set_title(f"{curves[0].wavelength[index]:.0f}")
        return [line for line, _ in lines]

    return FuncAnimation(figure, draw, frames=curves[0].shape[0], interval=interval)
