"""Does the band of rows follow the star, and come back to its place?"""

import numpy as np
import pytest

from slitlapse.extraction import RowWindow


@pytest.mark.parametrize("bow", [8.0, 1.5, 0.2])  # gathered, copied in stretches, a view
def test_a_cut_follows_a_bowed_star_without_resampling(bow):
    centre = 20 + bow * np.linspace(-1, 1, 101) ** 2
    image = np.arange(40)[:, None] + 0.01 * np.arange(101)
    window = RowWindow.around(centre, half_rows=5, n_y=40)
    cut = window.cut(image)
    assert cut.shape == (11, 101)
    np.testing.assert_array_equal(cut, window.rows + 0.01 * np.arange(101))
    assert np.all(np.abs(window.rows[5] - centre) <= 0.5)


def test_paste_puts_a_cut_back_where_it_came_from():
    image = np.random.default_rng(1).normal(size=(30, 17))
    window = RowWindow.around(np.linspace(1, 28, 17), half_rows=3, n_y=30)
    back = window.paste(window.cut(image), fill=np.nan)
    kept = np.isfinite(back)
    np.testing.assert_array_equal(back[kept], image[kept])
    assert kept.sum() == (~window.outside).sum()


def test_pixels_outside_the_frame_are_named():
    window = RowWindow.around(np.full(4, 0.2), half_rows=2, n_y=10)
    np.testing.assert_array_equal(window.outside[:, 0], [True, True, False, False, False])


def test_a_straight_band_is_a_view_and_numbers_pass_through():
    image = np.zeros((30, 6))
    window = RowWindow.around(np.full(6, 15.2), half_rows=3, n_y=30)
    assert np.shares_memory(window.cut(image), image)
    assert window.cut(2.5) == 2.5
    assert window.cut(None) is None


@pytest.mark.parametrize(
    ("centre", "match"),
    [([5.0, np.nan], "not finite in 1 of 2"), ([90.0, 91.0], "lies outside a frame of 30 rows")],
)
def test_a_useless_trace_is_refused(centre, match):
    with pytest.raises(ValueError, match=match):
        RowWindow.around(np.array(centre), half_rows=3, n_y=30)


def test_a_frame_of_another_shape_is_refused():
    window = RowWindow.around(np.full(6, 15.2), half_rows=3, n_y=30)
    with pytest.raises(ValueError, match="shape \\(30, 7\\)"):
        window.cut(np.zeros((30, 7)))
