"""The level of an overscan, line by line."""

import numpy as np
import pytest

from slitlapse.photons.amplifier.overscan import line_means, model_level


def test_line_means_have_the_noise_of_their_pixels():
    rng = np.random.default_rng(1)
    pixels = rng.normal(1000, 6, (500, 40)).astype(np.float32)
    means, counts, noise, n_clipped = line_means(pixels, np.ones(pixels.shape, bool), 5.0, "a")
    assert np.all(counts >= 39)
    assert abs(noise - 6) < 4 * 6 / np.sqrt(2 * 500 * 39)
    assert abs(np.std(means) - 6 / np.sqrt(40)) < 4 * 6 / np.sqrt(40) / np.sqrt(2 * 500)
    assert n_clipped < 4


def test_jumps_between_lines_are_followed_only_if_they_stand_out():
    rng = np.random.default_rng(2)
    n, sigma = 600, 0.5
    for jump, expected in ((0.0, 0.15), (2.0, 0.55)):
        truth = rng.normal(0, jump, n)
        means = truth + rng.normal(0, sigma, n)
        level, variance, _ = model_level(means, np.full(n, 40), sigma * np.sqrt(40), "auto")
        assert np.std(level - truth) < expected
        # the error claimed is the true one
        assert abs(np.std((level - truth) / np.sqrt(variance)) - 1) < 0.15 or jump == 0


def errors_and_claims(truth, n_frames, missing=slice(0, 0), seed=3, sigma=9.0, n_pixels=50):
    """Errors of the automatic level in several frames, and the standard errors it states."""
    rng, errors, claims = np.random.default_rng(seed), [], []
    counts = np.full(len(truth), n_pixels)
    counts[missing] = 0
    for _ in range(n_frames):
        means = truth + rng.normal(0, sigma / np.sqrt(n_pixels), len(truth))
        means[missing] = np.nan
        level, variance, _ = model_level(means, counts, sigma, "auto")
        errors.append(level - truth)
        claims.append(np.sqrt(variance))
    return np.array(errors), np.array(claims)


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@pytest.mark.parametrize("terms", [(1000,), (1000, 6), (1000, -6, 5)])
@pytest.mark.parametrize("n", [200, 400, 4096, 9000])
def test_a_level_as_simple_as_a_parabola_is_known_as_well_as_its_fit_however_long(n, terms):
    n_frames = 16
    errors, claims = errors_and_claims(np.polyval(terms[::-1], np.linspace(0, 1, n)), n_frames)
    parabola = 9 / np.sqrt(50) * np.sqrt(3 / n)  # three terms, n line means
    # each frame adds three squares to the mean square, whose relative error is sqrt(2 / 3 N)
    assert rms(errors) < parabola * np.sqrt(1 + 4 * np.sqrt(2 / 3 / n_frames))
    assert rms(errors) < rms(claims) * np.sqrt(1 + 4 * np.sqrt(2 / 3 / n_frames))
    assert rms(claims) < 1.5 * parabola


def test_no_phase_of_a_slow_wave_is_mistaken_for_a_straight_line():
    t, rng, worst = np.linspace(0, 1, 200), np.random.default_rng(1), 0
    for phase in np.linspace(0, 2 * np.pi, 60):
        truth = 2 * np.sin(5 * t + phase)
        means = truth + rng.normal(0, 9 / np.sqrt(50), 200)
        level, _, _ = model_level(means, np.full(200, 50), 9.0, "auto")
        worst = max(worst, rms(level - truth))
    # some 7 terms of 200 line means, each frame's rms scatters by 1 / sqrt(14)
    assert worst < 9 / np.sqrt(50) * np.sqrt(7 / 200) * (1 + 4 / np.sqrt(14))


@pytest.mark.parametrize(
    "drift",
    [
        lambda t, phase: 1.8 * np.sin(8.2 * t + phase),
        lambda t, phase: 2 * np.sin(5 * t + phase) + 0.4 * np.sin(17 * t + 3 * phase),
        lambda t, phase: 5 * np.exp(-t / 0.15) * (1 + 0.1 * np.sin(phase)),
    ],
    ids=["wave", "two waves", "settling"],
)
def test_a_smooth_drift_leaves_less_than_80_ppm_in_white_light(drift):
    t, rows, rng, n_frames = np.linspace(0, 1, 400), np.arange(400), np.random.default_rng(4), 150
    star, away = np.abs(rows - 200) <= 8, np.abs(rows - 200)
    sky = (away > 20) & (away <= 60)
    left = []
    for phase in rng.uniform(0, 2 * np.pi, n_frames):
        truth = drift(t, phase)
        means = truth + rng.normal(0, 9 / np.sqrt(50), 400)
        error = model_level(means, np.full(400, 50), 9.0, "auto")[0] - truth
        left.append((error[star] - error[sky].mean()).sum())
    by_row = 9 / np.sqrt(50) * np.sqrt(17 + 17**2 / 80)  # rows by themselves leave 126 ppm
    assert 126 * np.std(left) / by_row < 80


@pytest.mark.parametrize("n", [400, 4096, 9000])
@pytest.mark.parametrize("cycles", [1.3, 6])
def test_the_error_stated_for_a_drift_is_the_true_one_or_a_little_more(n, cycles):
    truth = 1000 + 2 * np.sin(2 * np.pi * cycles * np.linspace(0, 1, n) + 0.4)
    pulls = np.divide(*errors_and_claims(truth, 12))
    # a sine is smoother than the curves among which the stiffness is chosen: up to a fifth less
    free = 12 * 4 * cycles  # at least two terms per half cycle
    assert 0.75 < rms(pulls) < 1 + 4 / np.sqrt(2 * free)


@pytest.mark.parametrize(("n", "gap"), [(400, 1), (400, 20), (4096, 200)])
def test_lines_without_good_pixels_are_known_less_well_and_say_so(n, gap):
    missing = slice(n // 3, n // 3 + gap)
    truth = 1000 + 2 * np.sin(8 * np.linspace(0, 1, n))
    errors, claims = errors_and_claims(truth, 16, missing)
    assert rms((errors / claims)[:, missing]) < 1 + 4 / np.sqrt(2 * 16)
    assert claims[:, missing].max() < 2  # no more than the drift itself
    assert np.all(claims[:, missing].max(axis=1) > claims[:, 2 * n // 3])
