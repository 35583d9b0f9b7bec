"""Do the parts of the noise add up, and is scintillation told apart?"""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.extraction import NoiseBudget, scintillation_fraction


def make_budget(shape=(7, 3)):
    rng = np.random.default_rng(3)
    return NoiseBudget(**{name: rng.random(shape) for name in NoiseBudget.names()})


def test_components_add_up_to_the_total():
    budget = make_budget()
    parts = sum(getattr(budget, name).value for name in budget.names())
    np.testing.assert_allclose(budget.total.value, parts, rtol=1e-6)
    assert budget.total.unit == u.electron**2
    np.testing.assert_allclose(sum(budget.fraction(n) for n in budget.names()), 1, rtol=1e-6)


def test_a_component_left_out_is_zero():
    budget = NoiseBudget(star=np.full(4, 9.0))
    np.testing.assert_array_equal(budget.total.value, 9)
    np.testing.assert_array_equal(budget.skyfit.value, 0)


def test_draws_scatter_as_the_budget_says():
    budget = NoiseBudget(star=np.full(40_000, 25.0), read=np.full(40_000, 4.0))
    draws = budget.simulate(np.random.default_rng(5))
    for name, sigma in (("star", 5), ("read", 2)):
        expected_error = sigma / np.sqrt(2 * 40_000)
        assert abs(draws[name].value.std() - sigma) < 4 * expected_error
    assert not draws["sky"].value.any()


def test_components_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="'sky' has shape \\(4,\\)"):
        NoiseBudget(star=np.ones(3), sky=np.ones(4))


def test_negative_variances_are_refused():
    with pytest.raises(ValueError, match="'read' is negative in 1 places"):
        NoiseBudget(star=np.ones(2), read=np.array([1.0, -1.0]))


def test_the_plot_shows_every_component_that_is_not_zero():
    budget = NoiseBudget(star=np.full(9, 4.0), read=np.full(9, 5.0))
    ax = budget.plot()
    labels = [line.get_label() for line in ax.lines]
    assert labels == ["star", "read", "total"]
    np.testing.assert_allclose(ax.lines[2].get_ydata(), 3)


def test_scintillation_is_what_osborn_gives():
    # sigma^2 = 1e-5 C^2 D^-4/3 t^-1 sec(z)^3 exp(-2 h / H), worked by hand for a 4.2-m telescope
    expected = np.sqrt(1e-5 * 1.56**2 * 4.2 ** (-4 / 3) / 60 * 1.2**3 * np.exp(-2 * 2360 / 8000))
    found = scintillation_fraction(4.2 * u.m, 1.2, 1 * u.min, 2360 * u.m)
    assert found.unit == u.dimensionless_unscaled
    assert abs(found - expected) < 1e-12
    assert 2e-4 < found < 4e-4
