"""What is drawn of a night."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries, explain, light_curves
from slitlapse.automation.scatter import measure_scatter
from slitlapse.sky import SkyWindows

N_WAVE, N_TIME = 40, 9


def star(name, level=1000.0, seed=1, **timelike):
    truth = level * np.linspace(1, 2, N_WAVE)[:, None] * np.ones(N_TIME)
    time = Time(2460000.5 + np.arange(N_TIME) / 24, format="jd", scale="tdb")
    return SpectralTimeSeries(
        QTable({"wavelength": (4000 + 2.0 * np.arange(N_WAVE)) * u.AA}),
        QTable({"time": time, **timelike}),
        {
            "flux": np.random.default_rng(seed).poisson(truth) * u.electron,
            "uncertainty": np.sqrt(truth + 25) * u.electron,
            "variance_star": truth * u.electron**2,
            "variance_read": np.full(truth.shape, 25.0) * u.electron**2,
            "variance_dark": np.zeros(truth.shape) * u.electron**2,
        },
        metadata={"star": name, "medium": "air"},
    )


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_mean_spectrum_leaves_masked_samples_out():
    series = star("A")
    series.flux[3, 4] = 1e9 * u.electron
    series.mask[3, 4] = True
    ax = explain.plot_mean_spectrum(series)
    drawn = ax.lines[0].get_ydata()
    expected = np.delete(series.flux.value[3], 4).mean()
    assert drawn[3] == pytest.approx(expected)
    assert ax.get_xlabel() == "wavelength (air, Angstrom)"
    assert labels(ax) == ["star A: mean of 9"]


def test_the_picture_of_a_series_is_flux_over_its_median_in_time():
    series = star("A")
    mesh = explain.show_series(series).collections[0]
    flux = series.flux.value
    assert np.allclose(mesh.get_array(), flux / np.median(flux, axis=1)[:, None])


def test_the_noise_is_drawn_whole_and_in_its_parts_that_are_there():
    ax = explain.plot_noise(star("A"))
    assert labels(ax) == ["total", "star", "read noise"]  # no dark current: none is drawn
    total, light, read = (line.get_ydata() for line in ax.lines)
    assert np.allclose(total**2, light**2 + read**2)
    assert np.allclose(read, 5)


def test_light_curves_stand_below_each_other_with_their_errors():
    curves = light_curves(star("A"), [star("B", seed=2)], wavelength=30 * u.AA)
    ax = explain.plot_light_curves(curves)
    assert len(ax.containers) == curves.shape[0] == 2
    for row, container in enumerate(ax.containers):
        drawn = container.lines[0].get_ydata()
        assert np.allclose(np.diff(drawn), np.diff(curves.flux[row].value))
        assert np.allclose(container.lines[0].get_xdata(), np.arange(N_TIME))
    assert ax.get_title() == "star A / B"


def test_diagnostics_have_a_panel_each_and_every_star_in_it():
    strips = {
        "seeing": np.linspace(4, 5, N_TIME) * u.pix,
        "spatial_shift": np.arange(N_TIME) * u.pix,
        "spatial_shift_uncertainty": np.full(N_TIME, 0.1) * u.pix,
        "airmass": np.linspace(1, 2, N_TIME),
    }
    axes = explain.plot_diagnostics([star("A", **strips), star("B", **strips)])
    assert [ax.get_ylabel() for ax in axes] == [
        *("shift along\nthe slit (px)", "seeing,\nFWHM (px)", "airmass")
    ]
    assert labels(axes[0]) == ["star A", "star B"]
    assert np.allclose(axes[1].containers[0].lines[0].get_ydata(), strips["seeing"].value)


def test_a_level_can_be_read_off_its_axis_as_it_stands():
    level = 1000 + 0.01 * np.arange(N_TIME)
    (ax,) = explain.plot_diagnostics([star("A", bias_level=level * u.adu)])
    ax.figure.canvas.draw()
    assert ax.yaxis.get_offset_text().get_text() == ""
    assert float(ax.get_yticklabels()[0].get_text()) > 999


def test_the_scatter_of_every_bin_stands_beside_what_was_expected():
    table = measure_scatter(light_curves(star("A"), [star("B", seed=2)], wavelength=20 * u.AA))
    ax = explain.plot_scatter(table)
    assert np.allclose(ax.lines[0].get_ydata(), 1e6 * table["expected"])
    assert np.allclose(ax.containers[0].lines[0].get_ydata(), 1e6 * table["scatter"])
    assert labels(ax) == ["expected", "measured"]
    assert ax.get_ylim()[0] == 0


def test_scatter_against_bin_size_has_error_bars_and_the_white_noise_line():
    table = QTable(
        {
            "size": [1, 2, 4],
            "scatter": np.array([[1e-3], [8e-4], [7e-4]]),
            "scatter_uncertainty": np.array([[1e-4], [1e-4], [2e-4]]),
            "expected": 1e-3 / np.sqrt([[1], [2], [4]]),
        }
    )
    ax = explain.plot_scatter_by_bin_size(table, labels=["white light"])
    (points,) = ax.containers
    assert np.allclose(points.lines[0].get_ydata(), [1000, 800, 700])
    bars = points.lines[2][0].get_segments()
    assert np.allclose([bar[1, 1] - bar[0, 1] for bar in bars], [200, 200, 400])
    white = next(line for line in ax.lines if line.get_label() == "white noise white light")
    assert np.allclose(white.get_ydata() * np.sqrt([1, 2, 4]), 1000)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    ax.figure.canvas.draw()
    shown = [text for text in ax.get_yticklabels(which="both") if text.get_text()]
    assert len(shown) >= 2  # less than a decade has numbers too
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "4"]


def test_the_cut_across_the_slit_shows_stars_and_sky_windows():
    image = CCDData(np.full((50, 30), 10.0), unit="electron", mask=np.zeros((50, 30), bool))
    image.data[20] = 500
    trace = SimpleNamespace(trace=np.full(30, 20.0))
    ax = explain.plot_sky(image, {"<A>": trace}, [SkyWindows([[-15, -8], [8, 15]])])
    (cut,) = [line for line in ax.lines if len(line.get_ydata()) == 50]
    assert np.array_equal(np.flatnonzero(cut.get_ydata() == 500), [20])
    assert [text.get_text() for text in ax.texts] == ["<A>"]
    assert labels(ax) == ["looked at for sky"]
    shaded = np.concatenate([path.vertices[:, 0] for path in ax.collections[0].get_paths()])
    assert shaded.min() == pytest.approx(5, abs=0.5) and shaded.max() == pytest.approx(35, abs=0.5)
