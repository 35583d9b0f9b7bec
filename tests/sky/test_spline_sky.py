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

from slitlapse.sky import SkyGeometry, SplineSky, TiltWarning

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
    assert SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR)).fit.used.any()


def test_images_of_another_shape_are_refused(image):
    with pytest.raises(ValueError, match="but the geometry is for"):
        SplineSky(image.data[1:], SkyGeometry(EFFECTIVE, ~STAR), read_noise=1.0)
    sky = SplineSky(image, SkyGeometry(EFFECTIVE, ~STAR), read_noise=1.0)
    with pytest.raises(ValueError, match="was fitted to"):
        sky.sub_image(np.ones((3, 3)))
