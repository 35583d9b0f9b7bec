"""What do the headers say? One row per frame: its kind, time, lamps, star, and place on the sky."""

import warnings

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, IllegalSecondWarning
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time, TimeDelta
from astropy.utils.exceptions import AstropyUserWarning
from erfa import ErfaWarning

from .card_rules import card_value, describe_kind_gaps, fits_rule, is_named, look_up

__all__ = ["HeaderError", "HeaderWarning", "tabulate_headers", "warn_of_kinds"]

HEADER = {
    "time": ["DATE-OBS", "MJD-OBS"],
    "exposure_time": ["EXPTIME", "EXPOSURE"],
    "object": "OBJECT",
    "airmass": "AIRMASS",
    "ra": "RA",
    "dec": "DEC",
}
PATTERNS = {
    "bias": ["bias*", "zero*"],
    "dark": ["dark*"],
    "flat": ["*flat*"],
    "arc": ["arc*", "comp*"],
    "science": ["object*", "science*", "light*"],
}
FRAMES = {
    kind: [{card: patterns} for card in ("IMAGETYP", "OBSTYPE")]
    for kind, patterns in PATTERNS.items()
}
LAMPS = {"keyword": "LAMP"}
NOT_COLUMNS = {*HEADER, "time_is", "time_end", "ra_unit"}
PARTS = {"start": 0.5, "middle": 0.0, "end": -0.5}  # of the exposure time, from card to middle
LONGEST = 1e6  # seconds; longer or negative exposure times are nonsense


class HeaderError(ValueError):
    """A header, or a rule to read it by, cannot be understood."""


class HeaderWarning(AstropyUserWarning):
    """A header lacks something that will be missed."""


def tabulate_headers(
    headers, *, header=None, frames=None, lamps=None, split_lamps=None, named=None, named_lamps=None
):
    """
    Put headers into one table, in order of time.

    Parameters
    ----------
    headers : sequence
        Of objects with ``path`` (`~pathlib.Path`), ``cards`` (`~astropy.io.fits.Header`) and
        ``shape`` ``(n_y, n_x)``.
    header : dict, optional
        Meaning to keyword, to a list of keywords tried in order, or to ``{"value": ...}``. Known
        are ``time`` (also ``{"date": ..., "clock": ...}``), ``time_is`` ("start", "middle" or
        "end"), ``time_end``, ``exposure_time``, ``object``, ``airmass``, ``ra``, ``dec`` and
        ``ra_unit``; any other name becomes a column.
    frames : dict, optional
        Kind to ``{keyword: pattern, ...}`` (all must match, case ignored) or to a list of such
        (any). Kinds are tried in the order written; what matches none is "other".
    lamps : dict, optional
        ``{"keyword": card with names}``, or lamp to ``{keyword: pattern}`` (or a list: any).
    split_lamps : callable, optional
        Turns the text of a lamp card into a list of lamps, and raises `ValueError` for unknown
        ones. By default the text is split at ``+``, commas and blanks.
    named, named_lamps : dict, optional
        Kind to file-name pattern(s): exactly these files are of that kind. File-name pattern to
        lamps. Both win over the header; patterns ignore ``.gz``, ``.fz`` and ``.bz2``.

    Returns
    -------
    table : `~astropy.table.QTable`
        Columns ``filename``, ``kind``, ``lamps`` (joined by "+"; of arcs only), ``time`` (UTC of
        mid-exposure, masked where unknown), ``exposure_time`` (s), ``object``, ``airmass``,
        ``ra``, ``dec`` (deg), ``n_x``, ``n_y``, ``disperser``, ``slit``, and what else ``header``
        asks for. Unknown numbers are NaN, unknown text is empty.

    Raises
    ------
    HeaderError
        If a lamp is unknown, or ``time_is`` or ``ra_unit`` is none of the allowed.

    Warns
    -----
    HeaderWarning
        If frames lack a time or an exposure time, or a named pattern matches no file.
    """
    rules = {**(HEADER if header is None else header)}
    _check(rules)
    frames, lamps = FRAMES if frames is None else frames, LAMPS if lamps is None else lamps
    named = {} if named is None else named
    named_lamps = {} if named_lamps is None else named_lamps
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)  # odd cards nobody asked for
        warnings.simplefilter("ignore", ErfaWarning)  # years whose leap seconds are not known yet
        warnings.simplefilter("ignore", IllegalSecondWarning)  # "12:30:60.0" is meant well
        for each in headers:
            row = {"filename": each.path.as_posix(), "n_x": each.shape[1], "n_y": each.shape[0]}
            row["kind"] = _kind(each.cards, each.path.name, frames, named)
            row["lamps"] = ""
            if row["kind"] == "arc":
                row["lamps"] = _lamps(each.cards, each.path.name, lamps, named_lamps, split_lamps)
            rows.append({**row, **_measure(each.cards, rules)})
    _warn_of_gaps(rows, rules, {**named, **{pattern: pattern for pattern in named_lamps}})
    return _to_table(rows)


