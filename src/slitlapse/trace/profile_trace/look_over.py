"""Which parts of a trace deserve a look before it is used?"""

import warnings

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["TraceWarning", "look_over"]


class TraceWarning(AstropyUserWarning):
    """The trace can be used, but part of it deserves a look."""


def look_over(trace):
    """
    Warn where a trace leaves its image or rests on less than half of its bins.

    Parameters
    ----------
    trace : `ProfileTrace`
        Trace with its ``table``.
    """
    outside = np.ma.getmaskarray(trace.trace)
    if outside.any():
        first, last = np.flatnonzero(outside)[[0, -1]]
        warnings.warn(
            f"The trace leaves the image in {outside.sum()} columns between {first} and {last}; "
            "it is masked there.",
            TraceWarning,
            stacklevel=3,
        )
    used = np.asarray(trace.table["used"])
    if used.mean() < 0.5:
        reasons, counts = np.unique(trace.table["reason"][~used], return_counts=True)
        most = ", ".join(f"{c} {r}" for r, c in zip(reasons, counts, strict=True))
        warnings.warn(
            f"Only {used.sum()} of {used.size} bins could be used for the trace ({most}); "
            "look at trace.table.",
            TraceWarning,
            stacklevel=3,
        )
