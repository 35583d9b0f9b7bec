"""Gain, measured by photon transfer."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.photons import Amplifier, simulate_bias, simulate_flat
from slitlapse.photons.gain import GainWarning, measure_gain

AMPLIFIERS = (
    Amplifier("[1:100,1:100]", "[201:220,1:100]", gain=1.2, read_noise=3.8, name="left"),
    Amplifier("[101:200,1:100]", "[221:240,1:100]", gain=1.4, read_noise=3.1, name="right"),
)
LAMP = np.tile(np.linspace(300, 20000, 100)[:, None], (1, 200))


@pytest.mark.parametrize("with_bias", [False, True])
def test_we_get_back_the_gain_we_put_in_with_an_honest_error(with_bias):
    pulls, errors = [], []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        flats = [simulate_flat(LAMP * f, AMPLIFIERS, rng=rng) for f in (1, 0.97, 0.8, 0.82)]
        biases = [simulate_bias(AMPLIFIERS, rng=rng) for _ in range(3)] if with_bias else None
        for found, amplifier in zip(
            measure_gain(flats, AMPLIFIERS, biases=biases), AMPLIFIERS, strict=True
        ):
            errors.append(found.value / amplifier.gain - 1)
            pulls.append(((found.value - amplifier.gain) / found.uncertainty).value)
    n = len(pulls)
    assert np.sqrt(np.mean(np.square(errors))) < 0.03
    assert abs(np.mean(pulls)) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)


def test_a_wrong_statement_is_warned_about():
    rng = np.random.default_rng(1)
    flats = [simulate_flat(LAMP, AMPLIFIERS, rng=rng) for _ in range(2)]
    with pytest.warns(GainWarning, match=r"gain of 2 .* is stated"):
        measure_gain(flats, [AMPLIFIERS[0].with_noise(gain=2.0)])


def test_an_odd_number_of_flats_is_refused():
    with pytest.raises(ValueError, match="pairs of flats, but got 1"):
        measure_gain([simulate_flat(LAMP, AMPLIFIERS, rng=np.random.default_rng(1))], AMPLIFIERS)


def test_a_statement_within_a_tenth_is_left_alone():
    rng = np.random.default_rng(2)
    flats = [simulate_flat(LAMP, AMPLIFIERS, rng=rng) for _ in range(2)]
    stated = [AMPLIFIERS[0].with_noise(gain=1.2 * 1.06)]
    found = measure_gain(flats, stated)[0]
    assert abs(found.value.value / 1.2 - 1) < 0.04


def test_frames_in_electrons_or_of_another_size_are_refused():
    flat = simulate_flat(LAMP, AMPLIFIERS, rng=np.random.default_rng(1))
    electrons = CCDData(flat.data, unit=u.electron)
    with pytest.raises(u.UnitTypeError, match="needs raw frames, in adu, not electron"):
        measure_gain([flat, electrons], AMPLIFIERS)
    binned = CCDData(flat.data[:50], unit=u.adu)
    with pytest.raises(ValueError, match=r"\(100, 240\) and \(50, 240\); measure each binning"):
        measure_gain([flat, binned], AMPLIFIERS)


def test_flats_without_light_or_without_a_level_are_refused():
    rng = np.random.default_rng(1)
    dark = [simulate_bias(AMPLIFIERS, rng=rng) for _ in range(4)]
    with pytest.raises(ValueError, match="'left' hold too little light, or range of it"):
        measure_gain(dark, AMPLIFIERS)
    even = [simulate_flat(np.full(LAMP.shape, 9e3), AMPLIFIERS, rng=rng) for _ in range(4)]
    with pytest.raises(ValueError, match="biases with them if the flats are even"):
        measure_gain(even, AMPLIFIERS)
    found = measure_gain(even, AMPLIFIERS, biases=dark)[0]
    assert abs(found.value.value - 1.2) < 4 * found.uncertainty.value
    bare = [Amplifier("[1:100,1:100]", gain=1.2, read_noise=3.8, name="bare")]
    with pytest.raises(ValueError, match=r"'bare' has no overscan.*give bias frames"):
        measure_gain([simulate_flat(LAMP[:, :100], bare, rng=rng) for _ in range(2)], bare)


def test_the_line_of_the_gain_goes_through_the_points():
    rng = np.random.default_rng(3)
    flats = [simulate_flat(LAMP, AMPLIFIERS, rng=rng) for _ in range(2)]
    ax = measure_gain(flats, AMPLIFIERS)[0].plot()
    x, y = ax.lines[0].get_data()
    line = np.interp(x, *ax.lines[-1].get_data())
    # 250 pixels in a bin
    assert abs(np.std(y / line - 1) * np.sqrt(250 / 2) - 1) < 4 / np.sqrt(2 * 40)
