"""The documentation builds without a warning, and its pages fit on a phone and on a laptop."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE, LAPTOP = 390, 1280  # pixels across
# every page is opened in a frame as wide as a phone, one after the other, and then made wider
HARNESS = """<body><iframe style="width:{phone}px;height:844px;border:0"></iframe>
<pre></pre><script>
const pages = {pages}, out = [], frame = document.querySelector("iframe");
let at = -1;
const next = () => {{
  at += 1;
  if (at < pages.length) {{ frame.src = pages[at]; return; }}
  frame.remove();
  document.querySelector("pre").textContent = JSON.stringify(out);
}};
frame.onload = () => {{
  if (at < 0) return;
  const page = frame.contentDocument, main = page.querySelector("article") || page.body;
  const seen = {{page: pages[at], wide: page.documentElement.scrollWidth,
    words: main.innerText.split(/\\s+/).length,
    broken: [...page.images].filter((image) => image.naturalWidth === 0).length}};
  frame.style.width = "{laptop}px";
  seen.laptop = page.documentElement.scrollWidth;
  const code = [...main.querySelectorAll("div.cell_input pre")];
  seen.cut = code.filter((pre) => pre.scrollWidth > pre.clientWidth + 1).length;
  frame.style.width = "{phone}px";
  out.push(seen);
  next();
}};
next();
</script>"""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """Build all pages; the tutorials without their output, which has tests of its own."""
    if importlib.util.find_spec("sphinx_astropy") is None or not importlib.util.find_spec(
        "myst_nb"
    ):
        pytest.skip('the documentation is not built here: pip install ".[docs]"')
    home = tmp_path_factory.mktemp("docs")
    leave = shutil.ignore_patterns("_build", "api", "tutorials")
    shutil.copytree(ROOT / "docs", home / "docs", ignore=leave)
    shutil.copytree(ROOT / "tutorials", home / "tutorials")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html"]
    command += ["-D", "nb_execution_mode=off", "-D", "suppress_warnings=myst-nb.lexer"]
    done = subprocess.run(
        [*command, str(home / "docs"), str(home / "html")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return home / "html"


@pytest.fixture(scope="module")
def seen(html, tmp_path_factory):
    """Open every page in a browser, as wide as a phone."""
    if CHROMIUM is None:
        pytest.skip("no Chromium to open the pages with")
    pages = [str(path.relative_to(html)) for path in sorted(html.rglob("*.html"))]
    pages = [page for page in pages if not page.startswith(("_", "search", "genindex"))]
    (html / "harness.html").write_text(
        HARNESS.format(phone=PHONE, laptop=LAPTOP, pages=json.dumps(pages))
    )
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=900000"]
    command += [f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
    done = subprocess.run(
        [*command, (html / "harness.html").as_uri()], capture_output=True, text=True, timeout=300
    )
    found = json.loads(unescape(re.search(r"<pre>(.*)</pre>", done.stdout, re.DOTALL)[1]))
    assert [each["page"] for each in found] == pages
    return found


@pytest.mark.slow
def test_no_page_is_wider_than_a_phone(seen):
    assert {each["page"]: each["wide"] for each in seen if each["wide"] > PHONE} == {}


@pytest.mark.slow
def test_no_page_is_wider_than_a_laptop_and_no_line_of_code_hides_there(seen):
    assert {each["page"]: each["laptop"] for each in seen if each["laptop"] > LAPTOP} == {}
    assert {each["page"]: each["cut"] for each in seen if each["cut"]} == {}


@pytest.mark.slow
def test_no_page_is_longer_than_a_sitting(seen):
    """A quarter of an hour, at 150 words a minute."""
    assert {each["page"]: each["words"] for each in seen if each["words"] > 2250} == {}


@pytest.mark.slow
def test_no_picture_is_missing(seen):
    assert {each["page"] for each in seen if each["broken"]} == set()
