"""Every number that varies is taken along, and no odd card stops that."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from slitlapse.observing_log.varying_cards import collect_varying_cards


def headers(**columns):
    """One header per value; None for a card that a frame lacks."""
    frames = zip(*columns.values(), strict=True)
    pairs = [zip(columns, values, strict=True) for values in frames]
    return [fits.Header({k: v for k, v in each if v is not None}) for each in pairs]


def test_numbers_that_vary_are_kept_and_others_are_not():
    night = headers(
        FOCUS=[35.1, 35.2, 35.2], GAIN=[2, 2, 2], OBJECT=["a", "b", "c"], SHUT=[True, False, True]
    )
    found = collect_varying_cards(night)
    assert list(found) == ["FOCUS"]
    assert found["FOCUS"].dtype == float
    assert list(found["FOCUS"]) == [35.1, 35.2, 35.2]


def test_where_a_frame_lacks_the_card_or_says_words_the_number_is_nan():
    night = headers(TEMP=[-100.5, None, "off", -99.0, True])
    night.append(fits.Header([fits.Card("TEMP", fits.card.Undefined())]))
    np.testing.assert_array_equal(
        collect_varying_cards(night)["TEMP"], [-100.5, np.nan, np.nan, -99, np.nan, np.nan]
    )


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["1.02", "1.10"], True),
        ([" -3.5e1 ", "+.5"], True),
        (["1.02", ""], False),  # one value does not vary
        (["1.02", "1.1", ""], True),
        (["12", "HD 13"], False),
        (["0010", "0100"], False),  # a row of switches
        (["nan", "inf"], False),
        (["1_0", "2_0"], False),
        (["12:30:00", "12:31:00"], False),
    ],
)
def test_numbers_written_as_text_count_where_nothing_else_is_written(texts, kept):
    assert ("CARD" in collect_varying_cards(headers(CARD=texts))) == kept


def test_how_pixels_are_stored_is_no_series_and_zenith_distance_is():
    night = headers(
        BITPIX=[16, -32], NAXIS1=[100, 200], BZERO=[0, 32768], ZD=[10, 20], NAXISX=[1, 2]
    )
    assert list(collect_varying_cards(night)) == ["ZD", "NAXISX"]


def test_what_is_understood_already_is_left_out_in_either_spelling():
    night = headers(**{"HIERARCH ESO TEL AIRM START": [1.1, 1.2], "HIERARCH ESO TEL ALT": [60, 61]})
    assert list(collect_varying_cards(night)) == ["ESO TEL AIRM START", "ESO TEL ALT"]
    found = collect_varying_cards(night, without=["HIERARCH ESO TEL AIRM START"])
    assert list(found) == ["ESO TEL ALT"]
    assert list(collect_varying_cards(night, without=["ESO TEL ALT"])) == ["ESO TEL AIRM START"]


def test_the_comment_of_the_card_describes_the_column():
    night = [fits.Header([("FOCUS", value, "[mm] of the telescope")]) for value in (1.0, 2.0)]
    assert collect_varying_cards(night)["FOCUS"].description == "[mm] of the telescope"


def test_of_a_card_that_stands_twice_the_first_counts():
    night = []
    for first, second in ((1, 7), (2, 7)):
        night.append(fits.Header([("OBSNUM", first)]))
        night[-1].append(("OBSNUM", second))
    assert list(collect_varying_cards(night)["OBSNUM"]) == [1, 2]


def test_cards_that_break_the_standard_are_passed_over():
    night = []
    for number in (1, 2):
        lines = [
            f"FOCUS   = {number:20d}",
            f"BROKEN  = 12 34 {number}.5.",
            f"QUOTE   = 'no end {number}",
            f"lower   = {number:20d}",
            f"HUGE    = {10**60 + number}",
            f"FLAG    = {number}T",
            "NOVALUE",
            f"COMMENT {number}",
            f"        {number}",
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyUserWarning)  # the reader's own
            night.append(fits.Header.fromstring("".join(f"{line:80s}" for line in lines)))
    assert "FOCUS" in collect_varying_cards(night)


def test_nights_without_a_frame_or_with_one_have_nothing_that_varies():
    assert collect_varying_cards([]) == {}
    assert collect_varying_cards(headers(FOCUS=[1.0])) == {}


def test_random_bytes_in_cards_stop_nothing():
    rng = np.random.default_rng(5)
    for _ in range(200):
        text = "".join(map(chr, rng.integers(32, 127, 80 * 6)))
        keys = [f"KEY{number:5d}= " for number in range(6)]
        lines = [key + text[80 * i : 80 * i + 70] for i, key in enumerate(keys)]
        night = [fits.Header.fromstring("".join(lines)), fits.Header({"A": 1})]
        assert all(column.dtype == float for column in collect_varying_cards(night).values())
