from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import (
    NightError,
    SpectralTimeSeries,
    light_curves,
    read_night,
    reduce_night,
    simulate_night,
)
from slitlapse.automation.log import log_folder
from slitlapse.automation.scene import SimulatedStar, place_on_slit, transit_shape
from slitlapse.instruments import load_instrument


def simulate(folder, seed=1, instrument="toy", **kwargs):
    options = {"n_exposures": 3, "n_calibrations": 2} | kwargs
    return simulate_night(
        folder, instrument=load_instrument(instrument), rng=np.random.default_rng(seed), **options
    )


def test_the_log_read_back_is_the_log_written(tmp_path):
    truth = simulate(tmp_path)
    log = log_folder(tmp_path / "raw", "toy")
    assert list(log["kind"]) == list(truth.log["kind"])
    assert np.all(np.abs((log["time"] - truth.log["time"]).to_value(u.s)) < 1e-3)
    assert set(log["lamps"]) == {"", "Ar+He+Ne"}
    assert np.allclose(log["exposure_time"], truth.log["exposure_time"])


def test_the_same_seed_gives_the_same_frames(tmp_path):
    for name in ("a", "b"):
        simulate(tmp_path / name, seed=4)
    files = sorted(path.name for path in (tmp_path / "a" / "raw").iterdir())
    assert len(files) == 8
    for name in files:
        pair = [fits.getdata(tmp_path / which / "raw" / name) for which in "ab"]
        assert np.array_equal(*pair)
    other = simulate(tmp_path / "c", seed=5)
    science = str(other.science["filename"][0])
    different = [fits.getdata(tmp_path / which / "raw" / science) for which in "ac"]
    assert not np.array_equal(*different)


def test_raw_frames_hold_the_light_that_was_put_in(tmp_path):
    truth = simulate(tmp_path, stars=[SimulatedStar("A", 60.0, 5000.0)])
    raw = fits.getdata(tmp_path / "raw" / str(truth.science["filename"][1])).astype(float)
    gains = np.repeat([1.5, 1.6], 320)
    # columns 641 on are overscan; what is above it, times the gain, is light
    level = np.repeat([raw[:, 640:664].mean(), raw[:, 664:].mean()], 320)
    electrons = ((raw[:, :640] - level) * gains).sum()
    light = truth.scene.sky_image + truth.scene.star_image(
        truth.stars[0], truth.flux("A")[:, 1], truth.offsets[1], truth.fwhms[1]
    )
    expected = (light * truth.sensitivity).sum()
    n_pixels = 120 * 640
    noise = np.sqrt(expected + 16 * n_pixels + 2 * (60 * 640 * 1.6 * 4 / np.sqrt(120 * 24)) ** 2)
    assert abs(electrons - expected) < 4 * noise


def test_the_transit_is_as_deep_as_it_was_told(tmp_path):
    star = SimulatedStar("A", 60.0, 5000.0, depth=0.03)
    truth = simulate(tmp_path, stars=[star], n_exposures=21, clouds=0.0, extinction=False,
                     n_calibrations=1)  # fmt: skip
    flux = truth.flux("A")
    depth = 1 - flux[:, 10] / flux[:, 0]
    assert depth[0] == pytest.approx(0.033) and depth[-1] == pytest.approx(0.027)


@pytest.mark.parametrize("name", ["kast_blue", "sprat", "efosc2"])
def test_other_instruments_have_their_own_nights(tmp_path, name):
    truth = simulate(tmp_path, instrument=name, n_exposures=1, n_calibrations=1)
    log = log_folder(tmp_path / "raw", name)
    assert list(log["kind"]) == list(truth.log["kind"])


def test_sections_that_only_headers_tell_are_refused(tmp_path):
    instrument = load_instrument("toy")
    cards = instrument.amplifiers[0].__class__({"keyword": "DATASEC"}, gain=1.0)
    from dataclasses import replace

    blind = replace(instrument, amplifiers=(cards,))
    with pytest.raises(NightError, match="cannot be simulated from its file alone"):
        simulate_night(tmp_path, instrument=blind, rng=np.random.default_rng(1))


