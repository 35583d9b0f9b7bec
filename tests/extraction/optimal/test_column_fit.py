"""Are the columns solved, and is the brightness behind the noise steady but true?"""

import numpy as np
import pytest

from slitlapse.extraction import gaussian_profile
from slitlapse.extraction.optimal.column_fit import Columns, steady_flux

ROWS, N = np.arange(21)[:, None], 50
STARS = np.stack([gaussian_profile(ROWS, np.full(N, c), np.full(N, 1.8)) for c in (8.2, 12.1)])


@pytest.mark.parametrize("n_star", [1, 2])
def test_weights_and_errors_belong_to_the_solution(n_star):
    rng = np.random.default_rng(n_star)
    data = 1e3 * STARS[:n_star].sum(axis=0) + rng.normal(size=(21, N))
    columns = Columns(data, STARS[:n_star], (16.0, 1.0, 1e-4), np.ones((21, N), bool), n_star)
    flux = np.full((n_star, N), 1e3)
    found, variance, sigma = columns.solve(flux)
    again, _, weights = columns.solve(flux, want_weights=True)
    np.testing.assert_allclose(found, again)
    np.testing.assert_allclose((weights * data).sum(axis=1), found)
    np.testing.assert_allclose(np.sqrt((weights**2 * variance).sum(axis=1)), sigma)
    light = 1e3 * STARS[:n_star].sum(axis=0)
    np.testing.assert_allclose(variance, 16 + light + 1e-4 * light**2)


@pytest.mark.parametrize("n_star", [1, 2])
def test_a_column_that_settles_nothing_is_not_a_number(n_star):
    good = np.ones((21, N), bool)
    good[:, 7] = False
    columns = Columns(np.ones((21, N)), STARS[:n_star], (16.0, 1.0, 0.0), good, n_star)
    found, _, _ = columns.solve(np.zeros((n_star, N)))
    assert np.isnan(found[:, 7]).all()
    assert np.isfinite(np.delete(found, 7, axis=1)).all()


def test_picked_columns_are_the_same_columns():
    columns = Columns(STARS[0], STARS, (np.ones((21, N)), 1.0, 0.0), np.ones((21, N), bool), 2)
    part = columns.pick(np.array([3, 30]))
    np.testing.assert_array_equal(part.data, STARS[0][:, [3, 30]])
    whole, some = columns.solve(np.zeros((2, N)))[0], part.solve(np.zeros((2, 2)))[0]
    np.testing.assert_allclose(some, whole[:, [3, 30]], atol=1e-12)


def test_noise_is_smoothed_and_lines_are_kept():
    rng = np.random.default_rng(3)
    flux = np.full((1, 4000), 100.0)
    noisy = flux + rng.normal(0, 20, flux.shape)
    steady = steady_flux(noisy, np.full_like(flux, 20.0))
    # the mean of 11 columns scatters by 20 / sqrt(11); what is kept of their scatter adds little
    assert steady.std() < 2 * 20 / np.sqrt(11)
    flux[0, 2000] = 1e4
    steady = steady_flux(flux, np.full_like(flux, 20.0))
    assert abs(steady[0, 2000] / 1e4 - 1) < 0.01


def test_the_steady_flux_bridges_unknown_columns():
    flux = np.full((1, 100), 50.0)
    flux[0, 40] = np.nan
    np.testing.assert_allclose(steady_flux(flux, np.full_like(flux, 5.0)), 50)
