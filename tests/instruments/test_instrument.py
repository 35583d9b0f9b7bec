"""From what a file says and what a header says to amplifiers, lamps and a log."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from slitlapse.instruments import (
    AmplifierCards,
    Instrument,
    InstrumentError,
    list_instruments,
    load_instrument,
)
from slitlapse.observing_log import make_header_table, read_header
from slitlapse.photons import (
    Amplifier,
    measure_gain,
    measure_read_noise,
    process_amplifiers,
    to_raw,
)


def make(amplifiers, **kwargs):
    return Instrument(name="test", dispersion="+x", amplifiers=tuple(amplifiers), **kwargs)


def test_sections_and_numbers_of_the_file_become_an_amplifier():
    cards = AmplifierCards("[1:100,1:50]", "[101:110,1:50]", gain=1.5, read_noise=4)
    (amplifier,) = make([cards]).amplifiers_for({})
    assert amplifier == Amplifier(
        "[1:100,1:50]", "[101:110,1:50]", gain=1.5, read_noise=4, name="1"
    )
    assert amplifier.read_noise == 4 * u.electron


def test_sections_and_numbers_may_come_from_each_header():
    point = {
        key: {"keyword": key.upper()[:8]} for key in ("data", "overscan", "gain", "read_noise")
    }
    header = {"DATA": "[1:9,1:5]", "OVERSCAN": "[10:12,1:5]", "GAIN": "2.5", "READ_NOI": 3}
    (amplifier,) = make([AmplifierCards(**point)]).amplifiers_for(fits.Header(header))
    assert amplifier.data == (slice(0, 5), slice(0, 9))
    assert amplifier.gain == 2.5 * u.electron / u.adu
    assert amplifier.read_noise == 3 * u.electron


def test_no_read_noise_is_left_to_be_measured():
    (amplifier,) = make([AmplifierCards("[1:9,1:5]", gain=1)]).amplifiers_for({})
    assert amplifier.read_noise is None
    assert amplifier.overscan is None


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            {},
            "test: The header has no card 'DATASEC1', which should hold the data of amplifier '1'",
        ),
        ({"DATASEC1": "UNKNOWN", "G": 1}, "'UNKNOWN'; a FITS section looks like"),
        ({"DATASEC1": "[9:1,1:5]", "G": 1}, "runs backward"),
        ({"DATASEC1": 7, "G": 1}, "'7'; a FITS section looks like"),
        ({"DATASEC1": "[1:9,1:5]", "G": "high"}, "G should hold the gain .* is 'high'"),
        ({"DATASEC1": "[1:9,1:5]", "G": 0}, "gain 0.0; it must be positive"),
    ],
)
def test_a_header_that_lacks_what_the_file_points_to_is_named(header, message):
    cards = AmplifierCards({"keyword": "DATASEC1"}, gain={"keyword": "G"})
    with pytest.raises(InstrumentError, match=message):
        make([cards]).amplifiers_for(header)


def test_amplifiers_in_hdus_of_their_own_stand_side_by_side():
    cards = [AmplifierCards({"keyword": "DATASEC"}, gain=1) for _ in range(3)]
    headers = [{"DATASEC": section} for section in ("[33:64,1:9]", "[1:32,1:9]", "[1:40,1:9]")]
    amplifiers = make(cards, extension=(1, 2, 3)).amplifiers_for(headers)
    assert [each.data[1].start for each in amplifiers] == [32, 0, 0]
    assert [each.output[1] for each in amplifiers] == [slice(0, 32), slice(32, 64), slice(64, 104)]
    assert [each.name for each in amplifiers] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("gap", "header", "factors", "columns"),
    [
        (67, {}, (1, 1), 67),
        (34, {}, (1, 2), 68),
        ({"unbinned": 67, "binning": "CCDSUM"}, {"CCDSUM": "1 1"}, (1, 1), 67),
        ({"unbinned": 67, "binning": "CCDSUM"}, {"CCDSUM": "2 4"}, (1, 1), 34),
        ({"unbinned": 67, "binning": "XBIN"}, {"XBIN": 4}, (1, 1), 17),
    ],
)
def test_a_gap_between_two_detectors_keeps_its_place(gap, header, factors, columns):
    cards = [
        AmplifierCards({"keyword": "D"}, gain=1),
        AmplifierCards({"keyword": "D"}, gain=1, gap=gap),
        AmplifierCards({"keyword": "D"}, gain=1),
    ]
    headers = [{"D": "[33:64,1:9]", **header} for _ in cards]
    instrument = make(cards, extension=(1, 2, 3))
    first, second, third = instrument.amplifiers_for(headers, factors=factors)
    assert first.gap is None and third.gap is None
    assert second.gap == (slice(0, 9), slice(32, 32 + columns))
    assert second.output[1] == slice(32 + columns, 64 + columns)
    assert third.output[1] == slice(64 + columns, 96 + columns)


def test_a_gap_may_be_a_section_and_needs_its_binning():
    cards = [
        AmplifierCards("[1:8,1:9]", gain=1),
        AmplifierCards("[13:20,1:9]", gain=1, gap="[9:12,1:9]"),
    ]
    assert make(cards).amplifiers_for({})[1].gap == (slice(0, 9), slice(8, 12))
    twice = make(cards).amplifiers_for({}, factors=(1, 2))
    assert twice[1].gap == (slice(0, 9), slice(16, 24))
    told = {"unbinned": 67, "binning": "CCDSUM"}
    cards = [AmplifierCards("[1:8,1:9]", gain=1, gap=told)] * 2
    for header, words in (({}, "no card 'CCDSUM'"), ({"CCDSUM": "none"}, 'such as "2 2"')):
        with pytest.raises(InstrumentError, match=words):
            make(cards, extension=(1, 2)).amplifiers_for(header)


def test_an_output_section_wins_over_side_by_side():
    cards = [AmplifierCards("[1:8,1:9]", gain=1, output=out) for out in ("[9:16,1:9]", "[8:1,1:9]")]
    first, second = make(cards, extension=(1, 2)).amplifiers_for({})
    assert first.output[1] == slice(8, 16)
    assert second.output[1] == slice(7, None, -1)


def test_the_number_of_headers_has_to_be_that_of_the_amplifiers():
    cards = [AmplifierCards("[1:8,1:9]", gain=1)] * 2
    with pytest.raises(InstrumentError, match="test has 2 amplifiers, but 3 headers were given"):
        make(cards, extension=(1, 2)).amplifiers_for([{}, {}, {}])


def test_sections_of_the_file_follow_another_binning_and_those_of_cards_do_not():
    cards = AmplifierCards("[9:2055,1:200]", {"keyword": "B"}, gain=1, output="[20:11,5:8]")
    header = {"B": "[4116:4142,1:200]"}
    with pytest.raises(InstrumentError, match="same size"):  # so that output is looked at, too
        make([cards]).amplifiers_for(header)
    cards = AmplifierCards("[11:20,5:8]", {"keyword": "B"}, gain=1, output="[20:11,5:8]")
    (amplifier,) = make([cards]).amplifiers_for(header, factors=(1, 2))
    assert amplifier.data == (slice(4, 8), slice(20, 40))
    assert amplifier.overscan[1] == slice(4115, 4142)
    assert amplifier.output == (slice(4, 8), slice(39, 19, -1))
    (amplifier,) = make([cards]).amplifiers_for(header, factors=(0.5, 0.5))
    assert amplifier.data == (slice(2, 4), slice(5, 10))


def test_arcs_of_goodman_in_another_binning_are_read_over_all_their_columns(real_data):
    instrument = load_instrument("goodman_930")
    folder = real_data / "soar_goodman_2018"
    arc = read_header(folder / "0018_Fe_930_blue_long.fits.gz")
    science = read_header(folder / "0267_AT2018oh_930_blue.fits.gz")
    factors = [a / s for a, s in zip(arc.shape, science.shape, strict=True)]
    (amplifier,) = instrument.amplifiers_for(arc.cards, factors=factors)
    amplifier.check(arc.shape)
    (of_science,) = instrument.amplifiers_for(science.cards)
    width = of_science.data[1].stop - of_science.data[1].start
    assert amplifier.data[1].stop - amplifier.data[1].start == 2 * width
    frame = fits.getdata(folder / "0018_Fe_930_blue_long.fits.gz")
    # the README has 449 adu in the postscan of the arcs
    assert np.median(frame[amplifier.overscan]) == pytest.approx(449, abs=1)


def test_lamps_are_named_as_in_the_file_or_in_the_card():
    switches = make([], lamps={"Ne": {"L1": True}, "Ar": {"L2": "on"}})
    assert switches.lamps_for({"L1": True, "L2": "off"}) == ["Ne"]
    assert switches.lamps_for({}) == []
    names = make([], lamps={"keyword": "LAMP"})
    assert names.lamps_for({"LAMP": "Kr+Ar"}) == ["Ar", "Kr"]
    assert names.lamps_for({}) == []


def test_the_rules_go_straight_into_the_log(tmp_path):
    fits.PrimaryHDU([[1, 2]], fits.Header({"T": 60000.5, "E": 0, "K": "b"})).writeto(
        tmp_path / "a.fits"
    )
    instrument = make(
        [],
        header={"time": "T", "exposure_time": "E"},
        frames={"bias": {"K": "b"}, "science": {"K": "s"}},
    )
    assert instrument.frame_kinds == ("bias", "science")
    assert list(make_header_table(tmp_path, **instrument.log_rules)["kind"]) == ["bias"]


ING = {"TRIMSEC": "[1:60,1:400]", "BIASSEC": "[1:60,405:430]", "GAIN": 1.2, "READNOIS": 4.2}
DIS = {"DATASEC": "[1:400,1:50]", "BIASSEC": "[403:440,1:50]", "GAIN": 1.9, "RDNOISE": 5.0}
MAGELLAN = {"DATASEC": "[1:512,1:2048]", "BIASSEC": "[513:576,1:2048]", "EGAIN": 1.6, "ENOISE": 4.7}
CHIP = {**MAGELLAN, "DATASEC": "[1:1024,1:2048]", "BIASSEC": "[1025:1088,1:2048]"}
RIGHT = {"DATASEC": "[1:64,1:50]", "BIASSEC": "[65:96,1:50]", "GAIN": 1.6, "RDNOISE": 4.0}
LEFT = {**RIGHT, "DATASEC": "[33:96,1:50]", "BIASSEC": "[1:32,1:50]"}
CARDS = {  # what frames of instruments whose files point to cards may say, smaller than real ones
    "dbsp_blue": {"TSEC1": "[11:60,1:400]", "BSEC1": "[61:90,1:400]", "GAIN": 0.72, "RON": 2.5},
    "floyds_red": {"GAIN": 2.3, "RDNOISE": 3.5},
    "floyds_blue": {"GAIN": 2.3, "RDNOISE": 3.5},
    "st7": {"EGAIN": 2.55},
    "ids": ING,
    "acam": ING,
    "dis_red": DIS,
    "dis_blue": DIS,
    "ldss3c": [MAGELLAN, {**MAGELLAN, "EGAIN": 1.4}],
    "imacs": [CHIP, CHIP],
    "gmos_n": [RIGHT | {"CCDSUM": "2 2"}, LEFT | {"CCDSUM": "2 2"}] * 6,
}


@pytest.mark.parametrize("name", list_instruments())
def test_what_an_instrument_reads_out_is_what_fell_on_it(name):
    """Electrons, read out through every amplifier into its HDU, come back where they were."""
    instrument, rng = load_instrument(name), np.random.default_rng(11)
    headers = CARDS.get(name, {})
    amplifiers = instrument.amplifiers_for(headers)
    rows, columns = (
        [np.arange(10000)[each.output[axis]] for each in amplifiers] for axis in (0, 1)
    )
    first = [min(each.min() for each in lines) for lines in (rows, columns)]
    last = [max(each.max() for each in lines) for lines in (rows, columns)]
    rows, columns = (
        [each - o for each in lines] for lines, o in zip((rows, columns), first, strict=True)
    )
    shape = (last[0] - first[0] + 1, last[1] - first[1] + 1)
    truth = np.add.outer(np.arange(shape[0]), np.arange(shape[1]) / 7) + 500.0
    targets = [np.ix_(y, x) for y, x in zip(rows, columns, strict=True)]
    one_hdu = [
        Amplifier(
            each.data,
            each.overscan,
            gain=each.gain,
            read_noise=4.0 if each.read_noise is None else each.read_noise,
        )
        for each in amplifiers
    ]
    if isinstance(instrument.extension, tuple):
        raw = [
            to_raw(truth[target], [alone], rng=rng, poisson=False, bias_level=900)
            for target, alone in zip(targets, one_hdu, strict=True)
        ]
    else:
        raw = to_raw(truth, one_hdu, rng=rng, poisson=False, bias_level=900)
    noise = [one.read_noise for one in one_hdu]
    amplifiers = [
        each.with_noise(read_noise=sigma) for each, sigma in zip(amplifiers, noise, strict=True)
    ]
    found = process_amplifiers(raw, amplifiers, overscan="constant").data
    assert found.shape == truth.shape
    for each, target in zip(amplifiers, targets, strict=True):
        # without an overscan the level stays
        level = 0 if each.overscan is not None else 900 * each.gain.value
        residual = (found - truth)[target] - level
        gain = each.gain.value
        sigma = np.hypot(each.read_noise.value, gain / np.sqrt(12))  # and whole numbers of adu
        # the mean has the error of the data's pixels and of the level's, three lines at least
        error = sigma * np.hypot(1 / np.sqrt(residual.size), 1 / np.sqrt(3 * min(residual.shape)))
        assert abs(residual.mean()) < 4 * error
        assert residual.std() == pytest.approx(sigma, rel=0.1)


FRAMES_OF = {
    "kast_blue": ("lick_kast_blue_2015", ["b21", "b22", "b23"], ["b11", "b12"]),
    "goodman_930": ("soar_goodman_2018", ["0194", "0195", "0196"], ["0022", "0026"]),
    "efosc2": ("ntt_efosc2_2022", ["EFOSC.2022-01-26T19-0"], ["EFOSC.2022-01-26T19-2"]),
}


@pytest.mark.parametrize("name", FRAMES_OF)
def test_gain_and_read_noise_of_a_file_are_those_of_real_frames(real_data, name):
    def read(patterns):
        paths = [path for each in patterns for path in sorted(folder.glob(f"{each}*.fits.gz"))]
        return [CCDData(fits.getdata(path), unit=u.adu) for path in paths]

    folder = real_data / FRAMES_OF[name][0]
    biases, flats = read(FRAMES_OF[name][1]), read(FRAMES_OF[name][2])
    instrument = load_instrument(name)
    amplifiers = instrument.amplifiers_for(instrument.example_headers)
    gains = measure_gain(flats, amplifiers, biases=biases, saturation=60000)
    noises = measure_read_noise(biases, amplifiers)
    for amplifier, gain, noise in zip(amplifiers, gains, noises, strict=True):
        assert abs(gain.value / amplifier.gain - 1) < 0.03
        # the noise is measured in adu: the gain of the file turns it into electrons
        assert abs(noise.sigma / amplifier.read_noise - 1) < 0.03
