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


def test_lines_that_are_not_where_they_should_be_are_noticed():
    def lines(u):
        return 50 + 3000 * np.exp(-0.5 * ((u - 50) / 1.5) ** 2)

    data = np.random.default_rng(1).poisson(lines(X - 0.1 * Y)) * 1.0
    sky = np.abs(Y - 20) > 5
    # the quadratic along the slit takes up what is wrong by half a pixel, but not by 1.4
    right, wrong = (SkyGeometry(X - tilt * Y, sky).fit(data, 4.0) for tilt in (0.1, 0.03))
    # flanks of one line: about 3 pixels on each side in 29 rows
    assert abs(right.line_excess(data) - 1) < 4 / np.sqrt(2 * 170)
    assert wrong.line_excess(data) > 1.3


def test_without_lines_nothing_is_said_about_them(fit):
    assert np.isnan(fit.line_excess(np.full(X.shape, 50.0)))


@pytest.mark.parametrize("degree", [0, 2])
def test_what_was_left_out_raises_the_variance(degree):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:160, :100].astype(float)
    sky, aperture = np.abs(y - 80) > 20, (np.abs(y - 80) <= 8).astype(float)
    expected = np.full(x.shape, 54.0)
    geometry = SkyGeometry(x - 0.025 * y, sky, spatial_degree=degree, variance=expected)
    data = rng.normal(50.0, np.sqrt(expected))
    whole = geometry.aperture_variance(aperture)
    inner = slice(8, 92)  # in the corners few rows see a wavelength
    for lost in (0.01, 0.1):
        mask = rng.random(x.shape) < lost
        left = geometry.fit(data, 4.0, mask=mask, sigma=None)
        exact = geometry.weighted(expected, left_out=mask).aperture_variance(aperture)
        raised = left.aperture_variance(aperture) / geometry.aperture_variance(
            aperture, left.variance
        )
        ratio = (whole * raised / exact)[inner]
        assert abs(np.mean(ratio) - 1) < 0.01
        # in one column it matters which pixels are lost: those far from the star, or near it
        near = np.count_nonzero(sky[:, 50]) * geometry.knot_spacing
        assert np.std(ratio) < (1 + degree) * np.sqrt(lost / near)
        assert abs(np.mean((whole / exact)[inner]) - (1 - lost)) < 0.02


def test_around_a_star_the_variance_is_the_same_and_follows_the_noise(fit):
    centre = 20 + np.linspace(-1, 1, 100)
    first = np.rint(centre).astype(int) - 7
    rows = first + np.arange(15)[:, np.newaxis]
    weights = np.exp(-0.5 * ((rows - centre) / 2.0) ** 2)
    frame = np.zeros(X.shape)
    frame[rows, np.arange(100)] = weights
    data = np.full(X.shape, 50.0)
    data[5:9, 30] = 5000.0  # hits
    for found in (fit, fit.geometry.fit(data, 4.0), fit.geometry.fit(3 * data, 4.0)):
        quick = found.around(first, 15)(weights)
        np.testing.assert_allclose(quick, found.aperture_variance(frame), rtol=0.01)
