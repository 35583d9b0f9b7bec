"""The joint fit, step by step: a start, a scan, a step, and what all of it is worth."""

import numpy as np
import pytest
from scipy.special import voigt_profile

from slitlapse.wavelength.spectral_shift import measure_shift
from slitlapse.wavelength.spectral_shift.joint_fit import JointFit

SHORT = np.arange(600.0)


def small(shift):
    same = np.random.default_rng(3)
    centres, depths = same.uniform(0, 600, 40), same.uniform(0.1, 0.4, 40)
    bells = np.exp(-0.5 * ((SHORT[:, None] - centres - shift) / 2.5) ** 2)
    return 1e4 * (1 - (bells @ depths).clip(0, 0.9))


def fit_of(shifts, noise=30.0):
    flux = np.array([small(s) for s in shifts])
    flux = np.random.default_rng(4).normal(flux, noise)
    return JointFit(flux, np.full(flux.shape, noise**-2.0), 2, False, 8.0)


def test_the_scan_is_least_at_the_shift_between_pixels_too():
    fit = fit_of([0.0, 2.5, -4.25])
    fit.start(False)
    fit.stack(among=[0])
    lags, chi2, _ = fit.scan([fit.spline] * 3, 0.25)
    assert lags[0] == -8 and lags[-1] == 8
    np.testing.assert_allclose(lags[chi2.argmin(axis=1)], [0.0, 2.5, -4.25], atol=0.26)


def test_steps_converge_to_the_shifts():
    truth = np.array([0.0, 1.3, -2.6, 0.4])
    fit = fit_of(truth)
    fit.start(False)
    for _ in range(12):
        fit.stack()
        change = fit.improve()
    assert change < 1e-4
    np.testing.assert_allclose(fit.shift - fit.shift.mean(), truth - truth.mean(), atol=0.03)


def test_the_mean_shift_is_zero_and_its_variance_is_taken_off():
    fit = fit_of([0.0, 1.0, -1.0, 0.5])
    fit.start(False)
    for _ in range(10):
        fit.stack()
        fit.improve()
    own = fit.covariance[:, 0, 0].copy()
    variance, chi2 = fit.conclude(False, False)
    own *= np.maximum(chi2, 1)
    assert np.average(fit.shift, weights=1 / own) == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(variance[:, 0], own * 0.75, rtol=0.1)


# --- bands of the air, each line far narrower than a pixel, seen through a slit ---------------

N, FINE, BAND = 400, 24, (60, 340)
GRID = (np.arange((N + 80) * FINE) + 0.5) / FINE - 40.5
WAVES = np.fft.rfftfreq(len(GRID), 1 / FINE)
# a Gaussian, the slit and the pixel
BLUR = np.exp(-2 * (np.pi * WAVES * 1.49) ** 2) * np.sinc(WAVES * 2.5) * np.sinc(WAVES)
INSIDE = (SHORT[:N] > BAND[0]) & (SHORT[:N] < BAND[1])


def opacity(rng, n, depth, sigma, gamma):
    """Of lines anywhere, with Voigt profiles."""
    centres, depths = rng.uniform(-20, N + 20, n), rng.exponential(depth, n)
    total = np.zeros(len(GRID))
    for centre, strength in zip(centres, depths, strict=True):
        total += strength * voigt_profile(GRID - centre, sigma, gamma)
    return total


def through_air(rng, signal_to_noise, depths, shifts):
    """Electrons and their noise: a star's lines, and the air's, which saturate."""
    seen = opacity(rng, 40, 0.35, 0.35, 0.05)
    air = opacity(rng, 90, 3.0, 0.03, 0.03) * ((BAND[0] + 2 < GRID) & (BAND[1] - 2 > GRID))
    light = np.fft.rfft(np.exp(-seen - depths[:, None] * air))
    light = np.fft.irfft(light * BLUR * np.exp(-2j * np.pi * WAVES * shifts[:, None]), len(GRID))
    at = (np.arange(N) + 40) * FINE + FINE // 2
    flux = 0.5 * (light[:, at] + light[:, at - 1]) * signal_to_noise**2
    flux = flux * (1 + rng.uniform(-0.3, 0.3, (len(depths), 1)) * np.linspace(-1, 1, N))
    return rng.normal(flux, np.sqrt(flux)), np.sqrt(flux)


@pytest.mark.slow
@pytest.mark.parametrize("change", [0.0, 0.3])
def test_bands_that_deepen_have_an_honest_shift(change):
    pulls, share, n, n_stars = [], [], 30, 6
    for seed in range(n_stars):
        rng = np.random.default_rng(seed)
        truth, depths = rng.uniform(-1.5, 1.5, n), 1 + change * rng.uniform(-1, 1, n)
        flux, sigma = through_air(rng, 100, depths, truth)
        found = measure_shift(flux, uncertainty=sigma, use=INSIDE, telluric=INSIDE, max_shift=4)
        error, variance = found.shift - truth, found.shift_uncertainty**2
        pulls.append((error - np.average(error, weights=1 / variance)) / np.sqrt(variance))
        share.append(1 - np.min(variance) / np.mean(variance))  # what comes with the depth
    if change:
        assert np.corrcoef(found.depth[:, 0], depths)[0, 1] > 0.99
    # noise is new in every exposure, but a star's lines mislead all of a night alike
    spread = np.hypot(1 / np.sqrt(2 * n_stars * (n - 1)), np.mean(share) / np.sqrt(2 * n_stars))
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < 4 * spread


def test_without_a_depth_of_its_own_a_band_misleads():
    rng = np.random.default_rng(1)
    truth, depths = rng.uniform(-1.5, 1.5, 20), 1 + 0.3 * rng.uniform(-1, 1, 20)
    flux, sigma = through_air(rng, 200, depths, truth)
    chi2 = [
        np.mean(measure_shift(flux, uncertainty=sigma, use=INSIDE, max_shift=4, **free).chi2)
        for free in ({}, {"telluric": INSIDE})
    ]
    assert chi2[0] > 1.5
    assert abs(chi2[1] - 1) < 4 * np.sqrt(2 / (20 * INSIDE.sum()))


def test_a_band_has_one_value_per_pixel():
    with pytest.raises(ValueError, match="one value per pixel"):
        measure_shift(np.ones((3, 100)), telluric=np.ones(99, bool))
