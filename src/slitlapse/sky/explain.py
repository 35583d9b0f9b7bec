"""How do we know that the sky is right? Pictures of several panels."""

import numpy as np

from slitlapse.look import show_frame

__all__ = [
    "plot_baseline",
    "plot_effective_pixel",
    "plot_sky_subtraction",
    "plot_supersampled",
]


def plot_sky_subtraction(image, sky, sky_pixels=None, *, traces=(), axes=None):
    """
    Draw science, sky model and difference, one below the other, with the windows outlined.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array, shape (n_y, n_x)
        Science image in electron.
    sky : array, shape (n_y, n_x), or `SplineSky` or `PolynomialBackground`
        Sky model.
    sky_pixels : array of bool, shape (n_y, n_x), optional
        Where the sky was measured.
    traces : list of Trace, float or array, shape (n_x,)
        Stars to mark.
    axes : sequence of 3 `~matplotlib.axes.Axes`, optional
        Where to draw; a new figure by default.

    Returns
    -------
    array of `~matplotlib.axes.Axes`, shape (3,)
        Science and sky share one scale; the difference is scaled to its own noise.
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(3, 1, figsize=(8, 7), sharex=True, sharey=True, layout="constrained")
    data = np.asarray(image if isinstance(image, np.ndarray) else image.data, dtype=float)
    model = sky.bkg_image().flux.value if hasattr(sky, "bkg_image") else np.asarray(sky)
    difference = data - model
    limits = tuple(np.nanpercentile(model, [0.5, 99.5]))
    noise = 1.4826 * np.nanmedian(np.abs(difference - np.nanmedian(difference)))
    panels = ((data, limits), (model, limits), (difference, (-4 * noise, 4 * noise)))
    for ax, (panel, limit), title in zip(
        axes, panels, ("science", "sky", "science - sky"), strict=True
    ):
        show_frame(panel, ax, limits=limit, colorbar=False)
        ax.set_title(title)
        if sky_pixels is not None:
            # a smooth outline: single rejected pixels would hide the windows
            inside = np.asarray(sky_pixels, dtype=float)
            ax.contour(inside, levels=[0.5], colors="tab:blue", linewidths=0.8)
        for trace in traces:
            position = trace if isinstance(trace, np.ndarray | float) else trace.trace
            ax.plot(np.ma.zeros(data.shape[1]) + position, color="tab:orange", lw=0.8)
        ax.label_outer()
    return np.asarray(axes)


def plot_effective_pixel(effective_pixel, ax=None, *, every=None, **kwargs):
    """
    Draw how far lines lie from where they would be without tilt, with lines of equal wavelength.

    Parameters
    ----------
    effective_pixel : array, shape (n_y, n_x)
        Dispersion coordinate of every pixel.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the current axes by default.
    every : float, optional
        Effective pixels between the lines; about 12 lines by default.
    **kwargs
        For `~matplotlib.axes.Axes.imshow`.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    n_x = effective_pixel.shape[1]
    shown = effective_pixel - np.arange(n_x)
    options = {"origin": "lower", "aspect": "auto", "cmap": "RdBu_r", "interpolation": "nearest"}
    shown_as = ax.imshow(shown, **{**options, **kwargs})
    ax.figure.colorbar(shown_as, ax=ax, label="effective pixel - column (pixel)")
    step = np.ceil(n_x / 12) if every is None else every
    levels = np.arange(step, n_x, step)
    ax.contour(effective_pixel, levels=levels, colors="black", linewidths=0.7)
    ax.set(xlabel="column (pixel)", ylabel="row (pixel)")
    return ax


def plot_supersampled(sky, around=None, *, reach=15.0, axes=None):
    """
    Draw the super-sampled sky before and after rejection, and what is left of it.

    Parameters
    ----------
    sky : `SplineSky` or `SupersampledSky`
        Fitted sky; the running median rejects nothing and tells no noise.
    around : float, optional
        Effective pixel to look at; the brightest by default.
    reach : float
        Effective pixels shown on each side.
    axes : sequence of 3 `~matplotlib.axes.Axes`, optional
        Where to draw; a new figure by default.

    Returns
    -------
    array of `~matplotlib.axes.Axes`, shape (3,)
        All sky pixels; those that were kept, with the model; residuals over noise (of a running
        median, in electron).
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(3, 1, figsize=(8, 8), sharex=True, layout="constrained")
    position, flux, model, used, noise = _samples(sky)
    if around is None:
        around = position[np.argmax(np.where(used, model, -np.inf))]
    near = np.flatnonzero(np.abs(position - around) < reach)
    near = near[np.argsort(position[near])]
    position, flux, model, used = (part[near] for part in (position, flux, model, used))
    dots = {"marker": ".", "ls": "none", "ms": 2}
    axes[0].plot(position, flux, color="tab:gray", label="all sky pixels", **dots)
    axes[0].plot(position[~used], flux[~used], "x", color="tab:red", ms=4, label="rejected")
    axes[1].plot(position[used], flux[used], color="tab:gray", label="kept", **dots)
    axes[1].plot(
        position[used], model[used], color="tab:orange", label="model", marker=".", ms=1, ls=""
    )
    pull = (flux - model)[used] / (1.0 if noise is None else noise[near][used])
    axes[2].plot(position[used], pull, color="tab:gray", label=f"scatter {pull.std():.3f}", **dots)
    axes[2].axhline(0, color="tab:orange", lw=1)
    words = "residual (electron)" if noise is None else "residual / noise"
    limit = 7.0 if noise is not None else 5 * np.percentile(np.abs(pull), 68)
    axes[2].set(xlabel="effective pixel", ylabel=words, ylim=(-limit, limit))
    for ax in axes:
        ax.legend(loc="upper right", markerscale=3)  # dots are small
    for ax in axes[:2]:
        ax.set_ylabel("sky (electron)")
    return np.asarray(axes)


def _samples(sky):
    """Return position, flux, model, used and noise (or None) of every sky pixel."""
    if not hasattr(sky, "fit"):
        return sky.effective_pixel, sky.flux, sky.smooth, np.ones(sky.flux.size, bool), None
    pixels = sky.geometry.sky_pixels & sky.fit.good
    image, noise = sky.image.flux.value, np.sqrt(sky.fit.variance)
    parts = sky.effective_pixel, image, sky.fit.model, sky.fit.used, noise
    return tuple(part[pixels] for part in parts)


def plot_baseline(table, ax=None, *, bins=60):
    """
    Draw what is left beside each star along the spectrum, binned.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From `residual_baseline`.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the current axes by default.
    bins : int
        Number of bins along the spectrum.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    for row in table:
        levels = row["levels"].value
        parts = np.array_split(np.arange(levels.size), min(bins, levels.size))
        centre = [part.mean() for part in parts]
        mean = [
            np.mean(levels[part][np.isfinite(levels[part])]) if np.isfinite(levels[part]).any()
            else np.nan for part in parts
        ]  # fmt: skip
        label = f"star {row['star']} {row['side']}: {row['level'].value:.3g}"
        label += f" ± {row['uncertainty'].value:.2g}"
        ax.plot(centre, mean, drawstyle="steps-mid", label=label)
    ax.axhline(0, color="black", lw=0.6)
    ax.set(xlabel="column (pixel)", ylabel="residual level (electron)")
    ax.legend()
    return ax
