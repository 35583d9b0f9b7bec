import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import NightError, simulate_night
from slitlapse.automation.log import log_folder
from slitlapse.automation.scene import SimulatedStar
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
    truth = simulate(tmp_path, stars=[star], n_exposures=21, clouds=0.0, n_calibrations=1)
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
