"""What does a card say, and does it match a rule?"""

from fnmatch import fnmatchcase

from astropy.io import fits

__all__ = ["card_value", "describe_kind_gaps", "fits_rule", "is_named", "keywords_of", "look_up"]

PACKED = (".gz", ".fz", ".bz2")
FEW = 3  # names and cards in a sentence


def card_value(cards, keyword):
    """Value of the first card of that name; None where it is absent, undefined or unreadable."""
    try:
        value = cards[keyword]
    except (KeyError, fits.VerifyError):
        return None
    if isinstance(value, fits.card.Undefined):
        return None
    return value if isinstance(value, (bool, int, float)) else str(value).strip()


def look_up(cards, rule):
    """Value for a keyword, for the first of several that says anything, or given as it is."""
    if isinstance(rule, dict):
        return rule["value"]
    keywords = [rule] if isinstance(rule, str) else rule
    values = (card_value(cards, keyword) for keyword in keywords)
    return next((value for value in values if value is not None and value != ""), None)


def fits_rule(cards, rule):
    """Does one of the rule's alternatives match with all of its keywords?"""
    return any(
        all(_matches(card_value(cards, key), pattern) for key, pattern in alternative.items())
        for alternative in _alternatives(rule)
    )


def _alternatives(rule):
    return [rule] if isinstance(rule, dict) else rule


def _matches(value, pattern):
    """Compare as text, case ignored; numbers also as numbers, booleans also as T and F."""
    if isinstance(pattern, (list, tuple)):
        return any(_matches(value, each) for each in pattern)
    if value is None:
        return False
    if not isinstance(value, str) and not isinstance(pattern, str) and value == pattern:
        return True
    texts = {str(value)}
    if isinstance(value, bool):
        texts.add(str(value)[0])
    elif isinstance(value, (int, float)):
        texts.add(f"{value:.12g}")
    return any(fnmatchcase(text.lower(), str(pattern).strip().lower()) for text in texts)


def keywords_of(header, *kind_rules):
    """
    Every keyword that rules look at.

    Parameters
    ----------
    header : dict
        Meaning to keyword, as in `tabulate_headers`.
    *kind_rules : dict
        As ``frames`` and ``lamps`` there.

    Returns
    -------
    set of str
    """
    found = set()
    for rule in header.values():
        parts = [rule.get("date"), rule.get("clock")] if isinstance(rule, dict) else [rule]
        for part in parts:
            found.update([part] if isinstance(part, str) else [] if part is None else part)
    for rules in kind_rules:
        for name, rule in rules.items():
            if name == "keyword":
                found.update([rule] if isinstance(rule, str) else rule)
            else:
                found.update(key for each in _alternatives(rule) for key in each)
    return found


def is_named(name, patterns):
    """Does the file name match one of the patterns, whatever compression added to either?"""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(_bare(name).lower(), _bare(pattern).lower()) for pattern in patterns)


def _bare(name):
    """File name without the ending that compression added."""
    return name.rsplit(".", 1)[0] if name.lower().endswith(PACKED) else name


def describe_kind_gaps(headers, kinds, frames, named):
    """
    Sentences about frames that match no rule, and rules whose cards no header has.

    A kind without frames is no gap by itself: most nights have no darks. Nor are frames beyond
    those that somebody named one by one.

    Parameters
    ----------
    headers : sequence
        Of objects with ``path`` and ``cards``.
    kinds : sequence of str
        Of the same frames.
    frames : dict
        Kind to rule.
    named : dict
        Kind to file names.

    Returns
    -------
    list of str
    """
    missing = [kind for kind in frames if kind not in {*kinds, *named, "other"}]
    return [
        *([] if named else _strangers(headers, kinds, frames, missing)),
        *_empty_cards(headers, frames, missing),
    ]


def _strangers(headers, kinds, frames, missing):
    """Frames that match no rule, with what their cards say."""
    strange = [
        each
        for each, kind in zip(headers, kinds, strict=True)
        if kind == "other" and not any(fits_rule(each.cards, rule) for rule in frames.values())
    ]
    if not strange:
        return
    asked = dict.fromkeys(
        key for rule in frames.values() for each in _alternatives(rule) for key in each
    )
    said = {key: card_value(strange[0].cards, key) for key in asked}
    said = [f"{key} = {value!r}" for key, value in said.items() if value is not None][: 2 * FEW]
    names = ", ".join(each.path.name for each in strange[:FEW])
    more = f" and {len(strange) - FEW} more" if len(strange) > FEW else ""
    rest = f"; no frame is of kind {', '.join(missing)}" if missing else ""
    found = ", ".join(said) if said else f"it has none of the cards {', '.join(asked)}"
    yield (
        f"{names}{more} match no rule of [frames] (the first says {found}){rest}: correct a rule "
        "there, or write other = {...} for frames that are not needed"
    )


def _empty_cards(headers, frames, missing):
    """Kinds without a frame whose every alternative looks at a card that no header has."""
    kinds_of = {}
    for kind in missing:
        absent = [
            [key for key in each if all(card_value(one.cards, key) is None for one in headers)]
            for each in _alternatives(frames[kind])
        ]
        if absent and all(absent):
            cards = dict.fromkeys(key for each in absent for key in each)
            kinds_of.setdefault(", ".join(cards), []).append(kind)
    for cards, kinds in kinds_of.items():
        yield (
            f"no frame can be of kind {', '.join(kinds)}, because the rule in [frames] looks at "
            f"{cards}, which no header has: correct the name of the card"
        )
