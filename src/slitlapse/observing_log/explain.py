"""What happened that night? All of it in one picture, and every frame in order."""

from collections import Counter
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.time import Time

from slitlapse.look import FlipBook

from .frame_files import read_frame

__all__ = ["flip_through", "log_line", "plot_night"]

LEVELS = {"counts_high": "99th percentile", "bias_level": "bias level"}
CLOCK_STEPS = (1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3)  # hours between numbers
MARKS = {"bias": "s", "dark": "D", "flat": "^", "arc": "v", "science": "o", "other": "x"}


def log_line(row):
    """
    Say in one line what a frame is.

    Parameters
    ----------
    row : `~astropy.table.Row`
        Of a table made by `make_header_table`.

    Returns
    -------
    line : str
        File name, kind, object or lamps, time, exposure time, airmass; unknown parts are left out.
    """
    what = row["lamps"] if row["kind"] == "arc" and row["lamps"] else row["object"]
    words = [row["filename"], row["kind"], what]
    if not np.any(row["time"].mask):
        words.append(str(row["time"].unmasked.isot)[:19])
    if np.isfinite(row["exposure_time"]):
        words.append(f"{row['exposure_time'].to_value('s'):g} s")
    if row["kind"] == "science" and np.isfinite(row["airmass"]):
        words.append(f"airmass {row['airmass']:.3f}")
    return "  ".join(str(word) for word in words if str(word))


def flip_through(table, folder=None, *, extension=0, kinds=None, **kwargs):
    """
    Make a flip-book of a night's raw frames, with the log line under each.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Made by `make_header_table`.
    folder : path-like, optional
        Where the files are; by default what the table's ``meta["folder"]`` says.
    extension : int or str, optional
        HDU of the data.
    kinds : list of str, optional
        Only these kinds.
    **kwargs
        For `~slitlapse.look.FlipBook`; each frame has its own scale unless ``same_scale`` is True,
        and grey follows counts like an inverse hyperbolic sine, which shows sky and stars alike,
        unless ``options`` say otherwise (of biases and darks alone, it follows them linearly).

    Returns
    -------
    book : `~slitlapse.look.FlipBook`
        Frames are read when they are drawn. ``.save(path)`` makes a movie.
    """
    folder = Path(table.meta["folder"] if folder is None else folder)
    rows = [row for row in table if kinds is None or row["kind"] in kinds]
    frames = [partial(_read, folder / str(row["filename"]), extension) for row in rows]
    stretch = "linear" if {row["kind"] for row in rows} <= {"bias", "dark"} else "asinh"
    settings = {"same_scale": False, "options": {"stretch": stretch}, **kwargs}
    return FlipBook(frames, [log_line(row) for row in rows], **settings)


def _read(path, extension):
    """Pixels as they are in the file, in adu."""
    _, images = read_frame(path, extensions=[extension])
    return u.Quantity(images[0], u.adu, dtype=np.float32)


def plot_night(table, axes=None):
    """
    Draw the night against time: airmass, exposures by kind, and counts and bias level if measured.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Made by `make_header_table`; with columns ``counts_high`` and ``bias_level`` (joined from
        `measure_levels`) it has two more panels.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One for each panel; by default new ones, one under the other.

    Returns
    -------
    axes : `~numpy.ndarray` of `~matplotlib.axes.Axes`
        Airmass, exposures, and what else there is; x is in hours after a midnight (UTC). Of a
        table that spans several nights, the one with the most science frames is drawn, and the
        frames of others are counted.

    Raises
    ------
    ValueError
        If no frame has a time.
    """
    known = table[~np.asarray(table["time"].mask)]
    if len(known) == 0:
        raise ValueError("No frame of this log has a time: a night cannot be drawn without.")
    nights = _nights(known)
    science = known["kind"] == "science"
    night = Counter((nights[science] if science.any() else nights).tolist()).most_common(1)[0][0]
    n_hidden = int(np.sum(nights != night))
    known = known[nights == night]
    levels = [
        name for name in LEVELS if name in known.colnames and np.isfinite(known[name].value).any()
    ]
    axes = _new_axes(len(levels)) if axes is None else np.atleast_1d(axes)
    # hours are counted from the midnight (UTC) that is nearest to the middle of the night
    midnight = np.round(np.median(known["time"].mjd))
    hours = (known["time"].mjd - midnight) * 24
    _draw_airmass(axes[0], known, hours)
    _draw_kinds(axes[1:], known, hours, levels)
    half = np.nan_to_num(known["exposure_time"].to_value("h")) / 2
    _frame(axes, np.concatenate([hours - half, hours + half]), n_hidden)
    first, last = Time(known["time"].mjd[[0, -1]], format="mjd").strftime("%Y-%m-%d")
    axes[-1].set_xlabel(f"UTC, {first}" if first == last else f"UTC, {first} to {last}")
    return axes


