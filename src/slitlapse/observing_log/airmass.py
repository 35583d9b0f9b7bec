"""Through how much air did we look? Computed, where the card is missing or never changes."""

import warnings

import numpy as np
from astropy.coordinates import AltAz, SkyCoord, UnitSphericalRepresentation
from astropy.utils.iers import conf as iers_conf

__all__ = ["compute_airmass", "fill_airmass"]

MOVED = 0.002  # a change of airmass that a card has to follow, or it is stale


def compute_airmass(time, coordinates, site):
    """
    Compute the secant of the zenith distance, without refraction and without the network.

    Parameters
    ----------
    time : `~astropy.time.Time`, shape (n,)
        When.
    coordinates : `~astropy.coordinates.SkyCoord`, scalar or shape (n,)
        Where on the sky.
    site : `~astropy.coordinates.EarthLocation`
        Where on Earth.

    Returns
    -------
    airmass : `~numpy.ndarray`, shape (n,)
        NaN below the horizon. Earth rotation comes from the tables installed with astropy; past
        their end the error (seconds of time at most) is of no importance here.
    """
    with iers_conf.set_temp("auto_download", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the end of the tables of Earth rotation
        with iers_conf.set_temp("iers_degraded_accuracy", "ignore"):
            sine = np.sin(coordinates.transform_to(AltAz(obstime=time, location=site)).alt).value
    return np.where(sine > 0, 1 / np.where(sine > 0, sine, 1), np.nan)


def fill_airmass(table, *, site=None, target=None):
    """
    Complete the airmass of a log's science frames, and replace cards that never change.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        With columns ``kind``, ``object``, ``time``, ``airmass``, ``ra`` and ``dec``, as in a log
        of the night. It is changed in place and gets a column ``airmass_computed``.
    site : `~astropy.coordinates.EarthLocation`, optional
        Where the telescope stands; without it nothing is computed.
    target : `~astropy.coordinates.SkyCoord`, optional
        Where the science frames point whose object has no ``ra`` and ``dec`` in the table; the
        others point to the mean of theirs.

    Returns
    -------
    table : `~astropy.table.QTable`
        The same table. A card counts as missing where it is no number of at least 1, and as stale
        where it is the same in all frames of an object whose airmass must have moved by 0.002.
    """
    table["airmass_computed"] = np.zeros(len(table), dtype=bool)
    if site is None:
        return table
    timed = ~np.asarray(table["time"].mask)
    science = (table["kind"] == "science") & timed
    for name in np.unique(table["object"][science]):
        rows = np.flatnonzero(science & (table["object"] == name))
        own = _pointing(table[rows])
        where = target if own is None else own
        if where is None:
            continue
        computed = compute_airmass(table["time"][rows], where, site)
        cards = table["airmass"][rows]
        replace = ~(cards >= 1)
        if len(rows) > 1 and np.ptp(cards) == 0 and np.ptp(computed) > MOVED:
            replace[:] = True
        table["airmass"][rows] = np.where(replace, computed, cards)
        table["airmass_computed"][rows] = replace
    return table


def _pointing(rows):
    """Mean direction of the frames that have one; None where none has."""
    known = np.isfinite(rows["ra"]) & np.isfinite(rows["dec"])
    if not known.any():
        return None
    mean = SkyCoord(rows["ra"][known], rows["dec"][known]).cartesian.mean()
    return SkyCoord(mean.represent_as(UnitSphericalRepresentation))
