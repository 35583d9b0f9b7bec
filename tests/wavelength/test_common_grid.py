"""On a common grid no electron is lost, and the noise of neighbours is known to be shared."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.wavelength.common_grid import resample_flux

N = 300
WAVE = (5000 + 1.3 * np.arange(N) + 1e-4 * np.arange(N) ** 2) * u.AA


def inner_edges(step):
    return np.arange(5010, 5380, step) * u.AA


@pytest.mark.parametrize("step", [0.4, 1.3, 2.1, 10.0])
def test_every_electron_is_kept(step):
    flux = np.random.default_rng(1).uniform(10, 1000, N)
    edges = np.append(np.arange(4990, 5420, step), 5430) * u.AA
    found = resample_flux(flux, WAVE, edges)
    # the bins at the ends reach beyond the spectrum: masked, so their light is counted apart
    whole = resample_flux(flux, WAVE, np.array([WAVE[50].value, WAVE[250].value]) * u.AA)
    part = resample_flux(flux, WAVE, np.linspace(WAVE[50].value, WAVE[250].value, 77) * u.AA)
    assert found.mask[0, 0]
    assert found.mask[0, -1]
    np.testing.assert_allclose(part.flux.sum(), whole.flux.sum(), rtol=1e-12)
    half = 0.5 * (flux[50] + flux[250])
    assert abs(whole.flux[0, 0] - flux[51:250].sum() - half) < 1e-3 * half + 0.01 * half


def test_a_flat_density_stays_flat():
    width = np.gradient(WAVE.value)
    found = resample_flux(100 * width, WAVE, inner_edges(0.9))
    np.testing.assert_allclose(found.flux, 90, rtol=1e-3)


@pytest.mark.parametrize("step", [0.6, 1.7, 4.0])
def test_the_covariance_is_that_of_many_realisations(step):
    rng = np.random.default_rng(2)
    sigma = rng.uniform(1, 3, N)
    noise = rng.normal(0, sigma, (4000, N))
    found = resample_flux(noise, WAVE, inner_edges(step), uncertainty=sigma)
    n = found.flux.shape[1]
    for k in range(found.covariance.shape[2]):
        seen = (found.flux[:, : n - k] * found.flux[:, k:]).mean(axis=0)
        scale = found.uncertainty[0, : n - k] * found.uncertainty[0, k:]
        off = (seen - found.covariance[0, : n - k, k]) / scale
        assert np.abs(off).max() < 5 * np.sqrt(2 / 4000)
    # nothing beyond the band
    far = found.covariance.shape[2]
    seen = (found.flux[:, : n - far] * found.flux[:, far:]).mean(axis=0)
    scale = found.uncertainty[0, : n - far] * found.uncertainty[0, far:]
    assert np.abs(seen / scale).max() < 5 / np.sqrt(4000)


def test_the_error_of_a_sum_counts_the_correlation():
    rng = np.random.default_rng(3)
    found = resample_flux(rng.normal(0, 1, (4000, N)), WAVE, inner_edges(0.7), uncertainty=1.0)
    pulls = found.flux[:, 20:200].sum(axis=1) / found.sum_uncertainty(20, 200)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * 4000)
    naive = np.sqrt((found.uncertainty[0, 20:200] ** 2).sum())
    assert naive < 0.85 * found.sum_uncertainty(20, 200)[0]  # too small by far


def test_falling_wavelengths_and_shifted_exposures_are_taken():
    flux = np.random.default_rng(4).uniform(10, 1000, N)
    rising = resample_flux(flux, WAVE, inner_edges(2.0), uncertainty=np.sqrt(flux))
    falling = resample_flux(flux[::-1], WAVE[::-1], inner_edges(2.0), uncertainty=1.0)
    np.testing.assert_allclose(falling.flux, rising.flux)
    both = np.stack([WAVE.value, WAVE.value + 0.4]) * u.AA
    two = resample_flux(np.stack([flux, flux]), both, inner_edges(2.0))
    np.testing.assert_allclose(two.flux[0], rising.flux[0])
    assert np.abs(two.flux[1] - two.flux[0]).max() > 1


def test_bad_pixels_mask_the_bins_they_reach_into():
    flux, mask = np.full(N, 100.0), np.zeros(N, bool)
    mask[100], flux[150] = True, np.nan
    found = resample_flux(flux, WAVE, inner_edges(2.0), uncertainty=10.0, mask=mask)
    for pixel in (100, 150):
        near = np.abs(found.wavelength - WAVE[pixel]) < 0.6 * u.AA
        assert np.all(found.mask[0, near])
    assert np.isnan(found.flux[found.mask]).all()
    assert found.mask.sum() <= 4
    assert np.isfinite(found.flux[~found.mask]).all()
    assert np.nanmax(np.abs(found.correlation)) <= 1 + 1e-12


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="edges of the bins must rise"):
        resample_flux(np.ones(N), WAVE, WAVE[::-1])
    with pytest.raises(ValueError, match="must rise or fall"):
        resample_flux(np.ones(4), [1, 2, 2, 3] * u.AA, inner_edges(2.0))
