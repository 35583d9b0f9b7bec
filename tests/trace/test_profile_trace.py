"""Centre and width along a star come back as they were put in."""

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.models import Chebyshev1D
from astropy.nddata import CCDData, StdDevUncertainty
from specreduce.background import Background
from specreduce.extract import BoxcarExtract
from specreduce.tracing import FlatTrace

from slitlapse.trace import ProfileTrace, StarNotFoundError, TraceWarning, star_image

N_Y, N_X, SKY, NOISE = 90, 1024, 200.0, 4.0
X = np.linspace(-1, 1, N_X)
TRACE = 45 + 4 * X + 2 * X**2
WIDTH = 2.2 + 0.3 * X
MOFFAT = {"profile": "moffat", "beta": 3.0}


def simulate(flux, rng=None, *, trace=TRACE, **profile):
    image = SKY + star_image((N_Y, N_X), trace, WIDTH, flux, **profile)
    return image if rng is None else rng.poisson(image) + rng.normal(0, NOISE, image.shape)


def bound(flux, bins, **profile):
    """Cramér-Rao bound of centre and log width per bin; flux and sky free in every column."""
    h, shape = 1e-3, (N_Y, N_X)
    p = star_image(shape, TRACE, WIDTH, **profile)
    steps = [
        star_image(shape, TRACE + h, WIDTH, **profile)
        - star_image(shape, TRACE - h, WIDTH, **profile),
        star_image(shape, TRACE, WIDTH * np.exp(h), **profile)
        - star_image(shape, TRACE, WIDTH * np.exp(-h), **profile),
    ]
    terms = np.stack([p, np.ones(shape), *(flux * s / (2 * h) for s in steps)])
    fisher = np.einsum("iyx,jyx->xij", terms / (SKY + flux * p + NOISE**2), terms)
    free = fisher[:, 2:, :2] @ np.linalg.inv(fisher[:, :2, :2]) @ fisher[:, :2, 2:]
    fisher = (fisher[:, 2:, 2:] - free).reshape(bins, -1, 2, 2).sum(axis=1)
    return np.sqrt(np.einsum("bii->bi", np.linalg.inv(fisher)))


def deviations(found):
    """Centre and log width of every bin minus the truth, and their stated errors."""
    table = found.table[found.table["used"]]
    x, center, c_error, width, w_error = (
        table[name].value
        for name in ("x", "center", "center_uncertainty", "width", "width_uncertainty")
    )
    columns = np.arange(N_X)
    return (
        np.stack([center - np.interp(x, columns, TRACE), width / np.interp(x, columns, WIDTH) - 1]),
        np.stack([c_error, w_error / width]),
    )


@pytest.mark.parametrize("family", ["gaussian", "moffat", "moments"])
def test_a_noiseless_star_comes_back_without_bias(family):
    image = simulate(2e4, profile="moffat" if family == "moffat" else "gaussian")
    found = ProfileTrace(image, 45, profile=family, read_noise=NOISE)
    assert abs(found.trace - TRACE).max() < 1e-3
    assert abs(found.width / WIDTH - 1).max() < 2e-3


@pytest.mark.parametrize("family", ["asymmetric", "double"])
def test_another_shape_than_assumed_moves_the_centre_only_by_its_skewness(family):
    found = ProfileTrace(simulate(2e4, profile=family), 45, read_noise=NOISE)
    offset = np.asarray(found.trace) - TRACE
    if family == "double":  # symmetric
        assert abs(offset).max() < 1e-3
    else:  # a constant fraction of the width, as far as the window is one
        assert np.ptp(offset / WIDTH) < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gaussian", "moffat"])
