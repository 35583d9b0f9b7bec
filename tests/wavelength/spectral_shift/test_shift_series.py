"""A series of shifts can be built by hand and drawn."""

import numpy as np

from slitlapse.wavelength.spectral_shift.shift_series import ShiftSeries


def test_an_exposure_without_a_shift_is_not_drawn():
    shift = np.array([0.1, np.nan, -0.1])
    error = np.array([0.01, np.inf, 0.02])
    series = ShiftSeries(shift, error, np.zeros(3), np.zeros(3), np.ones(3), None)
    ax = series.plot(time=[5.0, 6.0, 7.0])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [5, 6, 7])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), shift)
    assert np.all(np.isfinite(ax.get_ylim()))
    assert ax.get_xlabel() == "time"
