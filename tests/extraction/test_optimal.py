"""Is optimal extraction unbiased, honest and at the bound, whatever form its input has?"""

import numpy as np
import pytest
from astropy.modeling.models import Gaussian1D
from astropy.nddata import CCDData
from specreduce.tracing import ArrayTrace, FlatTrace

from slitlapse.extraction import (
    BoxcarExtract,
    EmpiricalProfile,
    PixelNoise,
    ProfileExtract,
    gaussian_profile,
    moffat_profile,
    optimal_sums,
)
from slitlapse.extraction.simulate import add_hits, simulate_star

N = 6000


def bound(profile, variance, mask):
    """Cramer-Rao bound of the flux of one star of known profile."""
    return np.sqrt(1 / (profile**2 / variance * ~mask).sum(axis=0))


@pytest.mark.parametrize("flux", [100.0, 1e3, 1e4, 1e5, 1e6])
def test_pulls_and_scatter_are_at_the_bound_with_bad_pixels(flux):
    rng = np.random.default_rng(int(flux))
    centre = 15 + 0.8 * np.sin(np.arange(N) / 90)
    star = simulate_star(flux, (31, N), centre, 2.0, rng=rng, sky=40.0, read_noise=5.0)
    mask = rng.random(star.data.shape) < 0.01
    data = np.where(mask, rng.choice([-1e6, 1e6, np.nan], mask.shape), star.data)
    sums = optimal_sums(data, star.profile, PixelNoise(5.0, sky=40.0), mask)
    pull = (sums.flux[0] - flux) / np.sqrt(sums.variance[0])
    assert abs(pull.mean()) < 0.03 + 4 / np.sqrt(N)
    assert abs(pull.std() - 1) < 0.03 + 4 / np.sqrt(2 * N)
    scatter = np.std((sums.flux[0] - flux) / bound(star.profile, star.variance, mask))
    assert scatter < 1.015 + 4 / np.sqrt(2 * N)


def test_a_noise_free_tilted_star_comes_back_exactly():
    rows, centre = np.arange(40)[:, None], 14 + 0.004 * np.arange(2000)
    star = 2e4 * gaussian_profile(rows, centre, np.full(2000, 1.7))
    sums = optimal_sums(star, star / 2e4, PixelNoise(4.0, sky=50.0))
    np.testing.assert_allclose(sums.flux[0], 2e4, rtol=1e-9)
    assert not sums.rejected.any()


def test_blended_stars_are_solved_together_at_the_joint_bound():
    rng = np.random.default_rng(2)
    rows, width = np.arange(41)[:, None], np.full(N, 2.0)
    first, gap = 17 + 0.5 * np.sin(np.arange(N) / 60), 1.7 * 2 * 2.3548
    both = np.stack([moffat_profile(rows, first + d, width) for d in (0, gap)])
    truth = np.array([2e4, 8e3])
    light = np.einsum("i,iyx->yx", truth, both)
    data = rng.poisson(light + 30) - 30 + rng.normal(0, 4, light.shape)
    sums = optimal_sums(data, both, PixelNoise(4.0, sky=30.0))
    information = np.einsum("iyx,jyx,yx->xij", both, both, 1 / (light + 30 + 16))
    limit = np.sqrt(np.linalg.inv(information)[:, [0, 1], [0, 1]]).T
    error = (sums.flux - truth[:, None]) / limit
    assert np.all(np.abs(error.mean(axis=1)) < 4 / np.sqrt(N) + 0.01)
    assert np.all(np.abs(sums.flux.mean(axis=1) / truth - 1) < 1e-3)
    assert np.all(error.std(axis=1) < 1.015 + 4 / np.sqrt(2 * N))
    pull = error * limit / np.sqrt(sums.variance)
    assert np.all(np.abs(pull.std(axis=1) - 1) < 0.03 + 4 / np.sqrt(2 * N))


def test_a_local_background_is_solved_with_the_star():
    rng = np.random.default_rng(6)
    star = simulate_star(3e3, (31, N), 15.2, 2.0, rng=rng, sky=60.0, read_noise=4.0)
    slope = 20 + 3 * np.linspace(-1, 1, 31)[:, None]
    noise = PixelNoise(4.0, sky=60.0)
    sums = optimal_sums(star.data + slope, star.profile, noise, background_degree=1)
    pull = (sums.flux[0] - 3e3) / np.sqrt(sums.variance[0])
    assert abs(pull.mean()) < 4 / np.sqrt(N)
    assert abs(pull.std() - 1) < 0.03 + 4 / np.sqrt(2 * N)
    # the mean of N columns is known to about 1 electron / sqrt(N) per pixel
    np.testing.assert_allclose(sums.background.mean(axis=1), [20, 3], atol=0.3)


