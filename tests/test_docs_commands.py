"""What README and pages tell a reader to type is typed, by a shell, in the order of the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slitlapse.automation import simulate_night
from slitlapse.instruments import load_instrument

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOT_HERE = ("pip ", "git ", "python -m venv", "pytest", "sphinx-build")  # continuous integration's
BLOCK = re.compile(
    r"^```console\n(?P<md>.*?)^```"
    r"|^\.\. code-block:: console\n\n(?P<rst>(?:   [^\n]*\n|\n)+)"
    r"|^\.\. literalinclude:: examples/(?P<file>\w+_night\.toml)"
    r"|^```python\n(?P<mdpy>.*?)^```"
    r"|^\.\. code-block:: python\n\n(?P<rstpy>(?:   [^\n]*\n|\n)+)",
    re.MULTILINE | re.DOTALL,
)


def script(page):
    """Give what a reader of a page would type, line by line; its files and Python included."""
    lines = []
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if found["file"]:
            lines.append(f'cp "{DOCS / "examples" / found["file"]}" night.toml')
            continue
        python = found["mdpy"] or found["rstpy"]
        text = re.sub(r"^   ", "", python or found["md"] or found["rst"], flags=re.MULTILINE)
        if python:
            lines += ["python - <<'END'", text.rstrip(), "END"]
            continue
        for line in text.splitlines():
            line = line.removeprefix("$ ").replace("pip install . && ", "")
            if line and not line.startswith(NOT_HERE) and "<the repository>" not in line:
                lines.append(line)
    return lines


def typed(lines, folder, **more):
    """Let a shell run the lines; it stops at the first that fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)],
        cwd=folder,
        env=os.environ | {"PATH": path, "MPLBACKEND": "Agg", "HOME": str(folder), **more},
        capture_output=True,
        text=True,
        timeout=570,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def simulated_raw(folder, instrument):
    """Put raw frames of a small night where a reader has those of his own."""
    options = {"rng": np.random.default_rng(3), "n_exposures": 2, "n_calibrations": 3}
    simulate_night(folder, instrument=load_instrument(instrument), **options)
    (folder / "night.toml").unlink()


def test_the_pages_have_lines_to_type():
    assert {
        page.name for page in DOCS.glob("*.rst") if "slitlapse reduce night.toml" in script(page)
    }


@pytest.mark.slow
def test_what_the_readme_says_works(tmp_path):
    simulated_raw(tmp_path, "kast_blue")
    lines = script(ROOT / "README.md")
    assert lines[0] == "slitlapse demo"  # first_night says it, too
    said = typed(lines[1:], tmp_path)
    assert "wrote night.toml" in said
    assert (tmp_path / "reduced" / "A.fits").exists()


@pytest.mark.slow
def test_what_the_first_night_says_works(tmp_path):
    simulated_raw(tmp_path, "toy")
    said = typed(script(DOCS / "first_night.rst"), tmp_path)
    found = re.search(r"transit found: +([\d.]+) \+- ([\d.]+) %", said)
    assert abs(float(found[1]) - 2) < 4 * float(found[2])
    assert (tmp_path / "mine.toml").exists()
    assert (tmp_path / "reduced" / "report" / "index.html").exists()


@pytest.mark.slow
def test_what_the_page_on_real_nights_says_works(tmp_path, real_data):
    lines, count = [], 0
    for line in script(DOCS / "real_nights.rst"):
        lines.append(f'cd "{tmp_path}" && {line}' if line.startswith("mkdir") else line)
        count += line.startswith("mkdir")
    said = typed(lines, tmp_path, SLITLAPSE_DATA=str(real_data))
    assert count == said.count("report: ") == 3


def test_every_benchmark_is_named_in_the_docs():
    text = "".join(page.read_text() for page in DOCS.glob("*.rst"))
    named = set(re.findall(r"tests/benchmarks/\w+\.py", text))
    assert {
        f"tests/benchmarks/{path.name}" for path in (ROOT / "tests/benchmarks").glob("*.py")
    } == named


# as they are typed, but in a hurry: few and small frames instead of their arguments
BENCHMARKS = sorted(
    {
        re.sub(r"\.py\b.*", ".py --quick", line)
        for line in script(DOCS / "how_do_we_know.rst")
        if "tests/benchmarks/" in line
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("line", BENCHMARKS, ids=lambda line: re.search(r"bench_(\w+)", line)[1])
def test_a_benchmark_of_the_docs_prints_figures(line, tmp_path):
    said = typed([f'cd "{ROOT}"', line], tmp_path)
    assert re.search(r"\d\.\d", said)
    assert "Traceback" not in said and "fails" not in said
