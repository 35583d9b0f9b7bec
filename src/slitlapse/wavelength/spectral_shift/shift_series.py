"""The drift of a night: a shift per exposure, how sure it is, or why there is none."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["ShiftSeries"]


@dataclass(frozen=True, eq=False)
class ShiftSeries:
    """
    Shift of every exposure along the dispersion, against a common template.

    What is at ``x`` in the template is at ``x + shift`` (plus ``stretch * (x - middle)``) in the
    exposure: a positive shift moved the spectrum towards larger x, and
    ``solution.shifted(shift, stretch)`` is that exposure's own solution.

    Parameters
    ----------
    shift, shift_uncertainty : array of shape (n_exposures,)
        Pixels. Without a given template the weighted mean shift is zero.
    stretch, stretch_uncertainty : array of shape (n_exposures,)
        Parts of the detector; zero unless asked for.
    chi2 : array of shape (n_exposures,)
        Reduced; uncertainties have been enlarged by its root where it exceeds 1.
    template : array of shape (n_pixels,)
        The stacked spectrum at shift zero.
    n_clipped : int
        Pixels of all exposures left out as outliers.
    reason : array of str, shape (n_exposures,)
        Why an exposure has no shift (NaN, uncertainty infinite); empty where it has one.
    depth : array of shape (n_exposures, n_bands), optional
        Logarithm of each telluric band's transmission over that of the mean exposure: above 1 is
        deeper.

    Examples
    --------
    >>> from slitlapse.wavelength import measure_shift
    >>> x = np.arange(400)
    >>> line = lambda centre: 1e4 * (1 - 0.6 * np.exp(-0.5 * ((x - centre) / 3) ** 2))
    >>> series = measure_shift([line(200.0), line(200.3)], uncertainty=100.0)
    >>> print(f"{series.shift[1] - series.shift[0]:.3f}")  # the second moved to larger x
    0.300
    """

    shift: np.ndarray
    shift_uncertainty: np.ndarray
    stretch: np.ndarray
    stretch_uncertainty: np.ndarray
    chi2: np.ndarray
    template: np.ndarray = field(repr=False)
    n_clipped: int = 0
    reason: np.ndarray = field(default=None, repr=False)
    depth: np.ndarray | None = field(default=None, repr=False)

    def plot(self, ax=None, time=None, **kwargs):
        """Draw shift against exposure number (or ``time``) with error bars; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        when = np.arange(len(self.shift)) if time is None else time
        error = np.where(np.isfinite(self.shift), self.shift_uncertainty, np.nan)
        ax.errorbar(when, self.shift, error, **{"fmt": "o", "ms": 3, **kwargs})
        ax.set(xlabel="exposure" if time is None else "time", ylabel="shift (pixel)")
        return ax
