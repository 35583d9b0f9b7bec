"""What is the sky, if it is simply the median of all pixels that see the same wavelength?"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

__all__ = ["SupersampledSky", "supersampled_median"]


@dataclass(frozen=True, eq=False)
class SupersampledSky:
    """
    One spectrum of the sky, sampled at every effective pixel.

    Parameters
    ----------
    effective_pixel : array, shape (n_sky,)
        Where the sky pixels lie, in increasing order.
    flux : array, shape (n_sky,)
        What they hold, in electron.
    smooth : array, shape (n_sky,)
        Running median of ``flux``.
    """

    effective_pixel: np.ndarray
    flux: np.ndarray
    smooth: np.ndarray

    def evaluate(self, effective_pixel):
        """Return the sky at effective pixels of any shape, NaN beyond the sky pixels."""
        return np.interp(
            effective_pixel, self.effective_pixel, self.smooth, left=np.nan, right=np.nan
        )


def supersampled_median(data, effective_pixel, sky_pixels, *, width=0.5):
    """
    Take the running median of the sky in the effective pixel.

    This is the simplest sky for tilted lines, and the one published for the warp model: robust
    against everything, but blind to changes along the slit (an illumination that varies by 5 %
    leaves up to 5 % of the lines) and blurred by ``width``. `SplineSky` has neither fault; this
    one is there to compare with, and for frames too crowded for a fit.

    Parameters
    ----------
    data : array, shape (n_y, n_x)
        Image in electron.
    effective_pixel : array, shape (n_y, n_x)
        Dispersion coordinate of every pixel.
    sky_pixels : array of bool, shape (n_y, n_x)
        True on good pixels that show sky.
    width : float
        Width of the running window, in effective pixels.

    Returns
    -------
    `SupersampledSky`

    Raises
    ------
    ValueError
        If there are too few sky pixels for the window.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import supersampled_median
    >>> y, x = np.mgrid[:60, :200]
    >>> effective = x - 0.05 * y
    >>> image = 100 + effective
    >>> sky = supersampled_median(image, effective, np.abs(y - 30) > 8)
    >>> bool(np.nanmax(np.abs(sky.evaluate(effective) - image)) < 0.5)
    True
    """
    use = np.asarray(sky_pixels, dtype=bool) & np.isfinite(data) & np.isfinite(effective_pixel)
    coordinate, flux = np.asarray(effective_pixel)[use], np.asarray(data, dtype=float)[use]
    span = np.ptp(coordinate) if coordinate.size else 0.0
    per_window = round(width * coordinate.size / span) if span > 0 else 0
    if per_window < 3:
        raise ValueError(
            f"A window of {width} effective pixels holds {per_window} sky pixels, too few for a "
            "median. Give more sky_pixels, or a wider window."
        )
    order = np.argsort(coordinate, kind="stable")
    coordinate, flux = coordinate[order], flux[order]
    smooth = median_filter(flux, size=per_window | 1, mode="nearest")
    return SupersampledSky(coordinate, flux, smooth)
