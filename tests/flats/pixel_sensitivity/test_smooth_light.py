"""Surfaces and profiles that went in come back, and blocks of columns cost little memory."""

import tracemalloc

import numpy as np
import pytest
from scipy.interpolate import BSpline

from slitlapse.flats.pixel_sensitivity.smooth_light import (
    SlitProfile,
    SplineSurface,
    fit_smooth_light,
)

SHAPE = (120, 300)


def blocks(n_x, size=128):
    return [slice(x, min(x + size, n_x)) for x in range(0, n_x, size)]


def dense_splines(n, spacing):
    inner = np.linspace(-0.5, n - 0.5, max(round(n / spacing), 1) + 1)
    knots = np.concatenate([inner[:1].repeat(3), inner, inner[-1:].repeat(3)])
    return BSpline.design_matrix(np.arange(n, dtype=float), knots, 3).toarray()


def test_a_surface_is_the_dense_weighted_least_squares_fit():
    rng = np.random.default_rng(1)
    shape, spacing = (40, 70), (15, 20)
    values, weight = rng.normal(10, 1, shape), rng.uniform(0.1, 2, shape)
    factor = rng.uniform(0.5, 1.5, shape)
    weight[5:9, 10:30] = 0
    design = np.kron(dense_splines(40, 15), dense_splines(70, 20)) * factor.ravel()[:, None]
    root = np.sqrt(weight.ravel())
    wanted = np.linalg.lstsq(design * root[:, None], values.ravel() * root, rcond=None)[0]
    wanted = (design @ wanted).reshape(shape) / factor
    values[5:9, 10:30] = np.nan  # what has no weight may be anything
    surface = SplineSurface(shape, spacing)
    for block in blocks(70, 32):
        surface.add(block, values[:, block], weight[:, block], factor[:, block])
    surface.solve()
    found = np.hstack([surface(block) for block in blocks(70, 32)])
    assert np.allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("n_slits", [1, 2])
def test_profiles_that_move_with_the_edges_come_back(n_slits):
    rows, x = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])
    shift = np.array([5 * (x / SHAPE[1] - 0.5), 3 * (x / SHAPE[1] - 0.5) ** 2])[:n_slits]
    number = np.where(rows < 60, 0, n_slits - 1).repeat(SHAPE[1], axis=1)
    number[55:62] = -1
    level = np.array([1.0, 1.7])
    place = rows - shift[np.maximum(number, 0), x]
    truth = level[np.maximum(number, 0)] * (1 - 0.05 * np.exp(-0.5 * ((place - 30) / 2) ** 2))
    truth *= 1 - 0.03 * np.exp(-0.5 * ((place - 90) / 3) ** 2)
    lit = number >= 0
    truth /= truth[lit].mean()
    profile = SlitProfile(shift, number)
    weight = lit.astype(float)
    for block in blocks(SHAPE[1]):
        profile.add(
            block, 50 * truth[:, block], weight[:, block], np.full_like(truth[:, block], 50)
        )
    profile.solve()
    found = np.hstack([profile(block) for block in blocks(SHAPE[1])])
    # bins of 1/8 pixel, and knots a pixel apart under a blemish of 2 pixels
    assert np.abs(found / truth - 1)[lit].max() < 1e-3
    assert np.all(found[~lit] == 1)


def test_light_without_noise_comes_back_and_dead_columns_do_not_pull_it():
    x, y = np.linspace(-1, 1, SHAPE[1]), np.linspace(-1, 1, SHAPE[0])[:, None]
    light = 20000 * (1 + 0.5 * x - 0.2 * x**2) * (1 - 0.1 * y**2)
    flat = light.copy()
    flat[:, 100:102] *= 0.02
    found = fit_smooth_light(flat, np.sqrt(light), np.ones(SHAPE, bool))
    assert np.abs(found / light - 1).max() < 1e-4


def test_blocks_of_columns_need_less_memory_than_four_double_images():
    rng = np.random.default_rng(2)
    shape = (512, 4096)
    flat = rng.normal(10000, 100, shape).astype(np.float32)
    error, use = np.full(shape, 100, np.float32), np.ones(shape, bool)
    profile = SlitProfile(np.zeros((1, shape[1])), np.zeros(shape, np.int8))
    tracemalloc.start()
    try:
        fit_smooth_light(flat, error, use, profile=profile)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 8 * flat.size
