"""What may stand in a ``night.toml``, checked key by key."""

import difflib

__all__ = ["NightFileError", "check_night"]

KINDS = ("bias", "dark", "flat", "arc", "science")


class NightFileError(ValueError):
    """Something in ``night.toml`` cannot be meant so."""


def _text(value):
    return isinstance(value, str) and value != ""


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _coordinate(value):
    return _text(value) or _number(value)


def _patterns(value):
    return _text(value) or (isinstance(value, list) and all(map(_text, value)))


def _names(value):
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _place(value):
    if isinstance(value, dict):
        return bool(value) and all(map(_number, value.values()))
    return _number(value)


def _windows(value):
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(map(_number, pair))
            and pair[0] < pair[1]
            for pair in value
        )
    )


def _widths(value):
    return isinstance(value, list) and bool(value) and all(_number(w) and w > 0 for w in value)


def _one_of(*choices):
    def check(value):
        return value in choices

    return check, "one of " + ", ".join(f'"{choice}"' for choice in choices)


def _degree(value):
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 9


PLACE = "a position in pixels, or { file-name pattern = position, ... }"
TEXT = (_text, "a text that is not empty")
SCHEMA = {
    "data": TEXT,
    "instrument": TEXT,
    "output": TEXT,
    "object": TEXT,
    "target": {
        "ra": (_coordinate, "a sexagesimal text (hours) or degrees"),
        "dec": (_coordinate, "a sexagesimal text or degrees"),
    },
    "stars": {None: (_place, PLACE)},
    "frames": {kind: (_patterns, "a file-name pattern or a list of them") for kind in KINDS},
    "lamps": {None: (_names, 'a list of lamp names such as ["He", "Ne"]')},
    "sky": {
        "method": _one_of("tilted", "polynomial", "median"),
        "windows": (_windows, "a list of pairs [from, to] in pixels from the star, from < to"),
    },
    "extraction": {
        "method": _one_of("boxcar", "optimal"),
        "widths": (_widths, "a list of full widths in pixels, each above 0"),
        "hits": _one_of("frame", "time"),
    },
    "wavelength": {
        "degree": (_degree, "a whole number from 1 to 9"),
        "arcs": _one_of("nearest", "interpolate", "together"),
    },
}
REQUIRED = ("data", "instrument", "output")


def check_night(content, source):
    """
    Check the content of a night file.

    Parameters
    ----------
    content : dict
        What the TOML file says.
    source : path-like
        Its name, for the messages.

    Raises
    ------
    NightFileError
        At the first key that is unknown, missing or holds what it cannot.
    """
    for key, value in content.items():
        rule = _rule(SCHEMA, key, source, "")
        if not isinstance(rule, dict):
            _check(rule, key, value, source)
            continue
        if not isinstance(value, dict):
            raise NightFileError(f"{source}: [{key}] must be a table, but found {value!r}")
        for inner, setting in value.items():
            _check(_rule(rule, inner, source, f"[{key}] "), f"[{key}] {inner}", setting, source)
    for key in REQUIRED:
        if key not in content:
            raise NightFileError(f"{source}: the key '{key}' is missing; it needs {SCHEMA[key][1]}")
    target = content.get("target")
    if target is not None and set(target) != {"ra", "dec"}:
        raise NightFileError(f"{source}: [target] needs both ra and dec, but has {list(target)}")


def _rule(rules, key, source, place):
    if key in rules:
        return rules[key]
    if None in rules:  # any name goes
        return rules[None]
    close = difflib.get_close_matches(key, rules, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    raise NightFileError(
        f"{source}: {place}unknown key '{key}'{hint} Allowed are {', '.join(rules)}"
    )


def _check(rule, name, value, source):
    allowed, words = rule
    if not allowed(value):
        raise NightFileError(f"{source}: {name} must be {words}, but found {value!r}")
