import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation

from slitlapse.automation.conditions import TARGET, Conditions, extinction_curve, find_start
from slitlapse.automation.scene import place_on_slit
from slitlapse.instruments import list_instruments, load_instrument


def test_each_number_does_what_it_says():
    rng = np.random.default_rng(1)
    weather = Conditions(
        drift=3.0, jitter=0.0, flexure=2.0, seeing=5.0, seeing_change=0.2, clouds=0.1
    ).draw(401, rng)
    assert np.ptp(weather.offsets) == pytest.approx(3.0, rel=1e-3)
    assert np.ptp(weather.shifts) == pytest.approx(2.0)
    assert weather.fwhms.min() == pytest.approx(4.0, rel=1e-3)
    assert weather.fwhms.max() == pytest.approx(6.0, rel=1e-2)
    assert weather.transmission.min() == pytest.approx(0.9, rel=1e-3)


def test_jitter_has_its_standard_deviation():
    weather = Conditions(drift=0.0, jitter=0.3, seeing=4).draw(2000, np.random.default_rng(2))
    assert weather.offsets.std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * 2000))


def test_a_cloud_bank_passes():
    weather = Conditions(clouds=0.0, cloud_bank=0.6, seeing=4).draw(40, np.random.default_rng(3))
    assert np.sum(weather.transmission < 0.5) == 4
    assert weather.transmission.min() == pytest.approx(0.4)


def test_many_stars_need_good_seeing():
    assert Conditions().with_seeing(place_on_slit(2, 120)).seeing == 4.0
    assert Conditions().with_seeing(place_on_slit(3, 120)).seeing == pytest.approx(36 / 14)
    assert Conditions(seeing=5.0).with_seeing(place_on_slit(3, 120)).seeing == 5.0


def test_frames_are_counted_by_kind():
    usual = Conditions(n_calibrations=4)
    assert [usual.count(k) for k in ("bias", "dark", "flat", "arc")] == [4, 0, 4, 1]
    hot = Conditions(n_calibrations=4, hot_pixels=0.01, without=("flat",))
    assert [hot.count(k) for k in ("bias", "dark", "flat", "arc")] == [4, 4, 0, 1]
    told = Conditions(n_calibrations={"bias": 2, "arc": 0})
    assert [told.count(k) for k in ("bias", "dark", "flat", "arc")] == [2, 0, 9, 0]


def test_a_number_that_does_not_exist_is_refused_by_name():
    with pytest.raises(TypeError, match="no 'seing'; did you mean 'seeing'"):
        Conditions().changed(seing=3.0)


def test_extinction_is_that_of_good_sites():
    # Mauna Kea (4200 m) has 0.34 and 0.10 (CFHT), Paranal (2600 m) 0.49 and 0.12 (Patat et al.
    # 2011, A&A 527, A91) at 3500 and 5500 angstrom
    blue, green, red = extinction_curve([3600, 5500, 9000] * u.AA)
    assert 0.34 < blue < 0.60
    assert 0.09 < green < 0.17
    assert 0.02 < red < 0.06


@pytest.mark.parametrize("name", list_instruments())
def test_the_target_is_up_wherever_the_telescope_stands(name):
    site = load_instrument(name).site
    length = 3 * u.hour
    start = find_start(site, TARGET, length)
    if site is None:
        return
    middle = TARGET.transform_to(AltAz(obstime=start + length / 2, location=site))
    highest = 90 - abs(site.lat.deg - 5)
    assert middle.alt.deg == pytest.approx(highest, abs=1.0)


def test_a_night_begins_before_its_middle():
    site = EarthLocation.from_geodetic(-70.7, -29.0, 2400)
    early, late = (find_start(site, TARGET, hours * u.hour) for hours in (6, 2))
    assert (late - early).to_value(u.hour) == pytest.approx(2.0, abs=1e-3)
