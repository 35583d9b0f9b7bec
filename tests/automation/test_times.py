import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time

from slitlapse.automation.times import barycentric_times, parse_target, pointing_table

LA_PALMA = EarthLocation.from_geodetic(-17.8792 * u.deg, 28.7624 * u.deg, 2363 * u.m)


def test_a_star_at_the_pole_of_the_ecliptic_sees_no_annual_wave():
    # all year long the Earth is as far from it, so only the Sun's own motion around the
    # barycentre (up to 0.01 au, 5 s) and the Earth's radius (21 ms) are left
    times = Time("2020-01-01") + np.linspace(0, 365, 50) * u.day
    pole = SkyCoord(270 * u.deg, 66.56 * u.deg)
    delay = (barycentric_times(times, pole, LA_PALMA) - times.tdb).to_value(u.s)
    assert np.ptp(delay) < 10


def test_a_star_in_the_ecliptic_is_early_and_late_by_499_seconds():
    times = Time("2020-01-01") + np.linspace(0, 365.25, 3000) * u.day
    star = SkyCoord("00h00m00s", "00d00m00s")
    delay = (barycentric_times(times, star, LA_PALMA) - times.tdb).to_value(u.s)
    # 1 au is 499.005 light seconds; its orbit's eccentricity cancels over opposite points
    assert np.ptp(delay) / 2 == pytest.approx(499.005, abs=1.0)
    assert Time("2020-09-22").jd == pytest.approx(times[np.argmax(delay)].jd, abs=4)


def test_bjd_agrees_with_an_independent_calculation():
    # own vector sum with erfa's ephemeris: r . n / c, without astropy's coordinate machinery
    import erfa

    time = Time("2018-08-10T23:23:58.628", location=LA_PALMA)
    star = parse_target("18:01:54.231", "62:54:00.59")
    _, earth = erfa.epv00(time.tdb.jd1, time.tdb.jd2)
    place, _ = LA_PALMA.get_gcrs_posvel(time)
    position = u.Quantity(earth["p"], u.au) + place.xyz
    direction = star.cartesian.xyz.value
    delay = (position @ direction / (299792.458 * u.km / u.s)).to_value(u.s)
    found = (barycentric_times(time, star, LA_PALMA) - time.tdb).to_value(u.s)
    assert found == pytest.approx(delay, abs=0.01)


def test_a_star_overhead_has_airmass_one_and_hour_angle_zero():
    time = Time("2018-08-10T23:00:00", location=LA_PALMA)
    overhead = SkyCoord(
        alt=90 * u.deg, az=0 * u.deg, frame="altaz", obstime=time, location=LA_PALMA
    ).icrs
    table = pointing_table(Time([time.iso]), overhead, LA_PALMA)
    assert table["airmass"][0] == pytest.approx(1, abs=1e-6)
    assert table["hour_angle"].to_value(u.hourangle)[0] == pytest.approx(0, abs=1e-3)


def test_airmass_and_parallactic_angle_follow_the_sphere():
    star = SkyCoord("18h00m00s", "62d54m00s")
    times = Time("2018-08-10T20:00:00") + np.arange(8) * u.hour
    table = pointing_table(times, star, LA_PALMA)
    hour, lat, dec = table["hour_angle"].to(u.rad), LA_PALMA.lat, 62.9 * u.deg
    sine = np.sin(lat) * np.sin(dec) + np.cos(lat) * np.cos(dec) * np.cos(hour)
    assert np.allclose(table["airmass"], 1 / sine, rtol=2e-3)
    # west of the meridian the zenith lies to the east of north as seen from the star
    assert np.all(np.sign(table["parallactic_angle"]) == np.sign(hour))


def test_below_the_horizon_there_is_no_airmass():
    star = SkyCoord("06h00m00s", "-62d54m00s")
    assert np.isnan(pointing_table(Time(["2018-08-10T23:00"]), star, LA_PALMA)["airmass"][0])


@pytest.mark.parametrize("ra", ["18:01:54.2", "18 01 54.2", 270.4758, "270.4758"])
def test_coordinates_are_read_as_observers_write_them(ra):
    assert parse_target(ra, "+62:54:00").ra.deg == pytest.approx(270.4758, abs=1e-3)


def test_sun_and_moon_stand_where_the_almanac_says():
    # total lunar eclipse of 2018-07-27, greatest at 20:22 UT; total solar eclipse of 2017-08-21,
    # from 17:20 to 17:22 UT at Madras, Oregon
    eclipses = Time(["2018-07-27T20:22", "2017-08-21T17:21"])
    madras = EarthLocation.from_geodetic(-121.13 * u.deg, 44.63 * u.deg, 680 * u.m)
    star = SkyCoord("10h03m00s", "+12d00m00s")
    full = pointing_table(eclipses[:1], star, LA_PALMA)
    new = pointing_table(eclipses[1:], star, madras)
    assert full["moon_illumination"][0] > 0.999 and new["moon_illumination"][0] < 0.001
    # the Moon covers the Sun: no farther apart than a quarter of a degree, in height either
    assert abs(new["moon_altitude"] - new["sun_altitude"])[0] < 0.05 * u.deg
    assert new["sun_altitude"][0].to_value(u.deg) == pytest.approx(41.6, abs=0.5)
    # the Sun then was at 10h 04m, +11.9 degrees
    assert new["moon_separation"][0] < 0.5 * u.deg
