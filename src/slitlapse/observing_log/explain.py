"""What happened that night? All of it in one picture, and every frame in order."""

from collections import Counter
from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time

from slitlapse.look import FlipBook

from .frame_files import read_header

__all__ = ["flip_through", "log_line", "plot_night"]

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
        For `~slitlapse.look.FlipBook`; each frame has its own scale unless ``same_scale`` is True.

    Returns
    -------
    book : `~slitlapse.look.FlipBook`
        Frames are read when they are drawn. ``.save(path)`` makes a movie.
    """
    folder = Path(table.meta["folder"] if folder is None else folder)
    rows = [row for row in table if kinds is None or row["kind"] in kinds]
    frames = [partial(_read, folder / str(row["filename"]), extension) for row in rows]
    return FlipBook(frames, [log_line(row) for row in rows], **{"same_scale": False, **kwargs})


def _read(path, extension):
    """Pixels as they are in the file, in adu."""
    with fits.open(path, memmap=False) as hdus:
        data = np.asarray(hdus[read_header(path, extension=extension).hdu].data)
    return u.Quantity(data.reshape(data.shape[-2:]), u.adu, dtype=np.float32)


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
        Airmass, exposures, and what else there is. Of a table that spans several nights, the one
        with the most science frames is in view, and the frames out of view are counted.

    Raises
    ------
    ValueError
        If no frame has a time.
    """
    known = table[~np.asarray(table["time"].mask)]
    if len(known) == 0:
        raise ValueError("No frame of this log has a time: a night cannot be drawn without.")
    levels = [name for name in ("counts_high", "bias_level") if name in table.colnames]
    axes = _new_axes(len(levels)) if axes is None else np.atleast_1d(axes)
    nights = np.floor(known["time"].mjd + 0.5)  # from noon to noon, UTC
    science = known["kind"] == "science"
    counted = nights[science] if science.any() else nights
    night = Counter(counted.tolist()).most_common(1)[0][0]
    hours = (known["time"].mjd - night) * 24
    for name in np.unique(known["object"][science]):
        rows = science & (known["object"] == name)
        axes[0].plot(hours[rows], known["airmass"][rows], "o-", label=name or "(no name)")
    axes[0].set_ylabel("airmass")
    axes[0].invert_yaxis()  # high in the sky is high in the picture
    if science.any():
        axes[0].legend(fontsize="small")
    kinds = [kind for kind in MARKS if kind in known["kind"]]
    kinds += sorted(set(known["kind"]) - set(MARKS))
    for number, kind in enumerate(kinds):
        rows = known["kind"] == kind
        width = np.nan_to_num(known["exposure_time"][rows].to_value("h"))
        level = np.full(rows.sum(), number)
        axes[1].barh(level, width, left=hours[rows] - width / 2, alpha=0.5)
        axes[1].plot(hours[rows], level, "|", color="k")
        for ax, name in zip(axes[2:], levels, strict=False):
            ax.plot(hours[rows], known[name][rows].value, MARKS.get(kind, "+"), label=kind)
    axes[1].set_yticks(range(len(kinds)), kinds)
    for ax, name in zip(axes[2:], levels, strict=False):
        ax.set_ylabel(f"{name.replace('_', ' ')} ({known[name].unit})")
    if levels:
        axes[2].legend(fontsize="small", ncols=3)
    half = np.nan_to_num(known["exposure_time"].to_value("h")) / 2
    ends = np.concatenate([hours - half, hours + half])[np.tile(nights == night, 2)]
    _frame(axes, ends, np.sum(nights != night))
    axes[-1].set_xlabel(f"hours after {Time(night, format='mjd').iso[:10]} 00:00 UTC")
    return axes


def _new_axes(n_levels):
    """One panel under the other."""
    from matplotlib import pyplot as plt

    ratios = [2, 1.5] + [1.5] * n_levels
    size = (8, 2 + 1.6 * (1 + n_levels))
    return plt.subplots(
        len(ratios), sharex=True, figsize=size, layout="constrained", height_ratios=ratios
    )[1]


def _frame(axes, hours, n_hidden):
    """Put one night into view, and say how many frames are not."""
    room = max(0.03 * np.ptp(hours), 0.1)
    for ax in axes:
        ax.set_xlim(hours.min() - room, hours.max() + room)
    if n_hidden:
        words = f"{n_hidden} frames of other nights are not in view"
        axes[1].set_title(words, fontsize="small", loc="right")