def _nights(table):
    """Number of the night of each frame; nights part where science frames leave most room."""
    time = table["time"].mjd
    science = table["kind"] == "science"
    clock = np.sort((time[science] if science.any() else time) % 1)
    room = np.diff(clock, append=clock[0] + 1)
    widest = np.argmax(room)
    return np.floor(time - clock[widest] - room[widest] / 2)


def _draw_airmass(ax, table, hours):
    """Airmass of each object."""
    science = table["kind"] == "science"
    for name in np.unique(table["object"][science]):
        rows = science & (table["object"] == name)
        ax.plot(hours[rows], table["airmass"][rows], "o-", label=name or "(no name)")
    ax.set_ylabel("airmass")
    ax.invert_yaxis()  # high in the sky is high in the picture
    if science.any():
        ax.legend(fontsize="small")


def _draw_kinds(axes, table, hours, levels):
    """Exposures by kind, and what was measured on them."""
    kinds = [kind for kind in MARKS if kind in table["kind"]]
    kinds += sorted(set(table["kind"]) - set(MARKS))
    colours = [f"C{[*MARKS].index(kind) if kind in MARKS else 9}" for kind in kinds]
    for number, (kind, colour) in enumerate(zip(kinds, colours, strict=True)):
        rows = table["kind"] == kind
        width = np.nan_to_num(table["exposure_time"][rows].to_value("h"))
        level = np.full(rows.sum(), number)
        axes[0].barh(level, width, left=hours[rows] - width / 2, alpha=0.5, color=colour)
        axes[0].plot(hours[rows], level, "|", color="k")
        for ax, name in zip(axes[1:], levels, strict=False):
            mark = MARKS.get(kind, "+")
            ax.plot(hours[rows], table[name][rows].value, mark, label=kind, color=colour)
    axes[0].set_yticks(range(len(kinds)), kinds)
    for ax, name in zip(axes[1:], levels, strict=False):
        ax.set_ylabel(f"{LEVELS[name]}\n({table[name].unit})")
    if levels:
        axes[1].legend(fontsize="small", ncols=3)


def _new_axes(n_levels):
    """One panel under the other."""
    from matplotlib import pyplot as plt

    ratios = [2, 1.5] + [1.5] * n_levels
    size = (8, 2 + 1.6 * (1 + n_levels))
    return plt.subplots(
        len(ratios), sharex=True, figsize=size, layout="constrained", height_ratios=ratios
    )[1]


def _frame(axes, hours, n_hidden):
    """Put the night into view with a clock under it, and say how many frames are of others."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    room = max(0.03 * np.ptp(hours), 0.1)
    step = next((each for each in CLOCK_STEPS if np.ptp(hours) + 2 * room < 9 * each), 6)
    for ax in axes:
        ax.set_xlim(hours.min() - room, hours.max() + room)
        ax.xaxis.set_major_locator(MultipleLocator(step))
        ax.xaxis.set_major_formatter(FuncFormatter(_clock))
    if n_hidden:
        words = (
            "1 frame of another night is"
            if n_hidden == 1
            else f"{n_hidden} frames of other nights are"
        )
        axes[1].set_title(f"{words} not in view", fontsize="small", loc="right")


def _clock(hours, _position=None):
    """Hours since midnight as the hand of a clock shows them."""
    minutes = int(np.round(hours * 60)) % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
