"""The night in one picture, and every frame in order."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, join
from astropy.time import Time
from PIL import Image

from slitlapse.observing_log import (
    flip_through,
    log_line,
    make_header_table,
    measure_levels,
    plot_night,
    write_night,
)

KINDS = ["bias", "arc", "science", "science", "science"]


@pytest.fixture
def log(tmp_path):
    n = len(KINDS)
    table = QTable(
        {
            "filename": [f"x{number}.fits" for number in range(n)],
            "kind": KINDS,
            "lamps": ["", "Ne", "", "", ""],
            "time": Time("2024-03-10T23:30:00") + np.arange(n) * 900 * u.s,
            "exposure_time": [0, 10, 600, 600, 600] * u.s,
            "object": ["", "lamp", "star", "star", "other star"],
            "airmass": [np.nan, np.nan, 1.5, 1.4, 1.3],
        }
    )
    recipes = {
        kind: lambda row: np.full((8, 10), 100 + row["exposure_time"].value, np.float32)
        for kind in KINDS
    }
    write_night(table, recipes, tmp_path)
    return make_header_table(tmp_path)


def test_the_log_line_says_what_a_frame_is(log):
    assert log_line(log[0]) == "x0.fits  bias  2024-03-10T23:30:00  0 s"
    assert log_line(log[1]) == "x1.fits  arc  Ne  2024-03-10T23:45:00  10 s"
    assert log_line(log[2]) == "x2.fits  science  star  2024-03-11T00:00:00  600 s  airmass 1.500"


def test_the_log_line_leaves_out_what_is_unknown(log):
    log["time"][2] = np.ma.masked
    log["airmass"][2] = np.nan
    assert log_line(log[2]) == "x2.fits  science  star  600 s"
    assert log_line(log[0]) == "x0.fits  bias  2024-03-10T23:30:00  0 s"  # its time is known


def test_the_night_shows_airmass_by_object_and_exposures_by_kind(log):
    axes = plot_night(log)
    assert len(axes) == 2
    lines = {line.get_label(): line.get_xydata() for line in axes[0].get_lines()}
    assert set(lines) == {"star", "other star"}
    np.testing.assert_allclose(lines["star"], [[0, 1.5], [0.25, 1.4]], atol=1e-6)  # after midnight
    assert axes[0].yaxis_inverted()
    assert [text.get_text() for text in axes[1].get_yticklabels()] == ["bias", "arc", "science"]
    bars = [bar for bar in axes[1].patches if bar.get_width() > 0.1]
    starts = sorted(bar.get_x() for bar in bars)
    np.testing.assert_allclose(starts, [-1 / 12, 1 / 6, 5 / 12], atol=1e-6)
    np.testing.assert_allclose([bar.get_width() for bar in bars], 1 / 6, atol=1e-6)
    assert axes[-1].get_xlabel() == "UTC, 2024-03-10 to 2024-03-11"
    axes[0].figure.canvas.draw()
    clock = [text.get_text() for text in axes[-1].get_xticklabels()]
    assert {"23:40", "00:00", "00:20"} <= set(clock)


def test_levels_that_were_measured_get_panels_of_their_own(log, tmp_path):
    levels = measure_levels(sorted(tmp_path.glob("*.fits")), dark="[1:2,1:8]")
    axes = plot_night(join(log, levels, "filename"))
    assert [ax.get_ylabel() for ax in axes[2:]] == ["99th percentile\n(adu)", "bias level\n(adu)"]
    drawn = np.concatenate([line.get_ydata() for line in axes[2].get_lines()])
    assert sorted(drawn) == [100, 110, 700, 700, 700]


def test_levels_that_are_unknown_get_no_panel(log, tmp_path):
    levels = measure_levels(sorted(tmp_path.glob("*.fits")))
    assert len(plot_night(join(log, levels, "filename"))) == 3


def test_a_kind_has_its_colour_whatever_else_there_is(log):
    def colour(table):
        bars = plot_night(table)[1].patches
        return max(bars, key=lambda bar: bar.get_width()).get_facecolor()

    assert colour(log) == colour(log[log["kind"] == "science"])


@pytest.mark.parametrize("start", ["2024-03-10T09:00", "2024-03-10T17:00", "2024-03-11T01:00"])
def test_a_night_is_whole_wherever_on_earth_it_was(log, start):
    log["time"] = Time(start) + np.arange(len(log)) * 2 * u.h
    one = plot_night(log)
    assert one[1].get_title(loc="right") == ""
    low, high = one[0].get_xlim()
    assert high - low > 8
    log["time"][0] = log["time"][0] - 1 * u.day
    assert "1 frame of another night" in plot_night(log)[1].get_title(loc="right")


def test_one_night_of_several_is_in_view_and_the_others_are_counted(log):
    log["time"][0] = log["time"][0] - 40 * u.day
    axes = plot_night(log)
    low, high = axes[0].get_xlim()
    assert -0.5 < low < -0.25 < 0.5 < high < 1
    assert axes[1].get_title(loc="right") == "1 frame of another night is not in view"
    kinds = [text.get_text() for text in axes[1].get_yticklabels()]
    assert kinds == ["arc", "science"]  # what is not in view takes no room


def test_no_mark_lies_on_the_edge_of_the_picture(log):
    low, high = plot_night(log)[0].get_xlim()
    assert low < -0.55
    assert high > 0.55


def test_axes_of_ones_own_are_drawn_into(log):
    from matplotlib import pyplot as plt

    _, mine = plt.subplots(2)
    assert list(plot_night(log, mine)) == list(mine)


def test_a_log_without_times_cannot_be_drawn(log):
    log["time"][:] = np.ma.masked
    with pytest.raises(ValueError, match="No frame of this log has a time"):
        plot_night(log)


def test_the_flip_book_holds_each_frame_under_its_log_line(log, tmp_path):
    book = flip_through(log, kinds=["science"])
    assert list(book.titles) == [log_line(row) for row in log[2:]]
    assert book.frame(0).mean() == 700 * u.adu
    assert book.options == {"stretch": "asinh"}
    assert flip_through(log, kinds=["bias"]).options == {"stretch": "linear"}
    path = flip_through(log).save(tmp_path / "night.gif", dpi=40)
    with Image.open(path) as movie:
        assert movie.n_frames == len(log)


def test_a_real_night_flips_and_is_drawn(real_data):
    frames = {"science": {"OBSTYPE": "spec*"}, "other": {"OBSTYPE": "*"}}
    log = make_header_table(real_data / "lco_floyds_2020", frames=frames)
    book = flip_through(log)
    assert book.frame(0).shape == (512, 2079)
    assert len(plot_night(log)) == 2
