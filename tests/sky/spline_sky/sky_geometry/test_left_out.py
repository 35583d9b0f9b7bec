"""Tests of leaving pixels out without a new factorisation."""

import numpy as np
import pytest

from slitlapse.sky.spline_sky.sky_geometry.banded_splines import BandedSplines
from slitlapse.sky.spline_sky.sky_geometry.left_out import solve_without

Y, X = np.mgrid[:80, :60].astype(float)
COORDINATE = X - 0.03 * Y


@pytest.fixture(scope="module")
def splines():
    return BandedSplines(COORDINATE, np.ones(X.shape, dtype=bool), 1.0, 1)


@pytest.mark.parametrize("lost", [0.0, 0.003, 0.1])
def test_the_solution_is_that_of_the_normal_equations_without_the_pixels(splines, lost):
    rng = np.random.default_rng(1)
    data, weights = rng.normal(100.0, 10.0, X.shape), rng.uniform(0.5, 2.0, X.shape) / 100
    out = rng.random(X.shape) < lost
    factor = splines.factorise(weights)
    found = solve_without(
        splines, factor, splines.moments(weights * data), data, weights, np.flatnonzero(out)
    )
    kept = weights * ~out
    exact = splines.solve(splines.factorise(kept), splines.moments(kept * data))
    away = splines.whiten(factor, found - exact)
    # in units of the errors of the whole fit; the corners may keep too few pixels to tell, which
    # fades over some splines (of two terms each)
    assert np.sum(away[20:-20] ** 2) < 1e-6


def test_too_many_missing_pixels_are_told(splines):
    weights = np.ones(X.shape)
    data = np.random.default_rng(2).normal(0.0, 1.0, X.shape)
    factor = splines.factorise(weights)
    most = np.flatnonzero((np.abs(X - 30) < 20) & (Y > 1))
    assert solve_without(splines, factor, splines.moments(data), data, weights, most) is None
