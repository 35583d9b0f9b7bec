"""A trace built by hand knows its width and can be moved."""

import numpy as np
import pytest
from specreduce.tracing import Trace

from slitlapse.trace import ProfileTrace
from slitlapse.trace.profile_trace.trace_with_width import TraceWithWidth


def test_numbers_and_arrays_become_curves_of_the_class_that_was_asked():
    made = TraceWithWidth.from_curves((40, 100), 20, np.linspace(2, 3, 100), neighbours=[8])
    assert isinstance(made, Trace)
    assert type(ProfileTrace.from_curves((40, 100), 20, 2.0)) is ProfileTrace
    assert made.shape == (100,)
    assert np.all(made.trace == 20)
    assert made.fwhm[-1] == pytest.approx(3 * np.sqrt(8 * np.log(2)))
    assert made.neighbours == (8.0,)


def test_a_moved_copy_leaves_the_first_where_it_is():
    first = TraceWithWidth.from_curves((40, 100), 20, 2.0)
    moved = first + 3
    assert np.all(moved.trace == 23)
    assert np.all(first.trace == 20)
    assert moved.image is first.image


def test_columns_outside_the_image_are_masked():
    trace = TraceWithWidth.from_curves((40, 100), np.linspace(-10, 30, 100), 2.0).trace
    assert np.array_equal(np.ma.getmaskarray(trace), np.linspace(-10, 30, 100) < 0)
