"""Explain: the flat, the smooth light in it, and the sensitivity that is left."""

import numpy as np

from slitlapse.look import show_frame

__all__ = ["plot_flat_steps"]


def plot_flat_steps(flat, sensitivity, axes=None, *, most_pixels=None):
    """
    Draw the combined flat, its smooth part, and the sensitivity, one below the other.

    Parameters
    ----------
    flat : `~astropy.nddata.CCDData`, shape (n_y, n_x)
    sensitivity : PixelSensitivity
    axes : array of `~matplotlib.axes.Axes`, shape (3,), optional
    most_pixels : int, optional
        Along either side, see `~slitlapse.look.show_frame`.

    Returns
    -------
    array of `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    if axes is None:
        axes = plt.subplots(3, 1, figsize=(8, 8), sharex=True, layout="constrained")[1]
    top = np.nanpercentile(sensitivity.lamp, 99.5)
    style = {"cmap": "viridis", "colorbar": False, "most_pixels": most_pixels}
    images = {
        "flat": (flat.data, (0, top)),
        "smooth light": (sensitivity.lamp, (0, top)),
        "sensitivity = flat / smooth light": (
            np.where(sensitivity.mask, np.nan, sensitivity.sensitivity),
            sensitivity.usual_range,
        ),
    }
    for ax, (title, (image, limits)) in zip(axes, images.items(), strict=True):
        show_frame(image, ax, limits=limits, **style)
        label = "sensitivity" if title.startswith("sensitivity") else "electron"
        ax.figure.colorbar(ax.images[0], ax=ax, label=label)
        ax.set_title(title)
    for ax in axes:
        ax.label_outer()
    return np.asarray(axes)
