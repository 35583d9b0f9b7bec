"""One row per frame, one meaning per column."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time

from slitlapse.observing_log import (
    FrameFileError,
    FrameFileWarning,
    HeaderError,
    HeaderWarning,
    make_header_table,
    tabulate_headers,
)

RULES = {
    "time": "DATE-OBS",
    "exposure_time": "EXPTIME",
    "object": "OBJECT",
    "ra": "RA",
    "dec": "DEC",
}
CARDS = {"DATE-OBS": "2024-03-10T05:00:00", "EXPTIME": 60.0, "OBJECT": "star", "IMAGETYP": "object"}


@dataclass
class Read:
    """Stands for a file that was read."""

    path: Path
    cards: fits.Header
    shape: tuple = (40, 50)


def one(cards=None, name="a.fits", *, without=(), **kwargs):
    """Row of a single header."""
    cards = fits.Header({**CARDS, **({} if cards is None else cards)})
    for keyword in without:
        del cards[keyword]
    kwargs.setdefault("header", RULES)
    return tabulate_headers([Read(Path(name), cards)], **kwargs)[0]


def test_a_frame_becomes_a_row_with_units():
    row = one({"RA": "12:06:17", "DEC": "-00:30:36"}, header={**RULES, "slit": "OBJECT"})
    assert row["filename"] == "a.fits"
    assert (row["n_x"], row["n_y"]) == (50, 40)
    assert row["exposure_time"] == 60 * u.s
    assert row["time"].isot == "2024-03-10T05:00:30.000"
    assert row["ra"].to_value(u.deg) == pytest.approx((12 + 6 / 60 + 17 / 3600) * 15)
    assert row["dec"].to_value(u.deg) == pytest.approx(-(30.6 / 60))
    assert (row["object"], row["slit"], row["disperser"]) == ("star", "star", "")


@pytest.mark.parametrize(
    ("rule", "cards", "expected"),
    [
        ("T", {"T": "2024-03-10T05:00:00.5"}, "05:00:00.5"),
        ("T", {"T": "2024-03-10 05:00:00.5"}, "05:00:00.5"),
        ("T", {"T": " 2024-03-10T05:00:00Z "}, "05:00:00"),
        ("T", {"T": 60379.25}, "06:00:00"),
        ("T", {"T": "60379.25"}, "06:00:00"),
        ("T", {"T": 2460379.75}, "06:00:00"),
        ("T", {"T": "2024/03/10T05:00:00"}, "05:00:00"),
        ({"date": "D", "clock": "C"}, {"D": "2024-03-10", "C": "05:00:01.25"}, "05:00:01.25"),
        ({"date": "D", "clock": "C"}, {"D": "2024-03-10T00:00:00", "C": "05:00:01"}, "05:00:01"),
        ({"date": "D", "clock": "C"}, {"D": "2024-03-10", "C": "2024-03-10T05:00:01"}, "05:00:01"),
        ({"date": "D", "clock": ["X", "C"]}, {"D": "2024/03/10", "C": "5:00:01"}, "05:00:01"),
        (["X", "D", "T"], {"D": "2024-03-10", "T": 60379.25}, "06:00:00"),
        ({"value": "2024-03-10T07:00:00"}, {}, "07:00:00"),
    ],
)
def test_times_are_read_in_the_forms_telescopes_write(rule, cards, expected):
    row = one(cards, header={**RULES, "time": rule, "time_is": "middle"})
    expected = Time(f"2024-03-10T{expected}")
    assert abs(row["time"] - expected) < 1e-5 * u.s
    assert row["time"].scale == "utc"


def test_a_date_of_the_last_century_is_read():
    row = one(
        {"D": "20/05/98", "C": "01:02:03"},
        header={"time": {"date": "D", "clock": "C"}, "exposure_time": {"value": 0}},
    )
    assert row["time"].isot == "1998-05-20T01:02:03.000"


@pytest.mark.parametrize(("time_is", "second"), [("start", 30), ("middle", 0), ("end", -30)])
def test_the_middle_of_the_exposure_is_found_from_either_end(time_is, second):
    row = one(header={**RULES, "time_is": time_is})
    assert abs(row["time"] - Time("2024-03-10T05:00:00") - second * u.s) < 1e-6 * u.s


def test_start_and_end_together_need_no_exposure_time():
    rules = {"time": "DATE-OBS", "time_end": "LATER"}
    row = one({"LATER": "2024-03-10T05:01:40"}, header=rules)
    assert row["exposure_time"].to_value(u.s) == pytest.approx(100, abs=1e-6)
    assert row["time"].isot == "2024-03-10T05:00:50.000"


def test_a_clock_that_runs_on_atomic_time_is_set_back_to_utc():
    row = one({"TIMESYS": "TAI"}, header={**RULES, "time_is": "middle"})
    assert abs(row["time"] - Time("2024-03-10T04:59:23")) < 1e-6 * u.s  # 37 leap seconds


@pytest.mark.parametrize("value", ["2024-03-10", "yesterday", "", "25:00:00", 17.5, True])
def test_what_is_no_time_is_said_to_be_missing(value):
    with pytest.warns(HeaderWarning, match=r"no time \(from T\) in a.fits: name the right card"):
        row = one({"T": value}, header={**RULES, "time": "T"})
    assert row["time"].mask


def test_frames_without_a_time_come_last_and_the_others_in_order():
    times = ["2024-03-10T07:00:00", None, "2024-03-10T05:00:00"]
    read = [
        Read(Path(f"{n}.fits"), fits.Header({"EXPTIME": 1, **({"T": t} if t else {})}))
        for n, t in enumerate(times)
    ]
    with pytest.warns(HeaderWarning, match="no time"):
        table = tabulate_headers(read, header={"time": "T", "exposure_time": "EXPTIME"})
    assert list(table["filename"]) == ["2.fits", "0.fits", "1.fits"]
    assert list(table["time"].mask) == [False, False, True]


def test_no_exposure_time_means_no_middle():
    with pytest.warns(HeaderWarning) as caught:
        row = one(without=["EXPTIME"])
    assert len(caught) == 2
    assert np.isnan(row["exposure_time"])
    assert row["time"].mask


@pytest.mark.parametrize(
    ("value", "unit", "degrees"),
    [
        ("18:1:54.231", "deg", 270.4759625),
        (" 09:21:46.0 ", "deg", 140.4416667),
        ("09 21 46.0", "deg", 140.4416667),
        (140.5, "deg", 140.5),
        ("140.5", "deg", 140.5),
        (9.5, "hour", 142.5),
        ("09:30:00", "hour", 142.5),
        ("09:29:60.0", "deg", 142.5),
    ],
)
def test_right_ascension_is_read_in_hours_or_degrees(value, unit, degrees):
    row = one({"RA": value}, header={**RULES, "ra_unit": unit})
    assert row["ra"].to_value(u.deg) == pytest.approx(degrees, abs=1e-7)


@pytest.mark.parametrize("value", ["UNKNOWN", "", "99:99:99:99", True])
def test_nonsense_is_no_coordinate(value):
    row = one({"RA": value, "DEC": "unknown"}) if value is not True else one({"DEC": "unknown"})
    assert np.isnan(row["ra"])
    assert np.isnan(row["dec"])


def test_the_first_keyword_that_says_anything_counts():
    row = one(
        {"ONE": "", "TWO": "  second ", "THREE": "third"},
        header={**RULES, "object": ["ZERO", "ONE", "TWO", "THREE"]},
    )
    assert row["object"] == "second"


def test_hierarch_and_plain_forms_of_a_keyword_are_the_same():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        cards = {"HIERARCH ESO DPR TYPE": "LAMP,FLAT"}
        for keyword in ("ESO DPR TYPE", "HIERARCH ESO DPR TYPE", "eso dpr type"):
            row = one(
                cards, header={**RULES, "type": keyword}, frames={"flat": {keyword: "*flat*"}}
            )
            assert (row["type"], row["kind"]) == ("LAMP,FLAT", "flat")


def test_other_keywords_become_columns_of_numbers_or_text():
    rules = {**RULES, "focus": "FOCUS", "mode": "MODE", "nothing": "NOTHING"}
    read = [
        Read(Path("a.fits"), fits.Header({**CARDS, "FOCUS": 20.5, "MODE": "fast"})),
        Read(Path("b.fits"), fits.Header(CARDS)),
    ]
    table = tabulate_headers(read, header=rules)
    assert table["focus"][0] == 20.5
    assert np.isnan(table["focus"][1])
    assert list(table["mode"]) == ["fast", ""]
    assert list(table["nothing"]) == ["", ""]


@pytest.mark.parametrize(
    ("value", "pattern", "match"),
    [
        ("Dome Flat", "*flat*", True),
        ("FLAT", "flat", True),
        (" FLAT ", "flat", True),
        ("flatfield", "flat", False),
        (0, 0, True),
        (0.0, 0, True),
        (0.0, "0", True),
        (80, "80*", True),
        (True, True, True),
        (True, "T", True),
        (True, "true", True),
        (False, "f", True),
        (1, True, True),
        ("on", True, False),
        ("b", ["a", "b"], True),
        ("c", ["a", "b"], False),
        ("", "", True),
    ],
)
def test_patterns_are_compared_with_values_as_text(value, pattern, match):
    row = one({"KEY": value}, frames={"flat": {"KEY": pattern}})
    assert (row["kind"] == "flat") is match


def test_kinds_are_tried_in_the_order_written_and_the_rest_is_other():
    frames = {
        "bias": {"EXPTIME": 0},
        "arc": [{"LAMP1": "on"}, {"LAMP2": "on", "SHUT": "open"}],
        "science": {"IMAGETYP": "*"},
    }
    assert one({"EXPTIME": 0, "LAMP1": "on"}, frames=frames)["kind"] == "bias"
    assert one({"LAMP1": "on"}, frames=frames)["kind"] == "arc"
    assert one({"LAMP2": "on"}, frames=frames)["kind"] == "science"
    assert one({"LAMP2": "on", "SHUT": "open"}, frames=frames)["kind"] == "arc"
    assert one(frames=frames, without=["IMAGETYP"])["kind"] == "other"


def test_a_kind_named_by_file_is_exactly_these_files():
    named = {"science": ["toi*.fits"], "flat": []}
    frames = {"science": {"IMAGETYP": "object"}, "flat": {"IMAGETYP": "flat"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HeaderWarning)  # that a pattern matches no file
        for name, card, expected in [
            ("toi1.fits", "object", "science"),
            ("TOI2.fits.gz", "flat", "science"),
            ("other.fits", "object", "other"),
            ("other.fits.fz", "flat", "other"),
        ]:
            assert one({"IMAGETYP": card}, name, frames=frames, named=named)["kind"] == expected


def test_lamps_come_from_one_card_of_names():
    frames = {"arc": {"IMAGETYP": "arc"}}
    cards = {"IMAGETYP": "arc", "LAMP": "Ne+Ar, Kr"}
    assert one(cards, frames=frames)["lamps"] == "Ar+Kr+Ne"
    assert one({"LAMP": "Ne"}, frames=frames)["lamps"] == ""  # not an arc


def test_lamps_come_from_switches():
    lamps = {"Ne": {"L1": "on"}, "Ar": [{"L2": True}, {"L3": 1}], "Kr": {"L4": "on"}}
    frames = {"arc": {"IMAGETYP": "*"}}
    assert one({"L1": "On", "L3": 1, "L4": "off"}, frames=frames, lamps=lamps)["lamps"] == "Ar+Ne"


def test_lamps_named_by_file_win_over_the_header():
    frames = {"arc": {"IMAGETYP": "*"}}
    named = {"neon.*": ["Ne"]}
    assert one({"LAMP": "Ar"}, "neon.01.fits.gz", frames=frames, named_lamps=named)["lamps"] == "Ne"


def test_an_unknown_lamp_is_an_error_that_names_the_file():
    def split(text):
        raise ValueError(f"the lamp {text!r} is unknown; known are He, Ne.")

    with pytest.raises(HeaderError, match=r"a.fits: the lamp 'Quartz' is unknown; known are He"):
        one({"LAMP": "Quartz"}, frames={"arc": {"IMAGETYP": "*"}}, split_lamps=split)


def test_a_pattern_that_matches_no_file_is_said():
    with pytest.warns(HeaderWarning, match=r"'argon\.\*' \(of arc\) matches no frame"):
        one(named={"arc": ["argon.*"]})


@pytest.mark.parametrize(
    ("rules", "message"),
    [({"time_is": "begin"}, "time_is is 'begin'.*'start'"), ({"ra_unit": "h"}, "ra_unit is 'h'")],
)
def test_words_without_a_meaning_are_refused(rules, message):
    with pytest.raises(HeaderError, match=message):
        one(header={**RULES, **rules})


def test_cards_that_break_the_standard_do_not_stop_the_log(tmp_path):
    raw = fits.Header(CARDS).tostring()
    raw = raw.replace("OBJECT  = 'star", "OBJECT  = st'ar")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        cards = fits.Header.fromstring(raw)
    row = tabulate_headers([Read(Path("a.fits"), cards)], header=RULES)[0]
    assert row["time"].isot == "2024-03-10T05:00:30.000"


def test_without_rules_the_common_cards_are_read():
    for word, kind in {
        "Bias Frame": "bias",
        "zero": "bias",
        "DARK": "dark",
        "Dome Flat": "flat",
        "COMP": "arc",
        "LIGHT": "science",
        "?": "other",
    }.items():
        row = one({"IMAGETYP": word, "LAMP": "Ne"}, header=None)
        assert (row["kind"], row["time"].isot) == (kind, "2024-03-10T05:00:30.000")


def test_the_table_survives_being_written(tmp_path):
    with pytest.warns(HeaderWarning):
        table = tabulate_headers(
            [Read(Path("a.fits"), fits.Header(CARDS)), Read(Path("b.fits"), fits.Header())],
            header=RULES,
        )
    table.write(tmp_path / "log.ecsv")
    back = QTable.read(tmp_path / "log.ecsv")
    assert back.colnames == table.colnames
    assert list(back["time"].mask) == [False, True]
    assert back["exposure_time"].unit == u.s
    assert list(back["object"].filled("")) == ["star", ""]  # in ECSV, no text is a gap


def test_a_folder_becomes_a_table_that_knows_what_was_left_out(tmp_path):
    for name in ("b", "a"):
        fits.PrimaryHDU(np.zeros((4, 5), np.int16), fits.Header(CARDS)).writeto(
            tmp_path / f"{name}.fits"
        )
    (tmp_path / "bad.fits").write_text("no")
    with pytest.warns(FrameFileWarning, match="bad.fits"):
        table = make_header_table(tmp_path)
    assert list(table["filename"]) == ["a.fits", "b.fits"]
    assert table.meta["folder"] == str(tmp_path)
    assert "not a whole FITS file" in table.meta["skipped"]["bad.fits"]
    assert list(table["airmass_computed"]) == [False, False]
    with pytest.raises(FrameFileError, match="There is no folder"):
        make_header_table(tmp_path / "nowhere")


def test_files_of_several_folders_are_named_from_where_they_meet(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        fits.PrimaryHDU(np.zeros((4, 5)), fits.Header(CARDS)).writeto(tmp_path / folder / "a.fits")
    table = make_header_table(
        [tmp_path / "one" / "a.fits", tmp_path / "two" / "a.fits"], named={"flat": "a.*"}
    )
    assert sorted(table["filename"]) == ["one/a.fits", "two/a.fits"]
    assert table.meta["folder"] == str(tmp_path)
    assert list(table["kind"]) == ["flat", "flat"]


@pytest.mark.parametrize("exposure", [-5, 1e30, "long", float("nan"), True])
def test_an_exposure_time_that_cannot_be_is_unknown(exposure):
    cards = {**CARDS, "EXPTIME": "nan" if exposure != exposure else exposure}
    if exposure is True:  # a switch is no duration, but T counts as one in FITS readers: 1 s
        assert one(cards)["exposure_time"] == 1 * u.s
        return
    with pytest.warns(HeaderWarning):
        row = one(cards)
    assert np.isnan(row["exposure_time"])
    assert row["time"].mask


def nonsense(rng):
    """Return a value that a broken header may hold."""
    numbers = rng.integers(-99, 99, 6)
    return [
        int(rng.integers(-(10**9), 10**9)),
        float(rng.normal() * 10.0 ** rng.integers(-30, 30)),
        float(rng.uniform(40000, 70000)),
        bool(rng.integers(2)),
        *("", " ", "UNKNOWN", "nan", "inf", "on", "T", "[", "2018-01-01", "2018-01-01T", "x" * 60),
        "20{:02d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format(*np.abs(numbers)),
        "{}:{}:{}".format(*numbers[:3]),
        "{}/{}/{}".format(*numbers[:3]),
        "".join(chr(each) for each in rng.integers(32, 127, 20)),
        fits.card.Undefined(),
    ][rng.integers(20)]


def test_no_header_however_broken_stops_the_log():
    rng = np.random.default_rng(7)
    rules = {**RULES, "airmass": "AIRMASS", "time": ["DATE-OBS", "MJD"], "time_end": "DATE-END"}
    frames = {"arc": {"LAMP": "?n*"}, "bias": [{"EXPTIME": 0}, {"OBJECT": "[a-z]*"}]}
    keywords = [*("DATE-OBS", "MJD", "DATE-END", "EXPTIME", "OBJECT", "RA", "DEC", "AIRMASS")]
    keywords += ["LAMP", "TIMESYS"]
    for _ in range(600):
        cards = fits.Header({key: nonsense(rng) for key in rng.permutation(keywords)[:7]})
        read = [Read(Path("a.fits"), cards)] * 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HeaderWarning)
            table = tabulate_headers(read, header=rules, frames=frames)
        exposure = table["exposure_time"][0]
        assert np.isnan(exposure) or 0 <= exposure.value < 1e6
        assert table["time"].mask[0] or 1850 < table["time"][0].jyear < 2150


def write_three(folder, **columns):
    """Three frames of one minute each, with a column of values for every further card."""
    for number in range(3):
        cards = fits.Header({**CARDS, "DATE-OBS": f"2024-03-10T05:0{2 - number}:00"})
        for keyword, values in columns.items():
            cards[keyword] = values[number]
        fits.PrimaryHDU(np.zeros((4, 5), np.int16), cards).writeto(folder / f"{number}.fits")


def test_cards_nobody_asked_for_become_columns_in_the_order_of_the_rows(tmp_path):
    write_three(
        tmp_path, FOCUS=[1.0, 2.0, 3.0], AIRMASS=[1.3, 1.2, 1.1], PIER=[7, 7, 7], KIND=[1, 2, 3]
    )
    table = make_header_table(tmp_path)
    assert list(table["filename"]) == ["2.fits", "1.fits", "0.fits"]
    assert list(table["FOCUS"]) == [3, 2, 1]
    assert list(table["header_KIND"]) == [3, 2, 1]  # "kind" is taken, in whatever case
    assert set(table["kind"]) == {"science"}
    assert table.meta["other_cards"] == ["FOCUS", "header_KIND"]
    assert not {"PIER", "AIRMASS"} & set(table.colnames)  # constant; understood already
    bare = make_header_table(tmp_path, other_cards=False)
    assert "FOCUS" not in bare.colnames
    assert bare.meta["other_cards"] == []


def test_columns_of_cards_survive_being_written(tmp_path):
    write_three(tmp_path, **{"HIERARCH ESO TEL ALT": [60.5, 61.0, 62.0]})
    table = make_header_table(tmp_path)
    table.meta.pop("folder")
    table.write(tmp_path / "log.ecsv")
    assert list(QTable.read(tmp_path / "log.ecsv")["ESO TEL ALT"]) == [62, 61, 60.5]


def test_frames_of_no_kind_and_rules_without_a_card_are_said(tmp_path):
    write_three(tmp_path, IMAGETYP=["object", "focus", "object"])
    with pytest.warns(HeaderWarning, match="1.fits match no rule .* IMAGETYP = 'focus'"):
        make_header_table(tmp_path)
    frames = {"arc": {"LAMPE": "on"}, "science": {"IMAGETYP": "*"}}
    with pytest.warns(HeaderWarning, match="kind arc, because .* LAMPE, which no header has"):
        make_header_table(tmp_path, frames=frames)
