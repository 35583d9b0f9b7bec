"""Do the diagnostics say what was done to the star?"""

import numpy as np

from slitlapse.extraction import gaussian_profile, measure_diagnostics

ROWS = np.arange(31)[:, None]
COLUMNS = [
    "offset", "width", "measured_width", "peak", "largest_raw", "n_bad", "bad_fraction", "chi2",
    "sky_level", "sky_slope", "baseline",
]  # fmt: skip


def test_a_displaced_and_widened_star_is_found_out():
    centre, width, flux = np.full(50, 15.2), np.full(50, 2.0), np.full(50, 1e4)
    true = gaussian_profile(ROWS, centre + 0.05, width + 0.04)
    used = gaussian_profile(ROWS, centre, width)
    table = measure_diagnostics(1e4 * true, ROWS, centre, width, used, flux, reference=centre - 1)
    assert table.colnames == COLUMNS
    np.testing.assert_allclose(table["offset"].value, 1.05, atol=0.005)
    np.testing.assert_allclose(table["measured_width"].value, 2.04, atol=0.005)


def test_the_sky_and_the_base_line_are_told_apart():
    centre, width, flux = np.full(40, 15.2), np.full(40, 2.0), np.full(40, 1e4)
    used = gaussian_profile(ROWS, centre, width)
    sky = 50 + 2 * (ROWS - centre) * np.ones(40)
    table = measure_diagnostics(1e4 * used + 3, ROWS, centre, width, used, flux, sky=sky)
    np.testing.assert_allclose(table["sky_level"].value, 50)
    np.testing.assert_allclose(table["sky_slope"].value, 2)
    np.testing.assert_allclose(table["baseline"].value, 3)


def test_bad_pixels_and_the_largest_raw_count_are_recorded():
    centre, width, flux = np.full(4, 15.2), np.full(4, 2.0), np.full(4, 1e4)
    used = gaussian_profile(ROWS, centre, width)
    mask = np.zeros((31, 4), bool)
    mask[15, 1] = mask[2, 2] = True
    raw = 1e4 * used / 2 + 300
    table = measure_diagnostics(1e4 * used, ROWS, centre, width, used, flux, mask=mask, raw=raw)
    np.testing.assert_array_equal(table["n_bad"], [0, 1, 0, 0])
    assert table["bad_fraction"][1] > 0.15
    np.testing.assert_allclose(table["largest_raw"].value, raw.max(axis=0))


def test_chi2_is_one_for_the_right_model():
    rng = np.random.default_rng(1)
    n = 2000
    centre, width = np.full(n, 15.2), np.full(n, 2.0)
    used = gaussian_profile(ROWS, centre, width)
    variance = 1e4 * used + 30
    data = 1e4 * used + rng.normal(size=used.shape) * np.sqrt(variance)
    fitted = (used * data / variance).sum(axis=0) / (used**2 / variance).sum(axis=0)
    table = measure_diagnostics(data, ROWS, centre, width, used, fitted, variance=variance)
    assert abs(table["chi2"].mean() - 1) < 4 * np.sqrt(2 / (n * 11)) + 0.01
