from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import MaskedColumn, QTable
from astropy.time import Time

from slitlapse.automation.log import choose_frames, log_night
from slitlapse.automation.stars import place_stars
from slitlapse.automation.wavelengths import (
    ArcSet,
    StarWavelengths,
    combine_arcs,
    extract_arc,
    group_arcs,
    measure_tilt,
    solve_night,
    solve_star,
)
from slitlapse.wavelength import LineTilt, WavelengthError, WavelengthSolution


def arcs_at(*minutes):
    time = Time("2020-01-01T00:00:00") + np.array(minutes, float) * u.min
    return QTable({"filename": [f"{n}.fits" for n in range(len(time))], "time": Time(time)})


def solution_at(wavelength):
    return WavelengthSolution(
        np.array([wavelength, 500.0]), (0, 99), 100, medium="air", basis="legendre"
    )


@pytest.fixture(scope="module")
def placements(toy_night):
    return place_stars(toy_night.night, toy_night.chosen, toy_night.calibration, [])


@pytest.fixture(scope="module")
def arc_set(toy_night):
    door = toy_night.calibration.door
    return combine_arcs(group_arcs(toy_night.chosen["arc"], "together")[0], door, (120, 640), [])


@pytest.mark.parametrize(
    ("minutes", "choice", "sizes"),
    [
        ([0, 10, 29], "nearest", [3]),
        ([0, 29, 31], "nearest", [2, 1]),  # the set began 31 minutes ago
        ([0, 10, 300, 310], "interpolate", [2, 2]),
        ([0, 10, 300, 310], "together", [4]),
        ([], "nearest", []),
    ],
)
def test_arcs_within_half_an_hour_are_one_set(minutes, choice, sizes):
    table = arcs_at(*minutes)
    if not minutes:
        table = arcs_at(0)[:0]
    assert [len(group) for group in group_arcs(table, choice)] == sizes


def test_arcs_without_any_time_are_one_set():
    table = arcs_at(0, 300)
    table["time"][:] = np.ma.masked
    assert [len(group) for group in group_arcs(table, "nearest")] == [2]


@pytest.mark.parametrize(
    ("choice", "hour", "expected"),
    [
        ("nearest", 0.4, 6000),
        ("nearest", 1.6, 6004),
        ("interpolate", 0.5, 6001),
        ("interpolate", 1.5, 6003),
        ("interpolate", -1, 6000),  # before the first: nothing to interpolate with
        ("interpolate", 9, 6004),
    ],
)
def test_an_exposure_gets_the_wavelengths_of_its_time(choice, hour, expected):
    start = Time("2020-01-01T00:00:00")
    solutions = [solution_at(wave) for wave in (6000, 6002, 6004)]
    times = [start + n * u.hour for n in range(3)]
    stars = StarWavelengths(solutions, times, choice)
    wave = stars.wavelength_at(start + hour * u.hour)
    assert (wave[0] + wave[-1]).to_value(u.AA) / 2 == pytest.approx(expected, abs=1e-6)
    assert stars.main is solutions[1]


def test_one_solution_holds_at_any_time():
    only = StarWavelengths([solution_at(6000)], [None], "nearest")
    assert np.array_equal(only.wavelength_at(Time("2020-01-01")), only.main.wavelength)


def test_lamps_along_a_star_are_averaged_without_bad_pixels():
    data = np.full((20, 50), 5.0)
    mask = np.zeros(data.shape, bool)
    data[10, 7], mask[10, 7] = 1e6, True
    mask[8:13, 30] = True  # too much of it is lost there
    image = CCDData(data, unit="electron", mask=mask, meta={"sigma": np.full(data.shape, 2.0)})
    spectrum, sigma = extract_arc(image, np.full(50, 10.0), 3)
    assert np.isnan(spectrum[30]) and np.allclose(np.delete(spectrum, 30), 5.0)
    # five whole rows and two halves; at pixel 7 four and two
    assert sigma[0] == pytest.approx(2 * np.sqrt(5 + 0.5) / 6)
    assert sigma[7] == pytest.approx(2 * np.sqrt(4 + 0.5) / 5)


def test_the_lamps_of_a_set_are_added_lamp_by_lamp(toy_night, arc_set):
    assert set(arc_set.images) == set(toy_night.chosen["arc"]["lamps"])
    assert set(arc_set.factors.values()) == {1.0}
    assert arc_set.filenames == tuple(toy_night.chosen["arc"]["filename"])


def pulls(toy_night, trace, found):
    """Error of one star's wavelengths over what they claim, or over 0.03 pixels."""
    middle = np.median(np.asarray(trace.trace))
    star = min(toy_night.truth.stars, key=lambda each: abs(each.row - middle))
    true = toy_night.truth.scene.star_solution(star)
    wrong = true.wavelength_to_pixel(found.wavelength) - np.arange(640)
    claimed = (found.wavelength_uncertainty / np.abs(np.gradient(found.wavelength))).to_value("")
    return wrong / np.maximum(claimed, 0.03)


def test_each_star_has_the_wavelengths_of_its_own_rows(toy_night, placements, arc_set):
    for trace in placements[0].traces.values():
        found = solve_star(arc_set, trace, toy_night.night)
        assert np.abs(pulls(toy_night, trace, found)).max() < 4


