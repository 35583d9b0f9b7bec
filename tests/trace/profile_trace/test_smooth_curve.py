"""A smooth curve finds its degree and is not moved by outliers."""

import numpy as np

from slitlapse.trace.profile_trace.smooth_curve import fit_smooth_curve

AT = np.arange(1000)


def test_outliers_do_not_move_the_curve_and_its_error_is_honest():
    rng, pulls = np.random.default_rng(0), []
    for _ in range(100):
        x = np.linspace(5, 995, 100)
        y = 3 + 2e-6 * (x - 400) ** 2 + rng.normal(0, 0.02, x.size)
        y[rng.integers(0, 100, 5)] += 5
        curve = fit_smooth_curve(x, y, np.full(x.size, 0.02), AT, 2, 4.0)
        pulls.append((curve.value[500] - 3 - 2e-6 * 100**2) / curve.sigma[500])
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(200)
