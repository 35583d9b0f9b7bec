"""Series as spectra of specutils."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries


@pytest.fixture(params=[1, -1], ids=["rising", "falling"])
def series(request):
    rng = np.random.default_rng(1)
    flux = rng.uniform(50, 150, (30, 4))
    wave = (5000 + 2.0 * np.arange(30))[:: request.param] * u.AA
    return SpectralTimeSeries(
        QTable({"wavelength": wave}),
        QTable(
            {
                "time": Time(2460000.5 + np.arange(4), format="jd", scale="tdb"),
                "wavelength_shift": [0, 0.5, 1, -1] * u.pix,
            }
        ),
        {"flux": flux * u.electron, "uncertainty": np.sqrt(flux) * u.electron},
        rng.random(flux.shape) < 0.1,
        {"star": "A"},
    )


def test_one_spectrum_holds_all_exposures_with_errors_mask_and_times(series):
    spectrum = series.to_spectrum()
    order = np.argsort(series.wavelength.value)
    assert spectrum.flux.shape == (4, 30)
    assert np.all(spectrum.flux == series.flux[order].T)
    assert np.all(spectrum.spectral_axis == series.wavelength[order])
    assert isinstance(spectrum.uncertainty, StdDevUncertainty)
    assert np.all(spectrum.uncertainty.quantity == series.uncertainty[order].T)
    assert np.all(spectrum.mask == series.mask[order].T)
    assert np.all(spectrum.meta["time"] == series.time)
    assert spectrum.meta["star"] == "A"


def test_a_collection_keeps_the_wavelengths_of_every_exposure(series):
    collection = series.to_collection()
    order = np.argsort(series.wavelength.value)
    assert np.all(collection.flux == series.flux[order].T)
    assert np.allclose(collection.spectral_axis, series.wavelength_2d[order].T, rtol=1e-14)
    moved = collection.spectral_axis - collection.spectral_axis[0]
    way = np.sign((series.wavelength[1] - series.wavelength[0]).value)
    assert np.allclose(moved.value, way * np.array([0, -1, -2, 2])[:, None])
    one = collection[2]
    assert np.all(one.flux == series.flux[order, 2])
    assert np.all(one.mask == series.mask[order, 2])
