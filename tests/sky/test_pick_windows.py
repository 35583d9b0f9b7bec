"""Tests of picking windows with a mouse that is not there."""

import numpy as np
import pytest

from slitlapse.sky import SkyWindows, pick_windows


@pytest.fixture
def image():
    y = np.arange(200)[:, np.newaxis]
    trace = np.linspace(95, 105, 50)
    return 10 + 1000 * np.exp(-0.5 * ((y - trace) / 2) ** 2)


def drag(picker, start, end):
    """Press the mouse at one place of the cut, move, and release at another."""
    from matplotlib.backend_bases import MouseButton, MouseEvent

    ax, canvas = picker.axes, picker.axes.figure.canvas
    canvas.draw()
    level = np.mean(ax.get_ylim())
    for name, at in (
        ("button_press_event", start),
        ("motion_notify_event", end),
        ("button_release_event", end),
    ):
        x, y = ax.transData.transform((at, level))
        held = {"buttons": {MouseButton.LEFT}} if name.startswith("motion") else {}
        event = MouseEvent(name, canvas, x, y, MouseButton.LEFT, **held)
        canvas.callbacks.process(name, event)


def test_what_is_dragged_prints_as_text_that_replays(image):
    picker = pick_windows(image, np.linspace(95, 105, 50))
    assert "drag" in picker.text
    drag(picker, 20, 60)
    drag(picker, -20, -60)
    windows = SkyWindows.from_text(picker.text)
    np.testing.assert_allclose(windows.offsets, [[-60, -20], [20, 60]], atol=1)
    assert picker.axes.get_title() == picker.text
    assert len(picker.axes.patches) >= 2


def test_a_click_removes_and_an_overlap_joins(image):
    picker = pick_windows(image, 100.0)
    picker.add(20, 40)
    picker.add(35, 60)
    picker.add(-50, -20)
    assert picker.windows == [(-50, -20), (20, 60)]
    drag(picker, -30, -30)
    assert picker.windows == [(20, 60)]
    picker.add(70, 70.4)
    assert picker.windows == [(20, 60)]


def test_without_a_star_windows_are_rows(image):
    import matplotlib.pyplot as plt

    picker = pick_windows(image, ax=plt.figure().add_subplot())
    picker.add(10, 50)
    assert SkyWindows.from_text(picker.text) == SkyWindows(rows=[[10, 50]])


def test_the_cut_follows_the_star(image):
    picker = pick_windows(image, np.linspace(95, 105, 50))
    x, y = picker.axes.lines[0].get_data()
    assert abs(x[np.argmax(y)]) <= 0.5
    # whole pixels blur the star by less than half a pixel
    assert y.max() > 1000 * np.exp(-0.5 * 0.25**2)
