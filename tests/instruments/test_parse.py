"""A mistake in an instrument file is answered with one clear sentence."""

import pickle
import re
import tomllib
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time

from slitlapse.instruments import (
    InstrumentError,
    instrument_template,
    list_instruments,
    load_instrument,
    parse_instrument,
)
from slitlapse.instruments.parse import AMPLIFIER, HEADER, RULES, WAVELENGTH
from slitlapse.observing_log import (
    HeaderWarning,
    compute_airmass,
    make_header_table,
    read_header,
    write_night,
)
from slitlapse.wavelength import split_lamp_names

GOOD = """
name = "My spectrograph"
site = "Apache Point Observatory"
dispersion = "-y"
extension = 0
saturation = 65535
bias_subtracted = ["arc"]
bad = ["[480:721,1:440]"]

[[amplifiers]]
data = "[1:1024,1:400]"
overscan = { keyword = "BIASSEC1" }
gain = 1.2
read_noise = 3.8

[[amplifiers]]
data = { keyword = "DATASEC2" }
gain = { keyword = "GAIN2" }

[header]
time = { date = "DATE-OBS", clock = "UTSTART" }
time_is = "start"
exposure_time = ["EXPTIME", "EXPOSURE"]
object = { value = "star" }
focus = "FOCUS"

[frames]
bias = { IMAGETYP = "bias*" }
flat = [{ IMAGETYP = "flat*" }, { LAMP = true, EXPTIME = 5 }]
science = { IMAGETYP = ["object*", "obj"] }

[lamps]
keyword = "LAMP"
Ne = { NEON = "on" }

[wavelength]
range = [3500, 8200]
medium = "vacuum"
"""


def parse(text=GOOD, source="my.toml"):
    return parse_instrument(tomllib.loads(text), source)


def test_a_good_file_becomes_an_instrument():
    instrument = parse()
    assert (instrument.name, instrument.dispersion, instrument.extension) == (
        *("My spectrograph", "-y"),
        0,
    )
    assert instrument.site.lat.deg == pytest.approx(32.78, abs=0.001)
    assert instrument.saturation == 65535 * u.adu
    assert instrument.bias_subtracted == ("arc",)
    assert instrument.bad == ("[480:721,1:440]",)
    assert list(instrument.wavelength_range) == [3500 * u.AA, 8200 * u.AA]
    assert instrument.medium == "vacuum"
    assert instrument.frame_kinds == ("bias", "flat", "science")
    header = {"BIASSEC1": "[2049:2080,1:400]", "DATASEC2": "[1025:2048,1:400]", "GAIN2": 1.3}
    first, second = instrument.amplifiers_for(header)
    assert first.overscan == (slice(0, 400), slice(2048, 2080))
    assert second.gain.value == 1.3


def test_the_template_is_a_good_file_that_explains_every_key():
    text = instrument_template()
    instrument = parse(text)
    assert instrument.frame_kinds == ("bias", "dark", "flat", "arc", "science")
    for key in [*RULES, *AMPLIFIER, *HEADER, *WAVELENGTH]:
        assert re.search(rf"^#? ?{key} =|^\[+{key}\]", text, re.MULTILINE), key


def test_an_instrument_can_be_sent_to_another_process():
    instrument = parse()
    copy = pickle.loads(pickle.dumps(instrument))
    assert copy.header == instrument.header
    assert copy.site.x == instrument.site.x
    assert copy.amplifiers == instrument.amplifiers


def test_only_five_keys_are_needed():
    instrument = parse(
        'name = "x"\ndispersion = "+x"\n[[amplifiers]]\ndata = "[1:9,1:9]"\ngain = 1\n'
        "[header]\n[frames]"
    )
    assert instrument.site is None
    assert instrument.saturation is None
    assert instrument.wavelength_range is None
    assert instrument.medium == "air"


def test_a_site_may_be_coordinates():
    site = "{ longitude = -105.82, latitude = 32.78, height = 2798 }"
    instrument = parse(GOOD.replace('"Apache Point Observatory"', site))
    assert instrument.site.lon.deg == pytest.approx(-105.82)
    assert instrument.site.height.to_value(u.m) == pytest.approx(2798)


