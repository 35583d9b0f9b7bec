"""One flat of a set saturated or of another lamp is named, and a lamp that warms up is not."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.flats import make_lamp_image
from slitlapse.flats.odd_flats import find_odd_flats

SHAPE = (60, 400)
COLOUR = np.linspace(-1, 1, SHAPE[1])


def flat(rng, *, level=1.0, lamp=None, mask=None):
    """One flat of some 20000 electrons."""
    lamp = make_lamp_image(SHAPE, peak=20000) if lamp is None else lamp
    return CCDData(rng.poisson(level * lamp).astype(float), unit=u.electron, mask=mask)


@pytest.mark.parametrize("n_flats", [1, 2, 5])
def test_flats_of_one_lamp_belong_together_whatever_their_level(n_flats):
    rng = np.random.default_rng(1)
    lamp = make_lamp_image(SHAPE, peak=20000)
    levels, colours = np.linspace(0.3, 1, n_flats), np.linspace(0, 0.05, n_flats)
    flats = [
        flat(rng, level=level, lamp=lamp * (1 + colour * COLOUR))
        for level, colour in zip(levels, colours, strict=True)
    ]
    assert find_odd_flats(flats) == {}


def test_the_one_of_another_lamp_is_named():
    rng = np.random.default_rng(2)
    lamp = make_lamp_image(SHAPE, peak=20000)
    flats = [flat(rng), flat(rng), flat(rng, lamp=lamp * (1 - 0.6 * COLOUR)), flat(rng)]
    reasons = find_odd_flats([lambda each=each: each for each in flats])
    assert list(reasons) == [2]
    assert "another lamp?" in reasons[2]


def test_of_two_that_differ_both_are_named():
    rng = np.random.default_rng(3)
    lamp = make_lamp_image(SHAPE, peak=20000)
    assert list(find_odd_flats([flat(rng), flat(rng, lamp=lamp * (1 - 0.6 * COLOUR))])) == [0, 1]


def test_the_saturated_one_is_named_and_does_not_make_the_others_odd():
    rng = np.random.default_rng(4)
    saturated = np.zeros(SHAPE, bool)
    saturated[:, 250:] = True
    flats = [flat(rng, mask=np.zeros(SHAPE, bool)), flat(rng, mask=saturated)]
    reasons = find_odd_flats(flats)
    assert list(reasons) == [1]
    assert reasons[1].startswith("38 % of its pixels are masked")


def test_an_unlit_blue_end_of_nothing_but_noise_does_not_count():
    rng = np.random.default_rng(5)
    lamp = make_lamp_image(SHAPE, peak=20000, blue_end=1e-4)
    lamp[:, :150] = 0
    flats = [
        CCDData(flat(rng, lamp=lamp).data + rng.normal(0, 5, SHAPE), unit="electron") for _ in "abc"
    ]
    assert find_odd_flats(flats) == {}
