"""Tests of banded splines against dense algebra."""

import pickle

import numpy as np
import pytest
from scipy.interpolate import BSpline

from slitlapse.sky.spline_sky.sky_geometry.banded_splines import BandedSplines

N_Y, N_X = 40, 60
Y, X = np.mgrid[:N_Y, :N_X].astype(float)
COORDINATE = X + 0.1 * Y + 0.002 * Y**2
EVERYWHERE = np.ones((N_Y, N_X), dtype=bool)
WEIGHTS = 1 + 0.5 * np.sin(X + Y)


def dense(splines):
    """Return the design matrix made by scipy, one column per spline and polynomial."""
    h, knots = splines.spacing, splines.knots
    beyond = h * np.arange(1, 4)
    t = np.r_[knots[0] - beyond[::-1], knots, knots[-1] + beyond]
    b = BSpline(t, np.eye(splines.n_knots), 5, extrapolate=False)(COORDINATE.ravel())
    along = np.repeat(splines.along, N_X, axis=0)
    return (np.nan_to_num(b)[:, :, np.newaxis] * along[:, np.newaxis]).reshape(len(b), -1)


@pytest.fixture(params=[(1.0, 0), (0.8, 2)], ids=["constant", "quadratic"])
def splines(request):
    return BandedSplines(COORDINATE, EVERYWHERE, *request.param)


def test_evaluation_and_moments_are_those_of_scipys_splines(splines):
    rng = np.random.default_rng(1)
    matrix = dense(splines)
    coefficients, values = rng.normal(size=matrix.shape[1]), rng.normal(size=(N_Y, N_X))
    # single precision: each product is rounded, and each of its partial sums
    expected, eps = matrix @ coefficients, np.finfo(np.float32).eps
    bound = 5 * eps * np.max(np.abs(matrix) @ np.abs(coefficients))
    np.testing.assert_allclose(splines.evaluate(coefficients).ravel(), expected, atol=bound)
    most = np.max(np.count_nonzero(matrix, axis=0))
    bound = np.sqrt(most) * eps * np.max(np.abs(matrix).T @ np.abs(values.ravel()))
    np.testing.assert_allclose(splines.moments(values), matrix.T @ values.ravel(), atol=bound)


def test_sent_to_another_process_they_are_lighter_and_the_same_to_the_bit(splines):
    sent = pickle.dumps(splines)
    assert len(sent) < 1.3 * (splines.taps.nbytes + splines.interval.nbytes) + 5000
    received, values = pickle.loads(sent), np.random.default_rng(1).normal(size=(N_Y, N_X))
    assert received.moments(values).tobytes() == splines.moments(values).tobytes()


def test_the_solution_is_least_squares(splines):
    values = np.random.default_rng(2).normal(size=(N_Y, N_X))
    root = np.sqrt(WEIGHTS).ravel()
    matrix = dense(splines) * root[:, np.newaxis]
    expected = dense(splines) @ np.linalg.lstsq(matrix, values.ravel() * root, rcond=None)[0]
    found = splines.solve(splines.factorise(WEIGHTS), splines.moments(WEIGHTS * values))
    # the ends, seen by few pixels, are left to the two ways of choosing among many solutions
    inner = (COORDINATE > 17) & (COORDINATE < 45)
    np.testing.assert_allclose(
        splines.evaluate(found)[inner], expected.reshape(N_Y, N_X)[inner], atol=1e-4
    )


def test_whitening_gives_chi_square(splines):
    factor = splines.factorise(WEIGHTS)
    vector = np.random.default_rng(3).normal(size=splines.n_knots * splines.n_terms)
    matrix = dense(splines)
    expected = vector @ (matrix.T * WEIGHTS.ravel()) @ matrix @ vector
    np.testing.assert_allclose(np.sum(splines.whiten(factor, vector) ** 2), expected, rtol=1e-6)


def test_rows_of_pixels_are_rows_of_the_matrix(splines):
    pixels = np.array([0, 17, 1200, 2399])
    entries, index = splines.rows_of(pixels)
    rows = np.zeros((4, splines.n_knots * splines.n_terms))
    for row, entry, at in zip(rows, entries, index, strict=True):
        row[at] = entry
    # single precision: the five steps of a polynomial are rounded
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(rows, dense(splines)[pixels], rtol=5 * eps, atol=1e-12)


def test_the_variance_of_a_sum_is_that_of_dense_algebra():
    # a wide image, so that aliases of the probes are far away
    y, x = np.mgrid[:20, :150].astype(float)
    coordinate = x + 0.1 * y
    splines = BandedSplines(coordinate, np.ones(x.shape, dtype=bool), 1.0, 1)
    factor = splines.factorise(np.ones(x.shape))
    n = splines.n_knots * splines.n_terms
    covariance = splines.solve(factor, np.eye(n))
    aperture = ((y >= 5) & (y < 12)) * (1 + 0.1 * y)
    design = np.zeros((150, n))
    for column in range(150):
        entries, index = splines.rows_of(np.arange(20) * 150 + column)
        np.add.at(design[column], index, entries * aperture[:, column, np.newaxis])
    expected = np.einsum("xi,ij,xj->x", design, covariance, design)
    found = splines.sum_variance(aperture, splines.inverse_band(factor))
    np.testing.assert_allclose(found[5:-5], expected[5:-5], rtol=1e-5)


def test_pixels_without_coordinate_are_unknown_and_zero():
    coordinate = COORDINATE.copy()
    coordinate[3, 4] = np.nan
    splines = BandedSplines(coordinate, np.isfinite(coordinate), 1.0, 0)
    assert not splines.supported[3, 4]
    assert splines.evaluate(np.ones(splines.n_knots))[3, 4] == 0
