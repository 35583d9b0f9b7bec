"""Line lists: complete, in the medium they say, and lamps' names as observatories write them."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from slitlapse.wavelength.line_lists import (
    KNOWN_LAMPS,
    LineList,
    convert_medium,
    lamp_line_list,
    merge_blends,
    read_line_list,
    sky_line_list,
    split_lamp_names,
)

# well-known air wavelengths (NIST), one or more per lamp
LANDMARKS = {
    "He": [3888.65, 4471.48, 5015.68, 5875.62, 6678.15, 7065.19],
    "Ne": [5852.49, 6143.06, 6402.25, 7032.41],
    "Ar": [6965.43, 7635.11, 8115.31, 4158.59, 4764.87],
    "Kr": [5570.29, 5870.92, 7601.55, 8112.90],
    "Xe": [4624.28, 4671.23, 8231.63, 8819.41],
    "Hg": [3650.15, 4046.56, 4358.33, 5460.75, 5769.60, 5790.66],
    "Cd": [3466.20, 4678.15, 4799.91, 5085.82, 6438.47],
    "Zn": [4680.14, 4722.16, 4810.53, 6362.34],
    "Cu": [3247.54, 3273.96, 5105.54, 5153.24, 5218.20],
    "Fe": [3719.93, 3734.86, 3820.43, 4271.76, 4383.54],
    "Th": [4019.13, 5760.55],
}


@pytest.mark.parametrize("lamp", KNOWN_LAMPS)
def test_every_lamp_has_its_famous_lines(lamp):
    wave = lamp_line_list(lamp)["wavelength"].value
    for landmark in LANDMARKS[lamp]:
        assert np.abs(wave - landmark).min() < 0.02, f"{lamp} {landmark} is missing"


def test_xenon_fills_the_gap_between_4925_and_8233():
    wave = lamp_line_list("Xe", wavelength_range=(4925, 8233))["wavelength"].value
    assert len(wave) > 100
    assert np.diff(wave).max() < 200  # the list in common use has one gap of 3308 angstrom


# vacuum wavelength and intensity in the NIST Atomic Spectra Database
XENON = {
    4079.972: 100, 4194.710: 150, 4735.476: 600, 4808.363: 500, 5825.505: 300, 6184.131: 300,
    6319.809: 500, 6471.493: 300, 6884.054: 300, 7121.561: 500, 7395.830: 150, 7644.128: 500,
    7889.563: 300, 7969.533: 500, 8208.592: 700, 8233.896: 10000, 8282.392: 7000, 8349.116: 2000,
    8411.500: 2000, 8821.832: 5000, 8954.709: 1000, 9165.167: 500, 10530.742: 900, 11088.273: 1900,
}  # fmt: skip


def test_strengths_of_xenon_are_the_published_ones():
    lines = lamp_line_list("Xe", medium="vacuum")
    wave = lines["wavelength"].value
    for published, strength in XENON.items():
        nearest = np.abs(wave - published).argmin()
        assert abs(wave[nearest] - published) < 0.001
        assert lines["strength"][nearest] == strength


def test_every_line_says_what_it_is_and_where_it_comes_from():
    lines = lamp_line_list(["He", "Ar"])
    assert lines.colnames[:5] == ["wavelength", "strength", "ion", "lamp", "source"]
    assert set(lines["ion"]) == {"He I", "Ar I", "Ar II"}
    assert all("NIST" in source for source in lines["source"])
    assert (np.diff(lines["wavelength"].value) >= 0).all()


def test_air_and_vacuum_are_in_the_type_and_convert_there_and_back():
    air = lamp_line_list("Hg", wavelength_range=(5400, 5500))
    vacuum = lamp_line_list("Hg", medium="vacuum", wavelength_range=(5400, 5500))
    assert (air.medium, vacuum.medium, air[:1].medium) == ("air", "vacuum", "air")
    green = air["strength"].argmax()
    # NIST: 5460.750 in air, 5462.268 in vacuum
    assert abs(air["wavelength"][green].value - 5460.750) < 0.001
    assert abs(vacuum["wavelength"][green].value - 5462.268) < 0.001
    back = vacuum.to_medium("air")
    np.testing.assert_allclose(back["wavelength"].value, air["wavelength"].value, atol=1e-6)
    wave = np.linspace(3000, 11000, 50) * u.AA
    there = convert_medium(convert_medium(wave, "air", "vacuum"), "vacuum", "air")
    np.testing.assert_allclose(there.value, wave.value, atol=1e-6)


def test_a_medium_that_is_neither_is_refused():
    with pytest.raises(ValueError, match="say 'air' or 'vacuum'"):
        lamp_line_list("Ne", medium="water")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HeNeAr", ["He", "Ne", "Ar"]),
        ("CuNe+CuAr", ["Cu", "Ne", "Ar"]),
        ("CuAr+CuNe", ["Cu", "Ar", "Ne"]),
        ("Hg(A)", ["Hg", "Ar"]),
        ("HG-A", ["Hg", "Ar"]),
        ("Hg-Cd", ["Hg", "Cd"]),
        ("Neon", ["Ne"]),
        ("Spare_Ar", ["Ar"]),
        ("FeAr", ["Fe", "Ar"]),
        ("ThAr", ["Th", "Ar"]),
        ("xenon lamp", ["Xe"]),
        ("HE+NE+AR", ["He", "Ne", "Ar"]),
        ("HeNeAr 45s", ["He", "Ne", "Ar"]),
        ("Ne_PenRay", ["Ne"]),
        ("CuAr comparison", ["Cu", "Ar"]),
        ("HCL CuNe", ["Cu", "Ne"]),
        ("Thorium-Argon", ["Th", "Ar"]),
        ("LAMP_Hg_1", ["Hg"]),
        (["Ne", "Hg"], ["Ne", "Hg"]),
    ],
)
def test_lamp_names_as_observatories_write_them(text, expected):
    assert split_lamp_names(text) == expected


@pytest.mark.parametrize("text", ["Dome", "", "UNe", "HeXy", "off"])
def test_an_unknown_lamp_is_an_error_that_lists_the_known(text):
    with pytest.raises(ValueError, match="Known are He, Ne, Ar"):
        split_lamp_names(text)


def test_blends_are_merged_at_the_weighted_mean():
    lines = LineList(
        {
            "wavelength": [5000.0, 5001.0, 5010.0] * u.AA,
            "strength": [3.0, 1.0, 7.0],
            "ion": ["X I", "X I", "X II"],
            "lamp": ["X"] * 3,
        },
        meta={"medium": "air"},
    )
    merged = merge_blends(lines, 2 * u.AA)
    np.testing.assert_allclose(merged["wavelength"].value, [5000.25, 5010.0])
    np.testing.assert_allclose(merged["strength"], [4, 7])
    assert list(merged["n_blended"]) == [2, 1]
    assert merged.medium == "air"
    # one unit or the other is the same
    np.testing.assert_allclose(merge_blends(lines, 0.2 * u.nm)["wavelength"].value, [5000.25, 5010])


def test_sky_lines_hold_the_brightest_of_the_night():
    wave = sky_line_list()["wavelength"].value
    for landmark in (5577.338, 6300.304, 5889.951, 7316.282, 8399.170, 8885.850):
        assert np.abs(wave - landmark).min() < 0.02  # Osterbrock et al. 1996


def test_your_own_lines_come_from_a_table_or_a_text_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# my lamp\n4471.48 100 He I\n5015.68, 30, He I  # good\n")
    lines = read_line_list(path, medium="air", lamp="mine")
    np.testing.assert_allclose(lines["wavelength"].value, [4471.48, 5015.68])
    assert list(lines["ion"]) == ["He I", "He I"]
    table = QTable({"wavelength": [550.0, 450.0] * u.nm})
    lines = read_line_list(table, medium="vacuum")
    np.testing.assert_allclose(lines["wavelength"].to_value(u.AA), [4500, 5500])
    assert lines.medium == "vacuum"


def test_a_broken_list_is_answered_with_a_sentence(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("hello\n")
    with pytest.raises(ValueError, match="is not a line list"):
        read_line_list(path, medium="air")
    with pytest.raises(ValueError, match="needs a column 'wavelength'"):
        read_line_list(QTable({"lambda": [1.0]}), medium="air")


def test_an_empty_range_gives_an_empty_list():
    assert len(lamp_line_list("Ne", wavelength_range=(100, 200))) == 0
