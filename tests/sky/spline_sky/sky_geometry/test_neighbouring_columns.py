"""Do errors of the sky in neighbouring columns go together as the covariance says?"""

import numpy as np
import pytest

from slitlapse.sky import SkyGeometry, column_correlations

N_Y, N_X = 60, 160
Y, X = np.mgrid[:N_Y, :N_X].astype(float)
STAR = np.abs(Y - 28) < 6


def make_geometry(tilt, spacing, degree=0):
    variance = 50 + 500 * np.exp(-0.5 * ((X - tilt * Y / N_Y - 80) / 2) ** 2)
    return SkyGeometry(
        X - tilt * Y / N_Y, ~STAR, knot_spacing=spacing, spatial_degree=degree, variance=variance
    )


@pytest.mark.parametrize(("tilt", "spacing", "degree"), [(3, 0.75, 0), (3, 1.5, 2), (25, 1.0, 1)])
def test_the_errors_of_simulated_skies_correlate_as_told(tilt, spacing, degree):
    geometry, rng = make_geometry(tilt, spacing, degree), np.random.default_rng(1)
    told = column_correlations(geometry, STAR.astype(float), n_lags=3)
    number, sums = 400, []
    for _ in range(number):
        noise = rng.normal(0, np.sqrt(geometry.variance))
        model = geometry.fit(noise, geometry.variance, sigma=None).model
        sums.append(np.where(STAR, model, 0).sum(axis=0))
    sums = np.array(sums)[:, 30:-10]  # where all rows see all wavelengths
    for lag in (1, 2, 3):
        found = np.mean(sums[:, :-lag] * sums[:, lag:], axis=0)
        found /= np.sqrt(np.mean(sums[:, :-lag] ** 2, axis=0) * np.mean(sums[:, lag:] ** 2, axis=0))
        pulls = (found - told[lag - 1, 30 : -10 - lag]) * np.sqrt(number)
        # neighbouring columns share noise: some 40 of the 120 are independent
        assert abs(np.mean(pulls)) < 4 / np.sqrt(40)
        assert np.abs(pulls).max() < 5


def test_a_wide_bin_knows_its_sky_as_well_as_its_pixels_allow():
    """One spline's sum over many columns: the errors of all pixels of sky, averaged."""
    y, x = np.mgrid[:N_Y, :N_X]
    star = np.abs(y - 28) < 6
    geometry = SkyGeometry(x - 3 * y / N_Y, ~star, knot_spacing=0.75, spatial_degree=0)
    correlation = column_correlations(geometry, star.astype(float), n_lags=12)
    variance = geometry.aperture_variance(star.astype(float))
    wide = (variance * (1 + 2 * correlation.sum(axis=0)))[40:120].mean()
    rows = star.sum(axis=0)[0]
    assert wide == pytest.approx(rows**2 / (N_Y - rows), rel=0.02)
    assert variance[40:120].mean() > 1.2 * wide  # what independent columns would have given


def test_columns_without_sky_have_nothing_in_common():
    geometry = make_geometry(3, 0.75)
    weights = STAR.astype(float)
    weights[:, 50] = 0
    found = column_correlations(geometry, weights, n_lags=2)
    assert found.shape == (2, N_X)
    assert found[0, 49] == found[0, 50] == found[1, 48] == found[1, 50] == 0
    assert found[0, 20] != 0
    assert np.all(found[1, -2:] == 0)  # there is no column to the right
