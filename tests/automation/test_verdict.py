"""A clean night gets no sentence, and each defect its own and no other."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries, read_night, reduce_night, simulate_night
from slitlapse.automation.verdict import find_target, judge_night
from slitlapse.automation.wavelength_check import WavelengthCheck
from slitlapse.instruments import load_instrument
from slitlapse.wavelength import WavelengthSolution

N_WAVE, N_TIME = 200, 60
ALONG = np.linspace(-1, 1, N_TIME)
TRANSIT = 1 - 0.02 * np.clip((0.4 - np.abs(ALONG)) / 0.08 + 0.5, 0, 1)
AIRMASS = 1.1 + 0.6 * ALONG**2
NAMES = ("target", "comparison1", "comparison2")
SIGMA = 0.001  # about that of white light: 200 pixels of 9000 electrons and a comparison


def solution(scatter=0.02):
    """Lines that lie ``scatter`` pixels off a solution of 2 angstrom a pixel."""
    residual = 2 * scatter * np.where(np.arange(20) % 2, 1, -1)
    lines = QTable({"residual": residual * u.AA, "used": np.ones(20, bool)})
    found = WavelengthSolution([5000.0, 199.0], (0, N_WAVE - 1), N_WAVE, lines=lines)
    return SimpleNamespace(main=found)


def simulated_star(name, rng, level=9000.0, light=1.0, sky=40.0, **timelike):
    """A star with an airmass, Poisson noise and the diagnostics of a steady night."""
    colour = np.linspace(1.2, 0.8, N_WAVE)[:, None]
    truth = level * colour * 10 ** (-0.4 * 0.15 * colour * (AIRMASS - 1)) * light
    sky = sky * np.ones(N_TIME)
    variance = {"star": truth, "sky": 10 * sky * np.ones_like(truth), "read": 0 * truth + 150}
    total = sum(variance.values())
    flux = truth + rng.normal(0, np.sqrt(total))
    steady = {
        "airmass": AIRMASS,
        "spatial_shift": 0.4 * ALONG * u.pix,
        "wavelength_shift": rng.normal(0, 0.03, N_TIME) * u.pix,
        "wavelength_shift_uncertainty": np.full(N_TIME, 0.03) * u.pix,
        "seeing": (4 + 0.3 * np.sin(5 * ALONG)) * u.pix,
        "sky_level": sky * u.electron,
        "n_hit": rng.poisson(1.0, N_TIME),
    }
    return SpectralTimeSeries(
        QTable({"wavelength": solution().main.wavelength}),
        QTable({"time": Time(2460000.5 + ALONG / 10, format="jd"), **(steady | timelike)}),
        {
            "flux": flux * u.electron,
            "uncertainty": np.sqrt(total) * u.electron,
            **{f"variance_{k}": v * u.electron**2 for k, v in variance.items()},
            "bad_fraction": u.Quantity(np.zeros(truth.shape)),
            "reasons": u.Quantity(np.zeros(truth.shape)),
        },
        metadata={"star": name},
    )


def night(seed=1, only=None, **changes):
    """Three stars; ``changes`` are of all of them, or of the one called ``only``."""
    rng = np.random.default_rng(seed)
    series = {}
    for i, name in enumerate(NAMES):
        mine = dict(changes) if only in (None, name) else {}
        light = mine.pop("light", 1.0) * (TRANSIT if name == "target" else 1.0)
        series[name] = simulated_star(name, rng, 9000.0 + 2000 * i, light, **mine)
    return series


def verdict(series, arcs=1, **solutions):
    return judge_night(series, {name: solution() for name in series} | solutions, arcs=arcs)


def with_reasons(bit, share, rng):
    """A night of which a share of the target's samples is bad."""
    series = night()
    star = series["target"]
    bad = rng.random(star.shape) < share
    star.fluxlike["reasons"].value[bad] = bit
    star.fluxlike["bad_fraction"].value[bad] = 1.0
    star.mask[bad] = True
    return series


def cloudy():
    return np.where((ALONG > 0.1) & (ALONG < 0.3), 0.5, 1.0)


def wave(amplitude, period):
    return 1 + amplitude * np.sin(2 * np.pi * ALONG / period)


RNG = np.random.default_rng(99)
DEFECTS = {
    "Star target is saturated in 4.": lambda: with_reasons(4, 0.05, RNG),
    "Bad pixels took": lambda: with_reasons(2, 0.05, RNG),
    "Many cosmic rays": lambda: night(n_hit=np.full(N_TIME, 30)),
    "drifted by 9.0 pixels": lambda: night(spatial_shift=4.5 * ALONG * u.pix),
    "An unstable shift": lambda: night(wavelength_shift=ALONG * u.pix),
    "The seeing changed by a factor of 2": lambda: night(seeing=(4.5 + 1.5 * ALONG) * u.pix),
    "Cloudy": lambda: night(light=cloudy()),
    "Red noise: the light of star target": lambda: night(only="target", light=wave(0.005, 0.3)),
    "differently in each exposure": lambda: night(
        only="target", light=1 + np.random.default_rng(5).normal(0, 0.005, N_TIME)
    ),
    "Comparison star comparison2 varies": lambda: night(only="comparison2", light=wave(0.03, 1.2)),
    "Comparison star comparison1 varies": lambda: night(only="comparison1", light=wave(0.03, 1.2)),
    "The sky brightened by a factor of 3": lambda: night(sky=40 * (2 + ALONG)),
    "A bright sky": lambda: night(sky=6000.0),
}


