"""Stars of an undispersed image are found where they are."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.trace import find_stars_in_image

Y, X = np.mgrid[:200, :260]
STARS = [(60.2, 50.7, 9000.0), (180.9, 120.3, 3000.0), (225.0, 30.5, 1500.0)]


def field(seed=0, sigma=1.8):
    image = 150 + 0.3 * X
    for x, y, flux in STARS:
        r2 = (X - x) ** 2 + (Y - y) ** 2
        image = image + flux / (2 * np.pi * sigma**2) * np.exp(-0.5 * r2 / sigma**2)
    return np.random.default_rng(seed).poisson(image) * 1.0


def test_all_stars_brightest_first():
    found = find_stars_in_image(CCDData(field(), unit=u.electron))
    assert len(found) == 3
    for row, (x, y, flux) in zip(found, STARS, strict=True):
        # centroid error of a star on a sky of 200 electrons per pixel: sigma / (S/N)
        limit = 4 * 1.8 * np.sqrt(flux + 4 * np.pi * 1.8**2 * 200) / flux + 0.02
        assert abs(row["x"].value - x) < limit
        assert abs(row["y"].value - y) < limit
    assert found["fwhm"][0].value == pytest.approx(1.8 * 2.3548, rel=0.1)
    # a circle of 1.5 FWHM holds 1 - exp(-(1.5 * 2.3548)^2 / 2) of a Gaussian
    assert found["flux"][0].value == pytest.approx(9000 * 0.998, rel=0.05)


def test_masked_stars_and_empty_fields_give_none():
    mask = np.ones(X.shape, bool)
    mask[100:, :150] = False
    assert len(find_stars_in_image(field(), mask=mask)) == 0
    assert len(find_stars_in_image(np.random.default_rng(0).normal(50, 5, (150, 150)))) == 0


def test_a_slit_shows_only_what_it_lets_through():
    image = field() * (abs(X - 60) < 8)
    found = find_stars_in_image(image, mask=abs(X - 60) >= 8, n_stars=1)
    assert found["y"][0].value == pytest.approx(50.7, abs=0.2)
    itself = find_stars_in_image(image)  # the dark around it is noticed
    assert len(itself) == 1
    assert itself["x"][0].value == pytest.approx(60.2, abs=0.2)
    assert itself["y"][0].value == pytest.approx(50.7, abs=0.2)
