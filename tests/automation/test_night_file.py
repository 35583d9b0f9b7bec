import astropy.units as u
import pytest

from slitlapse.automation.night_file import NightFileError, matches, read_night

FULL = """
data = "raw"
instrument = "toy"
output = "reduced"
object = "TOI-3884"
[target]
ra = "12:06:17"
dec = "+12:30:25"
[stars]
target = 41.0
comparison = { "*_nodA*" = 18.0, "*_nodB*" = 21.5 }
[frames]
science = "toi3884.*.fits"
arc = ["neon.*.fits", "argon.*.fits"]
flat = []
[lamps]
"neon.*" = ["Ne"]
[sky]
method = "polynomial"
windows = [[-60, -20], [20, 60]]
[extraction]
method = "optimal"
widths = [8, 12, 16]
hits = "time"
[wavelength]
degree = 4
arcs = "interpolate"
"""
LEAST = 'data = "raw"\ninstrument = "toy"\noutput = "reduced"\n'


@pytest.fixture
def write(tmp_path):
    def make(text):
        (tmp_path / "night.toml").write_text(text)
        return tmp_path / "night.toml"

    return make


def test_every_key_arrives(write, tmp_path):
    path = write(FULL)
    night = read_night(path)
    assert night.data == tmp_path / "raw" and night.output == tmp_path / "reduced"
    assert night.instrument.name == "Toy spectrograph" and night.object == "TOI-3884"
    assert night.target.ra.to_value(u.deg) == pytest.approx(15 * (12 + 6 / 60 + 17 / 3600))
    assert night.frames == {
        "science": ["toi3884.*.fits"], "arc": ["neon.*.fits", "argon.*.fits"], "flat": []
    }  # fmt: skip
    assert night.lamps == {"neon.*": ["Ne"]}
    assert night.sky_method == "polynomial" and night.sky_windows == ((-60, -20), (20, 60))
    assert night.extraction_method == "optimal" and night.widths == (8.0, 12.0, 16.0)
    assert night.hits == "time"
    assert night.degree == 4 and night.arcs == "interpolate" and night.source == path


def test_what_is_left_out_has_a_default(write):
    night = read_night(write(LEAST))
    assert night.sky_method == "tilted" and night.extraction_method == "boxcar"
    assert night.arcs == "nearest" and night.degree is None and night.widths is None
    assert night.hits == "frame"
    assert night.stars == {} and night.frames == {} and night.target is None


def test_a_star_may_stand_elsewhere_in_each_nod(write):
    night = read_night(write(FULL))
    assert night.position("target", "anything.fits") == 41.0
    assert night.position("comparison", "x_nodB_3.fits.gz") == 21.5
    with pytest.raises(NightFileError, match=r"none of these patterns fits the science frame x\.f"):
        night.position("comparison", "x.fits")


@pytest.mark.parametrize("packed", ["", ".gz", ".fz", ".bz2"])
def test_the_ending_of_compressed_files_does_not_matter(packed):
    assert matches(f"Neon.1.fits{packed}", "neon.*.fits")
    assert matches("neon.1.fits", f"neon.*.fits{packed}")
    assert not matches(f"argon.1.fits{packed}", "neon.*.fits")


@pytest.mark.parametrize(
    "key",
    ["data", "instrument", "output", "object", "target", "stars", "frames", "science", "arc",
     "lamps", "sky", "windows", "extraction", "widths", "wavelength", "degree", "arcs", "ra",
     "dec"],
)  # fmt: skip
def test_a_misspelt_key_is_named_with_what_is_allowed(write, key):
    wrong = key[:-1] + "x" + key[-1]
    old = f"[{key}]" if f"[{key}]" in FULL else f"\n{key} ="
    path = write(FULL.replace(old, old.replace(key, wrong), 1))
    with pytest.raises(NightFileError) as caught:
        read_night(path)
    words = str(caught.value)
    assert words.startswith(f"{path}: ") and f"'{wrong}'" in words and "\n" not in words
    assert f"did you mean '{key}'?" in words and "Allowed are" in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data = "raw', "is not valid TOML"),
        ("\x00", "is not valid TOML"),
        (LEAST + "[target]\nra = 'north'\ndec = 3", "is not a place on the sky"),
        (LEAST + "[target]\nra = 10\ndec = 95", "is not a place on the sky"),
        (LEAST.replace("toy", "tyo"), "tyo"),
    ],
)
def test_mistakes_are_one_sentence(write, text, words):
    with pytest.raises(ValueError, match=words):
        read_night(write(text))


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path):
    with pytest.raises(NightFileError, match=r"there is no file .*slitlapse init"):
        read_night(tmp_path / "night.toml")
    (tmp_path / "night.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NightFileError, match="cannot be read"):
        read_night(tmp_path / "night.toml")
    with pytest.raises(NightFileError, match="cannot be read"):
        read_night(tmp_path)


@pytest.mark.parametrize("key", ["data", "output"])
@pytest.mark.parametrize(
    "place", ["/tmp", "../other", "raw/../../other", "..", r"C:\\night", r"..\\x", "C:night"]
)
def test_a_night_file_leads_nowhere_else(write, key, place):
    old = {"data": '"raw"', "output": '"reduced"'}[key]
    with pytest.raises(NightFileError, match=f"{key} must be a place in the folder of this file"):
        read_night(write(LEAST.replace(old, f'"{place}"')))


def test_frames_may_be_linked_but_results_go_to_no_link(write, tmp_path):
    home, path = tmp_path / "home", write(LEAST)
    home.mkdir()
    (tmp_path / "raw").symlink_to(home)
    assert read_night(path).data.samefile(home)
    (tmp_path / "reduced").mkdir()
    (tmp_path / "reduced" / "exposures").symlink_to(home / "..")
    read_night(path)  # a link inside the folder leads nowhere else
    (tmp_path / "reduced" / "exposures").unlink()
    (tmp_path / "reduced" / "report").symlink_to(home / ".." / "..")
    with pytest.raises(NightFileError, match="name a folder that is no link"):
        read_night(path)
