"""The patches for upstream: made from our modules, whole, and in order."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "upstream_patches"


def load(name):
    """Import a script of the folder, as scripts import each other there."""
    sys.path.insert(0, str(FOLDER))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(FOLDER))


sources = load("sources")
make_patches = load("make_patches")
check_rooms = load("check_rooms")
FEATURES = make_patches.FEATURES
PATCHES = [patch for package in sources.RELEASES for patch in sources.series(package)]


def path_of(feature):
    return FOLDER / feature.package / "release" / f"{feature.patch}.patch"


@pytest.mark.parametrize("feature", FEATURES, ids=[feature.patch for feature in FEATURES])
def test_a_feature_patch_holds_our_modules_and_tests_as_they_are(feature):
    there = sources.added_files(path_of(feature))
    for path, text in make_patches.new_files(feature).items():
        assert there.get(path) == text, f"{path}: run upstream_patches/make_patches.py"


@pytest.mark.parametrize("feature", FEATURES, ids=[feature.patch for feature in FEATURES])
def test_a_feature_patch_knows_nothing_of_us(feature):
    for path, text in sources.added_files(path_of(feature)).items():
        assert "slitlapse" not in text, path
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert "real_data" not in text


@pytest.mark.parametrize("patch", PATCHES, ids=[patch.stem for patch in PATCHES])
def test_every_patch_has_code_tests_and_documentation(patch):
    paths = sources.touched(patch)
    assert any("/tests/test_" in path for path in paths)
    assert any(path.endswith(".py") and "/tests/" not in path for path in paths)
    if patch.parents[1].name == "specreduce":
        assert "CHANGES.rst" in paths
        change_log = patch.read_bytes().split(b"+++ b/CHANGES.rst")[1].split(b"diff --git")[0]
        added = re.findall(rb"^\+[^\n]*$", change_log, re.MULTILINE)
        assert added
        assert all(line.endswith(b"\r") for line in added), "this file has CRLF line ends"


@pytest.mark.parametrize("package", sources.RELEASES)
def test_patches_are_numbered_and_described(package):
    numbers = [int(patch.stem[:4]) for patch in sources.series(package)]
    assert numbers == list(range(1, len(numbers) + 1))
    readme = (FOLDER / "README.md").read_text()
    for patch in sources.series(package):
        assert patch.name in readme


def test_line_lists_for_the_tests_of_specreduce_are_ours():
    line_lists = load("line_lists")
    lists = {lamp: line_lists.isolated_lines(lamp) for lamp in line_lists.IONS}
    helium = [wavelength for wavelength, _ in lists["HeI"]]
    assert any(abs(wavelength - 5877.2) < 0.5 for wavelength in helium)  # D3, in vacuum
    for lamp, lines in lists.items():
        assert len(lines) > 10
        rows = line_lists.fixed_width(lamp).splitlines()
        assert len(rows) == len(lines) + 1
        assert len({len(row) for row in rows}) == 1


def preferred(room):
    """Return the upstream modules in which a room looks for each public name."""
    code = ast.parse((ROOT / "src" / "slitlapse" / room / "__init__.py").read_text())
    found = {}
    for node in ast.walk(code):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "prefer":
            modules = ast.literal_eval(node.args[0])
            for name in node.args[1:]:
                found[name.id] = [modules] if isinstance(modules, str) else list(modules)
    return found


@pytest.mark.parametrize("room", check_rooms.ROOMS)
def test_a_room_looks_upstream_for_all_that_the_patches_bring(room):
    module, looked_for = importlib.import_module(f"slitlapse.{room}"), preferred(room)
    brought = {name: home for where, name, home in check_rooms.expected() if where == room}
    public = {name for name in brought if callable(getattr(module, name, None))}
    assert public
    assert public == set(looked_for)
    for name in public:
        assert any(f"{brought[name]}.".startswith(f"{place}.") for place in looked_for[name])


@pytest.mark.parametrize("patch", PATCHES, ids=[patch.stem for patch in PATCHES])
def test_every_patch_says_what_differs_on_main_and_has_a_text_to_send(patch):
    head = patch.read_text(errors="replace").split("\n---\n")[0]
    assert "\nOn main: " in head
    package = patch.parents[1].name
    texts = (FOLDER / "README.md").read_text().split("## The text of each pull request")[1]
    text = texts.split(f"### {package} {patch.stem[:4]}:")[1].split("\n### ")[0]
    assert "**What" in text
    assert "hy:**" in text
    assert "**Tests:**" in text
    assert "\n|---|" in text or "**Before and after:**" in text
    assert "**Disclosure.**" in texts


@pytest.mark.parametrize("feature", FEATURES, ids=[feature.patch for feature in FEATURES])
def test_the_page_of_a_feature_shows_an_example_that_runs(feature):
    pages = {
        path: text
        for path, text in sources.added_files(path_of(feature)).items()
        if path.startswith("docs/")
    }
    assert len(pages) == 1
    assert all("\n    >>> from " in text for text in pages.values())


def test_tables_set_the_numbers_side_by_side():
    compare = load("compare")
    fixes = {"it 0001": [["centre", "60", "59.5"]]}, {"it 0001": [["centre", "60", "60"]]}
    text = compare.tables(*fixes, {"it 0002": [["time, ms", "9", "1"]]})
    assert "| centre | 60 | 59.5 | 60 |" in text
    assert "| time, ms | 9 | 1 |" in text
