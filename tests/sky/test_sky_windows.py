"""Tests of where to look for sky."""

import numpy as np
import pytest
from specreduce.tracing import ArrayTrace, FlatTrace

from slitlapse.sky import SkyWindows, SkyWindowWarning


def test_a_pixel_belongs_to_a_window_if_its_centre_lies_within():
    mask = SkyWindows([[-3, -1], [2, 3.5]]).mask((12, 4), trace=5.0)
    assert np.flatnonzero(mask[:, 0]).tolist() == [2, 3, 4, 7, 8]


def test_offsets_follow_the_trace_and_rows_do_not():
    trace = np.linspace(20, 30, 50)
    image = np.zeros((60, 50))
    for given in (trace, ArrayTrace(image, trace)):
        mask = SkyWindows(offsets=[[5, 9]], rows=[[50, 52]]).mask((60, 50), given)
        y = np.arange(60)[:, np.newaxis]
        expected = ((y >= trace + 5) & (y <= trace + 9)) | ((y >= 50) & (y <= 52))
        np.testing.assert_array_equal(mask, expected)
    flat = SkyWindows([[5, 9]]).mask((60, 50), FlatTrace(image, 20))
    np.testing.assert_array_equal(flat, SkyWindows([[5, 9]]).mask((60, 50), 20.0))


@pytest.mark.parametrize(
    "windows",
    [
        SkyWindows([[-60, -20], [20, 60]]),
        SkyWindows(rows=[[3, 9.5]]),
        SkyWindows(offsets=[[-5, -2]], rows=[[1, 2]]),
    ],
)
def test_what_is_printed_replays(windows):
    assert SkyWindows.from_text(repr(windows)) == windows
    assert SkyWindows.from_text(windows.to_text()) == windows
    assert eval(repr(windows)) == windows


def test_a_plain_list_as_in_a_night_file_is_understood():
    expected = SkyWindows([[-60, -20], [20, 60]])
    assert SkyWindows.from_text("[[-60, -20], [20, 60]]") == expected


@pytest.mark.parametrize("text", ["here", "[[1, 2", "SkyWindows(colour=[[1, 2]])", "[[5, 1]]"])
def test_text_that_is_no_window_is_refused(text):
    with pytest.raises(ValueError, match=r"sky windows|increasing"):
        SkyWindows.from_text(text)


def test_other_stars_slit_ends_and_bad_pixels_are_avoided():
    bad = np.zeros((100, 10), dtype=bool)
    bad[60, 3] = True
    mask = SkyWindows([[-40, -10], [10, 40]]).mask(
        (100, 10), 50, [70], other_widths=[2.0], illuminated=(15, 85), bad=bad
    )
    y = np.arange(100)
    good = (np.abs(y - 50) >= 10) & (np.abs(y - 50) <= 40)
    good &= (np.abs(y - 70) >= 10) & (y >= 15) & (y <= 85)
    np.testing.assert_array_equal(np.delete(mask, 3, axis=1).all(axis=1), good)
    assert good[60]
    assert not mask[60, 3]


def test_windows_on_the_star_itself_are_cut_with_a_warning():
    with pytest.warns(SkyWindowWarning, match="closer than 10.0 pixels"):
        mask = SkyWindows([[-5, 30]]).mask((100, 3), 50, width=2.0)
    assert np.flatnonzero(mask[:, 0]).tolist() == list(range(60, 81))


def test_columns_without_sky_are_told():
    trace = np.r_[np.full(5, 50.0), np.full(3, np.nan), np.full(2, 300.0)]
    with pytest.warns(SkyWindowWarning, match="5 of 10 columns have no sky"):
        mask = SkyWindows([[10, 20]]).mask((100, 10), trace)
    assert mask.any(axis=0).tolist() == [True] * 5 + [False] * 5


def test_windows_off_the_slit_are_refused():
    with pytest.raises(ValueError, match="no pixel of sky"):
        SkyWindows([[60, 80]]).mask((100, 10), 50)


