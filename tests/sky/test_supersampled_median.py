"""Tests of the running median of the super-sampled sky."""

import numpy as np
import pytest

from slitlapse.sky import supersampled_median
from slitlapse.sky.simulate import LineShape, sky_scene


def test_it_follows_tilted_lines_and_ignores_stars_and_hits():
    scene = sky_scene(
        (200, 400), rng=np.random.default_rng(1), rows=(60, 140), gradient=0.0, bow=0.0,
        n_lines=20, sigma=2.5, line_shape=LineShape(6.0, 1.5, 0.5, (200, 400)),
    )  # fmt: skip
    data = scene.observe(np.random.default_rng(2))[0]
    sky = supersampled_median(data, scene.effective_pixel, scene.far_from_stars(25), width=0.25)
    model = sky.evaluate(scene.effective_pixel)
    inner = np.isfinite(model)
    assert inner.mean() > 0.97
    noise = np.sqrt(scene.sky + scene.read_noise**2)
    error = ((model - scene.sky) / noise)[inner]
    # a window holds 0.25 * 115 rows: a median scatters by 1.25 / sqrt(29) = 0.23
    assert error.std() < 0.23 * 1.3


def test_it_is_blind_to_the_illumination_as_its_text_says():
    y, x = np.mgrid[:100, :200].astype(float)
    image = 1000 * (1 + 0.1 * (y / 100 - 0.5))
    sky = supersampled_median(image, x + 0.02 * y, np.ones(image.shape, dtype=bool))
    error = sky.evaluate(x + 0.02 * y) - image
    assert 40 < np.nanmax(np.abs(error)) < 60


def test_beyond_the_sky_pixels_nothing_is_known():
    y, x = np.mgrid[:50, :60].astype(float)
    sky = supersampled_median(x, x + 0.02 * y, np.ones(x.shape, dtype=bool))
    assert np.isnan(sky.evaluate([-1.0, 70.0])).all()
    assert np.all(np.diff(sky.effective_pixel) >= 0)


def test_too_few_pixels_are_refused():
    with pytest.raises(ValueError, match="too few for a median"):
        supersampled_median(np.ones((5, 50)), np.ones((5, 50)), np.ones((5, 50), dtype=bool))
