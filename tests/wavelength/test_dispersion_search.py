"""The search: the truth is among the first guesses, in either direction, bent or straight."""

import numpy as np
import pytest

from slitlapse.wavelength import ArcLines, WavelengthSolution, relative_strength
from slitlapse.wavelength.dispersion_search import (
    DispersionSearch,
    first_guesses,
    search_dispersion,
)
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


def test_first_guesses_go_through_pairs_and_around_an_archived_solution():
    pairs = [(100.0, 4500.0), (900.0, 6500.0)]
    search, prior, start = first_guesses([], 1001, None, None, None, pairs, None, "air")
    a0, a1, a2 = search.coefficients[0]
    np.testing.assert_allclose([a0 - 0.8 * a1, a0 + 0.8 * a1, a2], [4500, 6500, 0], atol=1e-6)
    assert prior[0] < 50 and start > 0
    archived = WavelengthSolution([5500.0, 1250.0], (0, 1000), 1001)
    guesses = first_guesses([], 1001, None, None, archived, None, None, "air")[0].coefficients
    assert np.ptp(guesses[:, 0]) == pytest.approx(2.5 * 80)  # 40 pixels to either side
    assert np.abs(guesses[:, 0] - 5500).min() < 1e-6
    with pytest.raises(ValueError, match="two lines or more"):
        first_guesses([], 1001, None, None, None, pairs[:1], None, "air")


def test_less_slack_searches_less_about_the_same_place():
    arc = ArcLines(
        (WAVE - 4000) / 3, np.ones(len(WAVE)), STRENGTH, STRENGTH, WAVE, STRENGTH, LINES["ion"]
    )
    inside = (arc.pixel > 0) & (arc.pixel < 1023)
    fields = ("pixel", "uncertainty", "flux", "chance")
    arc = arc._replace(**{name: np.asarray(getattr(arc, name))[inside] for name in fields})
    wide, narrow = (
        first_guesses([arc], 1024, (4100, 7100), None, None, None, True, "air", slack=slack)[
            0
        ].coefficients
        for slack in (1.0, 0.5)
    )
    assert len(narrow) < len(wide)
    for guesses in (wide, narrow):
        assert abs(guesses[0][1] / 511.5 - 3) < 0.03


def test_the_promising_first_and_then_the_rest_is_the_same_as_all_at_once():
    pixel = observe(np.random.default_rng(4), 6100.0, 1300.0, 50.0)
    arc = (pixel, np.ones(len(pixel)), WAVE, STRENGTH**0.5)
    options = {"dispersion": (0.8, 6.0), "n_guesses": 30}
    scout = search_dispersion([arc], 1024, n_bins=192, **options)
    first = search_dispersion([arc], 1024, near=scout.promising(), **options)
    rough = search_dispersion([arc], 1024, at_least=2.0, after=first, **options)
    assert set(rough.tried[:, 0]) - set(first.tried[:, 0])
    assert all(scale in first.tried[:, 0] for scale in rough.tried[:, 0] if scale < 2)
    rest = search_dispersion([arc], 1024, after=rough, **options)
    whole = search_dispersion([arc], 1024, **options)
    assert len(first.tried) < 0.7 * len(whole.tried)
    np.testing.assert_array_equal(np.sort(rest.tried[:, 0]), whole.tried[:, 0])
    assert rest.n_tried == whole.n_tried
    # a guess that was not among the best of a part is not among the best of all, or but the last
    np.testing.assert_array_equal(rest.coefficients[:20], whole.coefficients[:20])


def test_the_promising_are_the_best_for_a_part_of_the_work():
    tried = np.array([[1.0, 5.0], [2.0, 9.0], [4.0, 7.0], [8.0, 8.0]])
    search = DispersionSearch(np.zeros((1, 3)), np.zeros(1), 4, tried)
    np.testing.assert_array_equal(search.promising(0.25), [2.0])
    np.testing.assert_array_equal(search.promising(0.4), [2.0, 8.0, 4.0])
