"""What kind of night was it? Seeing, clouds, drifts, sky and detector, in numbers."""

from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time

__all__ = ["Conditions", "Weather", "extinction_curve", "find_start"]

SEEING = 4.0  # pixels
TARGET = SkyCoord("11h30m00s", "+05d00m00s")
EVENING = "2025-03-14T12:00:00"  # the target culminates about the next midnight


@dataclass(frozen=True)
class Conditions:
    """
    The numbers behind a simulated night, all but its stars.

    Parameters
    ----------
    exposure_time, overhead : float
        Seconds that each exposure of the stars lasts, and until the next one starts.
    drift : float
        Pixels that the stars move along the slit through the night, as a slow wave.
    jitter : float
        Pixels, standard deviation of what each exposure adds to it.
    flexure : float
        Pixels that the spectrum moves along the dispersion through the night, likewise.
    seeing : float, optional
        FWHM in pixels; by default 4, or less where many stars leave little sky between them.
    seeing_change : float
        Relative change of the seeing through the night.
    clouds : float
        Relative change of the transmission, a slow wave common to all stars.
    cloud_bank : float
        Part of the light that a passing cloud takes, in a tenth of the exposures.
    extinction : bool
        Whether the air dims the stars as the airmass grows; airmass 1 is the reference.
    sky_level : float
        Electrons per pixel of the sky's continuum; its lines are brighter.
    cosmic_rays : float
        Hits per second on a million pixels.
    hot_pixels : float
        Part of the pixels whose dark current is 5 to 100 electrons per second; darks are
        taken where the instrument knows them.
    lean : float
        Pixels that lines lean over the length of the slit, in the middle of the spectrum.
    line_fwhm : float
        Of lines, in pixels.
    profile : str or callable
        Family of the stars' profile, see `~slitlapse.trace.star_image`.
    scatter : float
        Standard deviation of the pixels' sensitivity.
    n_calibrations : int or dict
        How many biases and how many flats, or how many of each kind; 1 arc unless told.
    without : tuple of str
        Kinds of frame that nobody took.
    arc_lamps : str, optional
        Lamps that shone, where they are not those that the headers name.
    arc_shift : float
        Pixels along the dispersion by which the arcs lie off the exposures.
    torn_frames : int
        How many files of exposures were cut off in the middle.
    read_noise : float or sequence of float, optional
        Electrons; by default the instrument's.
    target : `~astropy.coordinates.SkyCoord`
    start : `~astropy.time.Time`, optional
        Of the first exposure of the stars; calibrations come before it. By default the target
        culminates in the middle of the exposures.

    Examples
    --------
    >>> Conditions(seeing=6.0).changed(drift=0.0).seeing
    6.0
    """

    exposure_time: float = 60.0
    overhead: float = 15.0
    drift: float = 1.0
    jitter: float = 0.05
    flexure: float = 0.0
    seeing: float | None = None
    seeing_change: float = 0.1
    clouds: float = 0.02
    cloud_bank: float = 0.0
    extinction: bool = True
    sky_level: float = 40.0
    cosmic_rays: float = 0.05
    hot_pixels: float = 0.0
    lean: float = 3.0
    line_fwhm: float = 2.8
    profile: object = "moffat"
    scatter: float = 0.01
    n_calibrations: object = 9
    without: tuple = ()
    arc_lamps: str | None = None
    arc_shift: float = 0.0
    torn_frames: int = 0
    read_noise: object = None
    target: SkyCoord = field(default_factory=lambda: TARGET)
    start: Time | None = None

    def changed(self, **changes):
        """
        Copy with some numbers replaced.

        Raises
        ------
        TypeError
            Where there is no such number; the nearest is named.
        """
        known = [each.name for each in fields(self)]
        for name in changes:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise TypeError(
                    f"a simulated night has no {name!r}; {hint}Known are {', '.join(known)}"
                )
        return replace(self, **changes)

    def count(self, kind):
        """How many frames of a kind of calibration are taken."""
        if kind in self.without:
            return 0
        usual = {"bias": 9, "flat": 9, "dark": 9 if self.hot_pixels > 0 else 0, "arc": 1}
        if isinstance(self.n_calibrations, dict):
            return int(self.n_calibrations.get(kind, usual[kind]))
        return min(usual[kind], 1) * (1 if kind == "arc" else int(self.n_calibrations))

    def with_seeing(self, stars):
        """Copy whose seeing is known: 4 pixels, or a fourteenth of the distance of 3 stars."""
        if self.seeing is not None:
            return self
        rows = np.sort([star.row for star in stars]) if len(stars) > 2 else []
        return self.changed(seeing=float(np.min(np.diff(rows) / 14, initial=SEEING)))

    def draw(self, n_exposures, rng):
        """
        Draw what each exposure sees.

        Parameters
        ----------
        n_exposures : int
        rng : `~numpy.random.Generator`

        Returns
        -------
        Weather
        """
        phase = np.linspace(0, 1, n_exposures)
        wave = 0.5 * np.sin(2 * np.pi * phase)
        transmission = 1 + self.clouds * np.sin(9 * phase)
        dark = max(1, round(n_exposures / 10))
        first = int(0.6 * n_exposures)
        transmission[first : first + dark] *= 1 - self.cloud_bank
        return Weather(
            offsets=self.drift * wave + rng.normal(0, self.jitter, n_exposures),
            shifts=self.flexure * np.sin(np.pi * phase - np.pi / 2) / 2,
            fwhms=self.seeing * (1 + self.seeing_change * np.sin(5 * phase + 1)),
            transmission=transmission,
        )


