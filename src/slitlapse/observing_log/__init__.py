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
    One by one: `find_frames`, `read_header`, `read_headers`, `tabulate_headers`, `fill_airmass`.
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
    read_header,
    read_headers,
)
from .frame_levels import measure_levels
from .header_table import HeaderError, HeaderWarning, tabulate_headers
from .joined_files import join_files
from .simulate import write_night

__all__ = [
    "FrameFileError",
    "FrameFileWarning",
    "FrameHeader",
    "HeaderError",
    "HeaderWarning",
    "compute_airmass",
    "fill_airmass",
    "find_frames",
    "flip_through",
    "join_files",
    "log_line",
    "make_header_table",
    "measure_levels",
    "plot_night",
    "read_header",
    "read_headers",
    "tabulate_headers",
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

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per frame, see `tabulate_headers`, and a column ``airmass_computed``.
        ``meta["folder"]`` is the folder that ``filename`` is relative to, and ``meta["skipped"]``
        maps the names of files that could not be read to the reason.

    Raises
    ------
    FrameFileError
        If the folder is missing or empty, or no file in it is a readable frame.
    HeaderError
        If a lamp is unknown, or a rule has no meaning.
    """
    read, skipped = read_headers(files_or_folder, extension=extension)
    folder = os.path.commonpath([each.path.absolute().parent for each in read])
    read = [replace(each, path=each.path.absolute().relative_to(folder)) for each in read]
    rules = {"header": header, "frames": frames, "lamps": lamps, "split_lamps": split_lamps}
    table = tabulate_headers(read, **rules, named=named, named_lamps=named_lamps)
    table.meta["folder"] = folder
    table.meta["skipped"] = {path.name: reason for path, reason in skipped.items()}
    return fill_airmass(table, site=site, target=target)
