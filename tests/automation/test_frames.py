from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import NightError
from slitlapse.automation.frames import FrameDoor, binning_factors, read_raw
from slitlapse.instruments import load_instrument
from slitlapse.photons import MaskBits


@pytest.fixture
def science(toy_night):
    return str(toy_night.chosen["science"]["filename"][4])


def truth_of(toy, index):
    truth = toy.truth
    light = truth.scene.sky_image.copy()
    for star in truth.stars:
        flux = truth.flux(star.name)[:, index]
        light += truth.scene.star_image(star, flux, truth.offsets[index], truth.fwhms[index])
    return light


def test_electrons_are_those_that_fell_on_the_detector(toy_night, science):
    door = toy_night.calibration.door
    frame = door.electrons(science, "science", 60 * u.s)
    true = truth_of(toy_night, 4)
    s = door.sensitivity.sensitivity
    sigma = np.sqrt(true / s + (door.read_noise(science) / s) ** 2)
    pulls = ((frame.data - true) / sigma)[8:112]
    # the level of an amplifier is known to 4 / sqrt(24 x 120) electron, 1 % of a pixel's noise
    assert abs(pulls.mean()) < 0.03
    assert pulls.std() == pytest.approx(1, abs=0.02)
    assert frame.unit == u.electron and frame.data.shape == (120, 640)


@pytest.mark.parametrize("dispersion", ["+x", "-x", "+y", "-y"])
def test_frames_are_turned_so_that_wavelength_increases_with_x(toy_night, science, dispersion):
    instrument = replace(toy_night.night.instrument, dispersion=dispersion)
    plain = FrameDoor(toy_night.night.instrument, toy_night.night.data).electrons(
        science, "science"
    )
    turned = FrameDoor(instrument, toy_night.night.data).electrons(science, "science")
    expected = plain.data if dispersion[1] == "x" else plain.data.T
    if dispersion[0] == "-":
        expected = expected[:, ::-1]
    assert np.array_equal(turned.data, expected)
    assert turned.mask.shape == turned.uncertainty.array.shape == turned.data.shape


def test_read_noise_is_that_of_each_amplifier_and_of_the_bias(toy_night, science):
    door = toy_night.calibration.door
    noise = door.read_noise(science)
    for half, stated in zip((slice(0, 320), slice(320, 640)), door.read_noises, strict=True):
        bias = door.bias.uncertainty.array[:, half]
        assert np.allclose(noise[:, half], np.hypot(stated.value, bias), rtol=1e-6)
    bare = door.with_(bias=None).read_noise(science)
    assert np.allclose(bare[:, :320], door.read_noises[0].value)


def test_pixels_that_are_not_numbers_or_saturated_are_flagged(toy_night, science, tmp_path):
    with fits.open(toy_night.night.data / science) as hdus:
        data = hdus[0].data.astype(np.float32)
        data[50, 100] = np.nan
        data[60, 200] = 65535
        fits.writeto(tmp_path / science, data, hdus[0].header)
    frame = FrameDoor(toy_night.night.instrument, tmp_path).electrons(science, "science")
    assert frame.mask[50, 100] and frame.flags[50, 100] & MaskBits.not_finite
    assert frame.mask[60, 200] and frame.flags[60, 200] & MaskBits.saturated
    assert not frame.mask[50, 101]


def test_what_is_bad_in_every_frame_stays_flagged(toy_night, science):
    bad = np.zeros((120, 640), np.uint16)
    bad[5, 7], bad[6, 7] = MaskBits.hot, MaskBits.no_sensitivity
    frame = FrameDoor(toy_night.night.instrument, toy_night.night.data, bad=bad).electrons(
        science, "science"
    )
    assert frame.mask[5, 7] and frame.flags[5, 7] & MaskBits.hot
    # a pixel without a flat is noted, but no reason to lose a star
    assert not frame.mask[6, 7] and frame.flags[6, 7] & MaskBits.no_sensitivity


def test_a_frame_of_another_size_names_frame_and_instrument(toy_night, tmp_path):
    fits.writeto(tmp_path / "small.fits", np.ones((50, 60)))
    with pytest.raises(NightError, match=r"small\.fits cannot be opened as .*toy\.toml"):
        FrameDoor(toy_night.night.instrument, tmp_path).electrons("small.fits", "science")


def test_a_frame_that_vanished_or_is_cut_short_is_named(toy_night, science, tmp_path):
    door = FrameDoor(toy_night.night.instrument, tmp_path)
    with pytest.raises(NightError, match=rf"{science} cannot be read"):
        door.electrons(science, "science")
    whole = (toy_night.night.data / science).read_bytes()
    (tmp_path / science).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NightError, match=rf"{science} cannot be read"):
        door.electrons(science, "science")


def test_raw_frames_keep_their_numbers(toy_night, science):
    frame, amplifiers = read_raw(toy_night.night.data / science, load_instrument("toy"))
    assert frame.unit == u.adu and len(amplifiers) == 2
    assert np.array_equal(frame.data, fits.getdata(toy_night.night.data / science))


def test_a_frame_binned_otherwise_keeps_its_light_and_loses_its_own_level(toy_night, tmp_path):
    # the toy's raw frame with every column twice, as if it had been read 1 x 2
    calibrated, night = toy_night.calibration.door, toy_night.night
    name = str(toy_night.chosen["arc"]["filename"][0])
    with fits.open(night.data / name) as hdus:
        fits.writeto(tmp_path / name, np.repeat(hdus[0].data, 2, axis=1), hdus[0].header)
    instrument = replace(night.instrument, bad=("[1:640,1:1]",))
    bare = FrameDoor(instrument, night.data).electrons(name, "arc")
    door = replace(calibrated, instrument=instrument, folder=tmp_path)
    frame = door.electrons(name, "arc", 10 * u.s)  # there are a bias and a sensitivity: not for it
    assert frame.data.shape == (120, 1280) and frame.mask[0].all()
    # the level of a row is known to read noise / sqrt(24), and may be smoothed otherwise here
    known = max(noise.value for noise in door.read_noises) / np.sqrt(24)
    wrong = (frame.data - np.repeat(bare.data, 2, axis=1))[1:]
    assert np.abs(wrong).max() < 5 * known and abs(wrong.mean()) < known / 4


@pytest.mark.parametrize(
    ("shape", "factors"),
    [
        ((200, 2071), (1, 1)),
        ((200, 4142), (1, 2)),
        ((200, 4120), (1, 2)),  # an overscan as wide as ever
        ((100, 2071), (0.5, 1)),
        ((200, 3000), (1, 1)),  # nothing to do with the other
    ],
)
def test_binning_is_told_by_the_size(shape, factors):
    assert binning_factors(shape, (200, 2071)) == factors
