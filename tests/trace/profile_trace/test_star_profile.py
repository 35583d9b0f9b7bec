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
