import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation.binning import (
    average_exposures,
    bin_edges,
    overlap_matrix,
    pixel_edges,
    sum_in_bins,
    time_weights,
)


def curved(n=200):
    x = np.arange(n)
    return (4000 + 2.0 * x + 1e-4 * x**2) * u.AA


def test_errors_that_go_together_are_summed_with_their_covariance():
    rng = np.random.default_rng(4)
    n, rho = 12, np.zeros((2, 12))
    rho[0, :-1], rho[1, :-2] = -0.4, rng.uniform(0, 0.2, 10)
    variance = rng.uniform(1, 5, (n, 3))
    mask = np.zeros((n, 3), bool)
    mask[5, 1] = True
    weights = overlap_matrix(np.arange(n + 1.0), np.array([0.0, 4.3, 4.8, 12.0]))
    flux = np.full((n, 3), 100.0)
    variances = {"fit": variance, "other": variance}
    _, sums, lost = sum_in_bins(weights, flux, variances, mask, {"fit": rho})
    for time in range(3):
        error = np.sqrt(np.where(mask[:, time], 0, variance[:, time]))
        correlation = np.eye(n) + sum(np.diag(r[: n - k], k) for k, r in enumerate(rho, 1))
        correlation = correlation + correlation.T - np.eye(n)
        share = weights.toarray() / (1 - lost[:, time])[:, None]
        expected = np.einsum("bi,ij,bj->b", share * error, correlation, share * error)
        assert np.allclose(sums["fit"][:, time], expected, rtol=1e-12)
        assert np.allclose(sums["other"][:, time], (share**2 * error**2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("direction", [1, -1])
def test_the_sum_over_all_bins_is_the_sum_over_all_pixels(direction):
    rng = np.random.default_rng(1)
    wave = curved()[::direction]
    edges = pixel_edges(wave)
    inner = np.sort(rng.uniform(*np.sort(edges.value[[0, -1]]), 37))
    low, high = np.sort(edges.value[[0, -1]])
    weights = overlap_matrix(edges.value, np.concatenate([[low], inner, [high]]))
    flux = rng.uniform(0, 1e5, len(wave))
    assert (weights @ flux).sum() == pytest.approx(flux.sum(), rel=1e-12)


def test_an_edge_inside_a_pixel_splits_its_light():
    weights = overlap_matrix(np.arange(5) - 0.5, np.array([-0.5, 1.25, 3.5])).toarray()
    assert np.allclose(weights, [[1, 0.75, 0, 0], [0, 0.25, 1, 1]])


def test_bins_narrower_than_a_pixel_share_it():
    weights = overlap_matrix(np.array([0.0, 1.0, 2.0]), np.array([0.2, 0.3, 0.9, 1.5])).toarray()
    assert np.allclose(weights, [[0.1, 0], [0.6, 0], [0.1, 0.5]])


def test_pixels_outside_all_bins_count_nowhere():
    weights = overlap_matrix(np.arange(11.0), np.array([3.5, 6.0])).toarray()
    assert np.allclose(weights, [[0, 0, 0, 0.5, 1, 1, 0, 0, 0, 0]])


def test_a_masked_sample_is_made_up_for_by_the_mean_spectrum():
    spectrum = np.array([100.0, 300.0, 50.0, 150.0])
    flux = spectrum[:, None] * np.array([1.0, 1.1, 0.9, 1.0])
    mask = np.zeros(flux.shape, bool)
    mask[1, 2] = True
    flux[1, 2] = 1e9  # what a hit left there must not matter
    weights = overlap_matrix(np.arange(5.0), np.array([0.0, 4.0]))
    total, sums, lost = sum_in_bins(weights, flux, {"v": flux**0}, mask)
    # the mean of the masked pixel is taken from the other exposures: 300 * 3.1 / 3
    assert total[0] == pytest.approx([600, 660, 540, 600], rel=0.02)
    assert lost[0, 2] == pytest.approx(0.5, abs=0.02)
    assert np.all(lost[0, [0, 1, 3]] == 0)
    assert sums["v"][0, 2] == pytest.approx(3 / (1 - lost[0, 2]) ** 2)


def test_what_is_masked_wholly_is_not_a_number():
    weights = overlap_matrix(np.arange(3.0), np.array([0.0, 2.0]))
    total, _, lost = sum_in_bins(weights, np.ones((2, 2)), {}, np.array([[True, False]] * 2))
    assert np.isnan(total[0, 0]) and not lost[0, 0] <= 0.5
    assert total[0, 1] == 2


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (0, "hold 1 to 200 pixels"),
        (1000 * u.AA, "wider than the whole spectrum"),
        (-1 * u.AA, "wider than nothing"),
        ([5, 4] * u.AA, "rising"),
    ],
)
def test_impossible_bins_are_refused_with_a_sentence(width, words):
    with pytest.raises(ValueError, match=words):
        bin_edges(pixel_edges(curved()), width)


def test_bins_can_be_counted_in_pixels():
    edges = pixel_edges(curved())
    assert np.allclose(bin_edges(edges, 50).value, edges.value[::50])


def exposures():
    """Six exposures of 50 s, one a minute; a gap after the third."""
    start = np.array([0, 60, 120, 600, 660, 720])
    time = Time("2025-03-01T00:00:00") + (start + 25) * u.s
    return QTable(
        {
            "time": time,
            "exposure_time": np.full(6, 50.0) * u.s,
            "shift": np.arange(6.0) * u.pix,
            "shift_uncertainty": np.full(6, 0.4) * u.pix,
            "filename": list("abcdef"),
        }
    )


def test_an_edge_in_time_splits_an_exposure_and_empty_bins_are_left_out():
    table = exposures()
    edges = Time("2025-03-01T00:00:00") + [0, 70, 300, 500, 1000] * u.s
    weights = time_weights(table, edges).toarray()
    assert np.allclose(weights, [[1, 0.2, 0, 0, 0, 0], [0, 0.8, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])


def test_a_width_in_time_keeps_exposures_whole():
    weights = time_weights(exposures(), 5 * u.min).toarray()
    assert weights.tolist() == [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert time_weights(exposures(), 4).toarray().sum(axis=1).tolist() == [4, 2]


def test_exposures_that_are_added_have_mean_diagnostics():
    found = average_exposures(exposures(), time_weights(exposures(), 4))
    assert found.colnames == ["time", "exposure_time", "shift", "shift_uncertainty"]
    assert np.allclose(found["shift"].value, [1.5, 4.5])
    assert np.allclose(found["shift_uncertainty"].value, [0.2, 0.4 / np.sqrt(2)])
    assert found["exposure_time"].value.tolist() == [200, 100]
    mean = (exposures()["time"][:4] - exposures()["time"][0]).to_value("s").mean()
    assert (found["time"][0] - exposures()["time"][0]).to_value("s") == pytest.approx(mean)


def test_impossible_bins_in_time_are_refused_with_a_sentence():
    table, start = exposures(), Time("2025-03-01T00:00:00")
    with pytest.raises(ValueError, match="hold 1 to 6 exposures"):
        time_weights(table, 7)
    with pytest.raises(ValueError, match="longer than nothing"):
        time_weights(table, 0 * u.s)
    with pytest.raises(ValueError, match="2 or more, and rise"):
        time_weights(table, start + [60, 0] * u.s)
    with pytest.raises(ValueError, match="needs 'exposure_time'"):
        time_weights(table["time", "shift"], start + [0, 60] * u.s)
    table["exposure_time"][2] = 0 * u.s
    with pytest.raises(ValueError, match="lasted no time"):
        time_weights(table, start + [0, 60] * u.s)
