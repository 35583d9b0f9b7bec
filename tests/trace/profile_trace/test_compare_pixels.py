"""One comparison with the pixels points to where the star is."""

import numpy as np

from slitlapse.trace.profile_trace.compare_pixels import compare_pixels
from slitlapse.trace.profile_trace.cut_out import cut_out
from slitlapse.trace.profile_trace.star_profile import profile_evaluator
from slitlapse.trace.simulate import star_image


def test_one_step_leads_most_of_the_way():
    image = 100 + star_image((60, 200), 30.1, 2.06, 1e4)
    cut, seen, rows = cut_out(
        image, np.ones(image.shape, bool), np.full(200, 30.0), 12, slice(None)
    )
    part = compare_pixels(cut, seen, rows, 30.0, 2.0, profile_evaluator("gaussian"), floor=4.0)
    step = np.linalg.solve(part["info"].sum(axis=0), part["gradient"].sum(axis=0))
    assert np.allclose(step, [0.1, np.log(1.03)], atol=3e-3)
