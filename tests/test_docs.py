"""What the documentation shows is true: its files are read, its commands and examples are run."""

import importlib
import inspect
import re
import shlex
import tempfile
import tomllib
from pathlib import Path

import pytest

from slitlapse.automation import read_night
from slitlapse.instruments import load_instrument

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = sorted([*DOCS.glob("*.rst"), *DOCS.glob("*.md"), *DOCS.glob("rooms/*.rst")])
TUTORIALS = sorted((ROOT / "tutorials").glob("*.md"))
HEADINGS = ("question", "plain words", "forward", "backward", "how do we know")
COMMAND = re.compile(r"^ *(?:\$ )?(slitlapse .*)$", re.MULTILINE)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*night.toml")), ids=lambda path: path.stem)
def test_a_night_file_of_the_docs_can_be_read(path):
    night = read_night(path)
    assert night.data.name == "raw"
    assert night.output.name == "reduced"


def test_the_instrument_file_of_the_docs_can_be_read():
    instrument = load_instrument(EXAMPLES / "instrument.toml")
    assert instrument.name == "My spectrograph"
    assert len(instrument.amplifiers) == 2


def test_the_night_file_of_the_docs_shows_every_key():
    from slitlapse.automation.night_schema import SCHEMA

    text = (EXAMPLES / "night.toml").read_text() + (DOCS / "files.rst").read_text()
    for key, rule in SCHEMA.items():
        for name in [key, *(rule if isinstance(rule, dict) else ())]:
            assert name is None or name in text, f"{name} is not explained"


def test_every_example_is_shown_on_some_page():
    pages = "".join(path.read_text() for path in DOCS.glob("*.rst"))
    for path in EXAMPLES.iterdir():
        assert f"examples/{path.name}" in pages, f"no page shows {path.name}"


@pytest.mark.parametrize("path", [*PAGES, *TUTORIALS], ids=lambda path: path.name)
def test_links_to_other_pages_are_alive(path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", text) + re.findall(
        r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text
    )
    for name in map("".join, found):
        home = DOCS if path.parent == DOCS or name.startswith("/") else path.parent
        target = name.lstrip("/")
        if target.startswith("tutorials/"):
            home = ROOT
        if target.startswith("api/"):
            continue  # written by the build
        hits = [home / f"{target}{end}" for end in (".rst", ".md")]
        assert any(hit.exists() for hit in hits), f"{path.name} links to {name}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_letter_sticks_to_the_end_of_an_emphasis(path):
    """``*w*²`` would be shown with its stars: it has to be ``*w*\\ ²``."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?<![*\w])\*[^*\s]+\*[^\W_]", text) == []
    assert re.findall(r"\*[²³]", text) == []


def test_every_page_can_be_reached():
    index = (DOCS / "index.rst").read_text()
    for page in PAGES:
        name = str(page.relative_to(DOCS).with_suffix(""))
        assert name == "index" or re.search(rf"^   {re.escape(name)}$", index, re.MULTILINE), name


ROOMS = [
    path for path in sorted(DOCS.glob("rooms/*.rst")) if path.stem not in ("instruments", "look")
]


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_the_card_of_a_room_has_the_five_headings(path):
    module = __import__(f"slitlapse.{path.stem}", fromlist=["__doc__"])
    card = module.__doc__.lower()
    missing = [heading for heading in HEADINGS if heading not in card]
    assert not missing


def commands():
    """Give every command line of ours that README and docs show, once."""
    text = "\n".join(path.read_text() for path in [ROOT / "README.md", *PAGES])
    found = {re.sub(r"\s+[#>].*", "", line).strip() for line in COMMAND.findall(text)}
    return sorted(found)


def test_the_docs_show_commands():
    assert len(commands()) > 3


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_docs_is_one_that_the_parser_takes(command):
    from slitlapse.cli import build_parser

    build_parser().parse_args(shlex.split(command)[1:])


def test_the_citation_is_of_this_version():
    import slitlapse

    assert f"version: {slitlapse.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n{slitlapse.__version__}\n---" in (DOCS / "changes.rst").read_text()


FIGURES = tomllib.loads((DOCS / "figures" / "figures.toml").read_text())
SCRIPTS = sorted((DOCS / "figures").glob("*.py"))


def test_every_class_has_a_picture_on_its_page():
    shown = {name for names in FIGURES.values() for name in names}
    for room in sorted(path.stem for path in DOCS.glob("rooms/*.rst")):
        module = importlib.import_module(f"slitlapse.{room}")
        public = {f"{room}.{name}": getattr(module, name) for name in module.__all__}
        classes = {
            name
            for name, value in public.items()
            if inspect.isclass(value) and not issubclass(value, (Exception, Warning))
        }
        assert classes == {name for name in shown if name.startswith(f"{room}.")}


def test_every_picture_has_its_script():
    assert sorted(FIGURES) == [path.stem for path in SCRIPTS]


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_of_a_picture_draws(path, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__main__"})
    (number,) = plt.get_fignums()
    axes = plt.figure(number).axes
    assert axes and all(ax.has_data() or ax.patches for ax in axes)
