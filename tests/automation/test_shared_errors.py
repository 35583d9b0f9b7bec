"""Is what all exposures have wrong together told apart from what changes?"""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from slitlapse.automation.shared_errors import FWHM, shared_flat_error

WIDTH = 2.0  # pixels
ALONG = np.linspace(-1, 1, 24)
MOVES = {
    "stands still": 0 * ALONG,
    "drifts": 3 * ALONG,
    "moves by its width": 0.5 * WIDTH * np.sign(ALONG),
    "nods": np.where(np.arange(24) % 2, 30.0, 0.0),
}


def star(place, **others):
    columns = {"slit_position": (60 + place) * u.pix, "seeing": np.full(24, FWHM * WIDTH) * u.pix}
    return SimpleNamespace(timelike=QTable(columns | others))


def light_of_flat_errors(place, rng, n_wave=3000):
    """What pixels with wrong sensitivities do to the light of a star, shape (n_wave, n_time)."""
    rows = np.arange(-30, 70)
    profile = np.exp(-0.5 * ((rows - place[:, None]) / WIDTH) ** 2) / WIDTH / np.sqrt(2 * np.pi)
    return rng.normal(0, 0.01, (n_wave, rows.size)) @ profile.T, 0.01**2 * (profile**2).sum(axis=1)


@pytest.mark.parametrize("move", MOVES)
def test_what_is_left_in_a_light_curve_is_what_was_told(move):
    place = MOVES[move]
    error, variance = light_of_flat_errors(place, np.random.default_rng(1))
    left = ((error - error.mean(axis=1, keepdims=True)) ** 2).mean(axis=0)
    expected = variance * (1 - shared_flat_error(star(place)))
    # 3000 wavelengths: a variance to 2.6 per cent of itself, or of what rounding leaves
    assert np.allclose(left, expected, rtol=5 * np.sqrt(2 / 3000), atol=1e-3 * variance.max())


def test_a_star_that_stands_still_shares_all_and_one_that_nods_half():
    assert np.allclose(shared_flat_error(star(MOVES["stands still"])), 1)
    assert np.allclose(shared_flat_error(star(MOVES["nods"])), 0.5)


def test_an_exposure_elsewhere_shares_nothing():
    shared = shared_flat_error(star(np.where(np.arange(24) == 5, 20.0, 0.0)))
    assert shared[5] == 0
    assert np.all(np.delete(shared, 5) > 0.99)


def test_an_exposure_that_is_lost_tells_nothing():
    place = 1.0 * ALONG
    place[3] = np.nan
    shared = shared_flat_error(star(place))
    assert shared[3] == 0
    whole = shared_flat_error(star(1.0 * ALONG))
    assert np.allclose(np.delete(shared, 3), np.delete(whole, 3), atol=0.02)


def test_where_nobody_knows_the_places_nothing_is_shared():
    assert np.all(shared_flat_error(SimpleNamespace(timelike=QTable({"x": np.ones(4)}))) == 0)
    assert np.all(shared_flat_error(star(np.full(24, np.nan))) == 0)
