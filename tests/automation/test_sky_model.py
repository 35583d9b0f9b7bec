from dataclasses import replace

import numpy as np
import pytest

from slitlapse.automation import NightError
from slitlapse.automation.exposure import default_widths, needed_rows
from slitlapse.automation.sky_model import plan_sky
from slitlapse.automation.stars import place_stars
from slitlapse.automation.wavelengths import solve_night
from slitlapse.sky import SkyGeometry, SkyTilt, SkyWindowWarning

FROM_ARC = object()


@pytest.fixture(scope="module")
def scene(toy_night):
    """Placement, tilt and read noise of the toy night."""
    toy = toy_night
    (placement,) = place_stars(toy.night, toy.chosen, toy.calibration, [])
    _, tilt = solve_night(toy.night, toy.chosen, toy.calibration, [placement], [])
    return placement, tilt, toy.calibration.door.read_noise(placement.filenames[0])


def plan(toy, scene, notes=None, tilt=FROM_ARC, placement=None, **changes):
    """Plan the sky of the toy night, with changes to its night file."""
    found, from_arc, read_noise = scene
    placement = found if placement is None else placement
    half_rows = needed_rows(placement.traces, default_widths(placement.traces))
    night = replace(toy.night, **changes)
    return plan_sky(
        night, placement, toy.calibration, read_noise, from_arc if tilt is FROM_ARC else tilt,
        half_rows, [] if notes is None else notes,
    )  # fmt: skip


def empty_exposure(toy, seed):
    """The sky of the toy night's truth, without stars, as one exposure shows it."""
    truth, rng = toy.truth.scene.sky_image, np.random.default_rng(seed)
    frame = toy.calibration.door.electrons(str(toy.chosen["science"]["filename"][0]), "science")
    sensitivity = toy.calibration.door.sensitivity.sensitivity
    read_noise = toy.calibration.door.read_noise(str(toy.chosen["science"]["filename"][0]))
    counts = rng.poisson(truth * sensitivity) + rng.normal(0, read_noise)
    frame = frame.copy()
    frame.data = counts / sensitivity
    frame.mask = np.zeros(counts.shape, bool)
    return frame, truth


def judge(toy, plan, seeds=range(4)):
    """Errors of the sky summed under each star: over what is told, and over the photon noise."""
    told, noise = [], []
    rows = np.arange(120)[:, None]
    for seed in seeds:
        frame, truth = empty_exposure(toy, seed)
        models = plan.fit(frame, dict.fromkeys(plan.pixels))
        for star in toy.truth.stars:
            aperture = 1.0 * (np.abs(rows - toy.truth.scene.trace(star)) < 5)
            model = models[star.name]
            error = np.nansum(aperture * (model.image - truth), axis=0)
            known = ~np.isnan(np.where(aperture > 0, model.image, 0)).any(axis=0)
            variance = model.aperture_variance(aperture)
            sky = np.sum(aperture * (truth + np.median(plan.variance)), axis=0)
            known &= np.isfinite(variance)
            told.append((error / np.sqrt(variance))[known])
            noise.append((error / np.sqrt(sky))[known])
    return np.array([np.concatenate(part) for part in (told, noise)])


def test_the_tilted_sky_is_one_spectrum_as_well_known_as_its_pixels_tell(toy_night, scene):
    notes = []
    made = plan(toy_night, scene, notes)
    assert made.method == "tilted"
    assert made.geometry.spatial_degree == 0
    assert not notes
    told, noise = judge(toy_night, made)
    free = SkyGeometry(scene[1][made.rows], made.geometry.sky_pixels, spatial_degree=2)
    free = free.weighted(made.geometry.variance)
    row = round(toy_night.truth.stars[0].row) - made.rows.start
    aperture = np.zeros(free.sky_pixels.shape)
    aperture[row - 4 : row + 5] = 1.0
    # near the middle of the slit a polynomial of degree 2 has the leverage of 9 / 4 constants
    gain = free.aperture_variance(aperture) / made.geometry.aperture_variance(aperture)
    assert np.nanmedian(gain) > 1.5
    # neighbouring columns share their error
    assert told.std() == pytest.approx(1, abs=4 / np.sqrt(2 * told.size / 2))
    assert abs(noise.mean()) < 0.05


def test_the_whole_lit_slit_but_the_stars_shows_the_sky(toy_night, scene):
    made = plan(toy_night, scene)
    used = made.geometry.sky_pixels
    rows = np.arange(made.rows.start, made.rows.stop)[:, None]
    lit = toy_night.calibration.illuminated.mask[made.rows]
    away = np.min(
        [np.abs(rows - np.asarray(t.trace)) / t.width for t in scene[0].traces.values()], axis=0
    )
    good = ~scene[0].image.mask[made.rows]
    assert np.array_equal(used, lit & good & (away >= 6))
    text = made.windows["target"].to_text()
    assert text == f"SkyWindows(rows=[[{made.rows.start - 0.5}, {made.rows.stop - 0.5}]])"


def test_windows_of_the_night_file_are_used(toy_night, scene):
    made = plan(toy_night, scene, sky_windows=[[-24.0, -14.0], [14.0, 22.0]])
    assert made.windows["target"].to_text() == "SkyWindows(offsets=[[-24.0, -14.0], [14.0, 22.0]])"
    rows = np.arange(120)[:, None]
    away = rows - np.asarray(scene[0].traces["target"].trace)
    assert not made.pixels["target"][(np.abs(away) < 14) | (away < -24) | (away > 22)].any()
    # the model of both stars is fitted to the windows of both
    both = made.pixels["target"] | made.pixels["comparison"]
    assert not (made.geometry.sky_pixels & ~both[made.rows]).any()
    told, _ = judge(toy_night, made, seeds=range(2))
    assert told.std() == pytest.approx(1, abs=0.1)


