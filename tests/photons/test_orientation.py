"""Turning there and back, and finding the raw pixel again."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.photons.orientation import DISPERSIONS, to_raw_pixel, turn, turn_back


@pytest.mark.parametrize("dispersion", DISPERSIONS)
def test_wavelength_increases_with_x_after_turning(dispersion):
    y, x = np.mgrid[:5, :7]
    wavelength = {"+x": x, "-x": -x, "+y": y, "-y": -y}[dispersion]
    position = y if dispersion[1] == "x" else x
    assert np.all(np.diff(turn(wavelength, dispersion), axis=1) == 1)
    # the slit is never reversed: the spatial index is the raw coordinate
    assert np.all(np.diff(turn(position, dispersion), axis=0) == 1)
    assert np.all(turn_back(turn(x, dispersion), dispersion) == x)


@pytest.mark.parametrize("dispersion", DISPERSIONS)
def test_everything_of_a_frame_turns_and_comes_back(dispersion):
    data = np.arange(35.0).reshape(5, 7)
    frame = CCDData(data, unit=u.electron, mask=data > 30, uncertainty=StdDevUncertainty(data + 1))
    frame.flags = (data > 30).astype(np.uint16)
    turned = turn(frame, dispersion)
    assert np.all((turned.data > 30) == turned.mask)
    assert np.all(turned.flags == turned.mask)
    assert np.all(turned.uncertainty.array == turned.data + 1)
    back = turn_back(turned)
    assert np.all(back.data == data)
    assert "TURNED" not in back.meta
    with pytest.raises(ValueError, match="already turned"):
        turn(turned, dispersion)


@pytest.mark.parametrize("dispersion", DISPERSIONS)
def test_a_turned_pixel_finds_its_raw_fits_pixel(dispersion):
    raw = np.arange(80.0).reshape(8, 10)
    frame = CCDData(raw[2:7, 3:10], unit=u.adu, meta={"TRIMX0": 3, "TRIMY0": 2})
    turned = turn(frame, dispersion)
    for y, x in ((0, 0), (3, 1), (2, 4)):
        raw_x, raw_y = to_raw_pixel(x, y, turned.meta)
        assert raw[int(raw_y) - 1, int(raw_x) - 1] == turned.data[y, x]


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        turn(np.ones((2, 2)), "x")
