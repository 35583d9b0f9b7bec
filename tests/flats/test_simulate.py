"""Invented detectors and lamps."""

import numpy as np

from slitlapse.flats.simulate import make_lamp_image, make_sensitivity


def test_a_sensitivity_has_the_scatter_asked_for():
    sensitivity = make_sensitivity((100, 200), rng=np.random.default_rng(1), scatter=0.02)
    n = sensitivity.size
    assert abs(sensitivity.mean() - 1) < 4 * 0.02 / np.sqrt(n)
    assert abs(sensitivity.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * n)


def test_a_lamp_shines_between_the_edges_of_its_slits():
    lamp = make_lamp_image((100, 200), slits=((0.2, 0.4), (0.6, 0.8)), peak=1000)
    assert lamp.max() == 1000
    assert lamp[[0, 50, 99]].max() < 1e-3
    assert lamp[30, 150] > 100
