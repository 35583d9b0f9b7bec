"""How do we know that a trace follows its star? Pictures of several panels."""

import numpy as np
from astropy.nddata import NDData

from slitlapse.look import FlipBook, show_frame

__all__ = [
    "animate_trace",
    "plot_stars",
    "plot_trace_fit",
    "plot_trace_on_image",
    "plot_trace_residuals",
]


def plot_stars(stars, *, ax=None):
    """
    Draw the cut across the slit on which stars were found; number them by brightness.

    Parameters
    ----------
    stars : `~astropy.table.QTable`
        From `find_stars`.
    ax : `~matplotlib.axes.Axes` or None
        Where to draw; ``None``: the current axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
    """
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    cut, smooth = stars.meta["cut"], stars.meta["smooth"]
    ax.plot(cut, drawstyle="steps-mid", color="k", lw=0.8, label="cut across the slit")
    ax.plot(smooth, color="tab:blue", lw=1, label="smooth part (sky)")
    for number, star in enumerate(stars):
        row = star["position"].value
        ax.axvline(row, color="tab:orange", lw=1)
        where = {"xycoords": ax.get_xaxis_transform(), "ha": "center", "fontsize": 8}
        ax.annotate(f"{number + 1}", (row, 1.01), **where)
    ax.set_yscale("symlog", linthresh=max(10 * np.median(np.abs(cut - smooth)), 1e-3))
    ax.set(xlabel="y (pixel)", ylabel=f"mean per column ({stars['flux'].unit})")
    ax.legend(fontsize=8)
    return ax


