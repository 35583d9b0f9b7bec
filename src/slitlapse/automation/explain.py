"""Pictures of a whole night: spectra, light curves and what was measured beside them."""

import astropy.units as u
import numpy as np

__all__ = [
    "plot_diagnostics",
    "plot_light_curves",
    "plot_mean_spectrum",
    "plot_noise",
    "plot_scatter",
    "plot_scatter_by_bin_size",
    "plot_sky",
    "show_series",
]

VARIANCE_NAMES = {
    "variance_star": "star",
    "variance_sky": "sky",
    "variance_read": "read noise",
    "variance_dark": "dark current",
    "variance_flat": "flat",
    "variance_skyfit": "sky fit",
}


LINES = {  # told apart without colour too
    "variance_star": "-",
    "variance_sky": "--",
    "variance_read": ":",
    "variance_dark": (0, (1, 4)),
    "variance_flat": "-.",
    "variance_skyfit": (0, (8, 2, 1, 2, 1, 2)),
}
MARKS = "ox^+sD"
MOST_CURVES = 24  # that one can tell apart in a picture


def _axes(ax):
    import matplotlib.pyplot as plt

    return plt.gca() if ax is None else ax


def _hours(series):
    return (series.time - series.time[0]).to_value(u.hour)


def _masked_flux(series):
    return np.ma.masked_array(series.flux.value, series.mask | ~np.isfinite(series.flux.value))


def plot_mean_spectrum(series, ax=None, **kwargs):
    """
    Draw the mean spectrum of a star with the error of a single exposure around it.

    Parameters
    ----------
    series : SpectralTimeSeries
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default the current axes.
    **kwargs
        Passed to `~matplotlib.axes.Axes.plot`.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    ax = _axes(ax)
    mean = _masked_flux(series).mean(axis=1)
    error = np.ma.masked_array(series.uncertainty.value, series.mask).mean(axis=1)
    style = {"lw": 0.8, "label": f"star {series.name}: mean of {series.shape[1]}"} | kwargs
    wave = series.wavelength.value
    (line,) = ax.plot(wave, mean.filled(np.nan), **style)
    low, high = (mean - error).filled(np.nan), (mean + error).filled(np.nan)
    ax.fill_between(wave, low, high, alpha=0.3, color=line.get_color(), lw=0)
    medium = series.metadata.get("medium", "")
    ax.set(
        xlabel=f"wavelength ({medium + ', ' if medium else ''}{series.wavelength.unit})",
        ylabel=f"flux ({series.flux.unit} per pixel)",
    )
    ax.legend(loc="upper right", frameon=False)
    return ax


def show_series(series, ax=None, **kwargs):
    """
    Show how the flux of every wavelength changes through the night.

    Parameters
    ----------
    series, ax
        As in `plot_mean_spectrum`.
    **kwargs
        Passed to `~matplotlib.axes.Axes.pcolormesh`.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    ax = _axes(ax)
    flux = _masked_flux(series)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = flux / np.ma.median(flux, axis=1)[:, None]
    spread = np.nanpercentile(np.abs(relative.filled(np.nan) - 1), 98) if flux.count() else 1
    spread = spread if np.isfinite(spread) and spread > 0 else 1
    style = {"cmap": "cividis", "vmin": 1 - spread, "vmax": 1 + spread, "rasterized": True}
    mesh = ax.pcolormesh(
        _hours(series), series.wavelength.value, relative, shading="nearest", **(style | kwargs)
    )
    ax.figure.colorbar(mesh, ax=ax, label="flux / its median in time")
    ax.set(
        xlabel=f"hours since {series.time[0].utc.iso[:16]} UTC",
        ylabel=f"wavelength ({series.wavelength.unit})",
        title=f"star {series.name}",
    )
    return ax


