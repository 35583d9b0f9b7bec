"""Bins and what they share are solved as one large least-squares problem would be."""

import numpy as np

from slitlapse.trace.profile_trace.solve_bins import add_up_bins

N_X, STARTS = 120, np.arange(0, 120, 20)


def problem(seed=0):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(N_X, 9, 4))
    data = rng.normal(size=(N_X, 9))
    info = np.einsum("xni,xnj->xij", design, design)
    return design, data, info, np.einsum("xni,xn->xi", design, data)


def test_steps_agree_with_one_large_fit():
    design, data, info, gradient = problem()
    bins = add_up_bins(info, gradient, np.arange(N_X), STARTS)
    large = np.zeros((N_X, 9, 2 * STARTS.size + 2))
    for number in range(STARTS.size):
        part = slice(20 * number, 20 * number + 20)
        large[part, :, 2 * number : 2 * number + 2] = design[part, :, :2]
    large[:, :, -2:] = design[:, :, 2:]
    matrix = large.reshape(-1, large.shape[2])
    truth = np.linalg.lstsq(matrix, data.ravel(), rcond=None)[0]
    common = bins.common_steps()
    assert np.allclose(common, truth[-2:])
    steps, sigma = bins.local_steps(np.tile(common, (STARTS.size, 1)))
    assert np.allclose(steps.ravel(), truth[:-2])
    covariance = np.linalg.inv(matrix.T @ matrix)
    assert np.allclose(sigma.ravel(), np.sqrt(np.diag(covariance)[:-2]))


def test_the_last_step_of_each_bin_is_its_own():
    design, data, info, gradient = problem(1)
    bins = add_up_bins(
        info[:, [0, 1, 3]][:, :, [0, 1, 3]], gradient[:, [0, 1, 3]], np.arange(N_X), STARTS
    )
    step, sigma = bins.last_by_bin()
    matrix = design[:20][:, :, [0, 1, 3]].reshape(-1, 3)
    truth = np.linalg.lstsq(matrix, data[:20].ravel(), rcond=None)[0]
    assert np.isclose(step[0], truth[-1])
    assert np.isclose(sigma[0], np.sqrt(np.linalg.inv(matrix.T @ matrix)[-1, -1]))


def test_empty_bins_say_nothing():
    _, _, info, gradient = problem(2)
    info[20:40], gradient[20:40] = 0, 0
    bins = add_up_bins(info, gradient, np.arange(N_X), STARTS)
    assert list(np.flatnonzero(bins.empty)) == [1]
    assert bins.x[1] == np.arange(20, 40).mean()
    steps, sigma = bins.local_steps(np.zeros((STARTS.size, 2)))
    assert np.all(steps[1] == 0)
    assert np.all(np.isinf(sigma[1]))


def test_the_place_of_a_bin_is_where_its_light_is():
    _, _, info, gradient = problem(3)
    info[:15] *= 1e-6
    weight = info[:20, 0, 0]
    bins = add_up_bins(info, gradient, np.arange(N_X), STARTS)
    assert np.isclose(bins.x[0], (weight * np.arange(20)).sum() / weight.sum())
