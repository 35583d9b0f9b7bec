"""Curves that a slider moves."""

import re

import numpy as np
import pytest

from slitlapse.look import Movie, MoviePanel, ReportPage
from slitlapse.look.movie import ticks

NASTY = "<script>alert('x')</script>\""


def frames(svg, number=0):
    """Path of every frame of the ``number``th thing that moves."""
    return re.findall(r'data-frames="([^"]*)"', svg)[number].split("|")


def points(path):
    """Where a path goes, shape (n, 2)."""
    return np.array(
        [[float(v) for v in pair.split()] for pair in re.findall(r"[ML]([^MLVv]*)", path)]
    )


def test_every_frame_is_the_curve_it_should_be():
    x, y = np.linspace(0, 10, 20), np.arange(60).reshape(3, 20) % 17.0
    svg = Movie([MoviePanel(x, y, "time", "light")], "abc").to_svg()
    found = frames(svg)
    assert len(found) == 3
    for path, row in zip(found, y, strict=True):
        drawn = points(path)
        # straight lines between numbers and places on the picture, to the tenth of a unit written
        for place, value in ((drawn[:, 0], x), (drawn[:, 1], row)):
            line = np.polyfit(value, place, 1)
            assert np.abs(np.polyval(line, value) - place).max() < 0.1
        assert np.polyfit(x, drawn[:, 0], 1)[0] > 0 > np.polyfit(row, drawn[:, 1], 1)[0]
    assert f'd="{found[0]}"' in svg  # the first is seen before any script runs


def test_all_frames_share_one_scale():
    found = frames(Movie([MoviePanel([0, 1], [[1, 2], [1, 4]])], "ab").to_svg())
    assert points(found[0])[0, 1] == points(found[1])[0, 1]
    assert points(found[0])[1, 1] > points(found[1])[1, 1]


def test_a_line_is_broken_where_nothing_is_known():
    (path,) = frames(Movie([MoviePanel([0, 1, 2, 3, 4], [[1, 2, np.nan, 3, 4]])], "a").to_svg())
    assert re.sub("[^ML]", "", path) == "MLML"


def test_points_have_bars_as_long_as_their_errors():
    panel = MoviePanel([0, 1], [[1, 2], [2, 1]], error=[[0.1, 0.2], [0.1, 0.1]], points=True)
    found = frames(Movie([panel], "ab").to_svg())
    bars = re.findall(r"M\d+ (\d+)V(\d+)", found[0])
    assert len(bars) == 2
    short, long = (int(low) - int(high) for low, high in bars)
    assert long == pytest.approx(2 * short, abs=2)


def test_a_strip_keeps_its_curves_and_moves_a_line():
    strip = MoviePanel(np.arange(5), np.ones((2, 5)), cursor=[0, 4], names=("A", "B"), points=True)
    svg = Movie([MoviePanel([0, 1], np.ones((2, 2)))], "ab", [strip]).to_svg()
    first, last = (float(path.split()[0][1:]) for path in frames(svg, 1))
    assert last > first
    assert ">A</text>" in svg and ">B</text>" in svg


def test_a_curve_without_any_value_is_no_error():
    svg = Movie([MoviePanel([0, 1], [[np.nan, np.nan]])], ["x"]).to_svg()
    assert "nan" not in svg and "inf" not in svg


def test_labels_are_text_and_never_run():
    strip = MoviePanel([0, 1], [[0, 1]], NASTY, NASTY, cursor=[0], names=(NASTY,))
    movie = Movie([MoviePanel([0, 1], [[0, 1]], NASTY, NASTY)], [NASTY], [strip])
    page = ReportPage("x").add_movie(movie, NASTY, label=NASTY).to_html()
    assert "<script>alert" not in page
    assert page.count("<script") == 1


def test_one_caption_is_one_frame():
    with pytest.raises(ValueError, match="2 captions came with a panel 'flux' of 3 frames"):
        Movie([MoviePanel([0, 1], np.ones((3, 2)), ylabel="flux")], ["a", "b"])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3e-4, 7e-4), (5000, 9000), (0.97, 1.01)])
def test_ticks_are_round_and_within(low, high):
    marks = ticks(low, high, 5)
    step = np.diff(marks)
    assert 2 <= len(marks) <= 6
    assert marks[0] >= low - 1e-9 * step[0] and marks[-1] <= high + 1e-9 * step[0]
    digit = step[0] / 10 ** np.floor(np.log10(step[0]) + 1e-9)
    assert np.isclose(digit, [1, 2, 5]).any()