def plot_trace_on_image(image, trace, *, axes=None):
    """
    Draw the image with trace and window, and below it what the bins say, with the curves.

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
    if axes is None:
        axes = _new_axes(3, (9, 8))
    center = np.asarray(trace.trace)
    _show_near(axes[0], image, trace)
    _draw_trace(axes[0], trace)
    axes[0].set_xlabel("")
    _plot_bins(axes[1], trace, "center", "used", center, "centre (pixel)")
    _plot_bins(axes[2], trace, "width", "used_width", trace.width, "width (sigma, pixel)")
    axes[2].set_xlabel("x (pixel)")
    return np.asarray(axes)


def plot_trace_residuals(trace, *, axes=None):
    """
    Draw how far the bins lie from the curves of centre and width, in their own uncertainties.

    Parameters
    ----------
    trace : `ProfileTrace`
        Measured trace.
    axes : sequence of 2 `~matplotlib.axes.Axes` or None
        Where to draw; ``None``: a new figure.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (2,)
    """
    if axes is None:
        axes = _new_axes(2, (9, 5))
    curves = ("center", "used", np.asarray(trace.trace)), ("width", "used_width", trace.width)
    for ax, (name, used, curve) in zip(axes, curves, strict=True):
        x, value, error, used = _bins(trace, name, used)
        pull = (value - np.interp(x, np.arange(curve.size), curve)) / error
        ax.axhspan(-1, 1, color="0.9")
        near = used & (np.abs(pull) <= 8)
        ax.plot(x[near], pull[near], "k.", label="used")
        for beyond, marker in ((pull > 8, "k^"), (pull < -8, "kv")):
            if np.any(used & beyond):
                ax.plot(x[used & beyond], np.clip(pull[used & beyond], -8, 8), marker, ms=4)
        ax.plot(x[~used], np.clip(pull[~used], -8, 8), "o", mfc="none", color="tab:red")
        ax.set(ylabel=f"{name} off the curve (sigma)", ylim=(-8.5, 8.5))
    axes[-1].set_xlabel("x (pixel)")
    return np.asarray(axes)


def plot_trace_fit(image, trace, *, axes=None):
    """
    Draw the star straightened, the model in it, the difference, and the mean of all columns.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        Image in electron.
    trace : `ProfileTrace`
        Measured trace.
    axes : sequence of 4 `~matplotlib.axes.Axes` or None
        Where to draw; ``None``: a new figure.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (4,)
    """
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(4, 1, figsize=(9, 9), layout="constrained")
    cut = trace.cut_out(image)
    part = trace.compare(cut, floor=trace.read_noise)
    data, good, rows = cut
    residual = part["residual"]
    noise = 1 / np.sqrt(np.where(part["weight"] > 0, part["weight"], np.nan))
    extent = (-0.5, data.shape[1] - 0.5, -trace.reach - 0.5, trace.reach + 0.5)
    panels = (data, "image"), (data - residual, "model"), (residual / noise, "difference (sigma)")
    limits = np.percentile(data[good], [1, 99.5])
    for ax, (values, name) in zip(axes, panels, strict=False):
        scale = (-5, 5) if "sigma" in name else limits
        show_frame(np.where(good, values, np.nan), ax, limits=scale, extent=extent)
        ax.set(ylabel="rows from trace", title=name)
    y = rows - np.asarray(trace.trace)
    share = np.where(part["fine"], data - part["sky"] - part["slope"] * y, np.nan)
    flux = np.where(part["solvable"], part["flux"], np.nan)
    few = slice(None, None, max(data.shape[1] // 200, 1))
    bright = flux > 0.3 * np.nanmedian(flux)
    axes[3].plot(
        y[:, bright][:, few].ravel(), (share / flux)[:, bright][:, few].ravel(), ",", color="0.5"
    )
    order = np.argsort(y[:, 0])
    middle = y.shape[1] // 2
    model = trace.profile(rows)[:, middle]
    axes[3].plot(y[order, middle], model[order], color="tab:orange", label=trace.profile_family)
    axes[3].set(
        xlabel="rows from trace", ylabel="share of the star", ylim=(-0.1, 1.5 * model.max())
    )
    return np.asarray(axes)


def animate_trace(images, trace, shifts, *, titles=None):
    """
    Make a movie of a star over the night: every exposure with its own trace and window over it.

    Parameters
    ----------
    images : sequence
        Exposures, or functions without arguments that return one.
    trace : `ProfileTrace`
        The trace they share.
    shifts : sequence of `ProfileShift`
        One for each exposure.
    titles : sequence of str or None
        A line for each; ``None``: offset and width factor.

    Returns
    -------
    `TraceMovie`
        A `~slitlapse.look.FlipBook`: ``.save(path)`` writes the movie.
    """
    if titles is None:
        titles = [f"offset {s.offset:+.2f} pixel, width x {s.width_factor:.3f}" for s in shifts]
    return TraceMovie(tuple(images), titles, trace=trace, shifts=tuple(shifts))


class TraceMovie(FlipBook):
    """
    A flip-book whose frames carry the trace of each exposure.

    Parameters
    ----------
    frames, titles
        As `~slitlapse.look.FlipBook`.
    trace : `ProfileTrace`
        The trace they share.
    shifts : sequence of `ProfileShift`
        One for each frame.

    Examples
    --------
    >>> from slitlapse.trace import ProfileShift, ProfileTrace, animate_trace
    >>> trace = ProfileTrace.from_curves((40, 60), 20.0, 2.0)
    >>> shifts = [ProfileShift(0.0, 0.01), ProfileShift(1.5, 0.01)]
    >>> movie = animate_trace([trace.profile_image(None, s.offset) for s in shifts], trace, shifts)
    >>> len(movie)
    2
    """

    def __init__(self, frames, titles=None, *, trace, shifts, **kwargs):
        super().__init__(frames, titles, **kwargs)
        if len(shifts) != len(self.frames):
            raise ValueError(
                f"{len(self.frames)} frames came with {len(shifts)} shifts; one each is needed."
            )
        object.__setattr__(self, "trace", trace)
        object.__setattr__(self, "shifts", shifts)

    def draw(self, number, ax=None, **kwargs):
        """Draw one exposure, its trace and its window."""
        scale = {"limits": self._limits_of(number), "stretch": "asinh"}
        ax = super().draw(number, ax, **{**scale, **self.options, **kwargs})
        shift = self.shifts[number]
        here = self.trace + np.nan_to_num(shift.offset)  # not seen: where it would be
        _draw_trace(ax, here, shift.width_factor)
        center, span = np.asarray(here.trace), 2 * self.trace.reach
        low, high = sorted(ax.get_ylim())
        ax.set_ylim(max(center.min() - span, low), min(center.max() + span, high))
        return ax

    def limits(self):
        """Return the values of black and white that suit what lies near all traces."""
        limits = np.array([self._limits_of(number) for number in range(len(self))])
        return float(limits[:, 0].min()), float(limits[:, 1].max())

    def _limits_of(self, number):
        """Give the limits of one exposure."""
        here = self.trace + np.nan_to_num(self.shifts[number].offset)  # not seen: where it was
        return _limits_near(self.frame(number), here)


def _new_axes(n, figsize):
    """Make panels above each other that share their columns."""
    import matplotlib.pyplot as plt

    return plt.subplots(n, 1, figsize=figsize, sharex=True, layout="constrained")[1]


def _show_near(ax, image, trace):
    """Show the rows near the trace, scaled to what lies there."""
    data = np.asarray(image.data if isinstance(image, NDData) else image)
    center, span = np.asarray(trace.trace), 2 * trace.reach
    low, high = max(center.min() - span, -0.5), min(center.max() + span, data.shape[0] - 0.5)
    rows = slice(int(low + 0.5), int(np.ceil(high + 0.5)))
    extent = (-0.5, data.shape[1] - 0.5, rows.start - 0.5, rows.stop - 0.5)
    scale = {"limits": _limits_near(data, trace), "stretch": "asinh"}
    show_frame(np.asarray(data[rows], float), ax, **scale, colorbar=False, extent=extent)
    ax.set(ylim=(low, high), ylabel="row (pixel)")


def _limits_near(image, trace):
    """Give the values of black and white that suit the rows near a trace."""
    near, good, _ = trace.cut_out(image.data if isinstance(image, NDData) else image)
    return tuple(np.percentile(near[good], [2, 99])) if good.any() else (0.0, 1.0)


def _draw_trace(ax, trace, width_factor=1.0):
    """Draw trace, half maxima and window over an image."""
    center = np.asarray(trace.trace)
    x = np.arange(center.size)
    ax.plot(x, center, color="tab:orange", lw=1, label="trace")
    for side in (-0.5, 0.5):
        edge = center + side * trace.fwhm * width_factor
        ax.plot(x, edge, color="tab:orange", lw=0.6, ls=":", label="half maximum")
    for side in (-1, 1):
        ax.plot(x, center + side * trace.reach, color="tab:cyan", lw=1, ls="--", label="window")


def _bins(trace, name, used):
    """Take one column of the table apart: x, value, error, used."""
    table = trace.table
    if table is None:
        raise ValueError("This trace was built by hand and has no bins to draw; measure one.")
    columns = table["x"], table[name], table[f"{name}_uncertainty"]
    return *(column.value for column in columns), np.asarray(table[used])


def _plot_bins(ax, trace, name, used, curve, label):
    """Draw what the bins say, the unused ones open, and the curve through them."""
    ax.plot(np.arange(curve.size), curve, color="tab:orange", zorder=3)
    x, value, error, used = _bins(trace, name, used)
    ax.errorbar(x[used], value[used], error[used], fmt="k.", ms=3, lw=0.7, label="used")
    ax.plot(x[~used], value[~used], "o", mfc="none", color="tab:red", label="not used")
    shown = np.append(curve[x.min() <= np.arange(curve.size)], value[used])
    spread = np.ptp(shown) + 10 * np.median(error[used]) + 1e-3
    ax.set_ylim(shown.min() - 0.1 * spread, shown.max() + 0.1 * spread)
    ax.set_ylabel(label)