def warn_of_kinds(headers, kinds, frames=None, named=None):
    """
    Say where the rules of ``frames`` and a night's headers pass each other by.

    Parameters
    ----------
    headers : sequence
        As in `tabulate_headers`.
    kinds : sequence of str
        Of the same frames, as found.
    frames, named : dict, optional
        As in `tabulate_headers`.

    Warns
    -----
    HeaderWarning
        If frames match no rule (write ``other = {...}`` for those that are not needed), or a kind
        that no frame has looks at cards that no header has.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        rules = FRAMES if frames is None else frames
        gaps = describe_kind_gaps(headers, kinds, rules, {} if named is None else named)
    for gap in gaps:
        warnings.warn(gap, HeaderWarning, stacklevel=3)


def _check(rules):
    """Complain about the two words that have only a few meanings."""
    for key, allowed in {"time_is": list(PARTS), "ra_unit": ["deg", "hour"]}.items():
        if key in rules and rules[key] not in allowed:
            raise HeaderError(f"{key} is {rules[key]!r}, but may only be one of {allowed}.")


def _kind(cards, name, frames, named):
    """First kind that matches, by file name where it is named, else by header."""
    for kind, patterns in named.items():
        if is_named(name, patterns):
            return kind
    found = next((kind for kind, rule in frames.items() if fits_rule(cards, rule)), "other")
    return "other" if found in named else found


def _lamps(cards, name, rules, named_lamps, split_lamps):
    """Lamps that lit an arc, sorted and joined by ``+``."""
    texts = [lamp for lamp, rule in rules.items() if lamp != "keyword" and fits_rule(cards, rule)]
    if "keyword" in rules:
        texts.append(look_up(cards, rules["keyword"]))
    for pattern, listed in named_lamps.items():
        if is_named(name, pattern):
            texts = [listed] if isinstance(listed, str) else listed
            break
    split = _split if split_lamps is None else split_lamps
    try:
        found = {lamp for text in texts if text is not None for lamp in split(str(text))}
    except ValueError as error:
        raise HeaderError(f"{name}: {error}") from error
    return "+".join(sorted(found))


def _split(text):
    """Words of a lamp card."""
    return text.replace("+", " ").replace(",", " ").split()


def _measure(cards, rules):
    """Numbers, names and times of one frame."""

    def get(name):
        return look_up(cards, rules[name]) if name in rules else None

    exposure = _number(get("exposure_time"))
    exposure = exposure if 0 <= exposure < LONGEST else np.nan
    time, end = (_moment(cards, rules.get(name)) for name in ("time", "time_end"))
    if time is not None and end is not None:
        duration = (end - time).to_value(u.s)
        time = time + (end - time) / 2 if 0 <= duration < LONGEST else None
        exposure = duration if np.isnan(exposure) and time is not None else exposure
    elif time is not None:
        shift = PARTS[rules.get("time_is", "start")]
        if shift:
            known = np.isfinite(exposure)
            time = time + TimeDelta(shift * exposure, format="sec") if known else None
    row = {
        "time": time,
        "exposure_time": exposure,
        "object": str(get("object") if get("object") is not None else ""),
        "airmass": _number(get("airmass")),
        "ra": _angle(get("ra"), u.hourangle, rules.get("ra_unit", "deg")),
        "dec": _angle(get("dec"), u.deg, "deg"),
        "disperser": "",
        "slit": "",
    }
    return {**row, **{name: get(name) for name in rules if name not in NOT_COLUMNS}}


def _number(value):
    """As float, from text too; NaN where that is impossible."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _angle(value, unit_of_text, unit_of_numbers):
    """Degrees of a sexagesimal text, or of a number."""
    number = _number(value)
    if np.isnan(number) and isinstance(value, str):
        try:
            return Angle(value, unit_of_text).deg
        except (ValueError, u.UnitsError):
            return np.nan
    return number * 15 if unit_of_numbers == "hour" else number


