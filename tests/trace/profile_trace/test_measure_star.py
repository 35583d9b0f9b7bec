"""Centres, widths and curves settle on the star."""

import warnings

import numpy as np
import pytest

from slitlapse.trace import ProfileTrace, TraceWarning
from slitlapse.trace.profile_trace.compare_pixels import compare_pixels
from slitlapse.trace.profile_trace.cut_out import cut_out
from slitlapse.trace.profile_trace.measure_star import Model, StarLostError, measure_star
from slitlapse.trace.profile_trace.smooth_curve import fit_smooth_curve
from slitlapse.trace.profile_trace.solve_bins import add_up_bins
from slitlapse.trace.profile_trace.star_profile import profile_evaluator
from slitlapse.trace.simulate import star_image

N_X = 640
TRACE, WIDTH = 30 + np.linspace(-3, 3, N_X), np.linspace(1.8, 2.3, N_X)


def comparer(image):
    good = np.ones(image.shape, bool)

    def compare(model, columns, n_bins):
        cut, seen, rows = cut_out(image, good, model.center, 14, columns)
        x = np.arange(N_X)[columns]
        part = compare_pixels(
            cut,
            seen,
            rows,
            model.center[columns],
            model.width[columns],
            profile_evaluator("gaussian"),
            floor=3.0,
            neighbours=model.distances,
        )
        starts = np.linspace(0, x.size, n_bins + 1).astype(int)[:-1]
        return add_up_bins(part["info"], part["gradient"], x, starts), {**part, "seen": seen}

    return compare


@pytest.mark.parametrize(("off", "too_wide"), [(0.0, 1.0), (2.0, 1.0), (-1.5, 2.0), (1.0, 0.5)])
def test_it_settles_from_a_poor_start(off, too_wide):
    image = 100 + star_image((60, N_X), TRACE, WIDTH, 3e3)
    start = Model(TRACE + off, WIDTH * too_wide, None, np.zeros(0))
    found = measure_star(start, comparer(image), fit_smooth_curve, bins=40, fit_shape=False)
    assert abs(found.model.center - TRACE).max() < 1e-3
    assert abs(found.model.width / WIDTH - 1).max() < 2e-3
    assert found.table["used"].all()
    assert set(found.table["reason"]) == {""}
    assert np.allclose(found.table["amplitude"].value, 3e3, rtol=1e-3)
    assert np.allclose(found.table["background"].value, 100, atol=0.1)


def test_the_distance_of_a_neighbour_settles_too():
    image = 100 + star_image((60, N_X), TRACE, WIDTH, 3e3)
    image += star_image((60, N_X), TRACE + 9.0, WIDTH, 1e3)
    start = Model(TRACE, WIDTH, None, np.array([8.0]))
    found = measure_star(start, comparer(image), fit_smooth_curve, bins=40, fit_shape=False)
    assert found.model.distances[0] == pytest.approx(9.0, abs=2e-3)


def test_a_star_that_is_lost_is_said():
    empty = np.random.default_rng(0).normal(100, 10.4, (60, N_X))
    start = Model(TRACE, WIDTH, None, np.zeros(0))
    with pytest.raises(StarLostError, match=r"(see a star|needed to be a star)"):
        measure_star(start, comparer(empty), fit_smooth_curve, bins=40, fit_shape=False)


@pytest.mark.parametrize("flux", [200.0, 2e3, 2e4, 2e5])
def test_curves_go_on_sanely_where_there_is_no_light(flux):
    n_y, n_x = 90, 1500
    x = np.arange(n_x)
    t = 2 * x / (n_x - 1) - 1
    truth = ProfileTrace.from_curves(
        (n_y, n_x), 45 + 4 * t - t**2, 1.6 * (1 + 0.1 * t), "moffat", beta=3.5
    )
    light = flux / (1 + np.exp(-(x - 600) / 12)) * truth.profile_image()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        image = rng.poisson(60 + light) + rng.normal(0, 5, (n_y, n_x))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TraceWarning)  # four of ten bins are dark
            found = ProfileTrace(image, guess=45.0, read_noise=5.0)
        wrong = np.asarray(found.trace - truth.trace)
        ratio = found.width / truth.width
        lit = x > 650
        assert np.all(np.abs(wrong[lit]) < 5 * found.trace_uncertainty[lit])
        # straight on over 600 columns: the bow amounts to 0.64 px there, the noise of a slope
        # known from the lit part alone to as much again
        assert np.abs(wrong[~lit]).max() < 1.3
        # constant, where the truth becomes narrower by 8 per cent, from an end known to 9 per cent
        assert np.all((ratio[~lit] > 0.9) & (ratio[~lit] < 1.2))
        first, last = found.table.meta["width_known"]
        before = x < first
        assert np.ptp(found.width[before]) < 1e-9 if before.any() else first < 0
        assert last > n_x - 20
