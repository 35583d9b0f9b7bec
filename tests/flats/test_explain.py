"""Flat, smooth part and sensitivity, side by side."""

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from slitlapse.flats import PixelSensitivity
from slitlapse.flats.explain import plot_flat_steps


def test_the_three_panels_show_flat_light_and_sensitivity():
    ones = np.ones((20, 30))
    sensitivity = PixelSensitivity(0.98 * ones, 0.01 * ones, ones == 0, lamp=1000 * ones)
    axes = plot_flat_steps(CCDData(980 * ones, unit=u.electron), sensitivity)
    shown = [float(ax.images[0].get_array().mean()) for ax in axes]
    assert np.allclose(shown, [980, 1000, 0.98])


def test_a_large_flat_is_drawn_in_blocks_with_the_same_means():
    rng = np.random.default_rng(3)
    lamp = np.full((120, 300), 1000.0)
    sensitivity = PixelSensitivity(
        rng.normal(1, 0.02, lamp.shape), 0.01 * lamp, lamp < 0, lamp=lamp
    )
    flat = CCDData(lamp * sensitivity.sensitivity, unit=u.electron)
    axes = plot_flat_steps(flat, sensitivity, most_pixels=100)
    shown = axes[0].images[0].get_array()
    assert shown.shape == (60, 100)
    assert np.allclose(shown, flat.data.reshape(60, 2, 100, 3).mean(axis=(1, 3)))


def test_pictures_reach_four_standard_deviations_to_either_side():
    noisy = np.random.default_rng(4).normal(1, 0.02, (200, 200))
    low, high = PixelSensitivity(noisy, 0 * noisy, noisy < 0, lamp=noisy).usual_range
    # a standard deviation from the median of 40000 values is known to 0.6 per cent
    assert np.allclose([low, high], [0.92, 1.08], atol=4 * 0.006 * 0.08)
