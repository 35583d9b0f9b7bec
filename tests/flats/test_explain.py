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
