"""How do we know that a trace follows its star? Pictures of several panels."""

import numpy as np

__all__ = ["plot_trace_on_image", "plot_trace_residuals"]


def plot_trace_on_image(image, trace, *, axes=None):
    """
    Draw the image with the trace and its window, and below it centres and widths with curves.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        What the trace was measured on.
    trace : `ProfileTrace`
        Measured trace.
    axes : sequence of 3 `~matplotlib.axes.Axes` or None
        Where to draw; ``None``: a new figure.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (3,)
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(3, 1, figsize=(9, 8), sharex=True, layout="constrained")
    data = np.asarray(image if isinstance(image, np.ndarray) else image.data, float)
    x = np.arange(data.shape[1])
    center = np.asarray(trace.trace)
    low, high = np.nanpercentile(data, [5, 99.5])
    axes[0].imshow(data, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="gray_r")
    axes[0].plot(x, center, color="tab:orange", lw=1, label="trace")
    for side in (-1, 1):
        axes[0].plot(x, center + side * trace.reach, color="tab:blue", lw=1, ls="--")
        axes[0].plot(x, center + side * 0.5 * trace.fwhm, color="tab:orange", lw=0.6, ls=":")
    span = 2 * trace.reach
    axes[0].set(ylabel="row (pixel)", ylim=(center.min() - span, center.max() + span))
    _plot_bins(axes[1], trace, "center", center, "centre (pixel)")
    _plot_bins(axes[2], trace, "width", trace.width, "width (sigma, pixel)")
    axes[2].set_xlabel("column (pixel)")
    return np.asarray(axes)


def _plot_bins(ax, trace, name, curve, label):
    """Draw what the bins say, the unused ones open, and the curve through them."""
    table = trace.table
    ax.plot(np.arange(curve.size), curve, color="tab:orange", zorder=3)
    if table is not None:
        used = np.asarray(table["used"])
        value, error = (
            np.asarray(getattr(table[n], "value", table[n])) for n in (name, f"{name}_uncertainty")
        )
        at = np.asarray(getattr(table["x"], "value", table["x"]))
        ax.errorbar(at[used], value[used], error[used], fmt="k.", ms=3, lw=0.7, label="used")
        ax.plot(at[~used], value[~used], "o", mfc="none", color="tab:red", label="not used")
        spread = np.ptp(curve) + 10 * np.median(error[used]) + 1e-3
        ax.set_ylim(curve.min() - 0.3 * spread, curve.max() + 0.3 * spread)
    ax.set_ylabel(label)


def plot_trace_residuals(trace, *, axes=None):
    """
    Draw how far the bins lie from the curves of centre and width, in their own uncertainties.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (2,)
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
    table = trace.table
    at, used = np.asarray(getattr(table["x"], "value", table["x"])), np.asarray(table["used"])
    for ax, name, curve in zip(
        axes, ("center", "width"), (np.asarray(trace.trace), trace.width), strict=True
    ):
        value, error = (
            np.asarray(getattr(table[n], "value", table[n])) for n in (name, f"{name}_uncertainty")
        )
        pull = (value - np.interp(at, np.arange(curve.size), curve)) / error
        ax.axhspan(-1, 1, color="0.9")
        ax.plot(at[used], pull[used], "k.")
        ax.plot(at[~used], np.clip(pull[~used], -8, 8), "o", mfc="none", color="tab:red")
        ax.set(ylabel=f"{name} off the curve (sigma)", ylim=(-8.5, 8.5))
    axes[-1].set_xlabel("column (pixel)")
    return np.asarray(axes)
