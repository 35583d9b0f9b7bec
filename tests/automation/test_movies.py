"""Movies of a night: through time and through wavelength."""

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time
from PIL import Image

from slitlapse.automation import SpectralTimeSeries, light_curves
from slitlapse.automation import movies as made

N_WAVE, N_TIME = 90, 7


def star(name, level=1000.0, n_wave=N_WAVE, n_time=N_TIME, seed=1):
    truth = level * np.linspace(1, 2, n_wave)[:, None] * np.linspace(1, 1.1, n_time)
    time = Time(2460000.5 + np.arange(n_time) / 24, format="jd", scale="tdb")
    return SpectralTimeSeries(
        QTable({"wavelength": (4000 + 2.0 * np.arange(n_wave)) * u.AA}),
        QTable(
            {
                "time": time,
                "airmass": np.linspace(1, 2, n_time),
                "seeing": np.linspace(3, 4, n_time) * u.pix + 0.1 * seed * u.pix,
            }
        ),
        {
            "flux": np.random.default_rng(seed).poisson(truth) * u.electron,
            "uncertainty": np.sqrt(truth) * u.electron,
        },
        metadata={"star": name},
    )


@pytest.fixture
def stars():
    return [star("A"), star("B", 300.0, seed=2)]


def test_through_time_shows_the_spectra_of_all_stars_exposure_by_exposure(stars):
    movie = made.through_time(stars)
    assert len(movie.captions) == N_TIME
    assert movie.captions[2].endswith("UTC   exposure 3 of 7")
    for panel, each in zip(movie.panels, stars, strict=True):
        assert np.allclose(panel.y, each.flux.value.T)
        assert np.allclose(panel.reference, each.flux.value.mean(axis=1))
    assert [strip.ylabel for strip in movie.strips] == ["seeing (px)", "airmass"]
    assert np.allclose(movie.strips[0].cursor, np.arange(N_TIME))
    assert np.allclose(movie.strips[0].y[1], stars[1].timelike["seeing"].value)
    assert len(movie.strips[1].y) == 1  # the airmass is the same for all stars


def test_through_wavelength_shows_the_light_curves_of_all_stars_colour_by_colour(stars):
    movie = made.through_wavelength(stars, stars[0], stars[1:])
    assert [panel.ylabel for panel in movie.panels] == [
        *("star A (relative)", "star B (relative)", "star A / B (relative)")
    ]
    assert len(movie.captions) == made.N_COLOURS == len(movie.panels[0].y)
    low, high = map(float, re.findall(r"[0-9]+", movie.captions[4])[:2])
    edges = [4000 - 1 + i * 180 / made.N_COLOURS for i in (4, 5)] * u.AA
    assert [low, high] == pytest.approx(edges.value, abs=0.51)
    curve = light_curves(stars[0], stars[1:], wavelength=edges)
    assert np.allclose(movie.panels[2].y[4], curve.flux.value[0])
    assert np.allclose(movie.panels[2].error[4], curve.uncertainty.value[0])
    assert movie.strips[0].cursor[4] == pytest.approx(edges.value.mean())


def test_a_star_alone_has_no_ratio(stars):
    assert len(made.through_wavelength(stars[:1]).panels) == 1


def test_masked_samples_are_not_drawn(stars):
    stars[0].mask[:, 3] = True
    stars[0].mask[20] = True
    movie = made.through_time(stars)
    assert np.isnan(movie.panels[0].y[3]).all() and np.isnan(movie.panels[0].y[:, 20]).all()
    assert np.isnan(made.through_wavelength(stars).panels[0].y[:, 3]).all()


def test_a_long_night_makes_a_page_that_can_be_opened():
    many = [star("A", n_wave=2048, n_time=450), star("B", n_wave=2048, n_time=450)]
    time, colour = made.through_time(many), made.through_wavelength(many, many[0], many[1:])
    assert len(time.captions) <= made.MOST_FRAMES
    assert time.panels[0].y.shape[1] <= made.MOST_POINTS
    assert colour.panels[0].y.shape[1] <= made.MOST_TIMES
    assert len(time.to_svg()) + len(colour.to_svg()) < 2e6
    # what is drawn of a spectrum is its mean per pixel, however many pixels it takes together
    assert np.nanmean(time.panels[0].y[0]) == pytest.approx(
        many[0].flux.value[:, 0].mean(), rel=0.01
    )


def test_a_saved_movie_has_a_frame_for_each_exposure_and_a_panel_for_each_star(tmp_path, stars):
    movie = made.animate_spectra(stars)
    movie.save(tmp_path / "night.gif", writer="pillow", dpi=30)
    with Image.open(tmp_path / "night.gif") as file:
        assert file.n_frames == N_TIME
    axes = movie._fig.axes
    assert [ax.get_ylabel() for ax in axes] == ["star A\n(electron)", "star B\n(electron)"]
    assert np.allclose(axes[1].lines[0].get_ydata(), stars[1].flux.value[:, -1])


def test_a_saved_movie_of_light_curves_has_a_frame_for_each_colour(tmp_path, stars):
    curves = [light_curves(each, wavelength=60 * u.AA) for each in stars]
    movie = made.animate_light_curves(curves, diagnostics=["seeing", "airmass"])
    movie.save(tmp_path / "colours.gif", writer="pillow", dpi=30)
    with Image.open(tmp_path / "colours.gif") as file:
        assert file.n_frames == 3
    axes = movie._fig.axes
    assert [ax.get_ylabel() for ax in axes] == ["star A", "star B", "seeing", "airmass"]
    assert np.allclose(axes[1].lines[0].get_ydata(), curves[1].flux.value[-1])
    assert np.allclose(axes[3].lines[0].get_ydata(), stars[0].timelike["airmass"])
