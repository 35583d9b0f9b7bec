"""A simulated star keeps every electron and sits where it was put."""

import numpy as np
import pytest

from slitlapse.trace import star_image
from slitlapse.trace.simulate import PROFILE_FAMILIES


@pytest.mark.parametrize("profile", sorted(set(PROFILE_FAMILIES) - {"moffat"}))
def test_flux_and_centre_are_exact(profile):
    trace, spectrum = np.linspace(95, 104, 50), np.linspace(1e3, 1e5, 50)
    image = star_image((200, 50), trace, 2.0, spectrum, profile=profile)
    assert np.allclose(image.sum(axis=0), spectrum, rtol=1e-6)
    centroid = (np.arange(200)[:, None] * image).sum(axis=0) / image.sum(axis=0)
    assert np.allclose(centroid, trace, atol=1e-4)


def test_the_wings_of_a_moffat_profile_are_lost_only_beyond_the_frame():
    image = star_image((4001, 1), 2000, 2.0, 1.0, profile="moffat", beta=3.0)
    assert image.sum() == pytest.approx(1, abs=1e-6)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="profile must be one of"):
        star_image((10, 10), 5, 1, profile="sinc")
