"""The joint fit, step by step: a start, a scan, a step, and what all of it is worth."""

import numpy as np
import pytest

from slitlapse.wavelength.spectral_shift.joint_fit import JointFit, _typical_exposure

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


def test_the_typical_exposure_is_the_one_like_the_median():
    flux = np.array([small(0.0), small(0.1), small(6.0)])
    assert _typical_exposure(flux, np.ones_like(flux)) < 2


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
