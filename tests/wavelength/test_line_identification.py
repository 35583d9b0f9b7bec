"""Identification: right names, reasons for what is not used, and a curve as stiff as needed."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from numpy.polynomial import legendre

from slitlapse.wavelength.line_identification import identify_lines

N = 2048
TRUTH = np.array([6000.0, 1500.0, 30.0, -8.0])


def scene(rng, n=60, sigma=0.03, truth=TRUTH, spread=0.0):
    """A lamp of n listed lines, all seen."""
    pixel = np.sort(rng.uniform(20, N - 20, n))
    pixel = pixel[np.append(True, np.diff(pixel) > 12)]
    half = 0.5 * (N - 1)
    wave = legendre.legval(pixel / half - 1, truth)
    flux = rng.lognormal(9, 1, len(pixel))
    flags = {
        name: np.zeros(len(pixel), bool) for name in ("blended", "saturated", "edge", "narrow")
    }
    lines = QTable(
        {
            "pixel": (pixel + rng.normal(0, sigma, len(pixel))) * u.pix,
            "pixel_uncertainty": np.full(len(pixel), sigma) * u.pix,
            "flux": flux * rng.lognormal(0, 0.5, len(pixel)) * u.adu,
            **flags,
        }
    )
    ions = np.array(["Ne I"] * len(pixel))
    return lines, wave, np.full(len(pixel), spread), flux, ions


def off(found, truth=TRUTH):
    v = np.linspace(-0.95, 0.95, 100)
    error = legendre.legval(v, found.coefficients) - legendre.legval(v, truth)
    return error / (1500 / (0.5 * (N - 1)))  # pixels


def reported(found):
    """Uncertainty of the curve where ``off`` looks, pixels."""
    design = legendre.legvander(np.linspace(-0.95, 0.95, 100), len(found.coefficients) - 1)
    variance = np.einsum("ij,jk,ik->i", design, found.covariance, design)
    return np.sqrt(variance) / (1500 / (0.5 * (N - 1)))


def test_all_lines_are_named_and_the_curve_is_as_good_as_they_allow():
    errors, pulls = [], []
    for seed in range(20):
        arc = scene(np.random.default_rng(seed))
        found = identify_lines([arc], TRUTH + [0.8, 0.3, -0.2, 0.1], N, fwhm=3.0)
        assert found.lines["used"].sum() >= len(arc[0]) - 1
        np.testing.assert_allclose(found.lines["wavelength"].value, arc[1])
        assert len(found.coefficients) - 1 >= 3
        errors.append(off(found))
        pulls.append(errors[-1] / reported(found))
    # 0.03 pixel per line, 35 lines or more, 7 coefficients at the most: a part of 0.03 pixel
    assert np.sqrt(np.mean(np.square(errors))) < 0.03 * np.sqrt(7 / 35)
    assert 0.8 < np.sqrt(np.mean(np.square(pulls))) < 1.25  # 20 curves of 4 numbers: 8 % each way


def test_outliers_and_strangers_are_not_used_and_say_why():
    rng = np.random.default_rng(4)
    lines, wave, spread, flux, ions = scene(rng)
    wave = wave.copy()
    wave[10] += 0.6  # 0.4 pixel: within reach, yet wrong
    lines["pixel"][20] += 6 * u.pix
    lines["narrow"][30] = True
    lines["flux"][40] *= 1e6
    found = identify_lines([(lines, wave, spread, flux, ions)], TRUTH, N, fwhm=3.0)
    table = found.lines
    table.sort("pixel")
    assert "outlier" in table["reason"][10]
    assert table["reason"][20] == "no listed line near"
    assert table["reason"][30] == "too narrow for a line"
    assert table["reason"][40] == "brightness does not fit"
    assert not table["used"][[10, 20, 30, 40]].any()
    assert table["used"].sum() == len(table) - 4
    assert (table["reason"][table["used"]] == "").all()
    # the largest pull along a curve of 5 coefficients is the root of a chi-squared: 4.5 is 0.1 %
    assert np.abs(off(found) / reported(found)).max() < 4.5


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_the_criterion_finds_the_degree(degree):
    truth = np.array([6000.0, 1500.0, 30.0, -8.0, 5.0])[: degree + 1]
    taken = []
    for seed in range(10):
        arc = scene(np.random.default_rng(seed), n=80, truth=truth)
        found = identify_lines([arc], truth, N, fwhm=3.0)
        taken.append(len(found.coefficients) - 1)
    assert min(taken) >= min(degree, 2) if degree > 1 else min(taken) <= 2
    assert np.median(taken) <= max(degree, 2) + 0.5


def test_a_degree_can_be_asked_for():
    arc = scene(np.random.default_rng(1))
    found = identify_lines([arc], TRUTH, N, fwhm=3.0, degree=5)
    assert len(found.coefficients) == 6


def test_listed_blends_count_less():
    arc = scene(np.random.default_rng(2))
    blended = (arc[0], arc[1], np.where(np.arange(len(arc[1])) % 2, 0.6, 0.0), *arc[3:])
    found = identify_lines([blended], TRUTH, N, fwhm=3.0)
    sigma = found.lines["uncertainty"].value
    assert np.median(sigma[1::2]) > 3 * np.median(sigma[::2])


def test_an_empty_list_names_nothing_but_keeps_the_lines():
    arc = scene(np.random.default_rng(3))
    empty = (arc[0], np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, "U4"))
    found = identify_lines([empty], TRUTH, N, fwhm=3.0)
    assert len(found.lines) == len(arc[0])
    assert not found.lines["used"].any()
