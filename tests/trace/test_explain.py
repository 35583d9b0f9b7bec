"""The pictures show what was measured."""

import numpy as np
import pytest

from slitlapse.trace import (
    ProfileShift,
    ProfileTrace,
    animate_trace,
    find_stars,
    measure_profile_shift,
    plot_stars,
    plot_trace_fit,
    plot_trace_on_image,
    plot_trace_residuals,
    star_image,
)


@pytest.fixture(scope="module")
def measured():
    image = 100 + star_image((60, 640), 30 + np.linspace(-2, 2, 640), 2.0, 1e4)
    image = np.random.default_rng(0).poisson(image) * 1.0
    image[28:34, 300:305] += 3e4  # hits
    return image, ProfileTrace(image, 30, profile="gaussian", read_noise=1)


def test_bins_far_off_the_curve_are_drawn_at_its_border(measured):
    image, _ = measured
    trace = ProfileTrace(image, 30, profile="gaussian", read_noise=1)
    trace.table["center"][3] += 50 * trace.table["center_uncertainty"][3]
    trace.table["used"][3] = True
    arrow = plot_trace_residuals(trace)[0].lines[1]
    assert arrow.get_marker() == "^"
    assert np.array_equal(arrow.get_ydata(), [8])
    assert arrow.get_xdata()[0] == trace.table["x"][3].value


def test_stars_are_marked_on_the_cut(measured):
    stars = find_stars(measured[0])
    ax = plot_stars(stars)
    assert np.allclose(ax.lines[0].get_ydata(), stars.meta["cut"])
    marks = [line.get_xdata()[0] for line in ax.lines[2:]]
    assert np.allclose(marks, stars["position"].value)


def test_trace_window_and_curves_are_drawn_over_the_image(measured):
    image, trace = measured
    axes = plot_trace_on_image(image, trace)
    assert np.array_equal(axes[0].images[0].get_array(), image)
    lines = {line.get_label(): line.get_ydata() for line in axes[0].lines}
    assert np.allclose(lines["trace"], trace.trace)
    assert np.allclose(lines["window"], trace.trace + trace.reach)
    assert np.allclose(lines["half maximum"], trace.trace + trace.fwhm / 2)
    assert np.allclose(axes[1].lines[0].get_ydata(), trace.trace)
    assert np.allclose(axes[2].lines[0].get_ydata(), trace.width)
    assert axes[1].lines[-1].get_xdata().size == (~trace.table["used"]).sum()


def test_residuals_are_in_their_own_uncertainties(measured):
    axes = plot_trace_residuals(measured[1])
    drawn = axes[0].lines[0].get_ydata()
    assert drawn.size == measured[1].table["used"].sum()
    assert abs(drawn.std() - 1) < 4 / np.sqrt(2 * drawn.size)


def test_image_less_model_is_noise(measured):
    axes = plot_trace_fit(*measured)
    image, model, difference = (np.asarray(ax.images[0].get_array()) for ax in axes[:3])
    assert image.shape == model.shape == (2 * measured[1].reach + 1, 640)
    # 1 less the 3 parameters of each column among its pixels; hits are not shown as noise
    expected = np.sqrt(1 - 3 / image.shape[0])
    assert np.nanstd(difference[:, :290]) == pytest.approx(expected, rel=4 / np.sqrt(2 * 290 * 20))
    assert axes[3].get_ylabel() == "share of the star"


def test_the_movie_follows_the_star(measured, tmp_path):
    trace = measured[1]
    images = [100 + 1e4 * trace.profile_image(None, offset) for offset in (-2.0, 0.5, 3.0)]
    shifts = [measure_profile_shift(image, trace, read_noise=1) for image in images]
    movie = animate_trace(images, trace, shifts)
    ax = movie.draw(2)
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert np.allclose(lines["trace"], trace.trace + 3, atol=0.01)
    # what lies near the trace sets the scale: the star is not white as a whole
    cut, inside, _ = trace.cut_out(images[2], offset=3.0)
    near = np.percentile(cut[inside], [2, 99])
    assert ax.images[0].get_clim() == pytest.approx(near, rel=0.02)
    assert ax.get_ylim()[0] >= -0.5  # the window reaches beyond the first row, the picture not
    assert movie.save(tmp_path / "night.gif").stat().st_size > 1000


def test_the_movie_stays_where_the_star_was_while_it_is_not_seen(measured):
    image, trace = measured
    clouds = ProfileShift(np.nan, np.inf, np.nan, np.inf)
    ax = animate_trace([image, image], trace, [ProfileShift(1.0, 0.1), clouds]).draw(1)
    low, high = ax.get_ylim()
    assert low < 30 < high


def test_pictures_that_cannot_be_drawn_are_refused():
    by_hand = ProfileTrace.from_curves((60, 100), 30.0, 2.0)
    with pytest.raises(ValueError, match="built by hand"):
        plot_trace_residuals(by_hand)
    with pytest.raises(ValueError, match="1 frames came with 2 shifts"):
        animate_trace([np.zeros((60, 100))], by_hand, [ProfileShift(0, 1)] * 2, titles=["a"])
