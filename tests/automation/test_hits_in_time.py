"""Are hits found that one frame does not show, and is everything else left alone?"""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from slitlapse.automation import light_curves, read_night, reduce_night, simulate_night
from slitlapse.automation.hits_in_time import find_hits_in_time, tell_hits
from slitlapse.automation.scene import SimulatedStar, transit_shape
from slitlapse.instruments import load_instrument

N_WAVE, N_TIME, NOISE = 1024, 40, 60.0
PIXEL, ALONG = np.arange(N_WAVE), np.linspace(0, 1, N_TIME)
TRANSIT = np.where(np.abs(ALONG - 0.5) < 0.2, 0.98, 1.0)  # as sharp as can be
CENTRES = np.random.default_rng(0).uniform(0, N_WAVE, 40)
DEPTHS = np.random.default_rng(1).uniform(0.05, 0.6, 40)


def lines(shift):
    """A spectrum full of lines, moved along the dispersion."""
    dips = np.exp(-0.5 * ((PIXEL - shift - CENTRES[:, None]) / 2) ** 2)
    return (1 - DEPTHS @ dips).clip(0.1)


def night(rng, level, jitter=0.0):
    """Light, its error, and the shifts of a star under clouds, with a colour that changes."""
    shift = rng.normal(0, jitter, N_TIME) + 3 * jitter * ALONG
    clouds = TRANSIT * (1 - 0.3 * np.abs(np.sin(9 * ALONG)) - 0.1 * rng.random(N_TIME))
    colour = 1 + 0.2 * np.outer(PIXEL / N_WAVE - 0.5, ALONG)
    light = level * np.stack([lines(s) for s in shift], axis=1) * clouds * colour
    error = np.sqrt(light + NOISE**2)
    return rng.poisson(light) + rng.normal(0, NOISE, light.shape), error, shift


def find(flux, error, mask=None, shift=None, **kwargs):
    mask = np.zeros(flux.shape, bool) if mask is None else mask
    return find_hits_in_time([flux], [error], mask, shift, **kwargs)


@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_a_clean_night_is_left_alone(jitter):
    number = 0
    for seed, level in enumerate((0, 30, 1e3, 1e4, 1e5, 1e6)):
        for again in range(3):
            rng = np.random.default_rng([seed, again])
            flux, error, shift = night(rng, level, jitter)
            number += flux.size
            found = find(flux, error, shift=shift + rng.normal(0, 0.01, N_TIME))
            # six standard deviations are one in a thousand million; the goal is 3e-6
            assert not found.any(), level
    assert number > 7e5


@pytest.mark.parametrize("level", [1e3, 1e5, 1e6])
def test_hits_are_found_and_nothing_else(level):
    rng = np.random.default_rng(5)
    flux, error, shift = night(rng, level, 0.1)
    hit = rng.random(flux.shape) < 1e-3
    # the neighbours' own noise and a thousandth of the light are allowed for
    sigma = np.hypot(1.15 * error, 0.001 * flux)
    flux = flux + hit * rng.uniform(10, 100, hit.shape) * sigma
    found = find(flux, error, shift=shift)
    slope = np.abs(np.gradient(flux, axis=0)) * 0.05 > sigma / 2  # steep lines may have moved
    assert found[hit & ~slope].mean() >= 0.95
    assert not found[~hit].any()


def test_a_depth_is_the_same_with_hits_masked():
    pulls = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        light = 2e5 * lines(0.0)[:, None] * TRANSIT
        flux = rng.poisson(light) + rng.normal(0, NOISE, light.shape)
        error = np.sqrt(light + NOISE**2)
        hit = rng.random(flux.shape) < 2e-3
        found = find(flux + 20000.0 * hit, error)  # well above what beside a line is allowed
        assert found[hit].mean() >= 0.95
        weight = np.where(found, 0, error**-2.0)
        inside = TRANSIT < 1
        levels = [
            ((weight * flux)[:, use].sum(axis=1) / weight[:, use].sum(axis=1))
            for use in (inside, ~inside)
        ]
        errors = [weight[:, use].sum(axis=1) ** -0.5 for use in (inside, ~inside)]
        ratio = levels[0] / levels[1]
        pulls.append((0.98 - ratio) / np.hypot(errors[0], errors[1]) * levels[1])
    pulls = np.concatenate(pulls)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


def test_any_aperture_will_do_and_masked_samples_are_not_looked_at():
    rng = np.random.default_rng(7)
    flux, error, _ = night(rng, 1e5)
    wide, mask = flux.copy(), np.zeros(flux.shape, bool)
    wide[300, 11] += 1e5  # in the wings
    flux[500, 20] = wide[500, 20] = np.nan
    wide[600, 20] = 1e9
    mask[600, 20] = mask[500, 20] = True
    mask[:, 30] = True  # lost
    found = find_hits_in_time([flux, wide], [error, error], mask)
    assert np.argwhere(found).tolist() == [[300, 11]]


def test_nods_are_compared_with_their_own():
    rng = np.random.default_rng(8)
    flux, error, _ = night(rng, 1e5)
    nod = np.arange(N_TIME) % 2
    flux[200:210, nod == 1] *= 1.5  # another part of the detector
    flux[700, 13] += 2e4
    found = find(flux, error, groups=nod)
    assert np.argwhere(found).tolist() == [[700, 13]]


@pytest.mark.parametrize("n_time", [0, 1])
def test_a_lone_exposure_has_nothing_to_be_compared_with(n_time):
    flux = np.full((50, n_time), 1e3)
    flux[20] += 1e6
    assert not find(flux, np.sqrt(flux)).any()