def test_without_an_arc_the_sky_lines_tell_the_tilt(toy_night, scene):
    notes = []
    made = plan(toy_night, scene, notes, tilt=None)
    assert made.method == "tilted"
    assert len(notes) == 1
    assert notes[0].startswith("Without an arc the tilt of the lines was measured on the sky lines")
    told, noise = judge(toy_night, made)
    assert told.std() == pytest.approx(1, abs=4 / np.sqrt(2 * told.size / 2))
    assert abs(noise.mean()) < 0.05


def test_without_arc_and_sky_lines_the_sky_is_a_polynomial_and_a_note_says_so(toy_night, scene):
    placement = scene[0]
    image = placement.image.copy()
    sky = np.median(image.data[toy_night.calibration.illuminated.mask])
    noise = np.random.default_rng(1).normal(0, 3, image.data.shape)
    light = sum(3e3 * trace.profile_image(image.data.shape) for trace in placement.traces.values())
    image.data = sky + noise + light
    notes = []
    made = plan(toy_night, scene, notes, tilt=None, placement=replace(placement, image=image))
    assert made.method == "polynomial"
    assert len(notes) == 1
    assert "a straight line along the slit, column by column" in notes[0]
    assert "too little for a tilt" in notes[0]


@pytest.mark.parametrize(("method", "penalty"), [("polynomial", 1.0), ("median", np.pi / 2)])
def test_column_by_column_is_possible_and_honest(toy_night, scene, method, penalty):
    made = plan(toy_night, scene, sky_method=method)
    assert made.method == method
    # the lines are tilted: judge where there are none
    frame, truth = empty_exposure(toy_night, 3)
    models = made.fit(frame, dict.fromkeys(made.pixels))
    flat = np.ptp(truth[20:100], axis=0) < 0.15 * np.median(truth)
    assert flat.sum() > 50
    rows = np.arange(120)[:, None]
    star = toy_night.truth.stars[1]
    aperture = 1.0 * (np.abs(rows - toy_night.truth.scene.trace(star)) < 5)
    variance = models[star.name].aperture_variance(aperture)[flat]
    n_sky = np.median(made.pixels[star.name].sum(axis=0))
    if method == "median":
        expected = 81 * penalty / n_sky * np.median(truth + made.variance)
        assert np.median(variance) == pytest.approx(expected, rel=0.25)
    error = np.nansum(aperture * (models[star.name].image - truth), axis=0)[flat]
    if method == "polynomial":
        pull = error / np.sqrt(variance)
        assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * pull.size) + 0.1)


def test_windows_on_one_side_reach_the_star(toy_night, scene):
    made = plan(toy_night, scene, sky_method="median", sky_windows=[[12.0, 20.0]])
    frame, _ = empty_exposure(toy_night, 5)
    models = made.fit(frame, dict.fromkeys(made.pixels))
    for star in toy_night.truth.stars:
        path = np.rint(toy_night.truth.scene.trace(star)).astype(int)
        here = models[star.name].image[path, np.arange(path.size)]
        assert np.isfinite(here).mean() > 0.98


def test_windows_off_the_slit_name_the_file_and_the_star(toy_night, scene):
    with pytest.raises(
        NightError, match=r"night\.toml: \[sky\] windows of star .* no pixel of sky"
    ):
        plan(toy_night, scene, sky_windows=[[300.0, 320.0]])


def test_a_window_on_the_star_is_cut_and_said(toy_night, scene):
    with pytest.warns(SkyWindowWarning, match="closer than"):
        plan(toy_night, scene, sky_windows=[[-20.0, 20.0]])


def test_a_slit_full_of_stars_is_refused(toy_night, scene):
    placement = scene[0]
    wide = {}
    for name, trace in placement.traces.items():
        wide[name] = type(trace).from_curves((120, 640), np.asarray(trace.trace), 15.0)
    with pytest.raises(NightError, match=r"night\.toml: \[sky\] no pixel is farther than 6 widths"):
        plan(toy_night, scene, placement=replace(placement, traces=wide))


def test_a_sky_that_is_no_product_keeps_polynomials_and_a_note_says_so(toy_night, scene):
    placement, tilt, _ = scene
    image = placement.image.copy()
    rows = np.arange(120)[:, None]
    nebula = 4000 * np.exp(-0.5 * ((tilt - 300) / 1.5) ** 2) * np.clip((rows - 20) / 80, 0, 1)
    image.data = image.data + nebula
    notes = []
    made = plan(toy_night, scene, notes, placement=replace(placement, image=image))
    assert made.geometry.spatial_degree == 2
    assert "not one spectrum times the illumination" in notes[0]


def test_lines_that_have_moved_since_the_arc_are_followed_and_noted(toy_night, scene):
    moved = scene[1] + SkyTilt([[1.0]], [[0.0]], scene[1].shape).displacement()
    notes = []
    made = plan(toy_night, scene, notes, tilt=moved)
    assert made.geometry.spatial_degree == 0
    (note,) = notes
    assert "otherwise than those of the arcs" in note
    # 2 px over 120 rows, 103 of which are lit
    assert float(note.split("up to ")[1].split()[0]) == pytest.approx(2 * 102 / 119, abs=0.1)
