"""Where do you want your sky? Drag the mouse over it."""

import numpy as np

__all__ = ["WindowPicker", "pick_windows"]


class WindowPicker:
    """
    A cut across the slit on which sky windows are drawn with the mouse.

    Dragging adds a window; a click without dragging removes the window under it. `text` is a
    line of Python that makes the windows again, and is written as the title while you pick.

    Parameters
    ----------
    image : array, shape (n_y, n_x)
        Image in electron.
    trace : Trace, array, shape (n_x,), or number, optional
        The star. With it, windows are offsets from the star, without it rows.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the current axes by default.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import pick_windows
    >>> picker = pick_windows(np.ones((200, 50)), trace=100.0)
    >>> picker.add(20, 60)  # what dragging does
    >>> picker.add(-60, -20)
    >>> picker.text
    'SkyWindows(offsets=[[-60.0, -20.0], [20.0, 60.0]])'
    """

    def __init__(self, image, trace=None, ax=None):
        import matplotlib.pyplot as plt
        from matplotlib.widgets import SpanSelector

        image = np.ma.masked_invalid(getattr(image, "data", image))
        self.kind = "rows" if trace is None else "offsets"
        self.windows = []
        self.axes = plt.gca() if ax is None else ax
        cut, position = _cut(image, trace)
        self.axes.plot(position, cut, drawstyle="steps-mid", color="black", lw=0.8)
        label = "row" if trace is None else "offset from the star"
        self.axes.set(xlabel=f"{label} (pixel)", ylabel="median (electron)", title=self.text)
        self._patches = []
        self._selector = SpanSelector(
            self.axes, self.add, "horizontal", useblit=False, props={"alpha": 0.2},
            minspan=1.0, onmove_callback=None,
        )  # fmt: skip
        self.axes.figure.canvas.mpl_connect("button_release_event", self._click)
        self.axes.figure.canvas.mpl_connect("button_press_event", self._press)
        self._pressed = None

    @property
    def text(self):
        """A line of Python that makes the windows, or a hint while there are none."""
        if not self.windows:
            return "drag to add a sky window, click on one to remove it"
        pairs = [[float(low), float(high)] for low, high in sorted(self.windows)]
        return f"SkyWindows({self.kind}={pairs})"

    def add(self, low, high):
        """Add a window from ``low`` to ``high``, in pixels; windows that overlap become one."""
        low, high = sorted((round(low, 1), round(high, 1)))
        if high - low < 1.0:
            return
        apart = [pair for pair in self.windows if pair[1] < low or pair[0] > high]
        joined = [pair for pair in self.windows if pair not in apart] + [(low, high)]
        both = (min(pair[0] for pair in joined), max(pair[1] for pair in joined))
        self.windows = sorted([*apart, both])
        self._draw()

    def remove(self, position):
        """Remove the window that holds ``position``."""
        self.windows = [pair for pair in self.windows if not pair[0] <= position <= pair[1]]
        self._draw()

    def _draw(self):
        for patch in self._patches:
            patch.remove()
        self._patches = [
            self.axes.axvspan(*pair, color="tab:blue", alpha=0.25) for pair in self.windows
        ]
        self.axes.set_title(self.text)
        self.axes.figure.canvas.draw_idle()

    def _press(self, event):
        self._pressed = event.xdata if event.inaxes is self.axes else None

    def _click(self, event):
        if self._pressed is None or event.inaxes is not self.axes:
            return
        if abs(event.xdata - self._pressed) < 1.0:
            self.remove(event.xdata)


def _cut(image, trace):
    """Return the median along the spectrum, straightened along the trace, and its positions."""
    n_y, n_x = image.shape
    rows = np.arange(n_y)
    if trace is None:
        return np.ma.median(image, axis=1), rows
    position = trace if isinstance(trace, np.ndarray) else getattr(trace, "trace", trace)
    position = np.broadcast_to(np.ma.getdata(position), n_x)
    middle = np.nanmedian(position)
    shift = np.rint(np.nan_to_num(position - middle)).astype(int)
    # whole pixels are enough to choose windows by eye
    index = rows[:, np.newaxis] + shift
    inside = (index >= 0) & (index < n_y)
    straight = np.ma.masked_array(
        np.ma.getdata(image)[np.clip(index, 0, n_y - 1), np.arange(n_x)], ~inside
    )
    straight.mask |= np.ma.getmaskarray(image)[np.clip(index, 0, n_y - 1), np.arange(n_x)]
    return np.ma.median(straight, axis=1), rows - middle


def pick_windows(image, trace=None, ax=None):
    """
    Choose sky windows on a cut across the slit with the mouse.

    Parameters
    ----------
    image : array, shape (n_y, n_x)
        Image in electron.
    trace : Trace, array, shape (n_x,), or number, optional
        The star. With it, windows are offsets from the star, without it rows.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the current axes by default.

    Returns
    -------
    `WindowPicker`
        Keep it while you pick; its ``text`` can be pasted into a script or night file.
    """
    return WindowPicker(image, trace, ax)
