"""Figures: every panel shows what it says."""

import numpy as np
import pytest

from slitlapse.wavelength import LineTilt, WavelengthSolution, lamp_line_list, match_lamps
from slitlapse.wavelength.explain import (
    plot_arc_comparison,
    plot_arc_image_comparison,
    plot_dispersion,
    plot_shifts,
    plot_wavelength_residuals,
    plot_wavelength_story,
)
from slitlapse.wavelength.simulate import arc_image, arc_spectrum
from slitlapse.wavelength.spectral_shift import ShiftSeries

TRUTH = WavelengthSolution([5500.0, 1000.0, 15.0], (0, 999), 1000)


@pytest.fixture(scope="module")
def solved():
    lines = lamp_line_list("HeAr", wavelength_range=(4500, 6510))
    rng = np.random.default_rng(2)
    arc = arc_spectrum(TRUTH, lines, fwhm=3, counts=3e6, background=20, read_noise=3, rng=rng)
    return arc, match_lamps([("HeAr", arc)], wavelength_range=(4400, 6600))


def test_observed_and_simulated_arc_share_their_brightest_line(solved):
    arc, solution = solved
    axes = plot_arc_comparison(arc, solution, n_names=8)
    observed, model = axes[0].lines[0], axes[1].lines[0]
    np.testing.assert_array_equal(observed.get_ydata(), arc)
    used = solution.lines[solution.lines["used"]]
    near = np.round(used["pixel"].value).astype(int)
    brightest = near[arc[near].argmax()]
    assert abs(int(model.get_ydata().argmax()) - brightest) <= 1
    assert len(axes[1].texts) == 8
    assert any(name in axes[1].texts[0].get_text() for name in ("He I", "Ar I", "Ar II"))
    places = np.sort([text.xy[0] for text in axes[1].texts])
    assert np.diff(places).min() > 0.015 * np.ptp(solution.wavelength.value)


def test_residuals_are_drawn_by_lamp_with_error_bars_and_the_unused(solved):
    _, solution = solved
    ax = plot_wavelength_residuals(solution)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    of_lamps = list(solution.lines["lamp"][solution.lines["used"]])
    lamps = set(of_lamps)
    assert {f"{lamp}: {of_lamps.count(lamp)}" for lamp in lamps} <= set(labels)
    assert "not used" in labels
    assert len({bars.lines[0].get_marker() for bars in ax.containers}) == len(lamps)
    assert len(ax.containers) == len(lamps)
    drawn = sum(len(bars.lines[0].get_xdata()) for bars in ax.containers)
    assert drawn == solution.n_used
    assert str(solution.n_used) in ax.get_title()


def test_the_bend_is_the_solution_minus_a_line(solved):
    _, solution = solved
    ax = plot_dispersion(solution)
    drawn = ax.lines[0].get_ydata()
    assert abs(np.polyfit(np.arange(1000), drawn, 1)[0]) < 1e-6
    assert np.ptp(drawn) > 10


def test_shifts_of_all_things_are_drawn():
    series = {
        name: ShiftSeries(np.arange(5.0), np.ones(5), np.zeros(5), np.zeros(5), np.ones(5), None)
        for name in ("star A", "star B", "sky")
    }
    ax = plot_shifts(series, time=np.arange(5) * 2)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["star A", "star B", "sky"]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(5) * 2)


def test_one_series_of_shifts_is_drawn_without_a_name():
    series = ShiftSeries(np.arange(5.0), np.ones(5), np.zeros(5), np.zeros(5), np.ones(5), None)
    ax = plot_shifts(series)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.arange(5))
    assert ax.get_legend() is None


def test_images_are_compared_on_one_scale():
    tilt = LineTilt([[6.0]], (30, 1000), 15.0)
    lines = lamp_line_list("HeAr", wavelength_range=(4500, 6510))
    image = arc_image(TRUTH, lines, tilt)
    noisy = arc_image(TRUTH, lines, tilt, rng=np.random.default_rng(1), read_noise=3.0)
    axes = plot_arc_image_comparison(noisy, image)
    shown = [ax.images[0] for ax in axes]
    assert shown[0].get_clim() == shown[1].get_clim()
    np.testing.assert_allclose(shown[2].get_array(), noisy - image)


def test_the_story_has_four_panels(solved):
    axes = plot_wavelength_story(*solved)
    assert len(axes) == 4
    assert all(len(ax.lines) for ax in axes)
