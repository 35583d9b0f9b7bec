"""Bad input by the thousand: never a traceback, never a damaged earlier output."""

import shutil
import string
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from slitlapse import cli
from slitlapse.automation import SpectralTimeSeries, read_night, simulate_night
from slitlapse.instruments import load_instrument

NIGHT = """
data = "raw"
instrument = "toy"
output = "reduced"
object = "TOI*"
[target]
ra = "12:06:17"
dec = "+12:30:25"
[stars]
target = 412.0
comparison = { "*_nodA*" = 188.0, "*_nodB*" = 214.5 }
[frames]
science = "toi3884.*.fits"
arc = ["neon.*.fits", "argon.*.fits"]
dark = []
[lamps]
"neon.*" = ["Ne"]
[sky]
method = "tilted"
windows = [[-60, -20], [20, 60]]
[extraction]
method = "boxcar"
widths = [8, 12, 16]
hits = "frame"
[wavelength]
degree = 4
arcs = "nearest"
"""
VALUES = [
    "0", "-1", "1e400", "nan", "inf", "true", '""', '"../../x"', '"<script>alert(1)</script>"',
    "[]", "[[]]", "{}", "[1, [2]]", '["a", 3]', '{ "*" = "x" }', "1979-05-27T07:32:00", '"\\u0000"',
    '"' + "x" * 3000 + '"', "99999999999999999999", '"[1:0,5:2]"', '"[a:b]"', "[[5, 5]]", '"+q"',
]  # fmt: skip
CARDS = ["EXPTIME", "DATE-OBS", "IMAGETYP", "OBJECT", "LAMP", "RA", "DEC", "AIRMASS", "BUNIT"]
CONTENT = [
    None, "", " ", -1.0, 0, 1e300, True, "nan", "2025-13-45T99:99:99", "12:99:99", "<b>x</b>",
    "../../x", "x" * 68, "HeNeAr+Unobtainium", "CuNe+CuAr", "é", "0", 3 + 4j, "bias", "arc",
]  # fmt: skip


