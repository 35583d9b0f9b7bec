import astropy.units as u
import numpy as np
import pytest
from astropy.time import Time

from slitlapse.automation.conditions import Conditions
from slitlapse.automation.plan import plan_log, simulated_lamps
from slitlapse.instruments import load_instrument


def test_calibrations_come_before_the_stars_and_nothing_overlaps():
    log = plan_log(load_instrument("toy"), Conditions(n_calibrations=2, exposure_time=90.0), 5)
    assert list(log["kind"]) == ["bias"] * 2 + ["flat"] * 2 + ["arc"] + ["science"] * 5
    start, end = (log["time"] + sign * log["exposure_time"] / 2 for sign in (-1, 1))
    assert np.allclose((start[1:] - end[:-1]).to_value(u.s), 15.0)
    assert set(log["exposure_time"][-5:].to_value(u.s)) == {90.0}


def test_the_first_exposure_of_the_stars_starts_when_it_was_told():
    start = Time("2024-11-02T03:04:05")
    log = plan_log(load_instrument("toy"), Conditions(start=start, n_calibrations=3), 2)
    first = log[log["kind"] == "science"][0]
    assert abs((first["time"] - 30 * u.s - start).to_value(u.s)) < 1e-6


def test_the_airmass_is_least_in_the_middle():
    log = plan_log(load_instrument("toy"), Conditions(exposure_time=600.0), 13)
    airmass = log["airmass"][log["kind"] == "science"]
    assert np.argmin(airmass) == 6
    assert airmass[6] == pytest.approx(1 / np.cos(np.radians(31.96 - 5)), rel=0.01)


def test_kinds_that_nobody_takes_or_knows_are_left_out():
    toy = load_instrument("toy")
    log = plan_log(toy, Conditions(without=("arc",), hot_pixels=0.1, n_calibrations=1), 1)
    assert list(log["kind"]) == ["bias", "dark", "flat", "science"]


def test_lamps_are_those_of_the_instrument():
    assert simulated_lamps(load_instrument("kosmos")) == "Ne+Ar+Kr+He"
    assert simulated_lamps(load_instrument("toy")) == "HeNeAr"