MISTAKES = [  # what to change, into what, and what the sentence says
    (
        "saturation =",
        "saturaton =",
        r'"saturaton" in the file; did you mean "saturation"\? Allowed',
    ),
    (
        "saturation = 65535",
        'saturation = "high"',
        "\"saturation\" in the file is 'high', but has to",
    ),
    ("saturation = 65535", "saturation = true", "is True, but has to be a number of adu above 0"),
    ("saturation = 65535", "saturation = -1", "is -1, but has to be a number of adu above 0"),
    ('name = "My spectrograph"', "", 'the file lacks the key "name", which has to be some text'),
    ('dispersion = "-y"', "", 'lacks the key "dispersion", which has to be "[+]x", "-x"'),
    ('dispersion = "-y"', 'dispersion = "y"', "\"dispersion\" in the file is 'y', but has to be"),
    (
        "Apache Point Obs",
        "Apache Pint Obs",
        '"site" in the file: there is no packaged site .*Apache',
    ),
    ("Apache Point Obs", "", "there is no packaged site"),
    (
        "extension = 0",
        "extension = 0.5",
        '"extension" in the file is 0.5, but has to be the number',
    ),
    ("extension = 0", "extension = [1, 2, 3]", "lists 3 HDUs for 2 amplifiers: it has to be one"),
    ('["arc"]', '"arc"', '"bias_subtracted" in the file is .arc., but has to be a list'),
    (
        '["arc"]',
        '["arcs"]',
        '"bias_subtracted" in the file names the kind "arcs"; did you mean "arc"',
    ),
    ('"[480:721,1:440]"', '"480:721,1:440"', '"bad" in the file is .* has to be a list such as'),
    ('data = "[1:1024,1:400]"', "", r'\[\[amplifiers\]\] number 1 lacks the key "data"'),
    (
        '"[1:1024,1:400]"',
        '"[1:1024]"',
        '"data" in .*number 1 is .*has to be a FITS section such as',
    ),
    ('"[1:1024,1:400]"', '"[1024:1,1:400]"', r'"data" in .*number 1 is .*has to be a FITS section'),
    ('"[1:1024,1:400]"', '"[0:1024,1:400]"', r'"data" in .*number 1 is .*has to be a FITS section'),
    (
        'overscan = { keyword = "BIASSEC1" }',
        'overscan = { card = "B" }',
        '"overscan" in .*number 1',
    ),
    (
        '{ keyword = "DATASEC2" }',
        '"[1024:2048,1:400]"',
        "the data of amplifier 2 overlaps the data",
    ),
    ('{ keyword = "DATASEC2" }', '"[1026:2048,1:400]"', r"leaves a gap: 818800 of the 819200 pix"),
    ('{ keyword = "DATASEC2" }', '"[1025:2048,1:399]"', r"pixels of .1:2048,1:400. are read; cor"),
    ("gain = 1.2", "", r'\[\[amplifiers\]\] number 1 lacks the key "gain"'),
    ("gain = 1.2", "gain = 0", '"gain" in .*number 1 is 0, but has to be a number above 0'),
    ("gain = 1.2", "gian = 1.2", '"gian" in .*number 1; did you mean "gain"'),
    ("read_noise = 3.8", "readnoise = 3.8", 'did you mean "read_noise"'),
    ("read_noise = 3.8", "read_noise = nan", '"read_noise" in .*number 1 is nan'),
    ('time_is = "start"', 'time_is = "begin"', '"time_is" in .header. is .begin., but has to be'),
    ("time_is =", "time_iz =", 'unknown key "time_iz" in .header.; did you mean "time_is"'),
    ("exposure_time =", "exposuretime =", 'did you mean "exposure_time"'),
    ('clock = "UTSTART"', 'time = "UTSTART"', '"time" in .header. is .*or { date = ..., clock'),
    ('focus = "FOCUS"', "focus = 7", '"focus" in .header. is 7, but has to be a keyword'),
    ('focus = "FOCUS"', "focus = []", r'"focus" in .header. is \[\], but has to be a keyword'),
    ("science =", "scince =", 'unknown key "scince" in .frames.; did you mean "science"'),
    ('{ IMAGETYP = "bias*" }', '"bias*"', '"bias" in .frames. is .*has to be { KEYWORD ='),
    ('{ IMAGETYP = "bias*" }', "{}", '"bias" in .frames. is {}, but has to be'),
    ('{ IMAGETYP = "bias*" }', "{ IMAGETYP = { a = 1 } }", '"bias" in .frames. is'),
    ('Ne = { NEON = "on" }', 'Ne = "NEON"', '"Ne" in .lamps. is .NEON., but has to be { KEYWORD'),
    ('keyword = "LAMP"', "keyword = 3", '"keyword" in .lamps. is 3, but has to be a keyword'),
    ("range = [3500, 8200]", "range = [8200, 3500]", '"range" in .wavelength. is .*smaller first'),
    ("range = [3500, 8200]", "range = [3500]", '"range" in .wavelength. is'),
    ('medium = "vacuum"', 'medium = "water"', '"medium" in .wavelength. is .water., but has to be'),
    ("[wavelength]", "[wavelengths]", 'unknown key "wavelengths" in the file; did you mean "wave'),
    ("[lamps]", "[lamp]", 'unknown key "lamp" in the file; did you mean "lamps"'),
]


