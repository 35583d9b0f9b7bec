"""Whole arcs: crowds of blends give the displacement back, with an honest uncertainty."""

import astropy.units as u
import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.special import ndtr

from slitlapse.wavelength import WavelengthSolution, find_lines, match_lamps
from slitlapse.wavelength import _model_whole as model_whole
from slitlapse.wavelength.arc_modelling import (
    ArcSpectrum,
    correct_curve,
    model_arcs,
)
from slitlapse.wavelength.line_identification import LineIdentification
from slitlapse.wavelength.line_lists import LineList, lamp_line_list
from slitlapse.wavelength.simulate import arc_spectrum, simulate_spectrograph

N = 600
PIXELS = WavelengthSolution([0.5 * (N - 1) + 5000, 0.5 * (N - 1)], (0, N - 1), N)  # 5000 + pixel
DISPLACED = np.array([0.21, -0.13, 0.05, 0.04])


def crowd(rng, n=150, scatter=1.0, fwhm=3.0, counts=1e5):
    """A line every four pixels, whose brightness nobody knows, behind a slit; and what is known."""
    listed = np.sort(rng.uniform(5, N - 6, n))
    expected = counts * rng.lognormal(-1.5, 1.0, n)
    total = expected * np.exp(rng.normal(0, scatter, n)) * (rng.random(n) > 0.1)
    seen = listed + legendre.legval(2 * listed / (N - 1) - 1, DISPLACED)
    lines = LineList({"wavelength": (5000 + seen) * u.AA, "strength": total + 1e-9},
                     meta={"medium": "air"})  # fmt: skip
    kwargs = {"fwhm": fwhm, "slit": 0.7 * fwhm, "background": 30.0, "counts": total.max()}
    clean = arc_spectrum(PIXELS, lines, **kwargs)
    noise = np.sqrt(clean + 16)
    return ArcSpectrum(rng.normal(clean, noise), noise, listed, expected)


def error_of(model):
    """Error and uncertainty along the detector."""
    v = np.linspace(-0.95, 0.95, 40)
    basis = legendre.legvander(v, 3)
    sigma = np.sqrt(np.einsum("ij,jk,ik->i", basis, model.covariance, basis))
    return basis @ (model.displacement - DISPLACED), sigma


def test_a_crowd_tells_the_displacement_with_an_honest_uncertainty():
    error, pull = [], []
    for seed in range(12):
        off, sigma = error_of(model_arcs([crowd(np.random.default_rng(seed))], fwhm=3.5))
        error.append(np.sqrt(np.mean(off**2)))
        pull.append(off / sigma)
    assert np.median(error) < 0.03
    # 12 crowds of 4 coefficients each
    assert 1 - 4 / np.sqrt(2 * 48) < np.std(pull) < 1 + 4 / np.sqrt(2 * 48)


def test_two_arcs_know_more_than_one_and_none_is_needed_to_have_an_uncertainty():
    rng = np.random.default_rng(3)
    both = [crowd(rng), crowd(rng)]
    one, two = (error_of(model_arcs(arcs, fwhm=3.5))[1].mean() for arcs in (both[:1], both))
    assert two < one
    bare = [arc._replace(uncertainty=None) for arc in both]
    off, sigma = error_of(model_arcs(bare, fwhm=3.5))
    assert np.abs(off / sigma).max() < 4.5 and np.abs(off).max() < 0.1


def test_bad_pixels_do_not_count():
    arc = crowd(np.random.default_rng(5))
    flux = arc.flux.copy()
    flux[200:215] = np.nan
    off, sigma = error_of(model_arcs([arc._replace(flux=flux)], fwhm=3.5))
    assert np.abs(off / sigma).max() < 4.5


def test_the_model_is_the_arc():
    arc = crowd(np.random.default_rng(6))
    (flux,) = model_arcs([arc], fwhm=3.5).fluxes
    assert np.median(np.abs(flux - arc.flux) / np.hypot(arc.uncertainty, 0.02 * flux)) < 1.0


def test_a_curve_is_corrected_by_the_displacement():
    curve = np.array([5000 + 0.5 * (N - 1), 0.5 * (N - 1)])  # 1 angstrom per pixel
    v, pulls = np.linspace(-0.95, 0.95, 40), []
    seen = 0.5 * (N - 1) * (v + 1)
    for seed in range(12):
        arc = crowd(np.random.default_rng(seed), scatter=0.5)
        model = model_arcs([arc], fwhm=3.5)
        known = [(arc.flux, arc.uncertainty)], [5000 + arc.pixel], [arc.expected]
        found, covariance = correct_curve(curve, *known, N, 3.5)
        believed = legendre.legval(v, found) - 5000
        # the lines that were believed to be there are seen here
        np.testing.assert_allclose(believed + model.at(believed, N), seen, atol=1e-3)
        basis = legendre.legvander(v, len(found) - 1)
        sigma = np.sqrt(np.einsum("ij,jk,ik->i", basis, covariance, basis))
        off = believed + legendre.legval(2 * believed / (N - 1) - 1, DISPLACED) - seen
        pulls.append(off / sigma)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * 48)
    with pytest.raises(ValueError, match="nothing to fit"):
        correct_curve(curve, known[0], [np.array([9000.0])], [np.ones(1)], N, 3.5)


