from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from slitlapse.automation import products
from slitlapse.automation.night import plan_exposures
from slitlapse.automation.stars import place_stars
from slitlapse.automation.store import fingerprint
from slitlapse.wavelength import WavelengthSolution


@pytest.fixture
def folder(toy_night):
    return toy_night.result.folder


@pytest.mark.parametrize(
    ("name", "hdus"),
    [
        ("bias", {"BIAS": "electron", "ERROR": "electron"}),
        ("flat", {"FLAT": "electron", "ERROR": "electron"}),
        ("sensitivity", {"SENSITIVITY": None, "ERROR": None, "UNMEASURED": None}),
    ],
)
def test_calibrations_are_readable_with_astropy_alone(folder, name, hdus):
    with fits.open(folder / f"{name}.fits") as found:
        for hdu in found[1:]:
            assert hdu.header.get("BUNIT") == hdus[hdu.name]
            assert hdu.data.shape == (120, 640)


def test_what_is_written_is_what_was_used(toy_night, folder):
    door = toy_night.calibration.door
    assert np.array_equal(fits.getdata(folder / "bias.fits", "BIAS"), door.bias.data)
    found = fits.getdata(folder / "sensitivity.fits", "SENSITIVITY")
    assert np.allclose(found, door.sensitivity.sensitivity, rtol=1e-6)


def test_traces_and_wavelengths_are_tables_with_units(toy_night, folder):
    for name, series in toy_night.result.series.items():
        trace = QTable.read(folder / f"trace_{name}.ecsv", format="ascii.ecsv")
        assert trace.colnames == ["pixel", "center", "width"] and len(trace) == 640
        assert all(trace[column].unit == "pix" for column in trace.colnames)
        waves = QTable.read(folder / f"wavelength_{name}.ecsv", format="ascii.ecsv")
        found = WavelengthSolution.from_table(waves).wavelength
        assert np.allclose(found, series.wavelength, rtol=1e-9)
        lines = QTable.read(folder / f"lines_{name}.ecsv", format="ascii.ecsv")
        assert {"used", "residual"} <= set(lines.colnames)


def test_no_half_written_file_is_left(folder):
    assert not [path for path in Path(folder).rglob(".*") if path.name != ".lock"]


def test_only_what_the_night_has_is_written(toy_night, tmp_path):
    door = toy_night.calibration.door.with_(bias=None, dark=None, sensitivity=None)
    from dataclasses import replace

    products.write_calibration(replace(toy_night.calibration, door=door, flat=None), tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_decision_changes_the_fingerprint(toy_night):
    from dataclasses import replace

    night, calibration = toy_night.night, toy_night.calibration
    placement = place_stars(night, toy_night.chosen, calibration, [])[0]

    def key(**changes):
        here = replace(night, **changes)
        plan = plan_exposures(here, placement, calibration, None, [])
        return fingerprint(products.decisions(here, {"a": plan}))

    base = key()
    assert base == key()
    others = [key(widths=(6.0, 9.0)), key(sky_method="median"), key(extraction_method="optimal")]
    assert len({base, *others}) == 4
    # but for one that is about what was measured already, which is kept
    assert key(hits="time") == base
