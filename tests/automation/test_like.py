import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import NightError, SpectralTimeSeries, read_night
from slitlapse.automation.like import imitate_night, simulate_like, steady_truth
from slitlapse.automation.log import log_folder
from slitlapse.automation.simulate import simulate_night
from slitlapse.instruments import load_instrument


@pytest.fixture(scope="module")
def imitated(toy_night, tmp_path_factory):
    """The like of a reduced night, not reduced."""
    folder = tmp_path_factory.mktemp("like")
    return simulate_like(folder, toy_night.truth.night_file, seed=3, n_exposures=6, depth=0.01)


def test_it_has_the_stars_of_the_night_where_they_were(toy_night, imitated):
    assert [star.name for star in imitated.stars] == ["target", "comparison"]
    for star, true in zip(imitated.stars, toy_night.truth.stars, strict=True):
        there, here = (
            night.scene.trace(each) for night, each in ((toy_night.truth, true), (imitated, star))
        )
        assert np.max(np.abs(here - there)) < 0.3


def test_its_stars_are_as_bright_and_its_wavelengths_the_same(toy_night, imitated):
    for star, true in zip(imitated.stars, toy_night.truth.stars, strict=True):
        solution, expected = (
            night.scene.star_solution(each)
            for night, each in ((imitated, star), (toy_night.truth, true))
        )
        shift = (solution.wavelength - expected.wavelength) / np.gradient(expected.wavelength)
        assert np.max(np.abs(shift.value)) < 5  # lines lean by 3 px over the slit
        found = imitated.scene.spectrum(star)
        typical = np.median(toy_night.truth.flux(star.name), axis=1)
        # narrow lines are smoothed, and a transit lasts for half of the night
        assert np.median(np.abs(found / typical - 1)) < 0.03


def test_its_night_is_of_the_same_kind(toy_night, imitated):
    there, here = toy_night.truth.conditions, imitated.conditions
    assert here.exposure_time == there.exposure_time
    assert here.overhead == pytest.approx(there.overhead, abs=0.1)
    assert here.seeing == pytest.approx(np.median(toy_night.truth.fwhms), rel=0.03)
    assert here.drift == pytest.approx(np.ptp(toy_night.truth.offsets), abs=0.1)
    # 9 biases of 60 x 320 pixels for each amplifier, and rounding to whole adu
    assert np.allclose(here.read_noise, np.hypot(4.0, 1.5 / np.sqrt(12)), rtol=0.01)
    assert here.sky_level == pytest.approx(there.sky_level, rel=0.1)
    first = toy_night.truth.science["time"][0]
    assert abs((imitated.science["time"][0] - first).to_value(u.s)) < 1


def test_the_truth_of_the_like_is_its_own(imitated):
    assert imitated.stars[0].depth == 0.01
    ratio = imitated.flux("target")[:, 3] / imitated.flux("target")[:, 0]
    assert np.all(ratio < 0.995)
    assert len(imitated.science) == 6
    log = log_folder(imitated.folder / "raw", "toy")
    assert list(log["kind"]).count("science") == 6


def test_a_night_that_was_not_reduced_gives_what_its_log_tells(tmp_path):
    truth = simulate_night(
        tmp_path / "a", instrument=load_instrument("toy"), rng=np.random.default_rng(1),
        n_exposures=3, n_calibrations=2, exposure_time=45.0, overhead=25.0,
    )  # fmt: skip
    found = imitate_night(read_night(truth.night_file))
    assert found["n_exposures"] == 3
    assert found["conditions"].exposure_time == 45
    assert found["conditions"].overhead == pytest.approx(25, abs=0.01)
    assert found["conditions"].count("bias") == 2
    assert [star.row for star in found["stars"]] == pytest.approx([43.2, 81.6], abs=0.1)
    assert "solution" not in found


def test_sections_told_by_cards_are_those_of_the_nights_own_frames(tmp_path):
    ldss3c = load_instrument("ldss3c")
    cards = {"DATASEC": "[1:512,1:2048]", "BIASSEC": "[513:640,1:2048]", "ENOISE": 6.0}
    headers = [cards | {"EGAIN": gain} for gain in (1.1, 1.2)]
    simulate_night(
        tmp_path / "a", instrument=ldss3c, rng=np.random.default_rng(1), n_exposures=1,
        n_calibrations={"bias": 1, "flat": 0, "arc": 0}, headers=headers,
    )  # fmt: skip
    truth = simulate_like(tmp_path / "b", tmp_path / "a" / "night.toml")
    with fits.open(tmp_path / "b" / "raw" / str(truth.science["filename"][0])) as hdus:
        assert hdus[2].data.shape == (2048, 640)
        assert (hdus[2].header["EGAIN"], hdus[2].header["ENOISE"]) == (1.2, 6.0)


def test_a_measured_spectrum_becomes_a_truth_without_gaps(toy_night):
    series = toy_night.result.series["target"]
    mask = series.mask.copy()
    mask[100:110] = True
    holed = SpectralTimeSeries(
        series.wavelike, series.timelike, series.fluxlike, mask, series.metadata
    )
    truth = steady_truth(holed)
    assert truth.shape == (640 + 2 * 64, 1)
    assert np.all(np.isfinite(truth.flux.value)) and not truth.mask.any()
    assert np.allclose(truth.wavelength[64:-64].value, series.wavelength.value)


def test_the_nights_own_folder_and_an_empty_night_are_refused(tmp_path, toy_night):
    file = toy_night.truth.night_file
    with pytest.raises(NightError, match="holds the night to imitate: name another"):
        simulate_like(file.parent, file)
    with pytest.raises(NightError, match="0 to 1, not"):
        simulate_like(tmp_path, depth=1.5)
    truth = simulate_night(
        tmp_path / "a", instrument=load_instrument("toy"), rng=np.random.default_rng(1),
        n_exposures=0, n_calibrations=1,
    )  # fmt: skip
    with pytest.raises(NightError, match="there are no science frames"):
        simulate_like(tmp_path / "b", truth.night_file)
