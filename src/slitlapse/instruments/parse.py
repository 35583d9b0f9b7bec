"""What may stand in an instrument file, and what is wrong with this one? TOML to `Instrument`."""

import os
import tomllib
from dataclasses import replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

import astropy.units as u
from astropy.coordinates import EarthLocation

from .instrument import AmplifierCards, Instrument, InstrumentError
from .layout import check_layout, is_section
from .site import find_site

__all__ = ["instrument_template", "list_instruments", "load_instrument", "parse_instrument"]

KINDS = ("bias", "dark", "flat", "arc", "science", "other")
MEANINGS = ("time", "time_is", "time_end", "exposure_time", "object", "airmass", "ra", "dec")
MEANINGS = (*MEANINGS, "ra_unit", "disperser", "slit")
DATA = resources.files(__package__).joinpath("data")


def _is_text(value):
    return isinstance(value, str) and value.strip() != ""


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _is_positive(value):
    return _is_number(value) and value > 0


def _is_pointer(value):
    return isinstance(value, dict) and set(value) == {"keyword"} and _is_text(value["keyword"])


def _is_list(value, each):
    return isinstance(value, list) and all(each(item) for item in value)


def _is_hdu(value):
    return _is_text(value) or (
        isinstance(value, int) and not isinstance(value, bool) and value >= 0
    )


def _is_keywords(value):
    return _is_text(value) or (_is_list(value, _is_text) and value != [])


def _is_meaning(value):
    return _is_keywords(value) or (isinstance(value, dict) and set(value) == {"value"})


def _is_time(value):
    if isinstance(value, dict) and set(value) == {"date", "clock"}:
        return all(_is_keywords(each) for each in value.values())
    return _is_meaning(value)


def _is_pattern(value):
    scalar = (str, int, float, bool)
    return isinstance(value, scalar) or (_is_list(value, lambda each: isinstance(each, scalar)))


def _is_rule(value):
    """Is this ``{KEYWORD = pattern, ...}``, not empty, or a list of such?"""
    if isinstance(value, list):
        return value != [] and all(isinstance(each, dict) and _is_rule(each) for each in value)
    return isinstance(value, dict) and value != {} and all(map(_is_pattern, value.values()))


def _is_range(value):
    return _is_list(value, _is_positive) and len(value) == 2 and value[0] < value[1]


def _is_place(value):
    if not isinstance(value, dict) or set(value) != {"longitude", "latitude", "height"}:
        return False
    return all(map(_is_number, value.values())) and abs(value["latitude"]) <= 90


def _is_whole(value):
    return isinstance(value, int) and _is_positive(value)


def _is_gap(value):
    if isinstance(value, dict):
        return (
            set(value) == {"unbinned", "binning"}
            and _is_whole(value["unbinned"])
            and _is_text(value["binning"])
        )
    return _is_whole(value) or is_section(value)


