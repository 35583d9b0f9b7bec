"""Do the sections of an instrument file fit together on the detector?"""

import re

from .instrument import InstrumentError

__all__ = ["check_layout", "is_section"]

SECTION = re.compile(r"\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*")


def is_section(value, may_flip=False):
    """Whether this is a FITS section, from 1 and upward unless it ``may_flip``."""
    match = SECTION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    x1, x2, y1, y2 = map(int, match.groups())
    return min(x1, x2, y1, y2) > 0 and (may_flip or (x1 <= x2 and y1 <= y2))


def check_layout(tables, source, apart):
    """
    Complain about sections that share pixels or leave some out, where the file tells them.

    Parameters
    ----------
    tables : list of dict
        The tables ``[[amplifiers]]``.
    source : path-like
        The file, for messages.
    apart : bool
        Whether each amplifier has an HDU of its own.

    Raises
    ------
    InstrumentError
    """
    _check_gaps(tables, source, apart)
    written = [table.get("output") if apart else table["data"] for table in tables]
    if not all(is_section(section, True) for section in written):
        return  # cards tell, or they are put side by side
    boxes = [_box(section) for section in written]
    for number, table in enumerate(tables, start=1):
        others = [("data", other, box) for other, box in enumerate(boxes[: number - 1], start=1)]
        _check_apart(boxes[number - 1], f"data of amplifier {number}", others, source)
        if is_section(table.get("overscan")) and not apart:
            every = [("data", other, box) for other, box in enumerate(boxes, start=1)]
            what = f"overscan of amplifier {number}"
            _check_apart(_box(table["overscan"]), what, every, source)
    gaps = [table["gap"] for table in tables if isinstance(table.get("gap"), str)]
    every = [("data", number, box) for number, box in enumerate(boxes, start=1)]
    for number, gap in enumerate(gaps, start=1):
        _check_apart(_box(gap), f"gap {number}", every, source)
    boxes += [_box(gap) for gap in gaps]
    edges = [
        (min(box[2 * axis] for box in boxes), max(box[2 * axis + 1] for box in boxes))
        for axis in (0, 1)
    ]
    whole = (edges[0][1] - edges[0][0] + 1) * (edges[1][1] - edges[1][0] + 1)
    covered = sum((x2 - x1 + 1) * (y2 - y1 + 1) for x1, x2, y1, y2 in boxes)
    if covered != whole:
        (x1, x2), (y1, y2) = edges
        raise InstrumentError(
            f'{source}: "data" in [[amplifiers]] leaves a gap: {covered} of the {whole} pixels of '
            f"[{x1}:{x2},{y1}:{y2}] are read; correct the sections, add the missing amplifier, or "
            'name with "gap" what nobody reads.'
        )


def _check_gaps(tables, source, apart):
    """Complain about numbers of columns where amplifiers are not put side by side."""
    for number, table in enumerate(tables, start=1):
        if "gap" not in table or isinstance(table["gap"], str):
            continue
        if not apart or "output" in table or number == 1:
            raise InstrumentError(
                f'{source}: "gap" in [[amplifiers]] number {number} is {table["gap"]!r}, but '
                "columns can be counted only from the amplifier before, where each has an HDU of "
                'its own and no "output": give a section such as "[1025:1091,1:400]".'
            )


def _check_apart(box, what, others, source):
    """Complain if a section shares pixels with another."""
    for key, number, other in others:
        (x1, x2, y1, y2), (u1, u2, v1, v2) = box, other
        if max(x1, u1) <= min(x2, u2) and max(y1, v1) <= min(y2, v2):
            raise InstrumentError(
                f"{source}: the {what} overlaps the {key} of amplifier {number} in [[amplifiers]]; "
                "every pixel has to belong to one section."
            )


def _box(section):
    """First and last column, first and last row."""
    x1, x2, y1, y2 = map(int, SECTION.fullmatch(section).groups())
    return min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
