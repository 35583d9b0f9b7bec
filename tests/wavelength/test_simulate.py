"""Simulated arcs: light is conserved, lines are where they were put, and round trips close."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.wavelength import (
    LineList,
    LineTilt,
    WavelengthSolution,
    find_lines,
    lamp_line_list,
    match_lamps,
)
from slitlapse.wavelength.simulate import arc_image, arc_spectrum, simulate_spectrograph

SOLUTION = WavelengthSolution([5500.0, 1000.0, 15.0], (0, 999), 1000)


def one_line(wave):
    return LineList({"wavelength": [wave] * u.AA, "strength": [1.0]}, meta={"medium": "air"})


@pytest.mark.parametrize("slit", [0.0, 4.0])
@pytest.mark.parametrize("fwhm", [1.5, 5.0])
def test_light_is_conserved_and_centred(slit, fwhm):
    wave = SOLUTION.pixel_to_wavelength(500.3).value
    flux = arc_spectrum(SOLUTION, one_line(wave), fwhm=fwhm, slit=slit, counts=1000.0)
    np.testing.assert_allclose(flux.sum(), 1000, rtol=1e-6)
    # pixels sample a Gaussian: its centroid is off by the alias, exp(-2 (pi sigma)^2) / pi
    alias = np.exp(-2 * (np.pi * fwhm / 2.3548) ** 2) / np.pi
    centroid = (flux * np.arange(1000)).sum() / 1000
    np.testing.assert_allclose(centroid, 500.3, atol=1e-5 + alias)


def test_a_line_half_off_the_edge_leaves_half_its_light():
    wave = SOLUTION.pixel_to_wavelength(-0.5).value
    flux = arc_spectrum(SOLUTION, one_line(wave), counts=1000.0)
    np.testing.assert_allclose(flux.sum(), 500, rtol=1e-6)


def test_noise_is_poisson_and_repeatable():
    wave = SOLUTION.pixel_to_wavelength(500).value
    draw = lambda: arc_spectrum(  # noqa: E731
        SOLUTION, one_line(wave), background=400.0, read_noise=3, rng=np.random.default_rng(1)
    )
    np.testing.assert_array_equal(draw(), draw())
    quiet = draw()[:400]
    assert abs(quiet.var() / 409 - 1) < 4 * np.sqrt(2 / 400)


def test_an_image_is_tilted_as_told():
    tilt = LineTilt([[10.0]], (60, 1000), 30.0)
    wave = SOLUTION.pixel_to_wavelength(500).value
    image = arc_image(SOLUTION, one_line(wave), tilt, counts=1000.0)
    centre = (image * np.arange(1000)).sum(axis=1) / image.sum(axis=1)
    np.testing.assert_allclose(centre, tilt.detector(500.0, np.arange(60)), atol=1e-4)


def test_the_round_trip_from_solution_to_arc_to_solution():
    lines = lamp_line_list("HeAr", wavelength_range=(4500, 6510))
    rng = np.random.default_rng(2)
    arc = arc_spectrum(SOLUTION, lines, fwhm=3, counts=3e6, background=20, read_noise=3, rng=rng)
    found = match_lamps([("HeAr", arc)], wavelength_range=(4400, 6600))
    used = found.lines["pixel"][found.lines["used"]].value
    x = np.linspace(used.min(), used.max(), 50)
    error = found.pixel_to_wavelength(x) - SOLUTION.pixel_to_wavelength(x)
    assert np.sqrt(np.mean(error.value**2)) / 2 < 0.05  # angstrom per pixel: 2


def test_an_invented_spectrograph_keeps_its_promises():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        one = simulate_spectrograph(rng)
        wave = one.solution.wavelength.value
        assert 300 <= np.ptp(wave) <= 8500
        assert (np.diff(wave) > 0).all() or (np.diff(wave) < 0).all()
        assert 1 <= len(one.arcs) <= 4
        n_found = sum(len(find_lines(flux, uncertainty=s)) for _, flux, s in one.arcs)
        assert n_found >= 8
        low, high = one.rough_range(rng)
        assert abs(0.5 * (low + high) - wave.mean()) < 0.2 * np.ptp(wave)