def mutate_text(text, rng):
    """Change a text as a tired person, a broken editor or an enemy might."""
    kind = rng.integers(6)
    lines = text.splitlines()
    at = rng.integers(len(lines))
    if kind == 0:  # another value
        if "=" in lines[at]:
            lines[at] = lines[at].split("=")[0] + "= " + VALUES[rng.integers(len(VALUES))]
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(rng.integers(len(lines)), lines[at])
    elif kind == 3:  # a slip of the finger in a line
        line, place = lines[at], rng.integers(len(lines[at]) + 1)
        other = string.printable[rng.integers(95)]
        lines[at] = line[:place] + other + line[place + rng.integers(2) :]
    elif kind == 4:
        lines[at] = "".join(rng.permutation(list(lines[at])))
    else:
        lines = lines[:at]
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(4))
def test_no_night_file_gives_anything_but_a_night_or_a_sentence(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "night.toml"
    outcomes = {True: 0, False: 0}
    for _ in range(500):
        text = NIGHT
        for _ in range(rng.integers(1, 4)):
            text = mutate_text(text, rng) or " "
        path.write_text(text, encoding="utf-8")
        try:
            night = read_night(path)
        except (ValueError, OSError) as error:
            outcomes[False] += 1
            assert "toml" in str(error) or "instrument" in str(error), f"{text}\n{error}"
            assert "\n" not in str(error).strip(), f"{text}\n{error}"
        else:
            outcomes[True] += 1
            assert tmp_path in night.output.parents, text
    assert min(outcomes.values()) > 20  # the mutations are neither harmless nor all fatal


@pytest.mark.parametrize("name", ["toy", "kast_blue", "efosc2", "gmos_n"])
def test_no_instrument_file_gives_anything_but_an_instrument_or_a_sentence(tmp_path, name):
    rng = np.random.default_rng(len(name))
    built_in = load_instrument(name)
    whole = built_in.source.read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    outcomes = {True: 0, False: 0}
    for _ in range(400):
        text = mutate_text(whole, rng)
        path.write_text(text, encoding="utf-8")
        try:
            instrument = load_instrument(path)
            instrument.amplifiers_for(built_in.example_headers)
        except (ValueError, OSError) as error:
            outcomes[False] += 1
            assert "\n" not in str(error).strip(), f"{text}\n{error}"
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > 20


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Four exposures of two stars, reduced."""
    folder = tmp_path_factory.mktemp("night")
    simulate_night(
        folder, instrument=load_instrument("toy"), rng=np.random.default_rng(2), n_exposures=4,
        n_calibrations=2,
    )  # fmt: skip
    assert cli.main(["reduce", str(folder / "night.toml")]) == 0
    return folder


def mutate_header(path, rng):
    """Change, delete or double cards of a frame."""
    with fits.open(path, mode="update", output_verify="ignore") as hdus:
        header = hdus[0].header
        for _ in range(rng.integers(1, 4)):
            card, value = CARDS[rng.integers(len(CARDS))], CONTENT[rng.integers(len(CONTENT))]
            if value is None:
                header.remove(card, ignore_missing=True)
            elif value == "é":
                header[card] = "e"
            else:
                header[card] = value


def mutate_bytes(path, rng):
    """Flip bytes of the header, or cut the file short."""
    raw = bytearray(path.read_bytes())
    if rng.integers(3) == 0:
        raw = raw[: rng.integers(len(raw))]
    for _ in range(rng.integers(1, 6)):
        if raw:
            raw[rng.integers(min(len(raw), 2880))] = rng.integers(256)
    path.write_bytes(bytes(raw))


@pytest.mark.slow
@pytest.mark.parametrize("mutate", [mutate_header, mutate_bytes])
def test_the_log_of_damaged_frames_has_no_traceback(night, tmp_path, capsys, mutate):
    rng = np.random.default_rng(8)
    names = ["0001_bias.fits", "0003_flat.fits", "0005_arc.fits", "0006_science.fits"]
    statuses = []
    for _ in range(250):
        for name in names:
            shutil.copy(night / "raw" / name, tmp_path / name)
            if rng.integers(2):
                mutate(tmp_path / name, rng)
        statuses.append(cli.main(["log", str(tmp_path), "--instrument", "toy"]))
        said = capsys.readouterr()
        assert statuses[-1] in (0, 2), said.err
    assert 0 in statuses


def damage(raw, rng):
    """Change pixels as detectors, electronics and disks do."""
    kind = rng.integers(7)
    y, x = rng.integers(110), rng.integers(600)
    data = raw.astype(np.float32) if kind in (0, 1) else raw.copy()
    if kind == 0:
        data[y : y + 40, x : x + 200] = np.nan
    elif kind == 1:
        data[y : y + 40, x : x + 200] = [np.inf, -np.inf, 1e30][rng.integers(3)]
    elif kind == 2:
        data[y : y + 60] = 65535
    elif kind == 3:
        data[:] = rng.integers(2) * 1000
    elif kind == 4:
        data[rng.random(data.shape) < 0.05] = 65535
    elif kind == 5:
        data = data[:-3]
    else:
        data = rng.integers(0, 65535, data.shape).astype(data.dtype)
    return data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # they are printed as notes at the command line
@pytest.mark.parametrize("seed", range(10))
def test_a_night_of_damaged_frames_leaves_results_or_a_sentence(night, tmp_path, capsys, seed):
    rng = np.random.default_rng(seed)
    shutil.copytree(night, tmp_path / "n")
    before = {path.name: path.read_bytes() for path in (tmp_path / "n/reduced").glob("*.fits")}
    for path in sorted((tmp_path / "n" / "raw").iterdir()):
        if rng.integers(3) == 0:
            with fits.open(path) as hdus:
                data, header = hdus[0].data, hdus[0].header
            fits.writeto(path, damage(data, rng), header, overwrite=True)
    status = cli.main(["reduce", str(tmp_path / "n" / "night.toml")])
    said = capsys.readouterr()
    assert status in (0, 2), said.err
    if status == 2:
        assert said.err.strip().splitlines()[-1].startswith("slitlapse: ")
        for name, content in before.items():
            assert (tmp_path / "n" / "reduced" / name).read_bytes() == content
    for star in ("target", "comparison"):
        series = SpectralTimeSeries.read(tmp_path / "n" / "reduced" / f"{star}.fits")
        good = ~series.mask
        assert np.all(np.isfinite(series.flux.value[good]))
        assert np.all(series.uncertainty.value[good] > 0)


def test_names_that_are_paths_or_scripts_change_nothing_outside(night, tmp_path):
    shutil.copytree(night, tmp_path / "n")
    path = tmp_path / "n" / "night.toml"
    text = path.read_text().replace("target =", '"../../<script>alert(1)</script>" =')
    path.write_text(text)
    before = sorted(each for each in tmp_path.rglob("*") if tmp_path / "n" not in each.parents)
    assert cli.main(["reduce", str(path)]) == 0
    assert before == sorted(
        each for each in tmp_path.rglob("*") if tmp_path / "n" not in each.parents
    )
    page = (tmp_path / "n" / "reduced" / "report" / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert Path(tmp_path / "n" / "reduced" / "comparison.fits").exists()
