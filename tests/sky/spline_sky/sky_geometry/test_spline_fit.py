"""Tests of the record of one exposure's sky."""

import dataclasses

import numpy as np
import pytest

from slitlapse.sky import SkyGeometry, SplineFit

Y, X = np.mgrid[:40, :100].astype(float)


@pytest.fixture
def fit():
    return SkyGeometry(X - 0.1 * Y, np.abs(Y - 20) > 5).fit(np.full(X.shape, 50.0), 4.0)


def test_it_is_frozen_and_can_be_built_by_hand(fit):
    fields = {f.name: getattr(fit, f.name) for f in dataclasses.fields(fit)}
    again = SplineFit(**fields)
    np.testing.assert_array_equal(again.good, fit.good)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.model = 0


def test_its_aperture_variance_is_scaled_to_its_own_noise(fit):
    aperture = (np.abs(Y - 20) <= 4).astype(float)
    louder = dataclasses.replace(fit, variance=3 * fit.variance)
    np.testing.assert_allclose(
        louder.aperture_variance(aperture), 3 * fit.aperture_variance(aperture)
    )
    np.testing.assert_allclose(fit.variance[20, 10:90], 54.0, rtol=1e-6)
