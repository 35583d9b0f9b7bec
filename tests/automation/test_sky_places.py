from dataclasses import dataclass

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.automation import NightError
from slitlapse.automation.sky_places import (
    chosen_windows,
    clear_of_stars,
    needed_slice,
    whole_slit,
    without_stars,
)
from slitlapse.automation.stars import Placement
from slitlapse.trace import ProfileTrace

SHAPE = (300, 80)


@dataclass
class Night:
    """What these functions read of a night file."""

    source: str = "night.toml"
    sky_windows: tuple | None = None


def place(rows, width=2.0, image=None, flux=1e4):
    """Stars at these rows on a sky of 50 electron."""
    traces = {
        name: ProfileTrace.from_curves(SHAPE, row + np.linspace(-3, 3, 80), width, beta=3.0,
                                       profile="moffat")
        for name, row in rows.items()
    }  # fmt: skip
    if image is None:
        image = 50.0 + flux * sum(trace.profile_image(SHAPE) for trace in traces.values())
    return Placement(("a.fits",), CCDData(image, unit=u.electron), traces)


def test_stars_leave_no_wings_behind():
    placement = place({"A": 100.0, "B": 120.0})
    rest = without_stars(placement) - 50
    # what one star's window sees of the other is taken off in the next rounds
    assert np.abs(rest).max() < 0.002 * placement.image.data.max()
    wings = placement.image.data - 50
    far = clear_of_stars(Night(), placement, {"A": np.ones(SHAPE, bool)})
    assert np.abs(rest)[far].max() < 0.05 * wings[far].max()


def test_bad_pixels_stay_unknown():
    placement = place({"A": 100.0})
    placement.image.mask = np.zeros(SHAPE, bool)
    placement.image.mask[101, 7] = True
    rest = without_stars(placement)
    assert np.argwhere(np.isnan(rest)).tolist() == [[101, 7]]
    assert np.abs(np.nan_to_num(rest - 50)).max() < 1


def test_the_whole_slit_reaches_100_rows_from_a_star():
    lit = np.ones(SHAPE, bool)
    lit[:30] = False
    found = whole_slit(Night(), place({"A": 100.0}), lit)
    rows = np.flatnonzero(found["pixels"]["A"].any(axis=1))
    assert (rows[0], rows[-1]) == (30, 202)
    assert found["windows"]["A"].to_text() == "SkyWindows(rows=[[29.5, 202.5]])"


def test_without_a_flat_every_row_is_taken_for_lit():
    found = whole_slit(Night(), place({"A": 80.0}), None)
    assert found["pixels"]["A"][0].any()


def test_windows_of_a_night_file_are_those_of_every_star():
    night = Night(sky_windows=((-30.0, -15.0),))
    found = chosen_windows(night, place({"A": 100.0, "B": 200.0}), None)
    for name, row in (("A", 100), ("B", 200)):
        middle = np.flatnonzero(found["pixels"][name][:, 40])
        assert abs(middle.mean() - (row - 22.5)) < 0.6
        assert found["windows"][name].to_text() == "SkyWindows(offsets=[[-30.0, -15.0]])"


def test_windows_that_hold_no_sky_name_file_and_star():
    with pytest.raises(NightError, match=r"night\.toml: \[sky\] windows of star A: .*no pixel"):
        chosen_windows(Night(sky_windows=((400.0, 420.0),)), place({"A": 100.0}), None)


def test_a_slit_without_sky_names_file_and_stars():
    with pytest.raises(NightError, match=r"night\.toml: \[sky\] no pixel is farther than 6"):
        whole_slit(Night(), place({"A": 150.0}, width=60.0), None)


def test_rows_that_are_needed_hold_windows_and_apertures():
    placement = place({"A": 100.0})
    pixels = np.zeros(SHAPE, bool)
    pixels[140:150] = True
    rows = needed_slice(placement, pixels, 20)
    assert rows.start <= 97 - 20
    assert rows.stop >= 150
    assert needed_slice(placement, pixels, 1000) == slice(0, 300)
