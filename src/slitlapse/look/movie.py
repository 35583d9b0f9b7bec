"""How do curves change from one moment, or one colour, to the next? Drawn once, moved by a slider.

A page can hold hundreds of frames of curves as numbers, where as pictures it could not: each curve
of each frame is a few kilobytes of text, and is sharp at any size.
"""

from dataclasses import dataclass, field
from html import escape

import numpy as np

__all__ = ["Movie", "MoviePanel"]

WIDTH, GAP = 1000, 26
LEFT, BELOW = 74, 34  # of a panel, for its labels
LEAST = 60  # high is a strip
COLOURS = ("#111111", "#b3400a", "#0b5394", "#3d7a1f", "#7a3d8f")  # alike in grey: marks differ
MARKS = ("M{0:.0f} {1:.0f}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0", "M{0:.0f} {1:.0f}m-3 -3h6v6h-6z",
         "M{0:.0f} {1:.0f}m0 -4l4 7h-8z", "M{0:.0f} {1:.0f}m-3 -3l6 6m0 -6l-6 6",
         "M{0:.0f} {1:.0f}m-4 0h8m-4 -4v8")  # fmt: skip


@dataclass(frozen=True, eq=False)
class MoviePanel:
    """
    One panel of a movie: curves that change, or that stay while a line runs along them.

    Parameters
    ----------
    x : array, shape (n,)
    y : array, shape (n_frames, n), or (n_curves, n) of a strip
        NaN where there is nothing to draw.
    xlabel, ylabel : str
    cursor : array, shape (n_frames,), optional
        Makes the panel a strip: all curves of ``y`` are there in every frame, and a vertical line
        stands at this ``x``.
    reference : array, shape (n,), optional
        A curve that is there in every frame, dashed.
    error : array, shape (n_frames, n), optional
        Bars of this length up and down.
    points : bool
        Marks instead of a line.
    names : sequence of str
        Of the curves of a strip.
    limits : pair of float, optional
        Of y; by default all that is drawn has room.
    """

    x: np.ndarray
    y: np.ndarray
    xlabel: str = ""
    ylabel: str = ""
    cursor: np.ndarray | None = None
    reference: np.ndarray | None = None
    error: np.ndarray | None = None
    points: bool = False
    names: tuple = ()
    limits: tuple | None = None


@dataclass(frozen=True, eq=False)
class Movie:
    """
    Panels that change together.

    Parameters
    ----------
    panels : sequence of MoviePanel
        One below the other.
    captions : sequence of str
        A line for each frame.
    strips : sequence of MoviePanel, optional
        Panels beside the others, with a line that shows where in the movie one is.
    height : int
        Of each of ``panels`` at least, where the whole is 1000 wide.

    Raises
    ------
    ValueError
        Where panels have other numbers of frames than there are captions.

    Examples
    --------
    >>> import numpy as np
    >>> panel = MoviePanel(np.arange(3), np.arange(6).reshape(2, 3), "time", "light")
    >>> Movie([panel], ["first", "second"]).to_svg().count("data-frames")
    1
    """

    panels: tuple
    captions: tuple
    strips: tuple = field(default=())
    height: int = 170

    def __post_init__(self):
        for panel in [*self.panels, *self.strips]:
            frames = panel.y if panel.cursor is None else panel.cursor
            if len(frames) != len(self.captions):
                raise ValueError(
                    f"{len(self.captions)} captions came with a panel '{panel.ylabel}' of "
                    f"{len(frames)} frames; one caption is one frame"
                )

    def to_svg(self):
        """Draw it (str): the first frame, and of all frames what changes, for a slider."""
        split = 0.62 * WIDTH if self.strips else WIDTH
        room = BELOW + GAP
        tall = max(len(self.panels) * (self.height + room), len(self.strips) * (LEAST + room))
        each = tall / max(len(self.panels), 1)
        parts = [
            _draw(panel, LEFT, GAP + i * each, split - LEFT - 8, each - room)
            for i, panel in enumerate(self.panels)
        ]
        each = tall / max(len(self.strips), 1)
        for i, strip in enumerate(self.strips):
            top = GAP + i * each
            parts.append(_draw(strip, split + LEFT, top, WIDTH - split - LEFT - 12, each - room))
        return (
            f'<svg viewBox="0 0 {WIDTH} {tall + GAP:.0f}" role="img" aria-hidden="true" '
            f'font-size="13" fill="#111">{"".join(parts)}</svg>'
        )


def _range(values, room):
    """Limits that hold all finite values, with some room."""
    values = np.concatenate([np.ravel(each) for each in values])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    spare = room * (high - low) if high > low else 0.5 * abs(high) + 0.5
    return low - spare, high + spare


def ticks(low, high, number):
    """Round numbers between two limits, about as many as asked for."""
    step = (high - low) / max(number, 1)
    power = 10.0 ** np.floor(np.log10(step))
    step = power * next(n for n in (1, 2, 5, 10) if n * power >= step * (1 - 1e-9))
    return step * np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) + 0.0


