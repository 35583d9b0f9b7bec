import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import SpectralTimeSeries, read_night, reduce_night, simulate_night
from slitlapse.automation.scene import SimulatedStar
from slitlapse.instruments import load_instrument


def pulls(truth, star, series, kind):
    """(measured - true) / quoted for one star."""
    total = truth.flux(star.name)
    if kind == "boxcar":
        total = total * series.fluxlike["enclosed"].value
        flux, error = series.flux, series.uncertainty
    else:
        flux, error = (series.fluxlike[f"{what}_optimal"] for what in ("flux", "uncertainty"))
    return ((flux.value - total) / error.value)[~series.mask]


@pytest.mark.parametrize("kind", ["boxcar", "optimal"])
def test_a_simulated_night_gives_back_its_truth(toy_night, kind):
    for star in toy_night.truth.stars:
        found = pulls(toy_night.truth, star, toy_night.result.series[star.name], kind)
        assert found.size > 0.99 * 640 * 12
        assert 0.95 < found.std() < 1.05
        assert abs(np.median(found)) < 0.1
        assert np.mean(np.abs(found) > 5) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "sky", "profile"),
    [(60000.0, 40.0, "moffat"), (800.0, 40.0, "gaussian"), (300.0, 400.0, "double")],
    ids=["bright", "read-noise-limited", "sky-limited"],
)
def test_errors_are_right_at_any_brightness_and_profile(tmp_path, level, sky, profile):
    stars = [SimulatedStar("A", 43.0, level), SimulatedStar("B", 82.0, 2 * level)]
    truth = simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(int(level)),
        n_exposures=8, stars=stars, profile=profile, sky_level=sky,
    )  # fmt: skip
    result = reduce_night(read_night(truth.night_file), report=False)
    for star in stars:
        found = pulls(truth, star, result.series[star.name], "boxcar")
        assert 0.95 < found.std() < 1.05, f"star {star.name}"
        assert abs(np.median(found)) < 0.15, f"star {star.name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows", [(17.0, 60.0), (40.0, 48.0), (40.0, 60.0)], ids=["slit-end", "blend", "neighbours"]
)
def test_stars_at_the_slit_end_or_close_together_keep_their_light(tmp_path, rows):
    stars = [SimulatedStar("A", rows[0], 9000.0), SimulatedStar("B", rows[1], 14000.0)]
    truth = simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(100),
        n_exposures=8, stars=stars,
    )  # fmt: skip
    result = reduce_night(read_night(truth.night_file), report=False)
    for star in stars:
        series = result.series[star.name]
        for kind in ("boxcar", "optimal"):
            found = pulls(truth, star, series, kind)
            assert 0.95 < found.std() < 1.05, (star.name, kind)
            assert abs(np.median(found)) < 0.1, (star.name, kind)


def test_wavelengths_are_those_of_the_truth(toy_night):
    for star in toy_night.truth.stars:
        true = toy_night.truth.scene.star_solution(star)
        series = toy_night.result.series[star.name]
        wrong = series.wavelength - true.wavelength
        pixel = (wrong / np.gradient(true.wavelength))[40:-40].value
        assert np.sqrt(np.mean(pixel**2)) < 0.15


def test_the_star_is_followed_along_the_slit(toy_night):
    truth = toy_night.truth
    for series in toy_night.result.series.values():
        found = series.timelike["spatial_shift"].value
        error = series.timelike["spatial_shift_uncertainty"].value
        wrong = (found - found.mean()) - (truth.offsets - truth.offsets.mean())
        # the seeing changes the profile a little beyond a width: 0.01 px besides the noise
        assert np.all(np.abs(wrong) < 5 * error + 0.01)


def run(folder, **kwargs):
    night = read_night(folder / "night.toml")
    return reduce_night(night, **kwargs)


@pytest.fixture
def small(tmp_path):
    simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(3), n_exposures=6,
        n_calibrations=3,
    )  # fmt: skip
    return tmp_path


