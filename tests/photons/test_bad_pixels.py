"""Every reason to distrust a pixel is its own bit."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.photons.bad_pixels import (
    MaskBits,
    find_dead_pixels,
    find_hot_pixels,
    flag_raw,
    flag_where,
    repair,
)


def test_every_reason_is_its_own_bit():
    raw = np.full((20, 10), 1000.0)
    raw[3, 4], raw[5, 6] = 65535, np.nan
    flagged = flag_raw(
        CCDData(raw, unit=u.adu), saturation=65535, linear=60000, bad_sections=["[1:2,1:20]"]
    )
    assert flagged.flags.dtype == np.uint16
    assert flagged.flags[3, 4] == MaskBits.saturated | MaskBits.nonlinear
    assert flagged.flags[5, 6] == MaskBits.not_finite
    assert np.all(flagged.flags[:, :2] == MaskBits.bad_section)
    assert flagged.mask.sum() == 42


def test_a_frame_in_electrons_is_too_late_to_judge():
    with pytest.raises(u.UnitTypeError, match="electron"):
        flag_raw(CCDData(np.ones((2, 2)), unit=u.electron), saturation=10)


def test_a_bleeding_column_grows_but_a_single_saturated_pixel_does_not():
    raw = np.full((40, 20), 1000, np.uint16)
    raw[10:20, 7], raw[30, 15] = 65535, 65535
    flags = flag_raw(CCDData(raw, unit=u.adu), saturation=65535).flags
    bleeding = (flags & MaskBits.bleeding) > 0
    assert np.all(bleeding[8:22, 6:9])
    assert bleeding.sum() == 14 * 3
    turned = flag_raw(CCDData(raw.T, unit=u.adu), saturation=65535, bleed_axis=1).flags
    assert np.array_equal(turned.T, flags)


def test_a_bad_section_outside_the_frame_or_unreadable_is_refused():
    raw = CCDData(np.ones((4, 5)), unit=u.adu)
    with pytest.raises(ValueError, match="does not lie in the frame"):
        flag_raw(raw, bad_sections=["[1:6,1:4]"])
    with pytest.raises(ValueError, match="is not like"):
        flag_raw(raw, bad_sections=["UNKNOWN"])


def test_hot_and_dead_pixels_are_found_and_no_others():
    rng = np.random.default_rng(1)
    dark = rng.normal(5, 1, (100, 120))
    dark[3, 4], dark[50, 60] = 40, 25
    assert np.argwhere(find_hot_pixels(CCDData(dark, unit=u.electron))).tolist() == [
        [3, 4],
        [50, 60],
    ]
    flat = rng.normal(10000, 100, (100, 120)) * (np.arange(100) > 20)[:, None]
    flat[40, 50], flat[:, 80] = 100, 200
    dead = find_dead_pixels(CCDData(flat, unit=u.electron))
    assert dead[40, 50]
    assert dead[21:, 80].all()
    assert dead.sum() == 80


def test_repair_is_for_pictures_and_says_so():
    data = np.full((10, 10), 7.0)
    data[4, 4] = np.nan
    mask = np.isnan(data)
    frame = CCDData(data, unit=u.electron, mask=mask)
    repaired = repair(frame)
    assert repaired.data[4, 4] == 7
    assert repaired.mask[4, 4]
    assert repaired.meta["REPAIRED"]
    assert np.isnan(frame.data[4, 4])


def test_a_reason_can_be_added_and_no_sensitivity_masks_nothing():
    frame = CCDData(np.ones((3, 3)), unit=u.electron)
    bad = np.eye(3, dtype=bool)
    assert np.array_equal(flag_where(frame, bad, "hot").mask, bad)
    assert not flag_where(frame, bad, "no_sensitivity").mask.any()