@pytest.mark.parametrize("flux", [2e4, 2e3, 300.0])
def test_bins_are_honest_and_near_the_cramer_rao_bound(family, flux):
    profile, bins, n = (MOFFAT if family == "moffat" else {}), 64, 16
    rng = np.random.default_rng(int(flux))
    limit = bound(flux, bins, **profile).T
    pulls, ratios, curves = [], [], []
    for _ in range(n):
        found = ProfileTrace(
            simulate(flux, rng, **profile), 45, bins, profile=family, read_noise=NOISE
        )
        wrong, stated = deviations(found)
        pulls.append(wrong / stated)
        ratios.append(wrong / limit[:, found.table["used"]])
        curves.append(np.asarray(found.trace) - TRACE)
    pulls, ratios = np.concatenate(pulls, axis=1), np.concatenate(ratios, axis=1)
    sampling = 1 / np.sqrt(2 * pulls.shape[1])  # 2.2 per cent
    assert np.all(abs(pulls.std(axis=1) - 1) < 0.03 + 3 * sampling)
    assert np.all(abs(pulls.mean(axis=1)) < 4 / np.sqrt(pulls.shape[1]))
    assert np.all(ratios.std(axis=1) < 1.10 + 3 * sampling)
    # the bias of the curve: within its own standard error of the mean over n frames
    error = limit[0].mean() * np.sqrt(3 / bins / n)
    assert abs(np.mean(curves)) < 4 * error


