"""
The room of the trace.

The question
------------
How is a star's light positioned?

In plain words
--------------
A star is a bright streak along the detector. Before its light can be added up we must know which
stars there are, in which row each streak lies in every column, and how wide it is there. The shape
of the streak belongs to the telescope and hardly changes; where it lies and how wide it is changes
with every exposure, with guiding and seeing.

Forward
-------
`find_stars` lists the stars on a cut across the slit, `find_stars_in_image` those of an image
without disperser, and `ImageToTrace` says where their traces will lie; `ProfileTrace` measures
centre and width along one star, on the mean frame of a night, and draws smooth curves through
both; `measure_profile_shift` measures one offset and one width factor for one exposure against it.

Backward
--------
`star_image` draws a star from its trace, width and spectrum, exactly integrated over pixels;
`ProfileTrace.profile_image` draws what a measured trace believes in.

How do we know?
---------------
`plot_stars` marks the stars on the cut, `plot_trace_on_image` lays curves and window over the
image, `plot_trace_residuals` shows what the bins say against the curves, in their own
uncertainties, `plot_trace_fit` what the model leaves in the image, `animate_trace` the trace over
the night. Simulated stars come back where they were put, with errors that are as large as stated.
"""

from slitlapse._upstream import prefer
from slitlapse.trace.explain import (
    animate_trace,
    plot_stars,
    plot_trace_fit,
    plot_trace_on_image,
    plot_trace_residuals,
)
from slitlapse.trace.find_stars import find_stars
from slitlapse.trace.image_to_trace import ImageToTrace, fit_image_to_trace
from slitlapse.trace.profile_shift import ProfileShift, measure_profile_shift
from slitlapse.trace.profile_trace import ProfileTrace, StarNotFoundError, TraceWarning
from slitlapse.trace.simulate import star_image
from slitlapse.trace.stars_in_image import find_stars_in_image

ProfileTrace, StarNotFoundError, TraceWarning = prefer(
    "specreduce.profile_trace", ProfileTrace, StarNotFoundError, TraceWarning
)

__all__ = [
    "ImageToTrace",
    "ProfileShift",
    "ProfileTrace",
    "StarNotFoundError",
    "TraceWarning",
    "animate_trace",
    "find_stars",
    "find_stars_in_image",
    "fit_image_to_trace",
    "measure_profile_shift",
    "plot_stars",
    "plot_trace_fit",
    "plot_trace_on_image",
    "plot_trace_residuals",
    "star_image",
]
