"""How do we hand over a night? One page that opens from disk, with pictures, tables and words."""

import json
import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from .figure_bytes import figure_to_png, png_to_uri

__all__ = ["ReportPage"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem;
       padding: 0 1rem 4rem; color: #111; background: #fff; overflow-wrap: anywhere; }
nav { position: sticky; top: 0; background: #fff; border-bottom: 1px solid #767676;
      padding: .5rem 0; z-index: 1; }
nav a { margin-right: 1rem; color: #0b3d91; }
section { scroll-margin-top: 4rem; }
img { max-width: 100%; height: auto; display: block; }
[hidden] { display: none !important; }
figure { margin: 1rem 0; }
figcaption { color: #333; max-width: 50rem; }
.scroll { overflow: auto; max-height: 30rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ccc; padding: .15rem .6rem; text-align: left;
         white-space: nowrap; }
th { position: sticky; top: 0; background: #eee; }
.verdict li { margin: .3rem 0; }
.controls { display: flex; gap: 1rem; align-items: center; }
.controls label { flex: 1; display: flex; gap: .5rem; }
.flip input { flex: 1; }
.flip button { font: inherit; min-width: 5rem; padding: .2rem .6rem; }
.flip svg { width: 100%; height: auto; display: block; }
.flip output { font-family: ui-monospace, monospace; white-space: pre-wrap; display: block; }
:focus-visible { outline: 3px solid #0b3d91; outline-offset: 2px; }
@media print { nav { display: none; } }
"""
# All pictures and curves are already in the page: moving the slider only shows others.
SCRIPT = """
for (const flip of document.querySelectorAll(".flip")) {
  const images = flip.querySelectorAll("img");
  const curves = [...flip.querySelectorAll("path[data-frames]")].map((path) =>
    [path, path.dataset.frames.split("|")]);
  const captions = JSON.parse(flip.dataset.captions);
  const [slider, output, button] = ["input", "output", "button"].map((tag) =>
    flip.querySelector(tag));
  const show = () => {
    const now = Number(slider.value);
    images.forEach((image, number) => { image.hidden = number !== now; });
    curves.forEach(([path, frames]) => path.setAttribute("d", frames[now]));
    output.textContent = captions[now];
    slider.setAttribute("aria-valuetext", captions[now]);
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  slider.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % captions.length;
      show();
    }, 250);
  });
  show();
}
"""


@dataclass
class ReportPage:
    """
    One self-contained HTML page, filled piece by piece.

    All text is data: whatever a header or a file name holds is shown as it is and never becomes
    part of the page's code. Pictures are kept inside the page; nothing is loaded from elsewhere.

    Parameters
    ----------
    title : str
        Shown on top and in the browser's title.
    parts : list of str, optional
        HTML of what was added so far.

    Examples
    --------
    >>> page = ReportPage("A night")
    >>> page.add_section("Log").add_text("Five frames of <b1>.").add_table({"kind": ["bias"]})
    ReportPage('A night', sections=['Log'])
    >>> "&lt;b1&gt;" in page.to_html()
    True
    """

    title: str
    parts: list = field(default_factory=list, repr=False)
    sections: list = field(default_factory=list)

    def __repr__(self):
        return f"ReportPage({self.title!r}, sections={self.sections!r})"

    def add_section(self, heading):
        """Begin a section with a heading (str), listed on top of the page; returns the page."""
        if self.sections:
            self.parts.append("</section>")
        number = len(self.sections) + 1
        self.parts.append(f'<section id="section-{number}"><h2>{escape(str(heading))}</h2>')
        self.sections.append(str(heading))
        return self

    def add_text(self, text):
        """Add a paragraph of plain text (str); returns the page."""
        self.parts.append(f"<p>{escape(str(text))}</p>")
        return self

    def add_list(self, items, *, name=""):
        """Add a list of plain sentences, in a class ``name`` to find them by; returns the page."""
        lines = "".join(f"<li>{escape(str(item))}</li>" for item in items)
        self.parts.append(f'<ul class="{escape(name)}">{lines}</ul>')
        return self

    def add_table(self, table):
        """
        Add a table.

        Parameters
        ----------
        table : `~astropy.table.Table` or dict
            Column name to values; values with a unit are shown with it in the head.

        Returns
        -------
        page : `ReportPage`
            Itself.
        """
        names = list(table.colnames if hasattr(table, "colnames") else table)
        units = {name: getattr(table[name], "unit", None) for name in names}
        columns = [_texts(table[name]) for name in names]
        heads = [f"{name} ({units[name]})" if units[name] else name for name in names]
        head = "".join(f'<th scope="col">{escape(str(text))}</th>' for text in heads)
        rows = (
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
            for row in zip(*columns, strict=True)
        )
        self.parts.append(
            '<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead>'
            f"<tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )
        return self

    def add_figure(self, figure, caption, *, dpi=100):
        """
        Add a picture with a sentence.

        Parameters
        ----------
        figure : `~matplotlib.figure.Figure`, `~matplotlib.axes.Axes` or bytes
            A figure, or a PNG file.
        caption : str
            What it shows; also what a screen reader says.
        dpi : float, optional
            Of a figure, pixels per inch.

        Returns
        -------
        page : `ReportPage`
            Itself.
        """
        png = figure if isinstance(figure, bytes) else figure_to_png(figure, dpi=dpi)
        text = escape(str(caption))
        self.parts.append(
            f'<figure><img src="{png_to_uri(png)}" alt="{text}">'
            f"<figcaption>{text}</figcaption></figure>"
        )
        return self

    def add_flipbook(self, pngs, captions, *, label="frame"):
        """
        Add pictures of which one is seen at a time, chosen with a slider (mouse or arrow keys).

        Parameters
        ----------
        pngs : list of bytes
            PNG files, as of `FlipBook.to_png`.
        captions : list of str
            A line for each.
        label : str, optional
            What the slider counts.

        Returns
        -------
        page : `ReportPage`
            Itself.
        """
        pairs = list(zip(pngs, captions, strict=True))
        if not pairs:
            raise ValueError("A flip-book needs at least one picture, but got none.")
        images = "".join(
            f'<img src="{png_to_uri(png)}" alt="{escape(str(caption))}"{" hidden" * (number > 0)}>'
            for number, (png, caption) in enumerate(pairs)
        )
        self.parts.append(_flip(images, [caption for _, caption in pairs], label))
        return self

    def add_movie(self, movie, caption, *, label="frame"):
        """
        Add curves that change as a slider is moved.

        Parameters
        ----------
        movie : `Movie`
        caption : str
            What it shows.
        label : str, optional
            What the slider counts.

        Returns
        -------
        page : `ReportPage`
            Itself.
        """
        self.parts.append(
            f"<figure>{_flip(movie.to_svg(), movie.captions, label)}"
            f"<figcaption>{escape(str(caption))}</figcaption></figure>"
        )
        return self

    def to_html(self):
        """Return the whole page (str)."""
        links = "".join(
            f'<a href="#section-{number}">{escape(heading)}</a>'
            for number, heading in enumerate(self.sections, 1)
        )
        close = "</section>" if self.sections else ""
        title = escape(str(self.title))
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
            f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
            f'<nav aria-label="Sections">{links}</nav><main>{"".join(self.parts)}{close}</main>'
            f"<script>{SCRIPT}</script></body></html>\n"
        )

    def write(self, path):
        """
        Write the page; a page that was there stays whole until the new one is.

        Parameters
        ----------
        path : path-like
            Of the HTML file; its folder is made where it does not exist.

        Returns
        -------
        path : `~pathlib.Path`
            The file written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            draft.write_text(self.to_html(), encoding="utf-8", errors="replace")
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return path


def _texts(column):
    """Values as text: numbers in six digits, times as they format themselves, gaps as a dash."""
    missing = np.broadcast_to(np.asarray(getattr(column, "mask", False)), len(column))
    values = getattr(column, "value", column)
    return [
        "–" if gap or value != value else f"{value:.6g}" if isinstance(value, float) else str(value)
        for value, gap in zip(values, missing, strict=True)
    ]


def _flip(content, captions, label):
    """What a slider changes, the slider, its button, and the line that says where it stands."""
    captions = [str(caption) for caption in captions]
    return (
        f'<div class="flip" data-captions="{escape(json.dumps(captions))}">{content}'
        f'<div class="controls"><button type="button">Play</button><label>{escape(str(label))} '
        f'<input type="range" min="0" max="{len(captions) - 1}" value="0" step="1"></label></div>'
        f"<output>{escape(captions[0])}</output></div>"
    )
