"""One image, well scaled, with its unit and its bad pixels."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.look import find_limits, show_frame

IMAGE = np.random.default_rng(3).normal(100, 5, (60, 80))


def test_limits_leave_out_the_extremes_the_bad_and_the_not_finite():
    low, high = np.percentile(IMAGE, (1, 99.5))
    assert find_limits(IMAGE) == pytest.approx((low, high))
    spoilt = IMAGE.copy()
    spoilt[0, 0], spoilt[0, 1], spoilt[0, 2] = np.nan, np.inf, 1e9
    mask = np.zeros(IMAGE.shape, bool)
    mask[0, 2] = True
    rest = np.percentile(IMAGE.ravel()[3:], (1, 99.5))
    assert find_limits(CCDData(spoilt, unit="adu", mask=mask)) == pytest.approx(tuple(rest))
    assert find_limits(np.ma.array(spoilt, mask=mask)) == pytest.approx(tuple(rest))


def test_an_image_of_one_value_or_of_none_still_has_limits():
    assert find_limits(np.full((3, 3), 7)) == (6.5, 7.5)
    assert find_limits(np.full((3, 3), np.nan)) == (0, 1)


@pytest.mark.parametrize(
    ("image", "unit"),
    [
        (IMAGE, ""),
        (IMAGE * u.electron, "electron"),
        (CCDData(IMAGE, unit="adu"), "adu"),
        (np.ma.array(IMAGE), ""),
        (IMAGE.astype(np.uint16), ""),
    ],
    ids=["array", "quantity", "ccd", "masked", "integers"],
)
def test_the_image_is_drawn_with_its_unit(image, unit):
    ax = show_frame(image)
    (drawn,) = ax.get_images()
    np.testing.assert_allclose(drawn.get_array(), IMAGE, atol=1)
    assert drawn.get_extent() == [-0.5, 79.5, -0.5, 59.5]  # integers are pixel centres, y is up
    assert drawn.get_clim() == pytest.approx(find_limits(image))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (pixel)", "y (pixel)")
    assert drawn.colorbar.ax.get_ylabel() == unit


def test_bad_pixels_are_red_and_only_they():
    mask = np.zeros(IMAGE.shape, bool)
    mask[5, 7] = True
    for ax in (show_frame(CCDData(IMAGE, unit="adu", mask=mask)), show_frame(IMAGE, mask=mask)):
        overlay = ax.get_images()[1].get_array()
        assert np.argwhere(overlay[..., 3] > 0).tolist() == [[5, 7]]
        assert overlay[5, 7, 0] > 0.5 > overlay[5, 7, 1]


def test_the_caller_wins():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert show_frame(IMAGE, ax, vmin=1, vmax=2, cmap="viridis", colorbar=False) is ax
    (drawn,) = ax.get_images()
    assert drawn.get_clim() == (1, 2)
    assert drawn.get_cmap().name == "viridis"
    assert len(ax.figure.axes) == 1
    assert show_frame(IMAGE, limits=(0, 5)).get_images()[0].get_clim() == (0, 5)


@pytest.mark.parametrize("stretch", ["linear", "log", "asinh"])
def test_a_stretch_keeps_black_and_white_where_they_are(stretch):
    drawn = show_frame(IMAGE, limits=(90, 110), stretch=stretch).get_images()[0]
    black, middle, white = np.asarray(drawn.norm([90, 100, 110]))
    assert (black, white) == pytest.approx((0, 1))
    assert middle == pytest.approx(0.5) if stretch == "linear" else middle > 0.6


@pytest.mark.parametrize("stretch", ["log", "asinh"])
@pytest.mark.parametrize("limits", [(10, 10000), (998.3, 1009.7), (-3, 2e-1)])
def test_the_ticks_of_a_stretched_bar_keep_apart(stretch, limits):
    ax = show_frame(IMAGE, limits=limits, stretch=stretch)
    bar = ax.images[0].colorbar
    places = ax.images[0].norm(bar.get_ticks())
    assert len(places) >= 3
    assert np.diff(places).min() > 0.1  # of the bar: so high is a label of a small picture


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros(5), {}, r"two dimensions, but this has shape \(5,\)"),
        (IMAGE, {"stretch": "sqrt"}, "stretch is 'sqrt', but may only be one of"),
        (
            IMAGE,
            {"mask": np.zeros((2, 2), bool)},
            r"mask has shape \(2, 2\), but the image \(60, 80\)",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(image, options, message):
    with pytest.raises(ValueError, match=message):
        show_frame(image, **options)


def test_a_large_image_is_drawn_in_blocks_and_hides_no_bad_pixel():
    large = np.arange(30 * 45, dtype=float).reshape(30, 45)
    large[4, 4] = np.nan
    mask = np.zeros(large.shape, bool)
    mask[29, 44] = True
    drawn, overlay = show_frame(large, mask=mask, most_pixels=15).get_images()
    shown = drawn.get_array()
    assert shown.shape == (15, 15)  # blocks of 2 x 3 pixels
    assert shown[0, 0] == pytest.approx(large[:2, :3].mean())
    assert shown[2, 1] == pytest.approx(np.nanmean(large[4:6, 3:6]))
    assert np.argwhere(overlay.get_array()[..., 3] > 0).tolist() == [[14, 14]]
    assert drawn.get_extent() == overlay.get_extent() == [-0.5, 44.5, -0.5, 29.5]


def test_blocks_that_do_not_fill_the_image_keep_their_place():
    ax = show_frame(np.ones((10, 7)), most_pixels=4)
    (drawn,) = ax.get_images()
    assert drawn.get_array().shape == (4, 4)
    assert drawn.get_extent() == [-0.5, 7.5, -0.5, 11.5]
    assert np.all(drawn.get_array() == 1)  # the edge's blocks are means of what is there
    assert ax.get_xlim() == (-0.5, 6.5)
    assert ax.get_ylim() == (-0.5, 9.5)
