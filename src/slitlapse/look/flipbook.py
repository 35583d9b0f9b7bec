"""What changes from frame to frame? All of them in order, in one place, at one scale."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .figure_bytes import figure_to_png
from .frame import find_limits, show_frame

__all__ = ["FlipBook"]

PLACE = (0.08, 0.2, 0.79, 0.76)  # left, bottom, width, height of a page's image
BAR_PLACE = (0.88, 0.2, 0.02, 0.76)


@dataclass(frozen=True)
class FlipBook:
    """
    Frames in order, drawn one at a time.

    Parameters
    ----------
    frames : sequence
        Images as `show_frame` takes them, or functions without arguments that return one, so that
        a long night need not be in memory at once.
    titles : sequence of str, optional
        A line for each frame, written under it.
    same_scale : bool, optional
        Use the limits of all frames together, so that a change of brightness is seen as one
        (default); otherwise each frame has its own.
    figsize : pair of float, optional
        Inches.
    options : dict, optional
        For `show_frame`.

    Raises
    ------
    ValueError
        If there is no frame, or the number of titles differs.

    Examples
    --------
    >>> import numpy as np
    >>> book = FlipBook([np.zeros((4, 5)), np.ones((4, 5))], ["dark", "light"])
    >>> len(book)
    2
    >>> print(book.draw(1).get_xlabel())
    x (pixel)
    light
    """

    frames: tuple
    titles: tuple | None = None
    same_scale: bool = True
    figsize: tuple = (8, 4.5)
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "frames", tuple(self.frames))
        titles = [""] * len(self.frames) if self.titles is None else self.titles
        object.__setattr__(self, "titles", tuple(str(title) for title in titles))
        if not self.frames:
            raise ValueError("A flip-book needs at least one frame, but got none.")
        if len(self.titles) != len(self.frames):
            raise ValueError(f"{len(self.frames)} frames came with {len(self.titles)} titles.")

    def __len__(self):
        return len(self.frames)

    def frame(self, number):
        """Return the image with that number, read only now where it is a function."""
        frame = self.frames[number]
        return frame() if callable(frame) else frame

    def limits(self):
        """Return the values of black and white that suit all frames together."""
        limits = np.array([find_limits(self.frame(number)) for number in range(len(self))])
        return float(limits[:, 0].min()), float(limits[:, 1].max())

    def draw(self, number, ax=None, **kwargs):
        """
        Draw one frame with its title under it.

        Parameters
        ----------
        number : int
            Which one, from 0.
        ax : `~matplotlib.axes.Axes`, optional
            Where to draw; by default new axes.
        **kwargs
            For `show_frame`; they win over ``options``.

        Returns
        -------
        ax : `~matplotlib.axes.Axes`
            With the frame.
        """
        from matplotlib.figure import Figure

        if ax is None:
            ax = Figure(figsize=self.figsize, layout="constrained").add_subplot()
        ax = show_frame(self.frame(number), ax, **{**self.options, **kwargs})
        ax.set_xlabel(f"{ax.get_xlabel()}\n{self.titles[number]}", parse_math=False)
        return ax

    def to_png(self, *, dpi=80):
        """
        Draw all frames.

        Parameters
        ----------
        dpi : float, optional
            Pixels per inch.

        Returns
        -------
        pngs : list of bytes
            One PNG file per frame, for a page with a slider.
        """
        from matplotlib.figure import Figure

        shared = {"most_pixels": int(max(self.figsize) * dpi)}  # more cannot be seen on a page
        if self.same_scale and "limits" not in self.options:
            shared["limits"] = self.limits()
        # places are fixed, not found for each page: that would take most of the time
        figure, pngs = Figure(figsize=self.figsize), []
        for number in range(len(self)):
            figure.clear()
            ax = figure.add_axes(PLACE)
            bar = figure.add_axes(BAR_PLACE)
            with_bar = self.options.get("colorbar", True)
            bar.set_visible(bool(with_bar))
            self.draw(number, ax, **shared, colorbar=bar if with_bar is True else with_bar)
            pngs.append(figure_to_png(figure, dpi=dpi))
        return pngs

    def save(self, path, *, fps=2, dpi=80):
        """
        Save the frames as a movie.

        Parameters
        ----------
        path : path-like
            Ends in ``.gif`` (or another animated form that Pillow writes: ``.png``, ``.webp``).
        fps : float, optional
            Frames per second.
        dpi : float, optional
            Pixels per inch.

        Returns
        -------
        path : `~pathlib.Path`
            The file written.
        """
        from PIL import Image

        path = Path(path)
        if path.suffix.lower() not in {".gif", ".png", ".webp"}:
            raise ValueError(f"A movie is saved as .gif, .png or .webp, not as {path.suffix!r}.")
        pages = [Image.open(io.BytesIO(png)).convert("RGB") for png in self.to_png(dpi=dpi)]
        duration = 1000 / fps
        pages[0].save(path, save_all=True, append_images=pages[1:], duration=duration, loop=0)
        return path
