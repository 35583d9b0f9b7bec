"""To chromatic and back, past its traps."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries

matplotlib = pytest.importorskip("matplotlib")
LOOKS = dict(matplotlib.rcParams)
with warnings.catch_warnings(), matplotlib.rc_context():
    warnings.simplefilter("ignore")  # what an optional package warns of when imported is its own
    chromatic = pytest.importorskip("chromatic")

from slitlapse.automation.rainbow import from_rainbow, to_rainbow  # noqa: E402


def make_series(n_wave=25, n_time=9, falling=False, shuffled=False, name="target"):
    rng = np.random.default_rng(1)
    flux = rng.uniform(900, 1100, (n_wave, n_time))
    wave = 5000 + 3.0 * np.arange(n_wave)
    days = 2460000.5 + np.arange(n_time) / 100
    days = rng.permutation(days) if shuffled else days
    return SpectralTimeSeries(
        QTable(
            {
                "wavelength": (wave[::-1] if falling else wave) * u.AA,
                "pixel": np.arange(n_wave) * u.pix,
            }
        ),
        QTable(
            {
                "time": Time(days, format="jd", scale="tdb"),
                "airmass": 1 + np.arange(n_time) / 10,
                "wavelength_shift": rng.normal(0, 0.1, n_time) * u.pix,
                "hour_angle": np.linspace(-1, 1, n_time) * u.hourangle,
                "filename": [f"frame{i}.fits" for i in range(n_time)],
            }
        ),
        {
            "flux": flux * u.electron,
            "uncertainty": np.sqrt(flux) * u.electron,
            "sky": 0.1 * flux * u.electron,
            "variance_star": flux * u.electron**2,
            "wavelength": np.repeat(wave[:, None], n_time, 1) * u.AA,  # a name used twice
        },
        rng.random(flux.shape) < 0.1,
        {"star": name, "medium": "air", "widths": [4, 8], "time_reference": "BJD_TDB of middle"},
    )


def assert_same(one, two):
    assert one.shape == two.shape
    assert np.all(np.abs((one.time - two.time).to_value("s")) < 1e-4)  # a JD in one number
    assert one.time.scale == two.time.scale
    for first, second in ((one.wavelike, two.wavelike), (one.timelike, two.timelike)):
        assert set(first.colnames) == set(second.colnames)
        for name in first.colnames:
            a, b = first[name], second[name]
            assert getattr(a, "unit", None) == getattr(b, "unit", None), name
            if name == "filename":
                assert list(a) == list(b)
            elif name != "time":
                assert np.allclose(u.Quantity(a).value, u.Quantity(b).value, rtol=1e-14), name
    assert set(one.fluxlike) == set(two.fluxlike)
    for name, value in one.fluxlike.items():
        assert value.unit == two.fluxlike[name].unit
        assert np.array_equal(value.value, two.fluxlike[name].value)
    assert np.array_equal(one.mask, two.mask)
    assert one.metadata == two.metadata


def test_a_round_trip_loses_nothing():
    series = make_series()
    assert_same(series, from_rainbow(series.to_rainbow()))


def test_as_many_times_as_wavelengths_are_not_mistaken_for_each_other():
    series = make_series(12, 12)
    with pytest.warns(UserWarning, match="number of wavelengths"):  # chromatic's own advice
        rainbow = series.to_rainbow()
    assert_same(series, from_rainbow(rainbow))


def test_what_is_good_and_where_it_is_masked_are_opposites():
    series = make_series()
    rainbow = series.to_rainbow()
    assert np.array_equal(rainbow.ok == 1, ~series.mask)
    assert rainbow.name == "target"


def test_falling_wavelengths_and_shuffled_times_are_sorted_with_all_that_belongs_to_them():
    series = make_series(falling=True, shuffled=True)
    rainbow = to_rainbow(series)
    wave, time = np.argsort(series.wavelength), np.argsort(series.time.jd)
    assert np.all(np.diff(rainbow.wavelength) > 0) and np.all(np.diff(rainbow.time) > 0)
    assert np.array_equal(rainbow.flux, series.flux[wave][:, time])
    assert np.array_equal(rainbow.ok == 1, ~series.mask[wave][:, time])
    assert np.array_equal(rainbow.airmass, series.timelike["airmass"][time])
    files = [str(each) for each in series.timelike["filename"][time]]
    assert rainbow.metadata["filenames"] == files
    turned = SpectralTimeSeries(
        series.wavelike[wave], series.timelike[time],
        {k: v[wave][:, time] for k, v in series.fluxlike.items()},
        series.mask[wave][:, time], series.metadata,
    )  # fmt: skip
    assert_same(turned, from_rainbow(rainbow))


def test_the_clock_is_barycentric_and_said_to_be():
    series = make_series()
    rainbow = series.to_rainbow()
    assert rainbow.metadata["time_scale"] == "tdb"
    assert rainbow.metadata["time_is_barycentric"] is True
    assert np.allclose(rainbow.time.to_value("d"), series.time.tdb.jd, rtol=0, atol=1e-9)


def test_every_exposure_brings_its_own_wavelengths():
    series = make_series()
    assert np.allclose(series.to_rainbow().fluxlike["wavelength_2d"], series.wavelength_2d)


def test_it_comes_back_whole_from_chromatics_own_file(tmp_path):
    series = make_series()
    path = tmp_path / "target.rainbow.npy"
    series.to_rainbow().save(str(path))
    assert_same(series, from_rainbow(chromatic.read_rainbow(str(path))))


def test_a_rainbow_of_chromatics_own_becomes_a_series():
    rainbow = chromatic.SimulatedRainbow(R=20).inject_noise(signal_to_noise=100)
    series = from_rainbow(rainbow)
    assert series.shape == (rainbow.nwave, rainbow.ntime)
    assert np.array_equal(series.flux.value, u.Quantity(rainbow.flux).value)
    assert series.wavelength.unit.is_equivalent(u.AA)


def test_the_look_of_figures_stays_as_it_was():
    make_series().to_rainbow()
    now = dict(matplotlib.rcParams)
    assert {key for key in LOOKS if LOOKS[key] != now[key]} <= {"backend"}


def test_pixels_are_no_wavelengths():
    series = make_series()
    wavelike = QTable({"wavelength": np.arange(25) * u.pix})
    pixels = SpectralTimeSeries(wavelike, series.timelike, series.fluxlike, metadata={"star": "A"})
    with pytest.raises(ValueError, match="star A counts pix instead of wavelengths"):
        pixels.to_rainbow()
    wavelike = QTable({"wavelength": np.full(25, 5000.0) * u.AA})
    twice = SpectralTimeSeries(wavelike, series.timelike, series.fluxlike)
    with pytest.raises(ValueError, match="same wavelength twice"):
        twice.to_rainbow()
