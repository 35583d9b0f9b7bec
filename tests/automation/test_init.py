import shutil

import pytest

from slitlapse.automation import read_night
from slitlapse.automation.init import write_night_file


@pytest.fixture
def folder(toy_night, tmp_path):
    """A folder with a link to the frames."""
    (tmp_path / "raw").symlink_to(toy_night.night.data)
    return tmp_path


def test_what_is_written_can_be_read(toy_night, folder):
    path = write_night_file(folder / "night.toml", folder / "raw", "toy")
    night = read_night(path)
    assert night.data.samefile(toy_night.night.data)
    assert night.instrument.name == "Toy spectrograph"
    assert night.object == str(toy_night.chosen["science"]["object"][0])
    assert night.output == folder / "reduced" and night.stars == {}


def test_it_says_what_was_found_and_what_could_be_said(folder):
    text = write_night_file(folder / "night.toml", folder / "raw", "toy").read_text()
    assert "12 science" in text
    for table in ("target", "stars", "frames", "lamps", "sky", "extraction", "wavelength"):
        assert f"# [{table}]" in text
    settings = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all("#" in line for line in settings), "every setting has a comment"


def test_the_examples_behind_a_hash_are_valid(folder):
    path = write_night_file(folder / "night.toml", folder / "raw", "toy")
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("# [target]"))
    path.write_text(
        "\n".join([*lines[:start], *(line.removeprefix("# ") for line in lines[start:])])
    )
    night = read_night(path)
    assert night.widths == (8.0, 12.0, 16.0) and set(night.stars) == {"target", "comparison"}


def test_frames_elsewhere_get_a_link(toy_night, tmp_path):
    path = write_night_file(tmp_path / "night.toml", toy_night.night.data, "toy")
    assert (tmp_path / "raw").is_symlink()
    assert read_night(path).data.samefile(toy_night.night.data)
    write_night_file(path, toy_night.night.data, "toy", overwrite=True)  # the link is there


def test_nothing_is_put_in_place_of_something_else(toy_night, tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(ValueError, match="no link to it can be made"):
        write_night_file(tmp_path / "night.toml", toy_night.night.data, "toy")
    assert not (tmp_path / "night.toml").exists()


def test_an_own_instrument_file_is_named_as_seen_from_the_night(toy_night, folder):
    shutil.copy(toy_night.night.instrument.source, folder / "mine.toml")
    path = write_night_file(folder / "night.toml", folder / "raw", str(folder / "mine.toml"))
    assert 'instrument = "mine.toml"' in path.read_text()
    assert read_night(path).instrument.source.samefile(folder / "mine.toml")


def test_a_file_is_not_replaced_unless_told(folder):
    path = folder / "night.toml"
    path.write_text("mine")
    with pytest.raises(ValueError, match="--force"):
        write_night_file(path, folder / "raw", "toy")
    assert path.read_text() == "mine"
    write_night_file(path, folder / "raw", "toy", overwrite=True)
    assert path.read_text() != "mine"