@pytest.mark.slow
def test_blends_of_a_coarse_spectrograph_are_resolved():
    better = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        one = simulate_spectrograph(rng, n_pixels=1024, lamps=["Ne"], dispersion=(4.0, 6.0))
        known = {"wavelength_range": one.rough_range(rng)}
        off = []
        for asked in (False, True):
            found = match_lamps(one.arcs, model_blends=asked, **known)
            used = found.lines["pixel"][found.lines["used"]].value
            x = np.linspace(used.min(), used.max(), 200)
            error = found.pixel_to_wavelength(x) - one.solution.pixel_to_wavelength(x)
            off.append(np.sqrt(np.mean((error / one.solution.dispersion(x)).value ** 2)))
            pull = (error / found.uncertainty(x)).value
            assert np.sqrt(np.mean(pull**2)) < 4
        better.append(off[1] / off[0])
    assert np.median(better) < 0.7


@pytest.mark.parametrize("side", [-1, 1])
def test_where_lines_lean_their_centre_is_that_of_a_fitted_gaussian(side):
    """As `find_lines` measures it: clean lines and blends tell the same curve."""
    rng = np.random.default_rng(8)
    listed = np.arange(30.0, N - 20, 25.0) + rng.uniform(-2, 2, 22)
    z = (((np.arange(N * 40) + 0.5) / 40 - 0.5)[:, None] - listed) / 1.4
    # two Gaussians, a fifth of the light beside: not the family that the model assumes
    bells = np.exp(-0.5 * z**2) + 0.25 * np.exp(-0.5 * (z - side * 1.2) ** 2)
    seen = (bells @ rng.uniform(2e4, 1e5, 22)).reshape(N, 40).mean(axis=1) + 100
    sigma = np.sqrt(seen)
    noisy = rng.normal(seen, sigma)
    centres = find_lines(noisy, uncertainty=sigma)["pixel"].value
    found = np.array([centres[np.abs(centres - x).argmin()] for x in listed]) - listed
    arc = ArcSpectrum(noisy, sigma, listed, np.full(22, 1e5))
    model = model_arcs([arc], fwhm=3.8, degree=0)
    assert side * found.mean() > 0.15
    # noise, and a twentieth for a shape that is only nearly the true one
    allowed = 4 * found.std() / np.sqrt(22) + 0.05 * abs(found.mean())
    assert abs(model.displacement[0] - found.mean()) < allowed


def halo(x, centre, fwhm):
    """A line whose core is a slit's and whose halo falls with the square of the distance."""
    sigma = 0.3 * fwhm
    core = ndtr((x - centre + fwhm / 2) / sigma) - ndtr((x - centre - fwhm / 2) / sigma)
    return core / fwhm + 2e-4 / (1 + ((x - centre) / fwhm) ** 2)


def test_the_core_of_a_bright_line_counts_and_not_its_halo():
    """As in arcs of OSIRIS: ten thousand sigma in the core, some in the halo, and a wrong guess."""
    rng = np.random.default_rng(11)
    x, listed = np.arange(N), np.linspace(40.0, N - 50, 12) + rng.uniform(-5, 5, 12)
    fwhm = 2.5 * (1 + 0.4 * (listed / N - 0.5))  # out of focus towards one end
    total = 10 ** rng.uniform(4, 6.5, 12)
    seen = sum(f * halo(x, c, w) for f, c, w in zip(total, listed + 0.2, fwhm, strict=True)) + 100
    sigma = np.sqrt(seen)
    expected = total * 10 ** rng.uniform(-2, 1, 12)  # believed fainter by a hundred, or brighter
    arc = ArcSpectrum(rng.normal(seen, sigma), sigma, listed, expected)
    model = model_arcs([arc], fwhm=2.5)
    at = np.round(listed + 0.2).astype(int)
    np.testing.assert_allclose(model.fluxes[0][at], arc.flux[at], rtol=0.2)
    off = model.at(listed, N) - 0.2
    known = np.sqrt(np.diag(legendre.legvander(2 * listed / (N - 1) - 1, 3) @ model.covariance
                            @ legendre.legvander(2 * listed / (N - 1) - 1, 3).T))  # fmt: skip
    assert np.abs(off).max() < 0.03 and np.abs(off / known).max() < 4.5


def test_the_curve_that_is_known_better_is_taken_and_the_verdict_says_which():
    taken = set()
    for seed in (30, 210):
        rng = np.random.default_rng(seed)
        one = simulate_spectrograph(rng)
        known = {"wavelength_range": one.rough_range(rng)}
        plain, asked = (match_lamps(one.arcs, model_blends=b, **known) for b in (False, True))
        modelled = "models of the whole arcs" in asked.verdict
        taken.add(modelled)
        used = plain.lines["pixel"][plain.lines["used"]].value
        x = np.linspace(used.min(), used.max(), 100)
        sure = [np.mean(one.uncertainty(x).value ** 2) for one in (plain, asked)]
        assert sure[1] < sure[0] if modelled else sure[1] == sure[0]
        assert "models" not in plain.verdict
    assert taken == {True, False}


def test_lines_may_contradict_a_model():
    """Their centres are those of a Gaussian; a model that is half a line beside them is wrong."""
    rng = np.random.default_rng(6)
    one = simulate_spectrograph(rng, n_pixels=2048, lamps=["Kr"], dispersion=(0.8, 1.2))
    ((lamp, flux, sigma),) = one.arcs
    plain = match_lamps(one.arcs, wavelength_range=one.rough_range(rng), model_blends=False)
    unsure = 1e4 * plain.covariance  # so that any model is known better
    found = LineIdentification(plain.lines, plain.coefficients, unsure, 0.0, {})
    listed = lamp_line_list(lamp, medium="air")
    known = [listed["wavelength"].value], [listed["strength"].value], plain.n_pixels, one.fwhm
    assert model_whole(found, [(flux, sigma)], *known).modelled
    elsewhere = [(np.roll(flux, 1), np.roll(sigma, 1))]
    assert not model_whole(found, elsewhere, *known).modelled
