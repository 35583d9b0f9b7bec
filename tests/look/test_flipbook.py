"""Frames in order, in one place, at one scale."""

import io

import numpy as np
import pytest
from PIL import Image

from slitlapse.look import FlipBook, find_limits

FRAMES = [np.random.default_rng(n).normal(100 * n, 5, (20, 30)) for n in range(3)]


def test_all_frames_share_one_scale_unless_told_otherwise():
    book = FlipBook(FRAMES)
    low, high = book.limits()
    each = [find_limits(frame) for frame in FRAMES]
    assert (low, high) == (min(lows for lows, _ in each), max(highs for _, highs in each))


def test_a_frame_is_read_only_when_it_is_drawn():
    seen = []

    def frame(number):
        seen.append(number)
        return FRAMES[number]

    book = FlipBook([lambda n=n: frame(n) for n in range(3)], "abc", same_scale=False)
    assert seen == []
    assert book.draw(1).get_xlabel() == "x (pixel)\nb"
    assert seen == [1]


def test_titles_are_text_and_not_formulae():
    book = FlipBook(FRAMES[:1], ["a_$b$_<c>"])
    ax = book.draw(0)
    assert ax.get_xlabel() == "x (pixel)\na_$b$_<c>"
    assert not ax.xaxis.label.get_parse_math()


def test_drawing_into_given_axes_with_given_options():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert FlipBook(FRAMES, options={"limits": (0, 9)}).draw(2, ax, cmap="viridis") is ax
    drawn = ax.get_images()[0]
    assert drawn.get_clim() == (0, 9)
    assert drawn.get_cmap().name == "viridis"


def test_every_frame_becomes_a_picture_that_shows_its_brightness():
    pngs = FlipBook(FRAMES).to_png(dpi=30)
    brightness = [np.asarray(Image.open(io.BytesIO(png)).convert("L")).mean() for png in pngs]
    assert brightness == sorted(brightness)
    assert brightness[2] > brightness[0] + 50


def test_each_frame_on_its_own_scale_shows_no_change_of_level():
    frames = [FRAMES[0] + level for level in (0, 1024)]  # a power of two: no rounding
    options = {"colorbar": False}
    own = FlipBook(frames, same_scale=False, options=options).to_png(dpi=30)
    brightness = [np.asarray(Image.open(io.BytesIO(png)).convert("L"), float) for png in own]
    assert np.abs(brightness[0] - brightness[1]).max() <= 1


def test_limits_that_are_given_are_kept():
    pngs = FlipBook(FRAMES, options={"limits": (1e6, 2e6), "colorbar": False}).to_png(dpi=30)
    brightness = [np.asarray(Image.open(io.BytesIO(png)).convert("L")).mean() for png in pngs]
    assert np.ptp(brightness) < 1


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_the_movie_has_all_frames_in_order_and_at_its_speed(tmp_path, ending):
    path = FlipBook(FRAMES, ["first", "second", "third"]).save(
        tmp_path / f"night.{ending}", fps=4, dpi=30
    )
    with Image.open(path) as movie:
        assert movie.n_frames == 3
        brightness = []
        for number in range(3):
            movie.seek(number)
            brightness.append(np.asarray(movie.convert("L")).mean())
            movie.load()
            assert movie.info["duration"] == pytest.approx(250, abs=10)
    assert brightness == sorted(brightness)


def test_what_is_no_flip_book_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs at least one frame"):
        FlipBook([])
    with pytest.raises(ValueError, match="3 frames came with 2 titles"):
        FlipBook(FRAMES, ["a", "b"])
    with pytest.raises(ValueError, match=r"saved as .gif, .png or .webp, not as '.mp4'"):
        FlipBook(FRAMES).save(tmp_path / "x.mp4")
