"""A start: the exposure that is like the others, and cosmic rays that are like no star."""

import numpy as np

from slitlapse.wavelength.spectral_shift.joint_fit.first_look import spikes, typical_exposure

X = np.arange(600.0)


def line(centre, light=1e4):
    return light * (1 - 0.5 * np.exp(-0.5 * ((X - centre) / 3) ** 2))


def test_the_typical_exposure_is_the_one_like_the_median():
    flux = np.array([line(300.0, 1e4), line(306.0), line(300.1, 3e4), line(300.2, 2e4)])
    assert typical_exposure(flux, np.ones_like(flux)) == 2


def test_cosmic_rays_are_spikes_and_lines_are_not():
    flux = np.random.default_rng(1).normal([line(300.0), line(200.0)], 100)
    flux[1, [50, 51]] += 5000
    expected = np.zeros(flux.shape, bool)
    expected[1, [50, 51]] = True
    np.testing.assert_array_equal(spikes(flux, np.full(flux.shape, 1e-4)), expected)
