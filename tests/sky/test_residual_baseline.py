"""Tests of what is left beside a star."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.sky import fit_columns, residual_baseline

N_Y, N_X = 120, 500
Y = np.arange(N_Y)[:, np.newaxis] * np.ones(N_X)


def test_a_level_left_on_one_side_is_found():
    rng = np.random.default_rng(1)
    left = np.where(Y > 60, 0.5, 0.0)
    image = left + rng.normal(0, 5, Y.shape)
    table = residual_baseline(image, np.full(Y.shape, 25.0), [np.full(N_X, 60.0)])
    assert table["side"].tolist() == ["below", "above"]
    # 21 rows times 500 columns
    error = 5 / np.sqrt(21 * N_X)
    np.testing.assert_allclose(table["uncertainty"].to_value(u.electron), error, rtol=1e-6)
    below, above = table["level"].to_value(u.electron)
    assert abs(below) < 4 * error
    assert abs(above - 0.5) < 4 * error
    assert table["pull"][1] > 5
    assert table["n_pixels"].tolist() == [21 * N_X] * 2
    np.testing.assert_allclose(table["scatter"], 1, atol=4 / np.sqrt(2 * 21 * N_X) + 0.006)


def test_pulls_are_honest_with_the_error_of_the_sky():
    pulls = []
    sky = (np.abs(Y - 60) > 20) & (np.abs(Y - 60) < 40)
    for seed in range(60):
        data = np.random.default_rng(seed).poisson(100.0, Y.shape) * 1.0
        fit = fit_columns(data, sky, 0.0, degree=1)
        left = data - fit.evaluate(np.arange(N_Y))
        table = residual_baseline(
            left, np.full(Y.shape, 100.0), [60.0], inner=5, outer=15,
            sky_variance=lambda w, fit=fit: fit.aperture_variance(w, np.arange(N_Y)),
        )  # fmt: skip
        pulls.append(table["pull"].tolist())
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * 60)


def test_cosmic_rays_masks_and_edges_are_left_out():
    image = np.zeros(Y.shape)
    image[80, 7] = 1e5
    image[:, 9] = np.nan
    mask = Y > 90
    table = residual_baseline(image, np.ones(Y.shape), [60.0, 5.0], mask=mask)
    assert np.all(table["level"].value[[0, 1, 3]] == 0)
    assert np.isnan(table["level"][2].value)
    assert table["n_pixels"][2] == 0
    assert np.isnan(table["levels"][0].value[9])
    assert table["n_pixels"][1] == 16 * 499 - 1


def test_windows_inside_out_are_refused():
    with pytest.raises(ValueError, match="smaller than outer"):
        residual_baseline(np.zeros(Y.shape), np.ones(Y.shape), [60.0], inner=20, outer=10)
