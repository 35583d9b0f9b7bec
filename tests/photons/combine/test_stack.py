"""Combining arrays: what is rejected, and how well the noise is known."""

import numpy as np
import pytest

from slitlapse.photons.combine.stack import combine_stack

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
