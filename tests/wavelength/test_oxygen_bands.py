"""The air's oxygen is where it is known to be, and tells how far a star's wavelengths are off."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.wavelength import (
    WavelengthSolution,
    convert_medium,
    measure_oxygen,
    oxygen_transmission,
)

N_PIXELS = 900


def solution(scale):
    return WavelengthSolution([7300.0, 0.5 * scale * (N_PIXELS - 1)], (0, N_PIXELS - 1), N_PIXELS)


def star(rng, shift, *, scale=2.0, level=20000.0, fwhm=3.3, airmass=1.6):
    """A star with weak lines of its own, seen through the air, with photon noise."""
    fine = 100
    x = (np.arange(N_PIXELS * fine) + 0.5) / fine - 0.5
    air = solution(scale).pixel_to_wavelength(x - shift)
    through = oxygen_transmission(convert_medium(air, "air", "vacuum"), airmass=airmass)
    own = 1 + 0.02 * np.sin(x / 7 + rng.uniform(0, 6)) + 0.3 * np.sin(x / 400)
    width = fwhm / 2.3548 * fine
    kernel = np.exp(-0.5 * (np.arange(-4 * width, 4 * width + 1) / width) ** 2)
    light = np.convolve(own * through, kernel / kernel.sum(), mode="same")
    light = level * light.reshape(N_PIXELS, fine).mean(axis=1)
    return rng.poisson(light).astype(float)


def test_heads_and_depths_are_those_of_the_real_air():
    wave = np.arange(6850.0, 7750.0, 0.02)
    air = oxygen_transmission(wave * u.AA)
    absorbed = 1 - air
    edges = convert_medium(wave[absorbed > 0.2] * u.AA, "vacuum", "air").value
    # heads of the bands in the spectrum of the Sun: 7593.7 and 6867.2 angstrom
    assert np.min(np.abs(edges - 6867.2)) < 0.2 and edges.min() > 6867.0
    assert edges[edges > 7000].min() == pytest.approx(7593.7, abs=0.2)
    a_band = (wave > 7500) * absorbed
    # at low resolution, the A band at its deepest leaves about a quarter of the light
    box = np.convolve(air, np.full(500, 1 / 500), mode="same")[1000:-1000]
    assert 0.15 < box.min() < 0.45
    assert 20 < a_band.sum() * 0.02 < 40
    assert 4 < ((wave < 7000) * absorbed).sum() * 0.02 < 10
    assert np.all(air[(wave > 7000) & (wave < 7580)] == 1)
    more = oxygen_transmission(wave, airmass=2.4)
    assert np.all(more <= air) and more.sum() < air.sum()


@pytest.mark.parametrize("scale", [1.3, 2.0, 4.5])
@pytest.mark.parametrize("shift", [0.0, -3.4, 12.0])
def test_the_offset_is_found_within_its_error(scale, shift):
    rng = np.random.default_rng(3)
    flux = star(rng, shift, scale=scale)
    found = measure_oxygen(flux, solution(scale), uncertainty=np.sqrt(flux))
    assert abs(found.shift - shift) < 4 * np.hypot(found.shift_uncertainty, 0.05)
    assert found.shift_uncertainty < 0.4
    assert found.contrast > 40
    assert "A" in found.bands
    assert 0.8 < found.strength < 2.0  # 1.6 over 1.2 of airmass, and lines are saturated


def test_a_star_above_the_air_tells_nothing():
    rng = np.random.default_rng(3)
    flux = star(rng, 0.0, airmass=0.0)
    assert measure_oxygen(flux, solution(2.0), uncertainty=np.sqrt(flux)).contrast < 30


def test_bad_pixels_and_a_medium_do_not_matter():
    rng = np.random.default_rng(5)
    flux = star(rng, 3.0)
    flux[rng.random(N_PIXELS) < 0.05] = np.nan
    found = measure_oxygen(flux, solution(2.0).to_medium("vacuum"))
    assert abs(found.shift - 3.0) < 4 * np.hypot(found.shift_uncertainty, 0.05)


def test_a_spectrum_without_the_bands_is_refused():
    blue = WavelengthSolution([4500.0, 900.0], (0, N_PIXELS - 1), N_PIXELS)
    with pytest.raises(ValueError, match="Neither of the bands of oxygen"):
        measure_oxygen(np.ones(N_PIXELS), blue)
    with pytest.raises(ValueError, match="Neither of the bands of oxygen"):
        measure_oxygen(np.full(N_PIXELS, np.nan), solution(2.0))
