"""Does the boxcar count what falls into the aperture, wherever its edges lie?"""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty
from specreduce.extract import BoxcarExtract as UpstreamBoxcar
from specreduce.tracing import ArrayTrace, FlatTrace

from slitlapse.extraction import (
    BoxcarExtract,
    PixelNoise,
    aperture_weights,
    boxcar_sums,
    gaussian_profile,
)
from slitlapse.extraction.simulate import simulate_star, star_profile

FWHM = 2 * np.sqrt(2 * np.log(2))


@pytest.mark.parametrize("family", ["gaussian", "moffat", "double", "asymmetric"])
def test_a_drift_of_one_pixel_changes_nothing(family):
    centre, width = np.linspace(30, 31, 101), np.full(101, 5 / FWHM)
    profile = star_profile(family, np.arange(61)[:, None], centre, width)
    weights = aperture_weights(np.arange(61)[:, None], centre, 2.5 * 5 / 2, profile)
    assert np.ptp((weights * profile).sum(axis=0)) < 50e-6


def test_even_weights_are_those_of_upstream():
    rng = np.random.default_rng(1)
    image = rng.normal(100, 10, (40, 25))
    trace = ArrayTrace(image, rng.uniform(12, 28, 25))
    theirs = UpstreamBoxcar(image, trace, width=9.3)().flux.value
    weights = aperture_weights(np.arange(40)[:, None], trace.trace, 9.3 / 2, None)
    np.testing.assert_allclose((weights * image).sum(axis=0), theirs, rtol=1e-12)


def test_an_aperture_within_one_pixel_is_split_too():
    weights = aperture_weights(np.arange(9)[:, None], np.array([4.1]), 0.25, None)
    np.testing.assert_allclose(weights[:, 0], [0, 0, 0, 0, 0.5, 0, 0, 0, 0])


@pytest.mark.parametrize("flux", [100.0, 1e4, 1e6])
def test_pulls_with_bad_pixels_are_honest(flux):
    n = 6000
    rng = np.random.default_rng(int(flux))
    centre = 15 + 0.8 * np.sin(np.arange(n) / 90)
    star = simulate_star(flux, (31, n), centre, 2.0, rng=rng, sky=40.0, read_noise=5.0)
    mask = rng.random(star.data.shape) < 0.01
    data = np.where(mask, 1e7, star.data)
    noise = PixelNoise(5.0, sky=40.0)
    rows = np.arange(31)[:, None]
    sums = boxcar_sums(data, rows, centre, [3.0, 6.1], star.profile, noise, mask)
    pull = (sums.flux - star.flux * sums.enclosed) / np.sqrt(sums.variance)
    assert np.all(np.abs(pull.mean(axis=1)) < 0.03 + 4 / np.sqrt(n))
    assert np.all(np.abs(pull.std(axis=1) - 1) < 0.03 + 4 / np.sqrt(2 * n))
    inside = (star.profile * mask * (np.abs(rows - centre) < 2.5)).sum(axis=0)
    assert np.all(sums.bad_fraction[0] >= inside)


def test_a_masked_pixel_is_made_up_for_by_the_profile():
    rows, centre, width = np.arange(31)[:, None], np.full(13, 15.3), np.full(13, 2.0)
    profile = gaussian_profile(rows, centre, width)
    mask = np.zeros((31, 13), bool)
    mask[9 + np.arange(13), np.arange(13)] = True
    data = np.where(mask, np.nan, 1e4 * profile)
    kept = data.copy()
    sums = boxcar_sums(data, rows, centre, [6.0], profile, PixelNoise(3.0), mask)
    np.testing.assert_allclose(sums.flux, 1e4 * sums.enclosed, rtol=1e-12)
    np.testing.assert_array_equal(data, kept)
    clean = boxcar_sums(1e4 * profile, rows, centre, [6.0], profile, PixelNoise(3.0))
    struck = sums.bad_fraction[0] > 0.05
    assert np.all(sums.variance[0, struck] > clean.variance[0, struck])


def test_a_column_without_good_pixels_is_not_a_number():
    rows, centre = np.arange(31)[:, None], np.full(3, 15.3)
    profile = gaussian_profile(rows, centre, np.full(3, 2.0))
    mask = np.zeros((31, 3), bool)
    mask[:, 1] = True
    sums = boxcar_sums(profile, rows, centre, [6.0], profile, PixelNoise(3.0), mask)
    np.testing.assert_array_equal(np.isnan(sums.flux[0]), [False, True, False])
    assert sums.bad_fraction[0, 1] == 1


