"""Seeing is believing: arcs beside their models, residuals by lamp, and the drift of the night."""

import astropy.units as u
import numpy as np

from .simulate import arc_spectrum

__all__ = [
    "plot_arc_comparison",
    "plot_arc_image_comparison",
    "plot_dispersion",
    "plot_shifts",
    "plot_wavelength_residuals",
    "plot_wavelength_story",
]

MARKS = "os^Dv*"  # of lamps, for who sees no colours


def _axes(axes, rows, columns=1, **kwargs):
    import matplotlib.pyplot as plt

    if axes is not None:
        return np.atleast_1d(axes)
    kwargs = {"figsize": (8 * columns, 2.6 * rows), "layout": "constrained", **kwargs}
    return np.atleast_1d(plt.subplots(rows, columns, **kwargs)[1])


def plot_arc_comparison(spectrum, solution, *, fwhm=3.0, n_names=25, axes=None, **kwargs):
    """
    Draw an observed arc above the arc that its own solution and lines predict, lines named.

    The prediction has each identified line at its listed wavelength and with its observed flux,
    so lines that nothing explains stand alone in the upper panel.

    Parameters
    ----------
    spectrum : array-like of shape (n_pixels,)
    solution : `~slitlapse.wavelength.WavelengthSolution`
        With ``lines``.
    fwhm : float
        Of the simulated lines, pixels.
    n_names : int
        At most so many of the brightest lines are named, none where a brighter one's name stands.
    axes : array of two Axes, optional
    **kwargs
        For both curves.

    Returns
    -------
    axes : array of two Axes
    """
    axes = _axes(axes, 2, sharex=True)
    flux = np.asarray(getattr(spectrum, "value", spectrum), float)
    used = solution.lines[solution.lines["used"]]
    near = np.clip(np.round(used["pixel"].value).astype(int), 0, len(flux) - 1)
    height = np.maximum(flux[near] - np.median(flux), 1e-12)
    model = arc_spectrum(solution, _as_list(used, height, solution.medium), fwhm=fwhm, counts=1.0)
    model *= height.max() / max(model.max(), 1e-300)
    wave = solution.wavelength.value
    axes[0].plot(wave, flux, **{"color": "k", "lw": 0.7, **kwargs})
    axes[1].plot(wave, model, **{"color": "C0", "lw": 0.7, **kwargs})
    for i in _apart(used["wavelength"].value, height, 0.015 * np.ptp(wave))[:n_names]:
        text = f"{used['ion'][i]} {used['wavelength'][i].value:.1f}"
        axes[1].annotate(
            text,
            (used["wavelength"][i].value, height[i]),
            rotation=90,
            fontsize="x-small",
            ha="center",
            va="bottom",
        )
    for ax, title in zip(axes, ("observed", "simulated from the solution"), strict=True):
        ax.set(yscale="symlog", ylabel=title)
        linear = max(np.median(np.abs(flux - np.median(flux))), 1e-6)
        ax.set_yscale("symlog", linthresh=3 * linear)
    axes[1].set_ylim(top=300 * height.max())  # room for the names
    axes[1].set_xlabel(f"wavelength in {solution.medium} (angstrom)")
    return axes


def _apart(wave, height, distance):
    """Indices of lines, the brightest first, that keep a distance from each brighter one."""
    kept = []
    for i in np.argsort(-height):
        if np.all(np.abs(wave[kept] - wave[i]) > distance):
            kept.append(i)
    return kept


def _as_list(used, height, medium):
    """The lines used as a line list, as bright as observed."""
    from .line_lists import LineList

    table = {"wavelength": used["wavelength"], "strength": height}
    return LineList(table, meta={"medium": medium})


def plot_arc_image_comparison(image, simulated, *, axes=None, **kwargs):
    """Draw an arc frame, its simulation and the difference, all on one scale; return the Axes."""
    axes = _axes(axes, 3, sharex=True, sharey=True)
    image, simulated = np.asarray(image, float), np.asarray(simulated, float)
    low, high = np.quantile(image, [0.02, 0.995])
    options = {"origin": "lower", "aspect": "auto", "vmin": low, "vmax": high, **kwargs}
    axes[0].imshow(image, **options)
    axes[1].imshow(simulated, **options)
    half = 0.25 * (high - low)
    axes[2].imshow(image - simulated, **{**options, "vmin": -half, "vmax": half, "cmap": "RdBu"})
    for ax, title in zip(axes, ("observed", "simulated", "observed - simulated"), strict=True):
        ax.set(title=title, ylabel="row")
    axes[2].set_xlabel("pixel")
    return axes


