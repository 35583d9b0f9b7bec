"""Where does the noise come from? Every variance by itself, and their sum."""

from dataclasses import dataclass, fields

import astropy.units as u
import numpy as np

__all__ = ["NoiseBudget", "scintillation_fraction"]


@dataclass(frozen=True, eq=False)
class NoiseBudget:
    """
    Variances of an extracted flux, one for each origin.

    Parameters
    ----------
    star, sky, read, dark, flat, skyfit : `~astropy.units.Quantity` or `~numpy.ndarray`
        Variance of the flux, electron**2, shape (n_wave,) or (n_wave, n_time): photons of the
        star (and of blended neighbours), photons of the sky, read noise, dark counts, the
        uncertainty of the flat, and the uncertainty of the sky that was subtracted.
        Plain arrays are taken as electron**2.

    Raises
    ------
    ValueError
        Where shapes differ, or a variance is negative.

    Notes
    -----
    Scintillation is no part of the budget: it is the same for all wavelengths of an exposure and
    for all stars nearby only in part. `scintillation_fraction` estimates it.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import NoiseBudget
    >>> budget = NoiseBudget(star=np.array([900.0, 0.0]), sky=np.array([80.0, 80.0]),
    ...                      read=np.array([20.0, 20.0]))
    >>> budget.uncertainty
    <Quantity [31.6227766, 10.       ] electron>
    >>> budget.dominant.tolist()
    ['star', 'sky']
    """

    star: u.Quantity
    sky: u.Quantity = None
    read: u.Quantity = None
    dark: u.Quantity = None
    flat: u.Quantity = None
    skyfit: u.Quantity = None

    def __post_init__(self):
        shape = np.shape(self.star)
        for name in self.names():
            value = getattr(self, name)
            value = np.zeros(shape) if value is None else value
            value = u.Quantity(value, u.electron**2)
            if value.shape != shape:
                raise ValueError(
                    f"The variance '{name}' has shape {value.shape} but that of the star has "
                    f"{shape}. Give every component on the same (n_wave,) or (n_wave, n_time)."
                )
            if np.any(value.value < 0):
                raise ValueError(
                    f"The variance '{name}' is negative in {np.sum(value.value < 0)} places. "
                    "A variance is zero or more: check what was handed in."
                )
            object.__setattr__(self, name, value)

    @classmethod
    def names(cls):
        """Names of the components, in order."""
        return tuple(field.name for field in fields(cls))

    @property
    def total(self):
        """Sum of all components, electron**2."""
        return sum(getattr(self, name) for name in self.names())

    @property
    def uncertainty(self):
        """Standard deviation of the flux, electron."""
        return np.sqrt(self.total)

    @property
    def dominant(self):
        """Name of the largest component at each place, an array of str."""
        stack = np.stack([getattr(self, name).value for name in self.names()])
        return np.array(self.names())[np.argmax(stack, axis=0)]

    def fraction(self, name):
        """Share of one component in the total, dimensionless."""
        total = self.total.value
        part = getattr(self, name).value
        return np.divide(part, total, out=np.zeros_like(part), where=total > 0)

    def simulate(self, rng):
        """
        Draw a noise realisation with this budget.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Source of randomness.

        Returns
        -------
        dict of str to `~astropy.units.Quantity`
            One Gaussian deviate, electron, for each component.
        """
        return {
            name: rng.normal(size=self.star.shape) * np.sqrt(getattr(self, name))
            for name in self.names()
        }

    def plot(self, x=None, ax=None, **kwargs):
        """
        Draw the standard deviation of each component and of the total against wavelength.

        Parameters
        ----------
        x : array-like, shape (n_wave,), optional
            Abscissa; the index where left out.
        ax : `~matplotlib.axes.Axes`, optional
            Where to draw.
        **kwargs
            Handed on to `~matplotlib.axes.Axes.plot`.

        Returns
        -------
        `~matplotlib.axes.Axes`
        """
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        x = np.arange(self.star.shape[0]) if x is None else np.asarray(x)
        for name in self.names():
            sigma = np.sqrt(getattr(self, name).value)
            if np.any(sigma > 0):
                ax.plot(x, sigma, **{"lw": 0.8, "label": name, **kwargs})
        ax.plot(
            x, self.uncertainty.value, **{"color": "black", "lw": 1.2, "label": "total"} | kwargs
        )
        ax.set(xlabel="pixel", ylabel="standard deviation (electron)", yscale="log")
        ax.legend()
        return ax


def scintillation_fraction(
    aperture, airmass, exposure_time, altitude, *, scale_height=8000 * u.m, coefficient=1.56
):
    """
    Estimate the scintillation of a long exposure as a fraction of the flux.

    Parameters
    ----------
    aperture : `~astropy.units.Quantity`
        Diameter of the telescope.
    airmass : float or array-like
        Airmass of the exposure.
    exposure_time : `~astropy.units.Quantity`
        Exposure time (0.5 s and more: shorter ones scintillate otherwise).
    altitude : `~astropy.units.Quantity`
        Height of the observatory above sea level.
    scale_height : `~astropy.units.Quantity`
        Scale height of the turbulence.
    coefficient : float
        Median empirical coefficient: 1.56 over the sites of Osborn et al. (2015), whose Table 1
        lists 1.2 to 1.7 for single ones. 1 is close to Young's law.

    Returns
    -------
    `~astropy.units.Quantity`
        Standard deviation over flux, dimensionless.

    Notes
    -----
    Equation 7 of Osborn et al. (2015, MNRAS 452, 1707), after Young (1967, AJ 72, 747):
    ``sigma^2 = 1e-5 C^2 D^(-4/3) t^-1 sec(z)^3 exp(-2 h / H)`` with D in m and t in s.
    """
    diameter = u.Quantity(aperture).to_value(u.m)
    seconds = u.Quantity(exposure_time).to_value(u.s)
    height = (u.Quantity(altitude) / scale_height).to_value(u.one)
    variance = (
        1e-5
        * coefficient**2
        * diameter ** (-4 / 3)
        / seconds
        * np.asarray(airmass, dtype=float) ** 3
        * np.exp(-2 * height)
    )
    return np.sqrt(variance) << u.dimensionless_unscaled
