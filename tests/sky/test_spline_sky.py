"""Tests of the spline sky in upstream's shape."""

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.models import Polynomial2D, Shift
from astropy.nddata import CCDData, StdDevUncertainty
from scipy.special import ndtr
from specreduce.background import Background
from specreduce.tilt_solution import TiltSolution
from specreduce.tracing import FlatTrace

from slitlapse.sky import (
    SkyGeometry,
    SplineSky,
    TiltWarning,
)

READ_NOISE = 4.0
N_Y, N_X = 120, 400
Y, X = np.mgrid[:N_Y, :N_X].astype(float)
EFFECTIVE = X - 0.04 * (Y - 60)
STAR = np.abs(Y - 60) < 16


def spectrum(u):
    """Return three sky lines on a continuum, integrated over pixels."""
    total = np.full(u.shape, 60.0)
    for centre, flux in ((80.3, 3e3), (200.8, 3e4), (330.1, 500)):
        total += flux * (ndtr((u - centre + 0.5) / 1.5) - ndtr((u - centre - 0.5) / 1.5))
    return total


SKY = spectrum(EFFECTIVE)


@pytest.fixture
def image():
    rng = np.random.default_rng(1)
    truth = SKY + 3000 * np.exp(-0.5 * ((Y - 60) / 2.5) ** 2)
    data = rng.poisson(truth) + rng.normal(0, READ_NOISE, SKY.shape)
    noise = StdDevUncertainty(np.sqrt(truth + READ_NOISE**2))
    return CCDData(data, unit=u.electron, uncertainty=noise)


def test_it_gives_what_upstreams_background_gives(image):
    ours = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR), read_noise=READ_NOISE * u.electron)
    theirs = Background.two_sided(image, FlatTrace(image, 60), 30, width=20)
    for name in ("bkg_image", "bkg_spectrum", "sub_image", "sub_spectrum"):
        mine, other = getattr(ours, name)(), getattr(theirs, name)()
        assert mine.shape == other.shape
        assert mine.flux.unit == other.flux.unit
    np.testing.assert_allclose((image - ours).flux, ours.sub_image().flux)


def test_the_next_exposure_uses_the_same_geometry(image):
    first = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR), read_noise=READ_NOISE)
    second = SplineSky(image, first.geometry, read_noise=READ_NOISE)
    assert second.geometry is first.geometry
    np.testing.assert_allclose(second.fit.model, first.fit.model)


def test_the_sum_over_the_slit_knows_the_covariance_of_the_sky(image):
    sky = SplineSky(image, EFFECTIVE, sky_pixels=~STAR, read_noise=READ_NOISE)
    pixels = np.sum(image.uncertainty.array**2, axis=0)
    total = sky.sub_spectrum().uncertainty.array ** 2
    good = ~sky.sub_image().mask
    expected = pixels + sky.aperture_variance(1.0 * good)
    inner = slice(10, -10)
    np.testing.assert_allclose(total[inner], expected[inner])
    # 120 rows share one sky, known from 89, which averages out over the 5 columns of wavelength
    # that the tilted lines put into a column
    sky_only = N_Y * (SKY[60] + READ_NOISE**2)
    ratio = np.median(sky.aperture_variance(1.0 * good)[inner] / sky_only[inner])
    assert abs(ratio / (120 / 89 / 5) - 1) < 0.15


def test_lines_may_be_tilted_a_lot_within_the_aperture():
    steep = X - 0.8 * (Y - 60)
    rng = np.random.default_rng(2)
    image = rng.poisson(spectrum(steep)) + rng.normal(0, READ_NOISE, X.shape)
    sky = SplineSky(image, steep, sky_pixels=~STAR, read_noise=READ_NOISE)
    aperture = (np.abs(Y - 60) <= 15).astype(float)
    error = np.sum(aperture * (sky.fit.model - spectrum(steep)), axis=0)
    pulls = (error / np.sqrt(sky.aperture_variance(aperture)))[70:-70]
    # the aperture spans 25 columns of wavelength: about ten independent sums
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * 260 / 25)


def test_one_spectrum_is_found_in_one_call_and_kept(image):
    sky = SplineSky(image, EFFECTIVE, sky_pixels=~STAR, one_spectrum=True, read_noise=READ_NOISE)
    many = SplineSky(
        image, EFFECTIVE, exclude=[(60, 15.5)], read_noise=READ_NOISE, one_spectrum=False
    )
    assert sky.one_spectrum
    assert not many.one_spectrum
    np.testing.assert_array_equal(sky.geometry.sky_pixels, many.geometry.sky_pixels)
    aperture = (np.abs(Y - 60) <= 8).astype(float)
    inner = slice(10, -10)
    ratio = sky.aperture_variance(aperture)[inner] / many.aperture_variance(aperture)[inner]
    # 9 / 4 in the middle of the slit, more where the star leaves a gap there
    assert np.median(ratio) < 4 / 9
    again = SplineSky(image, sky.geometry, read_noise=READ_NOISE)
    assert again.geometry is sky.geometry
    np.testing.assert_allclose(again.fit.model, sky.fit.model)


