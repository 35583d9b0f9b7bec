"""Which rows hold the star? A band of rows that follows it, cut out once and used by all."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["RowWindow"]


@dataclass(frozen=True, eq=False)
class RowWindow:
    """
    A band of ``n_rows`` rows that follows a star along the dispersion axis.

    Extraction looks at some 25 of the rows of a frame. A window gathers them, whatever the bow
    of the trace, without resampling: row ``j`` of column ``x`` of a cut-out is row
    ``first_row[x] + j`` of the frame.

    Parameters
    ----------
    first_row : `~numpy.ndarray` of int, shape (n_x,)
        First row of the band in each column; may lie outside the frame.
    n_rows : int
        Number of rows of the band.
    n_y : int
        Number of rows of the frame.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import RowWindow
    >>> window = RowWindow.around(np.array([3.2, 3.4, 3.6]), half_rows=1, n_y=8)
    >>> window.rows
    array([[2, 2, 3], [3, 3, 4], [4, 4, 5]])
    >>> window.cut(np.arange(24).reshape(8, 3))
    array([[ 6, 7, 11], [ 9, 10, 14], [12, 13, 17]])
    """

    first_row: np.ndarray
    n_rows: int
    n_y: int

    @classmethod
    def around(cls, centre, half_rows, n_y):
        """
        Follow a star.

        Parameters
        ----------
        centre : `~numpy.ndarray`, shape (n_x,)
            Row of the star in each column, pixel.
        half_rows : int
            Rows on either side of the row that holds the centre.
        n_y : int
            Number of rows of the frame.

        Returns
        -------
        `RowWindow`

        Raises
        ------
        ValueError
            Where the centre is not finite, or the window nowhere touches the frame.
        """
        centre = np.asarray(np.ma.getdata(centre), dtype=float)
        if not np.isfinite(centre).all():
            raise ValueError(
                f"The centre of the star is not finite in {np.sum(~np.isfinite(centre))} of "
                f"{centre.size} columns. Give a trace that has a value in every column."
            )
        first = np.rint(centre).astype(int) - int(half_rows)
        n_rows = 2 * int(half_rows) + 1
        if np.all((first + n_rows <= 0) | (first >= n_y)):
            raise ValueError(
                f"The window of {n_rows} rows about rows {centre.min():.1f} to "
                f"{centre.max():.1f} lies outside a frame of {n_y} rows. Check the trace."
            )
        return cls(first, n_rows, int(n_y))

    @cached_property
    def rows(self):
        """Row of the frame of every pixel of a cut-out, shape (n_rows, n_x)."""
        return self.first_row[None, :] + np.arange(self.n_rows)[:, None]

    @cached_property
    def _flat_index(self):
        """Where the pixels of the cut-out stand in the flattened frame."""
        n_x = self.first_row.size
        return np.clip(self.rows, 0, self.n_y - 1) * n_x + np.arange(n_x)

    @cached_property
    def _stretches(self):
        """First row and slice of columns between its steps; None at edges and where it is steep."""
        first = self.first_row
        if first.min() < 0 or first.max() + self.n_rows > self.n_y:
            return None
        starts = np.flatnonzero(np.diff(first, prepend=first[0] - 1))
        if starts.size > max(first.size // 16, 1):
            return None
        ends = [*starts[1:].tolist(), first.size]
        return [(first[a], slice(a, b)) for a, b in zip(starts.tolist(), ends, strict=True)]

    @property
    def outside(self):
        """True where a pixel of the cut-out is not on the frame, shape (n_rows, n_x)."""
        rows = self.rows
        return (rows < 0) | (rows >= self.n_y)

    def cut(self, image):
        """
        Gather the band from an image.

        Parameters
        ----------
        image : `~numpy.ndarray`, shape (n_y, n_x), or a number, or None
            Numbers and None are handed back as they are.

        Returns
        -------
        `~numpy.ndarray`, shape (n_rows, n_x)
            Pixels outside the frame hold a copy of the nearest row: mask them with `outside`.
        """
        if image is None or np.ndim(image) == 0:
            return image
        image = np.asarray(image)
        if image.shape != (self.n_y, self.first_row.size):
            raise ValueError(
                f"The window belongs to frames of {self.n_y} rows and {self.first_row.size} "
                f"columns, but the image has shape {image.shape}. Cut the matching frame."
            )
        if self._stretches is None:
            return np.take(image, self._flat_index)
        if len(self._stretches) == 1:  # a straight band needs no gathering
            return image[self.first_row[0] : self.first_row[0] + self.n_rows]
        band = np.empty((self.n_rows, self.first_row.size), dtype=image.dtype)
        for first, columns in self._stretches:  # some dozens, each copied at once
            band[:, columns] = image[first : first + self.n_rows, columns]
        return band

    def paste(self, values, fill=0):
        """
        Put a cut-out back on a frame.

        Parameters
        ----------
        values : `~numpy.ndarray`, shape (n_rows, n_x)
            What to put back; pixels outside the frame are dropped.
        fill : number
            Value of all other pixels.

        Returns
        -------
        `~numpy.ndarray`, shape (n_y, n_x)
        """
        values = np.asarray(values)
        frame = np.full((self.n_y, self.first_row.size), fill, dtype=values.dtype)
        inside = ~self.outside
        columns = np.broadcast_to(np.arange(self.first_row.size), inside.shape)
        frame[self.rows[inside], columns[inside]] = values[inside]
        return frame
