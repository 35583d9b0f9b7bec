"""Combining arrays: what is rejected, and how well the noise is known."""

import numpy as np
import pytest

from slitlapse.photons.combine.stack import combine_stack, median, median_factor

SHAPE = (100, 200)


@pytest.mark.parametrize("sigma", [0.6, 1.2, 4.0])
@pytest.mark.parametrize("n", [3, 5, 9, 70])
def test_integers_of_little_noise_are_not_taken_for_hits(n, sigma):
    rng = np.random.default_rng(n)
    truth = 1000 + rng.uniform(-0.5, 0.5, SHAPE)
    stack = np.rint(truth + rng.normal(0, sigma, (n, *SHAPE))).astype(np.float32)
    value, error, _, lost = combine_stack(stack, None, "mean", 5.0)
    assert lost.sum() < 2e-5 * stack.size  # 6e-7 beyond 5 sigma, more about a median of three
    pull = (value - truth) / error
    # rounding 0.6 adu to integers leaves 1 % that depends on where in the step the level lies
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.03


@pytest.mark.parametrize("n", [3, 8, 30])
def test_noise_that_grows_with_signal_is_known_at_each_signal(n):
    rng = np.random.default_rng(n)
    truth = np.linspace(100, 40000, SHAPE[1]) * np.ones(SHAPE)
    stack = rng.normal(truth, np.sqrt(truth + 25), (n, *SHAPE)).astype(np.float32)
    hits = rng.uniform(size=stack.shape) < 3e-3
    stack[hits] += 30000
    _, error, count, lost = combine_stack(stack, None, "mean", 5.0)
    expected = np.sqrt((truth + 25) / count)
    # at a few dozen signals, between which the noise is taken to change evenly
    assert np.all(np.abs(error / expected - 1)[:, 10:-4] < 0.1)
    assert abs(np.mean(error / expected) - 1) < 0.03
    assert abs(lost.sum() / hits.sum() - 1) < 0.05


def test_values_lost_are_counted_by_frame_and_by_pixel():
    rng = np.random.default_rng(1)
    stack = rng.normal(100, 2, (6, *SHAPE)).astype(np.float32)
    sigmas = np.full(stack.shape, 2, np.float32)
    stack[4, 7, :50] = np.nan
    stack[2, 8, 9] = 900
    for method in ("mean", "median"):
        value, error, count, lost = combine_stack(stack, sigmas, method, 6.0)
        assert lost.tolist() == [0, 0, 1, 0, 50, 0]
        assert count[8, 9] == 5 and np.all(count[7, :50] == 5)
        assert abs(value[8, 9] - 100) < 5 * error[8, 9]


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


def test_the_median_of_many_integers_is_known_no_better_than_their_step():
    rng = np.random.default_rng(1)
    truth = 1000 + rng.uniform(-0.5, 0.5, SHAPE)
    stack = np.rint(truth + rng.normal(0, 3.0, (150, *SHAPE))).astype(np.float32)
    value, error, _, _ = combine_stack(stack, None, "median", 5.0)
    pull = (value - truth) / error
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.03
