"""Dark current per second."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

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


def test_wrong_units_are_refused():
    adu = CCDData(np.ones((2, 2)), unit=u.adu)
    with pytest.raises(u.UnitTypeError, match="must be in electron"):
        DarkCurrent.from_master(adu, 1 * u.s)
    rate = np.ones((2, 2)) * u.electron / u.s
    with pytest.raises(u.UnitTypeError, match="must be in electron"):
        DarkCurrent(rate, rate).subtract_from(adu, 1 * u.s)
