"""Centre and width along a star come back as they were put in."""

import gzip

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from specreduce.background import Background
from specreduce.extract import BoxcarExtract

from slitlapse.trace import ProfileTrace, StarNotFoundError, star_image

N_Y, N_X = 120, 1024
X = np.linspace(-1, 1, N_X)
TRACE = 60 + 7 * X + 3 * X**2 - X**3
WIDTH = 2.2 + 0.3 * X


def simulate(flux, rng=None, *, sky=200.0, read_noise=4.0, **profile):
    image = sky + star_image((N_Y, N_X), TRACE, WIDTH, flux, **profile)
    return image if rng is None else rng.poisson(image) + rng.normal(0, read_noise, image.shape)


def kast(folder, name):
    with gzip.open(folder / "lick_kast_blue_2015" / f"{name}.fits.gz") as file:
        raw = fits.getdata(file).astype(float)
    levels = [np.median(raw[:, i : i + 32], axis=1, keepdims=True) for i in (2048, 2080)]
    return np.hstack([(raw[:, :1024] - levels[0]) * 1.21, (raw[:, 1024:2048] - levels[1]) * 1.25])


@pytest.mark.parametrize("family", ["gaussian", "moffat"])
def test_a_noiseless_star_comes_back_without_bias(family):
    found = ProfileTrace(simulate(2e4, profile=family), 60, profile=family, read_noise=4)
    assert abs(found.trace - TRACE).max() < 1e-3
    assert abs(found.width / WIDTH - 1).max() < 2e-3


def test_uncertainties_of_the_bins_are_honest():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(4):
        table = ProfileTrace(simulate(5e3, rng, profile="moffat"), 60, read_noise=4).table
        true = np.interp(table["x"].value, np.arange(N_X), TRACE)
        pulls.append((table["center"].value - true) / table["center_uncertainty"].value)
    pulls = np.concatenate(pulls)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)


def test_the_window_follows_a_strongly_bowed_star():
    bowed = 260 - 120 * (1 - X**2)
    image = 100 + star_image((400, N_X), bowed, 2.0, 3e3)
    assert (
        abs(ProfileTrace(image, 140, profile="gaussian", read_noise=4).trace - bowed).max() < 0.01
    )


def test_it_is_used_by_upstream_as_any_trace():
    trace = ProfileTrace(simulate(2e4), 60, profile="gaussian", read_noise=4)
    image = CCDData(simulate(2e4), unit=u.electron)
    clean = image.data - Background.two_sided(image, trace, 25, width=10).bkg_image().flux.value
    flux = BoxcarExtract(clean * u.electron, trace + 0.0, width=30).spectrum.flux.value
    assert abs(flux / 2e4 - 1).max() < 1e-3
    assert abs((trace + 3).trace - trace.trace - 3).max() < 1e-9


def test_nothing_on_the_slit_is_said():
    with pytest.raises(StarNotFoundError, match="No star stands out"):
        ProfileTrace(np.random.default_rng(3).normal(100, 10, (N_Y, N_X)), 60, read_noise=10)


@pytest.mark.parametrize(
    ("name", "rows"), [("b24", {200: 171.7, 1700: 167.0}), ("b27", {1700: 173.7})]
)
def test_kast_traces_lie_where_the_readme_says(real_data, name, rows):
    found = ProfileTrace(kast(real_data, name))
    for x, row in rows.items():
        assert abs(found.trace[x] - row) < 0.35


@pytest.mark.parametrize("row", [128, 73])
def test_sprat_has_two_stars_that_can_be_followed(real_data, row):
    frames = []
    for i in range(1, 6):
        with gzip.open(real_data / "lt_sprat_2018" / f"v_e_20180810_12_{i}_0_0.fits.gz") as file:
            frames.append(fits.getdata(file) - 915.5)
    found = ProfileTrace(5 * 2.45 * np.mean(frames, axis=0), guess=row)
    assert abs(np.ma.median(found.trace) - row) < 1
    assert 1.9 < np.median(found.fwhm) < 3.5
