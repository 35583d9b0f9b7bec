import numpy as np
import pytest
from scipy.linalg import cholesky_banded, solve_banded

from slitlapse.sky.spline_sky.sky_geometry.one_spectrum import separate

N_KNOTS, N_TERMS = 2000, 3
SLOW = np.polynomial.legendre.legvander(np.linspace(-1, 1, N_KNOTS), 1)
RATIOS = np.array([[0.1, 0.03], [-0.05, 0.0]])


def spectrum(seed=0):
    """A sky with lines: 2 of continuum and up to 60 more."""
    return 2 + 60 * np.random.default_rng(seed).random(N_KNOTS) ** 12


def factor_of(noise):
    """Factor of normal equations in which neighbouring coefficients share pixels."""
    band = np.zeros((4, N_KNOTS * N_TERMS))
    band[:] = np.array([1.0, 0.5, 0.2, 0.1])[:, np.newaxis] / noise**2
    return cholesky_banded(band, lower=True)


def observe(factor, coefficients, rng):
    """Add the noise that belongs to a factor: the solution of its transpose for white noise."""
    upper = np.zeros_like(factor)
    for d, diagonal in enumerate(factor):
        upper[len(factor) - 1 - d, d:] = diagonal[: diagonal.size - d]
    white = rng.standard_normal(coefficients.size)
    return coefficients + solve_banded((0, len(factor) - 1), upper, white)


def product(ratios=RATIOS):
    across = np.concatenate([np.ones((N_KNOTS, 1)), SLOW @ ratios.T], axis=1)
    return (spectrum()[:, np.newaxis] * across).ravel()


def test_a_product_is_taken_apart_exactly():
    found, ratios, misfit = separate(factor_of(1.0), product(), SLOW)
    assert found == pytest.approx(spectrum(), rel=1e-3)
    assert ratios == pytest.approx(RATIOS, abs=1e-4)
    assert misfit < 1e-3


@pytest.mark.parametrize("noise", [0.5, 3.0])
def test_ratios_are_not_biased_by_noise(noise):
    # noise of 3 on a continuum of 2: dividing by the measured spectrum would give half the ratios
    factor = factor_of(noise)
    found, misfits = [], []
    for seed in range(6):
        data = observe(factor, product(), np.random.default_rng(seed))
        _, ratios, misfit = separate(factor, data, SLOW)
        found.append(ratios)
        misfits.append(misfit)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(mean - RATIOS) < 5 * error)
    assert np.mean(misfits) == pytest.approx(1, abs=4 * np.sqrt(2 / (N_KNOTS * 2 * len(misfits))))


def test_what_is_no_product_has_a_misfit():
    coefficients = product().reshape(N_KNOTS, N_TERMS)
    coefficients[::2, 1] += 5.0  # every other line lies elsewhere along the slit
    _, _, misfit = separate(factor_of(1.0), coefficients.ravel(), SLOW)
    assert misfit > 2
