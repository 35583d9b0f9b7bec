import shutil

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from slitlapse.automation import NightError, read_night, simulate_night
from slitlapse.automation.calibration import darks_as_cold, make_calibration
from slitlapse.automation.log import ChosenFrames, choose_frames, log_night
from slitlapse.instruments import load_instrument


@pytest.fixture
def subset(toy_night, tmp_path):
    """Make a night of some of the frames, some of them changed."""

    def make(keep=lambda name: True, change=None, instrument="toy"):
        raw = tmp_path / "raw"
        raw.mkdir()
        for path in sorted(toy_night.night.data.iterdir()):
            if not keep(path.name):
                continue
            shutil.copy(path, raw / path.name)
            if change is not None:
                with fits.open(raw / path.name, mode="update") as hdus:
                    change(path.name, hdus[0])
        (tmp_path / "night.toml").write_text(
            f'data = "raw"\ninstrument = "{instrument}"\noutput = "reduced"\n'
        )
        night = read_night(tmp_path / "night.toml")
        return make_calibration(night, choose_frames(log_night(night), night))

    return make


def test_read_noise_is_measured_where_the_instrument_does_not_say(toy_night):
    calibration = toy_night.calibration
    assert "bias frames" in calibration.read_noise_source
    # nine frames of 120 x 320 pixels; their common mean takes one of nine
    error = 4.0 / np.sqrt(2 * 8 * 120 * 320)
    for noise, gain in zip(calibration.door.read_noises, (1.5, 1.6), strict=True):
        rounded = np.hypot(4.0, gain / np.sqrt(12))  # whole adu add their own scatter
        assert abs(noise.to_value(u.electron) - rounded) < 4 * error


def test_the_master_bias_is_as_uncertain_as_read_noise_makes_it(tmp_path):
    """Where no overscan takes the level off, it is no light and has no photon noise."""
    source = load_instrument("toy").source.read_text()
    lines = [line for line in source.splitlines() if not line.startswith("overscan")]
    (tmp_path / "bare.toml").write_text("\n".join(lines))
    truth = simulate_night(
        tmp_path / "night", instrument=load_instrument(tmp_path / "bare.toml"),
        rng=np.random.default_rng(1), n_exposures=1, n_calibrations=4,
    )  # fmt: skip
    night = read_night(truth.night_file)
    bias = make_calibration(night, choose_frames(log_night(night), night)).door.bias
    assert bias.data.mean() > 1000  # the level is in it
    for part, gain in ((slice(0, 320), 1.5), (slice(320, 640), 1.6)):
        expected = np.hypot(4.0, gain / np.sqrt(12)) / np.sqrt(4)
        assert np.median(bias.uncertainty.array[:, part]) == pytest.approx(expected, rel=0.03)


def test_sensitivity_is_recovered_at_the_noise_of_the_flats(toy_night):
    found = toy_night.calibration.door.sensitivity
    region = toy_night.calibration.illuminated.mask & ~found.mask
    region[:, :20] = region[:, -20:] = False
    wrong = (found.sensitivity / toy_night.truth.sensitivity)[region]
    expected = np.sqrt(np.mean((found.uncertainty / found.sensitivity)[region] ** 2))
    assert 0.97 < np.std(wrong) / expected < 1.1


def test_a_whole_calibration_has_nothing_to_say(toy_night):
    assert toy_night.calibration.notes == ()


def test_without_bias_the_overscan_takes_the_level_off(subset):
    calibration = subset(lambda name: "bias" not in name)
    assert calibration.door.bias is None
    assert any("overscan alone" in note for note in calibration.notes)
    assert "overscan of" in calibration.read_noise_source
    # 24 columns x 120 rows of overscan
    for noise in calibration.door.read_noises:
        assert noise.value == pytest.approx(4.0, abs=4 * 4.0 / np.sqrt(2 * 24 * 120))


def test_without_flat_the_sensitivity_is_one(subset):
    calibration = subset(lambda name: "flat" not in name)
    assert calibration.door.sensitivity is None and calibration.flat is None
    assert any("There is no flat" in note for note in calibration.notes)


def test_saturated_flats_are_left_out_by_name(subset):
    def burn(name, hdu):
        if name == "0010_flat.fits":
            hdu.data[:, :640] = 65535

    calibration = subset(change=burn)
    assert any("0010_flat.fits (flat) is left out: 100 %" in note for note in calibration.notes)
    assert calibration.flat.meta["NCOMBINE"] == 8


def test_a_flat_of_another_lamp_is_left_out_by_name(subset):
    def recolour(name, hdu):
        if name == "0010_flat.fits":
            light = hdu.data[:, :640] - 1000.0  # the level of the toy's biases, nearly
            hdu.data[:, :640] = (1000 + light * np.linspace(0.3, 1, 640)).round()

    calibration = subset(change=recolour)
    (note,) = calibration.notes
    assert note.startswith("0010_flat.fits (flat) is left out: its light along the dispersion")
    assert note.endswith("another lamp?")
    assert calibration.flat.meta["NCOMBINE"] == 8


def test_flats_without_light_are_left_out_by_name(subset):
    def shut(name, hdu):
        if "flat" in name:
            hdu.data[:, :640] = np.random.default_rng(1).normal(1000, 2.5, (120, 640)).round()

    calibration = subset(change=shut)
    assert calibration.door.sensitivity is None
    assert sum("it shows no light" in note for note in calibration.notes) == 9


def test_nothing_to_take_the_level_off_stops_the_run(subset, tmp_path, toy_night):
    toml = toy_night.night.instrument.source.read_text()
    lines = [line for line in toml.splitlines() if not line.startswith("overscan")]
    assert len(lines) == len(toml.splitlines()) - 2
    lines = [f"{line}\nread_noise = 4.0" if line.startswith("gain") else line for line in lines]
    (tmp_path / "bare.toml").write_text("\n".join(lines))
    with pytest.raises(NightError, match=r"no bias frame, and amplifier .* has no overscan.*bias"):
        subset(lambda name: "bias" not in name, instrument="bare.toml")


def test_darks_of_another_temperature_are_left_out_by_name():
    names = ["d1.fits", "d2.fits", "d3.fits"]
    darks = QTable({"filename": names, "detector_temperature": [-110.2, -95.0, np.nan]})
    science = QTable({"filename": ["s.fits"], "detector_temperature": [-110.0]})
    notes = []
    kept = darks_as_cold(ChosenFrames({"dark": darks, "science": science}, (4, 4)), notes)
    assert kept["filename"].tolist() == ["d1.fits", "d3.fits"]  # unknown is no reason
    assert notes == [
        "d2.fits (dark) is left out: it was taken at -95.0 degrees, the science frames at -110.0"
    ]
    untold = ChosenFrames({"dark": darks[["filename"]], "science": science}, (4, 4))
    assert len(darks_as_cold(untold, notes)) == 3
    assert len(notes) == 1
