import json
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

import slitlapse
from slitlapse import cli
from slitlapse.automation import SpectralTimeSeries, read_night, simulate_night
from slitlapse.instruments import list_instruments, load_instrument

SCIENCE = "0008_science.fits"  # the first of four


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """Raw frames of a small simulated night; tests work on copies."""
    folder = tmp_path_factory.mktemp("pristine")
    rng = np.random.default_rng(5)
    simulate_night(
        folder, instrument=load_instrument("toy"), n_exposures=4, n_calibrations=3, rng=rng
    )
    return folder


@pytest.fixture
def folder(pristine, tmp_path):
    """A copy of the night to damage."""
    shutil.copytree(pristine, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run a command; give back its exit status and what it said."""

    def run(*arguments):
        capsys.readouterr()
        status = cli.main([str(each) for each in arguments])
        said = capsys.readouterr()
        return SimpleNamespace(status=status, out=said.out, err=said.err)

    return run


@pytest.fixture
def fails(call):
    """Run a command that must end with status 2 and one sentence with these words in it."""

    def run(arguments, *words, status=2):
        done = call(*arguments)
        assert done.status == status, done.err
        last = done.err.strip().splitlines()[-1]
        assert last.startswith("slitlapse: ")
        assert not last.startswith("slitlapse: note:")
        assert "Traceback" not in done.err + done.out
        for word in words:
            assert str(word) in last, f"{word!r} is missing in: {last}"
        return done

    return run


def edit(path, old, new):
    """Replace some text of a file that must hold it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def own_instrument(folder, *changes):
    """Put a changed copy of the toy instrument's file beside the night and use it."""
    path = folder / "mine.toml"
    shutil.copyfile(load_instrument("toy").source, path)
    for old, new in changes:
        edit(path, old, new)
    edit(folder / "night.toml", 'instrument = "toy"', 'instrument = "mine.toml"')
    return path


def write_frame(path, data, **cards):
    """Write a raw frame with the header of the first science frame."""
    header = fits.getheader(path.parent / SCIENCE)
    header.update(cards)
    fits.writeto(path, data, header, overwrite=True)


def contents(folder):
    """Bytes of every file below a folder."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---------------------------------------------------------------- what goes well


def test_without_a_command_it_explains_itself(call):
    done = call()
    assert done.status == 0
    for name in ("demo", "simulate", "log", "init", "reduce", "instruments"):
        assert name in done.out


def test_the_module_is_the_command(tmp_path):
    command = [sys.executable, "-m", "slitlapse", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == f"slitlapse {slitlapse.__version__}"


def test_an_unknown_command_is_answered_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["reduction"])
    assert stop.value.code == 2
    assert "instruments" in capsys.readouterr().err


def test_instruments_are_listed_and_shown(call):
    listed = call("instruments")
    assert [line.split()[0] for line in listed.out.splitlines()] == list(list_instruments())
    shown = call("instruments", "toy")
    assert shown.out == load_instrument("toy").source.read_text()


def test_the_file_of_a_shown_instrument_can_be_used_as_ones_own(call, folder):
    (folder / "mine.toml").write_text(call("instruments", "toy").out)
    assert call("log", folder / "raw", "--instrument", folder / "mine.toml").status == 0


def test_simulate_writes_frames_and_a_night_file(call, tmp_path):
    done = call("simulate", tmp_path / "sim", "--exposures", "2", "--seed", "3")
    assert done.status == 0
    frames = list((tmp_path / "sim" / "raw").glob("*.fits"))
    assert f"{len(frames)} raw frames" in done.out
    assert (tmp_path / "sim" / "night.toml").is_file()


def test_the_same_seed_simulates_the_same_night(call, tmp_path):
    for name in ("one", "two"):
        call("simulate", tmp_path / name, "--exposures", "1", "--seed", "9")
    assert contents(tmp_path / "one" / "raw") == contents(tmp_path / "two" / "raw")


def test_simulate_makes_a_night_like_ones_own(call, folder, tmp_path):
    done = call("simulate", tmp_path / "sim", "--like", folder / "night.toml", "--depth", "0.01")
    assert done.status == 0, done.err
    theirs, mine = (call("log", each / "raw", "--instrument", "toy") for each in
                    (tmp_path / "sim", folder))  # fmt: skip
    assert theirs.out.splitlines()[-1] == mine.out.splitlines()[-1]  # as many of every kind
    assert read_night(tmp_path / "sim" / "night.toml").stars.keys() == {"target", "comparison"}


def test_defects_are_put_in_by_name(call, tmp_path):
    order = ["simulate", tmp_path / "sim", "--exposures", "2", "--defect", "missing-flat"]
    assert call(*order, "--defect", "missing-arc").status == 0
    kinds = {path.stem.split("_")[1] for path in (tmp_path / "sim" / "raw").iterdir()}
    assert kinds == {"bias", "science"}


def test_the_log_is_printed_and_written_where_asked(call, folder, tmp_path):
    printed = call("log", folder / "raw", "--instrument", "toy")
    assert printed.status == 0
    assert printed.out.strip().endswith("3 bias, 3 flat, 1 arc, 4 science")
    assert SCIENCE in printed.out
    written = call("log", folder / "raw", "--write", tmp_path / "log.ecsv")
    assert written.status == 0
    assert SCIENCE in written.out
    assert (tmp_path / "log.ecsv").read_text().startswith("# %ECSV")


def test_init_writes_a_night_file_that_can_be_read(call, folder):
    path = folder / "mine_night.toml"
    done = call("init", folder / "raw", "--instrument", "toy", "--output", path)
    assert done.status == 0
    assert str(path) in done.out
    text = path.read_text()
    assert "3 bias, 3 flat, 1 arc, 4 science" in text
    assert 'object = "Simulated star"' in text
    night = slitlapse.automation.read_night(path)
    assert night.data.resolve() == (folder / "raw").resolve()


def test_init_does_not_replace_a_file_unless_told(fails, call, folder):
    before = (folder / "night.toml").read_bytes()
    order = ["init", folder / "raw", "--instrument", "toy", "--output", folder / "night.toml"]
    fails(order, "night.toml", "exists", "--force")
    assert (folder / "night.toml").read_bytes() == before
    assert call(*order, "--force").status == 0
    assert (folder / "night.toml").read_bytes() != before


@pytest.mark.slow
def test_the_demo_finds_the_transit_it_put_in(call, tmp_path):
    done = call("demo", tmp_path / "demo", "--exposures", "5", "--seed", "2")
    assert done.status == 0, done.err
    assert "transit put in: 2.00 % deep" in done.out
    depth, error = done.out.split("transit found:")[1].split("%")[0].split("+-")
    assert abs(float(depth) - 2.0) < 4 * float(error)
    for name in ("target", "comparison"):
        assert SpectralTimeSeries.read(tmp_path / "demo" / "reduced" / f"{name}.fits").shape[1] == 5
    assert (tmp_path / "demo" / "reduced" / "report" / "index.html").is_file()


def test_the_demo_does_not_write_into_a_folder_with_something_else(fails, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    fails(["demo", tmp_path], tmp_path, "another folder")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_demo_needs_enough_exposures_for_a_transit(fails, tmp_path):
    fails(["demo", tmp_path / "demo", "--exposures", "2"], "5 exposures", "2")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["simulate", "x", "--exposures", "0"], "--exposures: must be 1 or more, but is 0"),
        (["simulate", "x", "--exposures", "few"], "--exposures: invalid whole number value: 'few'"),
        (["reduce", "night.toml", "--jobs", "-2"], "--jobs: must be 1 or more, but is -2"),
        (["log", ".", "--write", "no/log.ecsv"], "--write: there is no folder no"),
        (["init", ".", "--instrument", "toy", "--output", "."], "--output: . is a folder"),
        (["init", "."], "--instrument"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(capsys, order, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(order)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_instrument_is_answered_with_the_known_ones(fails, tmp_path):
    for order in (["instruments"], ["log", tmp_path, "--instrument"]):
        fails([*order, "hubble"], "hubble", "kast_blue", "sprat")


def test_an_instrument_whose_sections_stand_in_headers_cannot_be_simulated(fails, tmp_path):
    own = tmp_path / "own.toml"  # nobody knows what its frames say
    own.write_text(load_instrument("gmos_n").source.read_text())
    fails(["simulate", tmp_path / "x", "--instrument", own], "GMOS-N", "DATASEC", "--like", "toy")
    assert not (tmp_path / "x").exists()


def test_what_cannot_be_simulated_is_said(fails, folder, tmp_path):
    night = folder / "night.toml"
    order = ["simulate", tmp_path / "x", "--exposures", "1"]
    fails([*order, "--defect", "cloud"], "'cloud'", "did you mean 'clouds'", "wrong-arc")
    fails([*order, "--depth", "2"], "depth", "0 to 1")
    fails([*order, "--like", tmp_path / "nothing.toml"], tmp_path / "nothing.toml")
    fails(["simulate", folder, "--like", night], "holds the night to imitate")
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------- folders and files


def test_a_missing_folder_is_named(fails, tmp_path):
    for order in (["log"], ["init", "--instrument", "toy"]):
        fails([*order, tmp_path / "nowhere"], tmp_path / "nowhere", "give the folder")


def test_an_empty_folder_is_named(fails, tmp_path):
    (tmp_path / "raw").mkdir()
    fails(["log", tmp_path / "raw"], tmp_path / "raw")


def test_a_missing_night_file_is_named_with_the_way_to_one(fails, tmp_path):
    fails(["reduce", tmp_path / "night.toml"], tmp_path / "night.toml", "slitlapse init")


def test_a_folder_in_place_of_a_night_file_is_named(fails, folder):
    fails(["reduce", folder], folder)


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_night_without_frames_names_the_folder(fails, folder, there):
    shutil.rmtree(folder / "raw")
    if there:
        (folder / "raw").mkdir()
    fails(["reduce", folder / "night.toml"], folder / "raw")


def test_a_folder_of_files_that_are_no_frames_is_named(fails, folder):
    for path in (folder / "raw").iterdir():
        path.write_bytes(b"not a frame")
    fails(["reduce", folder / "night.toml"], "0001_bias.fits", "not")


# ---------------------------------------------------------------- text files


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('data = "raw"', 'dat = "raw"', ["'dat'", "did you mean 'data'", "Allowed"]),
        ("[stars]", "[star]", ["'star'", "did you mean 'stars'"]),
        ('output = "reduced"', "output = 3", ["output", "3"]),
        ('output = "reduced"', "", ["output", "missing"]),
        ('output = "reduced"', 'output = "reduced', ["not valid TOML", "line 4"]),
        ('instrument = "toy"', 'instrument = "tyo"', ["tyo", "toy"]),
        ("target =", 'target = "x" #', ["[stars] target", "position in pixels", "'x'"]),
        ('data = "raw"', 'data = "raw"\nextraction.widths = [3, -1]', ["widths", "above 0"]),
        ('data = "raw"', 'data = "raw"\nsky.method = "tilt"', ["method", '"tilted"', "'tilt'"]),
    ],
)
def test_a_mistake_in_the_night_file_names_file_and_key(fails, folder, old, new, words):
    edit(folder / "night.toml", old, new)
    fails(["reduce", folder / "night.toml"], "night.toml" if "tyo" not in new else "tyo", *words)
    assert not (folder / "reduced").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dispersion", "dispersoin", ["dispersoin", 'did you mean "dispersion"', "Allowed"]),
        ("gain = 1.50", "gian = 1.50", ["gian", 'did you mean "gain"', "number 1"]),
        ("gain = 1.50", "gain = -1", ["gain", "-1", "above 0"]),
        ('dispersion = "+x"', 'dispersion = "x"', ["dispersion", "'x'", '"+x"']),
        ("site = {", 'site = "Atlantis" # {', ["Atlantis"]),
        ("time_is", "time_ist", ["time_ist", 'did you mean "time_is"']),
    ],
)
def test_a_mistake_in_the_instrument_file_names_file_and_key(fails, folder, old, new, words):
    own_instrument(folder, (old, new))
    fails(["reduce", folder / "night.toml"], "mine.toml", *words)


@pytest.mark.parametrize(
    ("section", "word"), [("[311:640,1:120]", "overlap"), ("[331:640,1:120]", "gap")]
)
def test_amplifiers_that_overlap_or_leave_a_gap_name_the_instrument_file(
    fails, folder, section, word
):
    own_instrument(folder, ("[321:640,1:120]", section))
    fails(["reduce", folder / "night.toml"], "mine.toml", word)


@pytest.mark.parametrize(
    ("section", "word"), [("[311:640,1:120]", "overlap"), ("[331:640,1:120]", "gap")]
)
def test_amplifiers_told_by_cards_that_do_not_fit_name_the_instrument_file(
    fails, folder, section, word
):
    own_instrument(folder, ('"[321:640,1:120]"', '{ keyword = "DATASEC2" }'))
    for path in (folder / "raw").glob("*.fits"):
        fits.setval(path, "DATASEC2", value=section)
    fails(["reduce", folder / "night.toml"], "mine.toml", word)


def test_a_section_outside_the_frame_names_the_instrument_file(fails, folder):
    own_instrument(folder, ("[665:688,1:120]", "[665:788,1:120]"))
    fails(["reduce", folder / "night.toml"], "mine.toml", "688")


def test_a_card_that_is_missing_names_instrument_file_and_card(fails, folder):
    own_instrument(folder, ("gain = 1.60", 'gain = { keyword = "GAIN2" }'))
    fails(["reduce", folder / "night.toml"], "mine.toml", "GAIN2")


# ---------------------------------------------------------------- frames that do not fit


def test_an_unknown_lamp_is_answered_with_the_known_ones(fails, folder):
    fits.setval(folder / "raw" / "0007_arc.fits", "LAMP", value="Unobtainium")
    fails(["reduce", folder / "night.toml"], "0007_arc.fits", "Unobtainium", "Ne", "Ar", "Hg")


def test_an_unknown_lamp_in_the_night_file_is_answered_with_the_known_ones(fails, folder):
    with open(folder / "night.toml", "a") as file:
        file.write('\n[lamps]\n"*arc*" = ["Xy"]\n')
    fails(["reduce", folder / "night.toml"], "Xy", "Xe")


def test_several_objects_are_listed_where_none_is_named(fails, folder):
    fits.setval(folder / "raw" / "0011_science.fits", "OBJECT", value="WASP-19")
    fails(
        ["reduce", folder / "night.toml"],
        "night.toml", "'Simulated star' (3)", "'WASP-19' (1)", "object =",
    )  # fmt: skip


def test_an_object_that_is_not_there_is_answered_with_those_that_are(fails, folder):
    edit(folder / "night.toml", 'data = "raw"', 'data = "raw"\nobject = "WASP-19"')
    fails(["reduce", folder / "night.toml"], "night.toml", "WASP-19", "Simulated star")


def test_a_star_outside_the_frame_names_the_rows_there_are(fails, folder):
    edit(folder / "night.toml", "target =", "target = 250.0 #")
    fails(["reduce", folder / "night.toml"], "night.toml", "target", "250", "0 to 119")


def test_a_star_where_there_is_none_is_named(fails, folder):
    edit(folder / "night.toml", "target =", "target = 15.0 #")
    fails(["reduce", folder / "night.toml"], "night.toml", "target", "15")


def test_two_names_for_one_star_are_refused(fails, folder):
    edit(folder / "night.toml", "comparison =", "comparison = 45 #")
    fails(["reduce", folder / "night.toml"], "night.toml", "comparison and target are both", "45")


def test_sky_windows_without_sky_are_named(fails, folder):
    with open(folder / "night.toml", "a") as file:
        file.write("\n[sky]\nwindows = [[900, 1000]]\n")
    fails(["reduce", folder / "night.toml"], "night.toml", "[sky]", "900", "no pixel of sky")


def test_science_frames_without_a_time_name_instrument_file_and_section(fails, folder):
    own_instrument(folder, ('time = "DATE-OBS"', 'time = "DATUM"'))
    fails(["reduce", folder / "night.toml"], "mine.toml", SCIENCE, "[header]")


@pytest.mark.slow
def test_a_frame_without_one_good_pixel_is_masked_and_named_with_what_to_do(call, folder):
    data = fits.getdata(folder / "raw" / SCIENCE)
    write_frame(folder / "raw" / SCIENCE, np.full(data.shape, np.nan, np.float32))
    done = call("reduce", folder / "night.toml")
    assert done.status == 0, done.err
    for words in (f"masked, because {SCIENCE}", "no good pixel", "take this frame out of"):
        assert words in done.out


def saturate(path):
    """Fill the lit part of a frame, not its overscans."""
    data, header = fits.getdata(path), fits.getheader(path)
    data[:, :640] = 65535
    fits.writeto(path, data, header, overwrite=True)


@pytest.mark.slow
def test_an_exposure_saturated_all_over_is_masked_and_named(call, folder):
    saturate(folder / "raw" / SCIENCE)
    done = call("reduce", folder / "night.toml")
    assert done.status == 0, done.err
    assert f"masked, because 100 % of the pixels of {SCIENCE} are saturated or bad" in done.out
    series = SpectralTimeSeries.read(folder / "reduced" / "target.fits")
    assert np.array_equal(series.mask.all(axis=0), [True, False, False, False])


@pytest.mark.slow
def test_a_night_of_saturated_exposures_only_is_an_error(fails, folder):
    for path in (folder / "raw").glob("*science*"):
        saturate(path)
    fails(["reduce", folder / "night.toml"], "no science frame can be used", SCIENCE, "saturated")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arc", "flat"])
def test_a_calibration_saturated_all_over_is_left_out(call, folder, kind):
    for path in (folder / "raw").glob(f"*{kind}*"):
        saturate(path)
    done = call("reduce", folder / "night.toml")
    assert done.status == 0, done.err
    assert f"({kind}) is left out: 100 %" in done.out
    assert f"There is no {kind}" in done.out


@pytest.mark.slow
def test_an_arc_without_a_time_still_gives_wavelengths(call, folder):
    fits.delval(folder / "raw" / "0007_arc.fits", "DATE-OBS")
    done = call("reduce", folder / "night.toml")
    assert done.status == 0, done.err
    assert "no time (from DATE-OBS) in 0007_arc.fits" in done.err
    series = SpectralTimeSeries.read(folder / "reduced" / "target.fits")
    assert series.wavelength.unit == "Angstrom"


def test_a_file_name_pattern_that_fits_no_exposure_is_named(fails, folder):
    edit(folder / "night.toml", "target =", 'target = { "nod*" = 40.0 } #')
    fails(["reduce", folder / "night.toml"], "night.toml", "target", "nod*", SCIENCE)


def test_frames_of_another_instrument_are_answered_with_the_kinds_found(fails, folder):
    own_instrument(folder, *[(f'"{kind}*"', '"xyz"') for kind in ("bias", "flat", "arc", "object")])
    fails(["reduce", folder / "night.toml"], "other", "[frames]")


def test_without_bias_and_overscan_it_stops(fails, folder):
    own_instrument(
        folder, ('overscan = "[641:664,1:120]"\n', ""), ('overscan = "[665:688,1:120]"\n', ""),
        ("gain = 1.50", "gain = 1.5\nread_noise = 4"),
        ("gain = 1.60", "gain = 1.6\nread_noise = 4"),
    )  # fmt: skip
    for path in (folder / "raw").glob("*bias*"):
        path.unlink()
    fails(["reduce", folder / "night.toml"], "no bias", "mine.toml", "overscan", "Add bias")


def test_an_unknown_read_noise_stops_with_three_ways_out(fails, folder):
    own_instrument(
        folder, ('overscan = "[641:664,1:120]"\n', ""), ('overscan = "[665:688,1:120]"\n', "")
    )
    for path in (folder / "raw").glob("*bias*"):
        path.unlink()
    fails(["reduce", folder / "night.toml"], "mine.toml", "read_noise", "bias", "overscan")


# ---------------------------------------------------------------- damaged, and goes on


@pytest.fixture(scope="module")
def damaged(pristine, tmp_path_factory):
    """A night with everything wrong that must not stop it, reduced by the command itself."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(pristine, folder, dirs_exist_ok=True)
    raw = folder / "raw"
    data = fits.getdata(raw / SCIENCE)
    whole = (raw / SCIENCE).read_bytes()
    (raw / "short.fits").write_bytes(whole[: len(whole) // 2])
    (raw / "text.fits").write_text("the observer wrote a diary here")
    (raw / "empty.fits").write_bytes(b"")
    write_frame(raw / "window.fits", data[:80])
    write_frame(raw / "binned.fits", data[::2, ::2])
    write_frame(raw / "timeless.fits", data, **{"DATE-OBS": ""})
    broken = data.astype(np.float32)
    broken[38:52, 100:110] = np.nan  # where the target is
    broken[36:40, 200:400] = np.nan  # the edge of its aperture
    write_frame(raw / "0009_science.fits", broken)
    data[40:49, 300:304] = 65535
    write_frame(raw / SCIENCE, data)
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "slitlapse", "reduce"]
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(
        [*command, str(folder / "night.toml")], capture_output=True, text=True, env=environment
    )
    return SimpleNamespace(folder=folder, done=done, said=done.stdout + done.stderr)


@pytest.mark.slow
def test_a_damaged_night_goes_on(damaged):
    assert damaged.done.returncode == 0, damaged.said
    assert "Traceback" not in damaged.said
    series = SpectralTimeSeries.read(damaged.folder / "reduced" / "target.fits")
    assert series.shape == (640, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["short.fits", "text.fits", "empty.fits"])
def test_a_file_that_is_no_whole_frame_is_named_and_skipped(damaged, name):
    assert f"{name} is left out" in damaged.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"), [("window.fits", "688 x 80"), ("binned.fits", "344 x 60")]
)
def test_a_frame_of_another_shape_is_named_and_left_out(damaged, name, size):
    assert f"{name} (science) is left out: it has {size} pixels" in damaged.said


@pytest.mark.slow
def test_a_science_frame_without_a_time_is_named_and_left_out(damaged):
    assert "timeless.fits (science) is left out: no header card tells its time" in damaged.said


@pytest.mark.slow
def test_pixels_that_are_not_numbers_are_masked_only_where_they_matter(damaged):
    series = SpectralTimeSeries.read(damaged.folder / "reduced" / "target.fits")
    index = [str(name) for name in series.timelike["filename"]].index("0009_science.fits")
    assert series.mask[100:110, index].all()
    assert not series.mask[112:640, index].any()
    good = ~series.mask[:, index]
    assert np.isfinite(series.flux.value[good, index]).all()
    assert np.isfinite(series.uncertainty.value[good, index]).all()


@pytest.mark.slow
def test_saturated_pixels_are_masked_and_told(damaged):
    series = SpectralTimeSeries.read(damaged.folder / "reduced" / "target.fits")
    index = [str(name) for name in series.timelike["filename"]].index(SCIENCE)
    assert series.mask[300:304, index].all()
    assert (series.fluxlike["reasons"].value.astype(int)[300:304, index] & 4).all()
    assert not series.mask[310:, index].any()


@pytest.mark.slow
def test_every_note_is_said_once(damaged):
    lines = [line for line in damaged.said.splitlines() if "note:" in line]
    lines = [line.removeprefix("slitlapse: ") for line in lines]
    assert lines
    assert len(lines) == len(set(lines))
    assert all(
        line.startswith("slitlapse: note: ") for line in damaged.done.stderr.strip().splitlines()
    )


@pytest.mark.slow
def test_a_file_that_is_cut_short_is_told_once_and_written_down(damaged):
    note = "short.fits is left out: cut short, it ends before its data do"
    assert damaged.said.count("short.fits") == 1
    assert f"slitlapse: note: {note}" in damaged.done.stderr.splitlines()  # at once
    series = SpectralTimeSeries.read(damaged.folder / "reduced" / "target.fits")
    assert note in series.metadata["notes"]
    page = (damaged.folder / "reduced" / "report" / "index.html").read_text()
    assert note in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        ("bias", "no bias frame: the overscan alone"),
        ("flat", "no flat: the sensitivity of every pixel is taken as 1"),
        ("arc", "no arc: wavelengths are not known"),
    ],
)
def test_a_night_without_a_kind_of_calibration_says_what_is_lost(call, folder, kind, lost):
    for path in (folder / "raw").glob(f"*{kind}*"):
        path.unlink()
    done = call("reduce", folder / "night.toml")
    assert done.status == 0, done.err
    assert lost in done.out
    series = SpectralTimeSeries.read(folder / "reduced" / "target.fits")
    assert series.shape == (640, 4)
    assert np.mean(series.mask) < 0.02
    assert lost in (folder / "reduced" / "report" / "index.html").read_text()


