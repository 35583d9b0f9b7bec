"""Gain, measured by photon transfer."""

import numpy as np
import pytest

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
