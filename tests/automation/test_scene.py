import astropy.units as u
import numpy as np
import pytest

from slitlapse.automation.scene import SimulatedStar, SlitScene, place_on_slit, transit_shape
from slitlapse.instruments import load_instrument


@pytest.fixture(scope="module")
def scene():
    return SlitScene.build(load_instrument("toy"), (120, 640))


def test_a_star_puts_all_its_light_on_the_frame(scene):
    star = SimulatedStar("A", 60.0, 1000.0)
    image = scene.star_image(star, scene.spectrum(star), 0.3, 4.0)
    # a Moffat of beta 3.5 loses (60 px / 2.7 px)**-5 of its light over the edges of the frame
    assert np.allclose(image.sum(axis=0), scene.spectrum(star), rtol=1e-5)


def test_the_truth_is_a_smooth_climbing_trace(scene):
    star = SimulatedStar("A", 60.0, 1000.0, tilt=2.0)
    trace = scene.trace(star)
    assert trace[0] == 60.0 and trace[-1] == pytest.approx(62.0)
    assert np.all(np.abs(np.diff(trace)) < 0.02)


def test_stars_along_leaning_lines_have_other_wavelengths(scene):
    low, high = (SimulatedStar("A", row, 1000.0) for row in (20.0, 100.0))
    moved = scene.star_solution(low).wavelength - scene.star_solution(high).wavelength
    # lines lean by 3 (blue end: 1) to 5 px over 120 rows: over 80 rows 2 px of 5 A in the middle
    assert moved[320].to_value(u.AA) == pytest.approx(2.0 * 4.9, rel=0.1)


def test_a_transit_takes_light_in_the_middle_half_only():
    hours = np.linspace(0, 4, 401)
    shape = transit_shape(hours)
    assert shape.min() == 0 and shape.max() == 1
    assert shape[hours < 0.8].max() == 0 and shape[np.abs(hours - 2) < 0.8].min() == 1
    assert shape.sum() * 0.01 == pytest.approx(2.0, abs=0.02)  # half of the night


def test_outside_the_slit_there_is_no_sky(scene):
    assert np.all(scene.sky_image[:6] == 0)
    assert np.all(scene.sky_image[10:110] > 0)


def test_lamp_lines_lean_as_the_tilt_says(scene):
    # lines of helium that stand alone
    image = scene.arc_image("He")
    x = np.arange(640)
    for wave in (5875.6, 6678.2, 7065.2):
        at = scene.solution.wavelength_to_pixel(wave)
        for row in (20, 60, 100):
            expected = float(scene.tilt.detector(at, float(row)))
            part = slice(round(expected) - 8, round(expected) + 9)
            centre = np.sum(x[part] * image[row, part]) / image[row, part].sum()
            assert centre == pytest.approx(expected, abs=0.02)


def test_a_moved_scene_shows_every_line_further_on(scene):
    moved = scene.moved(1.5)
    assert scene.moved(0) is scene
    there = scene.solution.wavelength_to_pixel(6000.0)
    assert moved.solution.wavelength_to_pixel(6000.0) == pytest.approx(there + 1.5)
    assert not np.allclose(moved.sky_image, scene.sky_image)


def test_a_truth_replaces_the_built_in_spectrum(scene):
    from astropy.table import QTable
    from astropy.time import Time

    from slitlapse.automation import SpectralTimeSeries

    wave = np.linspace(4000, 9000, 5001) * u.AA
    flux = np.full((5001, 1), 100.0) * u.electron  # in every angstrom
    truth = SpectralTimeSeries(
        QTable({"wavelength": wave}), QTable({"time": Time(["2025-01-01"])}),
        {"flux": flux, "uncertainty": flux},
    )  # fmt: skip
    star = SimulatedStar("A", 60.0, 1000.0, truth=truth)
    edges = scene.star_solution(star).pixel_to_wavelength(np.arange(641) - 0.5).value
    assert np.allclose(scene.spectrum(star), 100 * np.diff(edges))


def test_a_variable_star_swings_by_its_amplitude(scene):
    star = SimulatedStar("A", 60.0, 1000.0, variation=0.03, period=0.5)
    change = star.changes(scene, np.linspace(0, 3, 1001))
    assert change.shape == (640, 1001)
    assert change.max() == pytest.approx(1.03, abs=1e-4)
    assert change.min() == pytest.approx(0.97, abs=1e-4)


def test_the_air_takes_more_blue_light_at_low_altitude(scene):
    star = SimulatedStar("A", 60.0, 1000.0)
    assert np.array_equal(scene.air(star, 1.0), np.ones(640))
    low = scene.air(star, 2.0)
    assert np.all(low < 1) and low[0] < low[-1]


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_stars_stand_apart_within_the_slit(number):
    stars = place_on_slit(number, 200)
    rows = [star.row for star in stars]
    assert len({star.name for star in stars}) == number
    assert stars[0].depth > 0 and all(star.depth == 0 for star in stars[1:])
    assert np.all(np.diff(rows) > 29) and min(rows) > 30 and max(rows) < 170
