import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries, light_curves
from slitlapse.automation.light_curves import common_edges


def star(light, rng, level, start=4000.0, name="A", n_wave=200):
    """A star whose light changes in time as ``light`` says."""
    truth = level * np.linspace(1, 2, n_wave)[:, None] * light
    time = Time(2460000.5 + np.arange(len(light)) / 100, format="jd", scale="tdb")
    return SpectralTimeSeries(
        QTable({"wavelength": (start + 2 * np.arange(n_wave)) * u.AA}),
        QTable({"time": time}),
        {
            "flux": rng.poisson(truth) * 1.0 * u.electron,
            "uncertainty": np.sqrt(truth) * u.electron,
        },
        metadata={"star": name},
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_clouds_divide_out_and_the_transit_stays(seed):
    rng = np.random.default_rng(seed)
    clouds = 1 + 0.2 * np.sin(np.arange(60) / 5)
    transit = np.where((np.arange(60) > 20) & (np.arange(60) < 40), 0.98, 1.0)
    target = star(clouds * transit, rng, 2000)
    others = [star(clouds, rng, 3000, 4003.3, "B"), star(clouds, rng, 1500, 3990.1, "C")]
    curves = light_curves(target, others, wavelength=50 * u.AA)
    inside = transit < 1
    depth = curves.flux[:, ~inside].mean(axis=1) - curves.flux[:, inside].mean(axis=1)
    error = curves.uncertainty.mean(axis=1) * np.sqrt(1 / inside.sum() + 1 / (~inside).sum())
    # a ratio divided by its mean: the depth relative to that mean
    expected = 0.02 / np.mean(transit)
    pulls = (depth - expected) / error
    n = len(pulls)
    assert abs(pulls.mean()) < 4 / np.sqrt(n)
    assert abs(np.sqrt(np.mean(pulls**2)) - 1) < 4 / np.sqrt(2 * n)


def test_the_errors_hold_the_noise_of_all_stars():
    rng = np.random.default_rng(5)
    flat = np.ones(400)
    curve = light_curves(star(flat, rng, 2000), [star(flat, rng, 500, name="B")])
    pulls = (curve.flux - 1) / curve.uncertainty
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


def test_what_the_flat_has_wrong_belongs_to_the_level_as_long_as_the_star_stands_still():
    rng = np.random.default_rng(12)
    stars = []
    for name, level, part in (("A", 4e5, 0.004), ("B", 6e5, 0.003)):
        each = star(np.ones(200), rng, level, name=name, n_wave=400)
        each.fluxlike["flux"] *= rng.normal(1, part, (400, 1))  # the same in all exposures
        each.fluxlike["variance_flat"] = (part * each.flux) ** 2
        each.fluxlike["uncertainty"] = np.hypot(each.uncertainty, part * each.flux)
        each.timelike["slit_position"] = np.full(200, 50.0) * u.pix
        each.timelike["seeing"] = np.full(200, 4.0) * u.pix
        stars.append(each)
    curves = light_curves(stars[0], stars[1:], wavelength=40 * u.AA)
    pulls = ((curves.flux - 1) / curves.uncertainty).value
    # the mean of all exposures was taken off
    assert abs(pulls.std() * np.sqrt(200 / 199) - 1) < 4 / np.sqrt(2 * pulls.size)
    ratio = stars[0].bin(wavelength=curve_edges(curves)) / stars[1].bin(
        wavelength=curve_edges(curves)
    )
    relative = ratio.uncertainty / ratio.flux
    whole = np.hypot(curves.uncertainty, curves.fluxlike["uncertainty_common"]) / curves.flux
    assert np.allclose(whole, relative, rtol=1e-12)
    assert np.all(curves.uncertainty < 0.6 * curves.fluxlike["uncertainty_common"])
    for each in stars:  # one that jumps about among other pixels sees other errors each time
        each.timelike["slit_position"] = 20.0 * np.arange(200) * u.pix
    jumping = light_curves(stars[0], stars[1:], wavelength=40 * u.AA)
    assert np.all(jumping.fluxlike["uncertainty_common"] < 0.1 * jumping.uncertainty)


def curve_edges(curves):
    return u.Quantity(
        [*curves.wavelike["wavelength_lower"], curves.wavelike["wavelength_upper"][-1]]
    )


def test_without_a_comparison_the_target_alone_is_given():
    rng = np.random.default_rng(6)
    curve = light_curves(star(np.ones(10), rng, 1000))
    assert curve.shape == (1, 10)
    assert np.allclose(curve.flux.value, 1, atol=0.02)


def test_stars_without_common_wavelengths_are_refused():
    rng = np.random.default_rng(7)
    far = star(np.ones(5), rng, 100, start=9000, name="far")
    with pytest.raises(ValueError, match="A, far have no wavelength in common"):
        light_curves(star(np.ones(5), rng, 100), [far])


def test_bins_lie_within_what_all_stars_cover():
    rng = np.random.default_rng(8)
    stars = [star(np.ones(3), rng, 10), star(np.ones(3), rng, 10, start=4107.0)]
    edges = common_edges(stars, 45 * u.AA)
    assert edges[0] >= 4106 * u.AA and edges[-1] <= 4399 * u.AA
    assert len(edges) == 1 + int((4399 - 4106) / 45)


def test_weights_by_noise_beat_the_plain_sum_where_a_star_has_other_noise():
    rng = np.random.default_rng(9)
    target, good, poor = (star(np.ones(300), rng, 5000, name=n) for n in "ABC")
    extra = rng.normal(0, 500, poor.shape)  # of its sky, say
    poor.fluxlike["flux"] = poor.flux + extra * u.electron
    poor.fluxlike["uncertainty"] = np.hypot(poor.uncertainty, 500 * u.electron)
    weighted = light_curves(target, [good, poor])
    plain = light_curves(target, [good, poor], weights=[1, 1])
    for curve in (weighted, plain):  # either way the errors are right
        pulls = (curve.flux - 1) / curve.uncertainty
        assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)
    assert weighted.flux.std() < 0.6 * plain.flux.std()
    # the least error that any weights give: inverse variances of the relative fluxes add up
    relative = [np.sqrt(v).value for v in (_relative(good), _relative(poor), _relative(target))]
    best = np.hypot(relative[2], (relative[0] ** -2 + relative[1] ** -2) ** -0.5)
    assert weighted.uncertainty.mean().value == pytest.approx(best, rel=0.01)


def _relative(series):
    white = series.bin(wavelength=series.shape[0])
    return np.mean(white.uncertainty**2) / np.mean(white.flux) ** 2


def test_weights_must_fit_the_stars():
    rng = np.random.default_rng(10)
    a, b = (star(np.ones(5), rng, 100, name=n) for n in "AB")
    with pytest.raises(ValueError, match="1 comparison stars need as many weights"):
        light_curves(a, [b], weights=[1, 2])
    with pytest.raises(ValueError, match="weights above 0"):
        light_curves(a, [b], weights=[-1])


def test_a_comparison_without_light_in_a_bin_is_left_out_of_it():
    rng = np.random.default_rng(11)
    a, b, dark = (star(np.ones(5), rng, 100, name=n) for n in "ABC")
    dark.mask[:100] = True
    curves = light_curves(a, [b, dark], wavelength=[4010, 4100, 4390] * u.AA)
    alone = light_curves(a, [b], wavelength=[4010, 4100, 4390] * u.AA)
    assert not curves.mask.any()
    assert np.allclose(curves.flux[0], alone.flux[0])
