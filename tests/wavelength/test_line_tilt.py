"""Line tilt: measured to a thousandth of a pixel, inverted exactly, carried to every star."""

import numpy as np
import pytest
from specreduce.tilt_solution import TiltSolution

from slitlapse.wavelength import WavelengthSolution, lamp_line_list
from slitlapse.wavelength.line_tilt import LineTilt
from slitlapse.wavelength.simulate import arc_image

TRUTH = LineTilt([[4.0, 0.6], [3.0, -0.5]], (240, 1024), 110.0)
SOLUTION = WavelengthSolution([6500.0, 1500, 30, 3], (0, 1023), 1024)


def make_image(rng, counts=2e5, **kwargs):
    lines = lamp_line_list("NeAr", wavelength_range=(4900, 8100))
    options = {"fwhm": 2.6, "slit": 2.0, "counts": counts, "background": 30, "read_noise": 4}
    return arc_image(SOLUTION, lines, TRUTH, rng=rng, **{**options, **kwargs})


@pytest.mark.parametrize("seed", [0, 1])
def test_the_map_is_good_to_a_few_thousandths_of_a_pixel(seed):
    tilt = LineTilt.measure(make_image(np.random.default_rng(seed)), reference_row=110.0)
    error = tilt.effective_pixel - TRUTH.effective_pixel
    assert error.std() < 0.005  # the best peers reach 0.001 to 0.006
    assert np.abs(error).max() < 0.03
    assert tilt.n_lines > 20


def test_there_and_back_is_exact():
    x, y = np.meshgrid(np.linspace(0, 1023, 40), np.linspace(0, 239, 20))
    np.testing.assert_allclose(TRUTH.effective(TRUTH.detector(x, y), y), x, atol=1e-8)
    np.testing.assert_allclose(TRUTH.effective(x[:1], 110.0), x[:1])


def test_slit_profile_bad_pixels_and_dark_rows_do_no_harm():
    rng = np.random.default_rng(2)
    profile = np.where((np.arange(240) > 30) & (np.arange(240) < 220), 1.0, 0.0)
    profile *= 1 + 0.3 * np.sin(np.arange(240) / 30)
    image = make_image(rng, profile=profile)
    mask = rng.random(image.shape) < 0.005
    image[mask] = 1e5
    tilt = LineTilt.measure(image, reference_row=110.0, mask=mask)
    error = (tilt.effective_pixel - TRUTH.effective_pixel)[35:215]
    assert error.std() < 0.01


def test_a_star_gets_its_own_solution_and_the_image_its_wavelengths():
    trace = 60 + 0.02 * np.arange(1024)
    star = TRUTH.carry(SOLUTION, trace)
    x = np.arange(1024)
    expected = SOLUTION.pixel_to_wavelength(TRUTH.effective(x, trace))
    np.testing.assert_allclose(star.wavelength.value, expected.value, atol=1e-3)
    wave = TRUTH.wavelength_2d(SOLUTION)
    assert wave.shape == (240, 1024)
    np.testing.assert_allclose(wave[110].value, SOLUTION.wavelength.value)
    # the neighbour's solution would be wrong by pixels
    shift = (wave[230] - wave[10]) / SOLUTION.dispersion(x) / (1 / 1)
    assert np.abs(shift.value).max() > 1.5


def test_specreduce_gets_the_same_map():
    theirs = TRUTH.to_specreduce()
    assert isinstance(theirs, TiltSolution)
    x, y = np.meshgrid(np.linspace(0, 1023, 20), np.linspace(0, 239, 10))
    mapped = theirs.corr_to_det(x.ravel(), y.ravel())[0]
    np.testing.assert_allclose(mapped, TRUTH.detector(x, y).ravel(), atol=1e-9)


def test_upright_lines_have_no_tilt():
    none = LineTilt.none((50, 100))
    np.testing.assert_array_equal(none.effective_pixel, np.tile(np.arange(100.0), (50, 1)))


def test_an_arc_without_lines_is_refused():
    image = np.random.default_rng(0).normal(100, 3, (100, 500))
    with pytest.raises(ValueError, match="arc lines can be followed"):
        LineTilt.measure(image)
    with pytest.raises(ValueError, match="two dimensions"):
        LineTilt.measure(np.ones(100))


def test_the_plot_shows_measured_and_modelled_lean():
    tilt = LineTilt.measure(make_image(np.random.default_rng(3)), reference_row=110.0)
    ax = tilt.plot()
    assert len(ax.lines) == 6  # five lines of the model and the measured points
    np.testing.assert_allclose(ax.lines[0].get_xdata(), tilt.detector(0.0, np.arange(240)))
    assert len(ax.lines[-1].get_xdata()) > 300
