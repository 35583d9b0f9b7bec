from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from slitlapse.automation.assemble import (
    REASONS,
    describe_night,
    find_target,
    series_filename,
    versions,
)
from slitlapse.automation.exposure_summary import PARTS
from slitlapse.automation.times import barycentric_times

UNITS = {
    "flux": "electron",
    "uncertainty": "electron",
    "sky": "electron",
    **{f"variance_{part}": "electron2" for part in PARTS},
    "offset": "pix",
    "width": "pix",
    "peak": "electron",
    "bad_fraction": "",
}
SCALARS = {
    "exposure_time": "s",
    "airmass": None,
    "spatial_shift": "pix",
    "spatial_shift_uncertainty": "pix",
    "slit_position": "pix",
    "wavelength_shift": "pix",
    "wavelength_shift_uncertainty": "pix",
    "seeing": "pix",
    "sky_level": "electron",
    "bias_level": "adu",
    "filename": None,
    "altitude": "deg",
    "hour_angle": "hourangle",
    "parallactic_angle": "deg",
    "sun_altitude": "deg",
    "moon_altitude": "deg",
    "moon_separation": "deg",
    "moon_illumination": None,
}


@pytest.fixture
def series(toy_night):
    return next(iter(toy_night.result.series.values()))


def test_everything_that_the_design_names_is_there_with_its_unit(series):
    for name, unit in UNITS.items():
        assert series.fluxlike[name].unit == u.Unit(unit), name
        assert series.fluxlike[name].shape == (640, 12), name
    for name, unit in SCALARS.items():
        values = series.timelike[name]
        assert len(values) == 12
        assert unit is None or values.unit == u.Unit(unit), name
    assert series.wavelike["wavelength"].unit == u.AA
    assert series.wavelike["wavelength_uncertainty"].unit == u.AA
    assert series.wavelike["pixel"].unit == u.pix
    for lag in range(1, 7):
        assert np.all(np.abs(series.wavelike[f"skyfit_correlation_{lag}"]) < 1)
    for width in series.metadata["widths"]:
        assert {f"flux_{width:g}", f"uncertainty_{width:g}"} <= set(series.fluxlike)


def test_the_parts_of_the_variance_add_up(series):
    total = sum(series.fluxlike[f"variance_{part}"] for part in PARTS)
    good = ~series.mask
    assert np.allclose(np.sqrt(total)[good], series.uncertainty[good], rtol=1e-6)
    assert all(np.all(series.fluxlike[f"variance_{part}"][good] >= 0) for part in PARTS)


def test_the_headline_is_the_middle_width(series):
    widths = series.metadata["widths"]
    middle = series.fluxlike[f"flux_{widths[len(widths) // 2]:g}"]
    assert np.array_equal(series.flux, middle, equal_nan=True)


def test_times_are_bjd_where_target_and_site_are_known(toy_night, series):
    log, night = toy_night.chosen["science"], toy_night.night
    assert series.time.scale == "tdb" and "BJD_TDB" in series.metadata["time_reference"]
    target = find_target(night, log)
    expected = barycentric_times(log["time"].unmasked, target, night.instrument.site)
    assert np.all(np.abs((series.time - expected).to_value(u.s)) < 1e-3)


def test_all_stars_have_one_clock(toy_night):
    first, *others = toy_night.result.series.values()
    assert others
    for other in others:
        assert np.array_equal(first.time.jd1, other.time.jd1)
        assert np.array_equal(first.time.jd2, other.time.jd2)


def test_the_place_on_the_slit_is_where_the_star_was(toy_night):
    """At the middle of the spectrum, which is what ``night.toml`` gives, too."""
    for star in toy_night.truth.stars:
        series = toy_night.result.series[star.name]
        place = series.timelike["slit_position"].value
        true = star.row + star.bend(320 / 639) + toy_night.truth.offsets
        assert np.all(np.abs(place - true) < 0.1)  # an aperture's position, not a pull


@pytest.mark.parametrize("lacking", ["target", "site"])
def test_without_target_or_site_times_are_utc_and_say_so(toy_night, lacking):
    from slitlapse.automation.assemble import _times

    log, night = toy_night.chosen["science"].copy(), toy_night.night
    if lacking == "target":
        log["ra"], night = np.nan * u.deg, replace(night, target=None)
    else:
        night = replace(night, instrument=replace(night.instrument, site=None))
    time, words = _times(night, log)
    assert time.scale == "utc" and lacking in words and words.startswith("UTC of mid-exposure")
    assert np.all(np.abs((time - log["time"].unmasked).to_value(u.s)) < 1e-6)


def test_the_night_file_tells_the_target_before_the_headers(toy_night):
    there = SkyCoord(10 * u.deg, 20 * u.deg)
    night = replace(toy_night.night, target=there)
    assert find_target(night, toy_night.chosen["science"]) is there


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", "", "<script>", "con:1", "a b", "x\n", "\\\\host\\share", "."]
)
def test_names_of_stars_lead_nowhere_else(tmp_path, name):
    path = tmp_path / series_filename(name, ())
    assert path.parent == tmp_path and path.resolve().parent == tmp_path.resolve()
    assert path.suffix == ".fits" and not path.name.startswith(".")
    assert not set(path.name) & set("/\\:<>\n ")


def test_names_that_make_the_same_file_name_do_not_overwrite_one_another():
    names, files = ["a/b", "a:b", "a b", "a_b", "a_b2"], {}
    for name in names:
        files[name] = series_filename(name, files)
    assert len({each.lower() for each in files.values()}) == len(names)
    assert files["a/b"] == "a_b.fits"


def test_bad_samples_say_why(series):
    reasons = series.fluxlike["reasons"].value
    assert np.array_equal(reasons != 0, series.mask)
    assert set(series.metadata["mask_meanings"]) == {str(bit) for bit in REASONS}


def test_the_metadata_are_enough_to_repeat_it(toy_night, series):
    metadata = series.metadata
    assert metadata["parameters"] == describe_night(toy_night.night)
    assert metadata["versions"] == versions()
    used = [n for kind in toy_night.chosen.tables for n in toy_night.chosen[kind]["filename"]]
    assert set(metadata["checksums"]) == set(map(str, used))
    assert all(len(each) == 64 for each in metadata["checksums"].values())


def test_numbers_of_the_headers_are_taken_along(toy_night):
    from slitlapse.automation.assemble import _add_header_series

    table = toy_night.chosen["science"].copy()
    table["focus"], table["rotator"] = np.linspace(1, 2, 12), np.arange(12)
    table["hour_angle"], table["binning"] = np.ones(12), ["2 2"] * 12
    timelike = QTable({"hour_angle": np.zeros(12) * u.hourangle})
    _add_header_series(timelike, table)
    assert np.array_equal(timelike["focus"], table["focus"])
    assert np.array_equal(timelike["rotator"], np.arange(12.0))
    # a card does not replace what was computed, and text is no series
    assert np.all(timelike["hour_angle"] == 0) and np.all(timelike["header_hour_angle"] == 1)


def test_a_card_whose_name_differs_only_in_case_keeps_its_place_in_the_file():
    from slitlapse.automation.assemble import _add_header_series

    timelike = QTable({"seeing": [3.0, 4.0] * u.pix})
    _add_header_series(timelike, QTable({"SEEING": [0.9, 1.1], "focus": [1.0, 2.0]}))
    assert timelike.colnames == ["seeing", "header_SEEING", "focus"]
    assert timelike["header_SEEING"].tolist() == [0.9, 1.1]
    assert not {"binning", "slit", "n_x", "kind", "object"} & set(timelike.colnames)