SECTION_WORDS = (
    'a FITS section such as "[1:1024,1:400]" (from 1, upward), or { keyword = "DATASEC1" }'
)
GAP_WORDS = (
    'a number of columns, { unbinned = 67, binning = "CCDSUM" }, or a section such as '
    '"[1025:1091,1:400]"'
)
NUMBER_WORDS = 'a number above 0, or { keyword = "GAIN1" }'
CARD_WORDS = "a keyword, a list of keywords tried in order, or { value = ... }"
RULE_WORDS = '{ KEYWORD = "pattern", ... } or a list of such'
RULES = {  # key: is the value allowed, and what is, in words
    "name": (_is_text, "some text"),
    "site": (
        lambda value: _is_text(value) or _is_place(value),
        "the name of an observatory, or { longitude = ..., latitude = ..., height = ... }",
    ),
    "dispersion": (lambda value: value in ("+x", "-x", "+y", "-y"), '"+x", "-x", "+y" or "-y"'),
    "extension": (
        lambda value: _is_hdu(value) or (_is_list(value, _is_hdu) and value != []),
        "the number or name of an HDU, or a list with one for each amplifier",
    ),
    "saturation": (_is_positive, "a number of adu above 0"),
    "bias_subtracted": (lambda value: _is_list(value, _is_text), 'a list such as ["arc", "flat"]'),
    "bad": (lambda value: _is_list(value, is_section), 'a list such as ["[480:721,1:440]"]'),
    "amplifiers": (
        lambda value: _is_list(value, lambda each: isinstance(each, dict)) and value != [],
        "one or more tables [[amplifiers]]",
    ),
    "header": (lambda value: isinstance(value, dict), "a table [header]"),
    "frames": (lambda value: isinstance(value, dict), "a table [frames]"),
    "lamps": (lambda value: isinstance(value, dict), "a table [lamps]"),
    "wavelength": (lambda value: isinstance(value, dict), "a table [wavelength]"),
}
NEEDED = ("name", "dispersion", "amplifiers", "header", "frames")
AMPLIFIER = {
    "data": (lambda value: is_section(value) or _is_pointer(value), SECTION_WORDS),
    "overscan": (lambda value: is_section(value) or _is_pointer(value), SECTION_WORDS),
    "output": (lambda value: is_section(value, True) or _is_pointer(value), SECTION_WORDS),
    "gap": (_is_gap, GAP_WORDS),
    "gain": (lambda value: _is_positive(value) or _is_pointer(value), NUMBER_WORDS),
    "read_noise": (lambda value: _is_positive(value) or _is_pointer(value), NUMBER_WORDS),
}
HEADER = {
    **{name: (_is_meaning, CARD_WORDS) for name in MEANINGS},
    "time": (_is_time, CARD_WORDS + ", or { date = ..., clock = ... }"),
    "time_end": (_is_time, CARD_WORDS + ", or { date = ..., clock = ... }"),
    "time_is": (lambda value: value in ("start", "middle", "end"), '"start", "middle" or "end"'),
    "ra_unit": (lambda value: value in ("deg", "hour"), '"deg" or "hour"'),
}
WAVELENGTH = {
    "range": (_is_range, "two numbers of angstrom, the smaller first"),
    "medium": (lambda value: value in ("air", "vacuum"), '"air" or "vacuum"'),
}


def _check(table, rules, source, where, needed=(), open_ended=None):
    """Complain about the first key that is unknown, wrong or missing."""
    for key, value in table.items():
        rule = rules.get(key)
        close = get_close_matches(key, rules, n=1, cutoff=0.75)
        if rule is None and (open_ended is None or close):
            hint = f'; did you mean "{close[0]}"?' if close else "."
            raise InstrumentError(
                f'{source}: unknown key "{key}" in {where}{hint} Allowed are {", ".join(rules)}.'
            )
        allowed, words = open_ended if rule is None else rule
        if not allowed(value):
            raise InstrumentError(
                f'{source}: "{key}" in {where} is {value!r}, but has to be {words}.'
            )
    for key in needed:
        if key not in table:
            raise InstrumentError(
                f'{source}: {where} lacks the key "{key}", which has to be {rules[key][1]}.'
            )


