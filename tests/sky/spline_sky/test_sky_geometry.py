"""Tests of splines in the effective pixel."""

import numpy as np
import pytest
from scipy.interpolate import make_lsq_spline
from scipy.special import ndtr

from slitlapse.sky import IlluminationWarning, SkyGeometry, measure_sky_tilt
from slitlapse.sky.simulate import sky_scene

READ_NOISE = 4.0
N_Y, N_X = 160, 500
Y, X = np.mgrid[:N_Y, :N_X].astype(float)
SLIT = (Y - 79.5) / 79.5
EFFECTIVE = X - 3 * SLIT + 1.5 * SLIT**2 + 0.3 * np.sin(X / 100) * SLIT
STAR = np.abs(Y - 70) < 16
APERTURE = (np.abs(Y - 70) <= 8).astype(float)


def spectrum(u, seed=0):
    """Return sky lines of 1.5 pixels sigma on a continuum, integrated over pixels."""
    rng = np.random.default_rng(seed)
    total = np.full(u.shape, 60.0)
    for centre, flux in zip(rng.uniform(20, 480, 15), 10 ** rng.uniform(2, 4.3, 15), strict=True):
        total += flux * (ndtr((u - centre + 0.5) / 1.5) - ndtr((u - centre - 0.5) / 1.5))
    return total


SKY = spectrum(EFFECTIVE) * (1 + 0.05 * SLIT)


def observe(seed):
    """Return one noisy exposure with a star and cosmic rays, and where these are."""
    rng = np.random.default_rng(seed)
    data = rng.poisson(SKY + 3000 * np.exp(-0.5 * ((Y - 70) / 2.5) ** 2)) * 1.0
    data += rng.normal(0, READ_NOISE, SKY.shape)
    hit = rng.random(SKY.shape) < 1e-3
    return data + hit * rng.uniform(500, 50000, SKY.shape), hit


@pytest.fixture(scope="module")
def geometry():
    start = SkyGeometry(EFFECTIVE, ~STAR)
    return start.weighted(start.fit(observe(100)[0], READ_NOISE**2).variance)


def test_without_noise_only_the_finite_knots_are_felt(geometry):
    fit = geometry.fit(SKY, 1.0, sigma=None)
    # what scipy's splines with such knots leave of finely sampled lines, wherever the knots lie
    u, h = np.arange(0, 500, 0.1), geometry.knot_spacing
    limit = 0.0
    for phase in h * np.arange(5) / 5:
        knots = np.r_[[u[0]] * 6, np.arange(20 + phase, 480, h), [u[-1]] * 6]
        best = make_lsq_spline(u, spectrum(u), knots, 5)
        limit = max(limit, np.abs(best(u) - spectrum(u))[500:-500].max())
    # the slit is up to 5 per cent brighter than its middle; the star's rows are extrapolated
    inner = fit.good & (EFFECTIVE > 20) & (EFFECTIVE < 480)
    assert np.abs(fit.model - SKY)[inner].max() < 1.3 * limit
    assert np.abs(fit.model - SKY)[fit.good].max() < 1e-4 * SKY.max()


def test_residuals_are_photon_noise_on_and_between_lines(geometry):
    for seed in range(3):
        data, hit = observe(seed)
        fit = geometry.fit(data, READ_NOISE**2)
        pull = (data - fit.model) / np.sqrt(SKY + READ_NOISE**2)
        line = SKY > 200
        for where in (line, ~line):
            select = where & ~STAR & ~hit & fit.good
            assert abs(pull[select].std() - 1) < 0.03
            assert abs(pull[select].mean()) < 0.02


def test_cosmic_rays_are_rejected_and_good_pixels_kept(geometry):
    data, hit = observe(1)
    fit = geometry.fit(data, READ_NOISE**2)
    sky = geometry.sky_pixels
    assert not (fit.used & ~sky).any()
    faint_line = np.abs(data - SKY) < 6.5 * np.sqrt(SKY + READ_NOISE**2)
    assert not (fit.used & hit & ~faint_line).any()
    assert (sky & ~fit.used & ~hit).sum() <= 2


