"""The level of an overscan, line by line."""

import numpy as np

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
