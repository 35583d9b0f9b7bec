"""Positions in an image of the field lead to the traces."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from slitlapse.trace import (
    ImageToTrace,
    ProfileTrace,
    find_stars,
    find_stars_in_image,
    fit_image_to_trace,
    star_image,
)

STARS = QTable(
    {
        "y": [120.0, 60.5, 210.2, 33.0, 170.0] * u.pix,
        "x": [300.0, 310.0, 150.0, 420.0, 600.0] * u.pix,
    }
)


def pixel_share(x, width, n_x):
    """Share of a star that falls in each column of an image."""
    return star_image((n_x, 1), x, width)[:, 0]


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


@pytest.mark.parametrize("kind", ["slit", "mask", "slitless"])
def test_an_image_of_the_field_leads_to_measured_traces(kind):
    rng, shape, n_x = np.random.default_rng(4), (240, 300), 700
    y = np.array([40.3, 95.8, 150.1, 204.6])
    x = {"slit": [150.0] * 4}.get(kind, [150.4, 80.2, 220.7, 120.9]) + np.zeros(4)
    light = np.array([4e4, 2.5e4, 1.5e4, 1e4])
    field = np.full(shape, 200.0)
    for star in zip(y, x, light, strict=True):
        field += star_image(shape, star[0], 1.8, star[2] * pixel_share(star[1], 1.8, shape[1]))
    if kind == "slit":  # the image shows the slit and what it lets through
        field[:, :142] = field[:, 159:] = 5.0
    elif kind == "mask":
        rows, columns = np.mgrid[: shape[0], : shape[1], :1][:2]
        field[np.all(np.hypot(rows - y, columns - x) > 12, axis=-1)] = 5.0
    stars = find_stars_in_image(rng.poisson(field) * 1.0, n_stars=4)
    assert len(stars) == 4

    row = 3.2 + 1.01 * y + 0.004 * x  # where the instrument puts them
    reference = x + 200 if kind != "slit" else np.full(4, 350.0)
    span = None if kind == "slit" else (-180, 260)
    column = np.arange(n_x)
    bend = 2e-6 * (column - 350) ** 2  # of every trace
    frame = np.full((260, n_x), 120.0)
    for k in range(4):
        begin, stop = (0, n_x) if span is None else reference[k] + span
        spectrum = 0.1 * light[k] * ((column >= begin) & (column <= stop))
        frame += star_image(frame.shape, row[k] + bend, 2.0, spectrum)
    frame = rng.poisson(frame) * 1.0

    # three bright ones tell how the two belong together; the faintest is foretold
    found, pairs = fit_image_to_trace(
        stars[:3],
        find_stars(frame)["position"][:3],
        columns=None if span is None else reference[:3],
        span=span,
    )
    assert len(pairs) == 3
    guess, _ = found.position(stars["x"][3], stars["y"][3])
    assert abs(guess - row[3]) < 0.3
    first, stop = found.columns(stars["x"][3], stars["y"][3], n_x)
    if span is not None:
        assert abs(first - (reference[3] + span[0])) < 2
        assert abs(stop - (reference[3] + span[1])) < 2
    trace = ProfileTrace(frame[:, first:stop], float(guess), profile="gaussian", read_noise=0)
    assert abs(trace.trace - (row[3] + bend)[first:stop]).max() < 0.1
