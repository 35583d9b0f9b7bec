"""How many electrons appear per second without light?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

__all__ = ["DarkCurrent"]


@dataclass(frozen=True)
class DarkCurrent:
    """
    Dark current of every pixel, per second.

    Parameters
    ----------
    rate : `~astropy.units.Quantity`, shape (n_y, n_x)
        In electron / second.
    uncertainty : `~astropy.units.Quantity`, shape (n_y, n_x)
        Standard error, same unit.
    hot : bool `~numpy.ndarray`, shape (n_y, n_x), optional
        Pixels with so much that they are not to be used.
    exposure_time : `~astropy.units.Quantity`, optional
        Of the darks it comes from.
    temperature : float, optional
        Of the detector, as the darks' header has it.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from slitlapse.photons import DarkCurrent
    >>> rate = np.full((2, 2), 0.01) * u.electron / u.s
    >>> dark = DarkCurrent(rate, 0.1 * rate)
    >>> dark.expected(100 * u.s)[0, 0]
    <Quantity 1. electron>
    """

    rate: u.Quantity
    uncertainty: u.Quantity
    hot: np.ndarray | None = None
    exposure_time: u.Quantity | None = None
    temperature: float | None = None

    @classmethod
    def from_master(cls, dark, exposure_time, *, hot_sigma=6.0, temperature=None):
        """
        Divide a master dark by its exposure time.

        Parameters
        ----------
        dark : `~astropy.nddata.CCDData`, shape (n_y, n_x)
            Combined dark in electron, its bias subtracted.
        exposure_time : `~astropy.units.Quantity`
        hot_sigma : float
            A pixel is hot if it exceeds the frame's median by this many robust standard
            deviations, or this many of its own errors if they are larger.
        temperature : float, optional

        Raises
        ------
        ~astropy.units.UnitTypeError
            If the dark is not in electron.
        ValueError
            If the exposure time is not positive.
        """
        if dark.unit != u.electron:
            raise u.UnitTypeError(
                f"The dark must be in electron, but is in {dark.unit}: process it first."
            )
        seconds = u.Quantity(exposure_time, u.s)
        if not seconds > 0:
            raise ValueError(f"The darks' exposure time is {exposure_time}; it must be positive.")
        values = np.asarray(dark.data, float)
        if dark.uncertainty is None:
            raise ValueError("The master dark has no uncertainty: combine frames that have one.")
        error = np.asarray(dark.uncertainty.array, float)
        good = np.isfinite(values) if dark.mask is None else np.isfinite(values) & ~dark.mask
        centre = np.median(values[good])
        scatter = np.maximum(1.4826 * np.median(np.abs(values[good] - centre)), error)
        hot = ~good | (values - centre > hot_sigma * scatter)
        unit = u.electron / u.s
        return cls(
            values / seconds.value * unit, error / seconds.value * unit, hot, seconds, temperature
        )

    def expected(self, exposure_time):
        """Dark electrons after ``exposure_time``, shape (n_y, n_x)."""
        return (self.rate * u.Quantity(exposure_time, u.s)).to(u.electron)

    def subtract_from(self, ccd, exposure_time, *, temperature=None, tolerance=1.0):
        """
        Subtract the dark electrons of ``exposure_time`` from a frame in electron.

        The frame's uncertainty, which holds the Poisson noise of the dark electrons already,
        gets the error of the dark current added. Hot pixels stay as they are: flag them.

        Parameters
        ----------
        ccd : `~astropy.nddata.CCDData`, shape (n_y, n_x)
        exposure_time : `~astropy.units.Quantity`
        temperature : float, optional
            Of the detector in this frame; it may differ from the darks' by ``tolerance`` (dark
            current doubles every 6 degrees or so).
        tolerance : float

        Returns
        -------
        `~astropy.nddata.CCDData`

        Raises
        ------
        ~astropy.units.UnitTypeError
            If the frame is not in electron.
        ValueError
            If shape or temperature differ.
        """
        known = temperature is not None and self.temperature is not None
        if known and abs(temperature - self.temperature) > tolerance:
            raise ValueError(
                f"The darks were taken at {self.temperature} degrees, this frame at "
                f"{temperature}: use darks of the same temperature."
            )
        if ccd.unit != u.electron:
            raise u.UnitTypeError(
                f"The frame must be in electron, but is in {ccd.unit}: process it first."
            )
        if ccd.data.shape != self.rate.shape:
            raise ValueError(
                f"The dark current has {self.rate.shape} pixels (y, x), the frame "
                f"{ccd.data.shape}: use darks of the same sections and binning."
            )
        seconds = u.Quantity(exposure_time, u.s).value
        dtype = ccd.data.dtype
        result = CCDData(
            ccd.data - (self.rate.value * seconds).astype(dtype),
            unit=u.electron,
            mask=ccd.mask,
            meta=ccd.meta.copy(),
        )
        result.flags = ccd.flags
        if ccd.uncertainty is not None:
            error = (self.uncertainty.value * seconds).astype(dtype)
            result.uncertainty = StdDevUncertainty(np.hypot(ccd.uncertainty.array, error))
        return result

    def simulate(self, exposure_time, *, rng):
        """Draw the dark electrons of one exposure: Poisson, shape (n_y, n_x)."""
        return rng.poisson(np.maximum(self.expected(exposure_time).value, 0)) * u.electron

    def plot(self, ax=None, **kwargs):
        """Draw the histogram of the dark current, hot pixels marked; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        values = self.rate.value.ravel()
        hot = np.zeros(values.shape, bool) if self.hot is None else self.hot.ravel()
        low, high = np.percentile(values[np.isfinite(values)], [0.05, 100])
        bins = np.linspace(low, high, 100)
        ax.hist(values[~hot], **{"bins": bins, "label": "good pixels", **kwargs})
        ax.hist(values[hot], **{"bins": bins, "label": f"{hot.sum()} hot pixels", **kwargs})
        ax.set(xlabel="dark current (electron / s)", ylabel="pixels", yscale="log")
        ax.legend()
        return ax
