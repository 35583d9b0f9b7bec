"""The template: a spline that is exact on cubics and as stiff as the noise asks."""

import numpy as np

from slitlapse.wavelength.spectral_shift.joint_fit.spline_template import (
    banded_inverse,
    banded_trace,
    cubic_basis,
    interpolating_spline,
    likeliest_stiffness,
    roughness,
    solve_spline,
    spline_at_knots,
    spline_equations,
)

SIZE = 220


def test_basis_splines_sum_to_one_and_their_slopes_are_derivatives():
    part = np.linspace(0, 1, 11)
    value, slope = cubic_basis(part)
    np.testing.assert_allclose(value.sum(axis=0), 1)
    np.testing.assert_allclose(slope.sum(axis=0), 0, atol=1e-15)
    step = 1e-6
    numeric = (cubic_basis(part + step)[0] - cubic_basis(part - step)[0]) / (2 * step)
    np.testing.assert_allclose(slope, numeric, atol=1e-8)


def test_an_interpolating_spline_passes_through_its_values():
    values = np.random.default_rng(0).normal(size=100)
    spline = interpolating_spline(values, 5)
    assert spline.shape == (110,)
    np.testing.assert_allclose(spline_at_knots(spline)[4:-4], values, atol=1e-12)


def test_a_parabola_costs_no_roughness():
    band = roughness(50)
    matrix = np.diag(band[0])
    for k in (1, 2, 3):
        matrix += np.diag(band[k][:-k], -k) + np.diag(band[k][:-k], k)
    x = np.arange(50.0)
    assert abs(x**2 @ matrix @ x**2) < 1e-9 * (x**4).sum() + 1e-6
    assert x**3 @ matrix @ x**3 > 100


def test_points_between_the_knots_are_fitted():
    rng = np.random.default_rng(1)
    place = rng.uniform(2, SIZE - 4, 5000)
    value = np.sin(place / 8)
    index = np.floor(place).astype(int)
    band, right = spline_equations(index, place - index, np.ones(5000), value, SIZE)
    spline = solve_spline(band, right, 1e-6)
    knots = np.arange(1, SIZE - 1)
    np.testing.assert_allclose(spline_at_knots(spline)[5:-5], np.sin(knots / 8)[5:-5], atol=1e-3)


def test_noise_makes_the_template_stiffer():
    rng = np.random.default_rng(2)
    place = rng.uniform(2, SIZE - 4, 2000)
    index = np.floor(place).astype(int)
    chosen = []
    for noise in (0.01, 3.0):
        value = np.sin(place / 3) + rng.normal(0, noise, 2000)
        weight = np.full(2000, noise**-2.0)
        band, right = spline_equations(index, place - index, weight, weight * value, SIZE)
        chosen.append(likeliest_stiffness(band, right))
    assert chosen[1] > 10 * chosen[0]


def test_slopes_have_equations_of_their_own():
    rng = np.random.default_rng(3)
    place = rng.uniform(2, SIZE - 4, 3000)
    index = np.floor(place).astype(int)
    told = (np.ones(3000), np.cos(place / 8) / 8, SIZE)
    band, right = spline_equations(index, place - index, *told, slope=True)
    slopes = spline_at_knots(np.gradient(solve_spline(band, right, 1e-6)))
    np.testing.assert_allclose(slopes[5:-5], np.cos(np.arange(6, SIZE - 6) / 8) / 8, atol=1e-3)


def test_the_covariance_is_the_inverse_of_the_equations():
    rng = np.random.default_rng(4)
    place = rng.uniform(2, SIZE - 4, 3000)
    index = np.floor(place).astype(int)
    band, _ = spline_equations(index, place - index, np.ones(3000), np.ones(3000), SIZE)

    def dense(banded):
        return sum(
            np.diag(banded[k][: SIZE - k], -k) + (k > 0) * np.diag(banded[k][: SIZE - k], k)
            for k in range(4)
        )

    whole = np.linalg.inv(
        dense(band) + 0.3 * np.median(band[0][band[0] > 0]) * dense(roughness(SIZE))
    )
    found = banded_inverse(band, 0.3)
    for k in range(4):
        np.testing.assert_allclose(found[k][: SIZE - k], np.diag(whole, -k), rtol=1e-6, atol=1e-12)
    assert np.isclose(banded_trace(found, band), np.trace(whole @ dense(band)))
