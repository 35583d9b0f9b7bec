"""From adu to electrons, amplifier by amplifier."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from slitlapse.photons import (
    Amplifier,
    DarkCurrent,
    LitOverscanError,
    combine_frames,
    simulate_bias,
    to_electrons,
    to_raw,
)
from slitlapse.photons.process import gap_mask, overscan_statistics, process_amplifiers

TWO = (
    Amplifier("[1:60,1:80]", "[121:140,1:80]", gain=1.2, read_noise=3.8, name="left"),
    Amplifier("[61:120,1:80]", "[141:160,1:80]", gain=1.4, read_noise=3.1, name="right"),
)
QUADRANTS = tuple(
    Amplifier(
        f"[{x + 1}:{x + 50},{y + 1}:{y + 40}]",
        f"[{101 if x == 0 else 121}:{120 if x == 0 else 140},{y + 1}:{y + 40}]",
        gain=1 + 0.1 * i,
        read_noise=3 + 0.2 * i,
        name=f"q{i}",
    )
    for i, (x, y) in enumerate(((0, 0), (50, 0), (0, 40), (50, 40)))
)
BELOW = (Amplifier("[1:100,35:120]", "[1:100,1:34]", gain=2.45, read_noise=5.0, name="one"),)
LEFT = (Amplifier("[21:100,1:60]", "[1:20,1:60]", gain=0.9, read_noise=4.0, name="one"),)
ABOVE = (
    Amplifier(
        (slice(0, 60), slice(0, 100)), (slice(62, 90), slice(0, 100)), gain=1.7, read_noise=4.4
    ),
)
LAYOUTS = {"two": TWO, "quadrants": QUADRANTS, "below": BELOW, "left": LEFT, "above": ABOVE}
SHAPES = {
    "two": (80, 120),
    "quadrants": (80, 100),
    "below": (86, 100),
    "left": (60, 80),
    "above": (60, 100),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_electrons_come_back_from_every_layout(layout):
    amplifiers, rng = LAYOUTS[layout], np.random.default_rng(1)
    truth = rng.uniform(50, 5000, SHAPES[layout])
    raw = to_raw(truth, amplifiers, rng=rng, bias_level=900)
    found = process_amplifiers(raw, amplifiers)
    assert found.unit == u.electron
    pull = (found.data - truth) / found.uncertainty.array
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    # the variance comes from the count itself, which makes pulls lean by 1 / (2 sigma) at most
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.005


def one_per_hdu():
    """Two amplifiers in HDUs of their own, the second read from the other side."""
    return (
        Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=1.2, read_noise=3.8, name="a"),
        Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=1.4, read_noise=3.1, output="[120:61,1:80]"),
    )


def test_one_frame_per_amplifier_is_put_together_and_flipped():
    rng = np.random.default_rng(2)
    truth = np.linspace(100, 30000, 120) * np.ones((80, 1))
    frames = to_raw(truth, one_per_hdu(), rng=rng, separate=True, bias_level=(900, 1200))
    assert frames[1].data[:, 0].mean() > frames[1].data[:, 59].mean()
    found = process_amplifiers(frames, one_per_hdu())
    pull = (found.data - truth) / found.uncertainty.array
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.005
    with pytest.raises(ValueError, match="1 frames were given for 2 amplifiers"):
        process_amplifiers(frames[:1], one_per_hdu())


def test_amplifiers_of_different_level_and_gain_leave_no_seam():
    seams = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drift = [2 * np.sin(np.arange(80) / 25), -3 * np.arange(80) / 80]
        raw = to_raw(np.full((80, 120), 400.0), TWO, rng=rng, bias_level=(900, 1300), drift=drift)
        found = process_amplifiers(raw, TWO)
        seam = found.data[:, 40:60].mean() - found.data[:, 60:80].mean()
        seams.append(seam / found.uncertainty.array.mean())
    # 1600 pixels on either side, and two levels from 1600 overscan pixels each
    expected = np.sqrt(2 / 1600) * np.hypot(1, 3.8 / np.sqrt(416))
    assert np.sqrt(np.mean(np.square(seams))) < expected * (1 + 4 / np.sqrt(2 * 10))


def test_uncertainty_is_never_nan_and_negative_pixels_have_read_noise():
    rng = np.random.default_rng(3)
    raw = to_raw(np.zeros((80, 120)), TWO, rng=rng)
    raw = CCDData(raw.data.astype(float), unit=u.adu)
    raw.data[5, 5] = np.nan
    found = process_amplifiers(raw, TWO)
    assert np.isfinite(found.uncertainty.array).all()
    assert found.mask[5, 5]
    assert found.mask.sum() == 1
    negative = found.data[:, :60] < 0
    sigma = found.uncertainty.array[:, :60][negative]
    # read noise, and the error of the level: at most that of one row, at least that of all
    assert np.all(sigma >= 3.8)
    assert np.all(sigma < np.hypot(3.8, 4.0 / np.sqrt(20)))


def test_the_error_of_the_level_is_in_the_uncertainty():
    rng = np.random.default_rng(4)
    raw = to_raw(np.zeros((80, 120)), TWO, rng=rng)
    rows = process_amplifiers(raw, TWO, overscan="rows").uncertainty.array[:, :60].min()
    noise = overscan_statistics(raw, TWO)["read_noise"][0].value
    assert rows == pytest.approx(np.hypot(3.8, noise / np.sqrt(20)), rel=0.02)


def test_without_overscan_the_bias_takes_the_level_and_adds_no_photon_noise():
    amplifiers = [Amplifier("[1:100,1:80]", gain=2.0, read_noise=6.0, name="one")]
    rng = np.random.default_rng(5)
    biases = [simulate_bias(amplifiers, rng=rng, bias_level=900) for _ in range(9)]
    bias = combine_frames([to_electrons(b, amplifiers, light=False) for b in biases])
    assert bias.data.mean() == pytest.approx(1800, abs=4 * 6 / np.sqrt(9 * 8000))
    truth = np.full((80, 100), 200.0)
    found = process_amplifiers(
        to_raw(truth, amplifiers, rng=rng, bias_level=900), amplifiers, bias=bias
    )
    pull = (found.data - truth) / found.uncertainty.array
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.005


def test_bias_frames_know_their_own_noise():
    amplifiers = [Amplifier("[1:100,1:80]", gain=2.0, read_noise=6.0, name="one")]
    rng = np.random.default_rng(5)
    biases = [simulate_bias(amplifiers, rng=rng, bias_level=900) for _ in range(9)]
    bias = combine_frames([to_electrons(b, amplifiers, light=False) for b in biases])
    assert bias.uncertainty.array.mean() == pytest.approx(6 / np.sqrt(9), rel=0.01)
    assert bias.data.std() == pytest.approx(6 / np.sqrt(9), rel=4 / np.sqrt(2 * 8000) + 0.01)


def test_what_was_measured_is_in_the_header_and_the_table():
    raw = to_raw(np.zeros((80, 120)), TWO, rng=np.random.default_rng(6), bias_level=(900, 1300))
    table = overscan_statistics(raw, TWO)
    meta = process_amplifiers(raw, TWO).meta
    assert list(table["name"]) == ["left", "right"]
    assert abs(table["level"][1].value - 1300) < 5 * table["level_uncertainty"][1].value
    assert meta["AMPLVL2"] == pytest.approx(table["level"][1].value)
    assert (meta["AMPNAM1"], meta["OVERSCAN"], meta["TRIMX0"]) == ("left", "auto", 0)


def test_flags_and_mask_stay_with_their_pixels():
    raw = to_raw(np.full((60, 80), 1e3), LEFT, rng=np.random.default_rng(7))
    raw.data[10, 50] = 65535
    found = to_electrons(raw, LEFT, saturation=65535, bad_sections=["[21:22,1:60]"])
    assert found.mask[10, 30]
    assert found.flags[10, 30] == 4
    assert np.all(found.flags[:, :2] == 1)
    assert found.mask.sum() == 121


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (("[1:60,1:80]", "[60:120,1:80]"), "overlap"),
        (("[1:60,1:80]", "[62:120,1:80]"), "leave a gap"),
        (("[1:60,1:80]", "[61:120,1:79]"), "leave a gap"),
        (("[1:60,1:80]", "[61:220,1:80]"), "outside the frame"),
    ],
)
def test_sections_that_do_not_fit_together_are_refused(sections, words):
    amplifiers = [
        Amplifier(section, gain=1.0, read_noise=3.0, name=f"a{i}")
        for i, section in enumerate(sections)
    ]
    raw = CCDData(np.full((80, 160), 1000, np.uint16), unit=u.adu)
    with pytest.raises(ValueError, match=words):
        process_amplifiers(raw, amplifiers)


GAPS = (
    Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=1.2, read_noise=3.8, name="a"),
    Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=1.4, read_noise=3.1, name="b",
              output="[127:68,1:80]", gap="[61:67,1:80]"),
    Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=1.3, read_noise=3.3, name="c",
              output="[132:191,1:80]", gap=(slice(0, 80), slice(127, 131))),
)  # fmt: skip


@pytest.mark.parametrize("has_bias", [False, True])
def test_a_gap_that_is_named_keeps_its_place_and_is_masked(has_bias):
    rng = np.random.default_rng(4)
    truth = np.linspace(100, 20000, 191) * np.ones((80, 1))
    frames = to_raw(truth, GAPS, rng=rng, separate=True)
    bias = None
    if has_bias:
        dark = to_raw(np.zeros_like(truth), GAPS, rng=rng, separate=True)
        bias = process_amplifiers(dark, GAPS, light=False)
    found = process_amplifiers(frames, GAPS, bias=bias)
    inside = np.zeros((80, 191), bool)
    inside[:, 60:67] = inside[:, 127:131] = True
    assert np.array_equal(found.mask, inside)
    assert np.array_equal(gap_mask(GAPS), inside)
    assert np.all(found.data[inside] == 0)
    assert np.allclose(found.uncertainty.array[:, 60:67], 3.1)
    assert np.allclose(found.uncertainty.array[:, 127:131], 3.3)
    pull = ((found.data - truth) / found.uncertainty.array)[~inside]
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.005
    assert process_amplifiers(frames, GAPS, uncertainty=False).mask.sum() == inside.sum()
    assert gap_mask(GAPS[0]) is None


def test_a_gap_that_is_not_one_is_refused():
    first, second, third = GAPS
    with pytest.raises(ValueError, match="leave a gap: they cover 14960 of the 15280"):
        gap_mask([first, second, replace(third, gap=None)])
    with pytest.raises(ValueError, match="gaps of amplifiers 'a' and 'b' overlap"):
        gap_mask([first, replace(second, gap="[60:67,1:80]"), third])


def test_a_wrong_unit_is_refused():
    raw = CCDData(np.ones((80, 160)), unit=u.electron)
    with pytest.raises(u.UnitTypeError, match="in adu, but this one is in electron"):
        process_amplifiers(raw, TWO)
    raw = CCDData(np.ones((80, 160)), unit=u.adu)
    with pytest.raises(u.UnitTypeError, match="bias must be in electron"):
        process_amplifiers(raw, TWO, bias=CCDData(np.ones((80, 120)), unit=u.adu))


def test_a_bias_made_otherwise_is_refused():
    rng = np.random.default_rng(8)
    raw = to_raw(np.zeros((80, 120)), TWO, rng=rng)
    kept = process_amplifiers(raw, TWO, overscan=None)
    with pytest.raises(ValueError, match="made with overscan 'none'"):
        process_amplifiers(raw, TWO, bias=kept)
    other = [TWO[0].with_noise(gain=2.0), TWO[1]]
    with pytest.raises(ValueError, match="made with a gain of 2 for amplifier 'left'"):
        process_amplifiers(raw, TWO, bias=process_amplifiers(raw, other))


def test_no_read_noise_and_no_overscan_is_refused():
    amplifiers = [Amplifier("[1:100,1:80]", gain=2.0, name="one")]
    raw = CCDData(np.full((80, 100), 1000, np.uint16), unit=u.adu)
    with pytest.raises(ValueError, match="'one' has no read noise and no overscan"):
        process_amplifiers(raw, amplifiers)
    assert process_amplifiers(raw, amplifiers, uncertainty=False).uncertainty is None


def test_an_overscan_that_is_lit_is_refused():
    rng = np.random.default_rng(9)
    light = np.linspace(100, 30000, 60)[:, None] * np.ones((1, 80))
    raw = to_raw(light, LEFT, rng=rng)
    glow = 0.03 * light[:, :1] * np.exp(-np.arange(20)[::-1] / 12)
    raw.data[:, :20] += rng.poisson(glow).astype(np.uint16)
    with pytest.raises(LitOverscanError, match=r"\[1:20,1:60\] of amplifier 'one' seems lit"):
        process_amplifiers(raw, LEFT)
    honest = to_raw(light, LEFT, rng=rng, drift=15 * light[:, 0] / 30000)
    process_amplifiers(honest, LEFT)  # electronics that answer with 5e-4 of the light may


@pytest.mark.parametrize(
    ("light", "words"),
    [
        (np.full((60, 1), 4000.0) * np.ones((1, 20)), "its noise is"),
        (np.linspace(0, 600, 60)[:, None] * np.ones((1, 20)), "follows the data"),
        (np.full((60, 1), 300.0) * np.exp(-np.arange(20)[::-1] / 5), "differ by"),
    ],
    ids=["evenly", "as the data are", "from one side"],
)
def test_light_in_an_overscan_is_seen_in_three_ways(light, words):
    rng = np.random.default_rng(11)
    raw = to_raw(np.linspace(100, 20000, 60)[:, None] * np.ones((1, 80)), LEFT, rng=rng)
    raw.data[:, :20] += rng.poisson(light).astype(np.uint16)
    with pytest.raises(LitOverscanError, match=f"seems lit: .*{words}.*Choose pixels that no"):
        process_amplifiers(raw, LEFT)


def test_an_amplifier_that_the_headers_do_not_know_is_named():
    header = fits.Header({"DATASEC1": "[1:60,1:80]", "GAIN1": 1.2})
    with pytest.raises(KeyError, match=r"no card 'BIASSEC1' for the overscan section.*name a keyw"):
        Amplifier.from_header(header, data="DATASEC1", overscan="BIASSEC1", gain="GAIN1", name="1")
    header["BIASSEC1"] = "[61:1,1:80]"
    with pytest.raises(ValueError, match=r"overscan section of amplifier '1'.*runs backward: give"):
        Amplifier.from_header(header, data="DATASEC1", overscan="BIASSEC1", gain="GAIN1", name="1")


def test_a_dark_without_the_exposure_time_of_the_frame_is_refused():
    raw = to_raw(np.zeros((80, 120)), TWO, rng=np.random.default_rng(12))
    rate = np.ones((80, 120)) * u.electron / u.s
    with pytest.raises(ValueError, match="give the frame's exposure_time"):
        to_electrons(raw, TWO, dark=DarkCurrent(rate, rate))


def test_the_input_stays_as_it_was():
    raw = to_raw(np.full((80, 120), 50.0), TWO, rng=np.random.default_rng(10))
    before, meta = raw.data.copy(), dict(raw.meta)
    process_amplifiers(raw, TWO)
    assert np.array_equal(raw.data, before)
    assert dict(raw.meta) == meta


@pytest.mark.parametrize(
    ("night", "amplifiers", "biases"),
    [
        (
            "lick_kast_blue_2015",
            (
                Amplifier("[1:1024,1:350]", "[2049:2080,1:350]", gain=1.21, name="1"),
                Amplifier("[1025:2048,1:350]", "[2081:2112,1:350]", gain=1.25, name="2"),
            ),
            ("b21", "b22", "b23"),
        ),
        (
            "soar_goodman_2018",
            (Amplifier("[9:2055,2:200]", "[2059:2071,2:200]", gain=1.4, name="1"),),
            ("0194_Zero_ZZCeti", "0195_Zero_ZZCeti", "0196_Zero_ZZCeti"),
        ),
    ],
)
def test_real_biases_are_zero_within_their_noise(real_data, night, amplifiers, biases):
    frames = [
        CCDData(fits.getdata(real_data / night / f"{name}.fits.gz"), unit=u.adu) for name in biases
    ]
    noises = overscan_statistics(frames[0], amplifiers)["read_noise"]
    for frame in frames:
        found = process_amplifiers(frame, amplifiers)
        # bias and overscan may differ by an adu or two, and the noise must be the overscan's
        assert abs(np.median(found.data)) < 3
        scatter = 1.4826 * np.median(np.abs(found.data - np.median(found.data)))
        assert scatter == pytest.approx(noises.value.mean(), rel=0.1)
