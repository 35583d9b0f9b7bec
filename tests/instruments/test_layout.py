"""Sections fit together, or one sentence says which do not."""

import pytest

from slitlapse.instruments import InstrumentError, load_instrument, parse_instrument
from slitlapse.instruments.layout import check_layout, is_section

LEFT, RIGHT = {"data": "[1:64,1:9]"}, {"data": "[71:134,1:9]"}
ALIKE = {"data": "[1:64,1:9]"}


@pytest.mark.parametrize(
    ("text", "flips", "good"),
    [
        ("[1:64,1:9]", False, True),
        (" [ 1 : 64 , 1:9 ] ", False, True),
        ("[64:1,1:9]", False, False),
        ("[64:1,9:1]", True, True),
        ("[0:64,1:9]", True, False),
        ("1:64,1:9", True, False),
        (5, True, False),
    ],
)
def test_sections_are_told_from_other_things(text, flips, good):
    assert is_section(text, flips) == good


@pytest.mark.parametrize(
    "tables",
    [
        [LEFT, RIGHT | {"gap": "[65:70,1:9]"}],
        [LEFT | {"gap": "[65:70,1:9]"}, RIGHT],
        [LEFT, {"data": "[65:128,1:9]"}],
        [LEFT, {"data": {"keyword": "DATASEC"}}],
    ],
)
def test_sections_that_fit_are_taken(tables):
    check_layout(tables, "my.toml", False)


@pytest.mark.parametrize(
    ("tables", "apart", "words"),
    [
        ([LEFT, RIGHT], False, "leaves a gap: 1152 of the 1206 pixels"),
        ([LEFT, RIGHT | {"gap": "[65:69,1:9]"}], False, "leaves a gap: 1197 of the 1206 pixels"),
        ([LEFT, RIGHT | {"gap": "[64:70,1:9]"}], False, "gap 1 overlaps the data of amplifier 1"),
        ([LEFT, RIGHT | {"gap": 6}], False, '"gap" in .* number 2 is 6, but columns can be'),
        ([ALIKE | {"gap": 6}, ALIKE], True, "number 1 is 6"),
        ([ALIKE, ALIKE | {"gap": 6, "output": "[71:134,1:9]"}], True, 'and no "output"'),
        ([LEFT, {"data": "[60:128,1:9]"}], False, "data of amplifier 2 overlaps the data"),
        ([LEFT | {"overscan": "[64:70,1:9]"}], False, "overscan of amplifier 1 overlaps"),
    ],
)
def test_sections_that_do_not_fit_are_told(tables, apart, words):
    with pytest.raises(InstrumentError, match=words):
        check_layout(tables, "my.toml", apart)


def test_columns_between_detectors_may_be_counted():
    told = {"unbinned": 67, "binning": "CCDSUM"}
    for gap in (6, told):
        check_layout([ALIKE, ALIKE | {"gap": gap}], "my.toml", True)
    gaps = [cards.gap for cards in load_instrument("gmos_n").amplifiers]
    assert gaps == [None] * 4 + [told] + [None] * 3 + [told] + [None] * 3


@pytest.mark.parametrize("gap", [0, -3, 2.5, True, "wide", {"unbinned": 67}, {"keyword": "GAP"}])
def test_what_is_no_gap_is_refused(gap):
    content = {
        "name": "x", "dispersion": "+x", "extension": [1, 2],
        "amplifiers": [ALIKE | {"gain": 1}, ALIKE | {"gain": 1, "gap": gap}],
        "header": {"time": "T", "exposure_time": "E"}, "frames": {"science": {"A": "b"}},
    }  # fmt: skip
    with pytest.raises(InstrumentError, match=r'"gap" in .* number 2 is .* a number of columns'):
        parse_instrument(content, "my.toml")
