import astropy.units as u
import numpy as np
import pytest

from slitlapse.automation.scene import SimulatedStar, SlitScene, transit_shape
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
    image = scene.arc_image("HeNeAr")
    x = np.arange(640)
    middle = image[60].copy()
    peak = int(np.argmax(middle[200:440])) + 200

    def centre(row, near):
        part = slice(round(near) - 6, round(near) + 7)
        return np.sum(x[part] * image[row, part]) / image[row, part].sum()

    here = centre(60, peak)
    for row in (20, 100):
        expected = scene.tilt.detector(scene.tilt.effective(here, 60.0), float(row))
        assert centre(row, expected) == pytest.approx(float(expected), abs=0.15)
