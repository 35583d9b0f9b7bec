"""The sensitivity that went in comes back."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.flats import make_lamp_image, make_sensitivity
from slitlapse.flats.pixel_sensitivity import fit_pixel_sensitivity

SHAPE = (200, 800)


def simulated_flat(rng, n_frames=5, **kwargs):
    """Mean of Poisson flats of a lamp through pixels of different sensitivity."""
    sensitivity = make_sensitivity(SHAPE, rng=rng, **kwargs)
    lamp = make_lamp_image(SHAPE, slits=((-0.5, 1.5),))
    flat = rng.poisson(lamp * sensitivity * n_frames) / n_frames
    error = np.sqrt(np.maximum(flat, 1) / n_frames)
    return sensitivity, CCDData(flat, unit=u.electron, uncertainty=StdDevUncertainty(error))


@pytest.mark.parametrize("scatter", [0.005, 0.02])
def test_the_sensitivity_comes_back_at_the_photon_noise(scatter):
    truth, flat = simulated_flat(np.random.default_rng(1), scatter=scatter, dead_columns=[300, 301])
    found = fit_pixel_sensitivity(flat)
    good = ~found.mask
    assert good.mean() > 0.99
    pull = ((found.sensitivity - truth) / found.uncertainty)[good]
    assert abs(pull.std() - 1) < 0.1
    assert np.all(found.sensitivity[found.mask] == 1)


def test_a_flat_in_adu_is_refused():
    with pytest.raises(u.UnitTypeError, match="must be in electron"):
        fit_pixel_sensitivity(CCDData(np.ones((2, 2)), unit=u.adu))
