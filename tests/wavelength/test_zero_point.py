"""Zero points: from sky lines and from dips, honest and without bias."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.wavelength import LineList, WavelengthSolution, sky_line_list
from slitlapse.wavelength.simulate import arc_spectrum
from slitlapse.wavelength.zero_point import measure_zero_point

SOLUTION = WavelengthSolution([7600.0, 1000.0, 10.0], (0, 2047), 2048)


def sky(rng, offset, counts=2e4):
    """The night sky: every line may be brighter or fainter than listed."""
    lines = sky_line_list(wavelength_range=(6500, 8700))
    lines["strength"] = lines["strength"] * np.exp(rng.normal(0, 0.25, len(lines)))
    moved = SOLUTION.shifted(offset)
    options = {"fwhm": 3.5, "counts": counts, "background": 200.0, "read_noise": 4}
    expected = arc_spectrum(moved, lines, **{**options, "read_noise": 0})
    return arc_spectrum(moved, lines, rng=rng, **options), np.sqrt(expected + 16)


def test_the_offset_of_the_sky_is_found_with_an_honest_uncertainty():
    lines, pulls = sky_line_list(wavelength_range=(6500, 8700)), []
    for seed in range(40):
        flux, sigma = sky(np.random.default_rng(seed), 0.37)
        found = measure_zero_point(flux, SOLUTION, lines, uncertainty=sigma, fwhm=3.5)
        assert found.lines["used"].sum() > 10
        pulls.append((found.shift - 0.37) / found.shift_uncertainty)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(40)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * 40)


def test_blends_in_one_are_as_good_if_their_parts_are_known():
    everything = sky_line_list()
    blends = sky_line_list(fwhm=3.5 * abs(SOLUTION.dispersion(1024).value))
    found = []
    for seed in range(40):
        flux, sigma = sky(np.random.default_rng(seed), 0.37)
        options = {"uncertainty": sigma, "fwhm": 3.5}
        found.append(measure_zero_point(flux, SOLUTION, blends, shining=everything, **options))
    wrong = np.array([each.shift - 0.37 for each in found])
    pulls = wrong / [each.shift_uncertainty for each in found]
    assert abs(np.mean(pulls)) < 4 / np.sqrt(40)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * 40)


def test_at_low_dispersion_the_parts_of_blends_tell_what_their_centres_do_not():
    coarse = WavelengthSolution([7000.0, 2400.0], (0, 999), 1000)  # 4.8 angstrom a pixel
    everything, blends = sky_line_list(), sky_line_list(fwhm=3.0 * 4.8)
    flux = arc_spectrum(coarse, everything, fwhm=3.0, counts=1e5, background=200.0)
    known = measure_zero_point(flux, coarse, blends, shining=everything, fwhm=3.0)
    unknown = measure_zero_point(flux, coarse, blends, fwhm=3.0)
    assert abs(known.shift) < 3 * known.shift_uncertainty
    assert known.shift_uncertainty < 0.3 * unknown.shift_uncertainty


def test_a_faint_neighbour_moves_a_line_only_if_nobody_knows_of_it():
    lines = LineList(
        {"wavelength": [7000.0, 7003.5, 7400.0, 8000.0] * u.AA, "strength": [1.0, 0.08, 1.0, 1.0],
         "ion": ["OH"] * 4, "lamp": ["sky"] * 4}, meta={"medium": SOLUTION.medium},
    )  # fmt: skip
    flux = arc_spectrum(SOLUTION, lines, fwhm=3.5, counts=1e6, background=200.0)
    known, unknown = (
        measure_zero_point(flux, SOLUTION, some, uncertainty=1e3, fwhm=3.5).lines["offset"][0]
        for some in (lines, lines[[0, 2, 3]])
    )
    assert unknown.value > 0.03
    assert abs(known.value) < 0.1 * unknown.value


def test_dips_tell_the_zero_point_of_a_star():
    rng = np.random.default_rng(1)
    wave = np.array([6867.2, 7100.0, 7250.0, 7594.0, 8000.0, 8183.3, 8542.1]) * u.AA
    pixel = SOLUTION.wavelength_to_pixel(wave) - 0.8
    x = np.arange(2048)
    flux = 1e5 * (1 - 0.4 * np.exp(-0.5 * ((x[:, None] - pixel) / 2) ** 2).sum(axis=1))
    flux = rng.normal(flux, np.sqrt(flux))
    found = measure_zero_point(flux, SOLUTION, wave, absorption=True, fwhm=4.7)
    assert abs(found.shift + 0.8) < 4.5 * found.shift_uncertainty
    assert found.shift_uncertainty < 0.02


def test_corrected_wavelengths_put_the_lines_back():
    flux, sigma = sky(np.random.default_rng(3), -1.2)
    lines = sky_line_list(wavelength_range=(6500, 8700), min_strength=0.5)
    found = measure_zero_point(flux, SOLUTION, lines, uncertainty=sigma, fwhm=3.5)
    again = measure_zero_point(
        flux, SOLUTION.shifted(found.shift), lines, uncertainty=sigma, fwhm=3.5
    )
    assert abs(again.shift) < 3 * again.shift_uncertainty


def test_nothing_to_measure_is_said():
    with pytest.raises(ValueError, match="known lines can be measured"):
        measure_zero_point(np.zeros(2048), SOLUTION, [7000.0] * u.AA)
