"""What would a night with this log look like on disk? Files whose headers say what the log says."""

import itertools
import re
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time, TimeDelta

from .header_table import FRAMES, HEADER, LAMPS, PARTS, tabulate_headers
from .header_table.card_rules import fits_rule

__all__ = ["write_night"]


def write_night(
    table, recipes, folder, *, header=None, frames=None, lamps=None, extension=0, cards=None
):
    """
    Write one FITS file per row of a log: the way back from `make_header_table`.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Needs ``filename``, ``kind``, ``time`` (mid-exposure) and ``exposure_time``; ``object``,
        ``airmass``, ``ra``, ``dec``, ``lamps`` and every column that ``header`` names are written
        where present.
    recipes : dict
        Kind to a function of the row that returns the image, shape (n_y, n_x), in adu: an array,
        a `~astropy.nddata.CCDData` or HDU (whose header is written, too), or a list of such where
        each amplifier has an HDU of its own.
    folder : path-like
        Is made where it does not exist.
    header, frames, lamps : dict, optional
        The rules that the headers have to fulfil, as in `make_header_table`.
    extension : int, str or list, optional
        HDU to write the image to; a list for a list of images, by default HDUs 1, 2, ...
    cards : dict, optional
        More cards, written to every primary header.

    Returns
    -------
    paths : list of `~pathlib.Path`
        The files written.

    Raises
    ------
    ValueError
        If a kind has no recipe, a file name leaves the folder, or no header can be written that
        the rules would read as a frame of that kind.
    """
    rules = {**(HEADER if header is None else header)}
    frames, lamps = FRAMES if frames is None else frames, LAMPS if lamps is None else lamps
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = sorted({str(kind) for kind in table["kind"]} - set(recipes))
    if missing:
        raise ValueError(f"There is no recipe for {missing}: recipes were given for {[*recipes]}.")
    paths = []
    for row in table:
        written = fits.Header()
        for keyword, value in {**({} if cards is None else cards)}.items():
            written[_long(keyword)] = value
        _write_values(written, row, rules)
        _write_kind(written, row, frames)
        _write_unset(written, frames)
        if row["kind"] == "arc" and "lamps" in table.colnames:
            _write_lamps(written, row, lamps)
        path = folder / str(row["filename"])
        if folder.resolve() not in path.resolve().parents:
            raise ValueError(f"The file name {str(row['filename'])!r} leaves the folder {folder}.")
        _check(path, written, row, {"header": rules, "frames": frames, "lamps": lamps})
        images = recipes[str(row["kind"])](row)
        _hdus(written, images, extension).writeto(path, overwrite=True)
        paths.append(path)
    return paths


def _hdus(cards, images, extension):
    """HDUs with the images where they are to be looked for; the cards go to the primary."""
    if not isinstance(images, list):
        images, places = [images], [extension]
    else:
        known = isinstance(extension, (list, tuple))
        places = list(extension) if known else range(1, len(images) + 1)
    hdus = [fits.PrimaryHDU(header=cards)]
    for image, place in zip(images, places, strict=True):
        data, own = getattr(image, "data", image), getattr(image, "header", None)
        data = np.asarray(image if isinstance(image, np.ndarray) else data)
        if place == 0:
            hdus[0] = fits.PrimaryHDU(data, cards if own is None else fits.Header(own))
            hdus[0].header.update(cards)
            continue
        while not isinstance(place, str) and len(hdus) < place:
            hdus.append(fits.ImageHDU())
        name = place if isinstance(place, str) else None
        hdus.append(fits.ImageHDU(data, None if own is None else fits.Header(own), name=name))
    return fits.HDUList(hdus)


def _long(keyword):
    """Keyword as it has to be written: long ones need HIERARCH."""
    keyword = keyword.removeprefix("HIERARCH ")
    return f"HIERARCH {keyword}" if len(keyword) > 8 or " " in keyword else keyword


def _first(rule):
    """Keyword that a rule looks at first; None for a value that needs no card."""
    if isinstance(rule, dict):
        return None
    return _long(rule if isinstance(rule, str) else rule[0])


