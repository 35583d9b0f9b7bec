"""In empty rows of real frames only noise is left."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import uniform_filter1d

from slitlapse.sky import SkyTiltWarning, SkyWindows, SplineSky, TiltWarning, measure_sky_tilt


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


def residual_and_difference(image, sky):
    """Return how far residuals scatter, and how far they differ from row to row, less sqrt(2)."""
    used = sky.fit.used
    pull = np.where(used, (image - sky.fit.model) / np.sqrt(sky.fit.variance), np.nan)
    return np.nanstd(pull), np.nanstd(np.diff(pull, axis=0)) / np.sqrt(2)


@pytest.mark.slow
@pytest.mark.parametrize("read", [sprat, goodman, efosc2, kast, dbsp])
def test_in_empty_rows_of_real_frames_photon_noise_is_left(real_data, read):
    image, noise, sky_pixels = read(real_data)
    sky = SplineSky(image, sky_pixels=sky_pixels, read_noise=noise)
    residual, apart = residual_and_difference(image, sky)
    assert abs(residual - 1) < 0.1
    assert (sky_pixels & ~sky.fit.used).sum() < 2e-3 * sky_pixels.sum()
    if read is dbsp:  # the star's wings need more than a parabola along the slit
        sky = SplineSky(
            image, sky_pixels=sky_pixels, read_noise=noise, spatial_degree=6, one_spectrum=False
        )
        residual, apart = residual_and_difference(image, sky)
    # the same goal whatever gain and read noise are said to be: what differs from row to row is
    # noise (0.94 to 1.02 of it are left, and 1.08 in DBSP, whose slit has no flat)
    assert residual < 1.1 * apart


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


def floyds(folder, name, rows, columns):
    """Return a cut-out of both bowed orders, and the scatter of the overscan, in electron."""
    file = folder / f"lco_floyds_2020/coj2m002-en12-20200321-{name}.fits.fz"
    raw = fits.getdata(file, 1) * 2.3
    raw -= np.median(raw[:, 2052:], axis=1, keepdims=True)
    return raw[rows, columns], clipped(raw[:, 2055:2078])


@pytest.mark.slow
def test_the_bowed_red_order_of_floyds_has_its_own_window_and_tilt(real_data):
    names = "0021-e00", "0022-a00", "0023-w00"
    parts = [floyds(real_data, name, slice(50, 240), slice(350, 1500)) for name in names]
    (science, noise), (arc, _), (flat, _) = parts
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
        science, tilt.effective_pixel(), sky_pixels=windows & order, read_noise=noise,
        spatial_degree=3,
    )  # fmt: skip
    residual, apart = residual_and_difference(science, sky)
    assert abs(residual - 1) < 0.1
    assert residual < 1.05 * apart


@pytest.mark.slow
def test_in_the_blue_order_of_floyds_the_noise_of_the_detector_is_left(real_data):
    science, noise = floyds(real_data, "0021-e00", slice(None), slice(560, 2040))
    y, x = np.indices(science.shape)
    bright = np.median(science[340:, :].reshape(172, 74, 20), axis=2)
    bright = np.where(np.abs(y[340:, ::20] - 430 - (x[0, ::20] - 640) ** 2 / 8000) < 80, bright, 0)
    centre = np.polyval(np.polyfit(x[0, 10::20], np.argmax(bright, axis=0) + 340, 4), x[0])
    order = SkyWindows([[-41, -24], [24, 41]]).mask(science.shape, centre)
    # the four lines of its arc lean by 0.144 to 0.147 pixels per row
    sky = SplineSky(science, x + 0.145 * (y - 430), sky_pixels=order, read_noise=noise)
    residual, apart = residual_and_difference(science, sky)
    # the header's gain of 2.3 is 2.05 in flats and arcs (variance against level), and in 2700 s
    # rows that no light reaches scatter by 5.6 electron, not by the overscan's 3.8: pixels of any
    # two rows differ by 1.11 times what gain and read noise say, and that is what is left
    assert residual < 1.03 * apart
    assert abs(apart - 1) < 0.15
    dark = science[250:330, :300]  # between the orders
    empty = clipped(np.diff(dark, axis=0)) / np.sqrt(2)
    assert empty > 1.1 * np.sqrt(noise**2 + np.mean(dark))