@pytest.mark.slow
def test_delete_the_output_and_run_again_same_bytes(small):
    first = {name: path.read_bytes() for name, path in run(small).files.items()}
    for path in (small / "reduced" / "exposures").iterdir():
        path.unlink()
    again = {name: path.read_bytes() for name, path in run(small, jobs=2).files.items()}
    assert first == again


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_was_killed_goes_on_to_the_same_result(small):
    expected = {name: path.read_bytes() for name, path in run(small).files.items()}
    for path in (small / "reduced").rglob("*"):
        if path.is_file():
            path.unlink()
    kept = small / "reduced" / "exposures"
    command = [sys.executable, "-m", "slitlapse", "reduce", str(small / "night.toml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(kept.glob("[!.]*.npz"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in kept.glob("[!.]*.npz")}
    assert finished
    assert {name: path.read_bytes() for name, path in run(small).files.items()} == expected
    for name, written in finished.items():
        assert (kept / name).stat().st_mtime_ns == written, f"{name} was measured again"


@pytest.mark.slow
def test_new_frames_are_picked_up_and_old_ones_kept(small):
    hidden = small / "raw" / "0013_science.fits"
    away = small / hidden.name
    hidden.rename(away)
    before = run(small).series["target"]
    away.rename(hidden)
    after = run(small).series["target"]
    assert (before.shape[1], after.shape[1]) == (5, 6)


def test_a_night_without_science_frames_still_makes_its_calibrations(small):
    for path in (small / "raw").glob("*science*"):
        path.unlink()
    result = run(small)
    assert not result.series
    assert {"bias.fits", "flat.fits", "sensitivity.fits", "log.ecsv"} <= {
        path.name for path in (small / "reduced").iterdir()
    }
    assert "only calibrations" in result.summary()
    assert result.report.exists()


def test_without_a_report_the_result_is_the_same_and_nothing_is_drawn(small):
    drawn, undrawn = run(small), run(small, report=False)
    assert drawn.report.exists() and undrawn.report is None
    assert "report:" in drawn.summary() and "report:" not in undrawn.summary()
    assert undrawn.verdict == drawn.verdict and undrawn.notes == drawn.notes
    for name, series in drawn.series.items():
        assert np.array_equal(series.flux, undrawn.series[name].flux, equal_nan=True)


def test_a_series_read_from_its_file_is_the_one_returned(toy_night):
    for name, path in toy_night.result.files.items():
        back = SpectralTimeSeries.read(path)
        series = toy_night.result.series[name]
        assert np.array_equal(back.flux.value, series.flux.value, equal_nan=True)
        assert back.metadata == series.metadata


@pytest.mark.slow
def test_exposures_that_cannot_be_used_are_masked_and_said(small):
    names = sorted(path.name for path in (small / "raw").glob("*science*"))

    def change(name, new):
        with fits.open(small / "raw" / name, mode="update") as hdus:
            hdus[0].data = new(hdus[0].data)

    def dark(raw):
        noise = np.random.default_rng(1).normal(1000, 2.5, raw[:, :640].shape)
        return np.hstack([noise.round().astype(raw.dtype), raw[:, 640:]])

    def burnt(raw):
        return np.hstack([np.full_like(raw[:, :640], 65535), raw[:, 640:]])

    change(names[1], dark)
    change(names[2], burnt)
    change(names[4], lambda raw: np.full(raw.shape, np.nan, np.float32))
    result = run(small)
    for series in result.series.values():
        assert np.array_equal(series.mask.all(axis=0), [0, 0, 1, 0, 1, 0])
        signal = np.median((series.flux / series.uncertainty).value[:, [0, 3, 5, 1]], axis=0)
        assert np.all(signal[:3] > 30) and abs(signal[3]) < 1
    said = "\n".join(result.notes)
    assert f"100 % of the pixels of {names[2]} are saturated or bad" in said
    assert names[4] in said and names[1] not in said