def test_the_lines_lean_as_they_were_made_to(toy_night, arc_set):
    tilt = measure_tilt(arc_set, notes := [])
    truth = toy_night.truth.scene.tilt
    assert not notes
    # the same position along the dispersion, seen from two rows
    for x in (100.0, 320.0, 540.0):
        found = float(tilt.effective(x, 100.0) - tilt.effective(x, 20.0))
        assert found == pytest.approx(
            float(truth.effective(x, 100.0) - truth.effective(x, 20.0)), abs=0.05
        )


@pytest.fixture
def finer_arcs(toy_night, tmp_path):
    """The toy night with an arc of twice the columns, of the same lines."""
    night, scene, rng = toy_night.night, toy_night.truth.scene, np.random.default_rng(5)
    for row in toy_night.log[toy_night.log["kind"] != "arc"]:
        name = str(row["filename"])
        (tmp_path / name).symlink_to(night.data / name)
    # fine pixel 2 i + 0.5 is the middle of pixel i
    solution = replace(scene.solution, domain=(0.5, 1278.5), n_pixels=1280)
    tilt = LineTilt(2 * np.asarray(scene.tilt.coefficients), (120, 1280), 59.5)
    fine = replace(scene, shape=(120, 1280), solution=solution, tilt=tilt, line_fwhm=5.6)
    row = toy_night.chosen["arc"][0]
    light = rng.poisson(fine.arc_image(str(row["lamps"])))
    adu = np.hstack([light[:, :640] / 1.5, light[:, 640:] / 1.6, np.zeros((120, 96))])
    header = fits.getheader(night.data / row["filename"])
    frame = (adu + rng.normal(400, 3, adu.shape)).astype(np.float32)
    fits.writeto(tmp_path / row["filename"], frame, header)
    return replace(night, data=tmp_path)


def test_arcs_of_finer_binning_are_scaled(toy_night, finer_arcs, placements):
    chosen = choose_frames(log_night(finer_arcs), finer_arcs)
    assert list(chosen["arc"]["n_x"]) == [1376]
    door = replace(toy_night.calibration.door, folder=finer_arcs.data)
    calibration = replace(toy_night.calibration, door=door)
    solutions, tilt = solve_night(finer_arcs, chosen, calibration, placements, notes := [])
    assert not notes and tilt.shape == (120, 640)
    truth = toy_night.truth.scene.tilt
    moved = tilt[100, 320] - tilt[20, 320]
    assert moved == pytest.approx(
        float(truth.effective(320.0, 100.0) - truth.effective(320.0, 20.0)), abs=0.05
    )
    for name, trace in placements[0].traces.items():
        # half a fine pixel, forgotten, would be 8: nearer to none than to that
        assert abs(np.median(pulls(toy_night, trace, solutions[name].main))) < 4


def test_coarser_arcs_give_no_tilt_and_say_so(arc_set):
    coarse = replace(arc_set, factors=dict.fromkeys(arc_set.factors, 0.5))
    assert measure_tilt(coarse, notes := []) is None
    assert "fewer pixels along the dispersion" in notes[0]


def test_without_an_arc_spectra_count_pixels(toy_night, placements):
    tables = toy_night.chosen.tables | {"arc": toy_night.chosen["arc"][:0]}
    chosen = replace(toy_night.chosen, tables=tables)
    found = solve_night(toy_night.night, chosen, toy_night.calibration, placements, notes := [])
    assert found == ({}, None) and "no arc" in notes[0]


def test_an_arc_of_another_lamp_leaves_a_note_and_no_wavelengths(toy_night, placements):
    arcs = toy_night.chosen["arc"].copy()
    arcs["lamps"] = MaskedColumn(["Th"] * len(arcs))
    chosen = replace(toy_night.chosen, tables=toy_night.chosen.tables | {"arc": arcs})
    solutions, tilt = solve_night(
        toy_night.night, chosen, toy_night.calibration, placements, notes := []
    )
    assert solutions == {} and tilt is not None  # lines lean whatever made them
    assert len(notes) == len(placements[0].traces)
    assert all("gives no wavelengths for star" in note for note in notes)


def test_an_arc_without_lamps_or_light_is_left_out(toy_night):
    arcs = toy_night.chosen["arc"].copy()
    arcs["lamps"] = [""] * len(arcs)
    found = combine_arcs(arcs, toy_night.calibration.door, (120, 640), notes := [])
    assert found.images == {} and all("nothing says which lamp" in note for note in notes)


def test_lines_of_no_lamp_are_not_believed(toy_night, placements, arc_set):
    rng = np.random.default_rng(3)
    noise = CCDData(
        rng.normal(100, 10, (120, 640)), unit="electron", mask=np.zeros((120, 640), bool),
        meta={"sigma": np.full((120, 640), 10.0)},
    )  # fmt: skip
    nothing = ArcSet({"Ne": noise}, {"Ne": 1.0}, None, ("x.fits",))
    trace = next(iter(placements[0].traces.values()))
    with pytest.raises(WavelengthError):
        solve_star(nothing, trace, toy_night.night)