def test_correcting_and_breathing_apertures_hold_the_light_when_seeing_changes():
    rows, centre = np.arange(61)[:, None], np.full(50, 30.2)
    width = np.linspace(1.6, 2.6, 50)
    star = 1e5 * gaussian_profile(rows, centre, width)
    trace = FlatTrace(star, 30.2)
    fixed = BoxcarExtract(star, trace, width=9, star_width=width)()
    assert np.ptp(fixed.flux.value) > 5e3
    corrected = BoxcarExtract(star, trace, 9, star_width=width, light_outside="correct")()
    np.testing.assert_allclose(corrected.flux.value, 1e5, rtol=1e-6)
    breathing = BoxcarExtract(star, trace, 2.5, star_width=width, width_in="seeing")()
    assert np.ptp(breathing.flux.value) < 50e-6 * 1e5


def test_the_class_answers_like_upstream_on_a_quiet_frame():
    rng = np.random.default_rng(3)
    star = simulate_star(1e5, (41, 60), 20.3, 2.0, rng=rng, sky=50.0, read_noise=4.0)
    ccd = CCDData(star.data, unit="electron", meta={"OBJECT": "star"})
    ccd.uncertainty = StdDevUncertainty(np.sqrt(star.variance))
    kept = ccd.copy()
    trace = FlatTrace(ccd, 20.3)
    ours, theirs = (
        cls(ccd, trace, width=17, disp_axis=1, crossdisp_axis=0, mask_treatment="apply").spectrum
        for cls in (BoxcarExtract, UpstreamBoxcar)
    )
    assert ours.flux.unit == theirs.flux.unit == u.electron
    assert type(ours.uncertainty) is type(theirs.uncertainty)
    np.testing.assert_allclose(ours.flux.value, theirs.flux.value, rtol=1e-4)
    np.testing.assert_allclose(ours.uncertainty.array, theirs.uncertainty.array, rtol=1e-2)
    assert ours.meta["OBJECT"] == "star"
    np.testing.assert_array_equal(ccd.data, kept.data)
    assert ccd.mask is None


def test_several_widths_come_in_one_pass():
    star = 1e4 * gaussian_profile(np.arange(40)[:, None], np.full(20, 19.7), np.full(20, 2.0))
    spectrum = BoxcarExtract(star, FlatTrace(star, 19.7), widths=[6, 9, 12], star_width=2.0)()
    assert spectrum.flux.shape == (3, 20)
    assert np.all(np.diff(spectrum.flux.value, axis=0) > 0)
    single = BoxcarExtract(star, FlatTrace(star, 19.7), widths=[6, 9], star_width=2.0)(width=12)
    np.testing.assert_allclose(single.flux.value, spectrum.flux.value[2])


def test_the_width_of_the_star_is_measured_where_nobody_says():
    star = 1e4 * gaussian_profile(np.arange(40)[:, None], np.full(200, 19.7), np.full(200, 2.0))
    trace = FlatTrace(star, 19.7)
    measured = BoxcarExtract(star, trace, width=9)().meta["enclosed_fraction"]
    known = BoxcarExtract(star, trace, width=9, star_width=2.0)().meta["enclosed_fraction"]
    assert np.abs(measured / known - 1).max() < 0.02


def test_any_orientation_and_square_frames_pass_the_door():
    star = 1e4 * gaussian_profile(np.arange(40)[:, None], np.full(40, 19.7), np.full(40, 2.0))
    trace = FlatTrace(star, 19.7)
    upright = BoxcarExtract(star, trace, width=9, star_width=2.0)()
    turned = BoxcarExtract(star.T, trace, 9, 0, 1, star_width=2.0)()
    np.testing.assert_array_equal(upright.flux, turned.flux)


def test_propagate_condemns_a_column_and_ignore_does_not():
    star = CCDData(np.ones((20, 5)), unit="electron", mask=np.zeros((20, 5), bool))
    star.mask[2, 3] = True
    kwargs = {"width": 6, "star_width": 2.0}
    trace = FlatTrace(star, 10)
    flux = BoxcarExtract(star, trace, mask_treatment="propagate", **kwargs)().flux.value
    np.testing.assert_array_equal(np.isnan(flux), [False, False, False, True, False])
    flux = BoxcarExtract(star, trace, mask_treatment="ignore", **kwargs)().flux.value
    assert np.isfinite(flux).all()


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"width": 0}, "width is \\[0.0\\]"),
        ({"mask_treatment": "zero_fill"}, "never filled"),
        ({"width_in": "arcsec"}, "width_in is 'arcsec'"),
        ({"light_outside": "guess"}, "light_outside is 'guess'"),
        ({"profile": "airy"}, "profile is 'airy'"),
        ({"star_width": None}, "could not be measured"),
    ],
)
def test_wrong_choices_are_named(kwargs, match):
    image = np.zeros((20, 5))
    with pytest.raises(ValueError, match=match):
        BoxcarExtract(image, FlatTrace(image, 10), **{"star_width": 2.0, **kwargs})()


def test_a_noise_model_refuses_adu():
    ccd = CCDData(np.ones((20, 5)), unit="adu")
    with pytest.raises(ValueError, match="the image is in adu"):
        BoxcarExtract(ccd, FlatTrace(ccd, 10), star_width=2.0, noise=PixelNoise(3.0))()