def _draw(panel, left, top, width, height):
    """One panel: its frame, its labels, its curves."""
    x, y = np.asarray(panel.x, float), np.atleast_2d(np.asarray(panel.y, float))
    error = None if panel.error is None else np.nan_to_num(np.atleast_2d(panel.error))
    shown = [y] if error is None else [y - error, y + error]
    shown += [] if panel.reference is None else [np.asarray(panel.reference, float)]
    low, high = _range(shown, 0.06) if panel.limits is None else panel.limits
    start, end = _range([x], 0.02)

    def across(values):
        return left + (np.asarray(values, float) - start) / (end - start) * width

    def up(values):
        there = top + height - (np.asarray(values, float) - low) / (high - low) * height
        return np.clip(there, top, top + height)

    parts = [
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" '
        'fill="none" stroke="#767676"/>',
        *_labels(panel, left, top, width, height, (start, end, low, high), across, up),
    ]
    if panel.reference is not None:
        line = _line(across(x), up(panel.reference))
        parts.append(f'<path d="{line}" fill="none" stroke="#767676" stroke-dasharray="5 4"/>')
    if panel.cursor is None:
        if error is not None:
            bars = [_bars(across(x), up(r - e), up(r + e)) for r, e in zip(y, error, strict=True)]
            parts.append(_moving(bars, "#595959"))
        if panel.points:
            dots = [_dots(across(x), up(row)) for row in y]
            parts.append(_moving(dots, "#111", ' stroke-width="5" stroke-linecap="round"'))
        else:
            parts.append(_moving([_line(across(x), up(row)) for row in y], "#111"))
        return "".join(parts)
    for number, row in enumerate(y):
        colour = COLOURS[number % len(COLOURS)]
        path = _marks(across(x), up(row), number) if panel.points else _line(across(x), up(row))
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}"/>')
    cursor = [f"M{at:.1f} {top:.0f}v{height:.0f}" for at in across(panel.cursor)]
    parts.append(_moving(cursor, "#111", ' stroke-width="2" stroke-opacity="0.6"'))
    return "".join(parts)


def _moving(paths, colour, more=""):
    """A path that a slider changes; frames are told apart by a bar."""
    frames = "|".join(path or "M0 0" for path in paths)
    return (
        f'<path d="{paths[0] or "M0 0"}" data-frames="{frames}" fill="none" stroke="{colour}"'
        f"{more}/>"
    )


def _labels(panel, left, top, width, height, limits, across, up):
    start, end, low, high = limits
    for at in ticks(start, end, max(3, int(width / 90))):
        x = across(at)
        yield f'<path d="M{x:.1f} {top + height:.0f}v5" stroke="#767676"/>'
        yield f'<text x="{x:.1f}" y="{top + height + 17:.0f}" text-anchor="middle">{at:.6g}</text>'
    marks = ticks(low, high, max(3, int(height / 24)))
    for at in marks:
        y = top + height - (at - low) / (high - low) * height
        yield f'<path d="M{left:.0f} {y:.1f}h-5" stroke="#767676"/>'
        yield f'<text x="{left - 8:.0f}" y="{y + 4:.1f}" text-anchor="end">{at:.5g}</text>'
    yield (
        f'<text x="{left + width / 2:.0f}" y="{top + height + 32:.0f}" text-anchor="middle">'
        f"{escape(panel.xlabel)}</text>"
    )
    words = escape(panel.ylabel)
    yield f'<text x="{left:.0f}" y="{top - 4:.0f}" font-weight="bold">{words}</text>'
    at = left + width
    for number, name in reversed(list(enumerate(panel.names))):
        colour = COLOURS[number % len(COLOURS)]
        yield (f'<text x="{at:.0f}" y="{top - 4:.0f}" text-anchor="end">{escape(str(name))}</text>')
        at -= 7.2 * len(str(name)) + 12
        mark = MARKS[number % len(MARKS)].format(at, top - 9)
        yield f'<path d="{mark}" fill="none" stroke="{colour}"/>'
        at -= 14


def _line(x, y):
    """A line that is broken where a value is missing."""
    known = np.isfinite(x) & np.isfinite(y)
    first = known & ~np.concatenate([[False], known[:-1]])
    letters = np.where(first, "M", "L")
    return "".join(
        f"{letter}{a:.1f} {b:.1f}"
        for letter, a, b in zip(letters[known], x[known], y[known], strict=True)
    )


def _marks(x, y, kind=0):
    known = np.isfinite(x) & np.isfinite(y)
    mark = MARKS[kind % len(MARKS)]
    return "".join(mark.format(a, b) for a, b in zip(x[known], y[known], strict=True))


def _dots(x, y):
    """Lines without length: round ends make dots of them."""
    known = np.isfinite(x) & np.isfinite(y)
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[known], y[known], strict=True))


def _bars(x, low, high):
    known = np.isfinite(x) & np.isfinite(low + high)
    return "".join(
        f"M{a:.0f} {b:.0f}V{c:.0f}"
        for a, b, c in zip(x[known], low[known], high[known], strict=True)
    )
