"""One page that opens from disk, and that no text can take over."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from slitlapse.look import FlipBook, ReportPage, figure_to_png

NASTY = "<script>alert('x')</script>&\"'\\u2028</style>"
VOID = {"meta", "img", "input", "br", "link"}


class Outline(HTMLParser):
    """Tags in order, their attributes, their text; complains where they do not close."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]

    def text(self, name):
        return [text for tag, text in self.texts if tag == name]


@pytest.fixture
def figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    return figure


def test_sections_are_listed_on_top_and_linked():
    page = ReportPage("Night").add_section("Verdict").add_text("All is well.").add_section("Log")
    outline = Outline(page.to_html())
    assert outline.text("h2") == ["Verdict", "Log"]
    assert [link["href"] for link in outline.all("a")] == ["#section-1", "#section-2"]
    assert [each["id"] for each in outline.all("section")] == ["section-1", "section-2"]
    assert outline.text("title") == outline.text("h1") == ["Night"]
    assert outline.all("html")[0]["lang"] == "en"


def test_an_empty_page_is_a_page():
    assert Outline(ReportPage("").to_html()).all("section") == []


def test_text_is_shown_and_never_run(figure, tmp_path):
    page = ReportPage(NASTY).add_section(NASTY).add_text(NASTY).add_list([NASTY], name=NASTY)
    page.add_table({NASTY: [NASTY]}).add_figure(figure, NASTY)
    page.add_flipbook([figure_to_png(figure)], [NASTY], label=NASTY)
    outline = Outline(page.to_html())
    assert len(outline.all("script")) == 1  # the page's own
    assert len(outline.all("style")) == 1
    for tag in ("h1", "h2", "p", "li", "th", "td", "figcaption", "output", "a"):
        assert outline.text(tag) == [NASTY]
    assert [image["alt"] for image in outline.all("img")] == [NASTY, NASTY]
    assert {name for _, attrs in outline.tags for name in attrs} <= {
        *("lang", "charset", "name", "content", "http-equiv", "id", "class", "tabindex", "role"),
        *("data-captions",),
        *(
            "aria-label",
            "scope",
            "src",
            "alt",
            "hidden",
            "type",
            "min",
            "max",
            "value",
            "step",
            "href",
        ),
    }


def test_nothing_is_loaded_from_elsewhere(figure):
    page = ReportPage("x").add_section("y").add_figure(figure, "z")
    outline = Outline(page.to_html())
    assert all(image["src"].startswith("data:image/png;base64,") for image in outline.all("img"))
    assert outline.all("link") == []
    policy = [meta["content"] for meta in outline.all("meta") if "http-equiv" in meta]
    assert policy[0].startswith("default-src 'none'; img-src data:")


def test_a_table_shows_units_numbers_times_and_gaps():
    time = Time(["2024-03-10T05:00:00", "2024-03-10T06:00:00"])
    time[1] = np.ma.masked
    table = QTable(
        {"time": time, "exposure": [1.5, np.nan] * u.s, "n": [1, 2], "ok": [True, False]}
    )
    outline = Outline(ReportPage("x").add_section("y").add_table(table).to_html())
    assert outline.text("th") == ["time", "exposure (s)", "n", "ok"]
    assert outline.text("td") == [
        *("2024-03-10T05:00:00.000", "1.5", "1", "True"),
        *("–", "–", "2", "False"),
    ]


def test_a_plain_dict_makes_a_table_too():
    outline = Outline(ReportPage("x").add_table({"a": ["b"], "c": [1.0]}).to_html())
    assert outline.text("td") == ["b", "1"]


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"longer|shorter"):
        ReportPage("x").add_table({"a": [1, 2], "b": [1]})


def test_the_flip_book_shows_its_first_frame_and_has_a_slider_for_all():
    book = FlipBook([np.eye(3), 2 * np.eye(3), 3 * np.eye(3)], ["one", "two", "three"])
    page = ReportPage("x").add_flipbook(book.to_png(dpi=20), book.titles, label="exposure")
    outline = Outline(page.to_html())
    (slider,) = outline.all("input")
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == (
        "range",
        "0",
        "2",
        "0",
    )
    assert ["hidden" in image for image in outline.all("img")] == [False, True, True]
    assert outline.text("output") == ["one"]


def test_a_flip_book_needs_a_caption_for_each_picture_and_a_picture(figure):
    png = figure_to_png(figure)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        ReportPage("x").add_flipbook([png, png], ["one"])
    with pytest.raises(ValueError, match="at least one picture"):
        ReportPage("x").add_flipbook([], [])


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report" / "index.html"
    page = ReportPage("one")
    assert page.write(path) == path
    before = path.read_text(encoding="utf-8")
    assert before == page.to_html()
    page.parts.append(None)  # something that cannot be written
    with pytest.raises(TypeError):
        page.write(path)
    assert path.read_text(encoding="utf-8") == before
    assert list(path.parent.iterdir()) == [path]


def test_others_may_read_the_page_as_they_may_read_any_new_file(tmp_path):
    (tmp_path / "any").write_text("")
    page = ReportPage("x").write(tmp_path / "index.html")
    assert page.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_letters_that_no_file_can_hold_do_not_stop_the_page(tmp_path):
    path = ReportPage("x").add_text("half a letter: \ud800").write(tmp_path / "index.html")
    assert "half a letter: ?" in path.read_text(encoding="utf-8")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WATCH = "<script>var failed = []; onerror = (text) => failed.push(text);</script>"
MOVE = """<script>
const slider = document.querySelector("input");
const shown = () => [...document.querySelectorAll(".flip img")].map((image) =>
  getComputedStyle(image).display !== "none");
const seen = [shown()];
slider.value = 2;
slider.dispatchEvent(new Event("input", {bubbles: true}));
seen.push(shown());
document.title = JSON.stringify({seen, failed, text: document.querySelector("output").textContent,
  broken: [...document.images].filter((image) => image.naturalWidth === 0).length,
  wide: document.documentElement.scrollWidth > innerWidth});
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")
@pytest.mark.parametrize("width", [1366, 390])
def test_in_a_browser_the_slider_moves_and_no_script_fails(tmp_path, figure, width):
    book = FlipBook([np.eye(3), 2 * np.eye(3), 3 * np.eye(3)], ["one", "two", NASTY])
    page = ReportPage(NASTY).add_section("Frames").add_figure(figure, NASTY)
    page.add_table({f"column {n}": ["x" * 20] for n in range(30)})
    page.add_flipbook(book.to_png(dpi=20), book.titles)
    html = page.to_html().replace("<head>", "<head>" + WATCH)
    (tmp_path / "page.html").write_text(html.replace("</body>", MOVE + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--window-size={width},800", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, f"file://{tmp_path / 'page.html'}"], capture_output=True, text=True, timeout=120
    )
    (title,) = Outline(done.stdout).text("title")
    found = json.loads(title)
    assert found["seen"] == [[True, False, False], [False, False, True]]
    assert found["text"] == NASTY
    assert found["failed"] == []
    assert found["broken"] == 0
    assert found["wide"] is False  # wide tables scroll inside their frame
