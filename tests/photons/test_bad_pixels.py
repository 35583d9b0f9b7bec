"""Every reason to distrust a pixel is its own bit."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from scipy.ndimage import median_filter

from slitlapse.photons import Amplifier, DarkCurrent, to_electrons
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


def test_a_saturation_level_in_another_unit_is_refused():
    raw = CCDData(np.ones((2, 2)), unit=u.adu)
    with pytest.raises(u.UnitConversionError):
        flag_raw(raw, saturation=1e5 * u.electron)
    assert not flag_raw(raw, saturation=1e5 * u.adu).mask.any()


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


def test_hot_pixels_stand_out_in_a_bias_too_and_in_one_with_a_gradient():
    rng = np.random.default_rng(2)
    bias = 1000 + np.linspace(0, 60, 150) + rng.normal(0, 2, (100, 150))
    bias[20, 30] += 45
    bias[60, 70] = np.nan
    frame = CCDData(bias, unit=u.electron)
    assert not find_hot_pixels(frame).any()  # the gradient hides it
    assert np.argwhere(find_hot_pixels(frame, box=9)).tolist() == [[20, 30]]


@pytest.mark.parametrize("options", [{}, {"box": 8}, {"threshold": 0.8}, {"minimum": 30.0}])
@pytest.mark.parametrize("noise", [0.02, 0.4])
def test_dead_pixels_are_those_below_half_the_median_of_their_row(noise, options):
    rng = np.random.default_rng(3)
    lamp = 1e4 * np.hypot.outer(np.linspace(0.1, 1, 60), np.linspace(0, 0.5, 90))
    flat = lamp * rng.normal(1, noise, (60, 90))
    flat[rng.uniform(size=flat.shape) < 0.01] *= 0.2
    flat[:8], flat[:, 33], flat[9, 10] = rng.normal(0, 20, (8, 90)), 3.0, np.nan
    values = np.nan_to_num(flat)
    box, threshold = options.get("box", 15), options.get("threshold", 0.5)
    around = np.maximum(median_filter(values, (1, box)), median_filter(values, (3, 2 * box + 1)))
    minimum = options.get("minimum", 0.1 * np.percentile(values, 95))
    expected = (around > minimum) & (values < threshold * around)
    found = find_dead_pixels(CCDData(flat, unit=u.electron), **options)
    assert expected.sum() > 50
    assert np.array_equal(found, expected)


def test_every_reason_keeps_its_bit_through_the_chain():
    shape = (60, 40)
    raw = np.full((60, 50), 1000.0)
    raw[20:30, 7], raw[30, 15], raw[31, 15], raw[40, 20] = 65535, 61000, 65535, np.nan
    unit = u.electron / u.s
    hot = np.zeros(shape, bool)
    hot[5, 5] = True
    dark = DarkCurrent(np.zeros(shape) * unit, np.zeros(shape) * unit, hot=hot)
    frame = to_electrons(
        CCDData(raw, unit=u.adu),
        [Amplifier("[1:40,1:60]", "[41:50,1:60]", gain=2.0, read_noise=4.0)],
        saturation=65535,
        linear=60000,
        bad_sections=["[1:2,1:60]"],
        dark=dark,
        exposure_time=1 * u.s,
    )
    dead = np.zeros(shape, bool)
    dead[31, 15] = dead[50, 10] = True
    frame = flag_where(frame, dead, "dead")
    places = {
        "bad_section": 120,
        "not_finite": 1,
        "saturated": 11,
        "bleeding": 14 * 3,
        "hot": 1,
        "dead": 2,
        "nonlinear": 12,
    }
    for reason, number in places.items():
        assert np.count_nonzero(frame.flags & MaskBits[reason]) == number, reason
    assert frame.flags[31, 15] == MaskBits.saturated | MaskBits.nonlinear | MaskBits.dead
    assert np.array_equal(frame.mask, frame.flags != 0)
    bits = [int(MaskBits[reason]) for reason in places]
    assert len(set(bits)) == len(bits) and all(bit.bit_count() == 1 for bit in bits)


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


def test_repair_looks_farther_where_all_neighbours_are_bad():
    data = np.tile(np.arange(30.0), (20, 1))
    mask = np.zeros(data.shape, bool)
    mask[5:16, 10:21] = True
    data[mask] = 1e6
    repaired = repair(CCDData(data, unit=u.electron, mask=mask)).data
    assert np.all(np.abs(repaired - np.arange(30))[mask] <= 10)
    assert np.array_equal(repaired[~mask], data[~mask])


def test_a_reason_can_be_added_and_no_sensitivity_masks_nothing():
    frame = CCDData(np.ones((3, 3)), unit=u.electron)
    bad = np.eye(3, dtype=bool)
    assert np.array_equal(flag_where(frame, bad, "hot").mask, bad)
    assert not flag_where(frame, bad, "no_sensitivity").mask.any()


def test_a_gap_between_detectors_has_a_reason_of_its_own():
    left = Amplifier("[1:30,1:20]", gain=1.0, read_noise=3.0, gap="[31:34,1:20]")
    right = Amplifier("[1:30,1:20]", gain=1.0, read_noise=3.0, output="[35:64,1:20]")
    raw = [CCDData(np.full((20, 30), 500.0), unit=u.adu) for _ in range(2)]
    bias = to_electrons(raw, [left, right], light=False)
    frame = to_electrons(raw, [left, right], bias=bias)
    inside = (np.arange(64) > 29) & (np.arange(64) < 34) & np.ones((20, 1), bool)
    assert np.array_equal(frame.flags == MaskBits.gap, inside)
    assert np.array_equal(frame.mask, inside)
    assert not frame.flags[~inside].any()
