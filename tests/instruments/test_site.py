"""Names of observatories to places on Earth, without a network."""

import astropy.units as u
import pytest
from astropy.coordinates import EarthLocation

from slitlapse.instruments import find_site, list_sites


@pytest.mark.parametrize(
    ("name", "longitude", "latitude", "height"),
    [  # the observatories' own pages: degrees, degrees, metres
        ("Apache Point Observatory", -105.8203, 32.7803, 2788),
        ("lick", -121.6431, 37.3431, 1283),
        ("Liverpool Telescope", -17.8792, 28.7624, 2363),
        ("GTC", -17.8919, 28.7566, 2267),
        ("SOAR", -70.7338, -30.2379, 2738),
        ("La Silla", -70.7377, -29.2612, 2375),
        ("palomar", -116.8650, 33.3563, 1713),
        ("Siding Spring", 149.0708, -31.2733, 1116),
        ("MAGELLAN", -70.6919, -29.0146, 2380),
        ("gemini_north", -155.4690, 19.8238, 4213),
    ],
)
def test_observatories_stand_where_they_say(name, longitude, latitude, height):
    there = EarthLocation.from_geodetic(longitude * u.deg, latitude * u.deg, height * u.m)
    found = find_site(f" {name} ")
    # two kilometres are 7 microseconds of light and an arcminute of zenith distance
    assert (found.get_itrs().cartesian - there.get_itrs().cartesian).norm() < 2.1 * u.km


def test_all_sites_are_on_the_surface_and_none_twice():
    places = [find_site(name) for name in list_sites()]
    assert len(places) >= 45
    for name, place in zip(list_sites(), places, strict=True):
        assert place.info.name == name
        assert -10 < place.height.to_value(u.m) < 5100


def test_a_misspelt_name_is_answered_with_close_ones():
    with pytest.raises(ValueError, match=r"'Apache Poynt'; close or known are .*Apache Point Obs"):
        find_site("Apache Poynt")
    with pytest.raises(ValueError, match=r"or give { longitude ="):
        find_site("§§§§")
