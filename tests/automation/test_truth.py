from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import NightError, SpectralTimeSeries
from slitlapse.automation.truth import electrons_in_pixels, truth_from_rainbow


def series(wave, flux, mask=None):
    n_time = flux.shape[1]
    return SpectralTimeSeries(
        QTable({"wavelength": wave}),
        QTable({"time": Time("2025-01-01") + np.arange(n_time) * u.min}),
        {"flux": flux, "uncertainty": 0 * flux}, mask, {"star": "A"},
    )  # fmt: skip


WAVE = np.linspace(5000, 6000, 1001) * u.AA
EDGES = np.linspace(5200.0, 5800.3, 97) * u.AA


def test_no_electron_is_lost_between_bins_and_pixels():
    rng = np.random.default_rng(1)
    flux = rng.uniform(10, 50, (1001, 2)) * u.electron
    found = electrons_in_pixels(series(WAVE, flux), EDGES, 1, level=1.0)
    # bins of 1 A about whole numbers: 5199.5 to 5200.5 is cut in two, 5800.3 at 80 %
    inside = flux[200, 1] / 2 + flux[201:800, 1].sum() + 0.8 * flux[800, 1]
    assert found.sum() == pytest.approx(inside.value, rel=1e-12)


def test_falling_wavelengths_and_other_units_of_length_make_no_difference():
    flux = np.linspace(1, 3, 1001)[:, None] * u.electron
    rising = electrons_in_pixels(series(WAVE, flux), EDGES, 0, level=1.0)
    falling = series(WAVE[::-1].to(u.nm), flux[::-1])
    found = electrons_in_pixels(falling, EDGES[::-1], 0, level=1.0)
    assert np.allclose(found[::-1], rising, rtol=1e-10)


@pytest.mark.parametrize("unit", [u.one, u.W / u.m**2 / u.nm])
def test_a_relative_truth_is_scaled_to_the_stars_level(unit):
    flux = np.outer(np.ones(1001), [1.0, 0.98, 1.02]) * unit
    found = [electrons_in_pixels(series(WAVE, flux), EDGES, i, level=500.0) for i in range(3)]
    assert np.allclose(found, [[500.0], [490.0], [510.0]])


def test_a_truth_of_one_time_holds_for_all():
    truth = series(WAVE, np.ones((1001, 1)) * u.electron)
    assert np.array_equal(
        electrons_in_pixels(truth, EDGES, 0, level=1), electrons_in_pixels(truth, EDGES, 9, level=1)
    )


def test_what_the_truth_does_not_know_is_refused():
    flux = np.ones((1001, 2)) * u.electron
    with pytest.raises(NightError, match="star A reaches from 5000 to 6000 angstrom, but"):
        electrons_in_pixels(series(WAVE, flux), [4000, 5000] * u.AA, 0, level=1)
    with pytest.raises(NightError, match="has 2 times, but the night has more exposures"):
        electrons_in_pixels(series(WAVE, flux), EDGES, 2, level=1)
    with pytest.raises(NightError, match="masked or infinite samples"):
        mask = np.zeros(flux.shape, bool)
        mask[3, 1] = True
        electrons_in_pixels(series(WAVE, flux, mask), EDGES, 0, level=1)


def test_the_model_beneath_a_noisy_rainbow_is_the_truth():
    model = np.outer([1.0, 2.0, 3.0], [1.0, 0.99])
    rainbow = SimpleNamespace(
        wavelike={"wavelength": [0.5, 0.6, 0.7] * u.um},
        timelike={"time": [-0.1, 0.1] * u.day},
        fluxlike={"flux": model + 0.1, "model": model},
    )
    truth = truth_from_rainbow(rainbow, name="planet")
    assert truth.name == "planet"
    assert np.array_equal(truth.flux.value, model)
    assert (truth.time[1] - truth.time[0]).to_value(u.day) == pytest.approx(0.2)
    del rainbow.fluxlike["model"]
    assert np.array_equal(truth_from_rainbow(rainbow).flux.value, model + 0.1)


def test_a_simulated_rainbow_of_chromatic_is_a_truth():
    chromatic = pytest.importorskip("chromatic")
    rainbow = chromatic.SimulatedRainbow(
        wavelength=np.linspace(0.45, 0.9, 300) * u.um, time=np.linspace(-2, 2, 9) * u.hour
    ).inject_transit()
    truth = truth_from_rainbow(rainbow)
    assert truth.shape == (300, 9)
    middle, first = (electrons_in_pixels(truth, EDGES, i, level=100.0) for i in (4, 0))
    assert np.all(middle < 0.999 * first)
