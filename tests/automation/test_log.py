from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from slitlapse.automation.log import (
    NightError,
    choose_frames,
    format_log,
    log_folder,
    log_night,
    write_log,
)
from slitlapse.observing_log import FrameFileWarning


@pytest.fixture
def changed(toy_night, tmp_path):
    """The toy night, some of its frames changed by a function (name, header, data)."""

    def make(change):
        for path in sorted(toy_night.night.data.iterdir()):
            header, data = fits.getheader(path), None
            if change(path.name, header, None) is None:
                (tmp_path / path.name).symlink_to(path)
                continue
            data = change(path.name, header, fits.getdata(path))
            fits.writeto(tmp_path / path.name, data, header)
        return replace(toy_night.night, data=tmp_path)

    return make


def kinds(chosen):
    return {kind: len(table) for kind, table in chosen.tables.items()}


def test_a_good_night_is_used_whole(toy_night):
    chosen = toy_night.chosen
    assert chosen.shape == (120, 688) and chosen.notes == ()
    assert sum(kinds(chosen).values()) == len(toy_night.log)
    for table in chosen.tables.values():
        assert np.all(np.diff(table["time"].unmasked.jd) >= 0)


def test_what_is_not_a_whole_frame_is_named_and_skipped(toy_night, changed):
    night = changed(lambda *_: None)
    name = str(toy_night.chosen["science"]["filename"][3])
    whole = (night.data / name).read_bytes()
    (night.data / name).unlink()
    (night.data / name).write_bytes(whole[: len(whole) // 2])
    (night.data / "notes.fits").write_text("cloudy until midnight")
    with pytest.warns(FrameFileWarning) as warned:
        log = log_night(night)
    chosen = choose_frames(log, night)
    # what is said at once and what is written down are the same words, and need no repetition
    assert [str(each.message) for each in warned] == list(chosen.notes)
    assert kinds(chosen)["science"] == 11
    assert sorted(note.split(" is left out")[0] for note in chosen.notes) == sorted(
        [name, "notes.fits"]
    )


def test_frames_of_another_size_are_left_out(toy_night, changed):
    odd = {str(toy_night.chosen[kind]["filename"][0]) for kind in ("science", "flat", "arc")}

    def cut(name, header, data):
        if name not in odd:
            return None
        return "change" if data is None else data[:60]

    night = changed(cut)
    chosen = choose_frames(log_night(night), night)
    assert {note.split(" ")[0] for note in chosen.notes} == odd
    assert all("it has 688 x 60 pixels, the science frames 688 x 120" in n for n in chosen.notes)
    assert not odd & set(map(str, chosen["science"]["filename"]))


def with_cards(toy_night, **columns):
    """The log of the toy night with a column filled by kind."""
    log = toy_night.log.copy()
    for name, by_kind in columns.items():
        log[name] = [by_kind.get(str(kind), "") for kind in log["kind"]]
    return log


def test_flats_through_the_science_slit_are_preferred(toy_night):
    log = with_cards(toy_night, slit={"science": "1.2", "flat": "5.0", "arc": "0.4"})
    chosen = choose_frames(log, toy_night.night)
    assert kinds(chosen) == kinds(toy_night.chosen) and chosen.notes == ()  # none agrees: all
    flats = np.flatnonzero(log["kind"] == "flat")
    log["slit"][flats[0]] = "1.2"
    chosen = choose_frames(log, toy_night.night)
    assert list(chosen["flat"]["filename"]) == [log["filename"][flats[0]]]
    assert len(chosen["arc"]) == len(toy_night.chosen["arc"])  # an arc's slit may be narrower
    assert len(chosen.notes) == len(flats) - 1
    assert "its slit is '5.0', that of the science frames '1.2'" in chosen.notes[0]
    named = replace(toy_night.night, frames={"flat": ["*flat*"]})  # a person knows better
    assert len(choose_frames(log, named)["flat"]) == len(flats)


def test_what_went_through_another_grism_is_left_out(toy_night):
    log = with_cards(toy_night, disperser=dict.fromkeys(("science", "flat", "arc"), "Gr3"))
    science = np.flatnonzero(log["kind"] == "science")
    log["disperser"][science[2]] = "Gr5"
    chosen = choose_frames(log, toy_night.night)
    assert kinds(chosen)["science"] == 11 and "its disperser is 'Gr5'" in chosen.notes[0]


@pytest.mark.parametrize("ending", ["", ".gz", ".fz"])
def test_named_frames_are_found_whatever_compressed_them(toy_night, ending):
    name = str(toy_night.chosen["science"]["filename"][2])
    night = replace(toy_night.night, frames={"science": [name + ending], "flat": []})
    chosen = choose_frames(log_night(night), night)
    assert list(chosen["science"]["filename"]) == [name]
    assert len(chosen["flat"]) == 0 and len(chosen["arc"]) > 0


def test_several_objects_have_to_be_chosen_from(toy_night):
    log = toy_night.log.copy()
    science = np.flatnonzero(log["kind"] == "science")
    log["object"] = [str(each) for each in log["object"]]
    names = np.array(log["object"], dtype="U20")
    names[science[:5]], names[science[5:]] = "WASP-19", "Feige 66"
    log["object"] = names
    with pytest.raises(NightError, match=r"'Feige 66' \(7\), 'WASP-19' \(5\); name one with"):
        choose_frames(log, toy_night.night)
    chosen = choose_frames(log, replace(toy_night.night, object="wasp*"))
    assert len(chosen["science"]) == 5
    with pytest.raises(NightError, match="no science frame is of the object 'HD 1'; there are Fei"):
        choose_frames(log, replace(toy_night.night, object="HD 1"))


def test_frames_of_no_known_kind_are_an_error(toy_night):
    log = toy_night.log.copy()
    log["kind"] = ["other"] * len(log)
    with pytest.raises(NightError, match=r"none of the \d+ frames in .* \(found: other\)"):
        choose_frames(log, toy_night.night)


def test_exposures_without_a_time_have_no_place_in_a_series(toy_night):
    log = toy_night.log.copy()
    science = np.flatnonzero(log["kind"] == "science")
    log["time"][science[0]] = np.ma.masked
    chosen = choose_frames(log, toy_night.night)
    assert len(chosen["science"]) == 11 and "no header card tells its time" in chosen.notes[0]
    log["time"][science] = np.ma.masked
    with pytest.raises(NightError, match=r"toy\.toml: none of the science frames has a time"):
        choose_frames(log, toy_night.night)


def test_the_log_comes_back_from_its_file(toy_night, tmp_path):
    write_log(toy_night.log, tmp_path / "log.ecsv")
    back = QTable.read(tmp_path / "log.ecsv", format="ascii.ecsv")
    assert back.colnames == toy_night.log.colnames
    assert list(back["filename"]) == list(toy_night.log["filename"])
    assert back["exposure_time"].unit == "s" and "folder" not in back.meta


def test_the_log_fits_on_a_terminal(toy_night):
    lines = format_log(log_folder(toy_night.night.data, "toy")).splitlines()
    assert len(lines) == len(toy_night.log) + 4  # heading, units, a rule, and the sum
    assert lines[-1].endswith("12 science")
