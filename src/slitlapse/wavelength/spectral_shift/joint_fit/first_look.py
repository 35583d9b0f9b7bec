"""Before anything is fitted: which exposure is like the others, which pixels like no star?"""

import numpy as np
from numpy.polynomial import legendre

__all__ = ["spikes", "typical_exposure"]


def typical_exposure(flux, weight):
    """The exposure that resembles the median one most closely: a start."""
    scale = np.ma.median(np.ma.array(flux, mask=weight == 0), axis=1).filled(1)
    level = flux / np.where(scale == 0, 1, scale)[:, None]
    return np.abs(level - np.median(level, axis=0)).sum(axis=1).argmin()


def spikes(flux, weight):
    """True where a pixel stands far above a cubic through its exposure: cosmic rays, mostly."""
    along, result = np.linspace(-1, 1, flux.shape[1]), np.zeros(flux.shape, bool)
    for one, good, spike in zip(flux, weight, result, strict=True):
        smooth = legendre.Legendre.fit(along, one, 3, w=np.sqrt(good))(along)
        rest = (one - smooth) * np.sqrt(good)
        spike[:] = rest > 8 * 1.4826 * np.median(np.abs(rest[good > 0]))
    return result
