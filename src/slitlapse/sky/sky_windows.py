"""Where on the slit is there nothing but sky?"""

import ast
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from specreduce.tracing import Trace

__all__ = ["SkyWindowWarning", "SkyWindows"]


CLOSER, CLOSEST = 7.0, 5.0  # widths from a star where there is no sky farther away
STAYS_FREE = 0.9  # of the columns: the ends of a bowed order may leave the slit


class SkyWindowWarning(AstropyUserWarning):
    """A sky window had to be cut, or some columns are left without sky."""


def _pairs(name, windows):
    """Return ``windows`` as a tuple of (low, high) float pairs, or say what is wrong with them."""
    try:
        pairs = tuple((float(low), float(high)) for low, high in windows)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a list of [low, high] pairs in pixels like [[-60, -20], [20, 60]], "
            f"but got {windows!r}."
        ) from None
    for low, high in pairs:
        if not low < high:
            raise ValueError(
                f"{name} holds the window [{low:g}, {high:g}], whose ends are not in increasing "
                "order. Write the smaller one first."
            )
    return pairs


def _track(trace):
    """Return the positions of a trace, array or number; an array's own ``trace`` is its sum."""
    values = trace.trace if isinstance(trace, Trace) else trace
    return np.asarray(np.ma.getdata(values), dtype=float)


def _positions(trace, n_x, name="trace"):
    """Return the position of a trace, array or number in every column, NaN where unknown."""
    values = _track(trace)
    if values.ndim == 0:
        values = np.full(n_x, float(values))
    if values.shape != (n_x,):
        raise ValueError(
            f"{name} has shape {values.shape}, but the image has {n_x} columns. "
            "Give a Trace, one number, or one position per column."
        )
    return values


