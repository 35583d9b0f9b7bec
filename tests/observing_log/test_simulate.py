"""What is written as a night is read as that night."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.time import Time

from slitlapse.observing_log import make_header_table, read_header, write_night

KINDS = ["bias", "flat", "arc", "science", "science"]


@pytest.fixture
def night():
    n = len(KINDS)
    return QTable(
        {
            "filename": [f"x{number}.fits" for number in range(n)],
            "kind": KINDS,
            "lamps": ["", "", "Ar+Ne", "", ""],
            "time": Time("2024-03-10T05:00:00.1234") + np.arange(n) * 100 * u.s,
            "exposure_time": [0, 5, 10, 60, 60] * u.s,
            "object": ["", "dome", "lamp", "TOI-3884", "TOI-3884"],
            "airmass": [np.nan, np.nan, np.nan, 1.2, 1.3],
            "ra": [np.nan, np.nan, np.nan, 181.57, 181.57] * u.deg,
            "dec": [np.nan, np.nan, np.nan, -12.507, -12.507] * u.deg,
            "disperser": ["R400"] * n,
        }
    )


RULES = {
    "start": {"header": {"time": "DATE-OBS", "time_is": "start"}},
    "middle": {"header": {"time": "HIERARCH TEL MJD", "time_is": "middle"}},
    "end": {"header": {"time": {"date": "UT-DATE", "clock": "UT-END"}, "time_is": "end"}},
    "both": {"header": {"time": "DATE-OBS", "time_end": "DATE-END"}},
    "hours": {"header": {"time": ["DATE-OBS", "MJD"], "ra_unit": "hour"}},
    "switches": {
        "header": {"time": "DATE-OBS"},
        "lamps": {"Ne": [{"LAMP1": "on"}, {"LAMP9": "on"}], "Ar": {"LAMP2": True}},
        "frames": {
            "bias": {"EXPTIME": 0},
            "arc": [{"LAMP1": "on"}, {"LAMP2": True}],
            "flat": {"HIERARCH ESO DPR TYPE": ["*flat*", "*dome*"]},
            "science": {"HIERARCH ESO DPR TYPE": "obj?ct"},
        },
    },
}
COMMON = {
    "exposure_time": ["EXPTIME", "EXPOSURE"],
    "object": "OBJECT",
    "airmass": "HIERARCH TEL AIRMASS",
    "ra": "RA",
    "dec": "DEC",
    "disperser": "GRATING",
    "slit": {"value": "1.0"},
}


@pytest.mark.parametrize("name", RULES)
def test_what_is_written_is_read_back(night, tmp_path, name):
    rules = {**RULES[name], "header": {**COMMON, **RULES[name]["header"]}}
    recipes = {kind: lambda row: np.full((4, 6), 100, np.uint16) for kind in KINDS}
    paths = write_night(night, recipes, tmp_path / "raw", **rules)
    assert [path.name for path in paths] == list(night["filename"])
    back = make_header_table(tmp_path / "raw", **rules)
    for column in ("filename", "kind", "lamps", "object", "disperser"):
        assert list(back[column]) == list(night[column])
    assert list(back["slit"]) == ["1.0"] * len(night)
    assert np.abs((back["time"] - night["time"]).to_value(u.s)).max() < 2e-6  # what cards keep
    for column in ("exposure_time", "ra", "dec", "airmass"):
        np.testing.assert_allclose(
            u.Quantity(back[column]).value, u.Quantity(night[column]).value, rtol=1e-12
        )


def test_the_recipe_sees_the_row_and_its_pixels_are_written(night, tmp_path):
    def draw(row):
        return np.full((3, 4), row["exposure_time"].to_value(u.s), np.float32)

    paths = write_night(night, dict.fromkeys(KINDS, draw), tmp_path, cards={"INSTRUME": "none"})
    assert [fits.getdata(path).max() for path in paths] == [0, 5, 10, 60, 60]
    assert fits.getval(paths[0], "INSTRUME") == "none"


def test_several_images_become_an_hdu_each(night, tmp_path):
    recipes = dict.fromkeys(KINDS, lambda row: [np.zeros((3, 4)), np.ones((3, 4))])
    (path,) = write_night(night[:1], recipes, tmp_path)
    with fits.open(path) as hdus:
        assert [hdu.shape for hdu in hdus] == [(), (3, 4), (3, 4)]
        assert "IMAGETYP" in hdus[0].header
    assert read_header(path, extension=2).hdu == 2


@pytest.mark.parametrize(
    ("extension", "shapes"),
    [(0, [(3, 4)]), (1, [(), (3, 4)]), (3, [(), (), (), (3, 4)]), ("SCI", [(), (3, 4)])],
)
def test_the_image_is_written_where_it_will_be_looked_for(night, tmp_path, extension, shapes):
    recipes = dict.fromkeys(KINDS, lambda row: np.zeros((3, 4), np.uint16))
    (path,) = write_night(night[:1], recipes, tmp_path, extension=extension)
    with fits.open(path) as hdus:
        assert [hdu.shape for hdu in hdus] == shapes
    assert read_header(path, extension=extension).shape == (3, 4)


@pytest.mark.parametrize("extension", [0, ["A", "B"]])
def test_an_image_brings_its_own_cards(night, tmp_path, extension):
    def draw(row):
        images = [CCDData(np.ones((3, 4)), unit="adu", meta={"GAIN": gain}) for gain in (1.2, 1.3)]
        return images[0] if extension == 0 else images

    (path,) = write_night(night[:1], dict.fromkeys(KINDS, draw), tmp_path, extension=extension)
    gains = [fits.getval(path, "GAIN", each) for each in ([0] if extension == 0 else extension)]
    assert gains == [1.2, 1.3][: len(gains)]
    assert read_header(path, extension=extension).cards["IMAGETYP"] == "bias"


@pytest.mark.parametrize(
    ("lamps", "expected"),
    [
        ({"Ar": {"LAMP": "*ar*"}, "Ne": {"LAMP": "*ne*"}}, "Ar+Ne"),  # one card, names
        (
            {"Ar": {"LAMP": "?1?"}, "Ne": {"LAMP": "??1"}, "Hg": {"LAMP": "1??"}},
            "Ar+Ne",
        ),  # switches
        ({"NeAr": {"LAMP": "*near*"}, "HgAr": {"LAMP": "*hg*"}}, "NeAr"),  # two in one bulb
        ({"Ar": [{"LAMP": "ar"}, {"LAMP": "*,ar*"}], "Ne": {"LAMP": "*ne*"}}, "Ar+Ne"),
    ],
)
def test_lamps_that_share_a_card_are_all_written(night, tmp_path, lamps, expected):
    rules = {"lamps": lamps}
    write_night(night[2:3], {"arc": lambda row: np.zeros((3, 4))}, tmp_path, **rules)
    assert make_header_table(tmp_path, **rules)["lamps"][0] == expected


def test_lamps_that_no_header_can_name_together_are_refused(night, tmp_path):
    lamps = {"Ar": {"LAMP": "ar"}, "Ne": {"LAMP": "ne"}}
    with pytest.raises(ValueError, match=r"x2.fits: no header says that the lamps Ar\+Ne are on"):
        write_night(night[2:3], {"arc": lambda row: np.zeros((3, 4))}, tmp_path, lamps=lamps)


def test_a_kind_without_a_recipe_is_refused(night, tmp_path):
    with pytest.raises(ValueError, match=r"no recipe for \['arc', 'flat', 'science'\]"):
        write_night(night, {"bias": lambda row: np.zeros((3, 4))}, tmp_path)


def test_rules_that_cannot_tell_kinds_apart_are_refused(night, tmp_path):
    frames = {"flat": {"TYPE": "*"}, "science": {"TYPE": "object"}}
    with pytest.raises(ValueError, match=r"x3.fits: a frame of kind 'science' would be read as"):
        write_night(night[3:], {"science": lambda row: np.zeros((3, 4))}, tmp_path, frames=frames)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_leaves_the_folder_is_refused(night, tmp_path):
    night["filename"][0] = "../x.f"
    with pytest.raises(ValueError, match="leaves the folder"):
        write_night(night[:1], {"bias": lambda row: np.zeros((3, 4))}, tmp_path / "raw")
