"""Tests of the tilt from sky lines."""

import numpy as np
import pytest

from slitlapse.sky import SkyTilt, SkyTiltError, SkyTiltWarning, measure_sky_tilt
from slitlapse.sky.simulate import LineShape, sky_scene

SHAPE = (240, 600)


def scene_with(line_shape, seed=3, **options):
    options = {"rows": (80, 160), "n_lines": 35, "line_shape": line_shape, **options}
    return sky_scene(SHAPE, rng=np.random.default_rng(seed), **options)


def error_of(tilt, scene):
    """Return the map's error, less what all rows of a column share (that is no tilt)."""
    error = tilt.effective_pixel() - scene.effective_pixel
    return error - error.mean(axis=0)


@pytest.mark.parametrize(
    "line_shape",
    [
        LineShape(6.0, 1.5, 0.5, SHAPE),
        LineShape(-20.0, 4.0, 1.0, SHAPE),
        LineShape(0.0, 0.0, 0.0, SHAPE),
    ],
    ids=["6 px", "-20 px", "upright"],
)
def test_the_tilt_is_found_without_any_hint(line_shape):
    scene = scene_with(line_shape)
    tilt = measure_sky_tilt(scene.observe(np.random.default_rng(1))[0], scene.far_from_stars(20))
    # 5 standard errors of the coefficients, which add up at the corners
    assert np.abs(error_of(tilt, scene)).max() < 5 * np.sqrt(np.sum(tilt.uncertainty**2))


@pytest.mark.slow
def test_its_uncertainty_is_honest():
    scene = scene_with(LineShape(6.0, 1.5, 0.5, SHAPE), hits=0.0)
    far = scene.far_from_stars(20)
    found = [
        measure_sky_tilt(scene.observe(np.random.default_rng(seed))[0], far) for seed in range(12)
    ]
    scatter = np.std([tilt.coefficients for tilt in found], axis=0, ddof=1)
    ratio = np.sqrt(np.mean((scatter / found[0].uncertainty) ** 2))
    # 4 coefficients with 11 degrees of freedom each; a median of 8 rows is 1.2 times noisier
    assert abs(ratio - 1) < 4 / np.sqrt(2 * 44)


def test_arcs_that_have_moved_are_corrected():
    line_shape = LineShape(6.0, 1.5, 0.5, SHAPE)
    scene = scene_with(line_shape)
    y = np.indices(SHAPE)[0]
    moved = line_shape.image() + 0.4 * (y / 120 - 1)
    data = scene.observe(np.random.default_rng(1))[0]
    tilt = measure_sky_tilt(data, scene.far_from_stars(20), guess=moved)
    assert np.abs(error_of(tilt, scene)).max() < 5 * np.sqrt(np.sum(tilt.uncertainty**2))
    np.testing.assert_allclose(tilt.displacement(), moved - tilt.effective_pixel(), atol=1e-12)


def test_a_tilt_built_by_hand_is_a_polynomial():
    tilt = SkyTilt([[3.0, 0.5], [1.0, 0.0]], [[0.0] * 2] * 2, (101, 51))
    v, w = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(-1, 1, 51), indexing="ij")
    np.testing.assert_allclose(tilt.displacement(), 3 * v + 0.5 * v * w + v**2, atol=1e-12)


def test_a_sky_without_lines_is_refused():
    rng = np.random.default_rng(1)
    data = rng.poisson(100.0, SHAPE) + rng.normal(0, 4, SHAPE)
    with pytest.raises(SkyTiltError, match="Take the tilt from arcs"):
        measure_sky_tilt(data, np.ones(SHAPE, dtype=bool))


def test_a_tilt_that_has_not_settled_is_told():
    scene = scene_with(LineShape(6.0, 1.5, 0.5, SHAPE))
    far = scene.far_from_stars(20)
    with pytest.warns(SkyTiltWarning, match="still moves by"):
        measure_sky_tilt(scene.observe(np.random.default_rng(1))[0], far, maxiters=1)


def test_too_few_rows_are_refused():
    few = np.zeros(SHAPE, dtype=bool)
    few[:20] = True
    with pytest.raises(SkyTiltError, match="blocks of 8 rows"):
        measure_sky_tilt(np.ones(SHAPE), few)
