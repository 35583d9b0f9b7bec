"""One offset and one width factor per exposure come back, with honest errors."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from specreduce.tracing import FlatTrace

from slitlapse.trace import (
    ProfileShift,
    ProfileTrace,
    measure_profile_shift,
    star_image,
)

SHAPE = (90, 1024)
X = np.linspace(-1, 1, SHAPE[1])
SHARED = ProfileTrace.from_curves(SHAPE, 45 + 4 * X, 2.0 + 0.2 * X, "moffat", beta=3.0)


def exposure(flux, offset, factor, rng, sky=200.0):
    image = sky + flux * SHARED.profile_image(None, offset, factor)
    return rng.poisson(image) + rng.normal(0, 4, SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("flux", [2e4, 1e3, 150.0])
def test_offset_and_width_factor_are_honest_at_every_brightness(flux):
    rng, n = np.random.default_rng(int(flux)), 400
    short = ProfileTrace.from_curves(
        (64, 256), SHARED.trace[::4] - 14, SHARED.width[::4], "moffat", beta=3.0
    )
    pulls = []
    for _ in range(n):
        offset, factor = rng.uniform(-4, 4), rng.uniform(0.85, 1.2)
        image = rng.poisson(200 + flux * short.profile_image(None, offset, factor))
        image = image + rng.normal(0, 4, image.shape)
        found = measure_profile_shift(image, short, read_noise=4)
        pulls.append(
            [
                (found.offset - offset) / found.offset_uncertainty,
                (found.width_factor - factor) / found.width_factor_uncertainty,
            ]
        )
    pulls = np.array(pulls)
    # 5 per cent, and 3 standard errors of a standard deviation from so many exposures
    assert np.all(abs(pulls.std(axis=0) - 1) < 0.05 + 3 / np.sqrt(2 * n))
    assert np.all(abs(pulls.mean(axis=0)) < 4 / np.sqrt(n))


@pytest.mark.slow
@pytest.mark.parametrize("flux", [2e4, 3e3, 800.0])
def test_shifts_against_a_measured_trace_are_honest_among_each_other(flux):
    rng, squares, n, nights = np.random.default_rng(int(flux)), [], 10, 12
    shape, row, width = (64, 256), SHARED.trace[::4] - 14, SHARED.width[::4]
    for _ in range(nights):
        offsets, factors = rng.uniform(-0.7, 0.7, n), rng.uniform(0.9, 1.15, n)
        truth = [
            star_image(shape, row + o, width * f, flux, profile="moffat", beta=3.0)
            for o, f in zip(offsets, factors, strict=True)
        ]
        frames = [rng.poisson(200 + light) + rng.normal(0, 4, shape) for light in truth]
        shared = ProfileTrace(np.sum(frames, axis=0), 31, 16, read_noise=4 * np.sqrt(n))
        found = [measure_profile_shift(frame, shared, read_noise=4) for frame in frames]
        wrong = np.array([shift.offset for shift in found]) - offsets
        # the reference is noisy too, but this is common to all
        stated = np.array([shift.offset_uncertainty for shift in found])
        squares.append(((wrong - wrong.mean()) / stated) ** 2)
    freedom = nights * (n - 1)
    pull = np.sqrt(np.sum(squares) / freedom)
    assert abs(pull - 1) < 0.05 + 3 / np.sqrt(2 * freedom)


def test_signal_to_noise_50_per_column_gives_0_002_pixels():
    rng = np.random.default_rng(1)
    pixels = np.sqrt(4 * np.pi) * 2.0  # of a Gaussian; flux for S/N = 50 solves F^2 = 2500 V
    flux = 1250 + np.sqrt(1250**2 + 2500 * pixels * 216)
    found = measure_profile_shift(exposure(flux, 1.3, 1.1, rng), SHARED, read_noise=4)
    assert found.offset_uncertainty < 0.004
    assert abs(found.offset - 1.3) < 4 * found.offset_uncertainty


def test_without_noise_there_is_no_bias():
    for offset, factor in ((-6.3, 1.3), (0.0, 1.0), (4.49, 0.8)):
        image = 100 + 1e4 * SHARED.profile_image(None, offset, factor)
        found = measure_profile_shift(image, SHARED, read_noise=4)
        assert abs(found.offset - offset) < 1e-5
        assert abs(found.width_factor - factor) < 1e-5


def test_cosmic_rays_and_masked_columns_change_nothing():
    rng = np.random.default_rng(3)
    image = exposure(3e3, 1.0, 1.05, rng)
    clean = measure_profile_shift(image, SHARED, read_noise=4)
    hit = rng.choice(1024, 51, replace=False)
    image[(SHARED.trace[hit] + rng.uniform(-6, 6, 51)).astype(int), hit] += 1e4
    image[:, 300:320] = np.nan
    mask = np.zeros(SHAPE, bool)
    mask[:, 700:720], image[:, 700:720] = True, 6e4
    found = measure_profile_shift(image, SHARED, read_noise=4, mask=mask)
    assert abs(found.offset - clean.offset) < 2 * clean.offset_uncertainty
    assert abs(found.width_factor - clean.width_factor) < 2 * clean.width_factor_uncertainty


def test_another_profile_than_assumed_keeps_the_offset():
    rng = np.random.default_rng(4)
    image = 200 + star_image(
        SHAPE, np.asarray(SHARED.trace) + 1.7, SHARED.width, 5e3, profile="double"
    )
    image = rng.poisson(image) + rng.normal(0, 4, SHAPE)
    found = measure_profile_shift(image, SHARED, read_noise=4)
    assert abs(found.offset - 1.7) < 4 * found.offset_uncertainty


@pytest.mark.parametrize("offset", [-3.3, 0.4, 3.3])
def test_a_bright_neighbour_is_not_taken_for_the_star(offset):
    rng = np.random.default_rng(3)
    pair = ProfileTrace.from_curves(
        SHAPE, 45 + 4 * X, 2.0 + 0.2 * X, "moffat", beta=3.0, neighbours=[8.0]
    )
    light = 2e3 * SHARED.profile_image(None, offset) + 2e4 * SHARED.profile_image(None, offset + 8)
    image = rng.poisson(200 + light) + rng.normal(0, 4, SHAPE)
    found = measure_profile_shift(image, pair, read_noise=4)
    assert abs(found.offset - offset) < 5 * found.offset_uncertainty < 0.1


def test_what_depends_on_wavelength_is_left_as_a_diagnostic():
    rng = np.random.default_rng(5)
    drift = 0.1 * X  # atmospheric dispersion along the slit
    image = 200 + star_image(
        SHAPE, np.asarray(SHARED.trace) + 1 + drift, SHARED.width, 5e3, profile="moffat", beta=3.0
    )
    image = rng.poisson(image) + rng.normal(0, 4, SHAPE)
    found = measure_profile_shift(image, SHARED, read_noise=4, n_bins=16)
    assert found.offset == pytest.approx(1, abs=0.01)
    rest = found.rest
    pulls = (rest["offset"] - np.interp(rest["x"], np.arange(1024), drift)) / rest[
        "offset_uncertainty"
    ]
    assert abs(pulls.std() - 1) < 4 / np.sqrt(32)
    assert found.rest_chi2 > 10
    assert found.table["offset"].unit == u.pix
    steady = measure_profile_shift(exposure(5e3, 1, 1, rng), SHARED, read_noise=4)
    assert abs(steady.rest_chi2 - 1) < 4 * np.sqrt(2 / 16)


def test_a_model_variance_and_the_scatter_serve_as_noise():
    rng = np.random.default_rng(6)
    image = exposure(2e3, 0.5, 1.0, rng)
    model = 200 + 2e3 * SHARED.profile_image(None, 0.5) + 16
    told = measure_profile_shift(image, SHARED, read_noise=4)
    for found in (
        measure_profile_shift(image, SHARED, variance=model),
        measure_profile_shift(CCDData(image, unit=u.electron), SHARED),
    ):
        assert found.offset_uncertainty == pytest.approx(told.offset_uncertainty, rel=0.05)
        assert abs(found.offset - told.offset) < told.offset_uncertainty


def test_a_measured_trace_serves_every_exposure():
    rng = np.random.default_rng(7)
    offsets = [-1.2, 0.0, 0.8, 2.1]
    frames = [exposure(4e3, offset, 1.0, rng) for offset in offsets]
    shared = ProfileTrace(np.mean(frames, axis=0) * len(frames), 45, read_noise=8)
    found = [measure_profile_shift(frame, shared, read_noise=4) for frame in frames]
    steps = np.diff([shift.offset for shift in found])
    errors = np.hypot(found[0].offset_uncertainty, found[1].offset_uncertainty)
    # against a smeared profile, so symmetric that differences stay right
    assert np.allclose(steps, np.diff(offsets), atol=4 * errors)


@pytest.mark.parametrize("seed", range(6))
def test_a_star_behind_clouds_is_not_made_up(seed):
    rng = np.random.default_rng(seed)
    nothing = measure_profile_shift(exposure(0.0, 0, 1, rng), SHARED, read_noise=4)
    assert not nothing.seen
    assert np.isnan(nothing.offset)
    assert np.isinf(nothing.offset_uncertainty)
    assert nothing.significance < 10
    faint = measure_profile_shift(exposure(30.0, 1, 1, rng), SHARED, read_noise=4)
    assert faint.seen
    assert faint.significance > 10
    assert abs(faint.offset - 1) < 5 * faint.offset_uncertainty


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match="good pixels"):
        measure_profile_shift(np.zeros(SHAPE), SHARED, read_noise=4, mask=np.ones(SHAPE, bool))
    with pytest.raises(TypeError, match="against a ProfileTrace, but got FlatTrace"):
        measure_profile_shift(np.zeros(SHAPE), FlatTrace(np.zeros(SHAPE), 45))
    with pytest.raises(ValueError, match="is in adu"):
        measure_profile_shift(np.zeros(SHAPE) * u.adu, SHARED)


def test_a_shift_is_built_by_hand_and_frozen():
    shift = ProfileShift(0.3, 0.01)
    assert shift.width_factor == 1
    with pytest.raises(AttributeError):
        shift.offset = 1
