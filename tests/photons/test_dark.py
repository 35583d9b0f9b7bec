"""Dark current per second."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.photons import Amplifier, combine_frames, simulate_bias, simulate_dark, to_electrons
from slitlapse.photons.dark import DarkCurrent


def test_the_dark_we_put_in_comes_back_per_second_with_its_hot_pixels():
    rng = np.random.default_rng(1)
    truth = np.full((50, 60), 0.05)
    truth[10, 20] = 30.0
    counts = np.mean([rng.poisson(truth * 600) for _ in range(5)], axis=0)
    error = np.sqrt(np.maximum(truth * 600, 1) / 5)
    master = CCDData(counts, unit=u.electron, uncertainty=StdDevUncertainty(error))
    dark = DarkCurrent.from_master(master, 600 * u.s)
    assert np.argwhere(dark.hot).tolist() == [[10, 20]]
    pull = (dark.rate.value - truth) / dark.uncertainty.value
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size)
    assert dark.expected(2 * u.min)[10, 20].value == pytest.approx(30 * 120, rel=0.1)


def test_raw_biases_and_darks_give_back_the_dark_current_they_were_made_with():
    amplifiers = [Amplifier("[1:90,1:70]", gain=1.3, read_noise=4.0, name="one")]
    rng, unit = np.random.default_rng(2), u.electron / u.s
    rate = np.full((70, 90), 0.2)
    rate[rng.uniform(size=rate.shape) < 0.005] = 5.0
    truth = DarkCurrent(rate * unit, 0 * rate * unit)
    pattern = rng.normal(0, 6, rate.shape)
    options = {"rng": rng, "bias_pattern": pattern, "bias_level": 800}
    biases = [simulate_bias(amplifiers, **options) for _ in range(12)]
    bias = combine_frames([to_electrons(b, amplifiers, light=False) for b in biases])
    darks = [simulate_dark(truth, 300 * u.s, amplifiers, **options) for _ in range(9)]
    master = combine_frames([to_electrons(d, amplifiers, bias=bias) for d in darks])
    found = DarkCurrent.from_master(master, 300 * u.s)
    assert np.array_equal(found.hot, rate > 1)
    # the error of the bias is the same in all darks: their mean does not make it smaller
    share = np.hypot(1, bias.uncertainty.array / master.uncertainty.array)
    pull = (found.rate.value - rate) / found.uncertainty.value / share
    assert abs(pull.std() - 1) < 0.1
    assert abs(np.mean(found.rate.value - rate)) < 4 * 4 / np.sqrt(12 * rate.size) / 300 + 1e-3


def test_wrong_units_are_refused():
    adu = CCDData(np.ones((2, 2)), unit=u.adu)
    with pytest.raises(u.UnitTypeError, match="must be in electron"):
        DarkCurrent.from_master(adu, 1 * u.s)
    rate = np.ones((2, 2)) * u.electron / u.s
    with pytest.raises(u.UnitTypeError, match="must be in electron"):
        DarkCurrent(rate, rate).subtract_from(adu, 1 * u.s)


def test_subtracting_scales_with_time_and_adds_its_error():
    shape = (4, 5)
    unit = u.electron / u.s
    dark = DarkCurrent(np.full(shape, 0.1) * unit, np.full(shape, 0.02) * unit, temperature=-100)
    frame = CCDData(
        np.full(shape, 50.0), unit=u.electron, uncertainty=StdDevUncertainty(np.full(shape, 3.0))
    )
    found = dark.subtract_from(frame, 2 * u.min, temperature=-100.5)
    assert np.allclose(found.data, 50 - 12)
    assert np.allclose(found.uncertainty.array, np.hypot(3, 2.4))
    with pytest.raises(ValueError, match="taken at -100 degrees, this frame at -80"):
        dark.subtract_from(frame, 2 * u.min, temperature=-80)


def test_a_dark_needs_a_time_an_error_and_the_size_of_the_frame():
    plain = CCDData(np.ones((4, 5)), unit=u.electron)
    good = CCDData(plain.data, unit=u.electron, uncertainty=StdDevUncertainty(plain.data))
    with pytest.raises(ValueError, match=r"exposure time is 0\.0 s; it must be positive"):
        DarkCurrent.from_master(good, 0 * u.s)
    with pytest.raises(u.UnitConversionError):
        DarkCurrent.from_master(good, 5 * u.adu)
    with pytest.raises(ValueError, match="has no uncertainty: combine frames that have one"):
        DarkCurrent.from_master(plain, 5 * u.s)
    other = CCDData(np.ones((4, 6)), unit=u.electron)
    with pytest.raises(ValueError, match=r"\(4, 5\) pixels.*\(4, 6\): use darks of the same"):
        DarkCurrent.from_master(good, 5 * u.s).subtract_from(other, 5 * u.s)


def test_the_histogram_marks_hot_pixels():
    rate = np.full((10, 10), 0.1)
    rate[2, 3] = 9
    unit = u.electron / u.s
    ax = DarkCurrent(rate * unit, 0.01 * rate * unit, hot=rate > 1).plot()
    counts = [sum(bar.get_height() for bar in bars) for bars in ax.containers]
    assert counts == [99, 1]
