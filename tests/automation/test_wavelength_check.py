"""An arc that does not hold for the exposures is noticed, and only such a one."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries, read_night, reduce_night, simulate_night
from slitlapse.automation.scene import SlitScene
from slitlapse.automation.wavelength_check import (
    WavelengthCheck,
    check_sky,
    check_star,
    check_wavelengths,
    tell_check,
    tell_unchecked,
)
from slitlapse.automation.wavelengths import StarWavelengths
from slitlapse.instruments import list_instruments, load_instrument
from slitlapse.wavelength import WavelengthSolution, oxygen_transmission

N_Y = 40
# what the detectors of the instruments are long, along the dispersion
LENGTHS = {
    "acam": 2048, "dbsp_blue": 2835, "dis_blue": 2048, "dis_red": 2048, "efosc2": 1024,
    "floyds_blue": 2048, "floyds_red": 2048, "gmos_n": 3140, "goodman_930": 2047, "ids": 4096,
    "imacs": 2048, "kast_blue": 2048, "kosmos": 2048, "kosmos_blue": 2048, "ldss3c": 2048,
    "osiris": 2051, "sprat": 1024, "st7": 765, "toy": 640,
}  # fmt: skip


def sky_of(instrument, rng, *, changes=0.3, rows=10):
    """Sky along a star in the middle of the slit, with noise, and the true solution there."""
    scene = SlitScene.build(load_instrument(instrument), (N_Y, LENGTHS[instrument]))
    row = round(N_Y / 2)
    sky = scene.sky_image[row] - scene.sky_level * scene.illumination[row]
    # strengths of lines change from night to night, neighbours more or less together
    knots = np.linspace(0, len(sky) - 1, len(sky) // 30)
    factor = np.interp(np.arange(len(sky)), knots, rng.lognormal(0, changes, len(knots)))
    light = rows * (scene.sky_level + sky * factor)
    return rng.poisson(light).astype(float), scene.tilt.carry(
        scene.solution, np.full(len(sky), row)
    )


def series_of(sky, wavelength_2d=None):
    """A series that has this sky in every exposure; shape (n_x,) or (n_x, n_time)."""
    sky = sky if sky.ndim == 2 else np.repeat(sky[:, None], 3, axis=1)
    n_x, n_time = sky.shape
    fluxlike = {key: np.ones((n_x, n_time)) * u.electron for key in ("flux", "uncertainty")}
    fluxlike["sky"] = sky * u.electron
    if wavelength_2d is not None:
        fluxlike["wavelength"] = wavelength_2d * u.AA
    times = QTable({"time": Time(2460000.5 + np.arange(n_time) / 100, format="jd")})
    wave = QTable({"wavelength": np.linspace(5000, 6000, n_x) * u.AA})
    return SpectralTimeSeries(wave, times, fluxlike, metadata={"star": "A"})


def solved(*solutions, choice="nearest"):
    return StarWavelengths(list(solutions), [None] * len(solutions), choice)


def test_every_instrument_is_looked_at():
    assert sorted(LENGTHS) == list_instruments()


@pytest.mark.parametrize("instrument", LENGTHS)
def test_a_good_arc_raises_no_alarm_and_a_moved_one_is_measured(instrument):
    rng = np.random.default_rng(len(instrument))
    for shift in (0.0, 0.2, -2.0, 13.0):
        sky, solution = sky_of(instrument, rng)
        check = check_sky(sky, solution.shifted(-shift))
        assert check.is_off == (abs(shift) > 0.5), (shift, check)
        error = np.hypot(check.shift_uncertainty, 0.05)
        assert abs(check.shift - shift) < 4 * error, (shift, check)
        assert check.shift_uncertainty < 0.2
        assert check.n_lines >= 2


@pytest.mark.parametrize("instrument", ["toy", "kast_blue", "sprat", "goodman_930", "osiris"])
def test_an_arc_that_is_very_far_off_is_measured_too(instrument):
    rng = np.random.default_rng(5)
    for shift in (45.0, -120.0):
        sky, solution = sky_of(instrument, rng)
        check = check_sky(sky, solution.shifted(-shift))
        assert check.is_off
        assert abs(check.shift - shift) < 4 * np.hypot(check.shift_uncertainty, 0.05)


def test_stars_alone_or_nothing_tell_nothing():
    rng = np.random.default_rng(2)
    _, solution = sky_of("kast_blue", rng)
    flat = rng.poisson(400.0, 2048).astype(float)
    assert check_sky(flat, solution) is None
    assert check_sky(np.zeros(2048), solution) is None
    assert check_sky(np.full(2048, np.nan), solution) is None
    series = series_of(flat)
    assert check_wavelengths(series, solved(solution)) is None
    del series.fluxlike["sky"]
    assert check_wavelengths(series, solved(solution)) is None


def star_through_air(rng, shift, level):
    """A bright star on 800 pixels of 3 angstrom, blurred to 3 pixels."""
    n_x, fine = 800, 100
    solution = WavelengthSolution([7000.0, 1200.0], (0, n_x - 1), n_x, medium="vacuum")
    x = (np.arange(n_x * fine) + 0.5) / fine - 0.5
    air = oxygen_transmission(solution.pixel_to_wavelength(x - shift))
    kernel = np.exp(-0.5 * (np.arange(-400, 401) / 127) ** 2)
    light = np.convolve(air * (1 + x / 2000), kernel / kernel.sum(), mode="same")
    return rng.poisson(level * light.reshape(n_x, fine).mean(axis=1)).astype(float), solution


@pytest.mark.parametrize("shift", [0.0, 1.2, -7.0, 15.0])
def test_the_air_tells_where_the_sky_is_too_faint(shift):
    rng = np.random.default_rng(12)
    flux, solution = star_through_air(rng, shift, 50000.0)
    series = series_of(np.zeros(len(flux)))
    series.flux[:] = flux[:, None] * u.electron
    series.uncertainty[:] = np.sqrt(flux)[:, None] * u.electron
    check = check_wavelengths(series, solved(solution))
    assert check.source == "bands of the air's oxygen"
    assert abs(check.shift - shift) < 4 * np.hypot(check.shift_uncertainty, 0.1)
    assert check.is_off == (abs(shift) > 2)  # a pixel off may be the star beside the slit's middle


def test_what_is_no_oxygen_is_not_taken_for_it():
    rng = np.random.default_rng(12)
    _, solution = star_through_air(rng, 0.0, 1e4)
    faint, _ = star_through_air(rng, 0.0, 15.0)
    assert check_star(faint, np.sqrt(np.maximum(faint, 1)), solution) is None
    wave = solution.wavelength.value
    deep = 1e5 * (1 - 0.9 * np.exp(-0.5 * ((wave - 6890) / 60) ** 2))  # a band of a cool star
    assert check_star(rng.poisson(deep), np.sqrt(deep), solution) is None


def test_the_typical_exposure_is_asked():
    rng = np.random.default_rng(4)
    sky, solution = sky_of("toy", rng)
    three = np.stack([sky, sky, rng.poisson(1e5, len(sky))], axis=1)
    series = series_of(three)
    series.mask[:50] = True
    check = check_wavelengths(series, solved(solution.shifted(4.0)))
    assert check.shift == pytest.approx(-4.0, abs=0.2)
    assert check.is_off


@pytest.mark.parametrize("moved", [0, 1])
def test_of_two_arcs_the_wrong_one_is_found(moved):
    rng = np.random.default_rng(6)
    sky, solution = sky_of("toy", rng)
    both = [solution.shifted(7.0 if i == moved else 0.1) for i in range(2)]
    used = np.stack([both[i].wavelength.value for i in (0, 0, 1, 1)], axis=1)
    series = series_of(np.repeat(sky[:, None], 4, axis=1), used)
    check = check_wavelengths(series, solved(*both))
    assert check.shift == pytest.approx(-7.0, abs=0.2)


def test_wavelengths_between_two_arcs_may_follow_a_drift():
    rng = np.random.default_rng(6)
    sky, solution = sky_of("toy", rng)
    both = [solution.shifted(-3.0), solution.shifted(3.0)]
    used = np.repeat(solution.wavelength.value[:, None], 4, axis=1)
    series = series_of(np.repeat(sky[:, None], 4, axis=1), used)
    check = check_wavelengths(series, solved(*both, choice="interpolate"))
    assert abs(check.shift) < 0.2
    assert not check.is_off


def test_half_a_pixel_and_five_sigma_are_needed():
    assert WavelengthCheck(0.6, 0.01, "lines", 9, 2.0).is_off
    assert WavelengthCheck(-0.6, 0.01, "lines", 9, 2.0).is_off
    assert not WavelengthCheck(0.4, 0.01, "lines", 9, 2.0).is_off
    assert not WavelengthCheck(3.0, 0.7, "lines", 9, 2.0).is_off


def test_words_say_how_much_and_where():
    check = WavelengthCheck(-17.2, 0.44, "lines of the sky", 9, 0.845)
    assert check.words == "17.2 ± 0.4 pixels (14.5 angstrom) too far to the blue"
    assert "near enough" not in tell_check(check)
    near = WavelengthCheck(0.08, 0.003, "lines of the sky", 9, 0.845)
    assert tell_check(near) == (
        "In the exposures, lines of the sky (9 of them) lie 0.08 ± 0.01 pixels (0.07 angstrom) too "
        "far to the red, which is near enough."
    )
    assert tell_check(WavelengthCheck(1.3, 0.4, "lines", 9, 1)).endswith(", which may be chance.")
    assert "Nothing in the exposures tells" in tell_check(None)


def test_what_could_not_be_checked_is_said_once():
    wave = SimpleNamespace(main=SimpleNamespace(wavelength=np.array([3900.0, 3500.0]) * u.AA))
    good = WavelengthCheck(0.1, 0.1, "lines", 9, 1.0)
    assert tell_unchecked({"A": good}, {"A": wave}) == []
    (note,) = tell_unchecked({"A": good, "B": None, "C": None}, {"A": wave, "B": wave, "C": wave})
    assert note.startswith("The wavelengths of B, C could not be checked on the exposures")
    assert "between 3500 and 3900 angstrom" in note


@pytest.mark.slow
@pytest.mark.parametrize("defect", ["", "moved-arc"])
def test_a_moved_arc_gets_its_sentence_and_a_clean_night_none(tmp_path, defect):
    truth = simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(8),
        n_exposures=4, n_calibrations=3, defects=[defect] if defect else [],
    )  # fmt: skip
    result = reduce_night(read_night(truth.night_file))
    words = result.series["target"].metadata["wavelength_check"]
    assert words.startswith("In the exposures, lines of the sky")
    assert words in result.report.read_text()
    assert not any("could not be checked" in note for note in result.notes)
    if not defect:
        assert result.verdict == () and "near enough" in words
        return
    (sentence,) = result.verdict
    assert sentence.startswith("The arc does not hold for the exposures")
    assert "stars target and comparison" in sentence and "6.0 ± 0.1 pixels" in sentence
    assert "too far to the blue" in sentence and "Nothing was corrected" in sentence
    # the wavelengths are those of the arc, as they were asked for
    true = truth.scene.star_solution(truth.stars[0]).shifted(6.0).wavelength
    wrong = (result.series["target"].wavelength - true) / np.gradient(true)
    assert np.abs(np.median(wrong.value)) < 0.05
