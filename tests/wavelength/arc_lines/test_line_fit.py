"""The fit of lines: exact on its own model, touching lines told apart, errors from the noise."""

import numpy as np
from scipy.special import ndtr

from slitlapse.wavelength.arc_lines.line_fit import fit_lines

X = np.arange(400)


def lines(centres, areas, sigma=1.4):
    flux = np.full(len(X), 10.0)
    for centre, area in zip(centres, areas, strict=True):
        upper, lower = (X + 0.5 - centre) / sigma, (X - 0.5 - centre) / sigma
        flux = flux + area * (ndtr(upper) - ndtr(lower))
    return flux


def test_lines_of_the_model_are_recovered_to_rounding():
    centres, areas = [60.3, 150.81, 154.9, 300.0], [1e4, 3e4, 1e4, 500.0]
    rows = fit_lines(lines(centres, areas), np.ones(400), np.round(centres).astype(int), 3.3)
    np.testing.assert_allclose(rows[:, 0], centres, atol=1e-3)
    np.testing.assert_allclose(rows[:, 2], 1.4, rtol=1e-3)
    np.testing.assert_allclose(rows[:, 3], areas, rtol=2e-3)


def test_errors_are_those_of_the_noise():
    rng = np.random.default_rng(5)
    clean = lines([100.4, 250.7], [3e4, 3e4])
    noise = np.sqrt(clean)
    pulls = []
    for _ in range(200):
        rows = fit_lines(rng.normal(clean, noise), noise, np.array([100, 251]), 3.3)
        pulls.append((rows[:, 0] - [100.4, 250.7]) / rows[:, 1])
    pulls = np.array(pulls)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)


def test_pixels_of_infinite_noise_do_not_count():
    flux, noise = lines([200.4], [1e4]), np.ones(400)
    flux[203], noise[203] = 1e7, np.inf
    row = fit_lines(flux, noise, np.array([200]), 3.3)[0]
    assert abs(row[0] - 200.4) < 0.01
