"""Through how much air did we look?"""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.table import QTable
from astropy.time import Time
from astropy.utils.iers import conf

from slitlapse.observing_log import compute_airmass, fill_airmass

SITE = EarthLocation.from_geodetic(-105.82 * u.deg, 32.78 * u.deg, 2798 * u.m)
STAR = SkyCoord(181.6 * u.deg, 12.5 * u.deg)
START = Time("2024-03-10T05:00:00")


def log(airmass, hours, ra=181.6, kind="science", name="star"):
    n = len(hours)
    return QTable(
        {
            "kind": [kind] * n,
            "object": [name] * n,
            "time": START + np.asarray(hours) * u.hour,
            "airmass": np.broadcast_to(airmass, n).astype(float),
            "ra": np.broadcast_to(ra, n) * u.deg,
            "dec": np.full(n, 12.5) * u.deg,
        }
    )


def by_hand(time):
    """Secant of the zenith distance from sidereal time at the meridian of Greenwich, in deg."""
    days = time.utc.jd - 2451545.0
    sidereal = 280.46061837 + 360.98564736629 * days - 105.82
    # where the equinox of date puts the star: precession in 24.2 years (Meeus, low accuracy)
    years = days / 365.25
    ra = (
        181.6 + years * (46.1 + 20.04 * np.sin(np.radians(181.6)) * np.tan(np.radians(12.5))) / 3600
    )
    dec = 12.5 + years * 20.04 * np.cos(np.radians(181.6)) / 3600
    angle, dec, latitude = np.radians(sidereal - ra), np.radians(dec), np.radians(32.78)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(angle)
    return 1 / sine


def test_airmass_agrees_with_spherical_trigonometry_by_hand():
    times = START + np.linspace(0, 6, 13) * u.hour
    expected = by_hand(times)
    # nutation and aberration (20 arcsec each) and the height above the ellipsoid are left out
    assert np.abs(compute_airmass(times, STAR, SITE) / expected - 1).max() < 3e-4


def test_below_the_horizon_there_is_no_airmass():
    assert np.isnan(compute_airmass(START + [12] * u.hour, STAR, SITE)).all()


def test_dates_beyond_the_tables_and_no_network_do_not_matter():
    with conf.set_temp("iers_auto_url", "https://nowhere.invalid/"):
        far = compute_airmass(Time(["2027-12-10T12:00:00"]), STAR, SITE)
    assert np.isfinite(far).all()


def test_a_missing_card_is_computed():
    table = fill_airmass(log([np.nan, 0.0, 1.2], [0, 1, 2]), site=SITE)
    assert list(table["airmass_computed"]) == [True, True, False]
    assert table["airmass"][2] == 1.2
    assert table["airmass"][:2] == pytest.approx(compute_airmass(table["time"], STAR, SITE)[:2])


def test_a_card_that_never_changes_is_replaced():
    table = fill_airmass(log(1.25, [0, 1, 2]), site=SITE)
    assert table["airmass_computed"].all()
    assert np.all(np.diff(table["airmass"]) < 0)


@pytest.mark.parametrize(
    ("airmass", "hours"),
    [([1.5, 1.4, 1.3], [0, 1, 2]), (1.25, [0]), (1.25, [0, 0.001])],
    ids=["it moves", "only one frame", "no time to move"],
)
def test_a_card_that_may_be_right_is_kept(airmass, hours):
    before = log(airmass, hours)
    after = fill_airmass(before.copy(), site=SITE)
    assert not after["airmass_computed"].any()
    assert np.all(after["airmass"] == before["airmass"])


def test_two_objects_with_equal_cards_are_not_one_stale_card():
    table = log([1.2, 1.2], [0, 3])
    table["object"] = ["one", "two"]
    assert not fill_airmass(table, site=SITE)["airmass_computed"].any()


def test_the_target_stands_in_for_coordinates_that_are_missing():
    table = log(np.nan, [0, 1], ra=np.nan)
    assert np.isnan(fill_airmass(table.copy(), site=SITE)["airmass"]).all()
    filled = fill_airmass(table, site=SITE, target=STAR)
    assert filled["airmass"] == pytest.approx(compute_airmass(table["time"], STAR, SITE))


def test_the_target_does_not_stand_in_for_another_star():
    table = log([np.nan, np.nan], [0, 1])
    elsewhere = SkyCoord(181.6 * u.deg, -12.5 * u.deg)
    filled = fill_airmass(table, site=SITE, target=elsewhere)
    assert list(filled["airmass"]) == pytest.approx(
        list(compute_airmass(table["time"], STAR, SITE))
    )


def test_right_ascensions_on_both_sides_of_zero_have_their_mean_at_zero():
    table = log(np.nan, [8, 8.1], ra=[359.9, 0.1])
    filled = fill_airmass(table, site=SITE)
    expected = compute_airmass(table["time"], SkyCoord(0 * u.deg, 12.5 * u.deg), SITE)
    assert np.allclose(filled["airmass"], expected, rtol=1e-5, equal_nan=True)


def test_without_a_site_or_a_time_nothing_is_computed():
    assert not fill_airmass(log(np.nan, [0, 1]))["airmass_computed"].any()
    table = log(np.nan, [0, 1])
    table["time"][0] = np.ma.masked
    assert list(fill_airmass(table, site=SITE)["airmass_computed"]) == [False, True]


def test_only_science_frames_are_touched():
    table = fill_airmass(log(np.nan, [0, 1], kind="arc"), site=SITE)
    assert np.isnan(table["airmass"]).all()
