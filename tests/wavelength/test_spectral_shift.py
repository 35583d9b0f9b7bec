"""Shifts: at the noise floor, with honest uncertainties, and with the sign as documented."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.special import ndtr

from slitlapse.wavelength import WavelengthSolution
from slitlapse.wavelength.spectral_shift import measure_shift
from slitlapse.wavelength.telluric_bands import telluric_mask

N = 2048
X = np.arange(N, dtype=float)
BANDS = ((1180, 1320), (1630, 1780))
USE = ~np.any([(low < X) & (high > X) for low, high in BANDS], axis=0)
CLEAN = ~np.any([(low - 8 < X) & (high + 8 > X) for low, high in BANDS], axis=0)


def dips(centres, depths, widths, shift):
    """Absorption lines integrated over the pixels."""
    upper = (X[:, None] + 0.5 - centres - shift) / widths
    lower = (X[:, None] - 0.5 - centres - shift) / widths
    return (ndtr(upper) - ndtr(lower)) * widths * np.sqrt(2 * np.pi) @ depths


def star(shift, depth=1.0, slope=0.0, bend=0.0):
    """A G star of about 180 lines (always the same) and telluric bands of variable depth."""
    same = np.random.default_rng(7)
    centres, widths = same.uniform(-20, N + 20, 180), same.uniform(1.6, 2.6, 180)
    depths = same.exponential(0.1, 180).clip(0, 0.7)
    air = np.concatenate([same.uniform(*band, 35) for band in BANDS])
    flux = 1 - dips(centres, depths, widths, shift).clip(0, 0.95)
    bands = dips(air, same.uniform(0.05, 0.4, 70), np.full(70, 1.8), shift)
    v = X / N * 2 - 1
    return flux * np.exp(-depth * bands) * (1 + slope * v + bend * v**2)


def series(rng, signal_to_noise, n=60):
    truth = rng.uniform(-1.5, 1.5, n)
    flux = np.array(
        [
            star(s, rng.uniform(0.7, 1.3), rng.uniform(-0.3, 0.3), rng.uniform(-0.05, 0.05))
            for s in truth
        ]
    )
    flux *= signal_to_noise**2
    return truth, rng.normal(flux, np.sqrt(flux)), np.sqrt(flux)


def bound(signal_to_noise, use=USE, bands=()):
    """Cramer-Rao bound of a shift, with the cubic continuum and the depth of bands free."""
    flux = star(0.0) * signal_to_noise**2
    slope = (star(0.01) - star(-0.01)) / 0.02 * signal_to_noise**2
    weight = use / flux
    smooth = flux * np.vander(X / N * 2 - 1, 4).T
    deeper = (star(0.0, 1.01) - star(0.0, 0.99)) * signal_to_noise**2
    deeper = [deeper * ((low < X) & (high > X)) for low, high in bands]
    design = np.vstack([slope, smooth, *deeper])
    return np.sqrt(np.linalg.inv((design * weight) @ design.T)[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize(("signal_to_noise", "goal"), [(100, 0.012), (316, 0.004)])
def test_shifts_are_on_the_bound_honest_and_of_slope_one(signal_to_noise, goal):
    errors, pulls, truths = [], [], []
    for seed in range(3):
        truth, flux, sigma = series(np.random.default_rng(seed), signal_to_noise)
        found = measure_shift(flux, uncertainty=sigma, use=USE)
        error = found.shift - (truth - truth.mean())
        errors.append(error - error.mean())  # the mean shift is set to zero
        pulls.append(errors[-1] / found.shift_uncertainty)
        truths.append(truth - truth.mean())
    errors, pulls, truths = map(np.concatenate, (errors, pulls, truths))
    rms, four = errors.std(), 4 / np.sqrt(2 * errors.size)
    assert rms < goal
    limit = bound(signal_to_noise)
    assert rms / limit < 1 + four
    assert abs(pulls.std() - 1) < 0.1 + four
    slope_error = limit / np.sqrt((truths**2).sum())
    assert abs((truths * errors).sum() / (truths**2).sum()) < max(4 * slope_error, 1e-4)


def test_identical_spectra_have_no_shift():
    flux = star(0.0) * 1e4
    found = measure_shift(np.tile(flux, (4, 1)), uncertainty=np.sqrt(flux), use=USE)
    np.testing.assert_allclose(found.shift, 0, atol=1e-6)


def test_the_sign_positive_means_towards_larger_x():
    flux = np.array([star(0.0), star(0.4)]) * 1e6
    found = measure_shift(flux, uncertainty=1e3, use=USE)
    assert abs(found.shift[1] - found.shift[0] - 0.4) < 0.003
    solution = WavelengthSolution([5500.0, 500.0], (0, N - 1), N)
    second = solution.shifted(found.shift[1] - found.shift[0])
    np.testing.assert_allclose(
        second.pixel_to_wavelength(700.4).value, solution.pixel_to_wavelength(700).value, atol=2e-3
    )


def test_large_shifts_are_found_too():
    truth = np.array([0.0, 6.3, -7.1, 2.0])
    flux = np.array([star(s) for s in truth]) * 1e4
    found = measure_shift(flux, uncertainty=np.sqrt(flux), use=USE, max_shift=10)
    np.testing.assert_allclose(found.shift - found.shift[0], truth, atol=0.02)


def test_deep_bands_that_are_left_out_draw_no_exposure_aside():
    """A smooth star with few lines: the bands must not count in the first guess either."""
    wave = np.linspace(5100, 8150, 640)
    along = np.linspace(-1, 1, 640)
    flux = 14000 * (1 - 0.2 * along) * (0.25 + 0.75 * np.cos(1.2 * along) ** 2)
    for centre, width, depth in ((5175, 12, 0.4), (5893, 6, 0.5), (6563, 10, 0.6),
                                 (6870, 25, 0.5), (7620, 35, 0.7)):  # fmt: skip
        flux = flux * (1 - depth * np.exp(-0.5 * ((wave - centre) / width) ** 2))
    rng = np.random.default_rng(5)
    noisy = rng.normal(flux, np.sqrt(flux), (6, 640))
    found = measure_shift(noisy, uncertainty=np.sqrt(flux), use=~telluric_mask(wave))
    assert np.all(np.abs(found.shift) < 0.1)  # 0 is true; 5 px is what the bands said


def test_a_stretch_is_measured():
    rng = np.random.default_rng(3)
    truth = np.array([0.0, 2e-4, -3e-4, 1e-4])
    middle = 0.5 * (N - 1)
    flux = np.array([np.interp(middle + (X - middle) / (1 + s), X, star(0.0)) for s in truth]) * 1e5
    flux = rng.normal(flux, np.sqrt(flux))
    sigma = np.sqrt(np.abs(flux))
    found = measure_shift(flux, uncertainty=sigma, use=USE, stretch=True)
    error = found.stretch - (truth - np.average(truth, weights=found.stretch_uncertainty**-2.0))
    assert np.abs(error / found.stretch_uncertainty).max() < 4.5


def test_a_given_template_sets_the_zero():
    flux = np.array([star(0.3), star(-0.2)]) * 1e6
    found = measure_shift(flux, uncertainty=1e3, use=USE, template=star(0.0) * 1e6)
    np.testing.assert_allclose(found.shift, [0.3, -0.2], atol=0.005)


def test_the_light_of_a_given_template_does_not_matter():
    rng = np.random.default_rng(2)
    truth = np.array([0.3, -0.2, 1.1])
    light = np.array([1e4, 2e4, 5e3])[:, None]
    flux = np.array([star(s) for s in truth]) * light
    flux = rng.normal(flux, np.sqrt(flux))
    errors = []
    for level in (1e4, 1.0):
        found = measure_shift(
            flux, uncertainty=np.sqrt(flux), use=CLEAN, template=star(0.0) * level
        )
        np.testing.assert_allclose((found.shift - truth) / found.shift_uncertainty, 0, atol=4.5)
        errors.append(found.shift_uncertainty)
    np.testing.assert_allclose(*errors, rtol=1e-6)
    expected = np.array([bound(np.sqrt(level)) for level in light[:, 0]])
    np.testing.assert_allclose(errors[0], expected, rtol=0.1)


def test_cosmic_rays_and_masked_pixels_do_no_harm():
    rng = np.random.default_rng(5)
    truth, flux, sigma = series(rng, 100, n=20)
    clean = measure_shift(flux, uncertainty=sigma, use=USE)
    hit, mask = flux.copy(), np.zeros(flux.shape, bool)
    for row in range(20):
        hit[row, rng.integers(0, N, 5)] += 5e4
        at = rng.integers(0, N, 20)
        hit[row, at], mask[row, at] = np.nan, True
    found = measure_shift(hit, uncertainty=sigma, use=USE, mask=mask)
    assert found.n_clipped >= 80
    # the weighted mean shift is zero
    zero = np.average(truth, weights=found.shift_uncertainty**-2.0)
    pulls = (found.shift - (truth - zero)) / found.shift_uncertainty
    assert np.abs(pulls).max() < 4.5
    change = found.shift - clean.shift
    change -= change.mean()  # the zero is the weighted mean, and the weights have changed
    assert np.abs(change).max() < 2 * clean.shift_uncertainty.max()


def test_without_uncertainties_the_residuals_tell():
    truth, flux, _ = series(np.random.default_rng(8), 100, n=30)
    found = measure_shift(flux, use=USE)
    pulls = (found.shift - (truth - truth.mean())) / found.shift_uncertainty
    assert abs(pulls.std() - 1) < 0.15 + 4 / np.sqrt(2 * 30)


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="One spectrum has no shift"):
        measure_shift(np.ones((1, 100)))
    with pytest.raises(ValueError, match="shape"):
        measure_shift(np.ones(100))
    with pytest.raises(ValueError, match="fewer than 20 good pixels"):
        measure_shift(np.full((3, 100), np.nan))


def test_the_plot_shows_shifts_with_error_bars():
    _, flux, sigma = series(np.random.default_rng(1), 100, n=4)
    found = measure_shift(flux, uncertainty=sigma, use=USE)
    ax = found.plot(color="C2")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found.shift)
    assert "pixel" in ax.get_ylabel()


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("signal_to_noise", [3, 5, 10])
def test_faint_stars_have_an_honest_shift_or_none(signal_to_noise, n):
    pulls, known = [], 0
    for seed in range(60 // n):
        truth, flux, sigma = series(np.random.default_rng(seed), signal_to_noise, n=n)
        found = measure_shift(flux, uncertainty=sigma, use=USE)
        have = np.isfinite(found.shift)
        known += have.sum()
        np.testing.assert_array_equal(have, found.reason == "")
        assert np.all(np.isinf(found.shift_uncertainty[~have]))
        if have.any():  # never wrong by a line's width, which is what noise once did
            error = (found.shift - truth)[have]
            weight = found.shift_uncertainty[have] ** -2.0
            pulls.append((error - np.average(error, weights=weight)) * np.sqrt(weight))
    if signal_to_noise > 3:
        assert known > 0.95 * 60
    if known:
        pulls = np.concatenate(pulls)
        assert np.abs(pulls).max() < 4.5
        assert np.sqrt(np.mean(pulls**2)) < 1.1 + 4 / np.sqrt(2 * len(pulls))


@pytest.mark.slow
@pytest.mark.parametrize(("signal_to_noise", "n"), [(5, 5), (5, 20)])
def test_errors_are_not_larger_than_the_truth_because_the_template_was_smoothed(signal_to_noise, n):
    """The slopes of a smoothed template alone say a fifth too much."""
    pulls = []
    for seed in range(300 // n):
        truth, flux, sigma = series(np.random.default_rng(2000 + seed), signal_to_noise, n=n)
        found = measure_shift(flux, uncertainty=sigma, use=CLEAN, max_shift=4)
        have = np.isfinite(found.shift)
        error, weight = (found.shift - truth)[have], found.shift_uncertainty[have] ** -2.0
        pulls.append((error - np.average(error, weights=weight)) * np.sqrt(weight))
    pulls = np.concatenate(pulls)
    # the mean shift of every night has been set to zero, and its variance taken off
    assert abs(np.sqrt(np.mean(pulls**2)) - 1) < 4 / np.sqrt(2 * len(pulls) * (1 - 1 / n))


@pytest.mark.parametrize("period", [5.0, 7.5, 9.2])
def test_a_comb_of_equal_lines_may_be_shifted_by_a_period_and_says_so(period):
    rng = np.random.default_rng(9)
    centres = np.arange(-40.0, N + 40, period)
    truth = rng.uniform(-1.5, 1.5, 5)
    equal, widths = np.full(len(centres), 0.4), np.full(len(centres), 1.2)
    flux = np.array([1 - dips(centres, equal, widths, s) for s in truth]) * 1e4
    found = measure_shift(rng.normal(flux, 100), uncertainty=100.0)
    assert np.all(np.isnan(found.shift))
    assert np.all(found.reason == "another shift fits as well")
    # teeth of unequal depth, and it is known which is which
    unequal = rng.uniform(0.1, 0.5, len(centres))
    flux = np.array([1 - dips(centres, unequal, widths, s) for s in truth]) * 1e4
    found = measure_shift(rng.normal(flux, 100), uncertainty=100.0)
    pulls = (found.shift - truth + truth.mean()) / found.shift_uncertainty
    assert np.abs(pulls).max() < 4.5


def test_five_exposures_have_an_honest_shift_though_their_template_is_noisy():
    """Each is a fifth of its own template; bands that change are left out with their wings."""
    pulls = []
    for seed in range(12):
        truth, flux, sigma = series(np.random.default_rng(300 + seed), 100, n=5)
        found = measure_shift(flux, uncertainty=sigma, use=CLEAN)
        error = found.shift - truth
        weight = found.shift_uncertainty**-2.0
        pulls.append((error - np.average(error, weights=weight)) * np.sqrt(weight))
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < 4 / np.sqrt(2 * 12 * 4)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_a_featureless_continuum_has_no_shift_and_says_so(n):
    flux = (1 + 0.2 * X / N) * np.ones((n, 1)) * 1e4
    noisy = np.random.default_rng(4).normal(flux, 100)
    found = measure_shift(noisy, uncertainty=100.0)
    assert np.all(np.isnan(found.shift))
    assert np.all(np.isinf(found.shift_uncertainty))
    assert np.all(found.reason == "no shift fits better than others")
    assert np.all(np.isfinite(found.plot().get_xlim()))


def test_one_exposure_without_light_spoils_no_other():
    truth, flux, sigma = series(np.random.default_rng(6), 30, n=6)
    flux[2] = np.random.default_rng(7).normal(0, 30, N)
    sigma[2] = 30.0
    found = measure_shift(flux, uncertainty=sigma, use=USE)
    assert np.isnan(found.shift[2])
    assert found.reason[2]
    rest = np.arange(6) != 2
    error = (found.shift - truth)[rest]
    pulls = (error - error.mean()) / found.shift_uncertainty[rest]
    assert np.abs(pulls).max() < 4.5


def test_a_shift_beyond_the_search_is_not_reported():
    truth = np.array([0.0, 0.5, 1.0, 14.0])
    flux = np.array([star(s) for s in truth]) * 1e4
    found = measure_shift(flux, uncertainty=np.sqrt(flux), use=USE, max_shift=10)
    np.testing.assert_allclose(found.shift[:3] - found.shift[0], truth[:3], atol=0.02)
    assert np.isnan(found.shift[3])


# --- a real night --------------------------------------------------------------------------------


def sprat(folder, row):
    """Five real exposures of the star on a row: electrons, and their modelled uncertainty."""
    flux, variance = [], []
    for i in range(1, 6):
        path = folder / f"lt_sprat_2018/v_e_20180810_12_{i}_0_0.fits.gz"
        image = fits.getdata(path).astype(float) * 2.45  # electrons per adu
        sky = np.median(np.r_[image[row - 22 : row - 12], image[row + 12 : row + 22]], axis=0)
        flux.append((image[row - 6 : row + 7] - sky).sum(axis=0))
        quiet = np.maximum(sky - np.median(image[5:25]), 0) + (3.0 * 2.45) ** 2
        variance.append(13 * quiet * (1 + 13 / 20 * np.pi / 2))
    flux = np.array(flux)
    level = np.median(flux, axis=1)[:, None]
    expected = np.median(flux / level, axis=0) * level  # not each pixel's own counts
    return flux, np.sqrt(np.maximum(expected, 0) + variance)


def test_ten_real_spectra_half_of_them_moved_by_whole_pixels(real_data):
    flux, sigma = sprat(real_data, 128)
    wave = 3539 + 4.53 * np.arange(1024)
    use = ~telluric_mask(wave) & (wave > 4300) & (wave < 8000)
    moved, known = np.roll(flux, 3, axis=1), np.roll(sigma, 3, axis=1)
    found = measure_shift(np.r_[flux, moved], uncertainty=np.r_[sigma, known], use=use)
    assert np.all(found.reason == "")
    assert np.all(found.shift_uncertainty < 0.05)
    assert np.all((found.chi2 > 0.6) & (found.chi2 < 1.2))
    apart = found.shift[5:] - found.shift[:5]
    assert np.abs((apart - 3) / found.shift_uncertainty[:5]).max() < 2  # the noise is the same
    within = found.shift[:5] - found.shift[:5].mean()
    assert np.abs(within).max() < 4.5 * 0.05  # guiding within the slit may add to the errors


def test_a_real_faint_star_without_features_has_no_shift_and_says_so(real_data):
    flux, sigma = sprat(real_data, 73)
    wave = 3539 + 4.53 * np.arange(1024)
    use = ~telluric_mask(wave) & (wave > 4300) & (wave < 8000)
    found = measure_shift(flux, uncertainty=sigma, use=use)
    assert np.all(np.isnan(found.shift))
    assert np.all(found.reason != "")
