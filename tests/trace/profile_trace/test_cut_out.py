"""Rows along a path are cut out whole; a first look tells how wide the star is."""

import numpy as np
import pytest

from slitlapse.trace.profile_trace.cut_out import (
    cut_out,
    mean_cut,
    rough_width,
    rough_window,
    usual_reach,
)
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


TALL = 100, 300
ROWS = np.arange(TALL[0])[:, None]


def look(image, reach=40):
    return mean_cut(image, np.ones(image.shape, bool), np.full(300, 50.3), reach)


@pytest.mark.parametrize("width", [1.2, 2.2, 4.0])
def test_the_first_width_is_good_to_a_tenth_and_a_brighter_star_is_noticed(width):
    image = 100 + star_image(TALL, 50.3, width, 3e3)
    image = np.random.default_rng(1).poisson(image) * 1.0
    found, alone = rough_width(look(image))
    assert found == pytest.approx(width, rel=0.1)
    assert alone == 40
    image += star_image(TALL, 50.3 + 6 * width, width, 9e3)
    assert 2 * width < rough_width(look(image))[1] < 6 * width


def test_rows_outside_the_frame_are_unknown():
    cut = look(100 + star_image((70, 300), 50.3, 2.0, 3e3))
    assert np.array_equal(np.isnan(cut), np.arange(-40, 41) + 50 >= 70)
    assert rough_width(cut)[0] == pytest.approx(2.0, rel=0.1)
    assert rough_window(cut, 2.0) == usual_reach(2.0)


@pytest.mark.parametrize("flux", [100.0, 1e3, 1e5])
@pytest.mark.parametrize("seed", range(5))
def test_the_window_is_wide_where_only_a_straight_sky_lies_beside_the_star(flux, seed):
    image = star_image(TALL, 50.3, 1.6, flux, profile="moffat", beta=3) + 200 + 2.0 * ROWS
    image = np.random.default_rng(seed).poisson(image) * 1.0
    usual = usual_reach(1.6)
    assert rough_window(look(image), 1.6) > usual + 4
    # 1 per cent of the star, but what the noise of 300 columns hides
    neighbour = star_image(TALL, 68.0, 1.6, max(0.05 * flux, 100.0), profile="moffat", beta=3)
    assert rough_window(look(image + neighbour), 1.6) == usual
    bent = max(0.03 * flux, 60.0) * ((ROWS - 50) / 20) ** 2
    assert rough_window(look(image + bent), 1.6) == usual