def _write_values(cards, row, rules):
    """Write what the log says about the exposure, in the units that headers use."""
    values = {name: row[name] for name in row.colnames if name not in {"time", "filename"}}
    for name, unit in {"exposure_time": u.s, "ra": u.deg, "dec": u.deg}.items():
        if name in values:
            values[name] = u.Quantity(values[name], unit).value
    if rules.get("ra_unit") == "hour" and "ra" in values:
        values["ra"] /= 15
    for name, value in values.items():
        keyword = _first(rules[name]) if name in rules else None
        if keyword is not None and value == value and str(value) != "":
            cards[keyword] = str(value) if isinstance(value, str) else np.asarray(value).item()
    half = TimeDelta(row["exposure_time"] / 2)
    if "time" not in rules or np.any(row["time"].mask):
        return
    middle = row["time"].utc
    card = middle - half * (2 * PARTS[rules.get("time_is", "start")])
    if "time_end" in rules:
        card, cards[_first(rules["time_end"])] = middle - half, _stamp(middle + half)
    if isinstance(rules["time"], dict):
        date, clock = (_first(rules["time"][part]) for part in ("date", "clock"))
        cards[date], cards[clock] = _stamp(card).split("T")
    else:
        keyword = _first(rules["time"])
        cards[keyword] = card.mjd if "MJD" in keyword else _stamp(card)


def _stamp(time):
    """ISO time to the microsecond."""
    return Time(time, precision=6).isot


def _write_kind(cards, row, frames):
    """Write the cards that make the first alternative of the row's kind match."""
    rule = frames.get(str(row["kind"]), {})
    for keyword, pattern in (rule if isinstance(rule, dict) else rule[0]).items():
        _write_pattern(cards, keyword, pattern)


def _write_unset(cards, frames):
    """Write the cards of other kinds too, with nothing in them: real headers have them all."""
    patterns = {}
    for rule in frames.values():
        for each in [rule] if isinstance(rule, dict) else rule:
            for keyword, pattern in each.items():
                patterns.setdefault(keyword, []).append(pattern)
    for keyword, wanted in patterns.items():
        if keyword not in cards and not fits_rule({keyword: ""}, {keyword: wanted}):
            cards[_long(keyword)] = ""


def _write_lamps(cards, row, lamps):
    """Write the lamps, as names into one card or as switches, so that all of them are read."""
    names = {name for name in str(row["lamps"]).split("+") if name}
    if "keyword" in lamps and names:
        cards[_first(lamps["keyword"])] = "+".join(sorted(names))
    # a rule may stand for several: CuAr is meant where both copper and argon are
    rules = [
        rule if isinstance(rule, list) else [rule]
        for name, rule in lamps.items()
        if name != "keyword"
        and (name in names or names.issuperset(re.findall("[A-Z][a-z]?", name)))
    ]
    if all(fits_rule(cards, rule) for rule in rules):
        return
    for choice in itertools.product(*rules):  # rules may share a card: find values that suit all
        draft = cards.copy()
        for keyword, pattern in itertools.chain(*(each.items() for each in choice)):
            _write_pattern(draft, keyword, pattern, keep=True)
        if all(fits_rule(draft, rule) for rule in rules):
            for keyword in {keyword for each in choice for keyword in each}:
                cards[_long(keyword)] = draft[keyword]
            return
    raise ValueError(
        f"{row['filename']}: no header says that the lamps {row['lamps']} are on together: their "
        "rules in [lamps] exclude each other."
    )


def _write_pattern(cards, keyword, pattern, keep=False):
    """Write a value that the pattern matches, beside the one that is there or instead of it."""
    if fits_rule(cards, {keyword: pattern}):
        return
    pattern = pattern[0] if isinstance(pattern, list) else pattern
    value = pattern.replace("*", "").replace("?", "0") if isinstance(pattern, str) else pattern
    old = cards.get(keyword)
    if keep and isinstance(old, str) and isinstance(pattern, str):
        if "*" in pattern:
            value = f"{old} {value}".strip()
        elif "?" in pattern and len(old) == len(pattern):  # a row of switches
            value = "".join(o if p == "?" else p for o, p in zip(old, pattern, strict=True))
    cards[_long(keyword)] = value


def _check(path, cards, row, rules):
    """Complain where the header would be read as something else."""
    one = type("OneHeader", (), {"path": path, "cards": cards, "shape": (0, 0)})
    found = tabulate_headers([one], **rules)[0]
    if found["kind"] != row["kind"]:
        raise ValueError(
            f"{path.name}: a frame of kind '{row['kind']}' would be read as '{found['kind']}': "
            f"the rules in [frames] cannot tell them apart by the cards {sorted(cards)}."
        )
