"""Do the pictures show what the extraction did?"""

import numpy as np

from slitlapse.extraction import NoiseBudget, PixelNoise, gaussian_profile, optimal_sums
from slitlapse.extraction.explain import (
    plot_extraction,
    plot_noise_shares,
    plot_profile,
    plot_weights,
)

ROWS, CENTRE, WIDTH = np.arange(25)[:, None], np.full(60, 12.2), np.full(60, 2.0)
PROFILE = gaussian_profile(ROWS, CENTRE, WIDTH)


def test_star_sky_and_their_sum_stand_above_the_noise():
    x, flux, sky = np.arange(60), np.full(60, 900.0), np.full(60, 100.0)
    axes = plot_extraction(x, flux, sky, NoiseBudget(star=flux, sky=sky))
    labels = [line.get_label() for line in axes[0].lines]
    assert labels == ["star + sky", "star", "sky"]
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), 1000)
    assert [line.get_label() for line in axes[1].lines] == ["star", "sky", "total"]


def test_rejected_and_masked_pixels_are_marked_where_they_are():
    data = 1e4 * PROFILE
    data[12, 30] += 1e4
    mask = np.zeros(data.shape, bool)
    mask[11, 7] = True
    sums = optimal_sums(data, PROFILE, PixelNoise(3.0), mask)
    axes = plot_weights(data, sums.weights[0], sums.rejected, mask)
    masked, rejected = axes[1].lines
    np.testing.assert_array_equal(masked.get_xydata(), [[7, 11]])
    np.testing.assert_array_equal(rejected.get_xydata(), [[30, 12]])
    np.testing.assert_array_equal(axes[1].images[0].get_array(), sums.weights[0])


def test_the_profile_used_lies_on_the_profile_measured():
    axes = plot_profile(1e4 * PROFILE, ROWS, CENTRE, WIDTH, PROFILE, np.full(60, 1e4))
    measured, used = axes[0].lines
    np.testing.assert_allclose(measured.get_ydata(), used.get_ydata(), rtol=1e-9)
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), 0, atol=1e-9)
    assert abs(used.get_ydata().max() - 1 / np.sqrt(2 * np.pi)) < 0.03


def test_shares_add_up_and_the_largest_is_named():
    star = np.where(np.arange(40) < 20, 900.0, 10.0)
    night = NoiseBudget(star=np.tile(star[:, None], 3), sky=np.full((40, 3), 100.0))
    axes = plot_noise_shares(np.arange(40), night)
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert labels == ["star", "sky"]
    first = axes[0].collections[0].get_paths()[0].vertices
    assert abs(first[:, 1].max() - 0.9) < 1e-9
    drawn = np.reshape(axes[1].collections[0].get_array(), (3, 40))
    np.testing.assert_array_equal(drawn, np.tile(np.where(star > 100, 0, 1), (3, 1)))


def test_one_exposure_has_shares_and_no_second_panel():
    budget = NoiseBudget(star=np.full(40, 300.0), sky=np.full(40, 100.0))
    axes = plot_noise_shares(np.arange(40), budget)
    assert len(axes) == len(axes[0].figure.axes) == 1
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert labels == ["star", "sky"]
    first = axes[0].collections[0].get_paths()[0].vertices
    assert abs(first[:, 1].max() - 0.75) < 1e-9