def test_cosmic_rays_in_5_per_cent_of_the_columns_change_nothing():
    rng = np.random.default_rng(8)
    image = simulate(3e3, rng, **MOFFAT)
    clean = ProfileTrace(image, 45, read_noise=NOISE)
    hit = rng.choice(N_X, N_X // 20, replace=False)
    rows = (TRACE[hit] + rng.uniform(-6, 6, hit.size)).astype(int)
    image[rows, hit] += rng.uniform(1e3, 3e4, hit.size)
    found = ProfileTrace(image, 45, read_noise=NOISE)
    assert abs(found.trace - clean.trace).max() < 2 * clean.trace_uncertainty.max()
    assert found.table["n_rejected"].sum() >= 0.9 * hit.size


def test_masked_pixels_columns_and_nan_do_not_bias():
    rng = np.random.default_rng(2)
    image = simulate(2e4, rng)
    image[40:46, 300:320] = np.nan  # lower half of the star only
    mask = np.zeros(image.shape, bool)
    mask[:, 500:530] = True
    image[:, 500:530] = 6e4
    found = ProfileTrace(image, 45, mask=mask, profile="gaussian", read_noise=NOISE)
    assert abs(found.trace - TRACE).max() < 5 * found.trace_uncertainty.max() < 0.02
    dead = (found.table["x"].value > 503) & (found.table["x"].value < 525)
    assert not found.table["used"][dead].any()
    assert set(found.table["reason"][dead]) == {"outside the image or masked"}


def test_a_fully_masked_column_counts_for_nothing():
    image = simulate(5e3, np.random.default_rng(12))
    mask = np.zeros(image.shape, bool)
    mask[:, 500] = True
    clean = ProfileTrace(image, 45, 64, profile="gaussian", mask=mask, read_noise=NOISE)
    image[:, 500] = 1e6
    found = ProfileTrace(image, 45, 64, profile="gaussian", mask=mask, read_noise=NOISE)
    assert np.array_equal(found.trace, clean.trace)
    at = np.argmin(abs(found.table["x"].value - 500))
    assert found.table["n_columns"][at] == 15
    assert found.table["used"][at]  # the other columns of its bin are
    masked = ProfileTrace(image, 45, N_X, profile="gaussian", mask=mask, read_noise=NOISE).table
    assert masked["reason"][500] == "outside the image or masked"
    assert np.isinf(masked["center_uncertainty"][500])


@pytest.mark.parametrize("count", [0.0, 3e4])
def test_dead_and_hot_columns_that_nobody_masked_move_nothing(count):
    image = simulate(5e3, np.random.default_rng(13))
    clean = ProfileTrace(image, 45, profile="gaussian", read_noise=NOISE)
    image[:, 400] = count
    image[:50, 700] = count  # its end lies in the star
    found = ProfileTrace(image, 45, profile="gaussian", read_noise=NOISE)
    assert abs((found.trace - clean.trace) / clean.trace_uncertainty).max() < 1
    assert abs((found.width - clean.width) / clean.width_uncertainty).max() < 1


def test_the_window_follows_a_strongly_bowed_star():
    bowed = 260 - 120 * (1 - X**2)
    image = 100 + star_image((400, N_X), bowed, 2.0, 3e3)
    found = ProfileTrace(image, 140, profile="gaussian", read_noise=NOISE)
    assert abs(found.trace - bowed).max() < 0.01


@pytest.mark.parametrize("row", [3, 6, 54, 57])
def test_a_star_at_the_edge_of_the_slit_is_not_lost_to_the_other_side(row):
    truth = row + 0.3 * X
    image = SKY + star_image((60, N_X), truth, 2.0, 5e3)
    found = ProfileTrace(np.random.default_rng(row).poisson(image) * 1.0, row, read_noise=1)
    assert abs((found.trace - truth) / found.trace_uncertainty).max() < 5
    assert found.trace_uncertainty.max() < 0.01


def test_a_tilt_larger_than_the_window_and_a_star_without_blue_light():
    tilted = 60 + 20 * X
    image = SKY + star_image((120, N_X), tilted, 2.0, 5e3 * (X > -0.3))
    image = np.random.default_rng(1).poisson(image) * 1.0
    found = ProfileTrace(image, 60, window=15, profile="gaussian", read_noise=1)
    assert abs((found.trace - tilted) / found.trace_uncertainty).max() < 5
    dark = found.table["x"].value < 330
    assert set(found.table["reason"][dark]) == {"too little light"}


@pytest.mark.parametrize("distance", [1.7, 1.2])
def test_a_neighbour_is_fitted_together(distance):
    apart = distance * 2.2 * 2.3548
    rng = np.random.default_rng(5)
    image = simulate(4e3) - SKY + simulate(1e4, trace=TRACE + apart)
    image = rng.poisson(image) + rng.normal(0, NOISE, image.shape)
    found = ProfileTrace(image, 45, profile="gaussian", neighbours=[apart + 0.4], read_noise=NOISE)
    pulls = (np.asarray(found.trace) - TRACE) / found.trace_uncertainty
    assert abs(pulls).max() < 5
    assert found.neighbours[0] == pytest.approx(apart, abs=0.02)


def test_another_star_that_is_crossed_spoils_only_the_crossing():
    image = simulate(4e3) - SKY + simulate(2e3, trace=45 - 200 * X)
    image = np.random.default_rng(6).poisson(image) * 1.0
    found = ProfileTrace(image, TRACE, profile="gaussian", read_noise=1)
    far = abs(TRACE - 45 + 200 * X) > 25
    assert abs(found.trace - TRACE)[far].max() < 0.05
    assert not found.table["used"].all()


@pytest.mark.parametrize("model", ["spline", 3, Chebyshev1D(3)])
def test_curves_of_other_kinds(model):
    found = ProfileTrace(simulate(2e4), 45, profile="gaussian", trace_model=model, read_noise=NOISE)
    assert abs(found.trace - TRACE).max() < 1e-3
    assert found.trace_degree >= 3


def test_the_shape_may_change_along_the_spectrum():
    beta = 3.2 + 0.8 * X
    image = SKY + star_image((N_Y, N_X), TRACE, WIDTH, 5e4, profile="moffat", beta=beta)
    image = np.random.default_rng(9).poisson(image) * 1.0
    found = ProfileTrace(image, 45, read_noise=1)
    assert np.ndim(found.beta) == 1
    pulls = (found.beta - beta) / found.beta_uncertainty
    assert abs(1 / found.beta - 1 / beta)[50:-50].max() < 0.05
    assert abs(pulls[100:-100]).max() < 5
    true = np.interp(found.table["x"].value, np.arange(N_X), 1 / beta)
    pulls = (found.table["shape"] - true) / found.table["shape_uncertainty"]
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


def test_one_exponent_for_the_whole_star_where_it_does_not_change():
    rng, pulls = np.random.default_rng(11), []
    for _ in range(12):
        found = ProfileTrace(simulate(1e4, rng, **MOFFAT), 45, read_noise=NOISE)
        pulls.append(np.mean((1 / found.beta - 1 / 3) * found.beta**2 / found.beta_uncertainty))
    assert np.ndim(found.beta) == 0
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(24)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(12)


def test_it_is_used_by_upstream_as_any_trace():
    trace = ProfileTrace(simulate(2e4), 45, profile="gaussian", read_noise=NOISE)
    image = CCDData(simulate(2e4), unit=u.electron)
    sky = Background.two_sided(image, trace, 25, width=10).bkg_image().flux.value
    flux = BoxcarExtract((image.data - sky) * u.electron, trace + 0.0, width=30).spectrum.flux
    assert abs(flux.value / 2e4 - 1).max() < 1e-3
    moved = trace + 3
    assert abs(moved.trace - trace.trace - 3).max() < 1e-9
    assert moved.image is trace.image
    assert moved.shape == (N_X,)


def test_an_upstream_trace_array_or_quantity_is_a_guess():
    image = simulate(2e4)
    for guess in (FlatTrace(image, 45), TRACE + 2, 46 * u.pix, None):
        found = ProfileTrace(image, guess, profile="gaussian", read_noise=NOISE)
        assert abs(found.trace - TRACE).max() < 1e-3


def test_a_star_buried_in_sky_column_by_column_is_still_measured():
    rng = np.random.default_rng(10)
    found = ProfileTrace(simulate(25.0, rng), 45, profile="gaussian", read_noise=NOISE)
    assert abs((found.trace - TRACE) / found.trace_uncertainty).max() < 5


def test_the_noise_comes_from_the_uncertainty_or_from_the_scatter():
    image = simulate(2e3, np.random.default_rng(4))
    assert ProfileTrace(image, 45).read_noise == pytest.approx(NOISE, abs=1.5)
    uncertainty = StdDevUncertainty(np.sqrt(np.maximum(image, 0) + NOISE**2))
    frame = CCDData(image, unit=u.electron, uncertainty=uncertainty)
    assert ProfileTrace(frame, 45).read_noise == pytest.approx(NOISE)
    found = ProfileTrace(image, 45, variance=np.maximum(simulate(2e3), 0) + NOISE**2)
    assert abs((found.trace - TRACE) / found.trace_uncertainty).max() < 5


def test_a_star_that_leaves_the_frame_is_masked_there():
    leaving = 70 + 30 * X
    image = np.random.default_rng(0).poisson(simulate(5e3, trace=leaving)) * 1.0
    with pytest.warns(TraceWarning, match="leaves the image"):
        found = ProfileTrace(image, 70, profile="gaussian", read_noise=1)
    inside = leaving < N_Y - 3
    assert abs(np.asarray(found.trace) - leaving)[inside].max() < 0.05
    assert np.ma.getmaskarray(found.trace)[leaving > N_Y].all()
    assert "outside the image or masked" in set(found.table["reason"])


def test_what_cannot_be_used_is_said():
    empty = np.random.default_rng(3).normal(100, 10, (N_Y, N_X))
    with pytest.raises(StarNotFoundError, match="No star stands out within 15 rows"):
        ProfileTrace(empty, 45, read_noise=10)
    with pytest.raises(StarNotFoundError, match="No star stands out"):
        ProfileTrace(simulate(2e4), 45, mask=np.ones((N_Y, N_X), bool))
    with pytest.raises(ValueError, match="convert it to electron"):
        ProfileTrace(CCDData(simulate(2e4), unit="adu"), 45)
    with pytest.raises(ValueError, match="profile must be one of"):
        ProfileTrace(simulate(2e4), 45, profile="lorentz")
    with pytest.raises(ValueError, match="bins must be 1 to 1024"):
        ProfileTrace(simulate(2e4), 45, 5000)
    with pytest.raises(ValueError, match="The mask has shape"):
        ProfileTrace(simulate(2e4), 45, mask=np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="linear in its parameters"):
        ProfileTrace(simulate(2e4), 45, trace_model="wiggly", read_noise=NOISE)
