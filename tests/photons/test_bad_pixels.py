"""Every reason to distrust a pixel is its own bit."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData

from slitlapse.photons.bad_pixels import MaskBits, flag_raw


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
