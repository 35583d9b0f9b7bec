"""The pictures show what was measured."""

import numpy as np

from slitlapse.trace import (
    ProfileTrace,
    plot_trace_on_image,
    plot_trace_residuals,
    star_image,
)


def measured():
    image = 100 + star_image((60, 320), 30 + np.linspace(-2, 2, 320), 2.0, 1e4)
    image = np.random.default_rng(0).poisson(image) * 1.0
    return image, ProfileTrace(image, 30, profile="gaussian", read_noise=1)


def test_trace_and_curves_are_drawn_over_the_image():
    image, trace = measured()
    axes = plot_trace_on_image(image, trace)
    assert np.allclose(axes[0].lines[0].get_ydata(), trace.trace)
    assert np.allclose(axes[1].lines[0].get_ydata(), trace.trace)
    assert np.allclose(axes[2].lines[0].get_ydata(), trace.width)


def test_residuals_are_in_their_own_uncertainties():
    _, trace = measured()
    axes = plot_trace_residuals(trace)
    drawn = axes[0].lines[0].get_ydata()
    assert drawn.size == trace.table["used"].sum()
    assert abs(drawn.std() - 1) < 4 / np.sqrt(2 * drawn.size)
