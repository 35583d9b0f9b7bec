"""When was it, seen from the solar system's centre of mass, and how high did the target stand?"""

import astropy.units as u
import numpy as np
from astropy.coordinates import TETE, AltAz, SkyCoord, get_body
from astropy.table import QTable
from astropy.time import Time
from astropy.utils import iers

__all__ = ["barycentric_times", "pointing_table"]


def barycentric_times(time, target, site):
    """
    Turn mid-exposure times at the telescope into BJD_TDB.

    Parameters
    ----------
    time : `~astropy.time.Time`, shape (n_time,)
        Middle of the exposures, any scale.
    target : `~astropy.coordinates.SkyCoord`
        Where the star is; one place for all stars on the slit keeps one clock for all.
    site : `~astropy.coordinates.EarthLocation`
        Where the telescope is.

    Returns
    -------
    `~astropy.time.Time`, shape (n_time,)
        In the scale TDB, format ``jd``.

    Notes
    -----
    Light travel time to the barycentre with astropy's built-in ephemeris (Eastman et al.
    2010 explain the standard). The Earth's rotation is taken from the table that comes
    with astropy, so no network is needed; its error of under a second of rotation moves
    the telescope by less than 500 m, which is 2 microseconds.
    """
    with _offline():
        time = Time(time, location=site)
        delay = time.light_travel_time(target, kind="barycentric", ephemeris="builtin")
        found = time.tdb + delay
    return Time(found.jd1, found.jd2, format="jd", scale="tdb")


def pointing_table(time, target, site):
    """
    Where the target stood in each exposure.

    Parameters
    ----------
    time, target, site
        As in `barycentric_times`.

    Returns
    -------
    `~astropy.table.QTable`
        ``airmass`` (secant of the true zenith distance; NaN below the horizon),
        ``altitude``, ``azimuth``, ``hour_angle`` and ``parallactic_angle``, ``sun_altitude``,
        ``moon_altitude``, ``moon_separation`` (from the target) and ``moon_illumination`` (lit
        part of its disk, 0 to 1), one row a time.
    """
    with _offline():
        time = Time(time, location=site)
        place = target.transform_to(AltAz(obstime=time, location=site))
        sidereal = time.sidereal_time("apparent")
        apparent = target.transform_to(TETE(obstime=time, location=site))  # equinox of date
        sun, moon = (
            get_body(name, time, site, ephemeris="builtin").transform_to(place)
            for name in ("sun", "moon")
        )
    hour_angle = (sidereal - apparent.ra).wrap_at(180 * u.deg)
    latitude, declination = site.lat, apparent.dec
    parallactic = np.arctan2(
        np.sin(hour_angle),
        np.tan(latitude) * np.cos(declination) - np.sin(declination) * np.cos(hour_angle),
    )
    table = QTable()
    airmass = np.array(place.secz.value)
    table["airmass"] = np.where(airmass > 0, airmass, np.nan)
    table["altitude"] = place.alt.to(u.deg)
    table["azimuth"] = place.az.to(u.deg)
    table["hour_angle"] = u.Quantity(hour_angle.hourangle, u.hourangle)
    table["parallactic_angle"] = u.Quantity(parallactic).to(u.deg)
    table["sun_altitude"] = sun.alt.to(u.deg)
    table["moon_altitude"] = moon.alt.to(u.deg)
    table["moon_separation"] = place.separation(moon).to(u.deg)
    table["moon_illumination"] = _lit_part(sun, moon)
    return table


def _lit_part(sun, moon):
    """Part of the Moon's disk that the Sun lights, from the angle at the Moon (Meeus 1998)."""
    apart = sun.separation(moon)
    phase = np.arctan2(sun.distance * np.sin(apart), moon.distance - sun.distance * np.cos(apart))
    return np.array((1 + np.cos(phase)) / 2, float)


def parse_target(ra, dec):
    """
    Read coordinates as an observer writes them.

    Sexagesimal strings are hours and degrees, numbers are degrees.
    """
    sexagesimal = isinstance(ra, str) and (":" in ra or " " in ra.strip() or "h" in ra)
    units = (u.hourangle if sexagesimal else u.deg, u.deg)
    return SkyCoord(str(ra).strip(), str(dec).strip(), unit=units)


def _offline():
    """Never ask the network for the Earth's rotation."""
    return iers.conf.set_temp("auto_download", False)