@dataclass(frozen=True, repr=False)
class SkyWindows:
    """
    Where to look for sky: offsets from a star, rows of the image, or both.

    A pixel belongs to a window when its centre lies in it, both ends included. Windows given as
    offsets follow the star's trace from column to column.

    Parameters
    ----------
    offsets : list of (float, float)
        Windows as (low, high) distance from the star along the slit, in pixels.
    rows : list of (float, float)
        Windows as (first, last) row of the image, in pixels.

    Examples
    --------
    >>> from slitlapse.sky import SkyWindows
    >>> windows = SkyWindows([[-60, -20], [20, 60]])
    >>> windows.mask((200, 5), trace=100).sum(axis=0)
    array([82, 82, 82, 82, 82])
    >>> SkyWindows.from_text(windows.to_text()) == windows
    True
    """

    offsets: tuple = ()
    rows: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "offsets", _pairs("offsets", self.offsets))
        object.__setattr__(self, "rows", _pairs("rows", self.rows))
        if not self.offsets + self.rows:
            raise ValueError(
                "SkyWindows got neither offsets nor rows. Give at least one window, for example "
                "SkyWindows([[-60, -20], [20, 60]]), or let SkyWindows.automatic choose."
            )

    def __repr__(self):
        return self.to_text()

    def to_text(self):
        """Return a line of Python that makes these windows again."""
        given = {name: [list(pair) for pair in getattr(self, name)] for name in ("offsets", "rows")}
        return f"SkyWindows({', '.join(f'{k}={v}' for k, v in given.items() if v)})"

    @classmethod
    def from_text(cls, text):
        """
        Make windows from what `to_text` wrote, or from a list like ``[[-60, -20], [20, 60]]``.

        Raises
        ------
        ValueError
            If the text is neither.
        """
        try:
            node = ast.parse(text.strip(), mode="eval").body
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == cls.__name__:
                args = [ast.literal_eval(value) for value in node.args]
                keywords = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
                return cls(*args, **keywords)
            windows = ast.literal_eval(node)
        except (SyntaxError, TypeError, ValueError) as error:
            raise ValueError(
                f"{text!r} does not describe sky windows ({error}). Write for example "
                "'SkyWindows(offsets=[[-60, -20], [20, 60]])' or '[[-60, -20], [20, 60]]'."
            ) from None
        return cls(windows)

    @classmethod
    def automatic(
        cls, position, width, *, others=(), other_widths=None, illuminated=None, n_y=None,
        gap=9.0, span=50.0, min_rows=8,
    ):  # fmt: skip
        """
        Choose windows on both sides of a star, clear of its wings, its neighbours and slit ends.

        Each side takes up to ``span`` rows, starting ``gap`` widths from the star, that follow its
        trace and stay lit in nine of ten columns. Rows near other stars are left out. A side with
        fewer than ``min_rows`` rows left is dropped, and the other side takes over its share as
        far as there is room.

        Parameters
        ----------
        position : float or array, shape (n_x,)
            Where the star lies along the slit, in pixels (a `~specreduce.tracing.Trace` is fine).
        width : float
            Gaussian-equivalent sigma of the star's profile, in pixels.
        others : list of float, array or Trace
            The same for other stars on the slit.
        other_widths : list of float, optional
            Their widths; by default that of this star.
        illuminated : array of bool, shape (n_y,) or (n_y, n_x), or (first, last), optional
            Rows or pixels that the slit lights; all by default, which needs ``n_y``.
        n_y : int, optional
            Number of rows, where ``illuminated`` does not tell.
        gap : float
            Distance between star and sky in units of the width. At 9 sigma (3.8 FWHM) a Moffat
            profile with index 3 has fallen to 2e-4 of its peak. Where the slit is too short for
            that, 7 or 5 are taken.
        span, min_rows : float
            Rows per side at most and at least.

        Returns
        -------
        `SkyWindows`
            Windows as offsets, in order along the slit.

        Raises
        ------
        ValueError
            If no sky is left.
        """
        lit = _lit_rows(illuminated, n_y)
        track = np.atleast_1d(_track(position))
        some = np.flatnonzero(np.isfinite(track))[:: max(track.size // 64, 1)]
        reach = np.arange(-len(lit), len(lit) + 1)
        rows = np.rint(track[some] + reach[:, np.newaxis]).astype(int)
        inside = (rows >= 0) & (rows < len(lit))
        if lit.ndim == 2:
            lit = lit[:, np.arange(lit.shape[1]) if track.size == 1 else some]
        seen = inside & np.take_along_axis(
            lit.reshape(len(lit), -1), np.clip(rows, 0, len(lit) - 1), axis=0
        )
        on_slit = seen[len(lit)]  # columns in which the star itself is lit
        other_widths = [width] * len(others) if other_widths is None else other_widths
        # close to the wings rather than no sky at all: the slit may be short
        for nearest in dict.fromkeys((gap, min(gap, CLOSER), min(gap, CLOSEST))):
            free = seen
            for other, other_width in zip(others, other_widths, strict=True):
                path = np.atleast_1d(_track(other))
                away = (path[some] if path.size == track.size else path) - track[some]
                free = free & ~(np.abs(reach[:, np.newaxis] - away) <= nearest * other_width)
            # an offset is free if it stays lit and clear of neighbours as the trace wanders
            share = (free & on_slit).mean(axis=1)
            usable = (share > 0) & (share >= STAYS_FREE * on_slit.mean())
            sides = {s: reach[usable & (s * reach >= nearest * width)][::s] for s in (-1, 1)}
            chosen = _share(sides, int(span), int(min_rows))
            if chosen.size:
                break
        else:
            raise ValueError(
                f"No sky is left for the star at row {np.nanmedian(track):.1f}: on either side "
                f"fewer than {min_rows} rows are lit and clear of the {len(others)} other star(s) "
                "all along the spectrum. Give windows by hand, as SkyWindows(rows=[[first, last]]) "
                "or offsets from the star, or lower gap or min_rows."
            )
        ends = np.flatnonzero(np.diff(chosen) > 1)
        firsts = chosen[np.concatenate([[0], ends + 1])]
        lasts = chosen[np.concatenate([ends, [chosen.size - 1]])]
        # half a pixel more on each end keeps the row count when the trace falls between rows
        return cls(np.c_[firsts - 0.5, lasts + 0.5].tolist())

    def mask(
        self, shape, trace=None, other_traces=(), *, width=None, other_widths=None, clearance=5.0,
        illuminated=None, bad=None,
    ):  # fmt: skip
        """
        Draw the windows on the detector.

        Parameters
        ----------
        shape : (int, int)
            Shape (n_y, n_x) of the image.
        trace : Trace, float or array, shape (n_x,), optional
            The star; needed where windows are offsets. Columns where it is NaN get no sky.
        other_traces : list of the same
            Stars to keep away from.
        width, other_widths : float, list of float, optional
            Gaussian-equivalent sigma of the stars, in pixels. A star whose width is known is
            left out to ``clearance`` widths; of another star whose width is not known, 12 pixels
            are left out on each side.
        clearance : float
            Distance kept from stars, in units of their width.
        illuminated : array of bool, shape (n_y,) or (n_y, n_x), or (first, last), optional
            Rows or pixels that the slit lights.
        bad : array of bool, shape (n_y, n_x), optional
            Bad pixels, which are left out.

        Returns
        -------
        array of bool, shape (n_y, n_x)
            True where there is sky.

        Raises
        ------
        ValueError
            If offsets are given without a trace, or if no pixel of sky is left.

        Warns
        -----
        SkyWindowWarning
            If windows overlap the star itself, one lies off the slit or on another star, or some
        columns are left without sky.
        """
        n_y, n_x = shape
        y = np.arange(n_y)[:, np.newaxis]
        if self.offsets and trace is None:
            raise ValueError("These windows are offsets from a star: give its trace.")
        every = np.ones(n_x, dtype=bool)
        pieces = [((low, high), (y >= low) & (y <= high) & every) for low, high in self.rows]
        if trace is not None:
            position = _positions(trace, n_x)
            pieces += [
                ((low, high), (y >= position + low) & (y <= position + high))
                for low, high in self.offsets
            ]
        sky = np.any([piece for _, piece in pieces], axis=0)
        own = np.zeros(shape, dtype=bool)
        if trace is not None and width is not None:
            own = np.abs(y - position) < clearance * width
        if (sky & own).any():
            warnings.warn(
                f"The windows {self} reach closer than {clearance * width:.1f} pixels to the star "
                "itself; that part is left out. Move them outwards.",
                SkyWindowWarning,
                stacklevel=2,
            )
            sky &= ~own
        for i, other in enumerate(other_traces):
            reach = 12.0 if other_widths is None else clearance * other_widths[i]
            sky &= ~(np.abs(y - _positions(other, n_x, "other_traces")) < reach)
        if illuminated is not None:
            sky &= _lit_rows(illuminated, n_y).reshape(n_y, -1)
        if bad is not None:
            sky &= ~np.asarray(bad, dtype=bool)
        _complain_if_empty(self, sky)
        for (low, high), piece in pieces:
            if not (piece & sky).any():
                warnings.warn(
                    f"The window [{low:g}, {high:g}] holds no sky at all: it lies off the slit or "
                    "on stars. The other windows are used; move it or leave it away.",
                    SkyWindowWarning,
                    stacklevel=2,
                )
        return sky


def _complain_if_empty(windows, sky):
    """Raise if no column has sky, warn if some have none."""
    empty = ~sky.any(axis=0)
    if empty.all():
        raise ValueError(
            f"The windows {windows} hold no pixel of sky: they lie outside the image or the lit "
            "rows, or on other stars. Move them, or let SkyWindows.automatic choose."
        )
    if empty.any():
        warnings.warn(
            f"{empty.sum()} of {empty.size} columns have no sky in {windows}: there the star or "
            "its windows leave the slit, or all pixels are bad. Those columns will be masked.",
            SkyWindowWarning,
            stacklevel=3,
        )


def _lit_rows(illuminated, n_y):
    """Return lit rows (or pixels) as a boolean array."""
    if illuminated is None:
        if n_y is None:
            raise ValueError("Give illuminated rows or n_y, the number of rows of the image.")
        return np.ones(n_y, dtype=bool)
    values = np.asarray(illuminated)
    if values.dtype == bool:
        if n_y is not None and values.shape[:1] != (n_y,):
            raise ValueError(f"illuminated has shape {values.shape}, but there are {n_y} rows.")
        return values
    if values.shape != (2,):
        raise ValueError(
            f"illuminated must be one bool per row or (first, last), but got {illuminated!r}."
        )
    first, last = values
    rows = np.arange(int(last) + 1 if n_y is None else n_y)
    return (rows >= first) & (rows <= last)


def _share(sides, span, min_rows):
    """Choose the rows nearest to the star, ``span`` per side, one side helping out the other."""
    usable = {sign: rows if rows.size >= min_rows else rows[:0] for sign, rows in sides.items()}
    spare = {sign: max(span - rows.size, 0) for sign, rows in usable.items()}
    chosen = [usable[sign][: span + spare[-sign]] for sign in (-1, 1)]
    return np.sort(np.concatenate(chosen)).astype(int)
