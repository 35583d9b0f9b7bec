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


@pytest.mark.parametrize("slope", [0.0, 6.0])
@pytest.mark.parametrize("n", [400, 4096, 9000])
def test_a_straight_level_is_known_as_well_as_a_straight_line_fit_however_long(n, slope):
    n_frames = 16
    errors, claims = errors_and_claims(1000 + slope * np.linspace(0, 1, n), n_frames)
    line = 9 / np.sqrt(50) * np.sqrt(2 / n)  # two terms, n line means
    # each frame adds two squares to the mean square, whose own relative error is 1 / sqrt(N)
    assert rms(errors) < line * np.sqrt(1 + 4 / np.sqrt(n_frames))
    assert rms(errors) < rms(claims) * np.sqrt(1 + 4 / np.sqrt(n_frames))
    assert rms(claims) < 1.5 * line


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
