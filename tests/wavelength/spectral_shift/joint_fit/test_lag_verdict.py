"""One valley is believed, two as deep are not, and neither is a plain."""

import numpy as np

from slitlapse.wavelength.spectral_shift.joint_fit.lag_verdict import doubts, valley_bottoms

LAGS = np.arange(-10, 10.1, 0.25)


def valleys(*places):
    """Chi-squared of 1000 pixels with valleys 500 deep."""
    return 1500 - 500 * sum((np.exp(-0.5 * (LAGS - place) ** 2) for place in places), 0 * LAGS)


def verdict(*chi2, beyond=False, fixed=True):
    n = len(chi2)
    return doubts(LAGS, np.array(chi2), np.full(n, 1000), np.full(n, beyond), fixed)


def test_the_bottom_of_a_valley_lies_between_the_lags():
    chi2 = 7 + (LAGS - 1.1) ** 2
    assert abs(valley_bottoms(chi2[None]).min() - 7) < 1e-9 < chi2.min() - 7


def test_one_valley_is_believed_two_and_none_are_not():
    found = verdict(valleys(2.0), valleys(2.0, -5.0), valleys())
    assert found.tolist() == [
        "",
        "another shift fits as well",
        "no shift fits better than others",
    ]


def test_a_shift_beyond_the_search_is_not_believed():
    assert verdict(valleys(2.0), beyond=True).tolist() == ["beyond max_shift"]


def test_where_few_agree_they_must_do_so_twice_as_well():
    shallow = 1000 + 0.06 * (valleys(2.0) - 1000)
    nothing = [valleys()] * 4
    assert verdict(shallow, *nothing, fixed=True)[0] == ""
    assert verdict(shallow, *nothing, fixed=False)[0] != ""
