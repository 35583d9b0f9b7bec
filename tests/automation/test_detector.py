import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import NightError, read_night
from slitlapse.automation.calibration import make_calibration
from slitlapse.automation.detector import BIAS_LEVEL, SimulatedDetector
from slitlapse.automation.log import choose_frames, log_night
from slitlapse.automation.simulate import simulate_night
from slitlapse.instruments import AmplifierCards, Instrument, list_instruments, load_instrument
from slitlapse.photons import MaskBits

ORIENTATIONS = ("+x", "-x", "+y", "-y")


def turned_toy(folder, dispersion):
    """The toy with its dispersion another way on the raw frame; y: sections change places."""
    text = load_instrument("toy").source.read_text()
    text = text.replace('dispersion = "+x"', f'dispersion = "{dispersion}"')
    if dispersion.endswith("y"):
        for section in ("1:320,1:120", "641:664,1:120", "321:640,1:120", "665:688,1:120"):
            text = text.replace(section, ",".join(section.split(",")[::-1]))
    path = folder / f"turned{dispersion}.toml"
    path.write_text(text)
    return load_instrument(path)


def opened(truth, index):
    """One science frame of a simulated night, opened by the reduction's door."""
    night = read_night(truth.night_file)
    chosen = choose_frames(log_night(night), night)
    door = make_calibration(night, chosen).door
    name = str(truth.science["filename"][index])
    return door.electrons(name, "science", truth.science["exposure_time"][index])


def pulls(electrons, light, read_noise, n=3):
    """Electrons minus the truth, over the noise of photons, reading, n biases and n flats."""
    flat = light / np.sqrt(30000 * n)
    return (electrons - light) / np.sqrt(light + read_noise**2 * (1 + 1 / n) + flat**2)


@pytest.mark.parametrize("dispersion", ORIENTATIONS)
def test_light_comes_back_where_it_fell_in_every_orientation(tmp_path, dispersion):
    truth = simulate_night(
        tmp_path / "night", instrument=turned_toy(tmp_path, dispersion),
        rng=np.random.default_rng(3), n_exposures=1, n_calibrations=3, cosmic_rays=0,
    )  # fmt: skip
    frame = opened(truth, 0)
    light = truth.light(0)
    assert frame.data.shape == light.shape == (120, 640)
    found = pulls(frame.data, light, 4.0)[8:-8]
    assert abs(found.mean()) < 0.03
    assert 0.95 < found.std() < 1.05


def test_each_amplifier_with_its_own_hdu_writes_its_cards_there(tmp_path):
    truth = simulate_night(
        tmp_path, instrument=load_instrument("gmos_n"), rng=np.random.default_rng(3),
        n_exposures=1, n_calibrations=3, cosmic_rays=0,
    )  # fmt: skip
    with fits.open(tmp_path / "raw" / str(truth.science["filename"][0])) as hdus:
        assert len(hdus) == 13
        assert [hdus[i].header["GAIN"] for i in (1, 12)] == [1.62, 1.73]
        assert hdus[1].header["DATASEC"] == "[1:256,1:512]"
        assert hdus[2].header["BIASSEC"] == "[1:32,1:512]"
    frame = opened(truth, 0)
    light = truth.light(0)
    gap = np.zeros(frame.data.shape, bool)
    gap[:, 1024:1058] = gap[:, 2082:2116] = True  # 67 unbinned pixels between two detectors
    assert np.array_equal((frame.flags & MaskBits.gap) != 0, gap)
    assert np.all(frame.data[gap] == 0) and np.all(frame.mask[gap])
    found = pulls(frame.data, light, 4.1)[30:-30][:, ~gap[0]]
    assert abs(found.mean()) < 0.03 and 0.95 < found.std() < 1.05


@pytest.mark.parametrize("name", list_instruments())
def test_every_instrument_has_a_detector(name):
    detector = SimulatedDetector.of(load_instrument(name))
    assert all(a.read_noise is not None for a in detector.amplifiers)
    assert min(detector.shape) > 100
    assert detector.full_well > 10000


def test_kinds_that_arrive_without_bias_have_none():
    from dataclasses import replace

    toy = replace(load_instrument("toy"), bias_subtracted=("arc",))
    detector = SimulatedDetector.of(toy)
    rng, dark = np.random.default_rng(1), np.zeros(detector.shape)
    arc, science = (detector.expose(dark, rng, kind=k).data for k in ("arc", "science"))
    # 120 x 688 pixels of 4 electrons: 2.7 adu
    error = 5 * 2.7 / np.sqrt(arc.size)
    assert abs(arc.mean()) < error
    assert abs(science.mean() - BIAS_LEVEL) < error


def test_a_converter_of_more_than_16_bits_is_used_to_its_end():
    detector = SimulatedDetector.of(load_instrument("kosmos"))
    assert detector.saturation == 262143
    from dataclasses import replace

    toy = replace(load_instrument("toy"), saturation=262143 * u.adu)
    small = SimulatedDetector.of(toy)
    rng = np.random.default_rng(1)
    raw = small.expose(np.full(small.shape, 3e5), rng).data[:, :640]
    assert raw.dtype == np.uint32
    assert raw[:, :320].mean() == pytest.approx(BIAS_LEVEL + 2e5, rel=1e-3)
    assert small.expose(np.full(small.shape, 1e6), rng).data.max() == 262143


def test_read_noise_may_be_given_for_one_or_each_amplifier():
    toy = load_instrument("toy")
    for given, expected in ((7.0, [7, 7]), ([3.0, 9.0], [3, 9]), (None, [4, 4])):
        found = SimulatedDetector.of(toy, read_noise=given).amplifiers
        assert [a.read_noise.to_value(u.electron) for a in found] == expected


def test_headers_of_a_real_frame_set_the_sections():
    cards = AmplifierCards({"keyword": "DATASEC"}, gain={"keyword": "GAIN"}, read_noise=3.0)
    instrument = Instrument("test", "+y", (cards,))
    detector = SimulatedDetector.of(instrument, headers=[{"DATASEC": "[1:50,1:90]", "GAIN": 2}])
    assert detector.shape == (50, 90)
    assert detector.cards == {"DATASEC": "[1:50,1:90]", "GAIN": 2}
    with pytest.raises(NightError, match="pass headers of a real frame"):
        SimulatedDetector.of(instrument)
