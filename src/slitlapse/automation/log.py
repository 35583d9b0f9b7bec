"""What did we gather, and which of it belongs together?"""

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch

import numpy as np
from astropy.table import QTable

from slitlapse.automation.series_file import write_atomically
from slitlapse.instruments import load_instrument
from slitlapse.observing_log import make_header_table
from slitlapse.wavelength import split_lamp_names

__all__ = [
    "ChosenFrames",
    "NightError",
    "choose_frames",
    "format_log",
    "log_folder",
    "log_night",
    "write_log",
]

KINDS = ("bias", "dark", "flat", "arc", "science")
# cards that have to agree; an arc's slit may be narrower
SETUP = {"science": ("disperser",), "flat": ("disperser", "slit"), "arc": ("disperser",)}


class NightError(ValueError):
    """The frames of a night do not allow what was asked."""


@dataclass(frozen=True)
class ChosenFrames:
    """
    The frames of a night that are used together.

    Parameters
    ----------
    tables : dict of str to `~astropy.table.QTable`
        For each kind of frame its rows of the log, in order of time.
    shape : tuple of int
        Raw frame size (n_y, n_x) that all but binned arcs share.
    notes : tuple of str
        What was left out and what is lost by it, in plain words.
    """

    tables: dict
    shape: tuple
    notes: tuple = field(default=())

    def __getitem__(self, kind):
        return self.tables[kind]


def log_folder(folder, instrument=None):
    """
    List the frames of a folder.

    Parameters
    ----------
    folder : path-like
    instrument : str or path-like, optional
        Name or file of the instrument; without it the usual cards are tried.

    Returns
    -------
    `~astropy.table.QTable`
    """
    if instrument is None:
        return make_header_table(folder)
    return _read_log(folder, load_instrument(instrument))


def log_night(night):
    """
    List the frames of a night as its ``night.toml`` and its instrument describe them.

    Parameters
    ----------
    night : Night

    Returns
    -------
    `~astropy.table.QTable`
        See `~slitlapse.observing_log.make_header_table`.
    """
    return _read_log(
        night.data,
        night.instrument,
        target=night.target,
        named=night.frames,
        named_lamps=night.lamps,
    )


def _read_log(folder, instrument, **kwargs):
    rules = instrument.log_rules | {"split_lamps": split_lamp_names}
    return make_header_table(folder, **(rules | kwargs))


def write_log(log, path):
    """Write a log as ECSV, whole or not at all."""
    plain = QTable(log, copy=True)
    plain.meta = {key: value for key, value in log.meta.items() if key != "folder"}
    write_atomically(path, lambda name: plain.write(name, format="ascii.ecsv", overwrite=True))


def choose_frames(log, night):
    """
    Choose the frames that belong together.

    Parameters
    ----------
    log : `~astropy.table.QTable`
    night : Night

    Returns
    -------
    ChosenFrames

    Raises
    ------
    NightError
        Where there is nothing to reduce, or several objects and none is named.
    """
    tables = {kind: log[log["kind"] == kind] for kind in KINDS}
    notes = [f"{name} is left out: {reason}" for name, reason in log.meta["skipped"].items()]
    tables["science"] = _choose_timed(_choose_object(tables["science"], night), night, notes)
    _choose_setup(tables, night, notes)
    if not any(len(table) for table in tables.values()):
        kinds = ", ".join(sorted(set(log["kind"])))
        raise NightError(
            f"none of the {len(log)} frames in {night.data} is a bias, dark, flat, arc or science "
            f"frame of {night.instrument.name} (found: {kinds}); check the instrument, or name "
            "the frames in [frames]"
        )
    leading = next(k for k in ("science", "flat", "arc", "bias", "dark") if len(tables[k]))
    sizes = Counter(zip(tables[leading]["n_y"], tables[leading]["n_x"], strict=True))
    shape = tuple(int(n) for n in sizes.most_common(1)[0][0])
    for kind, table in tables.items():
        fits = (table["n_y"] == shape[0]) & (table["n_x"] == shape[1])
        if kind == "arc":
            fits |= _binned_alike(table, shape, night.instrument)
        for row in table[~fits]:
            notes.append(
                f"{row['filename']} ({kind}) is left out: it has {row['n_x']} x {row['n_y']} "
                f"pixels, the {leading} frames {shape[1]} x {shape[0]}"
            )
        tables[kind] = table[fits]
    return ChosenFrames(tables, shape, tuple(notes))


