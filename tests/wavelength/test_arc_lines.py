"""Arc lines: found, on the bound, honest, and flagged where they should not be trusted."""

import astropy.units as u
import numpy as np
import pytest
from scipy.special import ndtr
from specutils import Spectrum

from slitlapse.wavelength.arc_lines import find_lines

READ_NOISE = 4.0
BACKGROUND = 30.0


def line(x, centre, fwhm, slit=0.0):
    """Unit-area line integrated over pixels: a Gaussian, smeared by an evenly lit slit."""
    sigma = fwhm / 2.3548
    if slit == 0:
        return ndtr((x + 0.5 - centre) / sigma) - ndtr((x - 0.5 - centre) / sigma)
    grid = (np.arange(41) - 20) / 41 * slit
    return np.mean([line(x, centre + shift, fwhm) for shift in grid], axis=0)


def make_arc(rng, centres, counts, n=2048, fwhm=3.0, slit=0.0):
    x = np.arange(n)
    expected = BACKGROUND + sum(
        c * line(x, p, fwhm, slit) for p, c in zip(centres, counts, strict=True)
    )
    flux = rng.poisson(expected) + rng.normal(0, READ_NOISE, n)
    return flux, np.sqrt(expected + READ_NOISE**2)


def bound(centre, counts, sigma, fwhm=3.0, slit=0.0, n=2048):
    """Cramer-Rao bound of a line's centre, everything else known."""
    x = np.arange(n)
    slope = (line(x, centre + 1e-3, fwhm, slit) - line(x, centre - 1e-3, fwhm, slit)) / 2e-3
    return 1 / np.sqrt(np.sum((counts * slope / sigma) ** 2))


@pytest.mark.parametrize("counts", [3e3, 1e5])
@pytest.mark.parametrize("slit", [0.0, 3.0])
def test_clean_lines_are_within_20_percent_of_the_bound_and_pulls_are_honest(counts, slit):
    errors, pulls = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        centres = np.arange(30, 2020, 25) + rng.uniform(-0.5, 0.5, 80)
        flux, sigma = make_arc(rng, centres, np.full(80, counts), slit=slit)
        lines = find_lines(flux, uncertainty=sigma)
        assert len(lines) >= 80
        found = lines[np.abs(lines["pixel"].value[:, None] - centres).argmin(axis=0)]
        off = found["pixel"].value - centres
        limit = [bound(c, counts, sigma, slit=slit) for c in centres]
        errors.append(off / limit)
        pulls.append(off / found["pixel_uncertainty"].value)
    errors, pulls = np.concatenate(errors), np.concatenate(pulls)
    four = 4 / np.sqrt(2 * errors.size)  # 4 standard errors of a standard deviation
    assert errors.std() < 1.2 * (1 + four)
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(errors.size)
    assert 1 - four - 0.12 < pulls.std() < 1 + four + 0.05


def test_the_width_is_measured():
    rng = np.random.default_rng(1)
    centres = np.arange(50, 2000, 60.3)
    for fwhm in (2.2, 3.5, 7.0):
        flux, sigma = make_arc(rng, centres, np.full(len(centres), 5e4), fwhm=fwhm)
        assert abs(find_lines(flux, uncertainty=sigma).meta["fwhm"] / fwhm - 1) < 0.03


def test_few_spurious_lines_in_pure_noise():
    rng = np.random.default_rng(3)
    n_found = [len(find_lines(rng.normal(100, 5, 2048), uncertainty=5.0)) for _ in range(10)]
    # a 5 sigma threshold in 2048 pixels: 6e-4 expected per spectrum, whatever the width
    assert sum(n_found) <= 2


def test_without_uncertainties_the_noise_is_measured():
    rng = np.random.default_rng(5)
    centres = np.arange(30, 2020, 25) + rng.uniform(-0.5, 0.5, 80)
    flux, _ = make_arc(rng, centres, np.full(80, 2e4))
    lines = find_lines(flux)
    found = lines[np.abs(lines["pixel"].value[:, None] - centres).argmin(axis=0)]
    pulls = (found["pixel"].value - centres) / found["pixel_uncertainty"].value
    assert 0.7 < pulls.std() < 1.4


def test_blends_are_separated_and_flagged():
    rng = np.random.default_rng(2)
    centres = np.array([200.0, 204.2, 600.0, 1000.0, 1300.0, 1600.0, 1800.0])
    flux, sigma = make_arc(rng, centres, np.full(7, 5e4))
    lines = find_lines(flux, uncertainty=sigma)
    pixel = lines["pixel"].value
    for centre in centres:
        assert np.abs(pixel - centre).min() < 0.05
    np.testing.assert_array_equal(lines["blended"], np.abs(pixel - 202.1) < 3)


def test_saturated_edge_masked_and_narrow_lines_are_flagged():
    rng = np.random.default_rng(4)
    centres = np.array([1.0, 300.2, 700.4, 1000.1, 1200.3, 1400.7, 1700.0])
    flux, sigma = make_arc(rng, centres, np.array([5e4, 3e5, 5e4, 5e4, 5e4, 5e4, 5e4]))
    flux = np.minimum(flux, 60000)
    flux[850] += 20000  # a hot pixel
    mask = np.zeros(2048, bool)
    mask[1000] = True
    lines = find_lines(flux, uncertainty=sigma, saturation=60000, mask=mask)
    pixel = lines["pixel"].value
    flagged = {name: pixel[lines[name]] for name in ("saturated", "edge", "narrow")}
    np.testing.assert_allclose(flagged["saturated"], [300.2], atol=0.5)
    assert np.abs(flagged["narrow"] - 850).min() < 0.5
    assert np.abs(flagged["edge"] - 1.0).min() < 1.0
    assert np.abs(flagged["edge"] - 1000.1).min() < 0.5  # its core is masked


def test_a_spectrum_brings_its_unit_uncertainty_and_mask():
    rng = np.random.default_rng(6)
    centres = np.arange(60, 2000, 97.3)
    flux, sigma = make_arc(rng, centres, np.full(len(centres), 3e4))
    from astropy.nddata import StdDevUncertainty

    spectrum = Spectrum(
        flux * u.electron,
        spectral_axis=np.arange(2048) * u.pix,
        uncertainty=StdDevUncertainty(sigma),
    )
    ours, plain = find_lines(spectrum), find_lines(flux, uncertainty=sigma)
    assert ours["amplitude"].unit == u.electron
    np.testing.assert_allclose(ours["pixel"].value, plain["pixel"].value)


def test_the_brightest_lines_only():
    rng = np.random.default_rng(7)
    flux, sigma = make_arc(rng, np.array([200.0, 500, 900]), np.array([1e3, 1e5, 3e4]))
    lines = find_lines(flux, uncertainty=sigma, max_lines=2)
    np.testing.assert_allclose(lines["pixel"].value, [500, 900], atol=0.2)


def test_bad_spectra_are_refused_in_words():
    with pytest.raises(ValueError, match="one-dimensional"):
        find_lines(np.ones((5, 100)))
    with pytest.raises(ValueError, match="masked or not finite"):
        find_lines(np.full(100, np.nan))