# ---------------------------------------------------------------- nothing is damaged


@pytest.fixture(scope="module")
def reduced(pristine, tmp_path_factory):
    """A night that was reduced well."""
    folder = tmp_path_factory.mktemp("reduced")
    shutil.copytree(pristine, folder, dirs_exist_ok=True)
    assert cli.main(["reduce", str(folder / "night.toml")]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["key", "star", "lamp", "object", "amplifiers"])
def test_a_run_that_fails_leaves_earlier_results_as_they_were(fails, reduced, tmp_path, mistake):
    shutil.copytree(reduced, tmp_path, dirs_exist_ok=True)
    before = contents(tmp_path / "reduced")
    if mistake == "key":
        edit(tmp_path / "night.toml", "output", "outptu")
    elif mistake == "star":
        edit(tmp_path / "night.toml", "target =", "target = 250.0 #")
    elif mistake == "lamp":
        fits.setval(tmp_path / "raw" / "0007_arc.fits", "LAMP", value="Unobtainium")
    elif mistake == "object":
        fits.setval(tmp_path / "raw" / "0011_science.fits", "OBJECT", value="WASP-19")
    else:
        own_instrument(tmp_path, ("[321:640,1:120]", "[331:640,1:120]"))
    fails(["reduce", tmp_path / "night.toml"])
    assert contents(tmp_path / "reduced") == before


