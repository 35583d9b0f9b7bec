"""Where the slit lights the detector."""

import numpy as np
import pytest

from slitlapse.flats import make_lamp_image
from slitlapse.flats.illuminated import find_illuminated


@pytest.mark.parametrize(("slope", "curve"), [(0, 0), (12, 0), (-5, 15)])
def test_sloped_and_curved_edges_are_found_between_pixels(slope, curve):
    shape, rng = (300, 1000), np.random.default_rng(1)
    lamp = make_lamp_image(shape, slope=slope, curve=curve, slits=((0.2, 0.8),))
    region = find_illuminated(rng.poisson(lamp).astype(float), margin=0)
    t = np.linspace(0, 1, 1000)
    shift = slope * (t - 0.5) + curve * (2 * t - 1) ** 2
    # half of the 90th percentile is not half of the light at the edge: 10 % of illumination
    # moves the crossing by 0.06 of the blur (1.5 px)
    assert np.abs(region.lower[0] - 60 - shift).max() < 0.3
    assert np.abs(region.upper[0] - 240 - shift).max() < 0.3


def test_several_slits_are_kept_apart():
    lamp = make_lamp_image((400, 600), slits=((0.05, 0.3), (0.35, 0.6), (0.7, 0.95)), slope=6)
    region = find_illuminated(lamp)
    assert region.n_slits == 3
    assert region.slit_number[150 + 40, 300] == 1
    assert not region.mask[130, 300]


def test_a_dark_frame_has_no_slit():
    with pytest.raises(ValueError, match="No light"):
        find_illuminated(np.zeros((50, 60)))
