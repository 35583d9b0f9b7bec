import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import NightError
from slitlapse.automation.conditions import Conditions
from slitlapse.automation.defects import DEFECTS, add_defects
from slitlapse.automation.detector import SimulatedDetector
from slitlapse.automation.log import log_folder
from slitlapse.automation.scene import place_on_slit
from slitlapse.automation.simulate import simulate_night
from slitlapse.instruments import load_instrument

TOY = SimulatedDetector.of(load_instrument("toy"))


def plan(*defects, n_stars=3, lamps="HeNeAr"):
    conditions = Conditions(seeing=4.0)
    return add_defects(defects, conditions, place_on_slit(n_stars, 120), TOY, lamps)


def simulate(folder, *defects, **kwargs):
    options = {"n_exposures": 3, "n_calibrations": 2, "stars": 3} | kwargs
    return simulate_night(
        folder, instrument=load_instrument("toy"), rng=np.random.default_rng(1), defects=defects,
        **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_changes_something_and_says_what(name):
    words, _ = DEFECTS[name]
    assert words and words[0].islower()
    assert plan(name) != plan()


def test_several_defects_go_together():
    conditions, stars = plan("clouds", "missing-flat", "missing-bias", "variable-comparison")
    assert conditions.cloud_bank == 0.6
    assert conditions.without == ("bias", "flat")
    assert stars[-1].variation == 0.03 and stars[0].variation == 0


def test_unknown_defects_and_too_few_stars_are_refused():
    with pytest.raises(NightError, match="no defect 'cloud'; did you mean 'clouds'"):
        plan("cloud")
    with pytest.raises(NightError, match="needs 3 stars or more, but there are 2"):
        plan("variable-comparison", n_stars=2)


def test_the_wrong_lamp_is_none_of_those_in_the_header():
    assert plan("wrong-arc")[0].arc_lamps == "Kr+Xe"
    assert plan("wrong-arc", lamps="Ne+Ar+Kr+He")[0].arc_lamps == "HgCd"
    with pytest.raises(NightError, match="none of the lamps"):
        plan("wrong-arc", lamps="Kr+Cu+Hg")


def test_a_saturated_star_reaches_the_converters_end(tmp_path):
    truth = simulate(tmp_path, "saturated")
    raw = fits.getdata(tmp_path / "raw" / str(truth.science["filename"][0]))
    assert np.sum(raw == 65535) > 100


def test_hot_pixels_are_in_the_darks_too(tmp_path):
    truth = simulate(tmp_path, "hot-pixels")
    assert list(truth.log["kind"]).count("dark") == 2
    hot = truth.dark_current > 0
    assert np.mean(hot) == pytest.approx(0.01, rel=0.2)
    name = truth.log["filename"][truth.log["kind"] == "dark"][0]
    raw = fits.getdata(tmp_path / "raw" / str(name))[:, :640].astype(float) - 1000
    gain = np.repeat([1.5, 1.6], 320)
    found = np.sum((raw * gain)[hot])
    expected = np.sum(truth.dark_current) * 60
    assert abs(found - expected) < 5 * np.sqrt(expected + 16 * hot.sum())


def test_a_torn_frame_is_left_out_of_the_log(tmp_path):
    truth = simulate(tmp_path, "torn-frame")
    with pytest.warns(match="cut short"):
        log = log_folder(tmp_path / "raw", "toy")
    assert len(log) == truth.n_frames - 1


def test_cosmic_rays_come_at_their_rate(tmp_path):
    # 5 hits per second and million pixels: 77 thousand pixels in 60 seconds catch 23
    quiet = simulate(tmp_path / "quiet", cosmic_rays=0)
    struck = simulate(tmp_path / "struck", "hits")
    for name in struck.science["filename"]:
        before, after = (
            fits.getdata(each.folder / "raw" / str(name)).astype(float) for each in (quiet, struck)
        )
        bright = np.abs(after - before) > 400  # photon noise of the sky and stars is far below
        assert 15 < bright.sum() < 400
