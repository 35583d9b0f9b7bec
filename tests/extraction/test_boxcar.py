"""Does the boxcar behave like upstream's where that is right, and better where it is not?"""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty
from specreduce.extract import BoxcarExtract as UpstreamBoxcar
from specreduce.tracing import ArrayTrace, FlatTrace

from slitlapse.extraction import BoxcarExtract, PixelNoise, gaussian_profile, moffat_profile
from slitlapse.extraction.simulate import simulate_star


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


@pytest.mark.parametrize("choice", [{"width_in": "seeing"}, {"light_outside": "correct"}, {}])
def test_light_curves_before_and_after_a_comparison_star_when_the_seeing_changes(choice):
    rng, n_x, x = np.random.default_rng(12), 512, np.arange(512)
    width = 2.5 if "width_in" in choice else 12.0
    light, noise = [], PixelNoise(4.0, sky=60.0)
    variance = []
    for _ in range(40):
        seeing = rng.uniform(0.85, 1.15)
        fluxes = []
        for brightness, row, bluer in ((2e4, 25.2, 0.08), (1.2e4, 24.7, 0.02)):
            centre = row + 1.5 * np.sin(x / 300) + rng.uniform(-0.5, 0.5)
            spread = 2.1 * seeing * (1 + bluer * (1 - 2 * x / n_x))
            kwargs = {"family": "moffat", "sky": 60.0, "read_noise": 4.0}
            star = simulate_star(brightness, (51, n_x), centre, spread, rng=rng, **kwargs)
            measured = spread * (1 + rng.normal(0, 5e-4))
            extract = BoxcarExtract(
                star.data, ArrayTrace(star.data, centre), width, star_width=measured,
                profile=moffat_profile, noise=noise, **choice,
            )  # fmt: skip
            fluxes.append(extract.spectrum)
        light.append([spectrum.flux.value.sum() for spectrum in fluxes])
        variance.append([(spectrum.uncertainty.array**2).sum() for spectrum in fluxes])
    light, variance = np.array(light), np.array(variance)
    limit = np.sqrt((variance / light**2).mean(axis=0))
    ratio = light[:, 0] / light[:, 1]
    after = ratio.std(ddof=1) / ratio.mean() / np.hypot(*limit)
    alone = light.std(axis=0, ddof=1) / light.mean(axis=0) / limit
    assert after < 1.1 + 4 / np.sqrt(2 * 39)
    if not choice:  # what a fixed aperture loses cancels only as far as the stars are alike
        assert np.all(alone > 3)
    elif "light_outside" in choice:
        # 5e-4 of the width is 2e-4 of the light beyond the aperture
        assert np.all(alone < 1.1 + 4 / np.sqrt(2 * 39))