@pytest.mark.parametrize("seed", range(4))
def test_a_long_hit_in_a_narrow_window_is_rejected(seed):
    rng, rows = np.random.default_rng(seed), slice(20, 54)
    sky = SKY[rows]
    hit = np.zeros(sky.shape, dtype=bool)
    for step in range(6):  # over 6 of the 34 rows, and not even across the lines
        hit[8 + step, 200 + 30 * seed + step // 4 :][:2] = True
    data = rng.poisson(sky) + rng.normal(0, READ_NOISE, sky.shape)
    data = data + hit * rng.uniform(300, 3000, sky.shape)
    fit = SkyGeometry(EFFECTIVE[rows], np.ones(sky.shape, dtype=bool)).fit(data, READ_NOISE**2)
    noise = np.sqrt(sky + READ_NOISE**2)
    assert not (fit.used & hit & (data - sky > 10 * noise)).any()
    # known from 34 rows by 3 / 0.9 numbers a column, more at the ends of the slit
    assert np.abs((fit.model - sky) / noise)[:, 10:-10].max() < 5


def test_leaving_pixels_out_is_the_exact_least_squares_solution(geometry):
    data, hit = observe(2)
    quick = geometry.fit(data, READ_NOISE**2, mask=hit, sigma=None)
    slow = SkyGeometry(EFFECTIVE, ~STAR & ~hit, knot_spacing=geometry.knot_spacing).weighted(
        geometry.variance
    )
    direct = slow.fit(data, READ_NOISE**2, sigma=None)
    good = quick.good & direct.good
    noise = np.sqrt(SKY + READ_NOISE**2)
    assert np.abs((quick.model - direct.model) / noise)[good].max() < 0.01


def test_many_missing_pixels_are_left_out_too(geometry):
    data, hit = observe(2)
    mask = hit | (Y < 60)
    quick = geometry.fit(data, READ_NOISE**2, mask=mask, sigma=None)
    slow = SkyGeometry(EFFECTIVE, ~STAR & ~mask, knot_spacing=geometry.knot_spacing).weighted(
        geometry.variance
    )
    direct = slow.fit(data, READ_NOISE**2, sigma=None)
    noise = np.sqrt(SKY + READ_NOISE**2)
    select = quick.good & direct.good & (Y > 65) & (np.abs(X - 250) < 235)
    assert np.abs((quick.model - direct.model) / noise)[select].max() < 0.02


def test_the_variance_of_an_aperture_is_honest(geometry):
    pulls, on_lines = [], []
    line = SKY[70] > 200
    inner = (X[0] > 8) & (X[0] < N_X - 9)
    for seed in range(12):
        fit = geometry.fit(observe(seed)[0], READ_NOISE**2)
        error = np.sum(APERTURE * (fit.model - SKY), axis=0)
        pull = error / np.sqrt(fit.aperture_variance(APERTURE))
        pulls.append(pull[inner & ~line])
        on_lines.append(pull[inner & line])
    # neighbouring columns share splines: about one independent value in two columns
    tolerance = 4 / np.sqrt(2 * np.size(pulls) / 2)
    assert abs(np.std(pulls) - 1) < tolerance
    assert abs(np.mean(pulls)) < 4 / np.sqrt(np.size(pulls) / 2)
    assert abs(np.std(on_lines) - 1) < 0.1


def test_untilted_lines_work_with_one_knot_per_pixel():
    sky = spectrum(X + 0.37) * (1 + 0.05 * SLIT)
    geometry = SkyGeometry(X + 0.37, ~STAR)
    fit = geometry.fit(sky, 1.0, sigma=None)
    np.testing.assert_allclose(fit.model, sky, rtol=1e-4)
    with pytest.raises(ValueError, match="not tilted enough"):
        SkyGeometry(X, ~STAR, knot_spacing=0.5)


def test_a_dead_column_without_tilt_is_unknown():
    sky = ~STAR & (X != 200)
    fit = SkyGeometry(X, sky).fit(spectrum(X), 1.0)
    assert not fit.good[:, 200].any()
    assert fit.good[:, :200].all()
    assert np.isnan(fit.aperture_variance(APERTURE)[200])
    assert np.isfinite(np.delete(fit.aperture_variance(APERTURE), 200)).all()


def test_a_dead_column_with_tilt_is_known_from_its_neighbours():
    sky = ~STAR & (X != 200)
    fit = SkyGeometry(EFFECTIVE, sky).fit(SKY, 1.0)
    assert fit.good[:, 195:206].all()
    noise = np.sqrt(SKY + READ_NOISE**2)
    assert np.abs((fit.model - SKY) / noise)[:, 200].max() < 0.3


def test_one_spectrum_times_the_illumination_is_found_and_halves_the_noise(geometry):
    fit = geometry.fit(observe(50)[0], READ_NOISE**2)
    single = geometry.with_illumination(fit)
    assert single.spatial_degree == 0
    assert single.illumination_misfit < 1.3
    # a pixel of the continuum has 15 % of noise; 6e4 of them determine 9 numbers
    ratio = single.illumination / (1 + 0.05 * SLIT)
    assert np.std(ratio / ratio.mean()) < 2 * 0.15 * np.sqrt(9 / 6e4)
    errors, pulls = [], []
    line, inner = SKY[70] > 200, np.abs(X[0] - 250) < 235
    for seed in range(6):
        data = observe(seed)[0]
        fits = [used.fit(data, READ_NOISE**2) for used in (geometry, single)]
        error = [np.sum(APERTURE * (fit.model - SKY), axis=0)[inner & ~line] for fit in fits]
        errors.append(error)
        told = np.sqrt(fits[1].aperture_variance(APERTURE))[inner & ~line]
        pulls.append(error[1] / told)
    variances = np.mean(np.square(errors), axis=(0, 2))
    # near the middle of the slit a quadratic has the leverage of 9 / 4 constants
    assert variances[1] < variances[0] / 1.5
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * np.size(pulls) / 2)


