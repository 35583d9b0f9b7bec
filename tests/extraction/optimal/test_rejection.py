"""Do the right pixels go, and do the good ones stay?"""

import numpy as np
import pytest

from slitlapse.extraction import PixelNoise, gaussian_profile, optimal_sums
from slitlapse.extraction.simulate import add_hits, simulate_star


def bound(profile, variance, mask):
    """Cramer-Rao bound of the flux of one star of known profile."""
    return np.sqrt(1 / (profile**2 / variance * ~mask).sum(axis=0))


def test_the_worst_pixel_goes_and_its_neighbours_stay():
    rng = np.random.default_rng(9)
    star = simulate_star(2e4, (31, 400), 15.2, 2.0, rng=rng, sky=60.0, read_noise=4.0)
    data = star.data.copy()
    columns = np.arange(0, 400, 4)
    struck = rng.integers(11, 20, columns.size)
    data[struck, columns] += 2e4
    sums = optimal_sums(data, star.profile, PixelNoise(4.0, sky=60.0))
    assert sums.rejected[struck, columns].all()
    assert sums.rejected.sum() <= columns.size + 2
    pull = (sums.flux[0] - 2e4) / np.sqrt(sums.variance[0])
    assert np.abs(pull).max() < 5


@pytest.mark.parametrize("flux", [100.0, 700.0, 2e4, 1e6])
def test_cosmic_rays_and_bad_pixels_leave_the_bound_in_reach(flux):
    # 360 tracks per million pixels, a heavy load, on a star that wanders, widens and has a line
    rng = np.random.default_rng(int(flux) + 1)
    n, x = 2048, np.arange(2048)
    errors, pulls = [], []
    for exposure in range(8):
        centre = 15 + 1.5 * np.sin(x / 400 + exposure) + rng.uniform(-0.5, 0.5)
        width = rng.uniform(1.8, 2.8) * (1.1 - 0.2 * x / n)
        light = flux * (1 + 0.4 * np.sin(x / 150)) * (1 - 0.6 * np.exp(-0.5 * ((x - 1e3) / 4) ** 2))
        kwargs = {"family": "moffat", "sky": 60.0, "read_noise": 4.0}
        star = simulate_star(light, (31, n), centre, width, rng=rng, **kwargs)
        mask = rng.random(star.data.shape) < 0.01
        data, _ = add_hits(star.data, int(360e-6 * star.data.size), rng=rng)
        data = np.where(mask, rng.choice([-3e4, 3e4], mask.shape), data)
        sums = optimal_sums(data, star.profile, PixelNoise(4.0, sky=60.0), mask)
        errors.append((sums.flux[0] - light) / bound(star.profile, star.variance, mask))
        pulls.append((sums.flux[0] - light) / np.sqrt(sums.variance[0]))
    errors, pulls = np.ravel(errors), np.ravel(pulls)
    spread = 4 / np.sqrt(2 * errors.size)
    assert np.mean(np.abs(pulls) > 5) <= 1e-3
    assert 1.4826 * np.median(np.abs(errors - np.median(errors))) < 1.03 + 1.65 * spread
    assert np.sqrt(np.mean(errors**2)) < 1.08 + spread
    assert abs(pulls.mean()) < 0.03 + 4 / np.sqrt(pulls.size)
    assert abs(pulls.std() - 1) < 0.03 + spread


def test_a_track_along_the_slit_does_not_become_the_star():
    rng = np.random.default_rng(5)
    star = simulate_star(70.0, (31, 300), 15.2, 2.4, rng=rng, sky=60.0, read_noise=4.0)
    data = star.data.copy()
    data[9:22, 150] += 290
    sums = optimal_sums(data, star.profile, PixelNoise(4.0, sky=60.0))
    assert sums.rejected[9:22, 150].all()
    pull = (sums.flux[0] - 70) / np.sqrt(sums.variance[0])
    assert np.abs(pull).max() < 5 or not np.isfinite(pull[150])


def test_an_emission_line_of_one_column_with_a_hit_stays():
    rng = np.random.default_rng(6)
    light = np.full(300, 300.0)
    light[150] = 2e4
    star = simulate_star(light, (31, 300), 15.2, 2.0, rng=rng, sky=60.0, read_noise=4.0)
    data = star.data.copy()
    data[20, 150] += 3000
    sums = optimal_sums(data, star.profile, PixelNoise(4.0, sky=60.0))
    pull = (sums.flux[0, 150] - 2e4) / np.sqrt(sums.variance[0, 150])
    assert abs(pull) < 5
    assert sums.rejected[20, 150]


def test_a_profile_that_is_slightly_wrong_costs_no_good_pixels():
    rng = np.random.default_rng(7)
    star = simulate_star(1e6, (31, 2048), 15.2, 2.0, rng=rng, sky=60.0, read_noise=4.0)
    wrong = gaussian_profile(np.arange(31)[:, None], star.centre + 0.03, star.width * 1.02)
    sums = optimal_sums(star.data, wrong, PixelNoise(4.0, sky=60.0))
    assert sums.rejected.mean() < 1e-4
    assert sums.chi2.mean() > 3  # and the misfit is said


@pytest.mark.parametrize("flux", [2e4, 1e6])
def test_hits_on_a_bright_star_are_found_with_the_profile_of_another_family(flux):
    rng, x = np.random.default_rng(4), np.arange(2048)
    centre, width = 15 + 1.5 * np.sin(x / 400), 2.1 * (1.1 - 0.2 * x / 2048)
    kwargs = {"family": "moffat", "sky": 60.0, "read_noise": 4.0}
    star = simulate_star(flux, (31, 2048), centre, width, rng=rng, **kwargs)
    hit = rng.random(star.data.shape) < 5e-4
    data = star.data + hit * rng.uniform(15, 60, hit.shape) * np.sqrt(star.variance)
    wrong = gaussian_profile(np.arange(31)[:, None], centre, width)
    sums = optimal_sums(data, wrong, PixelNoise(4.0, sky=60.0))
    assert sums.rejected[hit].mean() > 0.95
    assert sums.rejected[~hit].mean() < 1e-4
