"""The solution: there and back, its uncertainty, and what carries it elsewhere."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from specutils import Spectrum

from slitlapse.wavelength.wavelength_solution import WavelengthSolution

TERMS = [5500.0, 1050.0, 20.0, -4.0]


def make(medium="air", sign=1, **kwargs):
    terms = np.array(TERMS) * np.array([1, sign, 1, sign])
    return WavelengthSolution(terms, (0, 2047), 2048, medium, **kwargs)


def with_lines(rng, sigma=0.05, n=40, degree=3):
    truth = make()
    pixel = np.sort(rng.uniform(0, 2047, n))
    wave = truth.pixel_to_wavelength(pixel).value
    seen = pixel + rng.normal(0, sigma, n)
    error = sigma * truth.dispersion(pixel).value
    lines = QTable(
        {
            "lamp": ["Ne"] * n,
            "ion": ["Ne I"] * n,
            "pixel": seen * u.pix,
            "pixel_uncertainty": np.full(n, sigma) * u.pix,
            "wavelength": wave * u.AA,
            "residual": np.zeros(n) * u.AA,
            "used": np.ones(n, bool),
            "reason": [""] * n,
        }
    )
    solution = WavelengthSolution.fit(
        seen, wave, n_pixels=2048, degree=degree, uncertainty=error, lines=lines
    )
    lines["residual"] = wave * u.AA - solution.pixel_to_wavelength(seen)
    return truth, solution


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_pixel_to_wavelength_and_back(sign, medium):
    solution = make(medium, sign)
    x = np.linspace(-20, 2060, 77)
    for one in (solution, solution.to_medium("air"), solution.to_medium("vacuum")):
        np.testing.assert_allclose(
            one.wavelength_to_pixel(one.pixel_to_wavelength(x)), x, atol=1e-6
        )


def test_what_is_far_outside_is_nan_not_a_number_made_up():
    assert np.isnan(make().wavelength_to_pixel(1e5))


def test_units_are_understood():
    solution = make()
    np.testing.assert_allclose(
        solution.wavelength_to_pixel(550 * u.nm), solution.wavelength_to_pixel(5500)
    )
    assert solution.dispersion(1000.0).unit == u.AA / u.pix


def test_the_reported_uncertainty_is_the_scatter_of_repeated_fits():
    x = np.linspace(0, 2047, 21)
    pulls = []
    for seed in range(150):
        truth, solution = with_lines(np.random.default_rng(seed))
        off = solution.pixel_to_wavelength(x) - truth.pixel_to_wavelength(x)
        pulls.append((off / solution.uncertainty(x)).value)
    # pulls along one curve are correlated: 150 curves of 4 coefficients count as 600 numbers
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * 600)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(600)


def test_without_uncertainties_the_residuals_tell():
    rng = np.random.default_rng(0)
    x = np.linspace(0, 2047, 60)
    wave = make().pixel_to_wavelength(x).value + rng.normal(0, 0.2, 60)
    solution = WavelengthSolution.fit(x, wave, n_pixels=2048, degree=3)
    expected = 0.2 * np.sqrt(4 / 60)  # mean uncertainty of 4 coefficients from 60 lines
    rms = np.sqrt(np.mean(solution.uncertainty(x).value ** 2))
    assert abs(rms / expected - 1) < 4 / np.sqrt(2 * 56)


def test_rms_counts_the_lines_used():
    _, solution = with_lines(np.random.default_rng(1), sigma=0.1, n=400)
    assert solution.n_used == 400
    assert abs(solution.rms_pixel / 0.1 - 1) < 4 / np.sqrt(2 * 396)
    assert solution.rms.unit == u.AA
    assert np.isnan(make().rms.value)


def test_a_shift_moves_features_to_larger_x():
    solution = make()
    x = np.array([3.0, 900.0, 2000.0])
    moved = solution.shifted(0.7)
    np.testing.assert_allclose(
        moved.pixel_to_wavelength(x + 0.7).value, solution.pixel_to_wavelength(x).value
    )
    stretched = solution.shifted(0.7, stretch=1e-3)
    there = x + 0.7 + 1e-3 * (x - 1023.5)
    np.testing.assert_allclose(
        stretched.pixel_to_wavelength(there).value, solution.pixel_to_wavelength(x).value
    )


def test_binning_and_slanted_rows_carry_the_solution_its_lines_and_uncertainty():
    _, solution = with_lines(np.random.default_rng(2))
    half = solution.scaled(2)
    x = np.arange(1024)
    np.testing.assert_allclose(
        half.wavelength.value, solution.pixel_to_wavelength(2 * x + 0.5).value, atol=1e-6
    )
    np.testing.assert_allclose(
        half.uncertainty(x).value, solution.uncertainty(2 * x + 0.5).value, rtol=1e-6
    )
    np.testing.assert_allclose(
        half.pixel_to_wavelength(half.lines["pixel"]).value,
        solution.pixel_to_wavelength(solution.lines["pixel"]).value,
        atol=1e-6,
    )
    x = np.arange(2048)
    old = x + 3.0 + 1e-3 * x + 2e-7 * x**2
    tilted = solution.remapped(old)
    np.testing.assert_allclose(
        tilted.wavelength.value, solution.pixel_to_wavelength(old).value, atol=1e-4
    )
    np.testing.assert_allclose(
        tilted.pixel_to_wavelength(tilted.lines["pixel"]).value,
        solution.pixel_to_wavelength(solution.lines["pixel"]).value,
        atol=1e-2,
    )


def test_a_table_holds_everything(tmp_path):
    _, solution = with_lines(np.random.default_rng(3))
    path = tmp_path / "solution.ecsv"
    solution.to_table().write(path, format="ascii.ecsv")
    back = WavelengthSolution.from_table(QTable.read(path, format="ascii.ecsv"))
    np.testing.assert_array_equal(back.coefficients, solution.coefficients)
    np.testing.assert_array_equal(back.covariance, solution.covariance)
    assert (back.medium, back.n_used, back.verdict) == ("air", 40, solution.verdict)
    bare = WavelengthSolution.from_table(make("vacuum").to_table())
    assert bare.lines is None and bare.medium == "vacuum"
    with pytest.raises(ValueError, match="written by to_table"):
        WavelengthSolution.from_table(QTable())


def test_a_spectrum_gets_wavelengths_on_its_own_pixels():
    solution = make("vacuum")
    flux = np.arange(2048.0)
    spectrum = solution.calibrate(flux * u.electron, uncertainty=np.ones(2048))
    np.testing.assert_array_equal(spectrum.flux.value, flux)  # nothing was resampled
    np.testing.assert_allclose(spectrum.spectral_axis.value, solution.wavelength.value)
    assert spectrum.meta["medium"] == "vacuum"
    again = solution.calibrate(Spectrum(flux * u.adu, spectral_axis=np.arange(2048) * u.pix))
    assert again.flux.unit == u.adu
    with pytest.raises(ValueError, match="not of the same detector window"):
        solution.calibrate(np.ones(100) * u.adu)


@pytest.mark.parametrize("basis", ["legendre", "chebyshev", "polynomial"])
def test_all_bases_fit_the_same_curve(basis):
    x = np.linspace(0, 2047, 30)
    wave = make().pixel_to_wavelength(x)
    solution = WavelengthSolution.fit(x, wave, n_pixels=2048, degree=3, basis=basis)
    np.testing.assert_allclose(solution.wavelength.value, make().wavelength.value, atol=1e-6)


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="at least 4 lines, found 2"):
        WavelengthSolution.fit([1, 2], [5000, 5001], n_pixels=10, degree=3)
    with pytest.raises(ValueError, match="choose one of legendre"):
        make(basis="spline")
    with pytest.raises(ValueError, match="say 'air' or 'vacuum'"):
        make(medium="ether")


def test_the_plot_shows_solution_and_lines():
    _, solution = with_lines(np.random.default_rng(4))
    ax = solution.plot(color="C3")
    assert ax.lines[0].get_color() == "C3"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), solution.wavelength.value)
    assert len(ax.lines[1].get_xdata()) == 40
    assert "air" in ax.get_ylabel()


def test_lines_that_were_not_named_do_not_stop_the_way_to_vacuum():
    x = np.linspace(0, 999, 12)
    air = WavelengthSolution.fit(x, 7000 + 1.4 * x, n_pixels=1000, degree=1)
    lines = QTable({"wavelength": [7000.0, np.nan] * u.AA})
    vacuum = replace(air, lines=lines).to_medium("vacuum")
    assert np.isnan(vacuum.lines["wavelength"][1])
    back = vacuum.to_medium("air")
    assert np.allclose(back.wavelength.value, air.wavelength.value, rtol=0, atol=1e-6)
