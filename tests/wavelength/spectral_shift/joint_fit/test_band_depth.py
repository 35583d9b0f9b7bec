"""What deepens in a band: numbered, guessed, and freed of what would be a shift."""

import numpy as np
import pytest

from slitlapse.wavelength.spectral_shift.joint_fit.band_depth import (
    log_depth,
    number_bands,
    slope_in_depth,
)

X = np.arange(200.0)
FLAT = np.ones(200)


def dips(rng, n, depth):
    """Logarithm of the light of some lines."""
    centres, depths = rng.uniform(-5, 205, n), rng.exponential(depth, n)
    return -(depths * np.exp(-0.5 * ((X[:, None] - centres) / 1.8) ** 2)).sum(axis=1)


def test_every_run_is_a_band_of_its_own():
    telluric = np.zeros(20, bool)
    telluric[[3, 4, 10, 11, 12]] = True
    bands = number_bands(telluric, 5)
    assert bands.shape == (30,)
    np.testing.assert_array_equal(np.flatnonzero(bands == 1), [8, 9])
    np.testing.assert_array_equal(np.flatnonzero(bands == 2), [15, 16, 17])


def test_the_guess_is_the_logarithm_of_the_light_over_the_brightest_beside():
    bands = np.where((X > 50) & (X < 150), 1, 0)
    light = 3e4 * (1 + X / 200) * np.exp(-0.7 * np.exp(-0.5 * ((X - 100) / 5) ** 2))
    guess = log_depth(light, bands)
    assert np.all(guess[bands == 0] == 0)
    assert guess[100] == pytest.approx(-0.7, abs=0.02)
    assert np.abs(guess[[55, 145]]).max() < 0.02


def test_a_part_of_slope_is_found_where_no_star_has_lines():
    air = dips(np.random.default_rng(1), 30, 0.2)
    found, variance = slope_in_depth(0.45 * air + 0.1 * np.gradient(air), air, FLAT)
    assert found == pytest.approx(0.1, abs=1e-6)
    assert variance < 1e-6


def test_lines_of_a_star_mislead_by_as_much_as_is_said():
    pulls = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        air, lines = dips(rng, 40, 0.2), dips(rng, 18, 0.12)
        found, variance = slope_in_depth(0.45 * air, air + lines, FLAT)
        pulls.append(found / np.sqrt(variance))
    # the variance itself is known from 16 places only: an eighth of a factor in its root
    four = 4 * np.hypot(1 / np.sqrt(2 * 60), 1 / np.sqrt(2 * 16 * 60))
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < four
