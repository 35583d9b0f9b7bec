"""Do the diagnostics say what was done to the star?"""

import numpy as np
import pytest

from slitlapse.extraction import diagnostic_arrays, gaussian_profile, measure_diagnostics
from slitlapse.extraction.simulate import star_profile

ROWS = np.arange(31)[:, None]
COLUMNS = [
    "offset", "offset_uncertainty", "width", "measured_width", "measured_width_uncertainty", "peak",
    "largest_raw", "n_bad", "bad_fraction", "chi2", "sky_level", "sky_slope", "baseline",
]  # fmt: skip


@pytest.mark.parametrize("family", ["gaussian", "moffat", "asymmetric"])
def test_a_displaced_and_widened_star_is_found_out(family):
    centre, width, flux = np.full(50, 15.2), np.full(50, 2.0), np.full(50, 1e4)
    true = star_profile(family, ROWS, centre + 0.02, width * 1.01)
    used = star_profile(family, ROWS, centre, width)
    mask = np.zeros(true.shape, bool)
    mask[13, ::2] = True
    data = np.where(mask, 1e6, 1e4 * true)
    table = measure_diagnostics(
        data, ROWS, centre, width, used, flux, mask=mask, reference=centre - 1
    )
    assert table.colnames == COLUMNS
    # to first order: the error is of the order of the square of the change
    np.testing.assert_allclose(table["offset"].value, 1.02, atol=1e-3)
    np.testing.assert_allclose(table["measured_width"].value, 2.02, atol=2e-3)


def test_offset_and_width_scatter_as_quoted():
    n, rng = 4000, np.random.default_rng(8)
    centre, width = np.full(n, 15.2), np.full(n, 2.0)
    used = gaussian_profile(ROWS, centre, width)
    variance = 5e3 * used + 80
    data = 5e3 * used + rng.normal(size=used.shape) * np.sqrt(variance)
    fitted = (used * data / variance).sum(axis=0) / (used**2 / variance).sum(axis=0)
    table = measure_diagnostics(data, ROWS, centre, width, used, fitted, variance=variance)
    for name, truth in (("offset", 0.0), ("measured_width", 2.0)):
        pull = (table[name].value - truth) / table[f"{name}_uncertainty"].value
        assert abs(pull.std() - 1) < 0.03 + 4 / np.sqrt(2 * n)
        assert abs(pull.mean()) < 0.05 + 4 / np.sqrt(n)


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


def test_arrays_are_the_table_without_its_units():
    centre, width, flux = np.full(4, 15.2), np.full(4, 2.0), np.full(4, 1e4)
    used = gaussian_profile(ROWS, centre, width)
    given = (1.01e4 * used + 3, ROWS, centre, width, used, flux)
    options = {"variance": np.full(used.shape, 25.0), "sky": 5.0 + ROWS * np.ones(4)}
    arrays, table = diagnostic_arrays(*given, **options), measure_diagnostics(*given, **options)
    assert list(arrays) == table.colnames == COLUMNS
    for name, values in arrays.items():
        np.testing.assert_array_equal(getattr(table[name], "value", table[name]), values)
