"""Backward: from electrons to the raw frame."""

import numpy as np
import pytest

from slitlapse.photons import Amplifier
from slitlapse.photons.simulate import simulate_bias, to_raw

ONE = (Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=2.0, read_noise=4.0, name="one"),)


def test_a_bias_has_the_level_and_the_noise():
    raw = simulate_bias(ONE, rng=np.random.default_rng(1), bias_level=500).data
    sigma = np.hypot(4.0 / 2.0, 1 / np.sqrt(12))
    assert abs(raw.mean() - 500) < 4 * sigma / np.sqrt(raw.size)
    assert abs(raw.std() - sigma) < 4 * sigma / np.sqrt(2 * raw.size)


def test_light_stays_out_of_the_overscan_and_saturates():
    raw = to_raw(np.full((80, 60), 1e6), ONE, rng=np.random.default_rng(1), saturation=60000).data
    assert np.all(raw[:, :60] == 60000)
    assert abs(raw[:, 60:].mean() - 1000) < 1
    assert raw.dtype == np.uint16


def test_a_converter_of_18_bits_fills_32():
    raw = to_raw(np.full((80, 60), 1e6), ONE, rng=np.random.default_rng(1), saturation=262143).data
    assert raw.dtype == np.uint32 and raw.max() == 262143


def test_an_image_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="span"):
        to_raw(np.ones((3, 4)), ONE, rng=np.random.default_rng(1))
