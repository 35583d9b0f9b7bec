"""What a series keeps of one exposure, and what it makes of its parts."""

import astropy.units as u
import numpy as np
import pytest

from slitlapse.automation.exposure_summary import (
    PARTS,
    SCALAR_UNITS,
    spectral_unit,
    summarise_exposure,
)

WIDTHS = (4.0, 6.0, 8.0)


@pytest.fixture
def arrays():
    """As they come from one exposure, every value told from every other."""
    rng = np.random.default_rng(5)
    spectra = (
        "flux_optimal", "bad_fraction_optimal", "sky_level", "offset", "measured_width", "peak",
        "chi2", "sky_slope", "baseline", "width_used",
        *(f"optimal_{part}" for part in PARTS),
    )  # fmt: skip
    boxes = "flux_boxcar", "enclosed", "bad_fraction", *(f"boxcar_{part}" for part in PARTS)
    found = {key: rng.uniform(0.0, 0.4, 5) for key in spectra}
    found |= {key: rng.uniform(0.0, 0.4, (3, 5)) for key in boxes}
    found |= {"n_hit": np.array([0, 2, 0, 0, 1]), "saturated": np.arange(5) == 3}
    return found | {key: rng.uniform() for key in list(SCALAR_UNITS)[:3]}


@pytest.mark.parametrize("method", ["boxcar", "optimal"])
def test_the_headline_is_of_the_method_asked_for_and_the_other_stays(arrays, method):
    found = summarise_exposure(arrays, WIDTHS, method)
    fluxes = {"optimal": arrays["flux_optimal"], "boxcar": arrays["flux_boxcar"][1]}
    errors = {
        "optimal": sum(arrays[f"optimal_{part}"] for part in PARTS) ** 0.5,
        "boxcar": sum(arrays[f"boxcar_{part}"][1] for part in PARTS) ** 0.5,
    }
    (other,) = set(fluxes) - {method}
    assert np.array_equal(found["flux"], fluxes[method])
    assert np.allclose(found["uncertainty"], errors[method], rtol=1e-12)
    assert np.array_equal(found[f"flux_{other}"], fluxes[other])
    assert np.allclose(found[f"uncertainty_{other}"], errors[other], rtol=1e-12)
    total = sum(found[f"variance_{part}"] for part in PARTS)
    assert np.allclose(total, found["uncertainty"] ** 2, rtol=1e-12)


def test_every_width_is_kept_with_its_own_error(arrays):
    found = summarise_exposure(arrays, WIDTHS, "boxcar")
    for index, width in enumerate(WIDTHS):
        variance = sum(arrays[f"boxcar_{part}"][index] for part in PARTS)
        assert np.array_equal(found[f"flux_{width:g}"], arrays["flux_boxcar"][index])
        assert np.allclose(found[f"uncertainty_{width:g}"], variance**0.5, rtol=1e-12)


@pytest.mark.parametrize(("method", "key"), [("boxcar", 1), ("optimal", None)])
def test_reasons_are_those_of_the_headline(arrays, method, key):
    lost = arrays["bad_fraction"][key] if method == "boxcar" else arrays["bad_fraction_optimal"]
    lost[1] = 0.6
    assert summarise_exposure(arrays, WIDTHS, method)["reasons"].tolist() == [0, 2, 0, 4, 0]


def test_scalars_are_typical_of_the_spectrum(arrays):
    arrays["sky_level"][:2] = np.nan
    found = summarise_exposure(arrays, WIDTHS, "boxcar")
    assert set(SCALAR_UNITS) <= set(found) and all(found[key].shape == () for key in SCALAR_UNITS)
    assert found["sky_level"] == np.median(arrays["sky_level"][2:])
    assert found["seeing"] == pytest.approx(2.354820 * np.median(arrays["width_used"]))
    assert found["n_hit"] == 3
    arrays["sky_level"][:] = np.nan
    assert np.isnan(summarise_exposure(arrays, WIDTHS, "boxcar")["sky_level"])


def test_units_are_those_of_the_quantities():
    assert spectral_unit("flux_6") == spectral_unit("uncertainty") == u.electron
    assert spectral_unit("variance_star") == u.electron**2
    assert spectral_unit("sky_slope") == u.electron / u.pix and spectral_unit("chi2") == u.one
