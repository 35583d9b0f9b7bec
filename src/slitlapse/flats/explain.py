"""Explain: the flat, the smooth light in it, and the sensitivity that is left."""

import numpy as np

__all__ = ["plot_flat_steps"]


def plot_flat_steps(flat, sensitivity, axes=None):
    """
    Draw the combined flat, its smooth part, and the sensitivity, one below the other.

    Parameters
    ----------
    flat : `~astropy.nddata.CCDData`, shape (n_y, n_x)
    sensitivity : PixelSensitivity
    axes : array of `~matplotlib.axes.Axes`, shape (3,), optional

    Returns
    -------
    array of `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    if axes is None:
        axes = plt.subplots(3, 1, figsize=(8, 8), sharex=True, layout="constrained")[1]
    top = np.nanpercentile(sensitivity.lamp, 99.5)
    for ax, image, title in zip(
        axes, (flat.data, sensitivity.lamp), ("flat", "smooth light"), strict=False
    ):
        shown = ax.imshow(image, origin="lower", aspect="auto", vmin=0, vmax=top)
        ax.figure.colorbar(shown, ax=ax, label="electron")
        ax.set(title=title, xlabel="x (pixel)", ylabel="y (pixel)")
    sensitivity.plot(ax=axes[2])
    axes[2].set(title="sensitivity = flat / smooth light")
    for ax in axes:
        ax.label_outer()
    return np.asarray(axes)