def test_a_weight_map_is_enough():
    rng = np.random.default_rng(5)
    star = simulate_star(2e3, (31, N), 15.2, 2.0, rng=rng, sky=400.0)
    weight = 1 / star.variance
    weight[rng.random(weight.shape) < 0.02] = 0
    data = np.where(weight > 0, star.data, 1e9)
    with np.errstate(divide="ignore"):
        sums = optimal_sums(data, star.profile, PixelNoise(variance=1 / weight))
    pull = (sums.flux[0] - 2e3) / np.sqrt(sums.variance[0])
    assert abs(pull.std() - 1) < 0.03 + 4 / np.sqrt(2 * N)
    assert set(name for name, v in sums.variances.items() if v.any()) == {"read"}


def test_a_column_without_good_pixels_is_not_a_number():
    profile = gaussian_profile(np.arange(21)[:, None], np.full(3, 10.0), np.full(3, 2.0))
    mask = np.zeros((21, 3), bool)
    mask[:, 1] = True
    sums = optimal_sums(100 * profile, profile, PixelNoise(3.0), mask)
    np.testing.assert_array_equal(np.isnan(sums.flux[0]), [False, True, False])
    np.testing.assert_array_equal(np.isnan(sums.variance[0]), [False, True, False])


def test_profiles_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="cover \\(20, 3\\) pixels but the data \\(21, 3\\)"):
        optimal_sums(np.zeros((21, 3)), np.zeros((20, 3)), PixelNoise(3.0))


def test_single_precision_is_precise_enough():
    rng = np.random.default_rng(8)
    star = simulate_star(1e6, (31, 2048), 15.2, 2.0, rng=rng, sky=60.0, read_noise=4.0)
    noise = PixelNoise(4.0, sky=60.0)
    double = optimal_sums(star.data, star.profile, noise)
    single = optimal_sums(star.data.astype(np.float32), star.profile, noise)
    assert single.flux.dtype == np.float32
    error = np.sqrt(double.variance)
    assert np.abs((single.flux - double.flux) / error).max() < 0.01
    np.testing.assert_allclose(single.variance, double.variance, rtol=1e-4)


@pytest.mark.parametrize(
    "profile",
    ["gaussian", gaussian_profile, Gaussian1D(1, 0, 1), "an array"],
    ids=["name", "function", "model", "array"],
)
def test_the_class_takes_a_profile_in_any_form(profile):
    rows = np.arange(40)[:, None]
    truth = gaussian_profile(rows, np.linspace(18, 19, 40), np.full(40, 2.0))
    trace = ArrayTrace(truth, np.linspace(18, 19, 40))
    profile = truth if profile == "an array" else profile
    extract = ProfileExtract(1e4 * truth, trace, 2.0, profile, noise=PixelNoise(3.0))
    np.testing.assert_allclose(extract.spectrum.flux.value, 1e4, rtol=1e-6)


def test_a_moffat_by_name_is_the_moffat_profile():
    rows, centre = np.arange(60)[:, None], np.full(30, 29.6)
    star = 1e4 * moffat_profile(rows, centre, np.full(30, 2.0), 2.5)
    extract = ProfileExtract(
        star, FlatTrace(star, 29.6), 2.0, "moffat", beta=2.5, noise=PixelNoise(3.0)
    )
    np.testing.assert_allclose(extract().flux.value, 1e4, rtol=1e-9)


def test_two_traces_give_two_spectra_and_nothing_is_changed():
    rows = np.arange(50)[:, None]
    parts = [gaussian_profile(rows, np.full(30, c), np.full(30, 2.0)) for c in (20.0, 27.0)]
    ccd = CCDData(1e4 * parts[0] + 5e3 * parts[1], unit="electron")
    ccd.mask = np.zeros(ccd.shape, bool)
    ccd.mask[21, 5], ccd.data[21, 5] = True, np.nan
    kept = ccd.copy()
    traces = [FlatTrace(ccd, 20.0), FlatTrace(ccd, 27.0)]
    spectrum = ProfileExtract(ccd, traces, 2.0, noise=PixelNoise(3.0))()
    np.testing.assert_allclose(spectrum.flux.value, [[1e4] * 30, [5e3] * 30], rtol=1e-6)
    np.testing.assert_array_equal(ccd.data, kept.data)
    np.testing.assert_array_equal(ccd.mask, kept.mask)


