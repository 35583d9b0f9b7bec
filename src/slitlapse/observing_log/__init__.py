"""
What data did we gather?

The question
    Which frames are there, what are they of, when was the light collected, through how much air?

In plain words
    Every frame carries a header, a list of cards that say what the telescope was doing. No two
    telescopes write the same cards, and none is always right. A few rules (which card means what)
    turn the headers of a night into one table with one row per frame and one meaning per column.

Forward
    `make_header_table` reads a folder into that table; `measure_levels` adds what the pixels say.
    One by one: `find_frames`, `read_header`, `read_headers`, `read_frame`, `tabulate_headers`,
    `warn_of_kinds`, `collect_varying_cards`, `fill_airmass`.
    `join_files` is for telescopes that write an exposure in several files.

Backward
    `write_night` turns such a table into FITS files whose headers say the same.

How do we know?
    What `write_night` wrote is read back as the same table; the nights of seven telescopes come
    out with the kinds and times that their observers noted; `plot_night` and `flip_through` show
    the frames to the best instrument for spotting trouble, the eye.
"""

import os
from dataclasses import replace

from .airmass import compute_airmass, fill_airmass
from .explain import flip_through, log_line, plot_night
from .frame_files import (
    FrameFileError,
    FrameFileWarning,
    FrameHeader,
    find_frames,
    read_frame,
    read_header,
    read_headers,
)
from .frame_levels import measure_levels
from .header_table import (
    FRAMES,
    HEADER,
    LAMPS,
    HeaderError,
    HeaderWarning,
    tabulate_headers,
    warn_of_kinds,
)
from .header_table.card_rules import keywords_of
from .joined_files import join_files
from .simulate import write_night
from .varying_cards import collect_varying_cards

__all__ = [
    "FrameFileError",
    "FrameFileWarning",
    "FrameHeader",
    "HeaderError",
    "HeaderWarning",
    "collect_varying_cards",
    "compute_airmass",
    "fill_airmass",
    "find_frames",
    "flip_through",
    "join_files",
    "log_line",
    "make_header_table",
    "measure_levels",
    "plot_night",
    "read_frame",
    "read_header",
    "read_headers",
    "tabulate_headers",
    "warn_of_kinds",
    "write_night",
]


def make_header_table(
    files_or_folder,
    *,
    header=None,
    frames=None,
    lamps=None,
    extension=0,
    site=None,
    target=None,
    split_lamps=None,
    named=None,
    named_lamps=None,
    other_cards=True,
):
    """
    Read the headers of a night into one table, in order of time.

    Parameters
    ----------
    files_or_folder : path-like, list of path-like, or `~ccdproc.ImageFileCollection`
        A folder (its subfolders are not looked at) or files, see `find_frames`.
    header, frames, lamps, split_lamps, named, named_lamps
        The rules to read the cards by, see `tabulate_headers`.
    extension : int, str or list, optional
        HDU of the data, see `read_header`.
    site, target
        To compute the airmass where its card is missing or stale, see `fill_airmass`.
    other_cards : bool
        Whether every card that holds a number and varies among these frames (rotator, focus,
        temperatures, humidity, ...) becomes a column, see `collect_varying_cards`, but for those
        that the rules look at, which are understood already. The column is called as the header
        spells the card, with ``header_`` before it where a column has that name, in whatever
        case; its numbers are float, NaN where a frame lacks it.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per frame, see `tabulate_headers`, a column ``airmass_computed``, and those of
        ``other_cards``, whose names are listed in ``meta["other_cards"]``. ``meta["folder"]``
        is the folder that ``filename`` is relative to, and ``meta["skipped"]`` maps the names of
        files that could not be read to the reason.

    Raises
    ------
    FrameFileError
        If the folder is missing or empty, or no file in it is a readable frame.
    HeaderError
        If a lamp is unknown, or a rule has no meaning.

    Warns
    -----
    HeaderWarning
        If frames lack what will be missed or match no rule, or a rule looks for cards that no
        header has.
    """
    read, skipped = read_headers(files_or_folder, extension=extension)
    folder = os.path.commonpath([each.path.absolute().parent for each in read])
    read = [replace(each, path=each.path.absolute().relative_to(folder)) for each in read]
    rules = {"header": header, "frames": frames, "lamps": lamps, "split_lamps": split_lamps}
    table = tabulate_headers(read, **rules, named=named, named_lamps=named_lamps)
    table.meta["folder"] = folder
    table.meta["skipped"] = {path.name: reason for path, reason in skipped.items()}
    by_name = {each.path.as_posix(): each for each in read}
    read = [by_name[name] for name in table["filename"]]  # in order of time
    warn_of_kinds(read, table["kind"], frames, named)
    table = fill_airmass(table, site=site, target=target)
    known = keywords_of(
        HEADER if header is None else header,
        FRAMES if frames is None else frames,
        LAMPS if lamps is None else lamps,
    )
    table.meta["other_cards"] = _add_cards(table, read, known) if other_cards else []
    return table


def _add_cards(table, read, known):
    """Append the cards that vary, and return the names of the columns."""
    taken = {name.lower() for name in table.colnames}
    added = []
    for name, column in collect_varying_cards([each.cards for each in read], known).items():
        column.name = f"header_{name}" if name.lower() in taken else name
        table[column.name] = column
        added.append(column.name)
    return added
