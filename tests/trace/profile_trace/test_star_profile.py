"""A profile integrated over pixels is exact, and so are its slopes."""

import numpy as np
import pytest

from slitlapse.trace.profile_trace.star_profile import profile_evaluator
from slitlapse.trace.simulate import star_image

ROWS = np.arange(60.0)[:, None]


@pytest.mark.parametrize(("family", "beta"), [("gaussian", None), ("moffat", 2.0), ("moffat", 6.0)])
def test_the_profile_agrees_with_the_exact_one(family, beta):
    center, width = np.array([29.7, 31.2]), np.array([1.1, 2.7])
    shape = {} if beta is None else {"beta": beta}
    exact = star_image((60, 2), center, width, profile=family, **shape)
    assert np.allclose(profile_evaluator(family, beta)(ROWS, center, width)[0], exact, atol=1e-7)


@pytest.mark.parametrize(("family", "beta"), [("gaussian", None), ("moffat", 3.0)])
def test_slopes_are_the_differences_of_profiles(family, beta):
    evaluate = profile_evaluator(family, beta)
    _, by_center, by_width = evaluate(ROWS, 30.0, 2.0)
    h = 0.01
    steps = evaluate(ROWS, 30 + h, 2.0)[0] - evaluate(ROWS, 30 - h, 2.0)[0]
    assert np.allclose(by_center, steps / (2 * h), atol=1e-4)
    steps = evaluate(ROWS, 30.0, 2 * np.exp(h))[0] - evaluate(ROWS, 30.0, 2 * np.exp(-h))[0]
    assert np.allclose(by_width, steps / (2 * h), atol=1e-4)


def test_the_slope_of_the_wings_is_the_difference_of_profiles():
    *_, by_shape = profile_evaluator("moffat", 3.0, wings=True)(ROWS, 30.0, 2.0)
    h = 0.01
    far, near = (profile_evaluator("moffat", 1 / (1 / 3 + d))(ROWS, 30.0, 2.0)[0] for d in (h, -h))
    assert np.allclose(by_shape, (far - near) / (2 * h), atol=1e-4)


def test_the_shape_may_change_along_the_spectrum():
    beta = np.linspace(2.5, 4.0, 5)
    together = profile_evaluator("moffat", beta)(ROWS, np.full(5, 30.2), np.full(5, 2.0))
    for k, value in enumerate(beta):
        alone = profile_evaluator("moffat", value)(ROWS, 30.2, 2.0)
        for part, single in zip(together, alone, strict=True):
            assert np.allclose(part[:, k], single[:, 0], atol=1e-4)


def test_single_precision_costs_a_ten_millionth_wherever_the_star_lies():
    rows = np.arange(2000.0, 2060.0)[:, None]
    center, width = np.array([2029.73, 2031.21]), np.array([1.1, 2.7])
    exact = profile_evaluator("moffat", 3.0)(rows, center, width)[0]
    single = profile_evaluator("moffat", 3.0, np.float32)(rows, center, width)[0]
    assert single.dtype == np.float32
    assert abs(single - exact).max() < 4e-7


def test_pixels_need_not_follow_each_other():
    every = profile_evaluator("gaussian")(ROWS, 30.3, 2.0)
    for part, some in zip(every, profile_evaluator("gaussian")(ROWS[::3], 30.3, 2.0), strict=True):
        assert np.allclose(part[::3], some, atol=1e-9)
