"""Tests of what the pictures show."""

import numpy as np
import pytest

from slitlapse.sky import SplineSky, residual_baseline, supersampled_median
from slitlapse.sky.explain import (
    plot_baseline,
    plot_effective_pixel,
    plot_sky_subtraction,
    plot_supersampled,
)
from slitlapse.sky.simulate import LineShape, sky_scene

SHAPE = (150, 300)


@pytest.fixture(scope="module")
def scene():
    return sky_scene(
        SHAPE, rng=np.random.default_rng(1), rows=(75,), fluxes=(1e4,), n_lines=15,
        line_shape=LineShape(6.0, 1.5, 0.5, SHAPE),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(scene):
    return scene.observe(np.random.default_rng(2))[0]


@pytest.fixture(scope="module")
def sky(scene, data):
    far = scene.far_from_stars(20)
    return SplineSky(data, scene.effective_pixel, sky_pixels=far, read_noise=4.5)


def test_science_sky_and_difference_are_drawn_with_windows_and_star(scene, data, sky):
    axes = plot_sky_subtraction(data, sky, scene.far_from_stars(20), traces=[scene.traces[0]])
    assert [ax.get_title() for ax in axes] == ["science", "sky", "science - sky"]
    shown = [ax.images[0].get_array() for ax in axes]
    np.testing.assert_allclose(shown[0], data)
    np.testing.assert_allclose(shown[2].filled(0), (shown[0] - shown[1]).filled(0))
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim()
    for ax in axes:
        np.testing.assert_allclose(ax.lines[0].get_ydata(), scene.traces[0])
        assert ax.collections  # the outline of the windows
    low, high = axes[2].images[0].get_clim()
    assert low == -high
    assert high < 0.2 * axes[0].images[0].get_clim()[1]


def test_a_plain_array_can_be_the_sky(data):
    import matplotlib.pyplot as plt

    axes = plt.figure().subplots(1, 3)
    assert plot_sky_subtraction(data, np.zeros(SHAPE), axes=axes) is not None
    np.testing.assert_allclose(axes[2].images[0].get_array(), data)


def test_a_star_that_does_not_wander_is_marked_by_a_number(data):
    axes = plot_sky_subtraction(data, np.zeros(SHAPE), traces=[12.0])
    np.testing.assert_array_equal(axes[2].lines[0].get_ydata(), np.full(SHAPE[1], 12.0))


def test_the_map_of_effective_pixels_shows_the_displacement(scene):
    ax = plot_effective_pixel(scene.effective_pixel, cmap="viridis")
    shown = ax.images[0].get_array()
    np.testing.assert_allclose(shown, scene.effective_pixel - np.arange(SHAPE[1]))
    assert ax.images[0].get_cmap().name == "viridis"
    assert ax.collections


def test_the_supersampled_sky_is_drawn_before_and_after_rejection(sky):
    axes = plot_supersampled(sky, around=150.0, reach=10)
    everything, rejected = axes[0].lines
    kept, model = axes[1].lines
    assert kept.get_xdata().size + rejected.get_xdata().size == everything.get_xdata().size
    assert np.all(np.abs(everything.get_xdata() - 150) < 10)
    pulls = axes[2].lines[0].get_ydata()
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)
    np.testing.assert_array_equal(kept.get_xdata(), model.get_xdata())
    brightest = plot_supersampled(sky)
    assert brightest[1].lines[1].get_ydata().max() == sky.fit.model[sky.fit.used].max()


def test_the_base_line_is_drawn_for_each_side(scene, sky):
    table = residual_baseline(
        sky.sub_image().flux.value, scene.variance, [scene.traces[0]], inner=22, outer=40
    )
    ax = plot_baseline(table, bins=30)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(labels) == 2
    assert labels[0].startswith("star 0 below")
    assert ax.lines[0].get_xdata().size == 30


def test_a_running_median_is_drawn_with_all_its_pixels():
    y, x = np.mgrid[:60, :200]
    effective = x - 0.05 * y
    image = np.random.default_rng(1).normal(100 + effective, 5.0)
    sky = supersampled_median(image, effective, np.abs(y - 30) > 8)
    axes = plot_supersampled(sky, around=100.0, reach=10.0)
    position, flux = axes[0].lines[0].get_data()
    near = np.abs(sky.effective_pixel - 100.0) < 10.0
    np.testing.assert_array_equal(position, sky.effective_pixel[near])
    np.testing.assert_array_equal(flux, sky.flux[near])
    np.testing.assert_array_equal(axes[1].lines[1].get_ydata(), sky.smooth[near])
    assert "electron" in axes[2].get_ylabel()