def parse_instrument(content, source="instrument file"):
    """
    Check the content of an instrument file and make an `Instrument` of it.

    Parameters
    ----------
    content : dict
        As `tomllib.load` returns it.
    source : path-like, optional
        The file, for messages.

    Returns
    -------
    instrument : `Instrument`
        Complete.

    Raises
    ------
    InstrumentError
        At the first mistake: names the file, the key, what was found and what is allowed.
    """
    _check(content, RULES, source, "the file", NEEDED)
    for number, table in enumerate(content["amplifiers"], start=1):
        where = f"[[amplifiers]] number {number}"
        _check(table, AMPLIFIER, source, where, ("data", "gain"))
    _check(content["header"], HEADER, source, "[header]", open_ended=(_is_meaning, CARD_WORDS))
    kinds = {kind: (_is_rule, RULE_WORDS) for kind in KINDS}
    _check(content["frames"], kinds, source, "[frames]", open_ended=(_is_rule, RULE_WORDS))
    keyword = {"keyword": (_is_keywords, "a keyword that holds lamp names, or a list of them")}
    _check(content.get("lamps", {}), keyword, source, "[lamps]", open_ended=(_is_rule, RULE_WORDS))
    wavelength = content.get("wavelength", {})
    _check(wavelength, WAVELENGTH, source, "[wavelength]")
    for kind in content.get("bias_subtracted", []):
        known = [*dict.fromkeys([*content["frames"], *KINDS])]
        if kind not in known:
            close = get_close_matches(kind, known, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "."
            raise InstrumentError(
                f'{source}: "bias_subtracted" in the file names the kind "{kind}"{hint} '
                f"Known are {', '.join(known)}."
            )
    extension = content.get("extension", 0)
    amplifiers = tuple(AmplifierCards(**table) for table in content["amplifiers"])
    if isinstance(extension, list) and len(extension) != len(amplifiers):
        raise InstrumentError(
            f'{source}: "extension" lists {len(extension)} HDUs for {len(amplifiers)} amplifiers: '
            "it has to be one HDU, or one for each amplifier."
        )
    check_layout(content["amplifiers"], source, isinstance(extension, list))
    return Instrument(
        name=content["name"],
        dispersion=content["dispersion"],
        amplifiers=amplifiers,
        header=content["header"],
        frames=content["frames"],
        lamps=content.get("lamps", {}),
        site=_site(content.get("site"), source),
        extension=tuple(extension) if isinstance(extension, list) else extension,
        saturation=content["saturation"] * u.adu if "saturation" in content else None,
        bias_subtracted=tuple(content.get("bias_subtracted", [])),
        bad=tuple(content.get("bad", [])),
        wavelength_range=wavelength["range"] * u.AA if "range" in wavelength else None,
        medium=wavelength.get("medium", "air"),
        source=Path(source),
    )


def _site(value, source):
    """Place on Earth of a name or of coordinates."""
    if value is None:
        return None
    if isinstance(value, dict):
        return EarthLocation.from_geodetic(
            value["longitude"] * u.deg, value["latitude"] * u.deg, value["height"] * u.m
        )
    try:
        return find_site(value)
    except ValueError as error:
        raise InstrumentError(f'{source}: "site" in the file: {error}.') from None


def list_instruments():
    """
    List the built-in instruments.

    Returns
    -------
    names : list of str
        As `load_instrument` takes them, sorted.
    """
    return sorted(file.name.removesuffix(".toml") for file in DATA.iterdir())


def instrument_template():
    """
    Return a commented instrument file to start one's own from.

    Returns
    -------
    text : str
        TOML that is valid as it stands.
    """
    return DATA.parent.joinpath("template.toml").read_text(encoding="utf-8")


def load_instrument(name_or_path):
    """
    Load a built-in instrument by name, or an instrument file.

    Parameters
    ----------
    name_or_path : str or path-like
        A name of `list_instruments`, or the path of a TOML file.

    Returns
    -------
    instrument : `Instrument`
        Checked.

    Raises
    ------
    InstrumentError
        If there is no such instrument, or the file has a mistake.
    """
    path, example = Path(name_or_path), ()
    if str(name_or_path) in list_instruments():
        path = DATA.joinpath(f"{name_or_path}.toml")
        text = DATA.parent.joinpath("examples.toml").read_text(encoding="utf-8")
        example = tuple(tomllib.loads(text).get(str(name_or_path), ()))
    elif not os.path.isfile(path):  # False, not an error, where no file can have such a name
        known = list_instruments()
        close = get_close_matches(str(name_or_path).lower(), known, n=1)
        hint = f'did you mean "{close[0]}"? ' if close else ""
        raise InstrumentError(
            f"There is no built-in instrument and no file {str(name_or_path)!r}; {hint}"
            f"Built in are {', '.join(known)}."
        )
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InstrumentError(f"{path}: this is not a TOML file ({error}).") from None
    return replace(parse_instrument(content, path), example=example)
