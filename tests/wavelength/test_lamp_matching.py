"""Evidence: the right relation wins by far, a wrong lamp has none."""

import numpy as np
import pytest

from slitlapse.wavelength.lamp_matching import (
    ArcLines,
    LampMatch,
    match_guesses,
    relative_strength,
)
from slitlapse.wavelength.line_lists import lamp_line_list

N = 1024
TRUTH = np.array([6100.0, 1300.0, 40.0])


def observe(rng, lamp, listed=None, scatter=0.8):
    """Lines of a lamp under TRUTH, brightness scattered, a tenth missing, a tenth from nowhere."""
    lines = lamp_line_list(lamp)
    strength = relative_strength(lines["strength"], lines["ion"])
    wave = lines["wavelength"].value
    v = np.linspace(-1, 1, 20001)
    at = np.interp(wave, TRUTH[0] + TRUTH[1] * v + TRUTH[2] * v**2, v, left=np.nan, right=np.nan)
    flux = 1e5 * strength * np.exp(rng.normal(0, scatter, len(wave)))
    keep = np.isfinite(at) & (flux > 300) & (rng.random(len(wave)) > 0.1)
    pixel = (at[keep] + 1) * 0.5 * (N - 1) + rng.normal(0, 0.05, keep.sum())
    flux = flux[keep]
    apart = np.array([np.sum((np.abs(pixel - p) < 4) & (flux > f)) for p, f in zip(pixel, flux)])  # noqa: B905
    pixel, flux = pixel[apart == 0], flux[apart == 0]
    n_extra = len(pixel) // 10
    pixel = np.append(pixel, rng.uniform(0, N - 1, n_extra))
    flux = np.append(flux, rng.choice(flux, n_extra))
    if listed is not None:
        lines = lamp_line_list(listed)
        strength = relative_strength(lines["strength"], lines["ion"])
    rank = np.argsort(np.argsort(-flux))
    return ArcLines(
        pixel,
        np.full(len(pixel), 0.05),
        flux,
        np.clip(0.9 - 0.5 * rank / len(pixel), 0.3, 0.9),
        lines["wavelength"].value,
        strength,
        np.asarray(lines["ion"]),
    )


def guesses(rng, n=30):
    """The truth, a little off, among relations drawn at random."""
    wrong = np.stack(
        [rng.uniform(5000, 7500, n), rng.choice([-1, 1], n) * rng.uniform(1000, 1600, n)], axis=1
    )
    wrong = np.column_stack([wrong, rng.uniform(-80, 80, n)])
    return np.vstack([wrong, TRUTH + [8.0, 5.0, -3.0]])


@pytest.mark.parametrize("lamp", ["HeAr", "Ne", "Xe"])
def test_the_truth_wins_with_overwhelming_evidence(lamp):
    rng = np.random.default_rng(0)
    arc = observe(rng, lamp)
    match = match_guesses([arc], guesses(rng), N, prior=(500, 200), fwhm=3.0, start_sigma=6.0)
    v = np.linspace(*np.quantile(arc.pixel / (0.5 * (N - 1)) - 1, [0.05, 0.95]), 50)
    error = np.polynomial.legendre.legval(v, match.coefficients) - np.polyval(TRUTH[::-1], v)
    assert np.abs(error).max() / (2600 / N) < 0.5
    assert match.evidence > 20
    assert match.evidence - max(match.rival, 0) > 10


def test_the_wrong_lamp_has_no_evidence():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        arc = observe(rng, "Ne", listed="Kr")
        match = match_guesses([arc], guesses(rng), N, prior=(2500, 3000), fwhm=3.0, start_sigma=6.0)
        assert match.evidence < 6


def test_two_lamps_are_better_than_one():
    rng = np.random.default_rng(2)
    both = [observe(rng, "Hg"), observe(rng, "Cd")]
    kwargs = {"prior": (500, 200), "fwhm": 3.0, "start_sigma": 6.0}
    start = guesses(rng)
    evidence = [match_guesses(arcs, start, N, **kwargs).evidence for arcs in (both[:1], both)]
    assert evidence[1] > evidence[0] + 3


def test_a_wrong_brightness_of_one_ion_is_forgiven():
    evidence = []
    for factor in (1.0, 30.0):
        rng = np.random.default_rng(3)
        arc = observe(rng, "Ar")
        wrong = np.where(arc.ion == "Ar II", factor, 1.0)
        match = match_guesses(
            [arc._replace(strength=arc.strength * wrong)],
            guesses(rng),
            N,
            prior=(500, 200),
            fwhm=3.0,
            start_sigma=6.0,
        )
        evidence.append(match.evidence)
        v = np.linspace(*np.quantile(arc.pixel / (0.5 * (N - 1)) - 1, [0.05, 0.95]), 50)
        error = np.polynomial.legendre.legval(v, match.coefficients) - np.polyval(TRUTH[::-1], v)
        assert np.abs(error).max() / (2600 / N) < 0.5
    assert evidence[1] > max(6, 0.5 * evidence[0])


def test_a_relation_with_a_wrong_end_is_not_unmistakable():
    kwargs = {"coefficients": TRUTH, "listed": [], "expected": []}
    assert LampMatch(evidence=40.0, rival=10.0, weakest=0.5, **kwargs).unmistakable
    assert not LampMatch(evidence=40.0, rival=10.0, weakest=-0.1, **kwargs).unmistakable
    assert not LampMatch(evidence=40.0, rival=21.0, weakest=0.5, **kwargs).unmistakable
    assert not LampMatch(evidence=29.0, rival=-9.0, weakest=0.5, **kwargs).unmistakable
    # nothing else was compared
    assert not LampMatch(evidence=40.0, rival=-np.inf, weakest=0.5, **kwargs).unmistakable


@pytest.mark.parametrize("seed", range(4))
def test_a_wrong_end_among_the_first_guesses_is_not_the_last_word(seed):
    # the truth comes after the guesses that are compared at first
    rng = np.random.default_rng(seed)
    arc = observe(rng, "Ne")
    match = match_guesses([arc], guesses(rng), N, prior=(500, 200), fwhm=3.0, start_sigma=6.0)
    assert match.weakest > 0 and match.unmistakable
    expected = match.expected[0]
    assert expected.shape == arc.wavelength.shape
    assert abs(np.log(expected.max() / arc.flux.max())) < 3


def test_ionised_lines_are_fainter_except_in_hollow_cathodes():
    ions = np.array(["Ar I", "Ar I", "Ar II"])
    relative = relative_strength([100.0, 50.0, 10.0], ions)
    np.testing.assert_allclose(relative, [1, 0.5, 0.3], rtol=1e-5)
    hollow = relative_strength([100.0, 10.0, 7.0], np.array(["Ar I", "Ar II", "Fe I"]))
    np.testing.assert_allclose(hollow, [1, 5, 1], rtol=1e-5)


def test_nothing_to_match_is_said():
    with pytest.raises(ValueError, match="nothing to match"):
        match_guesses([], np.zeros((0, 3)), N, prior=(1, 1), fwhm=3.0, start_sigma=5.0)
