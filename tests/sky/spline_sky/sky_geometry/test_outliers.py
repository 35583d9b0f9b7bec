"""Tests of what shows no sky."""

import numpy as np

from slitlapse.sky.spline_sky.sky_geometry.banded_splines import BandedSplines
from slitlapse.sky.spline_sky.sky_geometry.outliers import WavelengthCuts, column_limit

Y, X = np.mgrid[:120, :200].astype(float)
COORDINATE = X - 0.04 * Y
SKY = np.abs(Y - 60) > 10
LINE = 100 + 20000 * np.exp(-0.5 * ((COORDINATE - 90) / 1.5) ** 2)


def test_glaring_hits_are_found_and_bright_lines_are_none():
    rng = np.random.default_rng(1)
    data = rng.poisson(LINE * (1 + 0.2 * (Y - 60) / 60)) * 1.0
    splines = BandedSplines(COORDINATE, SKY, 0.75, 0)
    hits = [(5, 20), (100, 150), (30, 99), (80, 120)]
    for y, x in hits[:3]:
        data[y, x] += 60000.0
    data[hits[3]] = -5000.0
    found = WavelengthCuts(splines, COORDINATE, SKY).glaring(data, np.isfinite(data), 16.0)
    assert list(found) == sorted(y * 200 + x for y, x in hits)


def test_bad_pixels_are_not_asked():
    data = np.full(X.shape, 100.0)
    splines = BandedSplines(COORDINATE, SKY, 0.75, 0)
    good = X != 50
    data[~good] = 1e6
    assert not WavelengthCuts(splines, COORDINATE, SKY).glaring(data, good, 16.0).size


def test_the_limit_grows_only_where_a_whole_column_does_not_fit():
    rng = np.random.default_rng(2)
    pull = rng.normal(0.0, 1.0, X.shape)
    pull[:, 70:75] *= 5.0  # a line that lies elsewhere
    pull[7, 30] = 100.0
    square, beyond = pull**2 * 9.0, np.flatnonzero(SKY & (pull**2 > 25.0))
    limit = column_limit(square, np.full(X.shape, 9.0), SKY, 5.0, beyond)
    # the median of the squares of 100 Gaussian numbers is uncertain by 23 %
    np.testing.assert_allclose(limit[70:75], 25.0 * 25.0, rtol=4 * 0.23)
    assert limit[30] < 25.0 * (1 + 4 * 0.23)
    assert limit[10] == 25.0
