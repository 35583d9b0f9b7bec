"""Which numbers in the headers change during the night: rotator, focus, temperatures, ...?"""

import re
import warnings

import numpy as np
from astropy.io import fits
from astropy.table import Column
from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["collect_varying_cards"]

# zeros in front are of labels and rows of switches
NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
# how the pixels are stored, and sums over the file: no series
STORAGE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|BZERO|BSCALE|BLANK|[PG]COUNT|EXTEND|CHECKSUM|DATASUM|TFIELDS"
    r"|COMMENT|HISTORY|"
)


def collect_varying_cards(headers, without=()):
    """
    Collect every card that holds a number and has more than one value.

    Numbers written as text count where nothing but numbers is written there. Where such a card
    is absent, undefined, logical or text, the value is NaN. Of a card that stands twice, the
    first counts.

    Parameters
    ----------
    headers : sequence of `~astropy.io.fits.Header`
        Of the frames of a night.
    without : iterable of str, optional
        Keywords to leave out, such as those that are understood already.

    Returns
    -------
    dict of str to `~astropy.table.Column`
        Keyword, as the header spells it (without ``HIERARCH``), to its numbers (float), one for
        each header; the comment of the card is the description of the column.

    Examples
    --------
    >>> from astropy.io import fits
    >>> night = [fits.Header({"FOCUS": focus, "CCD": 2}) for focus in (35.1, 35.4)]
    >>> {name: column.tolist() for name, column in collect_varying_cards(night).items()}
    {'FOCUS': [35.1, 35.4]}
    """
    skip = {_bare(keyword) for keyword in without}
    found, comments = {}, {}
    with warnings.catch_warnings():
        # odd cards are no news here: nobody asked for them
        warnings.simplefilter("ignore", AstropyUserWarning)
        for place, header in enumerate(headers):
            seen = set()
            for card in header.cards:
                name = card.keyword
                if name not in seen:
                    seen.add(name)
                    if _bare(name) in skip or STORAGE.fullmatch(name):
                        continue
                    found.setdefault(name, {})[place] = _value(card)
                    comments.setdefault(name, card)
        columns = {}
        for name, values in found.items():
            numbers = _numbers(values, len(headers))
            if numbers is not None and len(np.unique(numbers[np.isfinite(numbers)])) > 1:
                columns[name] = Column(numbers, name=name, description=_comment(comments[name]))
    return columns


def _bare(keyword):
    """Keyword as astropy lists it."""
    return keyword.upper().removeprefix("HIERARCH ").strip()


def _value(card):
    """Number or text of a card; None where it is neither, or cannot be read."""
    try:
        value = card.value
    except (fits.VerifyError, ValueError):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return value.strip() if isinstance(value, str) else value


def _comment(card):
    try:
        return str(card.comment)
    except (fits.VerifyError, ValueError):
        return ""


def _numbers(values, n_frames):
    """Place to value as an array with NaN for the rest; None where the card holds no numbers."""
    is_text = {place: isinstance(value, str) for place, value in values.items()}
    only_text = all(is_text[place] for place, value in values.items() if value is not None)
    numbers = np.full(n_frames, np.nan)
    for place, value in values.items():
        if is_text[place] and not NUMBER.fullmatch(value):
            if only_text and value:
                return None
        elif value is not None:
            try:
                numbers[place] = float(value)
            except OverflowError:  # an integer of hundreds of digits
                continue
    return numbers
