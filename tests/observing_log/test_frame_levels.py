"""How bright is each frame, and where is its bias level?"""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from slitlapse.observing_log import measure_levels


def write(path, image, in_extension=False):
    if in_extension:
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, name="SCI")]).writeto(path)
    else:
        fits.PrimaryHDU(image).writeto(path)
    return path


def test_levels_are_those_of_the_sections(tmp_path):
    image = np.full((20, 40), 500, np.uint16)
    image[:, 30:] = 100
    image[3, 4] = 60000
    paths = [write(tmp_path / "a.fits", image), write(tmp_path / "b.fits.gz", image, True)]
    levels = measure_levels(paths, light="[1:30,1:20]", dark="[31:40,1:20]")
    assert list(levels["filename"]) == ["a.fits", "b.fits.gz"]
    assert list(levels["counts"]) == [500 * u.adu] * 2
    assert list(levels["counts_high"]) == [500 * u.adu] * 2
    assert list(levels["counts_max"]) == [60000 * u.adu] * 2
    assert list(levels["bias_level"]) == [100 * u.adu] * 2


def test_without_sections_the_whole_frame_counts_and_no_level_is_known(tmp_path):
    image = np.arange(101.0).reshape(1, 101)
    levels = measure_levels([write(tmp_path / "a.fits", image)])
    assert levels["counts"][0] == 50 * u.adu
    assert levels["counts_high"][0] == 99 * u.adu
    assert np.isnan(levels["bias_level"][0])


def test_pixels_that_are_no_numbers_are_left_out_and_a_section_off_the_frame_is_unknown(tmp_path):
    image = np.full((5, 5), 7.0)
    image[0] = np.nan
    levels = measure_levels([write(tmp_path / "a.fits", image)], dark="[50:60,1:5]")
    assert levels["counts"][0] == 7 * u.adu
    assert np.isnan(levels["bias_level"][0])


def test_nonsense_is_refused(tmp_path):
    path = write(tmp_path / "a.fits", np.zeros((5, 5)))
    with pytest.raises(ValueError, match="'left' is no FITS section: write it as"):
        measure_levels([path], dark="left")
    fits.PrimaryHDU().writeto(tmp_path / "b.fits")
    with pytest.raises(OSError, match="no HDU holds an image"):
        measure_levels([tmp_path / "b.fits"])


def test_the_bias_levels_of_a_real_night_are_those_its_observer_noted(real_data):
    folder = real_data / "lick_kast_blue_2015"
    levels = measure_levels(
        [folder / "b21.fits.gz", folder / "b11.fits.gz"], dark="[2081:2112,1:350]"
    )
    assert levels["bias_level"].to_value(u.adu) == pytest.approx([965, 982], abs=1)
