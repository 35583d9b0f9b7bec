"""Offsets of many pixels are found, with honest errors, though strengths are not those listed."""

import astropy.units as u
import numpy as np
import pytest
from scipy.special import ndtr

from slitlapse.wavelength import WavelengthSolution, find_offset, sky_line_list, sunlight_lines

N_PIXELS = 1200
SOLUTION = WavelengthSolution([6400.0, 1300.0, 9.0, -3.0], (0, N_PIXELS - 1), N_PIXELS, "air")
BLUE = WavelengthSolution([4400.0, 800.0, 5.0], (0, N_PIXELS - 1), N_PIXELS, "air")
X = np.arange(N_PIXELS)


def kinds(medium="air"):
    lines = sky_line_list(medium=medium)
    ions = np.asarray(lines["ion"]).astype(str)
    return {
        ion: (lines["wavelength"][ions == ion], np.asarray(lines["strength"])[ions == ion])
        for ion in np.unique(ions).tolist()
    }


def drawn(pixel, counts, fwhm):
    """Lines integrated over pixels, shape (n_pixels,)."""
    sigma = fwhm / 2.3548
    edges = (X[:, None] + np.array([-0.5, 0.5]))[:, None, :] - np.asarray(pixel)[None, :, None]
    return (np.diff(ndtr(edges / sigma), axis=2)[..., 0] * counts).sum(axis=1)


def night_sky(rng, shift=0.0, *, scale=4000.0, level=300.0, fwhm=3.1, changes=0.3):
    """Sky lines whose strengths are others than the list's, and bumps that no list has."""
    image = level * (1 + 0.3 * np.sin(X / 170 + rng.uniform(0, 6)))
    for wavelength, strength in kinds().values():
        pixel = SOLUTION.wavelength_to_pixel(wavelength) + shift
        near = np.isfinite(pixel) & (pixel > -20) & (pixel < N_PIXELS + 20)
        true = strength[near] * rng.lognormal(0, changes, near.sum()) * rng.lognormal(0, 0.5)
        image += drawn(pixel[near], scale * true, fwhm)
    bumps = rng.uniform(0, N_PIXELS, 3)
    image += drawn(bumps, rng.uniform(0.2, 0.6, 3) * scale, 14.0)
    return rng.poisson(image).astype(float)


@pytest.mark.parametrize("shift", [0.0, 0.7, -3.0, 6.0, -17.0, 26.4])
def test_an_offset_is_found_wherever_it_is(shift):
    rng = np.random.default_rng(int(10 * abs(shift)))
    found = find_offset(night_sky(rng, shift), SOLUTION, kinds())
    assert abs(found.shift - shift) < 4 * found.shift_uncertainty
    assert found.shift_uncertainty < 0.2
    assert found.contrast > 200
    assert found.n_places > 5
    assert abs(np.log(found.fwhm / 3.1)) < np.log(1.5)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert max(found.shares, key=found.shares.get) == "OH"


def test_errors_are_honest():
    rng = np.random.default_rng(5)
    shifts = rng.uniform(-20, 20, 20)
    found = [find_offset(night_sky(rng, shift), SOLUTION, kinds()) for shift in shifts]
    pulls = [
        (f.shift - shift) / f.shift_uncertainty for f, shift in zip(found, shifts, strict=True)
    ]
    n = len(shifts)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)


def test_noise_without_lines_has_little_contrast():
    rng = np.random.default_rng(7)
    for _ in range(12):
        flat = rng.normal(300 + 0.1 * X, np.sqrt(300))
        try:
            assert find_offset(flat, SOLUTION, kinds()).contrast < 30
        except ValueError as error:
            assert "too faint" in str(error)


@pytest.mark.parametrize("shift", [0.0, -17.0, 8.0])
def test_sunlight_in_the_sky_tells_where_there_are_no_emission_lines(shift):
    rng = np.random.default_rng(3)
    wavelength, width = sunlight_lines()
    pixel = BLUE.wavelength_to_pixel(wavelength) + shift
    near = np.isfinite(pixel)
    counts = width[near] / BLUE.dispersion(pixel[near]).value * rng.lognormal(0, 0.2, near.sum())
    sun = 3000 * np.exp(-0.5 * drawn(pixel[near], counts, 7.0))
    features = kinds() | {"sun": (wavelength, width)}
    found = find_offset(rng.poisson(sun), BLUE, features, absorption=["sun"])
    assert abs(found.shift - shift) < 4 * found.shift_uncertainty
    assert found.shift_uncertainty < 0.3
    assert found.contrast > 100
    assert found.shares["sun"] > 0.9


def test_bad_pixels_do_not_matter():
    rng = np.random.default_rng(1)
    sky = night_sky(rng, 5.0)
    sky[rng.random(N_PIXELS) < 0.1] = np.nan
    sky[:40] = np.nan
    found = find_offset(sky, SOLUTION, kinds())
    assert abs(found.shift - 5.0) < 4 * found.shift_uncertainty


def test_an_error_that_is_given_is_used():
    rng = np.random.default_rng(1)
    sky = night_sky(rng)
    loud = sky + np.where(X < 600, rng.normal(0, 2000, N_PIXELS), 0)
    error = np.where(X < 600, 2000.0, 30.0)
    told = find_offset(loud, SOLUTION, kinds(), uncertainty=error)
    assert abs(told.shift) < 4 * told.shift_uncertainty
    assert told.shift_uncertainty < 0.3


def test_what_cannot_be_measured_is_said():
    far = {"line": (u.Quantity([20000.0], u.AA), [1.0])}
    with pytest.raises(ValueError, match="None of the known features lies on this spectrum"):
        find_offset(np.ones(N_PIXELS), SOLUTION, far)
    with pytest.raises(ValueError, match="like the known features"):
        find_offset(np.zeros(N_PIXELS), SOLUTION, kinds())
    with pytest.raises(ValueError, match="Only 3 pixels"):
        find_offset(np.where(X < 3, 1.0, np.nan), SOLUTION, kinds())
