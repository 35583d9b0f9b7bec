"""A mistake in an instrument file is answered with one clear sentence."""

import tomllib

import astropy.units as u
import pytest

from slitlapse.instruments import (
    InstrumentError,
    list_instruments,
    load_instrument,
    parse_instrument,
)
from slitlapse.observing_log import make_header_table

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


def kinds_of(folder, instrument):
    table = make_header_table(folder, **load_instrument(instrument).log_rules)
    return {
        row["filename"].split(".fit")[0]: f"{row['kind']} {row['lamps']}".strip() for row in table
    }


def test_every_frame_of_the_kast_night_is_what_its_observer_noted(real_data):
    found = kinds_of(real_data / "lick_kast_blue_2015", "kast_blue")
    expected = {"b1": "arc Cd+He+Hg", "b24": "science", "b27": "science"}
    expected |= {name: "flat" for name in ("b11", "b12", "b13")}
    expected |= {name: "bias" for name in ("b21", "b22", "b23")}
    assert found == expected


def test_every_frame_of_the_sprat_night_is_what_its_observer_noted(real_data):
    found = kinds_of(real_data / "lt_sprat_2018", "sprat")
    expected = {f"v_e_20180810_12_{n}_0_0": "science" for n in range(1, 6)}
    expected |= {"v_s_20180810_27_1_0_0": "science", "v_w_20180803_7_1_0_1": "flat"}
    expected |= {f"v_a_20180810_{n}_1_0_1": "arc Xe" for n in (13, 28)}
    expected |= {"v_dark_1": "dark", "v_slit_red_1": "other"}  # the latter holds no counts
    assert found == expected
