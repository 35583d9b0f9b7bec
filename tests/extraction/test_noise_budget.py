"""Do the parts of the noise add up, and is scintillation told apart?"""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.extraction import (
    NoiseBudget,
    PixelNoise,
    boxcar_sums,
    gaussian_profile,
    optimal_sums,
    scintillation_fraction,
)


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


ROWS, N_X = np.arange(25)[:, None], 40
CASES = {
    "star": {"flux": 5e3},
    "sky": {"sky": 200.0},
    "read": {"read_noise": 6.0},
    "dark": {"dark": 90.0},
    "flat": {"flux": 2e4, "sky": 100.0, "flat_error": 0.01},
    "skyfit": {"sky": 150.0, "sky_rows": 12},
    "all": {"flux": 5e3, "sky": 150.0, "read_noise": 4.0, "dark": 20.0, "flat_error": 0.01,
            "sky_rows": 12},
}  # fmt: skip


def realisation(rng, s, *, flux=0.0, sky=0.0, read_noise=0.0, dark=0.0, flat_error=0.0,
                sky_rows=0, only=None):  # fmt: skip
    """One exposure of one star, with one kind of noise only, or with all."""
    centre, width = np.full(N_X, 12.3), np.full(N_X, 2.0)
    light = flux * gaussian_profile(ROWS, centre, width)
    counts = light + sky + dark
    noisy = counts * s
    if only in (None, "star", "sky", "dark"):
        parts = {"star": light, "sky": sky + 0 * light, "dark": dark + 0 * light}
        parts = parts if only is None else {only: parts[only]}
        noisy = counts * s + sum(rng.poisson(p * s) - p * s for p in parts.values())
    noisy = noisy + read_noise * rng.normal(size=noisy.shape)
    flat = s * (1 + flat_error * rng.normal(size=s.shape))
    sky_error = np.zeros(N_X)
    if sky_rows:  # the sky of a column is the mean of some rows that hold no star
        sky_error = rng.normal(0, np.sqrt(sky / sky_rows), N_X)
    return noisy / flat - sky - dark - sky_error


@pytest.mark.parametrize("name", CASES)
def test_each_component_is_the_scatter_of_500_realisations(name):
    case = CASES[name]
    rng = np.random.default_rng(list(CASES).index(name))
    s = rng.uniform(0.8, 1.2, (25, N_X))
    only = None if name == "all" else name
    frames = [realisation(rng, s, only=only, **case) for _ in range(500)]
    sky, dark = case.get("sky", 0.0), case.get("dark", 0.0)
    n_sky = case.get("sky_rows", 0)
    noise = PixelNoise(
        case.get("read_noise", 0.0), sky, dark, s, s * case.get("flat_error", 0.0),
        (lambda weights: weights.sum(axis=0) ** 2 * sky / n_sky) if n_sky else None,
    )  # fmt: skip
    # the noise that is switched off would leave pixels without any: weigh them evenly
    centre, width = np.full(N_X, 12.3), np.full(N_X, 2.0)
    profile = gaussian_profile(ROWS, centre, width)
    boxcar = [boxcar_sums(d, ROWS, centre, [5.2], profile, noise) for d in frames]
    results = {"boxcar": ([b.flux[0] for b in boxcar], boxcar)}
    if name in ("read", "all"):
        optimal = [optimal_sums(d, profile, noise, reject_sigma=None) for d in frames]
        results["optimal"] = ([o.flux[0] for o in optimal], optimal)
    for flux, sums in results.values():
        parts = sums[0].variances if only is None else {name: sums[0].variances[name]}
        expected = np.mean([sum(one.variances[k][0] for k in parts) for one in sums], axis=0)
        ratio = np.sqrt(np.var(flux, axis=0, ddof=1) / expected)
        # 40 columns x 500 realisations settle the mean ratio to 0.5 %
        assert abs(ratio.mean() - 1) < 0.05
        assert abs(ratio.mean() - 1) < 4 / np.sqrt(2 * 500 * N_X) + 0.005
        total = NoiseBudget(**{k: v[0] for k, v in sums[0].variances.items()}).total.value
        np.testing.assert_allclose(total, sums[0].variance[0], rtol=1e-6)
