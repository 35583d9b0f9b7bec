"""A bowed star is followed from the middle to both ends."""

import numpy as np
import pytest

from slitlapse.trace.profile_trace.follow_star import (
    StarNotFoundError,
    _median_of_five,
    follow_star,
)
from slitlapse.trace.simulate import star_image


def test_a_star_bowed_by_120_rows_is_followed():
    x = np.linspace(-1, 1, 1600)
    bowed = 200 + 120 * x**2
    image = 50 + star_image((400, 1600), bowed, 2.0, 500.0)
    image = np.random.default_rng(0).poisson(image) * 1.0
    at, offset, base = follow_star(image, np.ones(image.shape, bool), 200.0, 15.0)
    assert at.size > 55
    assert abs(base[0] + offset - np.interp(at, np.arange(1600), bowed)).max() < 0.5


def test_an_empty_frame_has_nothing_to_follow():
    empty = np.random.default_rng(1).normal(0, 3, (100, 500))
    with pytest.raises(StarNotFoundError):
        follow_star(empty, np.ones(empty.shape, bool), 50.0, 15.0)


def test_the_median_of_five_is_the_median():
    values = np.random.default_rng(2).normal(size=(5, 1000))
    assert np.array_equal(_median_of_five(*values), np.median(values, axis=0))


def test_a_brighter_neighbour_does_not_catch_the_walk():
    x = np.linspace(-1, 1, 1600)
    image = 50 + star_image((120, 1600), 60 + 5 * x, 2.0, 200.0)
    image += star_image((120, 1600), 78 + 5 * x, 2.0, 5000.0)
    image = np.random.default_rng(3).poisson(image) * 1.0
    at, offset, _ = follow_star(image, np.ones(image.shape, bool), 60.0, 15.0)
    assert abs(60 + offset - np.interp(at, np.arange(1600), 60 + 5 * x)).max() < 1


def test_the_wing_of_another_star_is_no_star():
    image = star_image((80, 800), 60.0, 3.0, 1e6, profile="moffat", beta=2.0)
    with pytest.raises(StarNotFoundError, match="but that is no peak to follow"):
        follow_star(image, np.ones(image.shape, bool), 38)
