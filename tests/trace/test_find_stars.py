"""Stars on a cut across the slit are found, and only stars."""

import numpy as np
import pytest

from slitlapse.trace import find_stars, star_image

SHAPE = (150, 800)


def noisy(image, seed=0, read_noise=4.0):
    rng = np.random.default_rng(seed)
    return rng.poisson(image) + rng.normal(0, read_noise, image.shape)


def test_two_stars_are_found_brightest_first():
    image = 150 + star_image(SHAPE, 40.3, 2.1, 400.0) + star_image(SHAPE, 97.8, 2.1, 2000.0)
    stars = find_stars(noisy(image))
    assert len(stars) == 2
    assert np.allclose(stars["position"].value, [97.8, 40.3], atol=0.1)
    assert np.allclose(stars["fwhm"].value, 2.1 * 2.3548, rtol=0.15)


def test_an_empty_slit_has_no_star():
    assert sum(len(find_stars(noisy(np.full(SHAPE, 200.0), seed))) for seed in range(20)) == 0


def test_slit_ends_gradients_hot_rows_and_cosmic_rays_are_no_stars():
    rows = np.arange(150)[:, None]
    image = np.where((rows > 12) & (rows < 139), 300 * (1 + 0.002 * rows), 5) * np.ones(SHAPE)
    image = image + star_image(SHAPE, 70.0, 2.0, 500.0)
    image = noisy(image)
    image[100] += 300
    hit = np.random.default_rng(5)
    image[hit.integers(0, 150, 300), hit.integers(0, 800, 300)] += 5000
    stars = find_stars(image)
    assert len(stars) == 1
    assert stars["position"][0].value == pytest.approx(70, abs=0.2)


def test_the_position_of_a_sloped_star_is_that_at_the_middle():
    slope = 70 + np.linspace(-8, 8, 800)
    stars = find_stars(noisy(100 + star_image(SHAPE, slope, 2.0, 1000.0)))
    assert stars["position"][0].value == pytest.approx(70, abs=0.3)