def test_by_default_the_sky_is_one_spectrum_where_that_is_better(image):
    assert SplineSky(image, EFFECTIVE, sky_pixels=~STAR, read_noise=READ_NOISE).one_spectrum
    nebula = 2000 * np.exp(-0.5 * ((EFFECTIVE - 150) / 2) ** 2) * (0.5 - Y / N_Y)
    data = image.data + np.random.default_rng(3).poisson(np.maximum(nebula, 0))
    sky = SplineSky(data, EFFECTIVE, sky_pixels=~STAR, read_noise=READ_NOISE)
    assert not sky.one_spectrum


def test_where_the_dispersion_ends_the_sky_under_a_star_is_known_by_default():
    # few rows see these wavelengths, and those are not at the star
    steep = X - 0.08 * (Y - 60)
    aperture, errors = (np.abs(Y - 60) <= 8).astype(float), {None: [], False: []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        data = rng.poisson(spectrum(steep)) + rng.normal(0, READ_NOISE, X.shape)
        for choice, found in errors.items():
            sky = SplineSky(
                data, steep, sky_pixels=~STAR, read_noise=READ_NOISE, one_spectrum=choice
            )
            error = np.sum(aperture * (sky.fit.model - spectrum(steep)), axis=0)
            noise = np.sqrt(np.sum(aperture * (spectrum(steep) + READ_NOISE**2), axis=0))
            found.append((error / noise)[:6])
            if choice is None:
                pull = error / np.sqrt(sky.aperture_variance(aperture))
                assert np.nanmax(np.abs(pull[:6])) < 5
    assert np.std(errors[None]) < 0.7 * np.std(errors[False])


def test_a_column_that_is_masked_in_one_exposure_is_masked_out_and_not_zero(image):
    upright = spectrum(X)
    first = SplineSky(upright, X, sky_pixels=~STAR, read_noise=READ_NOISE)
    mask = X == 120
    bad = CCDData(np.where(mask, 0.0, upright), unit="electron", mask=mask)
    sky = SplineSky(bad, first.geometry, read_noise=READ_NOISE)
    found = sky.bkg_image()
    assert found.mask[:, 120].all()
    assert np.isnan(found.flux.value[:, 120]).all()
    assert not np.delete(found.mask, 120, axis=1).any()
    aperture = (np.abs(Y - 60) <= 8).astype(float)
    assert np.isnan(sky.aperture_variance(aperture)[120])
    assert sky.sub_spectrum().mask[120]
    # where lines are tilted, other rows show these wavelengths
    tilted = SplineSky(image, EFFECTIVE, sky_pixels=~STAR, read_noise=READ_NOISE)
    known = SplineSky(
        CCDData(image.data, unit="electron", mask=mask), tilted.geometry, read_noise=READ_NOISE
    )
    assert known.fit.good[:, 110:130].all()


def test_upstreams_tilt_solution_is_understood(image):
    # detector x as a function of effective pixel and row - 60
    model = Shift(0) & Shift(-60) | Polynomial2D(1, c0_0=0.0, c1_0=1.0, c0_1=0.04)
    tilt = TiltSolution(model, image_shape=(N_Y, N_X))
    geometry = SkyGeometry(tilt, ~STAR)
    np.testing.assert_allclose(geometry.effective_pixel, EFFECTIVE, atol=0.01)


def test_a_wrong_tilt_is_noticed(image):
    with pytest.warns(TiltWarning, match="not where the effective pixels say"):
        wrong = SplineSky(image, SkyGeometry(X, ~STAR), read_noise=READ_NOISE)
    right = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR), read_noise=READ_NOISE)
    assert wrong.line_excess > 1.3
    assert abs(right.line_excess - 1) < 0.15


def test_the_supersampled_spectrum_is_there_to_look_at(image):
    sky = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR), read_noise=READ_NOISE)
    pixel, flux, used = sky.supersampled
    assert pixel.shape == flux.shape == used.shape == (np.count_nonzero(~STAR),)
    assert np.all(np.diff(pixel) >= 0)
    np.testing.assert_array_equal(sky.effective_pixel, EFFECTIVE)


def test_noise_is_never_invented(image):
    with pytest.raises(ValueError, match=r"no uncertainty.*Give read_noise"):
        SplineSky(image.data, SkyGeometry(EFFECTIVE, ~STAR))
    sky = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR))
    # the uncertainties alone tell the noise on lines and between them
    assert abs(sky.line_excess - 1) < 0.1
    pull = (image.data - sky.fit.model) / image.uncertainty.array
    assert abs(pull[~STAR].std() - 1) < 0.03


def test_images_of_another_shape_are_refused(image):
    with pytest.raises(ValueError, match="but the geometry is for"):
        SplineSky(image.data[1:], SkyGeometry(EFFECTIVE, ~STAR), read_noise=1.0)
    sky = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR), read_noise=1.0)
    with pytest.raises(ValueError, match="was fitted to"):
        sky.sub_image(np.ones((3, 3)))


def test_frames_of_32_bits_are_welcome():
    image = CCDData(spectrum(EFFECTIVE).astype(np.float32), unit="electron")
    sky = SplineSky(image, EFFECTIVE, sky_pixels=~STAR, read_noise=READ_NOISE)
    assert (image - sky).flux.dtype == float
    assert sky.bkg_image().flux.shape == (N_Y, N_X)
