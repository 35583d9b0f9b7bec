"""The bands of the air are where everybody finds them."""

import numpy as np

from slitlapse.wavelength.telluric_bands import telluric_mask


def test_telluric_bands_are_where_oxygen_and_water_absorb():
    wave = np.array([6000.0, 6870.0, 7000.0, 7600.0, 9300.0, 8700.0])
    np.testing.assert_array_equal(telluric_mask(wave), [False, True, False, True, True, False])
