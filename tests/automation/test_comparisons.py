"""Every comparison star against all others; an aperture chosen without the transit."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries
from slitlapse.automation.comparisons import check_comparisons, choose_aperture

N_WAVE, N_TIME = 100, 60
ALONG = np.linspace(-1, 1, N_TIME)
INSIDE = np.abs(ALONG) < 0.4
CLOUDS = 1 + 0.1 * np.sin(7 * ALONG)


def star(name, rng, light=1.0, level=10000.0, noise=None):
    """A star seen through three apertures, each with noise of its own besides the photons."""
    truth = level * np.linspace(1.2, 0.8, N_WAVE)[:, None] * CLOUDS * light
    photons = rng.poisson(truth)
    noise = {"8": 0.0, "12": 0.0, "16": 0.0} if noise is None else noise
    fluxlike = {}
    for width, extra in noise.items():
        common = 1 + extra * rng.normal(0, 1, N_TIME)  # light that the edges lose, all colours
        fluxlike[f"flux_{width}"] = photons * common * u.electron
        fluxlike[f"uncertainty_{width}"] = np.sqrt(truth) * u.electron
    first = next(iter(noise))
    fluxlike |= {k: fluxlike[f"{k}_{first}"] for k in ("flux", "uncertainty")}
    return SpectralTimeSeries(
        QTable({"wavelength": (5000 + 2.0 * np.arange(N_WAVE)) * u.AA}),
        QTable({"time": Time(2460000.5 + np.arange(N_TIME) / 500, format="jd")}),
        fluxlike,
        metadata={"star": name},
    )


def varying(amplitude=0.02):
    return 1 + amplitude * np.sin(2 * np.pi * ALONG / 1.2)


@pytest.mark.parametrize("seed", range(6))
def test_steady_stars_are_all_quiet(seed):
    rng = np.random.default_rng(seed)
    check = check_comparisons([star(name, rng) for name in "BCDE"])
    assert check.variable == ()
    assert np.all(np.abs(check.table["excess"] - 1) < 4.5 / np.sqrt(2 * (N_TIME - 3)))


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_the_variable_star_is_named_whichever_it_is(which):
    rng = np.random.default_rng(10 + which)
    stars = [
        star(name, rng, varying() if i == which else 1.0, level=4000.0 * (i + 1))
        for i, name in enumerate("BCDE")
    ]
    check = check_comparisons(stars)
    assert check.variable == ("BCDE"[which],)
    assert check.table["variable"].tolist() == [i == which for i in range(4)]
    assert [s.name for s in check.quiet(stars)] == [n for n in "BCDE" if n != "BCDE"[which]]


def test_two_variable_stars_of_five_are_both_named():
    rng = np.random.default_rng(3)
    light = {"C": varying(0.03), "E": 1 + 0.01 * np.sin(2 * np.pi * ALONG / 0.7)}
    stars = [star(name, rng, light.get(name, 1.0)) for name in "BCDEF"]
    assert check_comparisons(stars).variable == ("C", "E")


@pytest.mark.parametrize("which", ["B", "C"])
def test_of_the_last_two_the_target_tells_in_spite_of_its_transit(which):
    rng = np.random.default_rng(4)
    target = star("target", rng, 1 - 0.02 * INSIDE)
    stars = [star(name, rng, varying() if name == which else 1.0) for name in "BC"]
    assert check_comparisons(stars, target).variable == (which,)
    assert check_comparisons(stars).variable == ()  # nobody can tell which of the two


def test_one_comparison_star_cannot_be_checked():
    check = check_comparisons([star("B", np.random.default_rng(5), varying())])
    assert check.variable == () and check.table.colnames == ["star", "variable"]


NOISE = {"8": 0.004, "12": 0.0, "16": 0.002}  # the middle aperture is the best


@pytest.mark.parametrize("depth", [0.0, 0.02, 0.5])
def test_the_aperture_is_the_same_with_and_without_the_transit(depth):
    rng = np.random.default_rng(6)
    target = star("target", rng, 1 - depth * INSIDE, noise=NOISE)
    stars = [star(name, rng, noise=NOISE) for name in "BC"]
    by_others = choose_aperture(target, stars)
    assert by_others.name == "12" and "comparison" in by_others.basis
    outside = choose_aperture(target, stars[:1], out_of_transit=~INSIDE)
    assert outside.name == "12" and f"{(~INSIDE).sum()} exposures" in outside.basis


def test_not_one_number_of_the_choice_depends_on_the_transit():
    def choices(depth):
        rng = np.random.default_rng(7)
        target = star("target", rng, noise=NOISE)
        for key in target.fluxlike:
            target.fluxlike[key][:, INSIDE] *= 1 - depth
        stars = [star(name, rng, noise=NOISE) for name in "BC"]
        yield choose_aperture(target, stars).table
        yield choose_aperture(target, stars[:1], out_of_transit=~INSIDE).table
        yield choose_aperture(target, [], out_of_transit=~INSIDE, wavelength=50 * u.AA).table

    for without, deep in zip(choices(0.0), choices(0.3), strict=True):
        assert np.array_equal(without["scatter"], deep["scatter"])


def test_a_choice_on_the_transit_itself_is_refused():
    rng = np.random.default_rng(8)
    target, other = star("target", rng), star("B", rng)
    with pytest.raises(ValueError, match="give out_of_transit"):
        choose_aperture(target, [other])
    with pytest.raises(ValueError, match="3 exposures are too few"):
        choose_aperture(target, [other], out_of_transit=np.arange(N_TIME) < 3)


def test_another_aperture_brings_its_own_errors():
    series = star("B", np.random.default_rng(9), noise=NOISE)
    assert series.other_fluxes == ["8", "12", "16"]
    other = series.with_flux("16")
    assert np.all(other.flux == series.fluxlike["flux_16"])
    assert np.all(other.uncertainty == series.fluxlike["uncertainty_16"])
    assert other.metadata["headline"] == "16"
    with pytest.raises(ValueError, match=r"no flux '9'; there are \['8', '12', '16'\]"):
        series.with_flux("9")
