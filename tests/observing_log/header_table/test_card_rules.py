"""Cards match rules, and what passes by is said."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits

from slitlapse.observing_log.header_table.card_rules import (
    card_value,
    describe_kind_gaps,
    fits_rule,
    is_named,
    keywords_of,
    look_up,
)

FRAMES = {
    "bias": {"OBSTYPE": "bias"},
    "arc": [{"NEON": "on"}, {"ARGON": "on", "OBSTYPE": "comp"}],
    "science": {"OBSTYPE": "object"},
}


@dataclass
class Read:
    """Stands for a file that was read."""

    path: Path
    cards: fits.Header


def gaps(cards, frames=None, named=None):
    """Sentences about frames with these cards."""
    frames = FRAMES if frames is None else frames
    read = [Read(Path(f"{name}.fits"), fits.Header(each)) for name, each in cards.items()]
    kinds = [
        next((kind for kind, rule in frames.items() if fits_rule(each.cards, rule)), "other")
        for each in read
    ]
    return describe_kind_gaps(read, kinds, frames, {} if named is None else named)


def test_undefined_and_absent_cards_say_nothing_and_text_is_stripped():
    cards = fits.Header({"A": " x ", "B": fits.card.Undefined(), "C": 3})
    assert [card_value(cards, key) for key in "ABCD"] == ["x", None, 3, None]
    assert look_up(cards, ["D", "B", "C"]) == 3
    assert look_up(cards, {"value": 7}) == 7


def test_a_rule_is_a_list_of_alternatives_whose_cards_match_together():
    assert fits_rule({"NEON": "On "}, FRAMES["arc"])
    assert fits_rule({"ARGON": "on", "OBSTYPE": "COMP"}, FRAMES["arc"])
    assert not fits_rule({"ARGON": "on", "OBSTYPE": "object"}, FRAMES["arc"])


@pytest.mark.parametrize("name", ["b1.fits", "B1.fits.gz", "b1.fits.fz"])
def test_file_names_match_whatever_compression_added(name):
    assert is_named(name, "b?.fits")
    assert is_named(name, ["a*", "b1.fits.bz2"])


def test_every_keyword_of_the_rules_is_known():
    header = {"time": {"date": "DAY", "clock": ["UT", "UTC"]}, "airmass": "AM", "slit": ["S", "T"]}
    header |= {"object": {"value": "star"}}
    found = keywords_of(header, FRAMES, {"keyword": "LAMP", "He": {"HELIUM": "on"}})
    wanted = {"DAY", "UT", "UTC", "AM", "S", "T", "OBSTYPE", "NEON", "ARGON", "LAMP", "HELIUM"}
    assert found == wanted


def test_frames_that_match_no_rule_are_named_with_what_their_cards_say():
    night = {"a": {"OBSTYPE": "bias", "NEON": "off"}, "b": {"OBSTYPE": "focus", "NEON": "off"}}
    night |= {name: {"OBSTYPE": "sky"} for name in "cde"}
    (sentence,) = gaps(night)
    assert "b.fits, c.fits, d.fits and 1 more match no rule of [frames]" in sentence
    assert "OBSTYPE = 'focus'" in sentence
    assert "no frame is of kind arc, science" in sentence
    assert "other = {...}" in sentence


def test_frames_that_are_said_to_be_other_are_no_gap():
    night = {"a": {"OBSTYPE": "bias", "NEON": "off"}, "b": {"OBSTYPE": "focus"}}
    assert gaps(night, {**FRAMES, "other": {"OBSTYPE": "focus"}}) == []
    assert gaps(night, named={"science": "s*"}) == []  # somebody chose the frames one by one


def test_a_rule_whose_card_no_header_has_is_named():
    night = {"a": {"OBSTYPE": "object"}, "b": {"OBSTYPE": "bias"}}
    (sentence,) = gaps(night)
    assert "no frame can be of kind arc" in sentence
    assert "NEON, ARGON, which no header has" in sentence


def test_a_night_without_arcs_is_no_gap_where_a_header_has_the_card():
    assert gaps({"a": {"OBSTYPE": "object", "NEON": "off"}, "b": {"OBSTYPE": "bias"}}) == []
