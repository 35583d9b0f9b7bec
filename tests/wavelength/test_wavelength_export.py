"""Exports: other software gets the same wavelengths."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from slitlapse.wavelength import WavelengthSolution
from slitlapse.wavelength.wavelength_export import to_fits_wcs, to_gwcs, to_header, to_specreduce


@pytest.fixture(params=["air", "vacuum"])
def solution(request):
    terms = [5500.0, -1050.0, 20.0, 4.0]
    return WavelengthSolution(terms, (0, 2047), 2048, request.param, fitted_medium="vacuum")


def test_a_fits_table_axis_is_exact_for_astropy(solution, tmp_path):
    header, table = to_fits_wcs(solution)
    path = tmp_path / "spectrum.fits"
    fits.HDUList([fits.PrimaryHDU(np.zeros(2048), header), table]).writeto(path)
    with fits.open(path) as hdus:
        wcs = WCS(hdus[0].header, hdus)
        x = np.array([0.0, 17.0, 1000.0, 2047.0])
        wave = wcs.pixel_to_world_values(x) * 1e10
    np.testing.assert_allclose(wave, solution.pixel_to_wavelength(x).value, atol=1e-5)
    assert header["CTYPE1"] == {"air": "AWAV-TAB", "vacuum": "WAVE-TAB"}[solution.medium]


def test_gwcs_and_specreduce_agree(solution):
    x = np.linspace(0, 2047, 50)
    wave = solution.pixel_to_wavelength(x).value
    np.testing.assert_allclose(to_gwcs(solution)(x), wave, atol=1e-5)
    theirs = to_specreduce(solution)
    np.testing.assert_allclose(theirs.pix_to_wav(x), wave, atol=1e-5)
    inside = x[1:-1]
    np.testing.assert_allclose(theirs.wav_to_pix(wave[1:-1]), inside, atol=1e-3)


def test_header_cards_hold_the_polynomial(solution):
    header = to_header(solution)
    degree = solution.degree
    terms = [header[f"WSOLC{i}"] for i in range(degree + 1)]
    domain = header["WSOLMIN"], header["WSOLMAX"]
    back = WavelengthSolution(
        terms, domain, 2048, solution.medium, header["WSOLTYPE"], fitted_medium=header["WSOLMED"]
    )
    np.testing.assert_allclose(back.wavelength.value, solution.wavelength.value)
    linear = WCS(header).pixel_to_world_values(1023.5) * 1e10
    np.testing.assert_allclose(linear, solution.pixel_to_wavelength(1023.5).value, atol=1e-6)
