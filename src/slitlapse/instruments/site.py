"""Where does the telescope stand? Names of observatories to places on Earth, without a network."""

import tomllib
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources

import astropy.units as u
from astropy.coordinates import EarthLocation

__all__ = ["find_site", "list_sites"]


@lru_cache(maxsize=1)
def _sites():
    """Entries of the packaged list by every name they go by, in small letters."""
    text = resources.files(__package__).joinpath("sites.toml").read_text(encoding="utf-8")
    return {
        name.casefold(): {"name": site_name, **site}
        for site_name, site in tomllib.loads(text).items()
        for name in [site_name, *site["aliases"]]
    }


def list_sites():
    """
    List the names of the packaged observatories.

    Returns
    -------
    names : list of str
        Sorted; each may also be called by its aliases.
    """
    return sorted({site["name"] for site in _sites().values()})


def find_site(name):
    """
    Find an observatory by name, offline.

    Parameters
    ----------
    name : str
        Case does not matter.

    Returns
    -------
    site : `~astropy.coordinates.EarthLocation`
        With its name in ``info.name``.

    Raises
    ------
    ValueError
        If there is no such name; says which come close.
    """
    site = _sites().get(str(name).strip().casefold())
    if site is None:
        close = get_close_matches(str(name).casefold(), list(_sites()), n=3, cutoff=0.5)
        names = sorted({_sites()[each]["name"] for each in close}) or list_sites()
        raise ValueError(
            f"there is no packaged site {name!r}; close or known are {', '.join(names)}; or give "
            "{ longitude = ..., latitude = ..., height = ... } in deg, deg and m"
        )
    location = EarthLocation.from_geodetic(
        site["longitude"] * u.deg, site["latitude"] * u.deg, site["height"] * u.m
    )
    location.info.name = site["name"]
    return location