def plot_noise(series, ax=None):
    """Draw the uncertainty of a typical exposure and the parts it is made of; return the Axes."""
    ax = _axes(ax)
    wave = series.wavelength.value

    def typical(values):
        return np.ma.median(np.ma.masked_array(values, series.mask), axis=1).filled(np.nan)

    ax.plot(wave, typical(series.uncertainty.value), color="k", lw=1.2, label="total")
    for key, label in VARIANCE_NAMES.items():
        if key in series.fluxlike and np.any(series.fluxlike[key].value > 0):
            noise = np.sqrt(typical(series.fluxlike[key].value))
            ax.plot(wave, noise, lw=0.9, ls=LINES[key], label=label)
    ax.set(
        xlabel=f"wavelength ({series.wavelength.unit})",
        ylabel=f"standard deviation ({series.flux.unit})",
        yscale="log",
        title=f"star {series.name}: where the noise comes from",
    )
    ax.legend(frameon=False, ncols=2)
    return ax


def plot_light_curves(curves, ax=None, **kwargs):
    """
    Draw light curves with their errors, one below the other.

    Parameters
    ----------
    curves : SpectralTimeSeries
        As `~slitlapse.automation.light_curves` gives them; electrons are divided by their mean.
    ax : `~matplotlib.axes.Axes`, optional
    **kwargs
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    ax = _axes(ax)
    hours = _hours(curves)
    flux, error = _masked_flux(curves), curves.uncertainty.value
    if curves.flux.unit != u.one:
        mean = flux.mean(axis=1, keepdims=True)
        flux, error = flux / mean, error / mean
    scatter = np.ma.std(flux)
    step = 6 * scatter if np.isfinite(scatter) and scatter > 0 else 0.01
    for row, wave in enumerate(curves.wavelength):
        level = -row * step
        style = {"fmt": "o", "ms": 3, "lw": 0.8} | kwargs
        bars = np.where(np.isfinite(error[row]), error[row], 0)
        ax.errorbar(hours, flux[row] + level, yerr=bars, **style)
        ax.axhline(1 + level, color="0.8", lw=0.6, zorder=0)
        if len(curves.wavelength) > 1:
            ax.text(hours[-1], 1 + level, f"  {wave:.0f}", va="center", fontsize="small")
    ax.set(
        xlabel=f"hours since {curves.time[0].utc.iso[:16]} UTC",
        ylabel="relative flux" + (", shifted" if len(curves.wavelength) > 1 else ""),
        title=f"star {curves.name}",
    )
    return ax


def plot_diagnostics(stars, axes=None):
    """
    Draw what was measured beside the spectra, exposure by exposure.

    Parameters
    ----------
    stars : sequence of SpectralTimeSeries
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One a diagnostic.

    Returns
    -------
    list of `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    names = {
        "spatial_shift": "shift along\nthe slit (px)",
        "wavelength_shift": "shift along the\ndispersion (px)",
        "seeing": "seeing,\nFWHM (px)",
        "sky_level": "sky\n(electron/px)",
        "bias_level": "bias\nlevel (adu)",
        "airmass": "airmass",
    }
    known = {name for star in stars for name in star.timelike.colnames}
    names = {key: label for key, label in names.items() if key in known}
    if axes is None:
        _, axes = plt.subplots(
            len(names), 1, sharex=True, figsize=(7, 1.1 * len(names) + 0.6), layout="constrained"
        )
    axes = list(np.atleast_1d(axes))
    for ax, (key, label) in zip(axes, names.items(), strict=True):
        for mark, star in zip(MARKS * len(stars), stars, strict=False):
            if key not in star.timelike.colnames:
                continue
            values = u.Quantity(star.timelike[key]).value
            error = None
            if f"{key}_uncertainty" in star.timelike.colnames:
                error = u.Quantity(star.timelike[f"{key}_uncertainty"]).value
            ax.errorbar(_hours(star), values, yerr=error, fmt=mark, ms=4, mfc="none", lw=0.8,
                        label=f"star {star.name}")  # fmt: skip
        ax.set_ylabel(label, fontsize="small")
        ax.ticklabel_format(axis="y", useOffset=False)  # a level is read as it stands
    axes[0].legend(frameon=False, ncols=4, fontsize="small")
    axes[-1].set_xlabel(f"hours since {stars[0].time[0].utc.iso[:16]} UTC")
    return axes


def plot_scatter(table, ax=None):
    """
    Draw the scatter of every bin beside the noise that was expected.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Of `~slitlapse.automation.scatter.measure_scatter`.
    ax : `~matplotlib.axes.Axes`, optional

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    ax = _axes(ax)
    wave = table["wavelength"]
    ax.plot(wave.value, 1e6 * table["expected"], "k-", lw=1, label="expected")
    error = 1e6 * table["scatter_uncertainty"]
    ax.errorbar(wave.value, 1e6 * table["scatter"], yerr=error, fmt="o", ms=4, label="measured")
    ax.set(xlabel=f"wavelength ({wave.unit})", ylabel="scatter (ppm)")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax


def plot_scatter_by_bin_size(table, ax=None, labels=None):
    """
    Draw how the scatter falls as exposures are averaged, and how white noise would fall.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Of `~slitlapse.automation.scatter.scatter_by_bin_size`.
    ax : `~matplotlib.axes.Axes`, optional
    labels : sequence of str, optional
        One a light curve.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    ax = _axes(ax)
    number = table["scatter"].shape[1]
    labels = [""] * number if labels is None else labels
    for i, label in enumerate(labels):
        error = 1e6 * table["scatter_uncertainty"][:, i]
        points = ax.errorbar(
            table["size"], 1e6 * table["scatter"][:, i], yerr=error, fmt="osv^D"[i % 5], ms=4,
            capsize=2, label=f"measured {label}".strip(),
        )  # fmt: skip
        ax.plot(
            table["size"], 1e6 * table["expected"][:, i], color=points.lines[0].get_color(),
            ls=("-", "--", ":")[i % 3], label=f"white noise {label}".strip(),
        )  # fmt: skip
    ax.set(xlabel="exposures averaged", ylabel="scatter (ppm)", xscale="log", yscale="log")
    ax.set_xticks(table["size"], [str(size) for size in table["size"]], minor=False)
    ax.xaxis.minorticks_off()
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_sky(image, traces, windows, ax=None):
    """
    Draw a cut across the slit: the stars, and where the sky was looked for.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`, shape (n_y, n_x)
        The mean of the exposures.
    traces : dict of str to `~slitlapse.trace.ProfileTrace`
    windows : sequence of `~slitlapse.sky.SkyWindows`
    ax : `~matplotlib.axes.Axes`, optional

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    ax = _axes(ax)
    n_y, n_x = image.data.shape
    middle = np.s_[:, int(0.4 * n_x) : max(int(0.6 * n_x), int(0.4 * n_x) + 1)]
    data = np.ma.masked_invalid(np.ma.array(image.data, mask=image.mask)[middle])
    rows = np.arange(n_y)
    centres = {name: float(np.asarray(t.trace, float)[n_x // 2]) for name, t in traces.items()}
    sky = np.zeros(n_y, bool)
    for each, centre in zip(windows, centres.values(), strict=False):
        sky |= each.mask((n_y, 1), trace=centre)[:, 0]
    cut = np.ma.median(data, axis=1).filled(np.nan)
    ax.fill_between(rows, 0, 1, where=sky, transform=ax.get_xaxis_transform(), color="0.88",
                    step="mid", label="looked at for sky")  # fmt: skip
    ax.plot(rows, cut, "k-", lw=1, drawstyle="steps-mid")
    for name, centre in centres.items():
        ax.axvline(centre, color="tab:orange", ls="--", lw=1)
        ax.annotate(name, (centre, 0.97), xycoords=("data", "axes fraction"), va="top")
    level = np.nanmedian(cut[sky]) if sky.any() else np.nanmedian(cut)
    if np.isfinite(level):
        ax.set_yscale("symlog", linthresh=max(5 * abs(level), 1.0))
    ax.set(xlabel="row (pixel)", ylabel=f"median over columns ({image.unit})")
    ax.legend(frameon=False, loc="lower right", fontsize="small")
    return ax