def test_what_was_found_is_told_once_or_not_at_all():
    found = np.zeros((10, 4), bool)
    assert tell_hits("A", found) == []
    found[3, 1:3] = True
    (sentence,) = tell_hits("A", found)
    assert "Star A: 2 of 40 samples" in sentence


# ---------------------------------------------------------------- in the chain

HIT = 3000.0  # electrons in each of two pixels of 45 000: what profiles may be wrong by


@pytest.fixture(scope="module")
def struck(tmp_path_factory):
    """A night of bright stars, with hits on their cores that no single frame shows."""
    folder = tmp_path_factory.mktemp("struck")
    stars = [
        SimulatedStar("target", 43.0, 2e5, depth=0.02),
        SimulatedStar("comparison", 82.0, 2e5, slope=-0.2),
    ]
    truth = simulate_night(
        folder, instrument=load_instrument("toy"), rng=np.random.default_rng(4), stars=stars,
        n_exposures=16, cosmic_rays=0.0, sky_level=40.0,
    )  # fmt: skip
    rng, hits = np.random.default_rng(5), {}
    along = np.arange(640)
    for star in stars:
        hit = rng.random((640, 16)) < 0.006
        hit[:5], hit[-5:] = False, False
        hits[star.name] = hit
        for index, name in enumerate(truth.science["filename"]):
            rows = np.rint(star.row + star.bend(along / 639) + truth.offsets[index]).astype(int)
            with fits.open(folder / "raw" / str(name), mode="update") as hdus:
                struck = np.flatnonzero(hit[:, index])
                adu = (HIT / np.where(struck < 320, 1.5, 1.6)).astype(hdus[0].data.dtype)
                for row in (rows[struck], rows[struck] + 1):
                    hdus[0].data[row, struck] += adu
    night = read_night(truth.night_file)
    apart = reduce_night(night, report=False)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "reduced/exposures").iterdir()}
    together = reduce_night(night.with_changes(hits="time"), report=False)
    return SimpleNamespace(
        truth=truth, night=night, hits=hits, apart=apart, together=together, kept=kept
    )


@pytest.mark.slow
def test_hits_that_a_frame_does_not_show_are_found_in_time(struck):
    for name, hit in struck.hits.items():
        apart, together = struck.apart.series[name], struck.together.series[name]
        missed = hit & (apart.fluxlike["bad_fraction"] == 0)  # no pixel was left out
        assert missed.sum() > 20 and missed.sum() > 0.5 * hit.sum()
        assert not apart.mask[missed].any()
        assert together.mask[missed].mean() >= 0.95
        reasons = together.fluxlike["reasons"].value.astype(int)
        assert np.all((reasons & 16 > 0)[together.mask & ~apart.mask])
        assert (reasons & 16 > 0)[~hit].sum() <= 1
        # and nothing else has changed
        assert np.array_equal(apart.flux, together.flux, equal_nan=True)
        assert "hit" in together.metadata["mask_meanings"]["16"]
        assert together.metadata["parameters"]["hits"] == "time"
        said = [note for note in struck.together.notes if f"Star {name}:" in note]
        assert len(said) == 1 and said[0] in together.metadata["notes"]
    assert not any("masked as hits" in note for note in struck.apart.notes)


@pytest.mark.slow
def test_nothing_is_measured_again_for_it_and_the_bytes_are_the_same(struck):
    folder = struck.night.output / "exposures"
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == struck.kept
    first = {name: path.read_bytes() for name, path in struck.together.files.items()}
    for path in folder.iterdir():
        path.unlink()
    again = reduce_night(struck.night.with_changes(hits="time"), jobs=2, report=False)
    assert {name: path.read_bytes() for name, path in again.files.items()} == first


@pytest.mark.slow
def test_the_transit_is_as_deep_as_it_was_put_in(struck):
    """With hits masked; left in, they scatter the light curve of narrow bins."""
    truth, edges = struck.truth, np.linspace(5300, 7900, 66) * u.AA
    shape = transit_shape(truth.hours)
    design = np.stack([np.ones(16), -shape], axis=1)

    def depths(flux, error):
        weighted = design / error[:, None]
        covariance = np.linalg.inv(weighted.T @ weighted)
        (level, loss) = covariance @ (weighted.T @ (flux / error))
        slope = np.array([-loss / level**2, 1 / level])
        return loss / level, np.sqrt(slope @ covariance @ slope)

    scatter = {}
    for how in ("apart", "together"):
        series = getattr(struck, how).series
        curves = light_curves(series["target"], [series["comparison"]], wavelength=edges)
        found = np.array(
            [depths(*each) for each in zip(curves.flux, curves.uncertainty, strict=True)]
        )
        wave = curves.wavelength
        along = np.interp(wave, series["target"].wavelength, np.linspace(0, 1, 640))
        pulls = (found[:, 0] - 0.02 * (1 + 0.1 * (1 - 2 * along))) / found[:, 1]
        scatter[how] = pulls.std()
        if how == "together":
            assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
            assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)
    assert scatter["apart"] > scatter["together"]


def test_a_clean_night_is_the_same_with_it(toy_night, tmp_path):
    """Seeing, clouds, drift, extinction, a transit, and what frames show is masked already."""
    night = toy_night.night.with_changes(hits="time", output=tmp_path)
    result = reduce_night(night, report=False)
    assert not any("masked as hits" in note for note in result.notes)
    for name, series in toy_night.result.series.items():
        again = result.series[name]
        assert np.array_equal(again.mask, series.mask)
        for key, values in series.fluxlike.items():
            assert np.array_equal(again.fluxlike[key], values, equal_nan=True)
