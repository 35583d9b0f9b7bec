"""One arc: derivatives are those of its light, and the banded solution that of a full matrix."""

import numpy as np
import pytest

from slitlapse.wavelength.arc_modelling.one_arc import N_SHAPE, ArcSpectrum, OneArc

N, FWHM = 300, 3.0
DISPLACEMENT = np.array([0.2, -0.1, 0.05])


def arc(seed=0, n=60):
    rng = np.random.default_rng(seed)
    x, listed = np.arange(N), np.sort(rng.uniform(-4, N + 3, n))
    bright = 10 ** rng.uniform(3, 5, n)
    seen = 50 + np.exp(-0.5 * ((x[:, None] - listed - 0.1) / 1.3) ** 2) @ (bright / 3.3)
    sigma = np.sqrt(seen)
    return ArcSpectrum(rng.normal(seen, sigma), sigma, listed, bright * rng.lognormal(0, 1, n))


def test_derivatives_are_those_of_the_light():
    one = OneArc(arc(), FWHM)
    _, by_bright, rest = one.evaluate(DISPLACEMENT)
    n, step = len(one.bright), 1e-4

    def light(change, moved=0.0):
        other = OneArc(arc(), FWHM)
        other.move(change, np.inf)
        return other.evaluate(DISPLACEMENT + moved)[0]

    own = n + rest.shape[1] - len(DISPLACEMENT)
    found = np.hstack([by_bright.toarray(), rest])
    for k in range(own):
        change = step * np.eye(own)[k]
        expected = (light(change) - light(-change)) / (2 * step)
        np.testing.assert_allclose(found[:, k], expected, atol=1e-4 * np.abs(expected).max())
    for k in range(len(DISPLACEMENT)):
        moved = step * np.eye(len(DISPLACEMENT))[k]
        nothing = np.zeros(own)
        expected = (light(nothing, moved) - light(nothing, -moved)) / (2 * step)
        # shares are interpolated between 64 places in a pixel: their slope there has steps
        np.testing.assert_allclose(found[:, own + k], expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("robust", [True, False])
def test_what_is_known_is_what_all_parameters_together_would_say(robust):
    one = OneArc(arc(1), FWHM)
    known, pieces, own, coupling = one.marginal(DISPLACEMENT, robust)
    model, by_bright, rest = one.evaluate(DISPLACEMENT)
    residual = one.flux - model
    total = one._total_uncertainty(residual)
    weight = 1 / total**2 * (5 / (4 + (residual / total) ** 2) if robust else 1)
    design = np.hstack([by_bright.toarray(), rest])
    prior, off = one._prior()
    n = len(prior)
    normal = design.T @ (weight[:, None] * design)
    normal[np.arange(n), np.arange(n)] += prior
    right = design.T @ (weight * residual)
    right[:n] += prior * off
    whole = np.linalg.solve(normal, right)
    step = np.linalg.solve(known, pieces.sum(axis=0))
    np.testing.assert_allclose(step, whole[n:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(own - coupling @ step, whole[:n], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(np.linalg.inv(known), np.linalg.inv(normal)[n:, n:], rtol=1e-6)


def test_a_line_moves_no_further_than_it_may():
    one = OneArc(arc(), FWHM)
    before = one.bright.copy()
    own = np.full(len(before) + len(one.background) + N_SHAPE, 9.0)
    one.move(own, 0.3)
    np.testing.assert_allclose(one.bright, before + 0.3)


def test_light_is_shared_among_the_lines_expected_there():
    x, listed = np.arange(N), np.array([60.0, 150.0, 150.6, 240.0])
    bell = np.exp(-0.5 * ((x[:, None] - listed) / (FWHM / 2.3548)) ** 2)
    seen = 50 + bell @ np.array([1e5, 2e4, 2e4, 0.0])
    one = OneArc(ArcSpectrum(seen, np.sqrt(seen), listed, np.array([10.0, 3e3, 1e3, 1e6])), FWHM)
    light = 1.06 * FWHM * 1e5
    assert one.bright[0] == pytest.approx(np.log(light), abs=0.05)  # whatever was expected of it
    assert one.bright[1] - one.bright[2] == pytest.approx(np.log(3))
    assert np.exp(one.bright[1:3]).sum() == pytest.approx(0.4 * light, rel=0.1)
    assert one.bright[3] < np.log(light / 1e3)  # nothing shines there
