"""Tests of the spline sky in upstream's shape."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import Polynomial2D, Shift
from astropy.nddata import CCDData, StdDevUncertainty
from scipy.ndimage import uniform_filter1d
from scipy.special import ndtr
from specreduce.background import Background
from specreduce.tilt_solution import TiltSolution
from specreduce.tracing import FlatTrace

from slitlapse.sky import (
    SkyGeometry,
    SkyTiltWarning,
    SkyWindows,
    SplineSky,
    TiltWarning,
    measure_sky_tilt,
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


def clipped(values):
    """Return the standard deviation without the outliers beyond 5 sigma."""
    values = values[np.isfinite(values)]
    for _ in range(10):
        values = values[np.abs(values - values.mean()) < 5 * values.std()]
    return values.std()


def sprat(folder):
    """Return image, read noise and sky pixels of the second exposure of two stars."""
    raw = fits.getdata(folder / "lt_sprat_2018/v_e_20180810_12_2_0_0.fits.gz") * 1.0
    image = (raw - np.median(raw[3:33])) * 2.45
    y = np.arange(len(image))[:, np.newaxis]
    sky = (y > 140) & (y < 246) | (y > 86) & (y < 108)
    # the noise of neighbouring pixels in unlit rows, whose dark current is smooth
    noise = clipped(np.diff(image[3:33], axis=1)) / np.sqrt(2)
    return image, noise, sky & np.ones(image.shape, dtype=bool)


def goodman(folder):
    """Return the same for the first exposure; the mean bias adds its own noise."""
    folder = folder / "soar_goodman_2018"
    biases = [fits.getdata(f) * 1.0 for f in sorted(folder.glob("019[4-6]*_Zero*"))]
    raw = fits.getdata(folder / "0267_AT2018oh_930_blue.fits.gz") * 1.0
    image = raw - np.mean(biases, axis=0)
    image = (image - np.median(image[5:, 2060:2070]))[1:, 30:2040] * 1.4
    noise = clipped((biases[0] - biases[1])[5:, 30:2040]) / np.sqrt(2) * 1.4
    y, x = np.indices(image.shape)
    trace = 85.2 - (86.2 - 75.3) / 1500 * (x + 30 - 200)
    return image, noise * np.sqrt(1 + 1 / 3), (y > 10) & (y < 190) & (np.abs(y - trace) > 30)


def efosc2(folder):
    """Return the same for a field with three traces."""
    folder = folder / "ntt_efosc2_2022"
    biases = [fits.getdata(f) * 1.0 for f in sorted(folder.glob("EFOSC.2022-01-26T19-0*"))]
    raw = fits.getdata(folder / "EFOSC.2022-01-27T02-31-32.701.fits.gz") * 1.0
    image = (raw - np.mean(biases, axis=0)).T[:, :1020] * 1.2
    noise = clipped((biases[0] - biases[1])[:1020, 70:1000]) / np.sqrt(2) * 1.2
    y = np.arange(len(image))[:, np.newaxis] * np.ones(1020)
    sky = (y > 75) & (y < 990) & (np.abs(y - 181.5) > 2) & (np.abs(y - 486) > 1)
    for star in (289, 548, 691):
        sky &= np.abs(y - star) > 30
    return image, noise * np.sqrt(1 + 1 / 4), sky


def kast(folder):
    """Return the same for a faint star behind two amplifiers."""
    folder = folder / "lick_kast_blue_2015"

    def read(name):
        raw = fits.getdata(folder / f"{name}.fits.gz") * 1.0
        left, right = np.median(raw[:, 2048:2080]), np.median(raw[:, 2080:])
        return raw[:, :2048] - np.where(np.arange(2048) < 1024, left, right)

    biases = [read(name) for name in ("b21", "b22", "b23")]
    image = (read("b27") - np.mean(biases, axis=0)) * 1.22
    noise = clipped(biases[0] - biases[1]) / np.sqrt(2) * 1.22
    y = np.arange(len(image))[:, np.newaxis] * np.ones(2048)
    sky = (y > 30) & (y < 320) & (np.abs(y - 174) > 20)
    return image, noise * np.sqrt(1 + 1 / 3), sky


def dbsp(folder):
    """Return the same for a star so bright that its wings fill the slit."""
    raw = fits.getdata(folder / "p200_dbsp_blue_2020/blue0050.fits.gz") * 0.72
    overscan = raw[:, 415:455]
    image = (raw - np.median(overscan))[:, 60:400].T[:, ::-1]
    noise = clipped(overscan - np.median(overscan, axis=1, keepdims=True))
    y = np.arange(len(image))[:, np.newaxis] * np.ones(image.shape[1])
    trace = np.polyval(
        np.polyfit(np.arange(500, 2700), np.argmax(image[140:240, 500:2700], axis=0) + 140, 2),
        np.arange(image.shape[1]),
    )
    return image, noise, (y > 12) & (y < 328) & (np.abs(y - trace) > 40)


@pytest.mark.slow
@pytest.mark.parametrize("read", [sprat, goodman, efosc2, kast, dbsp])
def test_in_empty_rows_of_real_frames_photon_noise_is_left(real_data, read):
    image, noise, sky_pixels = read(real_data)
    sky = SplineSky(image, sky_pixels=sky_pixels, read_noise=noise)
    pull = (image - sky.fit.model) / np.sqrt(sky.fit.variance)
    assert abs(pull[sky.fit.used].std() - 1) < 0.1
    assert (sky_pixels & ~sky.fit.used).sum() < 2e-3 * sky_pixels.sum()


def osiris(folder, name):
    return fits.getdata(folder / f"gtc_osiris_tres3b/osiris_{name}.fits.bz2") * 1.0


@pytest.mark.slow
def test_osiris_lines_slanted_by_6_pixels_leave_no_more_than_the_continuum(real_data):
    bias = osiris(real_data, "bias")
    arc = sum(osiris(real_data, f"arc_{lamp}") - bias for lamp in ("HgAr", "Ne", "Xe"))
    lit = np.arange(512)[:, np.newaxis] * np.ones(1024)
    lit = (lit > 84) & (lit < 500)
    tilt = measure_sky_tilt(arc, lit, row_degree=3, column_degree=2)
    effective = tilt.effective_pixel()
    # the README's positions of one neon line, measured to about 0.1 pixel
    line = {80: 411.7, 97: 412.4, 275: 417.95, 451: 420.4, 490: 420.55}
    same = [np.interp(x, np.arange(1024), effective[row]) for row, x in line.items()]
    assert np.ptp(same) < 0.1

    image = (osiris(real_data, "tres_3b") - bias) * 0.95  # OSIRIS's usual electrons per adu
    sky_pixels = SkyWindows(rows=[[90, 500]]).mask(
        image.shape, None, [274, 456, 97, 143, 177], other_widths=[48, 22, 12, 9, 14], clearance=1
    )
    sky = SplineSky(image, tilt.effective_pixel(), sky_pixels=sky_pixels, read_noise=4.5,
                    spatial_degree=4)  # fmt: skip
    pull = (image - sky.fit.model) / np.sqrt(sky.fit.variance)
    line = sky.fit.model > 2 * np.median(sky.fit.model[sky_pixels])
    on, between = (pull[sky.fit.used & where].std() for where in (line, ~line))
    # the gain is not in the file, and the frame has no flat: compare on and between lines
    assert abs(on / between - 1) < 0.05
    assert abs(between - 1) < 0.15
    with pytest.warns(TiltWarning):
        upright = SplineSky(image, sky_pixels=sky_pixels, read_noise=4.5)
    assert upright.line_excess > 1.3 * sky.line_excess


@pytest.mark.slow
def test_the_bowed_red_order_of_floyds_has_its_own_window_and_tilt(real_data):
    folder = real_data / "lco_floyds_2020"
    frames = []
    for name in ("0021-e00", "0022-a00", "0023-w00"):
        raw = fits.getdata(folder / f"coj2m002-en12-20200321-{name}.fits.fz", 1) * 1.0
        frames.append((raw - np.median(raw[:, 2052:], axis=1, keepdims=True))[50:240, 350:1500])
        noise = clipped(raw[:, 2055:2078] - np.median(raw[:, 2052:], axis=1, keepdims=True))
    science, arc, flat = frames
    smooth = uniform_filter1d(flat, 31, axis=1)
    lit = smooth > 0.5 * np.percentile(smooth, 95, axis=0)
    y, x = np.indices(flat.shape)
    edges = np.argmax(lit, axis=0), len(lit) - 1 - np.argmax(lit[::-1], axis=0)
    centre = np.polyval(np.polyfit(x[0], np.mean(edges, axis=0), 4), x[0])
    assert np.ptp(centre) > 60  # bowed: a straight window would leave the order
    order = np.abs(y - centre) < 41
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkyTiltWarning)
        tilt = measure_sky_tilt(arc, order, row_degree=2, column_degree=2, block=6)
    windows = SkyWindows([[-41, -24], [24, 41]]).mask(science.shape, centre)
    sky = SplineSky(
        science * 2.3, tilt.effective_pixel(), sky_pixels=windows & order,
        read_noise=noise * 2.3, spatial_degree=3,
    )  # fmt: skip
    pull = (science * 2.3 - sky.fit.model) / np.sqrt(sky.fit.variance)
    assert abs(pull[sky.fit.used].std() - 1) < 0.1


def test_frames_of_32_bits_are_welcome():
    image = CCDData(spectrum(EFFECTIVE).astype(np.float32), unit="electron")
    sky = SplineSky(image, EFFECTIVE, sky_pixels=~STAR, read_noise=READ_NOISE)
    assert (image - sky).flux.dtype == float
    assert sky.bkg_image().flux.shape == (N_Y, N_X)