def test_a_sky_that_is_not_one_spectrum_is_told(geometry):
    nebula = 2000 * np.exp(-0.5 * ((EFFECTIVE - 300) / 1.5) ** 2) * (0.3 - SLIT)
    data = np.random.default_rng(1).poisson(SKY + np.maximum(nebula, 0)) * 1.0
    fit = geometry.fit(data, READ_NOISE**2)
    with pytest.warns(IlluminationWarning, match="Keep the polynomials"):
        geometry.with_illumination(fit)


@pytest.mark.slow
def test_the_sky_under_two_stars_is_known_to_a_seventh_of_its_noise():
    # where specreduce's two-sided background leaves 0.4 and 1.2 (tests/benchmarks)
    scene = sky_scene(rng=np.random.default_rng(3), brightest=1500.0)
    sky, read = scene.far_from_stars(22), scene.read_noise**2
    first = scene.observe(np.random.default_rng(100))[0]
    effective = measure_sky_tilt(first, sky).effective_pixel()  # no arcs
    geometry = SkyGeometry(effective, sky)
    geometry = geometry.weighted(geometry.fit(first, read).variance)
    geometry = geometry.with_illumination(geometry.fit(first, read))
    noise = np.sqrt(scene.sky + read)
    line = scene.sky > 1.5 * np.median(scene.sky)
    inner = np.abs(np.arange(2048) - 1023.5) < 1014
    residuals, errors, on_lines = [], [], []
    for seed in range(3):
        data, hit = scene.observe(np.random.default_rng(seed))
        fit = geometry.fit(data, read)
        pull = (data - fit.model) / noise
        select = sky & inner & ~hit & fit.good
        residuals.append([pull[select & line].std(), pull[select & ~line].std()])
        for star in range(2):
            aperture = scene.aperture(star)
            error = np.sum(aperture * (fit.model - scene.sky), axis=0)
            error /= np.sqrt(np.sum(aperture * scene.variance, axis=0))
            on = np.sum(aperture * line, axis=0) > 8
            errors.append(error[inner].std())
            on_lines.append(error[inner & on].std())
    assert np.max(residuals) <= 1.03
    assert np.max(errors) <= 0.15
    assert np.mean(on_lines) <= 0.2


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="has shape"):
        SkyGeometry(X, np.ones((3, 3), dtype=bool))
    with pytest.raises(ValueError, match="No sky pixel"):
        SkyGeometry(X, np.zeros(X.shape, dtype=bool))


def test_an_aperture_that_leaves_the_measured_sky_is_unknown_there_and_only_there():
    sky = Y > 40  # the tilt takes the rows below out of what the splines saw
    fit = SkyGeometry(EFFECTIVE, sky).fit(SKY, 1.0)
    variance = fit.aperture_variance((Y < 16).astype(float))
    supported = fit.geometry.supported[:16].all(axis=0)
    assert 0 < np.count_nonzero(~supported) < 20
    assert np.array_equal(np.isfinite(variance), supported)
