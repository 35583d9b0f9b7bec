"""One page of a night that opens from disk, whatever the headers say."""

import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from slitlapse.automation import SpectralTimeSeries, night_report
from slitlapse.automation.stars import place_stars
from slitlapse.automation.wavelengths import solve_night

NASTY = "<script>alert('x')</script>\"'&../../up"


class Outline(HTMLParser):
    """Tags with their attributes, and the text within each kind."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.inside = [], {}, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input", "br"}:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.inside[-1] if self.inside else "", []).append(data)


@pytest.fixture(scope="module")
def outline(toy_night):
    return Outline(toy_night.result.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pieces(toy_night):
    """What the report is made of, as `reduce_night` hands it over."""
    night, chosen, calibration = toy_night.night, toy_night.chosen, toy_night.calibration
    placements = place_stars(night, chosen, calibration, [])
    solutions, _ = solve_night(night, chosen, calibration, placements, [])
    return placements, solutions


def test_the_story_is_told_question_by_question(outline):
    headings = outline.texts["h2"]
    assert headings[0] == "Verdict"
    for question in ("data", "pixels", "positioned", "sky", "wavelengths", "changed", "bright"):
        assert any(question in heading for heading in headings), question


def test_a_clean_night_gets_a_clean_verdict(toy_night, outline):
    assert toy_night.result.verdict == ()
    assert "Nothing in this night calls for attention." in outline.texts["li"]


def test_every_picture_says_in_a_sentence_what_it_shows(outline):
    captions = outline.texts["figcaption"]
    images = [attrs for tag, attrs in outline.tags if tag == "img"]
    assert all(attrs["alt"] for attrs in images)
    assert len(captions) >= 10
    assert all(caption.endswith(".") for caption in captions)


def test_the_page_needs_nothing_but_itself(toy_night, outline):
    assert [path.name for path in toy_night.result.report.parent.iterdir()] == ["index.html"]
    for tag, attrs in outline.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "data", "action"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, name)
    assert all("http" not in text for text in outline.texts["script"] + outline.texts["style"])


def test_names_and_headers_are_shown_and_never_run(toy_night, pieces, outline, tmp_path):
    placements, solutions = pieces
    log = toy_night.log.copy()[:2]
    log["object"] = [NASTY, NASTY]
    log["filename"] = [str(name) for name in log["filename"]]
    chosen = replace(
        toy_night.chosen,
        tables=toy_night.chosen.tables | {"science": _renamed(toy_night.chosen["science"])},
    )
    placement = replace(placements[0], traces={NASTY: next(iter(placements[0].traces.values()))})
    old = next(iter(toy_night.result.series.values()))
    series = SpectralTimeSeries(
        old.wavelike, old.timelike, old.fluxlike, old.mask, old.metadata | {"star": NASTY}
    )
    report = night_report(
        replace(toy_night.night, output=tmp_path), log, chosen, toy_night.calibration,
        [placement], {NASTY: next(iter(solutions.values()))}, {NASTY: series}, [NASTY],
    )  # fmt: skip
    assert report.path == tmp_path / "report" / "index.html"
    page = report.path.read_text(encoding="utf-8")
    found = Outline(page)
    assert "<script>alert" not in page
    n_scripts = [tag for tag, _ in found.tags].count("script")
    assert n_scripts == [tag for tag, _ in outline.tags].count("script")
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert NASTY in found.texts["h1"][0]
    assert NASTY in found.texts["td"] and NASTY in found.texts["li"]
    assert any(NASTY in text for text in found.texts["figcaption"])


def _renamed(table):
    table = table.copy()
    table["object"] = np.array([NASTY] * len(table))
    return table


def test_the_flip_book_of_a_long_night_shows_some_of_its_frames_and_says_so(toy_night, tmp_path):
    empty = replace(toy_night.chosen, tables={k: v[:0] for k, v in toy_night.chosen.tables.items()})
    log = toy_night.log[np.arange(90) % 4]
    report = night_report(
        replace(toy_night.night, output=tmp_path), log, empty, toy_night.calibration,
        [], {}, {}, [],
    )  # fmt: skip
    found = Outline(report.path.read_text(encoding="utf-8"))
    (slider,) = [attrs for tag, attrs in found.tags if tag == "input"]
    assert slider["max"] == "29"  # every third of 90
    assert any("30 of the 90 frames" in text for text in found.texts["p"])


def test_a_night_without_science_frames_has_a_report_of_its_calibrations(toy_night, tmp_path):
    empty = replace(
        toy_night.chosen,
        tables=toy_night.chosen.tables | {"science": toy_night.chosen["science"][:0]},
    )
    report = night_report(
        replace(toy_night.night, output=tmp_path), toy_night.log[:2], empty,
        toy_night.calibration, [], {}, {}, ["There is no science frame."],
    )  # fmt: skip
    found = Outline(report.path.read_text(encoding="utf-8"))
    assert found.texts["h1"][0].startswith("Night of Calibrations")
    assert "There is no science frame." in found.texts["li"]
    assert report.verdict == ()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WATCH = "<script>var failed = []; onerror = (text) => failed.push(text);</script>"
MOVE = """<script>
const state = (flip) => [...flip.querySelectorAll("img")].map((image) =>
  getComputedStyle(image).display !== "none" ? "1" : "0").join("") +
  [...flip.querySelectorAll("path[data-frames]")].map((path) => path.getAttribute("d")).join("|");
const flips = [...document.querySelectorAll(".flip")].map((flip) => {
  const slider = flip.querySelector("input"), said = [], seen = new Set();
  for (let number = 0; number <= Number(slider.max); number++) {
    slider.value = number;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    seen.add(state(flip));
    said.push(flip.querySelector("output").textContent);
  }
  const button = flip.querySelector("button");
  button.click();
  const playing = button.textContent;
  button.click();
  return {frames: Number(slider.max) + 1, seen: seen.size, said: new Set(said).size,
    buttons: playing + button.textContent, focus: [slider, button].every((part) => {
      part.focus(); return document.activeElement === part && part.tabIndex === 0; })};
});
document.title = JSON.stringify({flips, failed,
  broken: [...document.images].filter((image) => image.naturalWidth === 0).length,
  loaded: performance.getEntriesByType("resource").map((each) => each.name).filter((name) =>
    !name.startsWith("data:")),
  links: [...document.querySelectorAll("nav a")].every((link) =>
    document.querySelector(link.getAttribute("href")) !== null),
  wide: document.documentElement.scrollWidth > innerWidth});
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the report with")
def test_in_a_browser_every_slider_moves_and_no_script_fails(toy_night, tmp_path):
    html = toy_night.result.report.read_text(encoding="utf-8").replace("<head>", "<head>" + WATCH)
    (tmp_path / "page.html").write_text(html.replace("</body>", MOVE + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--window-size=1366,768", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, f"file://{tmp_path / 'page.html'}"], capture_output=True, text=True, timeout=120
    )
    (title,) = Outline(done.stdout).texts["title"]
    found = json.loads(title)
    n_frames = min(len(toy_night.log), 40)
    assert [flip["frames"] for flip in found["flips"]] == [n_frames, 12, 30]
    for flip in found["flips"]:
        assert flip["seen"] == flip["said"] == flip["frames"]  # each frame is another picture
        assert flip["buttons"] == "PausePlay"
        assert flip["focus"]  # with the keyboard alone
    assert found["failed"] == []
    assert found["broken"] == 0
    assert found["loaded"] == []
    assert found["links"] and not found["wide"]