@pytest.mark.parametrize(("what", "into", "message"), MISTAKES)
def test_a_mistake_names_file_key_and_what_is_allowed(what, into, message):
    assert what in GOOD
    with pytest.raises(InstrumentError, match=message) as caught:
        parse(GOOD.replace(what, into, 1))
    sentence = str(caught.value)
    assert sentence.startswith("my.toml: ")
    assert "\n" not in sentence


def test_an_overscan_that_lies_on_the_data_is_named():
    text = GOOD.replace('{ keyword = "BIASSEC1" }', '"[1000:1030,1:400]"')
    text = text.replace('{ keyword = "DATASEC2" }', '"[1025:2048,1:400]"')
    with pytest.raises(InstrumentError, match=r"overscan of amplifier 1 overlaps the data of amp"):
        parse(text)


def test_a_file_that_is_not_toml_or_not_there_is_said(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("name = ")
    with pytest.raises(InstrumentError, match=r"my.toml: this is not a TOML file \(Invalid value"):
        load_instrument(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InstrumentError, match=r"my.toml: this is not a TOML file"):
        load_instrument(path)
    with pytest.raises(InstrumentError, match=r'did you mean "kast_blue".*Built in are'):
        load_instrument("kast_bleu")
    with pytest.raises(InstrumentError, match="no file"):
        load_instrument(tmp_path)


def test_a_file_of_ones_own_is_read_from_its_path(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(GOOD)
    assert load_instrument(path).name == load_instrument(str(path)).name == "My spectrograph"
    assert load_instrument(path).source == path


@pytest.mark.parametrize("name", list_instruments())
def test_every_built_in_instrument_is_whole(name):
    instrument = load_instrument(name)
    assert instrument.site is not None
    assert instrument.saturation is not None
    assert instrument.wavelength_range is not None
    assert "science" in instrument.frame_kinds
    assert instrument.header["time"]
    assert instrument.header["exposure_time"]


def log_of(folder, instrument):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HeaderWarning)  # frames without any header, where expected
        return make_header_table(folder, **load_instrument(instrument).log_rules)


def kinds_of(folder, instrument):
    return {
        row["filename"].split(".fit")[0]: f"{row['kind']} {row['lamps']}".strip()
        for row in log_of(folder, instrument)
    }


def test_every_frame_of_the_kast_night_is_what_its_observer_noted(real_data):
    expected = {"b1": "arc Cd+He+Hg", "b24": "science", "b27": "science"}
    expected |= {name: "flat" for name in ("b11", "b12", "b13")}
    expected |= {name: "bias" for name in ("b21", "b22", "b23")}
    assert kinds_of(real_data / "lick_kast_blue_2015", "kast_blue") == expected


def test_every_frame_of_the_sprat_night_is_what_its_observer_noted(real_data):
    expected = {f"v_e_20180810_12_{n}_0_0": "science" for n in range(1, 6)}
    expected |= {"v_s_20180810_27_1_0_0": "science", "v_w_20180803_7_1_0_1": "flat"}
    expected |= {f"v_a_20180810_{n}_1_0_1": "arc Xe" for n in (13, 28)}
    expected |= {"v_dark_1": "dark", "v_slit_red_1": "other"}  # the latter holds no counts
    assert kinds_of(real_data / "lt_sprat_2018", "sprat") == expected


def test_every_frame_of_the_goodman_night_is_what_its_observer_noted(real_data):
    expected = {f"{n:04d}_Fe_930_blue_long": "arc FeAr" for n in (18, 19, 20)}
    expected |= {f"{n:04d}_QuFlat_930_blue": "flat" for n in range(22, 39, 4)}
    expected |= {f"{n:04d}_Zero_ZZCeti": "bias" for n in range(194, 200)}
    expected |= {f"{n:04d}_AT2018oh_930_blue": "science" for n in range(267, 272)}
    assert kinds_of(real_data / "soar_goodman_2018", "goodman_930") == expected


def test_every_frame_of_the_efosc_nights_is_what_its_observer_noted(real_data):
    found = list(kinds_of(real_data / "ntt_efosc2_2022", "efosc2").values())
    expected = ["bias"] * 4 + ["flat"] * 3 + ["arc Ar+He"] + ["science"] * 2  # in order of time
    assert found == [*expected, "other", "science", "flat", "flat"]


@pytest.mark.parametrize("order", ["red", "blue"])
def test_every_frame_of_the_floyds_night_is_what_its_observer_noted(real_data, order):
    found = list(kinds_of(real_data / "lco_floyds_2020", f"floyds_{order}").values())
    assert found == ["science", "arc HgAr+Zn", "flat"]


def test_every_other_real_frame_is_what_its_observer_noted(real_data):
    found = kinds_of(real_data / "p200_dbsp_blue_2020", "dbsp_blue")
    assert found == {"blue0022": "arc FeAr", "blue0031": "flat", "blue0050": "science"}
    found = kinds_of(real_data / "int_ids_arc_2018", "ids")
    assert found == {"int20180101_01355922": "arc CuAr+CuNe"}
    found = list(kinds_of(real_data / "toronto_st7_2019", "st7").values())
    assert sorted(found) == ["dark"] * 2 + ["science"] * 5  # the header calls the lamp LIGHT
    assert set(kinds_of(real_data / "gtc_osiris_tres3b", "osiris").values()) == {"other"}


@pytest.mark.parametrize("name", list_instruments())
def test_a_typical_frame_of_every_built_in_instrument_can_be_made_up(name):
    instrument = load_instrument(name)
    amplifiers = instrument.amplifiers_for(instrument.example_headers)
    assert len(amplifiers) == len(instrument.amplifiers)
    if not isinstance(instrument.extension, tuple):
        assert len({tuple(each.items()) for each in instrument.example_headers}) == 1
    for amplifier in amplifiers:
        assert 0.4 < amplifier.gain.value < 3
        assert amplifier.read_noise is None or 2 < amplifier.read_noise.value < 20


FRAMES = {
    "kast_blue": ("lick_kast_blue_2015/b27.fits.gz", "2015-05-20T04:47:33.120"),
    "sprat": ("lt_sprat_2018/v_e_20180810_12_1_0_0.fits.gz", "2018-08-10T23:23:58.628"),
    "goodman_930": ("soar_goodman_2018/0267_AT2018oh_930_blue.fits.gz", "2018-02-05T04:05:55.003"),
    "efosc2": (
        "ntt_efosc2_2022/EFOSC.2022-01-27T02-31-32.701.fits.gz",
        "2022-01-27T02:36:32.701",
    ),
    "dbsp_blue": ("p200_dbsp_blue_2020/blue0050.fits.gz", "2020-08-28T06:44:50.595"),
    "floyds_red": (
        "lco_floyds_2020/coj2m002-en12-20200321-0021-e00.fits.fz",
        "2020-03-21T18:36:56.453",
    ),
    "floyds_blue": (
        "lco_floyds_2020/coj2m002-en12-20200321-0021-e00.fits.fz",
        "2020-03-21T18:36:56.453",
    ),
    "ids": ("int_ids_arc_2018/int20180101_01355922.fits.fz", "2018-01-01T19:35:45.156"),
    "st7": ("toronto_st7_2019/Vega.fit.gz", "2019-10-29T23:42:05.000"),
    "osiris": ("gtc_osiris_tres3b/osiris_tres_3b.fits.bz2", None),
}


@pytest.mark.parametrize("name", FRAMES)
def test_sections_lie_on_the_real_frame_and_the_time_is_its_middle(real_data, name):
    instrument, (file, time) = load_instrument(name), FRAMES[name]
    header = read_header(real_data / file, extension=instrument.extension)
    for amplifier in instrument.amplifiers_for(header.cards):
        amplifier.check(header.shape)
    log = log_of([real_data / file], name)
    if time is None:
        assert log["time"].mask.all()
    else:
        assert abs(log["time"][0] - Time(time)) < 0.002 * u.s


@pytest.mark.parametrize("name", ["kast_blue", "sprat", "goodman_930", "efosc2", "dbsp_blue"])
def test_the_airmass_computed_agrees_with_cards_that_can_be_trusted(real_data, name):
    instrument, (file, _) = load_instrument(name), FRAMES[name]
    log = log_of([real_data / file], name)
    computed = compute_airmass(log["time"], SkyCoord(log["ra"], log["dec"]), instrument.site)
    # cards are rounded to 0.01, are of the start, and the longest exposure took 20 minutes
    assert abs(computed[0] / log["airmass"][0] - 1) < 0.02


def test_the_stale_airmass_of_sprat_is_replaced(real_data):
    log = log_of(real_data / "lt_sprat_2018", "sprat")
    star = log[log["object"] == "LHS6328"]
    assert star["airmass_computed"].all()
    assert np.all(np.diff(star["airmass"]) > 0)  # past the meridian
    # the card of the arc taken a minute after the last exposure was set anew
    assert star["airmass"][-1] == pytest.approx(1.262, abs=0.002)


def night_of(instrument):
    """A log with every kind that an instrument tells, and every lamp."""
    kinds = [kind for kind in instrument.frames if kind != "other"]
    lamps = sorted(lamp for lamp in instrument.lamps if lamp != "keyword")
    lamps = lamps if lamps else ["Ne"]
    rows = [(kind, "") for kind in kinds if kind != "arc"]
    together = sorted({each for lamp in lamps for each in split_lamp_names(lamp)})
    rows += [("arc", lamp) for lamp in [*lamps, "+".join(together)]] if "arc" in kinds else []
    n = len(rows)
    return QTable(
        {
            "filename": [f"x{number:02d}.fits" for number in range(n)],
            "kind": [kind for kind, _ in rows],
            "lamps": [lamp for _, lamp in rows],
            "time": Time("2024-03-10T05:00:00") + np.arange(n) * 600 * u.s,
            "exposure_time": [0.0 if kind == "bias" else 60.0 for kind, _ in rows] * u.s,
            "object": ["a star" if kind == "science" else "" for kind, _ in rows],
            "airmass": np.linspace(1.1, 1.3, n),
            "ra": np.full(n, 181.57) * u.deg,
            "dec": np.full(n, -12.5) * u.deg,
        }
    )


def elements(lamps):
    """Elements of a row's lamps."""
    return {each for lamp in lamps.split("+") if lamp for each in split_lamp_names(lamp)}


@pytest.mark.parametrize("name", list_instruments())
def test_a_night_written_by_any_instruments_rules_is_read_back_by_them(tmp_path, name):
    instrument = load_instrument(name)
    night = night_of(instrument)
    image = np.zeros((2, 3), np.int16)
    n = len(instrument.amplifiers)
    several = isinstance(instrument.extension, tuple)
    recipes = dict.fromkeys(night["kind"], lambda row: [image] * n if several else image)
    rules = {key: getattr(instrument, key) for key in ("header", "frames", "lamps", "extension")}
    write_night(night, recipes, tmp_path, **rules)
    back = log_of(tmp_path, name)
    assert list(back["kind"]) == list(night["kind"])
    for found, expected in zip(back["lamps"], night["lamps"], strict=True):
        assert elements(found) >= elements(expected)
    assert elements(back["lamps"][-1]) == elements(night["lamps"][-1])
    assert np.abs((back["time"] - night["time"]).to_value(u.s)).max() < 2e-6
    np.testing.assert_allclose(back["exposure_time"].value, night["exposure_time"].value)
    np.testing.assert_allclose(back["ra"].value, night["ra"].value)


@pytest.mark.parametrize("name", list_instruments())
def test_every_lamp_of_a_built_in_instrument_has_a_line_list(name):
    for lamp in load_instrument(name).lamps:
        assert lamp == "keyword" or split_lamp_names(lamp)


def test_the_real_arcs_are_of_elements_with_line_lists(real_data):
    folder = real_data / "soar_goodman_2018"
    rules = load_instrument("goodman_930").log_rules
    log = make_header_table(folder, **rules, split_lamps=split_lamp_names)
    assert set(log["lamps"][log["kind"] == "arc"]) == {"Ar+Fe"}


def mutated(value, rng):
    """Return a value that somebody may have written instead."""
    others = [None, 0, -1, 1.5, float("nan"), True, "", "x", "[1:2,3:4]", [], [1, 2], [[]], {}]
    others += [{"keyword": "A"}, {"value": 1}, {"a": {"b": 1}}, [{"a": 1}], "[9:1,1:9]", "../x"]
    if isinstance(value, dict) and value and rng.integers(3):
        key = list(value)[rng.integers(len(value))]
        changed = dict(value)
        if rng.integers(4) == 0:
            changed[f"{key}s"] = changed.pop(key)
        elif rng.integers(4) == 0:
            del changed[key]
        else:
            changed[key] = mutated(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.integers(3):
        changed = list(value)
        place = rng.integers(len(value))
        changed[place] = mutated(value[place], rng)
        return changed
    return others[rng.integers(len(others))]


def test_no_instrument_file_however_wrong_ends_in_anything_but_a_sentence():
    rng, good = np.random.default_rng(3), tomllib.loads(GOOD)
    refused = 0
    for _ in range(3000):
        content = mutated(good, rng)
        if not isinstance(content, dict):
            continue
        try:
            parse_instrument(content, "my.toml")
        except InstrumentError as error:
            assert str(error).startswith("my.toml: ")
            assert "\n" not in str(error)
            refused += 1
    assert refused > 1000


@pytest.mark.parametrize("name", list_instruments())
def test_a_night_of_a_built_in_instrument_leaves_no_frame_and_no_rule_in_the_dark(tmp_path, name):
    instrument = load_instrument(name)
    kinds = [kind for kind in ("science", "flat", "bias") if kind in instrument.frame_kinds]
    night = QTable({"filename": [f"{kind}.fits" for kind in kinds], "kind": kinds})
    night["time"] = Time("2020-03-10T05:00:00") + np.arange(len(kinds)) * 5 * u.min
    night["exposure_time"] = np.where(np.array(kinds) == "bias", 0, 60) * u.s
    night["object"] = ["star"] * len(kinds)
    rules = {key: getattr(instrument, key) for key in ("header", "frames", "lamps")}
    recipes = dict.fromkeys(kinds, lambda row: np.zeros((4, 6), np.uint16))
    write_night(night, recipes, tmp_path, **rules)
    # arcs and darks are missing, as in many a night: warnings are errors here
    assert sorted(make_header_table(tmp_path, **rules)["kind"]) == sorted(kinds)
