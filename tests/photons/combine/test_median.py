"""The middle of many frames, and its error."""

import numpy as np
import pytest

from slitlapse.photons.combine.median import median, median_factor


@pytest.mark.parametrize("n", [1, 2, 3, 8, 33, 64, 65, 130])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_the_fast_median_is_that_of_numpy_with_and_without_holes(n, holes):
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n, 400)).astype(np.float32)
    values[rng.uniform(size=values.shape) < holes] = np.nan
    values[:, 0] = 1.0
    none = np.isnan(values).all(axis=0)
    found = median(values)
    assert np.isnan(found[none]).all()
    assert np.allclose(found[~none], np.nanmedian(values[:, ~none], axis=0), atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 10, 25, 60])
def test_a_median_is_worse_than_a_mean_by_the_factor(n):
    rng, n_draws = np.random.default_rng(n), 20000
    medians = np.median(rng.normal(size=(n, n_draws)), axis=0)
    expected = median_factor(n) / np.sqrt(n)
    # the errors in print have four digits
    assert abs(np.std(medians) / expected - 1) < 4 / np.sqrt(2 * n_draws) + 1e-3


def test_the_factor_of_many_is_root_of_half_pi():
    assert median_factor(10**6) == pytest.approx(np.sqrt(np.pi / 2), rel=1e-5)
