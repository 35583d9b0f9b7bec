"""One amplifier: its sections, its header cards, its level."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.polynomial import Chebyshev1D

from slitlapse.photons.amplifier import Amplifier

N_ROWS, N_OVERSCAN, NOISE = 400, 50, 9.0


def drift(n, amplitude=3.0):
    """A smooth drift of a few adu, as a warming amplifier shows it."""
    t = np.linspace(0, 1, n)
    return amplitude * (np.exp(-t / 0.15) + 0.5 * np.sin(2 * np.pi * 2.3 * t) + 0.4 * t)


def frame(level, rng, noise=NOISE, n_overscan=N_OVERSCAN):
    """A dark frame: 10 columns of data and an overscan to the right."""
    pixels = 1000 + level[:, None] + rng.normal(0, noise, (len(level), 10 + n_overscan))
    return np.rint(pixels).astype(np.uint16)


@pytest.fixture
def amplifier():
    return Amplifier(
        f"[1:10,1:{N_ROWS}]", f"[11:{10 + N_OVERSCAN},1:{N_ROWS}]", gain=1.5, name="left"
    )


def test_fits_sections_are_one_indexed_and_inclusive():
    amplifier = Amplifier("[3:10, 2:5]", gain=1.0)
    assert amplifier.data == (slice(1, 5), slice(2, 10))
    assert Amplifier(amplifier.data, gain=1.0).data == amplifier.data


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("[10:1,1:5]", "backward"),
        ("UNKNOWN", "looks like"),
        ("[0:10,1:5]", "counted from 1"),
        ("[1:10]", "looks like"),
        ((slice(5, 5), slice(0, 3)), "empty"),
        ((slice(0, None), slice(0, 3)), "say their end"),
        ((slice(0, 5), slice(9, 4, -1)), "runs backward"),
        ((slice(0, 5, 2), slice(0, 3)), "say their end"),
        ((slice(-2, 5), slice(0, 3)), "empty or negative"),
    ],
)
def test_an_unusable_section_is_refused_with_what_was_found(section, words):
    with pytest.raises(ValueError, match=words):
        Amplifier(section, gain=1.0, name="left")


@pytest.mark.parametrize(
    "output", ["[10:1,1:5]", "[20:11,5:1]", (slice(4, None, -1), slice(9, 19))]
)
def test_an_output_that_runs_backward_survives_a_copy(output):
    amplifier = Amplifier("[1:10,1:5]", gain=1.0, output=output)
    copy = amplifier.with_noise(gain=2.0)
    assert copy.output == amplifier.output
    assert copy.gain.value == 2


def test_data_are_placed_in_the_part_of_the_detector_that_is_kept():
    amplifier = Amplifier("[1:10,1:5]", gain=1.0, output="[20:11,6:10]")
    assert amplifier.extent == ((5, 10), (10, 20))
    assert amplifier.place_in((slice(5, 10), slice(2, 20))) == (slice(0, 5), slice(17, 7, -1))
    assert amplifier.place_in((slice(0, 10), slice(10, 20)))[1] == slice(9, None, -1)


@pytest.mark.parametrize("gap", ["[11:14,1:5]", (slice(0, 5), slice(10, 14))])
def test_a_gap_survives_a_copy_and_does_not_run_backward(gap):
    amplifier = Amplifier("[1:10,1:5]", gain=1.0, gap=gap)
    assert amplifier.with_noise(read_noise=4.0).gap == (slice(0, 5), slice(10, 14))
    with pytest.raises(ValueError, match=r"The gap of amplifier 'a' .* runs backward"):
        Amplifier("[1:10,1:5]", gain=1.0, gap="[14:11,1:5]", name="a")


def test_an_output_of_another_size_is_refused():
    with pytest.raises(
        ValueError, match=r"'a' reads \(5, 10\) pixels.*but.*has \(5, 9\).*same size"
    ):
        Amplifier("[1:10,1:5]", gain=1.0, output="[10:2,1:5]", name="a")


@pytest.mark.parametrize("gain", [0, -1.2, np.nan])
def test_a_gain_must_be_positive(gain):
    with pytest.raises(ValueError, match="positive"):
        Amplifier("[1:10,1:5]", gain=gain)


def test_gain_may_have_a_unit_and_a_wrong_one_raises():
    assert Amplifier("[1:2,1:2]", gain=1.2 * u.electron / u.adu).gain.value == 1.2
    with pytest.raises(u.UnitConversionError):
        Amplifier("[1:2,1:2]", gain=1.2 * u.adu)


def test_header_cards_name_sections_and_gain():
    header = fits.Header({"DATASEC1": "[1:10,1:5]", "BIASSEC1": "[11:12,1:5]", "GAIN1": "1.2"})
    amplifier = Amplifier.from_header(
        header, data="DATASEC1", overscan="BIASSEC1", gain="GAIN1", read_noise=3.0, name="1"
    )
    assert amplifier.overscan == (slice(0, 5), slice(10, 12))
    assert amplifier.gain.value == 1.2
    with pytest.raises(KeyError, match="no card 'RDNOISE1' for the read noise"):
        Amplifier.from_header(header, data="DATASEC1", gain=1.0, read_noise="RDNOISE1")


@pytest.mark.parametrize(
    ("cards", "output"),
    [
        ({"data": "DATASEC2", "overscan": "BIASSEC2", "output": "CCDSEC2"}, (64, 54)),
        ({"data": "DSEC12", "overscan": "BSEC12", "output": "CSEC12"}, (64, 54)),
        ({"data": "TRIMSEC", "overscan": "BIASSEC"}, (1, 11)),
        ({"data": "[2:11,1:5]", "overscan": "[15:20,1:5]"}, (1, 11)),
    ],
)
def test_sections_come_from_the_cards_that_observatories_write(cards, output):
    keys = {"data": "[2:11,1:5]", "overscan": "[15:20,1:5]", "output": "[65:56,1:5]"}
    header = fits.Header()
    for group in (("DATASEC2", "BIASSEC2", "CCDSEC2"), ("DSEC12", "BSEC12", "CSEC12")):
        header.update(dict(zip(group, keys.values(), strict=True)))
    header["TRIMSEC"], header["BIASSEC"] = keys["data"], keys["overscan"]
    amplifier = Amplifier.from_header(header, **cards, gain=1.0, name="2")
    assert amplifier.data == (slice(0, 5), slice(1, 11))
    assert amplifier.overscan == (slice(0, 5), slice(14, 20))
    assert (amplifier.output[1].start, amplifier.output[1].stop) == output


def test_a_section_outside_the_frame_is_refused(amplifier):
    with pytest.raises(ValueError, match=r"overscan section \[11:60,1:400\].*outside.*40 x 400"):
        amplifier.check((400, 40))


def test_a_constant_level_comes_back_within_its_own_error(amplifier):
    pulls = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        level = amplifier.measure_level(frame(np.zeros(N_ROWS), rng), method="constant")
        assert np.ptp(level.level) == 0
        pulls.append((level.level[0] - 1000) / level.uncertainty[0])
    assert abs(np.mean(pulls)) < 4 / np.sqrt(20)
    assert 1 - 4 / np.sqrt(40) < np.std(pulls) < 1 + 4 / np.sqrt(40)


def test_read_noise_is_seen_in_the_overscan(amplifier):
    found = amplifier.measure_level(frame(drift(N_ROWS), np.random.default_rng(3))).read_noise
    expected = np.hypot(NOISE, 1 / np.sqrt(12))  # rounding to integers adds its own
    assert abs(found - expected) < 4 * expected / np.sqrt(2 * N_ROWS * (N_OVERSCAN - 1))


def test_a_smooth_level_is_followed_to_a_third_of_an_adu(amplifier):
    truth = drift(N_ROWS)
    errors = {method: [] for method in ("auto", "rows", "constant")}
    for seed in range(20):
        image = frame(truth, np.random.default_rng(seed))
        for method, found in errors.items():
            found.append(amplifier.measure_level(image, method=method).level - 1000 - truth)
    rms = {method: np.std(found) for method, found in errors.items()}
    assert rms["auto"] < 0.35
    assert rms["rows"] > 3 * rms["auto"]


def test_masked_and_not_finite_overscan_pixels_do_not_count(amplifier):
    image = frame(np.zeros(N_ROWS), np.random.default_rng(5)).astype(float)
    clean = amplifier.measure_level(image, method="rows").level
    image[7, 20], image[9, 30] = 60000, np.nan
    mask = np.zeros(image.shape, bool)
    mask[7, 20] = True
    for kwargs in ({"mask": mask, "sigma_clip": None}, {"mask": None}):
        found = amplifier.measure_level(image, method="rows", **kwargs).level
        # losing one of 50 pixels moves a row's mean by about noise / 50
        assert np.all(np.abs(found - clean) < 5 * NOISE / 49)


def test_a_row_without_good_overscan_gets_the_level_of_its_neighbours(amplifier):
    image = frame(np.zeros(N_ROWS), np.random.default_rng(6))
    mask = np.zeros(image.shape, bool)
    mask[100] = True
    level = amplifier.measure_level(image, mask)
    assert np.isfinite(level.level).all()
    assert abs(level.level[100] - 1000) < 5 * level.uncertainty.max()


def test_an_overscan_below_the_data_gives_a_level_per_column():
    amplifier = Amplifier("[1:300,7:40]", "[1:300,1:6]", gain=1.0)
    rng = np.random.default_rng(7)
    truth = drift(300)
    image = np.rint(1000 + truth + rng.normal(0, 2, (40, 300)))
    level = amplifier.measure_level(image)
    assert level.axis == 1
    assert level.image.shape == (1, 300)
    assert np.std(level.level - 1000 - truth) < 2 / np.sqrt(6)


def test_an_overscan_that_is_too_short_is_refused_unless_constant():
    amplifier = Amplifier("[1:10,1:40]", "[11:20,1:39]", gain=1.0, name="short")
    image = np.random.default_rng(8).normal(1000, 3, (40, 20))
    with pytest.raises(ValueError, match="covers neither all rows nor all columns"):
        amplifier.measure_level(image)
    assert len(amplifier.measure_level(image, method="constant").level) == 40


@pytest.mark.parametrize("method", ["savgol", Chebyshev1D(5), lambda means: means - 1])
def test_other_smoothers_can_be_asked_for(amplifier, method):
    image = frame(np.zeros(N_ROWS), np.random.default_rng(9))
    level = amplifier.measure_level(image, method=method)
    shift = -1 if callable(method) and not isinstance(method, Chebyshev1D) else 0
    assert abs(level.level.mean() - 1000 - shift) < 5 * NOISE / np.sqrt(N_ROWS * N_OVERSCAN)


def test_an_unknown_method_is_answered_with_the_known_ones(amplifier):
    image = frame(np.zeros(N_ROWS), np.random.default_rng(9))
    with pytest.raises(ValueError, match="known are 'auto'"):
        amplifier.measure_level(image, method="magic")