def test_the_other_orientation_passes_the_door():
    star = 1e4 * gaussian_profile(np.arange(40)[:, None], np.full(50, 19.7), np.full(50, 2.0))
    trace = FlatTrace(star, 19.7)
    turned = ProfileExtract(
        star.T, trace, 2.0, noise=PixelNoise(3.0), disp_axis=0, crossdisp_axis=1
    )
    np.testing.assert_allclose(turned().flux.value, 1e4, rtol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"noise": None}, "need a noise model"),
        ({"width": None}, "no width and none was given"),
        ({"profile": "airy"}, "profile is 'airy'"),
        ({"mask_treatment": "nan_fill"}, "mask_treatment is 'nan_fill'"),
    ],
)
def test_wrong_choices_are_named(kwargs, match):
    image = np.zeros((40, 5))
    with pytest.raises(ValueError, match=match):
        ProfileExtract(
            image, FlatTrace(image, 20), **{"width": 2.0, "noise": PixelNoise(3.0), **kwargs}
        )()


def night(family, n_time=40, n_x=1024, seed=3):
    """Exposures of a star that drifts, breathes and is hit; centres and widths are measured."""
    rng, x = np.random.default_rng(seed), np.arange(n_x)
    flux = 2e4 * (1 + 0.3 * np.sin(x / 200))
    for _ in range(n_time):
        centre = 25 + 1.5 * np.sin(x / 500) + rng.uniform(-0.5, 0.5)
        width = 2.1 * rng.uniform(0.85, 1.15) * (1.08 - 0.16 * x / n_x)
        kwargs = {"family": family, "sky": 60.0, "read_noise": 4.0}
        star = simulate_star(flux, (51, n_x), centre, width, rng=rng, **kwargs)
        mask = rng.random(star.data.shape) < 0.01
        data = np.where(mask, 3e4, add_hits(star.data, 4, rng=rng)[0])
        # the photons settle a rigid shift to 0.0005 px and the width to as much
        yield flux, data, mask, centre + rng.normal(0, 5e-4), width * (1 + rng.normal(0, 5e-4))


@pytest.mark.parametrize("family", ["gaussian", "moffat", "asymmetric"])
def test_light_curves_are_at_the_photon_noise_with_a_profile_learned_from_the_night(family):
    flux, frames, masks, centres, widths = zip(*night(family), strict=True)
    rows = np.arange(51)[:, None]
    learn = slice(0, 10)
    profile = EmpiricalProfile.from_cutouts(
        frames[learn], [rows] * 10, centres[learn], widths[learn], masks=masks[learn]
    )
    noise = PixelNoise(4.0, sky=60.0)
    light, limit, pulls = [], [], []
    for data, mask, centre, width in zip(frames, masks, centres, widths, strict=True):
        sums = optimal_sums(data, profile(rows, centre, width), noise, mask)
        light.append(sums.flux[0].reshape(16, -1).sum(axis=1))
        limit.append(sums.variance[0].reshape(16, -1).sum(axis=1))
        pulls.append((sums.flux[0] - flux[0]) / np.sqrt(sums.variance[0]))
    light, limit = np.array(light), np.array(limit)
    scatter = np.sqrt((light.var(axis=0, ddof=1) / limit.mean(axis=0)).mean())
    assert scatter < 1.05 + 4 / np.sqrt(2 * 16 * 39)  # bins of 64 columns
    white = light.sum(axis=1).std(ddof=1) / np.sqrt(limit.sum(axis=1).mean())
    assert white < 1.05 + 4 / np.sqrt(2 * 39)
    assert np.mean(np.abs(pulls) > 5) <= 1e-3
    # a Moffat star has 0.1 % of its light beyond the curve that was learned
    assert abs(np.sum(light) / np.sum(flux) - 1) < (2e-3 if family == "moffat" else 3e-4)


def test_a_trace_that_knows_its_profile_is_believed():
    from slitlapse.trace import ProfileTrace

    rows, centre, width = np.arange(60)[:, None], np.linspace(28, 31, 80), np.full(80, 2.0)
    star = 1e4 * moffat_profile(rows, centre, width, 2.5)
    trace = ProfileTrace.from_curves(star, centre, width, profile="moffat", beta=2.5)
    optimal = ProfileExtract(star, trace, noise=PixelNoise(3.0)).spectrum
    # a trace may integrate over pixels by another rule than ours: its own accuracy counts
    np.testing.assert_allclose(optimal.flux.value, 1e4, rtol=2e-4)
    boxcar = BoxcarExtract(star, trace, width=12, light_outside="correct").spectrum
    np.testing.assert_allclose(boxcar.flux.value, 1e4, rtol=2e-4)
