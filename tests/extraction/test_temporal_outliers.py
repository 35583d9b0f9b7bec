"""Are hits found, and stars left alone?"""

import numpy as np
import pytest

from slitlapse.extraction import (
    PixelNoise,
    TemporalOutliers,
    gaussian_profile,
    moffat_profile,
    optimal_sums,
)
from slitlapse.extraction.simulate import simulate_star

ROWS, N_TIME = np.arange(29)[:, None], 30
NOISE = PixelNoise(4.0, sky=60.0)


def night(seed, family="moffat", model=moffat_profile, n_x=400, hits=0.0):
    """
    Exposures of a star that drifts, jumps in seeing and transparency and transits in between.

    The flux behind the model of an exposure is extracted from the same, struck, exposure.
    """
    rng, x = np.random.default_rng(seed), np.arange(n_x)
    for number in range(N_TIME):
        centre = 14 + 0.5 * np.sin(x / 100) + rng.uniform(-0.5, 0.5)
        width = 2.1 * rng.choice([0.8, 1, 1.3]) * (1.08 - 0.16 * x / n_x)
        flux = 2e4 * rng.uniform(0.6, 1) * (0.98 if 10 <= number < 20 else 1)
        flux = flux * (1 + 0.3 * np.sin(x / 50))
        kwargs = {"family": family, "sky": 60.0, "read_noise": 4.0}
        star = simulate_star(flux, (29, n_x), centre, width, rng=rng, **kwargs)
        hit = rng.random(star.data.shape) < hits
        data = star.data + hit * rng.uniform(10, 100, hit.shape) * np.sqrt(star.variance)
        profile = model(ROWS, centre, width)
        light = np.maximum(optimal_sums(data, profile, NOISE).flux[0], 0) * profile
        yield (data, light, NOISE.total(light)), hit, profile


def marks_of(exposures, **kwargs):
    outliers = TemporalOutliers(**kwargs)
    marks = [mark for exposure in exposures for mark in outliers.add(*exposure)]
    return marks + outliers.finish()


@pytest.mark.parametrize(
    ("family", "model"),
    [
        ("moffat", moffat_profile),
        ("moffat", gaussian_profile),
        ("asymmetric", gaussian_profile),
    ],
)
def test_hits_are_found_and_false_alarms_are_rare_even_with_the_wrong_profile(family, model):
    exposures, hits, profiles = zip(*night(1, family, model, hits=0.002), strict=True)
    marks, hits = np.array(marks_of(exposures)), np.array(hits)
    assert marks.shape == hits.shape
    assert marks[hits].mean() >= 0.95
    assert marks[~hits].mean() < 1e-4
    core = np.array([profile > 0.3 * profile.max(axis=0) for profile in profiles])
    assert not marks[~hits & core].any()


def test_a_transit_with_sharp_ingress_is_not_changed():
    exposures, _, profiles = zip(*night(2), strict=True)
    marks = marks_of(exposures)
    for (data, _, _), mark, profile in zip(exposures, marks, profiles, strict=True):
        before = optimal_sums(data, profile, NOISE, reject_sigma=None)
        after = optimal_sums(data, profile, NOISE, mark, reject_sigma=None)
        light, error = before.flux[0].sum(), np.sqrt(before.variance[0].sum())
        assert abs(after.flux[0].sum() - light) < 0.02 * error


def test_the_buffer_is_bounded_and_every_exposure_is_answered_once():
    outliers = TemporalOutliers(n_neighbours=2)
    answers = []
    for exposure, _, _ in night(3, n_x=40):
        answers += outliers.add(*exposure)
        assert len(outliers._buffer) <= 5
    answers += outliers.finish()
    assert len(answers) == N_TIME


def test_what_goes_in_is_not_changed():
    exposures = [exposure for exposure, _, _ in night(4, n_x=40, hits=0.01)]
    kept = [exposure[0].copy() for exposure in exposures]
    assert np.any(marks_of(exposures))
    for exposure, before in zip(exposures, kept, strict=True):
        np.testing.assert_array_equal(exposure[0], before)


def test_masked_pixels_are_neither_used_nor_marked():
    data, model = np.full((5, 6), 10.0), np.full((5, 6), 10.0)
    mask = np.zeros((5, 6), bool)
    mask[2, 3] = True
    broken = np.where(mask, 1e6, data)
    outliers = TemporalOutliers(n_neighbours=1)
    marks = []
    for _ in range(4):
        marks += outliers.add(broken, model, model, mask)
    assert not np.any(marks + outliers.finish())


def test_a_single_exposure_has_nothing_to_be_compared_with():
    outliers = TemporalOutliers()
    assert outliers.add(np.ones((3, 4)), np.ones((3, 4)), np.ones((3, 4))) == []
    assert not np.any(outliers.finish())


def test_no_neighbours_is_refused():
    with pytest.raises(ValueError, match="at least 1 neighbour"):
        TemporalOutliers(n_neighbours=0)
