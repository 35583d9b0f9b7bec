"""Are hits found, and stars left alone?"""

import numpy as np
import pytest

from slitlapse.extraction import TemporalOutliers, gaussian_profile

ROWS = np.arange(25)[:, None]


def night(rng, n_time=24, n_x=300, transit=False):
    """Exposures of one star that drifts, breathes and, if asked, transits: model and data."""
    for number in range(n_time):
        centre = np.full(n_x, 12 + rng.uniform(-0.5, 0.5))
        width = np.full(n_x, rng.uniform(1.7, 2.4))
        dimming = 0.98 if transit and n_time // 3 <= number < 2 * n_time // 3 else 1.0
        flux = 2e4 * dimming * rng.uniform(0.7, 1.0)
        model = flux * gaussian_profile(ROWS, centre, width)
        variance = model + 60
        yield model + rng.normal(size=model.shape) * np.sqrt(variance), model, variance


def marks_of(exposures, **kwargs):
    outliers = TemporalOutliers(**kwargs)
    marks = [mark for exposure in exposures for mark in outliers.add(*exposure)]
    return marks + outliers.finish()


def test_hits_are_found_and_false_alarms_are_rare():
    rng = np.random.default_rng(1)
    exposures, hits = [], []
    for data, model, variance in night(rng):
        hit = rng.random(data.shape) < 0.002
        size = rng.uniform(10, 60, data.shape) * np.sqrt(variance + (0.02 * model) ** 2)
        exposures.append((data + hit * size, model, variance))
        hits.append(hit)
    marks = np.array(marks_of(exposures))
    hits = np.array(hits)
    assert marks.shape == hits.shape
    assert marks[hits].mean() >= 0.95
    assert marks[~hits].mean() < 1e-4


def test_a_transit_with_sharp_ingress_and_jumps_of_seeing_are_never_flagged():
    marks = np.array(marks_of(night(np.random.default_rng(2), transit=True)))
    assert marks.mean() < 1e-4


def test_the_buffer_is_bounded_and_every_exposure_is_answered_once():
    outliers = TemporalOutliers(n_neighbours=2)
    answers = []
    for exposure in night(np.random.default_rng(3), n_time=15, n_x=20):
        answers += outliers.add(*exposure)
        assert len(outliers._buffer) <= 5
    answers += outliers.finish()
    assert len(answers) == 15


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


def test_no_neighbours_is_refused():
    with pytest.raises(ValueError, match="at least 1 neighbour"):
        TemporalOutliers(n_neighbours=0)
