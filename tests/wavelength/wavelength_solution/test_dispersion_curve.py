"""The curve by itself: media, branches that turn back, coefficients carried to other pixels."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.wavelength.wavelength_solution.dispersion_curve import (
    BASES,
    carry_over,
    convert,
    monotonic_branch,
    scaled,
)


def test_conversion_goes_there_and_back_and_leaves_unnamed_lines_alone():
    air = np.array([4000.0, np.nan, 9000.0]) * u.AA
    vacuum = convert(air, "air", "vacuum")
    assert np.isnan(vacuum[1])
    # Ciddor (1996): 1.131 and 2.471 angstrom
    np.testing.assert_allclose((vacuum - air).value[[0, 2]], [1.1311, 2.4706], atol=2e-3)
    np.testing.assert_allclose(convert(vacuum, "vacuum", "air").value, air.value, atol=1e-6)
    assert convert(air, "air", "air") is air


def test_a_branch_ends_where_the_polynomial_turns_back():
    pixel, wave = monotonic_branch(lambda x: -((x - 150.0) ** 2), 100)
    assert np.all(np.diff(wave) > 0)
    assert pixel[0] == -100
    assert pixel[-1] == pytest.approx(150, abs=1)


def test_the_domain_becomes_minus_one_to_one():
    np.testing.assert_allclose(scaled(np.array([10.0, 20.0, 30.0]), (10, 30)), [-1, 0, 1])


@pytest.mark.parametrize("basis", BASES)
def test_coefficients_are_carried_to_other_pixels(basis):
    coefficients = np.array([5000.0, 800.0, 20.0])
    evaluate = BASES[basis][0]
    for old_pixel, straight in (
        (np.arange(500) * 2 + 0.5, True),
        (np.arange(500) * 2 + 0.5 + 3 * np.sin(np.linspace(0, 1, 500)), False),
    ):
        carry, is_straight = carry_over(old_pixel, basis, (0.0, 999.0), 2)
        assert is_straight == straight
        assert carry.shape == (3 if straight else 5, 3)
        new = evaluate(scaled(np.arange(500), (0, 499)), carry @ coefficients)
        old = evaluate(scaled(old_pixel, (0, 999)), coefficients)
        np.testing.assert_allclose(new, old, atol=1e-6 if straight else 0.02)
