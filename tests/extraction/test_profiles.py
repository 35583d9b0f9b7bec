"""Are profiles integrated over pixels, and does the empirical one learn the truth?"""

import numpy as np
import pytest
from astropy.modeling.models import Gaussian1D, Moffat1D
from scipy.integrate import quad

from slitlapse.extraction import (
    EmpiricalProfile,
    gaussian_profile,
    model_profile,
    moffat_profile,
)
from slitlapse.extraction.simulate import star_profile

FWHM = 2 * np.sqrt(2 * np.log(2))


@pytest.mark.parametrize("beta", [1.5, 3.0, 4.7])
def test_a_moffat_pixel_is_the_integral_of_moffat1d(beta):
    width = 2.1
    gamma = width * FWHM / (2 * np.sqrt(2 ** (1 / beta) - 1))
    curve = Moffat1D(1, 10.3, gamma, beta)
    total = quad(curve, -np.inf, np.inf)[0]
    rows = np.array([[2], [9], [10], [14]])
    found = moffat_profile(rows, np.array([10.3]), np.array([width]), beta)[:, 0]
    truth = [quad(curve, y - 0.5, y + 0.5)[0] / total for y in rows[:, 0]]
    np.testing.assert_allclose(found, truth, rtol=1e-7)


def test_a_gaussian_pixel_and_any_model_agree():
    rows, centre, width = np.arange(30)[:, None], np.array([14.2, 15.7]), np.array([1.3, 2.6])
    exact = gaussian_profile(rows, centre, width)
    np.testing.assert_allclose(exact.sum(axis=0), 1, rtol=1e-6)
    by_model = model_profile(Gaussian1D(3, 0, 1), rows, centre, width)
    np.testing.assert_allclose(by_model, exact, atol=1e-7)


def test_an_endless_moffat_is_refused():
    with pytest.raises(ValueError, match=r"beta=0\.5"):
        moffat_profile(np.arange(3)[:, None], np.ones(1), np.ones(1), 0.5)


@pytest.mark.parametrize("family", ["gaussian", "moffat", "double", "asymmetric"])
def test_the_empirical_profile_learns_a_family_it_was_not_told(family):
    rng = np.random.default_rng(4)
    rows = np.arange(61)[:, None]
    data, centres, widths = [], [], []
    for _ in range(12):
        centres.append(30 + rng.uniform(-0.6, 0.6) + np.linspace(0, 1.5, 200))
        widths.append(np.full(200, rng.uniform(1.7, 2.3)))
        light = 3e4 * star_profile(family, rows, centres[-1], widths[-1], beta=3.5)
        data.append(rng.poisson(light + 20) - 20.0)
    profile = EmpiricalProfile.from_cutouts(data, [rows] * 12, centres, widths)
    found = profile(rows, centres[0], widths[0])
    truth = star_profile(family, rows, centres[0], widths[0], beta=3.5)
    # photon noise of one point of the curve: 0.5 / sqrt(electrons of the columns behind it)
    assert np.abs(found - truth).max() < 2e-3
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-9)
