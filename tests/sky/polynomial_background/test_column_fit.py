"""Tests of the polynomial in every column at once."""

import numpy as np
import pytest

from slitlapse.sky import fit_columns

READ_NOISE = 4.0
N_Y, N_X = 100, 1000
Y = np.arange(N_Y)[:, np.newaxis]
APERTURE = (np.abs(Y - 50) <= 8) * np.ones(N_X)
SKY = (np.abs(Y - 50) > 12) & np.ones(N_X, dtype=bool)


def slit_sky(level=100.0, slope=0.002, bend=0.0):
    """Return a sky with a gradient along the slit, whose level changes from column to column."""
    columns = level * (1 + 0.5 * np.sin(np.arange(N_X) / 50))
    return columns * (1 + slope * (Y - 50) + bend * (Y - 50) ** 2)


def observe(sky, rng, star=0.0):
    """Return one noisy exposure."""
    profile = np.exp(-0.5 * ((Y - 50) / 2) ** 2) / np.sqrt(8 * np.pi)
    return rng.poisson(sky + star * profile) + rng.normal(0, READ_NOISE, (N_Y, N_X))


@pytest.mark.parametrize("level", [2.0, 100.0, 10000.0])
@pytest.mark.parametrize(("degree", "bend"), [(0, 0.0), (1, 0.0), (2, 1e-5)])
def test_the_sky_under_the_star_is_unbiased_and_its_error_honest(level, degree, bend):
    sky = slit_sky(level, slope=0.0 if degree == 0 else 0.002, bend=bend)
    pulls = []
    for seed in range(4):
        data = observe(sky, np.random.default_rng(seed))
        fit = fit_columns(data, SKY, READ_NOISE**2, degree=degree)
        error = np.sum(APERTURE * (fit.evaluate(np.arange(N_Y)) - sky), axis=0)
        pulls.append(error / np.sqrt(fit.aperture_variance(APERTURE, np.arange(N_Y))))
    pulls = np.concatenate(pulls)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


def test_the_median_is_honest_too():
    sky = slit_sky(slope=0.0)
    data = observe(sky, np.random.default_rng(3))
    fit = fit_columns(data, SKY, READ_NOISE**2, degree=0, statistic="median")
    error = np.sum(APERTURE * (fit.evaluate(np.arange(N_Y)) - sky), axis=0)
    pulls = error / np.sqrt(fit.aperture_variance(APERTURE, np.arange(N_Y)))
    # a median of Poisson counts lies up to 1/3 electron below the mean; its error here is 1.5
    assert abs(pulls.mean()) < 4 / np.sqrt(N_X) + 0.34 / 1.5
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * N_X)


def test_cosmic_rays_change_nothing():
    sky = slit_sky()
    rng = np.random.default_rng(5)
    clean = observe(sky, rng)
    hit = rng.random(clean.shape) < 0.004
    dirty = clean + hit * rng.uniform(300, 30000, clean.shape)
    fits = [fit_columns(data, SKY, READ_NOISE**2) for data in (clean, dirty)]
    assert not (fits[1].used & hit).any()
    # 5 sigma: 6e-7 of the good pixels, doubled for the Poisson tail
    lost = SKY & ~hit & ~fits[1].used
    assert lost.sum() <= 3
    rows = np.arange(N_Y)
    shift = np.sum(APERTURE * (fits[1].evaluate(rows) - fits[0].evaluate(rows)), axis=0)
    error = np.sqrt(fits[1].aperture_variance(APERTURE, rows))
    # leaving out n of 75 rows moves the fit by sqrt(n / 75) of its error
    n_hit = np.count_nonzero(hit & SKY, axis=0)
    assert np.all(np.abs(shift)[n_hit == 0] < 1e-9 * error[n_hit == 0])
    ratio = shift[n_hit > 0] / error[n_hit > 0] / np.sqrt(n_hit[n_hit > 0] / 75)
    assert abs(ratio.mean()) < 4 / np.sqrt(ratio.size) * ratio.std()


def test_a_sky_line_that_bends_away_from_the_polynomial_is_not_rejected():
    tilted = 20000 * np.exp(-0.5 * ((np.arange(N_X) - 500 - 0.06 * (Y - 50)) / 1.5) ** 2)
    data = observe(slit_sky() + tilted, np.random.default_rng(2))
    fit = fit_columns(data, SKY, READ_NOISE**2)
    assert np.mean(fit.used[SKY]) > 0.995


def test_all_columns_are_fitted_with_flat_residuals_where_amplifiers_differ():
    noise = np.where(Y < 50, 3.0, 30.0) * np.ones(N_X)
    sky = slit_sky(50.0)
    rng = np.random.default_rng(8)
    data = rng.poisson(sky) + rng.normal(0, 1, sky.shape) * noise
    fit = fit_columns(data, SKY, noise**2)
    error = np.sum(APERTURE * (fit.evaluate(np.arange(N_Y)) - sky), axis=0)
    pulls = error / np.sqrt(fit.aperture_variance(APERTURE, np.arange(N_Y)))
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * N_X)
