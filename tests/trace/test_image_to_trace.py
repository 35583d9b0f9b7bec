"""Positions in an image of the field lead to the traces."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from slitlapse.trace import ImageToTrace, fit_image_to_trace

STARS = QTable(
    {
        "y": [120.0, 60.5, 210.2, 33.0, 170.0] * u.pix,
        "x": [300.0, 310.0, 150.0, 420.0, 600.0] * u.pix,
    }
)


def test_there_and_back():
    there = ImageToTrace([[1.002, 0.01], [-0.02, 0.98]], [14.0, -30.0])
    row, column = there.position(STARS["x"], STARS["y"])
    x, y = there.inverse(row, column)
    assert np.allclose(x, STARS["x"].value)
    assert np.allclose(y, STARS["y"].value)


def test_unknown_pairs_are_matched_and_fitted():
    truth = ImageToTrace([[1.003, 0.004], [0.0, 1.0]], [37.5, 0.0])
    rng = np.random.default_rng(0)
    rows = truth.position(STARS["x"], STARS["y"])[0][[2, 0, 1, 4]] + rng.normal(0, 0.05, 4)
    rows = np.append(rows, 333.0)  # a trace of something that is not in the image
    found, pairs = fit_image_to_trace(STARS, rows)
    assert {tuple(pair) for pair in pairs} == {(2, 0), (0, 1), (1, 2), (4, 3)}
    expected = truth.position(STARS["x"], STARS["y"])[0][[0, 1, 2, 4]]
    assert np.allclose(found.position(STARS["x"], STARS["y"])[0][[0, 1, 2, 4]], expected, atol=0.3)
    assert found.rms < 0.15


def test_one_star_gives_a_shift():
    found, _ = fit_image_to_trace(STARS[:1], [131.0])
    assert found.position(x=0, y=50)[0] == pytest.approx(61.0)


def test_slitless_spectra_begin_and_end_at_different_places():
    found, _ = fit_image_to_trace(
        STARS, STARS["y"] + 5 * u.pix, columns=STARS["x"].value + 20, span=(-100, 250)
    )
    assert found.columns(STARS["x"][0], STARS["y"][0], 700) == (220, 571)
    assert found.columns(STARS["x"][4], STARS["y"][4], 700) == (520, 700)
    assert np.equal(*found.columns(2000, 50, 700))


def test_nothing_to_match_is_said():
    with pytest.raises(ValueError, match="0 traces"):
        fit_image_to_trace(STARS, [])