@dataclass(frozen=True, eq=False)
class Weather:
    """
    What each exposure of a simulated night saw.

    Parameters
    ----------
    offsets, shifts : array, shape (n_time,)
        Pixels along the slit and along the dispersion.
    fwhms : array, shape (n_time,)
        Seeing in pixels.
    transmission : array, shape (n_time,)
        Of the air, without its extinction.
    """

    offsets: np.ndarray
    shifts: np.ndarray
    fwhms: np.ndarray
    transmission: np.ndarray


def extinction_curve(wavelength):
    """
    Magnitudes per airmass at a site 2000 m high: molecules, a little dust and ozone.

    Rayleigh scattering after Hansen & Travis (1974, Space Sci. Rev. 16, 527), eq. 2.30, at the
    pressure of 2000 m (0.79 of that at sea level); ozone as one broad band at 6000 angstrom.

    Parameters
    ----------
    wavelength : `~astropy.units.Quantity`

    Returns
    -------
    array
        Of the shape of ``wavelength``.
    """
    w = u.Quantity(wavelength).to_value(u.um)
    depth = 0.79 * 0.008569 * w**-4 * (1 + 0.0113 * w**-2 + 0.00013 * w**-4)
    ozone = 0.03 * np.exp(-0.5 * ((w - 0.6) / 0.05) ** 2)
    return 1.0857 * (depth + ozone) + 0.03


def find_start(site, target, length):
    """
    When to begin, so that the target culminates in the middle of the exposures.

    Parameters
    ----------
    site : `~astropy.coordinates.EarthLocation` or None
    target : `~astropy.coordinates.SkyCoord`
    length : `~astropy.units.Quantity`
        Of all exposures.

    Returns
    -------
    `~astropy.time.Time`
    """
    evening = Time(EVENING)
    if site is None:
        return evening
    evening = evening - site.lon.to_value(u.hourangle) * u.hour
    sidereal = evening.sidereal_time("mean", longitude=site.lon)
    away = (target.icrs.ra - sidereal).wrap_at(360 * u.deg).to_value(u.hourangle)
    begin = evening + away * 0.99727 * u.hour - length / 2
    return Time(np.round(begin.unix), format="unix", scale="utc")
