"""Backward: from electrons to the raw frame."""

import numpy as np
import pytest

from slitlapse.photons import Amplifier, process_amplifiers
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


@pytest.mark.parametrize("separate", [False, True])
def test_four_amplifiers_that_read_toward_the_middle_give_back_each_pixel(separate):
    # each corner is read from its own side; on the raw frame all four run the same way
    outputs = ("[1:60,1:40]", "[120:61,1:40]", "[1:60,80:41]", "[120:61,80:41]")
    back = ("[60:1,1:40]", "[61:120,1:40]", "[60:1,80:41]", "[61:120,80:41]")
    rng = np.random.default_rng(5)
    for sections in (outputs, back):
        amplifiers = []
        for i, output in enumerate(sections):
            x = 0 if separate else 80 * (i % 2)
            y = 0 if separate else 40 * (i // 2)
            amplifiers.append(
                Amplifier(
                    f"[{x + 1}:{x + 60},{y + 1}:{y + 40}]",
                    f"[{x + 61}:{x + 80},{y + 1}:{y + 40}]",
                    gain=1.0 + 0.1 * i,
                    read_noise=3.0,
                    name=str(i),
                    output=output,
                ).with_noise(read_noise=3.1)
            )
        truth = rng.uniform(100, 30000, (80, 120))
        raw = to_raw(
            truth, amplifiers, rng=rng, separate=separate, bias_level=(900, 1000, 1100, 950)
        )
        found = process_amplifiers(raw, amplifiers)
        pull = (found.data - truth) / found.uncertainty.array
        assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
        # a variance from the count itself makes pulls lean by 1 / (2 sigma) at most
        assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.005