def plot_wavelength_residuals(solution, *, ax=None, **kwargs):
    """
    Draw each line's residual with its uncertainty, a colour and mark per lamp; unused as crosses.

    The grey band is one standard deviation of the solution itself. Crosses far out are
    drawn at four times the r.m.s., so none is hidden.
    """
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    lines = solution.lines[np.isfinite(solution.lines["residual"].value)]
    used = np.asarray(lines["used"])
    slope = np.abs(solution.dispersion(lines["pixel"]).value)
    error = lines["pixel_uncertainty"].value * slope
    if "uncertainty" in lines.colnames:
        error = lines["uncertainty"].to_value(u.AA)
    limit = 4 * max(solution.rms.value, 1e-6)
    residual = np.clip(lines["residual"].to_value(u.AA), -limit, limit)
    for i, lamp in enumerate(dict.fromkeys(lines["lamp"][used])):
        of = used & (lines["lamp"] == lamp)
        style = {"fmt": MARKS[i % len(MARKS)], "ms": 4, "lw": 1, "color": f"C{i}"}
        style |= {"label": f"{lamp}: {of.sum()}", **kwargs}
        ax.errorbar(lines["wavelength"][of].value, residual[of], error[of], **style)
    ax.plot(lines["wavelength"][~used].value, residual[~used], "x", color="0.6", label="not used")
    wave, sigma = solution.wavelength.value, solution.wavelength_uncertainty.value
    ax.fill_between(wave, -sigma, sigma, color="0.8", zorder=0, label="solution, 1 sigma")
    ax.axhline(0, color="k", lw=0.5)
    ax.set(
        xlabel=f"wavelength in {solution.medium} (angstrom)",
        ylabel="residual (angstrom)",
        ylim=(-1.1 * limit, 1.6 * limit),  # room for the names
        title=f"{solution.n_used} lines, r.m.s. {solution.rms.value:.3f} angstrom",
    )
    ax.legend(fontsize="x-small", ncols=5, loc="upper center")
    return ax


def plot_dispersion(solution, *, ax=None, **kwargs):
    """Draw the solution minus a straight line, with the lines used, and return the Axes."""
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    x = np.arange(solution.n_pixels)
    wave = solution.wavelength.value
    line = np.polynomial.Polynomial.fit(x, wave, 1)
    ax.plot(x, wave - line(x), **{"color": "k", **kwargs})
    if solution.n_used:
        used = solution.lines[solution.lines["used"]]
        pixel = used["pixel"].value
        ax.plot(pixel, used["wavelength"].value - line(pixel), "C1.", label="lines used")
        ax.legend(fontsize="x-small")
    ax.set(xlabel="pixel", ylabel="solution - straight line (angstrom)")
    return ax


def plot_shifts(series, *, time=None, ax=None, **kwargs):
    """
    Draw the shifts of several things through the night, each with its uncertainties.

    Parameters
    ----------
    series : `~slitlapse.wavelength.ShiftSeries`, or dict of str to such
        One of them, or ``{"star A": …, "star B": …, "tellurics": …, "sky": …}``.
    time : array-like, optional
        Exposure numbers if not given.
    ax : Axes, optional
    **kwargs
        For ``errorbar``.

    Returns
    -------
    ax : Axes
    """
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    many = series if hasattr(series, "items") else {"": series}
    for i, (name, one) in enumerate(many.items()):
        one.plot(ax, time=time, **{"label": name, "color": f"C{i}", "capsize": 1, **kwargs})
    ax.axhline(0, color="0.7", lw=0.5, zorder=0)
    if many is series:
        ax.legend(fontsize=7)
    return ax


def plot_wavelength_story(spectrum, solution, *, fwhm=3.0, axes=None):
    """Draw arc, simulated arc, residuals and bend of one solution in four panels."""
    axes = _axes(axes, 4)
    plot_arc_comparison(spectrum, solution, fwhm=fwhm, axes=axes[:2])
    plot_wavelength_residuals(solution, ax=axes[2])
    plot_dispersion(solution, ax=axes[3])
    return axes
