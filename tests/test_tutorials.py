"""Every tutorial runs from top to bottom, without a warning."""

import os
import re
import tempfile
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.md"))
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"  # see conftest.py
PARTS = ("get back what we put in", "real frames", "Mistakes to try", "Exercises", "<details>")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def cells(path):
    """Give the code of each cell, its line numbers those of the page."""
    text = path.read_text(encoding="utf-8")
    for found in CELL.finditer(text):
        yield "\n" * text[: found.start(1)].count("\n") + found[1]


def test_there_are_tutorials():
    assert TUTORIALS


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_page_is_a_notebook_for_the_docs(path):
    assert re.match(r"---\n(.*\n)*?file_format: mystnb\n", path.read_text(encoding="utf-8"))
    assert list(cells(path))


@pytest.mark.parametrize("path", TUTORIALS[1:], ids=lambda path: path.stem)
def test_the_tutorial_has_all_its_parts(path):
    text = path.read_text(encoding="utf-8")
    assert [part for part in PARTS if part not in text] == []
    assert "assert " in "".join(cells(path))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_no_line_of_code_hides_behind_the_edge_of_a_laptop(path):
    lines = "\n".join(cells(path)).splitlines()
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_tutorial_runs(path, tmp_path, monkeypatch):
    """With real frames where there are any, as its readers would."""
    import matplotlib.pyplot as plt

    if REAL.is_dir():
        monkeypatch.setenv("SLITLAPSE_DATA", os.environ.get("SLITLAPSE_DATA", str(REAL)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = {"__name__": "__main__"}
    for code in cells(path):
        exec(compile(code, str(path), "exec"), names)  # the tutorials are our own code
    assert plt.get_fignums(), "a tutorial without a picture"
