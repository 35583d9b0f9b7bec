"""Tests of the robust polynomial along the slit."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from specreduce.background import Background
from specreduce.tracing import ArrayTrace, FlatTrace

from slitlapse.sky import PolynomialBackground

READ_NOISE = 4.0
N_Y, N_X = 100, 1000
Y = np.arange(N_Y)[:, np.newaxis]
APERTURE = (np.abs(Y - 50) <= 8) * np.ones(N_X)
SKY = (np.abs(Y - 50) > 12) & np.ones(N_X, dtype=bool)


def slit_sky(level=100.0, slope=0.002, bend=0.0):
    """Return a sky with a gradient along the slit, whose level changes from column to column."""
    columns = level * (1 + 0.5 * np.sin(np.arange(N_X) / 50))
    return columns * (1 + slope * (Y - 50) + bend * (Y - 50) ** 2)


def observe(sky, rng, star=0.0):
    """Return one noisy exposure."""
    profile = np.exp(-0.5 * ((Y - 50) / 2) ** 2) / np.sqrt(8 * np.pi)
    return rng.poisson(sky + star * profile) + rng.normal(0, READ_NOISE, (N_Y, N_X))


def test_it_is_used_like_upstreams_background():
    sky = slit_sky()
    data = observe(sky, np.random.default_rng(1), star=1e4)
    image = CCDData(data, unit=u.electron, uncertainty=StdDevUncertainty(np.sqrt(sky + 16)))
    trace = FlatTrace(image, 50)
    ours = PolynomialBackground.two_sided(image, trace, 30, width=20)
    theirs = Background.two_sided(image, trace, 30, width=20)
    for name in ("bkg_image", "bkg_spectrum", "sub_image", "sub_spectrum"):
        mine, other = getattr(ours, name)(), getattr(theirs, name)()
        assert mine.shape == other.shape
        assert mine.flux.unit == other.flux.unit
        assert type(mine.uncertainty) is type(other.uncertainty)
    np.testing.assert_allclose((image - ours).flux, ours.sub_image().flux)
    # both estimate the same level at the star; the mean of 42 pixels scatters by 1.7
    difference = ours.bkg_spectrum().flux.value - theirs.bkg_spectrum().flux.value
    assert abs(np.median(difference)) < 0.2


def test_the_variance_of_a_sum_includes_the_covariance_that_upstream_lacks():
    sky = slit_sky()
    sums, told = [], []
    for seed in range(20):
        data = observe(sky, np.random.default_rng(seed))
        image = CCDData(data, unit=u.electron, uncertainty=VarianceUncertainty(sky + 16.0))
        background = PolynomialBackground.two_sided(image, 50.0, 20, width=10)
        inside = slice(42, 59)
        sums.append((data - background.bkg_image().flux.value)[inside].sum(axis=0))
        told.append(image.uncertainty.array[inside].sum(axis=0))
        told[-1] += background.aperture_variance(APERTURE)
    ratio = np.std(sums, ddof=1) / np.sqrt(np.mean(told))
    assert abs(ratio - 1) < 4 / np.sqrt(2 * np.size(sums))


def test_a_fully_masked_column_is_masked_not_zero():
    data = observe(slit_sky(), np.random.default_rng(1))
    mask = np.zeros(data.shape, dtype=bool)
    mask[:, 7] = True
    data[:, 9] = np.nan
    image = CCDData(data, unit=u.electron, mask=mask)
    background = PolynomialBackground.two_sided(image, 50.0, 30, width=20, read_noise=4.0)
    for spectrum in (background.bkg_image(), background.sub_image()):
        assert spectrum.mask[:, [7, 9]].all()
        assert np.isnan(spectrum.flux.value[:, [7, 9]]).all()
        assert np.isfinite(spectrum.flux.value[:, 8]).all()
    for spectrum in (background.bkg_spectrum(), background.sub_spectrum()):
        assert spectrum.mask[[7, 9]].all()
        assert not np.delete(spectrum.mask, [7, 9]).any()


def test_noise_is_never_invented():
    data = observe(slit_sky(), np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"no uncertainty.*Give read_noise"):
        PolynomialBackground.two_sided(data, 50.0, 30, width=20)
    background = PolynomialBackground.two_sided(data, 50.0, 30, width=20, read_noise=4.0)
    assert background.sub_image().uncertainty is None


def test_windows_follow_a_slanted_trace_and_may_be_any_boolean_image():
    trace = np.linspace(45, 55, N_X)
    data = observe(slit_sky(), np.random.default_rng(1))
    windows = PolynomialBackground.two_sided(
        data, ArrayTrace(data, trace), 25, width=20, read_noise=4.0
    )
    sky = np.abs(np.abs(Y - trace) - 25) <= 10
    direct = PolynomialBackground(data, sky_pixels=sky, read_noise=4.0)
    np.testing.assert_allclose(windows.bkg_image().flux, direct.bkg_image().flux)
    along = windows.bkg_spectrum().flux.value
    expected = 100 * (1 + 0.5 * np.sin(np.arange(N_X) / 50)) * (1 + 0.002 * (trace - 50))
    # 42 sky pixels of variance about 116
    pulls = (along - expected) / windows.bkg_spectrum().uncertainty.array ** 0.5
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * N_X)


def test_sensitivity_enters_the_noise():
    sensitivity = np.where(Y < 50, 0.5, 1.0) * np.ones(N_X)
    sky = slit_sky(200.0)
    rng = np.random.default_rng(4)
    data = (rng.poisson(sky * sensitivity) + rng.normal(0, 4.0, sky.shape)) / sensitivity
    background = PolynomialBackground(data, sky_pixels=SKY, read_noise=4.0, sensitivity=sensitivity)
    error = np.sum(APERTURE * (background.bkg_image().flux.value - sky), axis=0)
    pulls = error / np.sqrt(background.aperture_variance(APERTURE))
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * N_X)


def test_bad_arguments_are_refused():
    data = np.ones((50, 20))
    with pytest.raises(ValueError, match="outside the image"):
        PolynomialBackground(data, [80.0], 10, read_noise=1.0)
    with pytest.raises(ValueError, match="positive number"):
        PolynomialBackground(data, 25.0, 0, read_noise=1.0)
    with pytest.raises(ValueError, match="median has degree 0"):
        PolynomialBackground(data, 25.0, 5, statistic="median", degree=1, read_noise=1.0)
    with pytest.raises(ValueError, match="statistic is"):
        PolynomialBackground(data, 25.0, 5, statistic="mode", read_noise=1.0)
    with pytest.raises(ValueError, match="All sky pixels are masked"):
        PolynomialBackground(np.full((50, 20), np.nan), 25.0, 5, read_noise=1.0)
    with pytest.raises(ValueError, match="disp_axis=1"):
        PolynomialBackground(data, 25.0, 5, disp_axis=0, read_noise=1.0)
    with pytest.raises(ValueError, match="shape"):
        PolynomialBackground(data, 25.0, 5, read_noise=1.0).sub_image(np.ones((3, 3)))


def test_frames_of_32_bits_are_welcome():
    image = CCDData(np.full((N_Y, N_X), 100.0, dtype=np.float32), unit="electron")
    sky = PolynomialBackground(image, sky_pixels=SKY, degree=1, read_noise=READ_NOISE)
    assert (image - sky).flux.dtype == float
    assert sky.bkg_image().flux.shape == (N_Y, N_X)
