"""Pictures show what was measured."""

import numpy as np

from slitlapse.photons import (
    Amplifier,
    combine_frames,
    measure_read_noise,
    simulate_bias,
    to_electrons,
    to_raw,
)
from slitlapse.photons.explain import flip_biases, plot_bias_frames, plot_master, plot_pixel_scatter

ONE = (Amplifier("[1:60,1:80]", "[61:80,1:80]", gain=2.0, read_noise=4.0, name="one"),)


def test_bias_frames_show_their_median():
    rng = np.random.default_rng(1)
    biases = [simulate_bias(ONE, rng=rng) for _ in range(3)]
    axes = plot_bias_frames(biases)
    assert np.array_equal(axes[0].images[0].get_array(), biases[0].data)
    assert np.array_equal(axes[1].images[0].get_array(), np.median([b.data for b in biases], 0))


def test_bias_frames_show_the_measured_noise_over_their_own():
    rng = np.random.default_rng(1)
    biases = [simulate_bias(ONE, rng=rng) for _ in range(3)]
    noises = measure_read_noise(biases, ONE)
    axes = plot_bias_frames(biases, noises)
    bars = np.array([bar.get_height() for bar in axes[2].patches])
    curve = axes[2].lines[0].get_ydata()
    assert bars.sum() > 0.99 * 2 * 60 * 80
    # two differences of 4800 pixels share a frame; bins hold whole steps of the integers
    assert abs(bars.max() / curve.max() - 1) < 4 * np.sqrt(1.5 / curve.max())


def test_pixel_scatter_follows_the_prediction():
    rng = np.random.default_rng(1)
    light = np.tile(np.geomspace(30, 10000, 60), (80, 1))
    frames = [to_electrons(to_raw(light, ONE, rng=rng), ONE) for _ in range(8)]
    ax = plot_pixel_scatter(frames)
    predicted, scatter = ax.lines[1].get_data()
    # 240 pixels in a group, 7 degrees of freedom each
    assert np.all(np.abs(scatter / predicted - 1) < 5 / np.sqrt(2 * 7 * 240))


def test_master_is_drawn_beside_one_frame():
    rng = np.random.default_rng(1)
    frames = [to_electrons(simulate_bias(ONE, rng=rng), ONE) for _ in range(4)]
    master = combine_frames(frames)
    axes = plot_master(frames[0], master)
    assert np.allclose(axes[2].images[0].get_array(), frames[0].data - master.data)


def test_the_movie_of_biases_ends_with_their_median(tmp_path):
    rng = np.random.default_rng(1)
    biases = [simulate_bias(ONE, rng=rng) for _ in range(3)]
    book = flip_biases(biases)
    assert len(book) == 4
    assert np.array_equal(book.frame(3), np.median([b.data for b in biases], axis=0))
    assert book.save(tmp_path / "biases.gif").stat().st_size > 1000