def test_a_folder_with_frames_of_another_night_is_refused(tmp_path):
    simulate(tmp_path, n_exposures=3)
    simulate(tmp_path, n_exposures=3, seed=2)  # the same frames again: written over
    with pytest.raises(NightError, match="holds files of another night"):
        simulate(tmp_path, n_exposures=2)


def test_an_instrument_without_a_file_is_refused_before_anything_is_written(tmp_path):
    from dataclasses import replace

    bare = replace(load_instrument("toy"), source=None)
    with pytest.raises(NightError, match=r"has no file that a night\.toml could name"):
        simulate_night(tmp_path / "new", instrument=bare, rng=np.random.default_rng(1))
    assert not (tmp_path / "new").exists()


def test_numbers_of_the_night_are_passed_on_and_mistakes_named(tmp_path):
    truth = simulate(tmp_path, seeing=5.0, flexure=1.0, sky_level=100.0)
    assert truth.conditions.seeing == 5.0 and truth.scene.sky_level == 100.0
    assert np.ptp(truth.weather.shifts) == pytest.approx(1.0)
    with pytest.raises(TypeError, match="no 'seing'; did you mean 'seeing'"):
        simulate(tmp_path, seing=5.0)


def test_the_spectrum_moves_with_the_flexure(tmp_path):
    truth = simulate(tmp_path, flexure=3.0, clouds=0.0, extinction=False, n_calibrations=1)
    first, last = (truth.spectrum("comparison", i) for i in (0, 2))
    at = truth.scene.star_solution(truth.stars[1]).wavelength_to_pixel(5893.0)
    x = np.arange(round(float(at)) - 12, round(float(at)) + 13)  # the star's sodium line

    def centre(spectrum):
        ends = np.interp(x, x[[0, -1]], spectrum[x[[0, -1]]])
        return np.average(x, weights=ends - spectrum[x])

    assert centre(last) - centre(first) == pytest.approx(3.0, abs=0.1)


def test_the_air_is_in_the_truth(tmp_path):
    truth = simulate(tmp_path, clouds=0.0, exposure_time=3600.0, n_exposures=5, stars=1)
    flux, airmass = truth.flux("target"), np.asarray(truth.science["airmass"])
    star = truth.stars[0]
    ratio = flux[:, 0] / flux[:, -1]
    expected = truth.scene.air(star, airmass[0]) / truth.scene.air(star, airmass[-1])
    assert np.allclose(ratio, expected, rtol=1e-6)


def test_star_names_that_toml_cannot_hold_bare_are_quoted(tmp_path):
    import tomllib

    name = 'HD 1 "b" \\ ..'
    truth = simulate(tmp_path, stars=[SimulatedStar(name, 60.0, 5000.0)])
    content = tomllib.loads(truth.night_file.read_text())
    assert list(content["stars"]) == [name]


def test_a_truth_sets_the_light_and_the_number_of_exposures(tmp_path):
    wave, time = np.linspace(4500, 9000, 901) * u.AA, Time("2025-01-01") + np.arange(4) * u.min
    flux = np.outer(np.full(901, 8000.0), [1.0, 0.99, 0.98, 1.0]) * u.electron
    series = SpectralTimeSeries(
        QTable({"wavelength": wave}), QTable({"time": time}), {"flux": flux, "uncertainty": flux}
    )
    star = SimulatedStar("A", 60.0, 0.0, truth=series)
    truth = simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(1), stars=[star],
        clouds=0.0, extinction=False, n_calibrations=1,
    )  # fmt: skip
    assert len(truth.science) == 4
    light = truth.flux("A")
    assert np.allclose(light[:, 2] / light[:, 0], 0.98)
    edges = truth.scene.star_solution(star).pixel_to_wavelength(np.array([-0.5, 639.5]))
    assert light[:, 0].sum() == pytest.approx(8000 / 5 * np.ptp(edges.value), rel=1e-6)


