"""Are the errors of the sky in neighbouring columns independent, when columns are added up?"""

import numpy as np

from slitlapse.sky import column_correlations

__all__ = ["sky_correlations"]


def sky_correlations(plan):
    """
    Tell how far each star's errors of the sky go together in neighbouring columns.

    Parameters
    ----------
    plan : ExposurePlan
        Before what measuring needs is let go. Other placements of the same stars are close.

    Returns
    -------
    dict of str to array, shape (n_lags, n_x)
        See `~slitlapse.sky.column_correlations`; empty where every column has a sky of its own.
    """
    geometry, rows = plan.sky.geometry, plan.sky.rows
    if geometry is None:
        return {}
    y = np.arange(rows.start, rows.stop)[:, None]
    half_width = plan.widths[len(plan.widths) // 2] / 2
    return {
        name: column_correlations(geometry, _box(y, np.asarray(trace.trace, float), half_width))
        for name, trace in plan.traces.items()
    }


def _box(y, centre, half_width):
    """Weights of the headline aperture, shape (n_rows, n_x)."""
    return np.clip(half_width + 0.5 - np.abs(y - centre), 0, 1)