def test_a_window_off_the_slit_or_on_another_star_is_told():
    windows = SkyWindows([[-30, -10], [60, 90]])
    with pytest.warns(SkyWindowWarning, match=r"\[60, 90\] holds no sky at all"):
        mask = windows.mask((100, 3), 50)
    np.testing.assert_array_equal(mask, SkyWindows([[-30, -10]]).mask((100, 3), 50))
    with pytest.warns(SkyWindowWarning, match=r"\[10, 20\] holds no sky at all"):
        SkyWindows([[-30, -10], [10, 20]]).mask((100, 3), 50, [65])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="neither offsets nor rows"):
        SkyWindows()
    with pytest.raises(ValueError, match="increasing"):
        SkyWindows([[20, 10]])
    with pytest.raises(ValueError, match="pairs"):
        SkyWindows([20, 60])
    with pytest.raises(ValueError, match="give its trace"):
        SkyWindows([[20, 60]]).mask((100, 10))
    with pytest.raises(ValueError, match="trace has shape"):
        SkyWindows([[20, 60]]).mask((100, 10), np.zeros(9))


def test_automatic_windows_lie_on_both_sides_of_a_lonely_star():
    windows = SkyWindows.automatic(100, 2.0, n_y=200)
    (low, high), (low2, high2) = windows.offsets
    assert (low, high2) == (-68, 68)[:1] + (68,) or (high, low2) == (-17.5, 17.5)
    mask = windows.mask((200, 3), 100)
    distance = np.abs(np.flatnonzero(mask[:, 0]) - 100)
    assert distance.min() == 18
    assert mask[:, 0].sum() == 100


def test_automatic_windows_avoid_neighbours_and_slit_ends():
    trace, other = np.linspace(98, 102, 50), np.linspace(138, 142, 50)
    windows = SkyWindows.automatic(
        trace, 2.0, others=[other], other_widths=[3.0], illuminated=(60, 190)
    )
    mask = windows.mask((200, 50), trace)
    y = np.broadcast_to(np.arange(200)[:, np.newaxis], mask.shape)[mask]
    x = np.nonzero(mask)[1]
    assert np.abs(y - trace[x]).min() >= 17.5
    assert np.abs(y - other[x]).min() >= 26.5
    assert y.min() >= 60
    assert y.max() <= 190


def test_a_side_without_room_leaves_its_share_to_the_other():
    windows = SkyWindows.automatic(15, 2.0, n_y=300)
    assert len(windows.offsets) == 1
    mask = windows.mask((300, 3), 15)
    assert mask[:, 0].sum() == 100


def test_a_short_slit_has_windows_closer_to_the_star():
    # 9 widths of 2 px leave 2 rows on either side, 7 leave 6, 5 leave 10
    windows = SkyWindows.automatic(40, 2.0, illuminated=(20, 60))
    assert windows.offsets == ((-20.5, -9.5), (9.5, 20.5))


def test_windows_follow_a_bowed_order_whose_rows_are_lit_here_and_there():
    y, x = np.mgrid[:300, :400]
    path = 80 + 120 * (x[0] / 400) ** 2
    lit = np.abs(y - path) < 45
    windows = SkyWindows.automatic(path + 5, 2.0, illuminated=lit)
    (low, high), (low2, high2) = windows.offsets
    assert (low, high, low2, high2) == pytest.approx((-49, -17.5, 17.5, 39), abs=1.5)
    mask = windows.mask(lit.shape, path + 5, illuminated=lit)
    assert not (mask & ~lit).any()
    assert mask.any(axis=0).all()


def test_a_number_and_the_trace_of_another_star_go_together():
    other = np.linspace(120, 140, 50)
    windows = SkyWindows.automatic(80, 2.0, others=[other], n_y=200)
    assert windows == SkyWindows.automatic(np.full(50, 80.0), 2.0, others=[other], n_y=200)
    assert not windows.mask((200, 50), 80)[np.rint(other).astype(int), np.arange(50)].any()


def test_a_slit_without_light_is_refused():
    with pytest.raises(ValueError, match=r"No sky is left for the star at row 50.*by hand"):
        SkyWindows.automatic(50, 2.0, illuminated=np.zeros(100, bool))
    lit = np.zeros((100, 30), bool)
    with pytest.raises(ValueError, match="No sky is left for the star at row 50"):
        SkyWindows.automatic(np.full(30, 50.0), 2.0, illuminated=lit)


def test_a_crowded_slit_is_refused():
    with pytest.raises(ValueError, match="No sky is left for the star at row 50"):
        SkyWindows.automatic(50, 4.0, others=[20, 80], n_y=100)
