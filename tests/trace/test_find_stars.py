"""Stars on a cut across the slit are found, and only stars."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from slitlapse.trace import ProfileTrace, find_stars, star_image

SHAPE, SKY, NOISE, WIDTH = (150, 800), 200.0, 4.0, 2.1
FWHM = WIDTH * 2.3548


def noisy(image, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(image) + rng.normal(0, NOISE, image.shape)


def expected_significance(flux):
    """Signal over noise of a star in all columns, its place and width known."""
    pixels = np.sqrt(4 * np.pi) * WIDTH
    return flux * np.sqrt(SHAPE[1]) / np.sqrt(flux + pixels * (SKY + NOISE**2))


def test_two_stars_are_found_brightest_first():
    image = SKY + star_image(SHAPE, 40.3, WIDTH, 400.0) + star_image(SHAPE, 97.8, WIDTH, 2000.0)
    stars = find_stars(CCDData(noisy(image), unit=u.electron))
    assert len(stars) == 2
    assert np.allclose(stars["position"].value, [97.8, 40.3], atol=0.1)
    assert np.allclose(stars["fwhm"].value, FWHM, rtol=0.15)
    assert np.allclose(stars["flux"].value, [2000, 400], rtol=0.1)
    assert stars["flux"].unit == u.electron
    assert len(find_stars(noisy(image), n_stars=1)) == 1


def test_an_empty_slit_has_no_star():
    assert sum(len(find_stars(noisy(np.full(SHAPE, SKY), seed))) for seed in range(20)) == 0


@pytest.mark.parametrize(("flux", "least"), [(15, 8), (25, 10), (100, 10)])
def test_faint_stars_are_found_with_an_honest_significance(flux, least):
    found = []
    for seed in range(10):
        row = 70 + 0.1 * seed
        stars = find_stars(noisy(SKY + star_image(SHAPE, row, WIDTH, flux), seed))
        assert len(stars) <= 1  # nothing else
        found += [s for s in stars if abs(s["position"].value - row) < 2]
    assert len(found) >= least
    ratio = np.mean([s["significance"].value for s in found]) / expected_significance(flux)
    # the width is not known, and the sky comes from a running median
    assert 0.75 < ratio < 1.1


def test_slit_ends_gradients_hot_rows_and_cosmic_rays_are_no_stars():
    rows = np.arange(150)[:, None]
    image = np.where((rows > 12) & (rows < 139), 300 * (1 + 0.002 * rows), 5) * np.ones(SHAPE)
    image = noisy(image + star_image(SHAPE, 70.0, WIDTH, 500.0))
    image[100] += 300
    hit = np.random.default_rng(5)
    image[hit.integers(0, 150, 300), hit.integers(0, 800, 300)] += 5000
    stars = find_stars(image)
    assert len(stars) == 1
    assert stars["position"][0].value == pytest.approx(70, abs=0.2)


def test_bad_pixels_and_columns_are_left_out():
    image = noisy(SKY + star_image(SHAPE, 70.0, WIDTH, 200.0))
    mask = np.zeros(SHAPE, bool)
    mask[30:40, 100:700] = True
    image[30:40, 100:700] = 6e4
    image[:, 200:210] = np.nan
    stars = find_stars(image, mask=mask)
    assert len(stars) == 1
    assert stars["position"][0].value == pytest.approx(70, abs=0.2)


@pytest.mark.parametrize(("apart", "ratio"), [(1.5, 1.0), (2.0, 0.3), (3.0, 0.05)])
def test_close_stars_are_told_apart(apart, ratio):
    image = SKY + star_image(SHAPE, 60.3, WIDTH, 3000.0)
    second = 60.3 + apart * FWHM
    stars = find_stars(noisy(image + star_image(SHAPE, second, WIDTH, 3000.0 * ratio)))
    assert len(stars) == 2
    assert np.allclose(np.sort(stars["position"].value), [60.3, second], atol=1.0)


@pytest.mark.parametrize("row", [2.0, 4.0, 8.0, 146.0])
def test_stars_at_the_edge_are_found(row):
    stars = find_stars(noisy(SKY + star_image(SHAPE, row, WIDTH, 800.0)))
    assert stars["position"][0].value == pytest.approx(row, abs=0.5)


@pytest.mark.parametrize("tilt", [0, 10, 38])
def test_the_position_of_a_sloped_and_bowed_star_is_that_at_the_middle(tilt):
    x = np.linspace(-1, 1, SHAPE[1])
    trace = 75 + 0.5 * tilt * x + 3 * x**2
    image = (
        SKY + star_image(SHAPE, trace, WIDTH, 100.0) + star_image(SHAPE, trace - 40, WIDTH, 30.0)
    )
    stars = find_stars(noisy(image))
    assert len(stars) == 2
    assert np.allclose(stars["position"].value, [75, 35], atol=0.5)
    part = find_stars(noisy(image), columns=(600, 800))
    assert part["position"][0].value == pytest.approx(trace[700], abs=0.5)
    assert part.meta["column"] == 699.5


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="2 dimensions"):
        find_stars(np.zeros(10))
    with pytest.raises(ValueError, match="hold nothing"):
        find_stars(np.zeros((10, 10)), columns=(20, 30))
    with pytest.raises(ValueError, match="The mask has shape"):
        find_stars(np.zeros((10, 10)), mask=np.zeros((3, 3), bool))
    assert len(find_stars(np.full((30, 50), np.nan))) == 0


def test_real_frames_show_their_stars(real_data):
    files = sorted((real_data / "lt_sprat_2018").glob("v_e_20180810_12_*_0_0.fits.gz"))
    sprat = find_stars(np.mean([fits.getdata(file) - 915.5 for file in files], axis=0) * 2.45)
    assert np.allclose(sprat["position"].value, [128, 73], atol=1)
    # 6.5 times fainter in the README's part of the spectrum
    assert 5 < sprat["flux"][0] / sprat["flux"][1] < 8
    folder = real_data / "gtc_osiris_tres3b"
    osiris = fits.getdata(folder / "osiris_tres_3b.fits.bz2").astype(float)
    osiris -= fits.getdata(folder / "osiris_bias.fits.bz2")
    stars = find_stars(osiris)
    assert stars["position"][0].value == pytest.approx(275, abs=1)
    for row in (451, 97, 177, 257):
        assert abs(stars["position"].value - row).min() < 1.5


def test_the_unlit_rows_of_a_mask_do_not_hide_the_tilt():
    mask = np.zeros(SHAPE, bool)
    mask[:20], mask[130:] = True, True
    trace = 70 + np.linspace(-15, 15, SHAPE[1])
    stars = find_stars(noisy(SKY + star_image(SHAPE, trace, WIDTH, 400.0)), mask=mask)
    assert stars["position"][0].value == pytest.approx(70, abs=0.3)
    assert np.ptp(stars.meta["movement"]) == pytest.approx(30 * 15 / 16, abs=2)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_strongly_bowed_order_shows_its_star(sign):
    # as on FLOYDS: a slit of 90 rows that bows by 120
    n_y, n_x = 290, 2048
    t = np.linspace(-1, 1, n_x)
    middle = 145 + sign * (20 * t + 60 - 100 * t**2)
    lit = np.abs(np.arange(n_y)[:, None] - middle) < 40
    star = star_image((n_y, n_x), middle + 7, WIDTH, 400.0)
    image = noisy(10 + lit * (SKY + star))
    for mask in (None, ~lit):
        stars = find_stars(image, mask=mask, threshold=10, n_stars=1)
        assert stars["position"][0].value == pytest.approx(145 + 60 * sign + 7, abs=3)
        trace = ProfileTrace(image, guess=stars["position"][0].value, read_noise=NOISE)
        away = np.abs(np.asarray(trace.trace) - middle - 7)
        inside = (middle + 7 > 5) & (middle + 7 < n_y - 6)
        assert np.all(away[inside] < 5 * trace.trace_uncertainty[inside] + 0.02)