@pytest.mark.slow
def test_an_output_that_cannot_be_a_folder_is_named(fails, folder):
    (folder / "reduced").write_text("a file of this name is here already")
    fails(["reduce", folder / "night.toml"], folder / "reduced")
    assert (folder / "reduced").read_text() == "a file of this name is here already"


# ---------------------------------------------------------------- our own mistakes


@pytest.fixture
def broken_command(monkeypatch):
    """A command with a bug in it."""

    def stumble(options):
        raise KeyError("somewhere")

    monkeypatch.setattr(cli, "run_instruments", stumble)


def test_a_bug_is_called_one_and_shows_no_traceback(fails, broken_command):
    fails(["instruments"], "bug of slitlapse", "KeyError", "somewhere", "--traceback", status=1)


def test_a_bug_shows_where_it_is_when_asked(broken_command):
    with pytest.raises(KeyError, match="somewhere"):
        cli.main(["--traceback", "instruments"])


def test_an_interrupted_run_says_that_it_can_go_on(call, monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_instruments", interrupt)
    done = call("instruments")
    assert done.status == 130
    assert "run it again" in done.err


def test_the_night_file_may_stand_anywhere(call, folder, monkeypatch):
    monkeypatch.chdir("/")
    text = (folder / "night.toml").read_text()
    edit(folder / "night.toml", '"raw"', json.dumps(str(folder / "raw")))
    assert call("log", folder / "raw").status == 0
    assert text != (folder / "night.toml").read_text()


def listen_to_interrupts():
    """In the new process: tests that run in the background would make it deaf to them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="interrupts are sent in another way there")
def test_a_watched_night_is_reduced_again_until_it_is_stopped(folder):
    last = folder / "raw" / "0011_science.fits"
    away = last.rename(folder / last.name)
    process = subprocess.Popen(
        [sys.executable, "-m", "slitlapse", "reduce", str(folder / "night.toml"), "--watch", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=listen_to_interrupts,
    )  # fmt: skip
    lines = []
    while not lines or "watching" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    assert any("target: 3 spectra" in line for line in lines)
    away.rename(last)
    lines.append(process.stdout.readline())
    while "watching" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    assert any("target: 4 spectra" in line for line in lines)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "finished exposures are kept" in said
