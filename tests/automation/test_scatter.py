"""Scatter against expected noise, per bin and per size of bin."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries
from slitlapse.automation.scatter import measure_scatter, residuals_of, scatter_by_bin_size

N_TIME, SIGMA = 240, 0.001
ALONG = np.linspace(-1, 1, N_TIME)


def curves(rng, n_bins=6, sigma=SIGMA, quoted=SIGMA, light=1.0, n_time=N_TIME):
    """Light curves of a known noise."""
    shape = (n_bins, n_time)
    return SpectralTimeSeries(
        QTable({"wavelength": (5000 + 100.0 * np.arange(n_bins)) * u.AA}),
        QTable({"time": Time(2460000.5 + np.arange(n_time) / 500, format="jd")}),
        {
            "flux": u.Quantity(np.broadcast_to(light, shape) + rng.normal(0, sigma, shape)),
            "uncertainty": u.Quantity(np.full(shape, quoted)),
        },
    )


def transit(middle=0.1, half=0.45, edge=0.08, depth=0.02, roundness=0.15):
    """A dip with a bottom that is round as that of a real star, not a trapezoid exactly."""
    shape = np.clip((half - np.abs(ALONG - middle)) / edge + 0.5, 0, 1)
    return 1 - depth * shape * (1 - roundness * np.abs((ALONG - middle) / half) ** 2.5)


def test_white_noise_scatters_as_much_as_it_is_quoted():
    table = measure_scatter(curves(np.random.default_rng(1), n_bins=40))
    pulls = (table["scatter"] - SIGMA) / table["scatter_uncertainty"]
    assert abs(pulls.mean()) < 4 / np.sqrt(40)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(80)
    assert np.allclose(table["expected"], SIGMA)
    assert np.allclose(table["excess"], table["scatter"] / SIGMA)


def test_noise_that_was_quoted_too_small_is_found_in_its_own_bin():
    one, two = (curves(np.random.default_rng(2), sigma=s) for s in (SIGMA, 3 * SIGMA))
    one.flux[4] = two.flux[4]
    excess = measure_scatter(one)["excess"]
    assert excess[4] == pytest.approx(3, abs=4 * 3 / np.sqrt(2 * N_TIME))
    assert np.all(np.abs(np.delete(excess, 4) - 1) < 4.5 / np.sqrt(2 * N_TIME))


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_scatter_of_white_noise_lies_on_the_white_noise_line(seed):
    n_curves = 60
    table = scatter_by_bin_size(curves(np.random.default_rng(seed), n_bins=n_curves))
    assert table["size"][0] == 1 and table["n_bins"][-1] >= 7
    assert np.allclose(table["expected"][:, 0] * np.sqrt(table["size"]), SIGMA)
    # mean squares are without bias at any number of bins, roots of them are not
    free = table["n_bins"] - 3
    power = (table["scatter"] ** 2 / table["expected"] ** 2).mean(axis=1)
    assert np.all(np.abs(power - 1) < 4 * np.sqrt(2 / (free * n_curves)))
    # the error bars are those of the points: their spread over the 60 curves
    spread, quoted = table["scatter"].std(axis=1), table["scatter_uncertainty"].mean(axis=1)
    many = free > 10  # where a root is nearly Gaussian
    assert np.all(np.abs(spread / quoted - 1)[many] < 4 / np.sqrt(2 * n_curves))


def test_red_noise_does_not_average_down():
    slow = 1 + 0.002 * np.sin(2 * np.pi * ALONG / 0.2)
    table = scatter_by_bin_size(curves(np.random.default_rng(4), light=slow))
    above = (table["scatter"] / table["expected"]).mean(axis=1)
    assert np.all(np.diff(above[:4]) > 0)
    assert above[table["size"] == 8][0] > 3


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_transit_is_taken_off_and_its_noise_is_left(seed):
    noisy = curves(np.random.default_rng(seed), n_bins=1, light=transit())
    left = residuals_of(noisy, transit=True)
    assert abs(left.excess[0] - 1) < 4 * left.excess_uncertainty[0]
    assert abs(left.correlation()[0]) < 4 / np.sqrt(N_TIME)
    assert np.all(np.abs(left.model[0] - transit()) < 5 * SIGMA)
    assert residuals_of(noisy).excess[0] > 3


def test_white_noise_has_no_memory_and_waves_have():
    noise = curves(np.random.default_rng(7), n_bins=400)
    chance = residuals_of(noise, degree=0).chance_of_correlation
    # an even distribution between 0 and 1, as a probability should have
    assert abs(chance.mean() - 0.5) < 4 / np.sqrt(12 * 400)
    waves = 1 + 0.001 * np.sin(2 * np.pi * np.arange(N_TIME) / 4)  # neighbours: no correlation
    found = residuals_of(curves(np.random.default_rng(8), light=waves))
    assert np.all(np.abs(found.correlation(1)) < 4 / np.sqrt(N_TIME))
    assert np.all(found.chance_of_correlation < 1e-6)


def test_fitting_a_transit_to_noise_alone_takes_no_more_than_its_numbers():
    excess = [
        residuals_of(curves(np.random.default_rng(seed), n_bins=1), transit=True).excess[0]
        for seed in range(12)
    ]
    # the best of many places fits a little more noise than its numbers say: 1 % here
    assert abs(np.mean(excess) - 1) < 4 / np.sqrt(2 * N_TIME * 12) + 0.01


def test_masked_exposures_count_nowhere():
    series = curves(np.random.default_rng(5))
    series.flux[2, 30:60] = 1e6
    series.mask[2, 30:60] = True
    series.flux[3, 7] = np.nan
    table = measure_scatter(series)
    assert table["n_good"].tolist() == [240, 240, 210, 239, 240, 240]
    assert np.all(np.abs(table["excess"] - 1) < 5 / np.sqrt(2 * 207))
    assert np.isfinite(scatter_by_bin_size(series)["scatter"]).all()


def test_too_few_exposures_give_no_scatter_instead_of_a_wrong_one():
    table = measure_scatter(curves(np.random.default_rng(6), n_time=3))
    assert np.all(np.isnan(table["scatter"]))
    table = measure_scatter(curves(np.random.default_rng(6), n_time=12), transit=True)
    assert np.all(np.isnan(table["scatter"])) and np.all(np.isnan(table["excess"]))
