"""Explain: see the bias, its noise, and whether the predicted uncertainty is the true one."""

import numpy as np

from slitlapse.look import FlipBook

__all__ = ["flip_biases", "plot_bias_frames", "plot_master", "plot_pixel_scatter"]


def flip_biases(biases, titles=None):
    """
    Show bias frames in order, their median last.

    Parameters
    ----------
    biases : sequence of `~astropy.nddata.CCDData`
        Of one size and unit.
    titles : sequence of str, optional
        A line for each.

    Returns
    -------
    `~slitlapse.look.FlipBook`
        ``.save("biases.gif")`` writes the movie.
    """
    biases = list(biases)
    images = [np.asarray(bias.data, float) for bias in biases]
    titles = (
        [f"bias {i + 1} of {len(biases)}" for i in range(len(biases))] if titles is None else titles
    )
    return FlipBook([*images, np.median(images, axis=0)], [*titles, f"median of {len(biases)}"])


def plot_bias_frames(biases, read_noises=None, axes=None):
    """
    Draw the first bias, the median of all, and the histogram of their noise.

    Parameters
    ----------
    biases : sequence of `~astropy.nddata.CCDData`
        Raw bias frames in adu.
    read_noises : sequence of `ReadNoise`, optional
        Drawn as Gaussians over the histogram of their scatter.
    axes : array of `~matplotlib.axes.Axes`, shape (3,), optional

    Returns
    -------
    array of `~matplotlib.axes.Axes`
    """
    axes = _axes(axes, 3)
    median = np.median([bias.data for bias in biases], axis=0)
    low, high = np.percentile(median, [1, 99])
    for ax, image, title in zip(
        axes, (biases[0].data, median), ("one bias", f"median of {len(biases)}"), strict=False
    ):
        ax.imshow(image, origin="lower", aspect="auto", vmin=low - 5, vmax=high + 5)
        ax.set(title=f"{title} (adu)", xlabel="x (pixel)", ylabel="y (pixel)")
    if read_noises is None:
        axes[2].hist((biases[0].data - median).ravel(), bins=100)
        axes[2].set(xlabel="one bias - median (adu)", ylabel="pixels")
    else:
        for noise in read_noises:
            noise.plot(ax=axes[2])
    return axes


def plot_pixel_scatter(frames, ax=None, **kwargs):
    """
    Draw how much pixels scatter over a series against the uncertainty predicted for them.

    Parameters
    ----------
    frames : sequence of `~astropy.nddata.CCDData`
        Frames of the same thing, with uncertainties.
    ax : `~matplotlib.axes.Axes`, optional

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    data = np.stack([frame.data for frame in frames])
    predicted = np.sqrt(np.mean([frame.uncertainty.array**2 for frame in frames], axis=0)).ravel()
    scatter = data.std(axis=0, ddof=1).ravel()
    good = np.isfinite(scatter) & np.isfinite(predicted)
    for frame in frames:
        if frame.mask is not None:
            good &= ~frame.mask.ravel()
    ax.plot(predicted[good], scatter[good], **{"ls": "", "marker": ",", "alpha": 0.3, **kwargs})
    # in the order of their mean, which knows nothing of the scatter: no choice of the lucky ones
    order = np.argsort(data.mean(axis=0).ravel()[good])
    groups = np.array_split(order, 20)
    x = [predicted[good][g].mean() for g in groups]
    y = [np.sqrt(np.mean(scatter[good][g] ** 2)) for g in groups]
    ax.plot(x, y, "o", color="C1", label="pixels of similar signal")
    ax.plot(x, x, color="k", label="as predicted")
    ax.set(
        xlabel="predicted uncertainty (electron)",
        ylabel=f"scatter over {len(frames)} frames (electron)",
        xscale="log",
        yscale="log",
    )
    ax.legend()
    return ax


def plot_master(before, master, axes=None):
    """
    Draw one frame, the master frame of many, and what is left between them.

    Parameters
    ----------
    before, master : `~astropy.nddata.CCDData`
    axes : array of `~matplotlib.axes.Axes`, shape (3,), optional
    """
    axes = _axes(axes, 3)
    low, high = np.nanpercentile(master.data, [1, 99])
    difference = np.asarray(before.data, float) - master.data
    width = 4 * 1.4826 * np.nanmedian(np.abs(difference - np.nanmedian(difference)))
    centre = np.nanmedian(difference)
    panels = (
        (before.data, "one frame", low, high),
        (master.data, "master", low, high),
        (difference, "one frame - master", centre - width, centre + width),
    )
    for ax, (image, title, vmin, vmax) in zip(axes, panels, strict=True):
        shown = ax.imshow(image, origin="lower", aspect="auto", vmin=vmin, vmax=vmax)
        ax.figure.colorbar(shown, ax=ax, label=str(master.unit))
        ax.set(title=title, xlabel="x (pixel)", ylabel="y (pixel)")
    return axes


def _axes(axes, number):
    if axes is not None:
        return np.asarray(axes)
    import matplotlib.pyplot as plt

    return plt.subplots(1, number, figsize=(5 * number, 4), layout="constrained")[1]
