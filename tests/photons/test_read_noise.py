"""Read noise, measured on frames that saw no light."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.photons import Amplifier, simulate_bias
from slitlapse.photons.read_noise import ReadNoise, ReadNoiseWarning, measure_read_noise

AMPLIFIERS = (
    Amplifier("[1:60,1:80]", "[121:140,1:80]", gain=1.2, read_noise=3.8, name="left"),
    Amplifier("[61:120,1:80]", "[141:160,1:80]", gain=1.4, read_noise=3.1, name="right"),
)


@pytest.mark.parametrize("n_frames", [2, 5])
def test_we_get_back_the_noise_we_put_in_with_an_honest_error(n_frames):
    pulls = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        biases = [simulate_bias(AMPLIFIERS, rng=rng) for _ in range(n_frames)]
        for found, amplifier in zip(
            measure_read_noise(biases, AMPLIFIERS), AMPLIFIERS, strict=True
        ):
            step = amplifier.gain.value / np.sqrt(12)  # rounding to integers adds its own
            truth = np.hypot(amplifier.read_noise.value, step)
            assert abs(found.sigma.value / truth - 1) < 0.03
            pulls.append((found.sigma.value - truth) / found.uncertainty.value)
    n = len(pulls)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)


def test_a_wrong_statement_is_warned_about():
    rng = np.random.default_rng(1)
    biases = [simulate_bias(AMPLIFIERS, rng=rng) for _ in range(3)]
    claimed = [AMPLIFIERS[0].with_noise(read_noise=5.0)]
    with pytest.warns(ReadNoiseWarning, match=r"5 electron is stated.*show 3\.8"):
        measure_read_noise(biases, claimed)


def test_one_frame_is_refused():
    with pytest.raises(ValueError, match="at least 2 bias frames, but got 1"):
        measure_read_noise([CCDData(np.ones((80, 160)), unit=u.adu)], AMPLIFIERS)


def test_a_statement_within_a_tenth_is_left_alone():
    rng = np.random.default_rng(1)
    biases = [simulate_bias(AMPLIFIERS, rng=rng) for _ in range(3)]
    measure_read_noise(biases, [AMPLIFIERS[0].with_noise(read_noise=3.8 * 1.07)])


def test_biases_in_electrons_or_of_another_size_are_refused():
    bias = CCDData(np.ones((80, 160)), unit=u.adu)
    with pytest.raises(u.UnitTypeError, match="must be raw, in adu, but one is in electron"):
        measure_read_noise([bias, CCDData(bias.data, unit=u.electron)], AMPLIFIERS)
    with pytest.raises(ValueError, match=r"different sizes.*measure each binning by itself"):
        measure_read_noise([bias, CCDData(np.ones((40, 160)), unit=u.adu)], AMPLIFIERS)


def test_a_hit_and_a_masked_pixel_do_not_count():
    rng = np.random.default_rng(3)
    biases = [simulate_bias(AMPLIFIERS, rng=rng) for _ in range(4)]
    clean = [noise.sigma.value for noise in measure_read_noise(biases, AMPLIFIERS)]
    biases[1].data[10, 10] += 5000
    biases[2].data[20, 70:80] = 60000
    biases[2].mask = np.zeros(biases[2].data.shape, bool)
    biases[2].mask[20, 70:80] = True
    again = [noise.sigma.value for noise in measure_read_noise(biases, AMPLIFIERS)]
    assert np.allclose(again, clean, rtol=5e-3)


def test_the_histogram_stands_under_its_gaussian():
    rng = np.random.default_rng(1)
    noise = ReadNoise(3 * u.electron, 0.1 * u.electron)
    noise = ReadNoise(noise.sigma, noise.uncertainty, "", noise.simulate(20000, rng=rng))
    ax = noise.plot()
    bars = np.array([bar.get_height() for bar in ax.patches])
    curve = ax.lines[0].get_ydata()
    assert abs(curve.max() / bars.max() - 1) < 4 / np.sqrt(bars.max())
