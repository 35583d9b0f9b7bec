"""Centres, widths and curves settle on the star."""

import numpy as np
import pytest

from slitlapse.trace.profile_trace.compare_pixels import compare_pixels, cut_out
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
