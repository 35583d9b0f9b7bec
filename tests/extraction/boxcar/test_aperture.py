"""Does the sum count what falls into the aperture, wherever its edges lie?"""

import numpy as np
import pytest
from specreduce.extract import BoxcarExtract as UpstreamBoxcar
from specreduce.tracing import ArrayTrace

from slitlapse.extraction import (
    PixelNoise,
    aperture_weights,
    boxcar_sums,
    gaussian_profile,
    optimal_sums,
)
from slitlapse.extraction.simulate import simulate_star, star_profile

FWHM = 2 * np.sqrt(2 * np.log(2))


@pytest.mark.parametrize("family", ["gaussian", "moffat", "double", "asymmetric"])
def test_a_drift_of_one_pixel_changes_nothing(family):
    centre, width = np.linspace(30, 31, 101), np.full(101, 5 / FWHM)
    profile = star_profile(family, np.arange(61)[:, None], centre, width)
    weights = aperture_weights(np.arange(61)[:, None], centre, 2.5 * 5 / 2, profile)
    assert np.ptp((weights * profile).sum(axis=0)) < 50e-6


def test_even_weights_are_those_of_upstream():
    rng = np.random.default_rng(1)
    image = rng.normal(100, 10, (40, 25))
    trace = ArrayTrace(image, rng.uniform(12, 28, 25))
    theirs = UpstreamBoxcar(image, trace, width=9.3)().flux.value
    weights = aperture_weights(np.arange(40)[:, None], trace.trace, 9.3 / 2, None)
    np.testing.assert_allclose((weights * image).sum(axis=0), theirs, rtol=1e-12)


def test_an_aperture_within_one_pixel_is_split_too():
    weights = aperture_weights(np.arange(9)[:, None], np.array([4.1]), 0.25, None)
    np.testing.assert_allclose(weights[:, 0], [0, 0, 0, 0, 0.5, 0, 0, 0, 0])


@pytest.mark.parametrize("flux", [100.0, 1e4, 1e6])
def test_pulls_with_bad_pixels_are_honest(flux):
    n = 6000
    rng = np.random.default_rng(int(flux))
    centre = 15 + 0.8 * np.sin(np.arange(n) / 90)
    star = simulate_star(flux, (31, n), centre, 2.0, rng=rng, sky=40.0, read_noise=5.0)
    mask = rng.random(star.data.shape) < 0.01
    data = np.where(mask, 1e7, star.data)
    noise = PixelNoise(5.0, sky=40.0)
    rows = np.arange(31)[:, None]
    sums = boxcar_sums(data, rows, centre, [3.0, 6.1], star.profile, noise, mask)
    pull = (sums.flux - star.flux * sums.enclosed) / np.sqrt(sums.variance)
    assert np.all(np.abs(pull.mean(axis=1)) < 0.03 + 4 / np.sqrt(n))
    assert np.all(np.abs(pull.std(axis=1) - 1) < 0.03 + 4 / np.sqrt(2 * n))
    inside = (star.profile * mask * (np.abs(rows - centre) < 2.5)).sum(axis=0)
    assert np.all(sums.bad_fraction[0] >= inside)


def test_a_masked_pixel_is_made_up_for_by_the_profile():
    rows, centre, width = np.arange(31)[:, None], np.full(13, 15.3), np.full(13, 2.0)
    profile = gaussian_profile(rows, centre, width)
    mask = np.zeros((31, 13), bool)
    mask[9 + np.arange(13), np.arange(13)] = True
    data = np.where(mask, np.nan, 1e4 * profile)
    kept = data.copy()
    sums = boxcar_sums(data, rows, centre, [6.0], profile, PixelNoise(3.0), mask)
    np.testing.assert_allclose(sums.flux, 1e4 * sums.enclosed, rtol=1e-12)
    np.testing.assert_array_equal(data, kept)
    clean = boxcar_sums(1e4 * profile, rows, centre, [6.0], profile, PixelNoise(3.0))
    struck = sums.bad_fraction[0] > 0.05
    assert np.all(sums.variance[0, struck] > clean.variance[0, struck])


def test_a_column_without_good_pixels_is_not_a_number():
    rows, centre = np.arange(31)[:, None], np.full(3, 15.3)
    profile = gaussian_profile(rows, centre, np.full(3, 2.0))
    mask = np.zeros((31, 3), bool)
    mask[:, 1] = True
    sums = boxcar_sums(profile, rows, centre, [6.0], profile, PixelNoise(3.0), mask)
    np.testing.assert_array_equal(np.isnan(sums.flux[0]), [False, True, False])
    assert sums.bad_fraction[0, 1] == 1


@pytest.mark.parametrize("distance", [5.0, 8.0])
def test_a_neighbour_is_taken_off_and_its_noise_counted(distance):
    n, rows = 6000, np.arange(41)[:, None]
    rng = np.random.default_rng(int(distance))
    centre, width = 18 + 0.8 * np.sin(np.arange(n) / 90), np.full(n, 2.0)
    profiles = np.stack([gaussian_profile(rows, centre + d, width) for d in (0, distance)])
    true = np.array([2e3, 2e4])
    data = rng.poisson(np.tensordot(true, profiles, 1) + 40.0) + rng.normal(0, 5.0, (41, n)) - 40.0
    mask = rng.random(data.shape) < 0.005
    data[mask] = 1e7
    noise = PixelNoise(5.0, sky=40.0)
    both = optimal_sums(data, profiles, noise, mask)
    sums = boxcar_sums(
        data, rows, centre, [3.0, 6.1], profiles[0], noise, mask | both.rejected,
        neighbours=(profiles[1:], both.weights[1:]),
    )  # fmt: skip
    pull = (sums.flux - true[0] * sums.enclosed) / np.sqrt(sums.variance)
    assert np.all(np.abs(pull.mean(axis=1)) < 0.03 + 4 / np.sqrt(n))
    assert np.all(np.abs(pull.std(axis=1) - 1) < 0.03 + 4 / np.sqrt(2 * n))
