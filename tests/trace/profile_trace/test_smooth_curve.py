"""A smooth curve finds its degree and is not moved by outliers."""

import numpy as np
import pytest
from astropy.modeling.models import Chebyshev1D, Gaussian1D, Linear1D

from slitlapse.trace.profile_trace.smooth_curve import fit_smooth_curve

AT = np.arange(1000)
POINTS = np.linspace(5, 995, 100)


def truth(x):
    return 3 + 2e-5 * (x - 400) ** 2


def test_outliers_do_not_move_the_curve_and_its_error_is_honest():
    rng, pulls = np.random.default_rng(0), []
    for _ in range(100):
        y = truth(POINTS) + rng.normal(0, 0.02, POINTS.size)
        bad = rng.choice(100, 5, replace=False)
        y[bad] += 5
        curve = fit_smooth_curve(POINTS, y, np.full(POINTS.size, 0.02), AT, 2, 4.0)
        assert not curve.keep[bad].any()
        pulls.append((curve.value[500] - truth(500)) / curve.sigma[500])
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(200)


@pytest.mark.parametrize("degree", [0, 1, 3, 6])
def test_the_degree_is_found_and_the_error_covers_the_choice(degree):
    rng, pulls, degrees = np.random.default_rng(degree), [], []
    shape = np.polynomial.Legendre([1.0] * (degree + 1), domain=[0, 999])
    for _ in range(100):
        y = shape(POINTS) + rng.normal(0, 0.3, POINTS.size)
        curve = fit_smooth_curve(POINTS, y, np.full(POINTS.size, 0.3), AT)
        degrees.append(curve.degree)
        pulls.append((curve.value[::200] - shape(AT[::200])) / curve.sigma[::200])
    assert np.mean(np.array(degrees) == degree) > 0.85  # BIC adds a term in some 4 per cent
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * 100 * min(degree + 1, 5))


def test_models_of_other_kinds_say_the_same_where_they_can():
    error = np.full(POINTS.size, 0.1)
    for model in (2, "spline", Chebyshev1D(2)):
        curve = fit_smooth_curve(POINTS, truth(POINTS), error, AT, model)
        assert np.allclose(curve.value, truth(AT), atol=1e-6)
    line = fit_smooth_curve(POINTS, 2 + 0.1 * POINTS, error, AT, Linear1D())
    assert np.allclose(line.value, 2 + 0.1 * AT)
    with pytest.raises(ValueError, match="linear in its parameters"):
        fit_smooth_curve(POINTS, POINTS, error, AT, Gaussian1D())


def test_far_beyond_its_points_a_curve_goes_on_straight_or_level():
    x = POINTS[POINTS < 500]
    error = np.full(x.size, 0.1)
    straight = fit_smooth_curve(x, truth(x), error, AT, 2)
    level = fit_smooth_curve(x, truth(x), error, AT, 2, level_ends=True)
    assert np.allclose(np.diff(straight.value[600:]), straight.value[-1] - straight.value[-2])
    assert np.allclose(level.value[600:], level.value[-1])
    assert np.allclose(straight.value[:500], truth(AT[:500]), atol=1e-6)


def test_what_a_smooth_curve_cannot_follow_is_no_outlier():
    y = truth(POINTS) + 0.05 * (abs(POINTS - 300) < 20)
    error = np.full(POINTS.size, 1e-3)
    assert not fit_smooth_curve(POINTS, y, error, AT, 2).keep.all()
    assert fit_smooth_curve(POINTS, y, error, AT, 2, floor=0.05).keep.all()


@pytest.mark.parametrize("level", [True, False])
def test_points_of_hardly_any_weight_do_not_hold_the_end_of_a_curve(level):
    rng = np.random.default_rng(2)
    x = np.linspace(0, 999, 60)
    error = np.where(x < 300, 3.0, 0.01)
    truth = 5 + np.sin(x / 250)
    at = np.arange(1000.0)
    curve = fit_smooth_curve(
        x, truth + error * rng.standard_normal(60), error, at, level_ends=level, floor=0.02
    )
    first, last = curve.reach
    assert 100 < first < 400
    assert curve.sigma[int(np.ceil(first))] < 3.1 * 0.02
    assert last > 990
    assert np.abs(curve.value - 5 - np.sin(at / 250))[at > 400].max() < 0.05
    step = np.diff(curve.value[: int(first)])
    assert np.ptp(step) < 1e-9
    assert np.abs(step).max() < (1e-9 if level else 0.01)
    # the error goes on growing: nothing is known there
    assert curve.sigma[0] > 0.1
