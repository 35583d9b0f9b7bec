"""Only pixels that can be used are used, and noise is never invented."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, NDData, StdDevUncertainty, VarianceUncertainty

from slitlapse.trace.profile_trace.read_image import read_image

DATA = np.random.default_rng(0).poisson(50, (40, 60)) * 1.0


def test_arrays_quantities_and_frames_say_the_same():
    mask = DATA > 65
    for image in (
        DATA,
        DATA * u.electron,
        CCDData(DATA, unit=u.electron),
        NDData(DATA),
        np.ma.masked_array(DATA, mask),
        DATA.astype(">f4"),
    ):
        data, good, noise = read_image(image, mask)
        assert np.array_equal(data, DATA)
        assert np.array_equal(good, ~mask)
        assert noise is None


def test_nan_and_the_masks_of_frame_and_caller_are_left_out():
    image = CCDData(DATA.copy(), unit=u.electron, mask=DATA > 65)
    image.data[3, 4] = np.nan
    extra = np.zeros(DATA.shape, bool)
    extra[:, 7] = True
    good = read_image(image, extra)[1]
    assert not good[3, 4]
    assert not good[:, 7].any()
    assert good.sum() == (~(DATA > 65) & ~extra).sum() - (DATA[3, 4] <= 65)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty])
def test_the_read_noise_is_what_the_uncertainty_holds_beside_photons(kind):
    variance = DATA + 4.5**2
    values = np.sqrt(variance) if kind is StdDevUncertainty else variance
    frame = CCDData(DATA, unit=u.electron, uncertainty=kind(values))
    assert read_image(frame)[2] == pytest.approx(4.5)
    assert read_image(frame, read_noise=3.0 * u.electron)[2] == 3.0


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="is in adu"):
        read_image(DATA * u.adu)
    with pytest.raises(ValueError, match="has 1"):
        read_image(DATA[0])
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\)"):
        read_image(DATA, np.zeros((2, 2), bool))
