"""From adu to electrons, amplifier by amplifier."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.photons import Amplifier, to_raw
from slitlapse.photons.process import process_amplifiers

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
LAYOUTS = {"two": TWO, "quadrants": QUADRANTS, "below": BELOW, "left": LEFT}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_electrons_come_back_from_every_layout(layout):
    amplifiers = LAYOUTS[layout]
    rng = np.random.default_rng(1)
    shape = (80, 120) if layout == "two" else (80, 100) if layout == "quadrants" else None
    shape = shape or ((86, 100) if layout == "below" else (60, 80))
    truth = rng.uniform(0, 5000, shape)
    raw = to_raw(truth, amplifiers, rng=rng, bias_level=900)
    found = process_amplifiers(raw, amplifiers)
    assert found.unit == u.electron
    pull = (found.data - truth) / found.uncertainty.array
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    # the estimate of the Poisson variance from the count itself scatters pulls by ~1 %
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.01