def _binned_alike(arcs, shape, instrument):
    """Whether arcs have the pixels of the science frames but for binning along dispersion."""
    along, across = ("n_x", "n_y") if instrument.dispersion.endswith("x") else ("n_y", "n_x")
    n_along, n_across = shape[::-1] if along == "n_x" else shape
    ratio = np.asarray(arcs[along]) / n_along
    whole = np.maximum(ratio, 1 / ratio)
    # overscan strips are often as wide in every binning: nearly a whole number is enough
    near = (np.abs(whole - np.round(whole)) < 0.02) & (np.round(whole) > 1)
    return near & (np.asarray(arcs[across]) == n_across)


def _choose_object(science, night):
    names = [str(name) for name in science["object"]]
    if night.object is not None:
        keep = np.array([fnmatch(n.lower(), night.object.lower()) for n in names], dtype=bool)
        if len(names) and not keep.any():
            raise NightError(
                f"{night.source}: no science frame is of the object '{night.object}'; "
                f"there are {', '.join(sorted(set(names)))}"
            )
        return science[keep] if len(names) else science
    if "science" not in night.frames and len(set(names)) > 1:
        listed = ", ".join(f"'{n}' ({c})" for n, c in sorted(Counter(names).items()))
        raise NightError(
            f"{night.source}: the science frames are of several objects: {listed}; name one with "
            "object = ..."
        )
    return science


def _choose_timed(science, night, notes):
    """Leave out science frames whose time nobody knows: they have no place in a series."""
    if not len(science):
        return science
    known = ~np.broadcast_to(science["time"].mask, len(science))
    if not known.any():
        source = night.instrument.source
        raise NightError(
            f"{night.instrument.name if source is None else source}: none of the science frames "
            f"has a time ({science['filename'][0]} is the first); name the right card, and that "
            "of the exposure time, in [header]"
        )
    for row in science[~known]:
        notes.append(f"{row['filename']} (science) is left out: no header card tells its time")
    return science[known]


def _choose_setup(tables, night, notes):
    """
    Leave out frames through another slit or disperser, where there are some through the same.

    Science frames through another than most would be traced and calibrated together with what
    they have nothing to do with. Kinds that ``night.toml`` names are taken as they are.
    """
    if not len(tables["science"]):
        return
    for kind, cards in SETUP.items():
        for card in cards:
            table = tables[kind]
            if kind in night.frames or not len(table):
                continue
            usual = Counter(map(str, tables["science"][card])).most_common(1)[0][0]
            same = np.array([str(each) == usual for each in table[card]])
            if usual and same.any() and not same.all():
                for row in table[~same]:
                    notes.append(
                        f"{row['filename']} ({kind}) is left out: its {card} is '{row[card]}', "
                        f"that of the science frames '{usual}'"
                    )
                tables[kind] = table[same]


def format_log(log):
    """Lay out a log for the terminal, one line a frame."""
    columns = ["filename", "kind", "lamps", "time", "exposure_time", "object", "airmass"]
    short = log[columns]
    short["airmass"].info.format = ".3f"
    short["exposure_time"].info.format = ".1f"
    lines = short.pformat(max_lines=-1, max_width=-1, show_unit=True)
    counts = Counter(log["kind"])
    lines.append(", ".join(f"{n} {kind}" for kind, n in counts.items()))
    return "\n".join(lines)