def _moment(cards, rule):
    """Time that a card (or a date and a clock) tells; None where there is none."""
    scale = str(card_value(cards, "TIMESYS")).lower()
    scale = scale if scale in {"tai", "tt", "tdb"} else "utc"
    if isinstance(rule, dict) and "date" in rule:
        date, clock = str(look_up(cards, rule["date"])), str(look_up(cards, rule["clock"]))
        # either card may hold a whole time stamp, of which the part it is named for counts
        texts = [f"{date.replace('T', ' ').split(' ')[0]}T{clock.replace('T', ' ').split(' ')[-1]}"]
    elif isinstance(rule, dict) or rule is None:
        texts = [rule["value"]] if rule else []
    else:
        texts = [
            card_value(cards, keyword) for keyword in ([rule] if isinstance(rule, str) else rule)
        ]
    times = (_parse_time(text, scale) for text in texts)
    return next((time for time in times if time is not None), None)


def _parse_time(value, scale):
    """Read a time stamp or an (M)JD, as UTC; a date without a clock is no time."""
    number = _number(value)
    date, _, clock = str(value).strip().removesuffix("Z").replace(" ", "T", 1).partition("T")
    if "/" in date:  # the form of the last century, DD/MM/YY, or slashes instead of dashes
        parts = date.split("/")
        date = "-".join(parts if len(parts[0]) == 4 else [f"19{parts[-1]}"[-4:], *parts[-2::-1]])
    try:
        for name, start in (("mjd", 10000), ("jd", 2410000)):  # 1886 to 2132
            if start <= number < start + 90000:
                return Time(number, format=name, scale=scale).utc
        text = f"{date}T{clock.strip()}"
        return Time(text, format="isot", scale=scale).utc if ":" in clock else None
    except ValueError:
        return None


def _warn_of_gaps(rows, rules, patterns):
    """Name what will be missed later."""
    gaps = {
        f"no time (from {rules.get('time')})": [row for row in rows if row["time"] is None],
        f"no exposure time (from {rules.get('exposure_time')})": [
            row for row in rows if np.isnan(row["exposure_time"])
        ],
    }
    for gap, found in gaps.items():
        if found:
            names = ", ".join(row["filename"] for row in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            message = f"{gap} in {names}{more}: name the right card in [header]"
            warnings.warn(message, HeaderWarning, stacklevel=3)
    for name, each in patterns.items():
        for pattern in [each] if isinstance(each, str) else each:
            if not any(is_named(row["filename"].split("/")[-1], pattern) for row in rows):
                message = f"the file-name pattern {pattern!r} (of {name}) matches no frame"
                warnings.warn(message, HeaderWarning, stacklevel=3)


def _to_table(rows):
    """Columns with units, in order of time; frames of unknown time come last."""
    nowhen = Time("2000-01-01T00:00:00", format="isot", scale="utc")
    when = [nowhen if row["time"] is None else row["time"] for row in rows]
    order = sorted(range(len(rows)), key=lambda n: (rows[n]["time"] is None, when[n]))
    rows, when = [rows[n] for n in order], [when[n] for n in order]
    table = QTable()
    for name in ["filename", "kind", "lamps"]:
        table[name] = np.array([row[name] for row in rows], dtype=str)
    table["time"] = Time(when)
    table["time"].format = "isot"
    missing = np.array([row["time"] is None for row in rows])
    if missing.any():
        table["time"][missing] = np.ma.masked
    table["exposure_time"] = [row["exposure_time"] for row in rows] * u.s
    table["object"] = np.array([row["object"] for row in rows], dtype=str)
    table["airmass"] = [row["airmass"] for row in rows]
    table["ra"] = [row["ra"] for row in rows] * u.deg
    table["dec"] = [row["dec"] for row in rows] * u.deg
    table["n_x"] = [row["n_x"] for row in rows]
    table["n_y"] = [row["n_y"] for row in rows]
    for name in [name for name in rows[0] if name not in table.colnames]:
        table[name] = _column([row[name] for row in rows])
    return table


def _column(values):
    """Numbers with NaN for what is missing, or text with nothing for it."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (int, float)) for value in known):
        return np.array([np.nan if value is None else value for value in values])
    return np.array(["" if value is None else str(value) for value in values], dtype=str)
