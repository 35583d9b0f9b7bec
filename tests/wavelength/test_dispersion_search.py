"""The search: the truth is among the first guesses, in either direction, bent or straight."""

import numpy as np
import pytest

from slitlapse.wavelength import relative_strength
from slitlapse.wavelength.dispersion_search import search_dispersion
from slitlapse.wavelength.line_lists import lamp_line_list

LINES = lamp_line_list("HeNeAr")
WAVE = LINES["wavelength"].value
STRENGTH = relative_strength(LINES["strength"], LINES["ion"])


def observe(rng, a0, a1, a2, n=1024):
    """Pixels of the 30 strongest lines in range, a tenth missing, some from nowhere."""
    v = np.linspace(-1, 1, 20001)
    wave = a0 + a1 * v + a2 * v**2
    inside = np.flatnonzero((wave.min() < WAVE) & (wave.max() > WAVE))
    top = inside[np.argsort(-STRENGTH[inside])[:30]]
    top = top[rng.random(len(top)) > 0.1]
    order = np.argsort(wave)
    at = np.interp(WAVE[top], wave[order], v[order])
    at = np.append(at, rng.uniform(-1, 1, 3))
    return (at + 1) * 0.5 * (n - 1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bend", [0.0, 0.08])
@pytest.mark.parametrize("known", [True, False])
def test_the_truth_is_among_the_first_guesses(sign, bend, known):
    rng = np.random.default_rng(3)
    truth = np.array([6100.0, sign * 1300.0, bend * 1300.0])
    pixel = observe(rng, *truth)
    arc = (pixel, np.ones(len(pixel)), WAVE, STRENGTH**0.5)
    limits = {"dispersion": (2.2, 2.9), "centre": (5900, 6400)} if known else {}
    search = search_dispersion([arc], 1024, **limits)
    v = np.linspace(-0.9, 0.9, 9)
    design = np.stack([np.ones(9), v, v**2])
    off = np.abs(search.coefficients @ design - truth @ design).max(axis=1) / (2600 / 1024)
    assert off[:10].min() < 15  # pixels; the matching that follows needs no better
    assert (np.diff(search.score) <= 0).all()


def test_a_direction_can_be_asked_for():
    pixel = observe(np.random.default_rng(1), 6100.0, 1300.0, 0.0)
    arc = (pixel, np.ones(len(pixel)), WAVE, STRENGTH**0.5)
    search = search_dispersion([arc], 1024, centre=(5900, 6400), directions=(-1,))
    assert (search.coefficients[:, 1] < 0).all()


def test_guesses_differ():
    pixel = observe(np.random.default_rng(1), 6100.0, 1300.0, 0.0)
    arc = (pixel, np.ones(len(pixel)), WAVE, STRENGTH**0.5)
    search = search_dispersion([arc], 1024, centre=(5900, 6400), n_guesses=20)
    design = np.stack([np.ones(3), [-0.8, 0, 0.8], [0.64, 0, 0.64]])
    places = search.coefficients @ design
    assert len(places) <= 20
    apart = np.abs(places[:, None] - places).max(axis=2)
    assert apart[~np.eye(len(places), dtype=bool)].min() > 5
