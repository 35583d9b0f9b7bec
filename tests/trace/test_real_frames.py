"""Traces of real frames lie where others have seen them."""

import numpy as np
import pytest
from astropy.io import fits

from slitlapse.trace import ProfileTrace

# Numbers of the READMEs: 0.3 px where these are given to a tenth.
# Measured less README: Kast b24 +0.10 and -0.02, SPRAT -0.03 and +0.04, EFOSC2 -0.02 and +0.03.
# Whole rows of the READMEs can be off by half a row: OSIRIS +0.12, -0.05, -0.24, +0.24; EFOSC2's
# three at no stated column, where a trace slopes by 0.9 rows in 100 columns: -0.65, -1.12 (8 pixels
# wide) and -0.02. The quick look's rows of Kast b27, 173.7 and 176.9, are not where its light is:
# +0.33 at column 1700, where the plain centroid of the pixels is 174.03 +- 0.02 (tested below), and
# +0.86 at column 200, where pypeit and the trace agree to 0.01.


def kast(folder, name):
    raw = fits.getdata(folder / "lick_kast_blue_2015" / f"{name}.fits.gz").astype(float)
    levels = [np.median(raw[:, i : i + 32], axis=1, keepdims=True) for i in (2048, 2080)]
    return np.hstack([(raw[:, :1024] - levels[0]) * 1.21, (raw[:, 1024:2048] - levels[1]) * 1.25])


def hiltner_102(folder):
    return fits.getdata(folder / "lt_sprat_2018/v_s_20180810_27_1_0_0.fits.gz") - 915.5


def efosc2(folder, name):
    raw = fits.getdata(folder / "ntt_efosc2_2022" / f"EFOSC.{name}.fits.gz").astype(float)
    return (raw.T[:, :1024] - 224) * 1.2  # dispersion along y


def osiris(folder):
    folder = folder / "gtc_osiris_tres3b"
    bias = fits.getdata(folder / "osiris_bias.fits.bz2").astype(float)
    return fits.getdata(folder / "osiris_tres_3b.fits.bz2") - bias


@pytest.mark.filterwarnings("ignore::slitlapse.trace.TraceWarning")
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    ("read", "guess", "rows", "tolerance"),
    [
        (lambda d: kast(d, "b24"), None, {200: 171.7, 1700: 167.0}, 0.3),
        (hiltner_102, None, {150: 132.2, 830: 130.9}, 0.3),
        (lambda d: efosc2(d, "2022-01-29T01-12-03.548"), None, {100: 539.8, 850: 546.8}, 0.3),
        (lambda d: efosc2(d, "2022-01-27T02-31-32.701"), 544, {500: 544}, 1.0),
        (lambda d: efosc2(d, "2022-01-27T02-31-32.701"), 289, {500: 289}, 1.5),
        (lambda d: efosc2(d, "2022-01-27T02-31-32.701"), 691, {500: 691}, 1.0),
        (osiris, 275, {50: 273.7, 425: 275.0, 950: 272.1}, 0.3),
        (osiris, 451, {425: 451}, 0.5),
        (osiris, 97, {425: 97}, 0.5),
        (osiris, 177, {425: 177}, 0.5),
        (osiris, 257, {425: 257}, 0.5),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_traces_of_real_frames_lie_where_the_readme_says(real_data, read, guess, rows, tolerance):
    found = ProfileTrace(read(real_data), guess)
    for x, row in rows.items():
        assert abs(found.trace[x] - row) < tolerance


@pytest.mark.parametrize("x", [1300, 1500, 1700, 1900])
def test_the_faint_kast_star_lies_where_its_pixels_say(real_data, x):
    image = kast(real_data, "b27")
    found = ProfileTrace(image, 174)
    near = np.abs(np.arange(image.shape[1]) - x) <= 50
    y = np.arange(image.shape[0]) - found.trace[x]
    beside = (np.abs(y) > 12) & (np.abs(y) < 25)
    sky = np.polynomial.polynomial.polyfit(y[beside], image[beside][:, near], 1)
    star = image[:, near] - np.polynomial.polynomial.polyval(y, sky).T
    # the plain centroid; rows at the ends of the sum count in part, so that pixels do not matter
    weight = np.clip(7 - np.abs(y), 0, 1)
    moments = (weight * y) @ star
    off = np.abs(moments - np.median(moments))
    clean = off < 5 * 1.4826 * np.median(off)  # no cosmic ray
    error = moments[clean].std() / np.sqrt(clean.sum())
    flux = np.mean(weight @ star[:, clean])
    assert error / flux < 0.05
    assert abs(moments[clean].mean()) < 4 * error


def test_the_faint_kast_star_lies_where_pypeit_found_it(real_data):
    found = ProfileTrace(kast(real_data, "b27"), 174)
    theirs = fits.getdata(real_data / "lick_kast_blue_2015/reference/spec1d_b27.fits.gz")
    assert abs(found.trace - theirs["TRACE_SPAT"]).max() < 0.3
    assert np.median(found.fwhm) == pytest.approx(np.median(theirs["FWHMFIT"]), rel=0.05)


@pytest.mark.parametrize("row", [128, 73])
def test_sprat_has_two_stars_that_can_be_followed(real_data, row):
    files = sorted((real_data / "lt_sprat_2018").glob("v_e_20180810_12_*_0_0.fits.gz"))
    mean = np.mean([fits.getdata(file) - 915.5 for file in files], axis=0)
    found = ProfileTrace(5 * 2.45 * mean, guess=row)
    assert abs(np.ma.median(found.trace) - row) < 1
    assert 1.9 < np.median(found.fwhm) < 3.5
    # no light reaches the first 100 columns
    assert found.width[:100].max() < 1.6 * np.median(found.width)
    assert abs(found.trace[:100] - row).max() < 2
    assert found.table["used"].mean() > 0.8


def test_the_sloped_trace_of_goodman(real_data):
    raw = fits.getdata(real_data / "soar_goodman_2018/0267_AT2018oh_930_blue.fits.gz")
    image = (raw[:, 8:2055] - 434.0) * 1.32
    mask = np.zeros(image.shape, bool)
    mask[0] = True
    found = ProfileTrace(image, 80, mask=mask)
    assert abs(found.trace[192] - 86.2) < 0.3
    assert abs(found.trace[1692] - 75.3) < 0.3


@pytest.mark.filterwarnings("ignore::slitlapse.trace.TraceWarning")
@pytest.mark.parametrize(("guess", "x", "row"), [(134, 900, 121), (388, 1000, 388)])
def test_each_bowed_order_of_floyds_has_its_own_trace(real_data, guess, x, row):
    file = real_data / "lco_floyds_2020/coj2m002-en12-20200321-0021-e00.fits.fz"
    raw = fits.getdata(file).astype(float)
    image = (raw[:, :2048] - np.median(raw[:, 2055:], axis=1, keepdims=True)) * 2.3
    found = ProfileTrace(image, guess)
    assert abs(found.trace[x] - row) < 1.5
    used = found.table["used"]
    assert np.ptp(found.table["center"][used].value) > 80
    # within the lit rows of the flat (README)
    lit = {900: (76, 168), 1200: (115, 202), 1500: (165, 229)}
    lit = lit if guess < 300 else {1500: (355, 448), 1800: (391, 485)}
    for at, (low, high) in lit.items():
        assert low < found.trace[at] < high
