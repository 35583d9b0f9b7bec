"""The sensitivity that went in comes back."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.flats import find_illuminated, make_lamp_image, make_sensitivity
from slitlapse.flats.pixel_sensitivity import PixelSensitivity, fit_pixel_sensitivity
from slitlapse.photons import Amplifier, combine_frames, to_electrons

SHAPE = (200, 800)


def simulated_flat(rng, n_frames=5, lamp=None, read_noise=3.5, **kwargs):
    """Sensitivity, mean of Poisson flats through it, and the true error of the ratio."""
    sensitivity = make_sensitivity(SHAPE, rng=rng, **kwargs)
    lamp = make_lamp_image(SHAPE, slope=5, curve=4) if lamp is None else lamp
    flat = rng.poisson(lamp * sensitivity * n_frames) / n_frames
    flat = flat + rng.normal(0, read_noise / np.sqrt(n_frames), SHAPE)
    error = np.sqrt((np.maximum(flat, 0) + read_noise**2) / n_frames)
    true_error = np.sqrt((lamp * sensitivity + read_noise**2) / n_frames) / np.maximum(lamp, 1)
    ccd = CCDData(flat, unit=u.electron, uncertainty=StdDevUncertainty(error))
    return sensitivity, ccd, true_error


@pytest.mark.parametrize(
    "detector",
    [
        {"scatter": 0.005, "dead_columns": [300, 301], "n_dead": 50},
        {"scatter": 0.02, "n_dust": 10},
        {"scatter": 0.005, "fringes": 0.01},
    ],
)
def test_the_sensitivity_comes_back_at_the_photon_noise(detector):
    truth, flat, error = simulated_flat(np.random.default_rng(1), **detector)
    region = find_illuminated(flat)
    found = fit_pixel_sensitivity(flat, region)
    good = ~found.mask
    assert good.sum() > 0.97 * region.mask.sum()
    difference = (found.sensitivity - truth)[good]
    over_limit, pull = difference / error[good], difference / found.uncertainty[good]
    for scatter in (over_limit.std(), pull.std()):
        assert 1 - 4 / np.sqrt(2 * good.sum()) < scatter < 1.1
    assert np.all(found.sensitivity[found.mask] == 1)
    assert np.all(found.uncertainty[found.mask] == 0)


def test_blemishes_of_the_slit_are_illumination_and_not_sensitivity():
    rows = np.arange(SHAPE[0])[:, None]
    shift = 5 * (np.linspace(0, 1, SHAPE[1]) - 0.5)
    blemish = 1 - 0.05 * np.exp(-0.5 * ((rows - 90 - shift) / 1.5) ** 2)
    lamp = make_lamp_image(SHAPE, slope=5) * blemish
    truth, flat, error = simulated_flat(np.random.default_rng(2), lamp=lamp, scatter=0.005)
    region = find_illuminated(flat)
    found = fit_pixel_sensitivity(flat, region)
    on_it = (blemish < 0.98) & ~found.mask
    over_limit = (found.sensitivity - truth)[on_it] / error[on_it]
    assert over_limit.std() < 1.1
    assert abs(over_limit.mean()) < 0.1
    assert found.illumination[90, 400] < 0.97 * found.illumination[80, 400]


def test_a_dark_blue_end_is_one_and_masked_and_nothing_blows_up():
    lamp = make_lamp_image(SHAPE, blue_end=1e-4, peak=20000)
    _, flat, _ = simulated_flat(np.random.default_rng(3), lamp=lamp)
    found = fit_pixel_sensitivity(flat, find_illuminated(flat), min_signal=1000)
    dim = lamp * 5 < 500
    assert found.mask[dim].all()
    assert np.isfinite(found.sensitivity).all()
    assert np.all(np.abs(found.sensitivity - 1) < 0.3)


def test_fringes_over_a_dark_blue_end_do_not_blow_up_and_what_is_kept_is_right():
    rng = np.random.default_rng(6)
    lamp = make_lamp_image(SHAPE, blue_end=1e-4, peak=20000)
    truth, flat, error = simulated_flat(rng, lamp=lamp, scatter=0.005, fringes=0.05)
    found = fit_pixel_sensitivity(flat, find_illuminated(flat), min_signal=1000)
    kept = ~found.mask
    # fewer electrons in all five frames than min_signal, by more than their noise: not measured
    assert not kept[lamp * 5 < 1000 - 4 * np.sqrt(1000)].any()
    assert np.all(found.sensitivity[~kept] == 1)
    assert np.all(found.uncertainty[kept] < 1 / np.sqrt(1000))
    # fringes are the detector's, and stay in the sensitivity; not so within one knot of the end,
    # where the rest of a fringe (22 pixels) looks like a slope of the lamp: less than a fringe
    inner = kept & (np.arange(SHAPE[1]) < SHAPE[1] - 32)
    pull = (found.sensitivity - truth)[inner] / error[inner]
    assert 1 - 4 / np.sqrt(2 * inner.sum()) < pull.std() < 1.1
    wrong = np.mean((found.sensitivity - truth) * kept, axis=0) / np.mean(kept, axis=0).clip(0.01)
    assert np.abs(wrong).max() < 0.05


def test_a_saturated_part_has_sensitivity_one():
    _, flat, _ = simulated_flat(np.random.default_rng(4))
    flat.mask = np.zeros(SHAPE, bool)
    flat.mask[90:110, 700:780] = True
    found = fit_pixel_sensitivity(flat, find_illuminated(flat))
    assert found.mask[90:110, 700:780].all()
    assert np.all(found.sensitivity[90:110, 700:780] == 1)


def test_a_sensitivity_draws_the_flat_it_believes_in_and_finds_itself_again():
    rng = np.random.default_rng(5)
    ones = np.ones(SHAPE)
    truth = PixelSensitivity(
        make_sensitivity(SHAPE, rng=rng), 0 * ones, ones == 0, lamp=20000 * ones
    )
    drawn = truth.simulate(rng=rng).value.astype(float)
    flat = CCDData(drawn, unit=u.electron, uncertainty=StdDevUncertainty(np.sqrt(drawn)))
    found = fit_pixel_sensitivity(flat)
    pull = (found.sensitivity - truth.sensitivity) / found.uncertainty
    assert 0.97 < pull.std() < 1.1
    assert np.allclose(truth.correct(truth.sensitivity), 1)


def test_three_real_flats_agree_at_their_photon_noise(real_data):
    amplifiers = (
        Amplifier("[1:1024,1:350]", "[2049:2080,1:350]", gain=1.19, read_noise=3.45, name="1"),
        Amplifier("[1025:2048,1:350]", "[2081:2112,1:350]", gain=1.25, read_noise=3.38, name="2"),
    )
    folder = real_data / "lick_kast_blue_2015"
    read = lambda name: CCDData(fits.getdata(folder / f"{name}.fits.gz"), unit=u.adu)  # noqa: E731
    biases = [to_electrons(read(name), amplifiers, light=False) for name in ("b21", "b22", "b23")]
    bias = combine_frames(biases)
    flats = [to_electrons(read(name), amplifiers, bias=bias) for name in ("b11", "b12", "b13")]
    region = find_illuminated(combine_frames(flats, scale=np.nanmedian))
    found = [fit_pixel_sensitivity(flat, region, min_signal=300) for flat in flats]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        one, two = found[first], found[second]
        good = ~one.mask & ~two.mask & region.shrink(2).mask
        noise = np.hypot(one.uncertainty, two.uncertainty)[good]
        pull = (one.sensitivity - two.sensitivity)[good] / noise
        assert pull.std() == pytest.approx(1, abs=0.03)  # the gain is known to a few per cent


def test_a_flat_in_adu_is_refused():
    with pytest.raises(u.UnitTypeError, match="must be in electron"):
        fit_pixel_sensitivity(CCDData(np.ones((2, 2)), unit=u.adu))