@pytest.mark.parametrize("seed", range(8))
def test_a_clean_night_with_a_transit_gets_no_sentence(seed):
    assert verdict(night(seed)) == []


@pytest.mark.parametrize("words", DEFECTS)
def test_each_defect_gets_its_sentence_and_no_other(words):
    (sentence,) = verdict(DEFECTS[words]())
    assert words in sentence
    assert sentence.endswith(".")


def test_lamps_that_are_not_those_of_the_header_are_the_wrong_arc():
    (sentence,) = judge_night(night(), {}, arcs=2)
    assert sentence.startswith("The wrong arc?")
    assert "stars target, comparison1 and comparison2" in sentence
    (sentence,) = verdict(night(), comparison1=solution(scatter=0.8))
    assert "0.8 pixels off the wavelength solution of star comparison1" in sentence


def test_an_arc_that_does_not_hold_for_the_exposures_is_told_with_its_number():
    solutions = {name: solution() for name in NAMES}
    off = WavelengthCheck(-17.2, 0.4, "lines of the sky", 9, 0.845)
    near = WavelengthCheck(0.3, 0.02, "lines of the sky", 9, 0.845)
    assert judge_night(night(), solutions, checks=dict.fromkeys(NAMES, near)) == []
    assert judge_night(night(), solutions, checks=dict.fromkeys(NAMES)) == []
    checks = {"target": near, "comparison1": off, "comparison2": None}
    (sentence,) = judge_night(night(), solutions, checks=checks)
    assert sentence.startswith("The arc does not hold for the exposures")
    assert "the wavelengths of star comparison1, lines of the sky lie 17.2 ± 0.4 pix" in sentence
    assert "take an arc at the telescope's position" in sentence


def test_an_arc_that_nobody_took_is_not_called_wrong():
    (sentence,) = judge_night(night(), {}, arcs=0)
    assert sentence.startswith("No arc was taken")


def test_exposures_that_are_lost_do_not_count():
    series = night()
    for star in series.values():
        star.mask[:, 20] = True
        star.fluxlike["reasons"].value[:, 20] = 1
        star.flux[:, 20] = np.nan
        star.timelike["spatial_shift"][20] = 99 * u.pix
        star.timelike["sky_level"][20] = np.nan
    assert verdict(series) == []


def test_noisy_shifts_of_a_faint_star_are_not_called_unstable():
    rng = np.random.default_rng(3)
    noisy = rng.normal(0, 0.4, N_TIME) * u.pix
    assert np.ptp(noisy.value) > 1
    error = np.full(N_TIME, 0.4) * u.pix
    assert verdict(night(wavelength_shift=noisy, wavelength_shift_uncertainty=error)) == []


def test_the_air_alone_is_no_cloud():
    airmass = 1 + 1.2 * (ALONG + 1) / 2
    air = 10 ** (-0.4 * 0.3 * (airmass - AIRMASS))
    assert np.ptp(air) > 0.25
    assert verdict(night(light=air, airmass=airmass)) == []


def test_a_single_star_or_a_single_exposure_can_be_judged():
    one = {"A": night()["target"]}
    assert verdict(one) == []
    assert verdict({name: star[:, :1] for name, star in night().items()}) == []
    assert judge_night({}, {}) == []


def test_the_target_is_the_star_of_that_name_else_the_first():
    series = night()
    target, others = find_target({name: series[name] for name in reversed(NAMES)})
    assert target is series["target"]
    assert others == [series["comparison2"], series["comparison1"]]
    assert find_target({"A": series["comparison1"], "B": series["target"]})[0].name == "comparison1"


@pytest.mark.slow
def test_defects_of_raw_frames_get_their_sentences_and_no_others(tmp_path):
    words = {
        "saturated": "Star target is saturated",
        "clouds": "Cloudy",
        "unstable-shift": "An unstable shift",
        "hits": "Many cosmic rays",
        "wrong-arc": "The wrong arc?",
    }
    truth = simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(11),
        n_exposures=8, defects=words,
    )  # fmt: skip
    found = reduce_night(read_night(truth.night_file)).verdict
    for word in words.values():
        assert sum(word in sentence for sentence in found) == 1, found
    assert len(found) == len(words), found
