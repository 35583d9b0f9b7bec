from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.automation.exposure import (
    DIAGNOSTICS,
    WING_MOVE,
    Shift,
    bias_level,
    default_widths,
    find_shifts,
    look_at,
    measure_exposure,
    needed_rows,
    without_stars,
)
from slitlapse.automation.night import plan_exposures
from slitlapse.automation.stars import place_stars
from slitlapse.photons import MaskBits
from slitlapse.trace import ProfileTrace


@pytest.fixture(scope="module")
def plan(toy_night):
    night, chosen, calibration = toy_night.night, toy_night.chosen, toy_night.calibration
    (placement,) = place_stars(night, chosen, calibration, [])
    return plan_exposures(night, placement, calibration, None, [])


def exposure(toy, index, light=None):
    """One exposure without noise: sky and stars, or only ``light``."""
    truth = toy.truth
    if light is None:
        light = truth.scene.sky_image.copy()
        for star in truth.stars:
            flux = truth.flux(star.name)[:, index]
            light += truth.scene.star_image(star, flux, truth.offsets[index], truth.fwhms[index])
    sigma = StdDevUncertainty(np.sqrt(np.maximum(light, 0) + 16))
    return CCDData(
        light, unit=u.electron, uncertainty=sigma,
        mask=np.zeros(light.shape, bool), meta={"AMPLVL1": 1000.0, "AMPLVL2": 1003.0},
    )  # fmt: skip


def test_every_star_has_its_measurements_at_every_wavelength(toy_night, plan):
    name = str(toy_night.chosen["science"]["filename"][0])
    found = measure_exposure(plan, name, 60 * u.s)
    for star in ("target", "comparison"):
        assert found[f"{star}/flux_boxcar"].shape == (3, 640)
        for key in ("flux_optimal", "optimal_star", "optimal_sky", "optimal_read", *DIAGNOSTICS):
            assert found[f"{star}/{key}"].shape == (640,), key
        assert found[f"{star}/spatial_shift"].shape == ()


def test_shifts_without_noise_are_those_put_in(toy_night, plan):
    shifts = {i: find_shifts(plan, exposure(toy_night, i)) for i in (1, 8)}
    true = toy_night.truth.offsets
    for name in plan.traces:
        moved = shifts[8][name].offset - shifts[1][name].offset
        assert moved == pytest.approx(true[8] - true[1], abs=0.003)
        wider = shifts[8][name].width_factor / shifts[1][name].width_factor
        assert wider == pytest.approx(toy_night.truth.fwhms[8] / toy_night.truth.fwhms[1], rel=2e-3)


def test_a_star_behind_a_cloud_moves_with_the_others(toy_night, plan):
    truth = toy_night.truth
    star = next(star for star in truth.stars if star.name == "comparison")
    light = truth.scene.sky_image + truth.scene.star_image(
        star, truth.flux("comparison")[:, 3], truth.offsets[3], truth.fwhms[3]
    )
    noise = np.random.default_rng(3).normal(size=light.shape) * np.sqrt(light + 16)
    shifts = find_shifts(plan, exposure(toy_night, 3, light + noise))
    assert shifts["target"].offset == shifts["comparison"].offset
    assert shifts["target"].width_factor == shifts["comparison"].width_factor


def test_an_exposure_without_light_stays_where_it_is(toy_night, plan):
    noise = np.random.default_rng(4).normal(0, 4, plan.read_noise.shape)
    shifts = find_shifts(plan, exposure(toy_night, 0, noise))
    for shift in shifts.values():
        assert shift.offset == 0 and np.isnan(shift.offset_uncertainty)
        assert shift.width_factor == 1


def test_wings_are_taken_off_before_the_sky_is_fitted(toy_night, plan):
    frame = exposure(toy_night, 2)
    shifts = find_shifts(plan, frame)
    views = {name: look_at(plan, name, shifts[name]) for name in plan.traces}
    rest = without_stars(plan, frame, views, shifts).data - toy_night.truth.scene.sky_image
    clear = np.ones(rest.shape, bool)
    for view in views.values():
        clear &= np.abs(np.arange(120)[:, None] - view.centre) > 10
    stars = frame.data - toy_night.truth.scene.sky_image
    assert stars[clear].mean() > 0.3  # electron; what was to be taken off
    assert np.abs(rest[clear].mean()) < 0.05 * stars[clear].mean()
    assert frame.data is not rest


@pytest.mark.parametrize("slope", [0.0, 0.03, 0.1])
def test_wings_of_a_sloped_star_are_drawn_where_they_are(plan, slope):
    rows, x = np.arange(120), np.arange(640)
    trace = ProfileTrace.from_curves((120, 640), 40 + slope * (x - 320), np.full(640, 2.0))
    plan = replace(plan, traces={"star": trace})
    star = CCDData(1e4 * trace.profile(rows), unit=u.electron)
    shifts = {"star": Shift(0.0, 0.01, 1.0)}
    rest = without_stars(plan, star, {"star": look_at(plan, "star", shifts["star"])}, shifts)
    # straight lines between nodes half a pixel apart miss 0.5**2 / 8 of the second derivative
    most = WING_MOVE**2 / 8 / 2.0**2 * star.data.max()
    assert np.abs(rest.data[plan.sky.rows]).max() < 1.1 * most


def test_saturated_pixels_are_reported_where_they_touch_the_aperture(toy_night, plan):
    name = str(toy_night.chosen["science"]["filename"][0])
    row = round(float(plan.traces["target"].trace[300]))
    bad = np.zeros(plan.read_noise.shape, np.uint16)
    bad[row, 300] = bad[row + 30, 400] = MaskBits.saturated
    found = measure_exposure(replace(plan, door=plan.door.with_(bad=bad)), name, 60 * u.s)
    assert list(np.flatnonzero(found["target/saturated"])) == [300]


def test_default_apertures_come_from_the_seeing(plan):
    fwhm = max(np.median(trace.fwhm) for trace in plan.traces.values())
    widths = default_widths(plan.traces)
    assert np.allclose(widths, np.array([2, 3, 4]) * fwhm, atol=0.25)
    assert needed_rows(plan.traces, widths) >= max(widths) / 2 + 3
    assert needed_rows(plan.traces, (60.0,)) >= 33


def test_the_level_is_that_of_all_amplifiers(toy_night):
    assert bias_level(exposure(toy_night, 0)) == 1001.5
    assert np.isnan(bias_level(CCDData(np.zeros((2, 2)), unit=u.electron)))
