"""What deserves a look is said."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import QTable

from slitlapse.trace.profile_trace.look_over import TraceWarning, look_over


def trace(rows, used):
    used = np.array(used)
    table = QTable({"used": used, "reason": np.where(used, "", "too little light")})
    return SimpleNamespace(trace=np.ma.masked_outside(rows, 0, 99), table=table)


def test_a_trace_that_leaves_the_image_is_said():
    with pytest.warns(TraceWarning, match="in 10 columns between 90 and 99"):
        look_over(trace(np.arange(100) + 10.0, [True]))


def test_few_used_bins_are_said_with_the_reason():
    with pytest.warns(TraceWarning, match=r"Only 1 of 4 bins .* \(3 too little light\)"):
        look_over(trace(np.full(5, 50.0), [True, False, False, False]))


def test_a_good_trace_is_passed_over_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look_over(trace(np.full(5, 50.0), [True, True]))
