from dataclasses import replace

import numpy as np
import pytest

from slitlapse.automation import NightError
from slitlapse.automation.log import choose_frames, log_night
from slitlapse.automation.stars import mean_frame, place_stars


def place(toy, notes=None, **changes):
    night = replace(toy.night, **changes)
    return place_stars(night, toy.chosen, toy.calibration, [] if notes is None else notes)


@pytest.fixture(scope="module")
def placement(toy_night):
    (found,) = place(toy_night)
    return found


def test_traces_follow_the_truth(toy_night, placement):
    for star in toy_night.truth.stars:
        trace = placement.traces[star.name]
        wrong = np.asarray(trace.trace) - toy_night.truth.scene.trace(star)
        # where the stars stood in the mean of the exposures is a constant of its own
        assert np.ptp(toy_night.truth.offsets) > np.abs(np.median(wrong))
        assert np.all(np.abs(wrong - np.median(wrong)) < 5 * trace.trace_uncertainty)


def test_wings_are_those_of_single_exposures(placement):
    for trace in placement.traces.values():
        # the truth is 3; the light beyond 6 px changes by 300 ppm for each 0.03
        assert trace.beta == pytest.approx(3.0, abs=0.06)


def test_stars_that_are_well_apart_are_traced_each_by_itself(placement):
    """However wide the window is: 39 rows are 23 widths."""
    for trace in placement.traces.values():
        assert 15 * np.median(trace.width) + 6 < 39
        assert trace.neighbours == ()


def test_stars_that_nobody_named_are_found_by_brightness(toy_night):
    (found,) = place(toy_night, stars={})
    rows = {name: float(trace.trace[320]) for name, trace in found.traces.items()}
    faint, bright = toy_night.truth.stars
    assert list(rows) == ["A", "B"]
    assert rows["A"] == pytest.approx(bright.row + bright.bend(0.5), abs=0.6)
    assert rows["B"] == pytest.approx(faint.row + faint.bend(0.5), abs=0.6)


def test_exposures_with_positions_of_their_own_are_placed_by_themselves(toy_night):
    names = [str(name) for name in toy_night.chosen["science"]["filename"]]
    rows = dict(toy_night.night.stars)
    rows["target"] = {"*": rows["target"], names[2]: rows["target"] + 1.0}
    rows["target"] = {names[2]: rows["target"]["*"] + 1.0, "*": rows["target"]["*"]}
    found = place(toy_night, stars=rows)
    assert sorted(len(each.filenames) for each in found) == [1, len(names) - 1]
    assert (names[2],) in [each.filenames for each in found]


def test_a_star_outside_the_frame_is_refused(toy_night):
    with pytest.raises(NightError, match=r"\[stars\] B is said to be at row 500.*rows 0 to 119"):
        place(toy_night, stars={"B": 500.0})


def test_one_star_with_two_names_is_refused(toy_night):
    with pytest.raises(NightError, match="name a star once"):
        place(toy_night, stars={"A": 43.2, "B": 43.6})


def test_a_row_without_a_star_is_said(toy_night):
    with pytest.raises(NightError, match=r"star A cannot be traced from row 15\.0"):
        place(toy_night, stars={"A": 15.0})


def test_a_slit_without_stars_is_said(toy_night):
    arcs = toy_night.chosen["bias"]
    blank = replace(toy_night.chosen, tables={**toy_night.chosen.tables, "science": arcs})
    night = replace(toy_night.night, stars={})
    with pytest.raises(NightError, match="no star stands out on the slit"):
        place_stars(night, blank, toy_night.calibration, [])


def test_the_mean_frame_has_the_level_of_one_and_less_noise(toy_night):
    names = [str(name) for name in toy_night.chosen["science"]["filename"]]
    image = mean_frame(toy_night.chosen, toy_night.calibration, names)
    door = toy_night.calibration.door
    single = door.electrons(names[0], "science")
    sky = np.s_[15:30, 200:300]
    truth = toy_night.truth.scene.sky_image
    scatter = [np.std((each.data - truth)[sky]) for each in (single, image)]
    # a median of 12 scatters by sqrt(pi / 2 / 12) of one, and shares bias and flat with it
    assert scatter[1] / scatter[0] == pytest.approx(np.sqrt(np.pi / 2 / len(names)), rel=0.15)


def test_a_frame_that_cannot_be_combined_is_named(toy_night, tmp_path):
    log = log_night(toy_night.night)
    chosen = choose_frames(log, toy_night.night)
    table = chosen["science"].copy()
    table["filename"][1] = "gone.fits"
    chosen = replace(chosen, tables={**chosen.tables, "science": table})
    with pytest.raises(NightError, match=r"gone\.fits cannot be read"):
        mean_frame(chosen, toy_night.calibration, [str(n) for n in table["filename"]])
