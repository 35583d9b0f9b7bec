"""Rows along a path are cut out whole; a first look tells how wide the star is."""

import numpy as np
import pytest

from slitlapse.trace.profile_trace.cut_out import cut_out, rough_width
from slitlapse.trace.simulate import star_image

SHAPE = (60, 300)


def test_pixels_keep_their_values_and_rows_and_what_is_outside_is_not_seen():
    image = np.arange(18000.0).reshape(SHAPE)
    good = np.ones(SHAPE, bool)
    good[5, 100] = False
    path = np.linspace(2.4, 8.0, 300)
    cut, seen, rows = cut_out(image, good, path, 4)
    assert cut.shape == seen.shape == rows.shape == (9, 300)
    assert np.array_equal(rows[4], np.rint(path))
    y, x = rows[seen].astype(int), np.broadcast_to(np.arange(300), (9, 300))[seen]
    assert np.array_equal(cut[seen], image[y, x])
    assert np.array_equal(seen, (rows >= 0) & ~((rows == 5) & (np.arange(300) == 100)))
    assert np.all(cut[~seen] == 0)
    some, _, _ = cut_out(image, good, path, 4, slice(None, None, 7))
    assert np.array_equal(some, cut[:, ::7])


@pytest.mark.parametrize("width", [1.2, 2.2, 4.0])
def test_the_first_width_is_good_to_a_tenth_and_a_brighter_star_is_noticed(width):
    image = 100 + star_image(SHAPE, 25.3, width, 3e3)
    image = np.random.default_rng(1).poisson(image) * 1.0
    good, path = np.ones(SHAPE, bool), np.full(300, 25.3)
    found, alone = rough_width(image, good, path, 20)
    assert found == pytest.approx(width, rel=0.1)
    assert alone == 20
    image += star_image(SHAPE, 25.3 + 6 * width, width, 9e3)
    assert 2 * width < rough_width(image, good, path)[1] < 6 * width
