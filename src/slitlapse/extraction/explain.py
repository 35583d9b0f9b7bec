"""What did the extraction see, and what did it believe? Pictures of one exposure."""

import numpy as np

__all__ = ["plot_extraction", "plot_noise_shares", "plot_profile", "plot_weights"]


def plot_extraction(pixel, flux, sky, budget, axes=None):
    """
    Draw star, star + sky and sky on one panel, and the noise with its components below.

    Parameters
    ----------
    pixel : `~numpy.ndarray`, shape (n_x,)
        Abscissa: pixel or wavelength.
    flux, sky : `~numpy.ndarray`, shape (n_x,)
        Light of the star, and of the sky in its aperture, electron.
    budget : `NoiseBudget`
        Variances of the flux.
    axes : array of two `~matplotlib.axes.Axes`, optional
        Where to draw.

    Returns
    -------
    array of `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    for values, label in ((flux + sky, "star + sky"), (flux, "star"), (sky, "sky")):
        axes[0].plot(pixel, values, lw=0.8, label=label)
    axes[0].set(ylabel="electron per column")
    axes[0].legend()
    budget.plot(pixel, ax=axes[1])
    return axes


def plot_weights(data, weights, rejected, mask=None, axes=None):
    """
    Draw the frame, and on it the weights and the pixels that got none.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_rows, n_x)
        Sky-subtracted counts, electron.
    weights : `~numpy.ndarray`, shape (n_rows, n_x)
        Weights of the extraction.
    rejected : `~numpy.ndarray` of bool, shape (n_rows, n_x)
        Pixels rejected by the fit.
    mask : `~numpy.ndarray` of bool, shape (n_rows, n_x), optional
        Pixels that were known to be bad.
    axes : array of two `~matplotlib.axes.Axes`, optional
        Where to draw.

    Returns
    -------
    array of `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(2, 1, sharex=True, sharey=True, figsize=(9, 5), layout="constrained")
    low, high = np.nanpercentile(data, [5, 99.5])
    kwargs = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    axes[0].imshow(data, vmin=low, vmax=high, cmap="gray", **kwargs)
    axes[1].imshow(weights, cmap="viridis", **kwargs)
    for ax in axes:
        if mask is not None:
            ax.plot(*np.nonzero(mask)[::-1], "s", ms=3, mfc="none", mec="C0", label="masked")
        ax.plot(*np.nonzero(rejected)[::-1], "o", ms=5, mfc="none", mec="C3", label="rejected")
        ax.set(ylabel="row")
    axes[0].set(title="counts")
    axes[1].set(title="weights", xlabel="pixel")
    axes[0].legend(loc="upper right")
    return axes


def plot_profile(data, rows, centre, width, profile, flux, axes=None):
    """
    Draw the profile as measured against the profile as used, and their difference.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_rows, n_x)
        Sky-subtracted counts, electron.
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre, width : `~numpy.ndarray`, shape (n_x,)
        Row and Gaussian width of the star, pixel.
    profile : `~numpy.ndarray`, shape (n_rows, n_x)
        Profile used.
    flux : `~numpy.ndarray`, shape (n_x,)
        Light of the star, electron.
    axes : array of two `~matplotlib.axes.Axes`, optional
        Where to draw.

    Returns
    -------
    array of `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(2, 1, sharex=True, figsize=(7, 6), layout="constrained")
    offset = np.broadcast_to((rows - centre) / width, data.shape)
    edges = np.linspace(-6, 6, 61)
    index = np.digitize(offset.ravel(), edges)
    total = np.bincount(index, np.broadcast_to(flux * (1 + 0 * rows), data.shape).ravel(), 62)
    lit = total > 0
    measured = np.bincount(index, (data * width).ravel(), 62)[lit] / total[lit]
    used = np.bincount(index, (flux * profile * width).ravel(), 62)[lit] / total[lit]
    middle = np.append(edges[:1] - 0.1, edges + 0.1)[lit]
    inner = (middle > -6) & (middle < 6)
    axes[0].plot(middle[inner], measured[inner], ".", label="measured")
    axes[0].plot(middle[inner], used[inner], "-", label="used")
    axes[0].set(ylabel="light per width", yscale="log", ylim=(1e-4, 1))
    axes[0].legend()
    axes[1].plot(middle[inner], (measured - used)[inner], ".")
    axes[1].axhline(0, color="gray", lw=0.8)
    axes[1].set(xlabel="(row - centre) / width", ylabel="measured - used")
    return axes


def plot_noise_shares(pixel, budget, axes=None):
    """
    Draw which source of noise dominates where.

    Parameters
    ----------
    pixel : `~numpy.ndarray`, shape (n_wave,)
        Abscissa: pixel or wavelength.
    budget : `NoiseBudget`
        Of one exposure, (n_wave,), or of a night, (n_wave, n_time). What is nowhere is not drawn.
    axes : array of `~matplotlib.axes.Axes`, optional
        Where to draw: two, or one for one exposure.

    Returns
    -------
    array of `~matplotlib.axes.Axes`
        Shares of the variance (mean over the exposures) above. Below, where there are several
        exposures, the largest component of each wavelength and exposure.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import BoundaryNorm, ListedColormap

    names = [name for name in budget.names() if np.any(getattr(budget, name).value)]
    shares = np.array([budget.fraction(name) for name in names])
    shares = shares.reshape(len(names), len(pixel), -1)
    rows = min(shares.shape[2], 2)
    if axes is None:
        size = {"figsize": (8, 3 * rows), "squeeze": False, "layout": "constrained"}
        axes = plt.subplots(rows, 1, sharex=True, **size)[1][:, 0]
    colors = [f"C{number}" for number in range(len(names))]
    axes[0].stackplot(pixel, shares.mean(axis=2), labels=names, colors=colors)
    axes[0].set(ylabel="share of the variance", ylim=(0, 1))
    axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes[-1].set_xlabel("pixel")
    if rows == 1:
        return axes
    largest = shares.argmax(axis=0)
    axes[1].pcolormesh(
        pixel,
        np.arange(largest.shape[1]),
        largest.T,
        cmap=ListedColormap(colors),
        norm=BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names)),
        shading="nearest",
    )
    axes[1].set(ylabel="exposure", title="largest component")
    return axes
