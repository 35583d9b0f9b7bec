"""How noisy is each pixel, before any star is measured? Photons, read-out, flat and sky fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["PixelNoise"]


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """
    The noise model of a calibrated frame, or of a cut-out of it.

    The frame is in electron divided by the sensitivity ``s``: then ``c`` counts of star, sky or
    dark have the variance ``c / s``, reading has ``(read_noise / s)**2``, and the uncertainty of
    the sensitivity adds ``(c * sigma_s / s)**2``. No pixel's own count is ever used: the star's
    photons come from the model that is being fitted.

    Parameters
    ----------
    read_noise : float or `~numpy.ndarray`, shape (n_y, n_x)
        Electron per pixel as read out, before any division.
    sky : `~numpy.ndarray`, shape (n_y, n_x), or number
        Sky that was subtracted, in the units of the frame.
    dark : `~numpy.ndarray`, shape (n_y, n_x), or number
        Dark counts that were subtracted, in the units of the frame.
    sensitivity : `~numpy.ndarray`, shape (n_y, n_x), or number
        What the frame was divided by. Pixels where it is not positive are bad.
    sensitivity_uncertainty : `~numpy.ndarray`, shape (n_y, n_x), or number
        Its standard deviation.
    aperture_variance : callable, optional
        Given weights of the shape of the frame, returns the variance (n_x,) that the uncertainty
        of the subtracted sky gives their weighted sum along the columns. If it has a method
        ``cut(window)``, that gives the same for weights of a cut-out.
    variance : `~numpy.ndarray`, shape (n_y, n_x), optional
        Variance map of a frame whose noise is known from elsewhere (of a drizzled frame,
        1 / weight). It replaces all of the above except the sky's fit, and counts as "read",
        for nothing tells its parts apart. Pixels where it is not positive and finite are bad.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import PixelNoise
    >>> noise = PixelNoise(read_noise=4.0, sky=np.full((30, 50), 9.0))
    >>> float(noise.total(0.0)[0, 0])
    25.0
    >>> sorted(noise.parts(100.0))
    ['dark', 'flat', 'read', 'sky', 'star']
    """

    read_noise: Any = 0.0
    sky: Any = 0.0
    dark: Any = 0.0
    sensitivity: Any = 1.0
    sensitivity_uncertainty: Any = 0.0
    aperture_variance: Callable | None = None
    variance: Any = None

    def __post_init__(self):
        for name in ("read_noise", "sky", "dark", "sensitivity", "sensitivity_uncertainty"):
            value = getattr(self, name)
            if value is None or hasattr(value, "unit"):
                raise ValueError(
                    f"{name} is {value!r}; give a plain number or array in electron (leave it "
                    "out where there is none)."
                )
        if np.any(np.asarray(self.read_noise) < 0):
            raise ValueError(
                f"The read noise goes down to {np.min(self.read_noise)} electron; it cannot be "
                "negative. Check gain and read noise of the amplifiers."
            )

    @cached_property
    def bad(self):
        """True where a pixel has no usable noise: no sensitivity, or no finite variance."""
        if self.variance is not None:
            return ~(np.isfinite(self.variance) & (self.variance > 0))
        return ~(np.isfinite(self.sensitivity) & (self.sensitivity > 0))

    def parts(self, light):
        """
        Split the variance of each pixel.

        Parameters
        ----------
        light : `~numpy.ndarray`, shape (n_y, n_x)
            Counts of all stars in each pixel, by the model.

        Returns
        -------
        dict of str to `~numpy.ndarray` or float
            Variance from "star", "sky", "read", "dark" and "flat". Meaningless where `bad`.
        """
        if self.variance is not None:
            return {"star": 0.0, "sky": 0.0, "read": self.variance, "dark": 0.0, "flat": 0.0}
        per_count, sky, dark, read, ripple = self._constant
        return {
            "star": light * per_count,
            "sky": sky * per_count,
            "read": read,
            "dark": dark * per_count,
            "flat": (light + sky) ** 2 * ripple,
        }

    def total(self, light):
        """Sum of `parts`."""
        return sum(self.parts(light).values())

    def terms(self):
        """
        Coefficients of the total as a polynomial of the star's light in each pixel.

        Returns
        -------
        tuple of three `~numpy.ndarray` or float
            ``total(light) == terms[0] + terms[1] * light + terms[2] * light**2``.
        """
        if self.variance is not None:
            return self.variance, 0.0, 0.0
        per_count, sky, dark, read, ripple = self._constant
        constant = read + (sky + dark) * per_count
        if np.ndim(ripple) == 0 and ripple == 0:
            return constant, per_count, 0.0
        return constant + sky**2 * ripple, per_count + 2 * sky * ripple, ripple

    def cut(self, window):
        """
        Cut the noise model as the frame is cut.

        Parameters
        ----------
        window : `RowWindow`
            Has ``cut(image)`` and ``paste(values)``.

        Returns
        -------
        `PixelNoise`
            ``aperture_variance`` then takes weights of the shape of the cut-out.
        """
        names = ("read_noise", "sky", "dark", "sensitivity", "sensitivity_uncertainty", "variance")
        parts = {name: window.cut(getattr(self, name)) for name in names}
        if self.aperture_variance is not None:
            whole = self.aperture_variance
            cut = getattr(whole, "cut", None)
            if cut is None:
                parts["aperture_variance"] = lambda weights: whole(window.paste(weights))
            else:
                parts["aperture_variance"] = cut(window)
        return replace(self, **parts)

    @cached_property
    def _constant(self):
        """
        What does not depend on the star, made once.

        Variance per count, counts of sky and of dark, variance of reading, and variance per
        squared count by the flat; with a sensitivity of 1 where it is unusable (`bad` pixels).
        """
        if np.ndim(self.sensitivity) == 0:
            per_count = 1 / float(self.sensitivity)
        else:
            sensitivity = np.asarray(self.sensitivity)
            per_count = 1 / np.where(self.bad, sensitivity.dtype.type(1), sensitivity)
        read = np.square(self.read_noise * per_count)
        ripple = np.square(self.sensitivity_uncertainty * per_count)
        return per_count, np.maximum(self.sky, 0), np.maximum(self.dark, 0), read, ripple
