"""Frames from memory, files and functions."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.photons.combine.frame_source import FrameSource


@pytest.fixture
def ccd():
    data = np.arange(12.0).reshape(4, 3)
    mask = data > 10
    error = StdDevUncertainty(data / 10)
    return CCDData(data, unit=u.adu, mask=mask, uncertainty=error, meta={"EXPTIME": 5.0})


def test_memory_file_and_function_hold_the_same(ccd, tmp_path):
    ccd.write(tmp_path / "a.fits")
    for frame in (ccd, tmp_path / "a.fits", str(tmp_path / "a.fits"), lambda: ccd):
        source = FrameSource(frame)
        assert (source.shape, source.unit, source.has_uncertainty) == ((4, 3), u.adu, True)
        assert source.meta["EXPTIME"] == 5.0
        data, mask, error = source.rows(slice(2, 4))
        assert np.array_equal(data, ccd.data[2:])
        assert np.array_equal(mask, ccd.mask[2:])
        assert np.array_equal(error, ccd.uncertainty.array[2:])


def test_a_function_is_called_once_while_its_frame_is_held(ccd):
    calls = []

    def make():
        calls.append(1)
        return ccd

    source = FrameSource(make, hold=True)
    source.rows(slice(0, 2))
    source.rows(slice(2, 4))
    assert len(calls) == 1
    source.release()
    source.rows(slice(0, 2))
    assert len(calls) == 2


def test_a_file_without_unit_is_refused_unless_told(tmp_path):
    fits.PrimaryHDU(np.ones((4, 3), np.uint16)).writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"a\.fits has no card BUNIT: say which unit"):
        FrameSource(tmp_path / "a.fits")
    assert FrameSource(tmp_path / "a.fits", "adu").unit == u.adu


def test_packed_files_are_read_and_an_hdu_without_an_image_is_refused(tmp_path):
    image = np.arange(1200, dtype=np.uint16).reshape(30, 40)
    fits.PrimaryHDU(image).writeto(tmp_path / "a.fits.gz")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(tmp_path / "a.fits.fz")
    for name, hdu in (("a.fits.gz", 0), ("a.fits.fz", 1)):
        data, _, _ = FrameSource(tmp_path / name, "adu", hdu).rows(slice(3, 5))
        assert np.array_equal(data, image[3:5])
    with pytest.raises(
        ValueError, match=r"HDU 0 of .*a\.fits\.fz has the shape \(\), no image.*\[1\]"
    ):
        FrameSource(tmp_path / "a.fits.fz", "adu")