def true_ratio(truth, series, edges):
    """What perfect light curves of target over comparison would be, shape (n_bins, n_time)."""
    ratio = 1.0
    for name, power in (("target", 1), ("comparison", -1)):
        star = series[name]
        light = truth.flux(name) * star.fluxlike["enclosed"].value * u.electron
        perfect = SpectralTimeSeries(
            star.wavelike, star.timelike, {"flux": light, "uncertainty": star.uncertainty}
        )
        ratio = ratio * perfect.bin(wavelength=edges).flux.value ** power
    return ratio


def depth_of(flux, error, shape):
    """Depth of a transit of known shape, and its error, by linear least squares."""
    design = np.stack([np.ones_like(shape), -shape], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    level, loss = covariance @ (design.T @ (flux / error))
    slope = np.array([-loss / level**2, 1 / level])
    return loss / level, np.sqrt(slope @ covariance @ slope)


@pytest.mark.slow
def test_transits_are_as_deep_as_they_were_put_in(tmp_path):
    """The test that matters: depth minus truth, over the quoted error, bin by bin."""
    depths, points, edges = [], [], np.linspace(5250, 8000, 41) * u.AA
    for seed, brightness in enumerate([0.1, 1.0, 3.0] * 2):
        stars = [replace(star, level=brightness * star.level) for star in place_on_slit(2, 120)]
        truth = simulate(
            tmp_path / str(seed), seed=seed, n_exposures=8, n_calibrations=5, stars=stars
        )
        series = reduce_night(read_night(truth.night_file), report=False).series
        curves = light_curves(series["target"], [series["comparison"]], wavelength=edges)
        true, shape = true_ratio(truth, series, edges), transit_shape(truth.hours)
        flux, errors = curves.flux.value, curves.uncertainty.value
        for found, right, error in zip(flux, true, errors, strict=True):
            depth, uncertainty = depth_of(found, error, shape)
            depths.append((depth - depth_of(right, error, shape)[0]) / uncertainty)
        # nothing is said about the level, but each exposure agrees with the others
        level = np.average(flux / true, axis=1, weights=(true / errors) ** 2)[:, None]
        points.append((flux / true / level - 1) * true * level / errors * np.sqrt(8 / 7))
    depths, points = np.array(depths), np.array(points)
    n = depths.size
    assert n == 240
    assert abs(depths.mean()) < 3 / np.sqrt(n)
    # 0.9 to 1.1, and the standard error of a standard deviation beyond it
    assert abs(depths.std() - 1) < 0.1 + 1 / np.sqrt(2 * n)
    assert abs(np.sqrt(np.mean(points**2)) - 1) < 4 / np.sqrt(2 * n * 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gmos_n", "ldss3c"])
def test_nights_of_several_hdus_are_reduced_to_their_truth(tmp_path, name):
    """Twelve amplifiers, or two read from opposite sides; the rest is a benchmark."""
    truth = simulate(tmp_path, instrument=name, n_exposures=2, n_calibrations=3)
    result = reduce_night(read_night(truth.night_file))
    for star in truth.stars:
        series = result.series[star.name]
        flux = truth.flux(star.name) * series.fluxlike["enclosed"].value
        pulls = ((series.flux.value - flux) / series.uncertainty.value)[~series.mask]
        n = pulls.size
        assert result.verdict == () and result.notes == ()
        gap = 34 if name == "gmos_n" else 0  # columns between each two of three detectors
        assert n > 0.99 * flux.size * (1 - 2 * gap / len(flux))
        assert series.mask.all(axis=1).sum() == 2 * gap
        # exposures share the flat, the sky's shape and the star's profile
        assert abs(np.median(pulls)) < 0.1
        assert abs(pulls.std() - 1) < 0.03 + 4 / np.sqrt(2 * n)
        true = truth.scene.star_solution(star)
        wrong = (series.wavelength - true.wavelength) / np.gradient(true.wavelength)
        assert np.sqrt(np.mean(wrong.value**2)) < 0.03
