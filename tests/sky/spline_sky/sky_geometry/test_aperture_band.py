"""Tests of the covariance of the sky in the rows around a star."""

import numpy as np
import pytest

from slitlapse.sky import SkyGeometry
from slitlapse.sky.spline_sky.sky_geometry.aperture_band import NEGLECTED, ApertureBand

N_Y, N_X, N_ROWS = 120, 300, 31
Y, X = np.mgrid[:N_Y, :N_X].astype(float)
SLIT = (Y - 59.5) / 59.5
CENTRE = 55 + 4 * np.sin(np.arange(N_X) / 80)
FIRST = np.rint(CENTRE).astype(int) - N_ROWS // 2
ROWS = FIRST + np.arange(N_ROWS)[:, np.newaxis]
STAR = np.abs(Y - CENTRE) < 12


def make_geometry(tilt, degree):
    variance = 50 + 2000 * np.exp(-0.5 * ((X - tilt * SLIT - 150) / 2) ** 2)
    return SkyGeometry(X - tilt * SLIT, ~STAR, spatial_degree=degree, variance=variance)


def on_frame(weights):
    frame = np.zeros((N_Y, N_X))
    frame[ROWS, np.arange(N_X)] = weights
    return frame


def weights_of_all_kinds():
    """Boxes, profiles of several widths, and a profile less its neighbour."""
    away = ROWS - CENTRE
    profiles = [np.exp(-0.5 * (away / width) ** 2) for width in (1.5, 3.0, 5.0)]
    boxes = [np.clip(half + 0.5 - np.abs(away), 0, 1) for half in (3.0, 8.0, 12.0)]
    neighbour = np.exp(-0.5 * ((away - 9) / 3.0) ** 2)
    return [*profiles, *boxes, profiles[1] - 0.3 * neighbour]


@pytest.mark.parametrize(("tilt", "degree"), [(0.0, 1), (3.0, 0), (3.0, 2), (25.0, 0), (25.0, 2)])
def test_the_variance_is_that_of_the_whole_covariance(tilt, degree):
    geometry = make_geometry(tilt, degree)
    band = geometry.band(FIRST, N_ROWS)
    inner = np.abs(X[0] - 150) < 150 - tilt - 3
    for weights in weights_of_all_kinds():
        exact = geometry.aperture_variance(on_frame(weights))
        quick = band.variance(weights)
        np.testing.assert_array_equal(np.isnan(quick), np.isnan(exact))
        # what is neglected is a share of the band's whole variance, which is that of
        # independent pixels summed; sums of many rows are far above it
        assert np.abs(quick / exact - 1)[inner].max() < 20 * NEGLECTED


def test_a_star_that_drifts_finds_its_band_again():
    geometry = make_geometry(3.0, 0)
    first = geometry.band(FIRST, N_ROWS)
    moved = FIRST + np.where(X[0] > 170, 3, 2)
    weights = np.ones((N_ROWS, N_X))
    frame = np.zeros((N_Y, N_X))
    frame[moved + np.arange(N_ROWS)[:, np.newaxis], np.arange(N_X)] = 1.0
    again = geometry.band(moved, N_ROWS)
    assert np.shares_memory(first.factor, geometry.band(FIRST, N_ROWS).factor)
    assert len(geometry._bands) == 1
    np.testing.assert_allclose(
        again.variance(weights), geometry.aperture_variance(frame), rtol=5e-3
    )
    geometry.band(FIRST + 20, N_ROWS)
    assert len(geometry._bands) == 2


def test_the_order_in_which_exposures_come_changes_no_bit():
    weights = weights_of_all_kinds()[0]
    drifts = [-20, -7, 0, 5, 12, 18]  # also beyond what was prepared
    found = []
    for order in (drifts, drifts[::-1]):
        geometry = make_geometry(3.0, 1)
        geometry.prepare(FIRST, N_ROWS)
        given = {drift: geometry.band(FIRST + drift, N_ROWS).variance(weights) for drift in order}
        found.append([given[drift].tobytes() for drift in drifts])
    assert found[0] == found[1]


def test_pixels_without_sky_have_no_variance():
    geometry = make_geometry(3.0, 0)
    high = np.full(N_X, N_Y - 10)
    weights = np.zeros((N_ROWS, N_X))
    weights[5] = 1.0
    inner = np.abs(X[0] - 150) < 140
    assert np.isfinite(geometry.band(high, N_ROWS).variance(weights)[inner]).all()
    weights[10, 100] = 1.0  # beyond the frame
    assert np.isnan(geometry.band(high, N_ROWS).variance(weights)[100])


def test_a_band_by_hand():
    factor = np.array([[[1.0], [2.0]], [[0.0], [1.0]]], dtype=np.float32)
    band = ApertureBand(np.array([0]), factor, np.ones((2, 1), dtype=bool))
    assert band.variance(np.array([[1.0], [-1.0]])) == pytest.approx([2.0])
    assert band.holds(np.array([1]), 1)
    assert not band.holds(np.array([1]), 2)
    assert band.cut(np.array([1]), 1).variance(np.array([[1.0]])) == pytest.approx([5.0])
