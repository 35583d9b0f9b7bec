"""Are hits on a lone frame found, and its star left alone?"""

import numpy as np
import pytest

from slitlapse.extraction import find_single_frame_outliers
from slitlapse.extraction.simulate import add_hits, simulate_star


def test_hits_beside_the_star_are_found_and_the_star_stays():
    rng = np.random.default_rng(3)
    star = simulate_star(2e4, (80, 400), 40.3, 2.2, rng=rng, sky=60.0, read_noise=4.0)
    data, hit = add_hits(star.data, 30, rng=rng, energy=8000.0)
    kept = data.copy()
    marks = find_single_frame_outliers(data, 4.0, sky=60.0)
    np.testing.assert_array_equal(data, kept)
    beside = np.abs(np.arange(80) - 40.3)[:, None] > 10
    strong = hit > 20 * np.sqrt(star.variance)
    strong[:, :5] = strong[:, -5:] = False  # a Laplacian needs what lies beyond the border
    strong[:5] = strong[-5:] = False
    assert marks[strong & beside].mean() > 0.9
    assert marks[hit == 0].mean() < 2e-3  # it grows its marks by a pixel


def test_bad_pixels_are_neither_looked_at_nor_marked():
    frame = np.random.default_rng(1).normal(0, 4, (40, 50))
    frame[20, 30], frame[10, 10] = 4000, np.nan
    mask = np.zeros(frame.shape, bool)
    mask[20, 30] = True
    assert not find_single_frame_outliers(frame, 4.0, mask=mask)[mask].any()


def test_only_frames_are_taken():
    with pytest.raises(ValueError, match="shape \\(5,\\)"):
        find_single_frame_outliers(np.zeros(5), 4.0)
