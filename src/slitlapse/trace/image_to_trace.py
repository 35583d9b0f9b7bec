"""A star stands here in the image of the field: where will its trace lie?"""

from dataclasses import dataclass

import numpy as np

__all__ = ["ImageToTrace", "fit_image_to_trace"]


@dataclass(frozen=True)
class ImageToTrace:
    """
    Transformation from the position of a star in an image to where its trace lies.

    Behind a slit every spectrum begins and ends at the same columns, and only the place along the
    slit matters. Behind a mask or without any, the spectrum moves with the star along the
    dispersion as well.

    Parameters
    ----------
    matrix : array-like, shape (2, 2)
        Change of (row, column) of the trace with (y, x) of the star.
    shift : array-like, shape (2,)
        Row and column of the trace of a star at y = x = 0. The row is that at the reference
        column of the star, the column is where its reference wavelength falls.
    span : (float, float) or None
        Where the spectrum begins and ends, in columns from its reference column; ``None``: it fills
        the frame.
    rms : float or None
        Scatter of the rows that the transformation was fitted to.

    Examples
    --------
    A slitless frame: the spectrum reaches from 50 columns before to 300 after the star's own.

    >>> from slitlapse.trace import ImageToTrace
    >>> there = ImageToTrace([[1, 0], [0, 1]], [2.5, 0], span=(-50, 300))
    >>> row, column = there.position(x=400, y=100)
    >>> print(float(row), float(column), there.columns(x=400, y=100, n_x=600))
    102.5 400.0 (350, 600)
    """

    matrix: np.ndarray
    shift: np.ndarray
    span: tuple | None = None
    rms: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "matrix", np.asarray(self.matrix, float))
        object.__setattr__(self, "shift", np.asarray(self.shift, float))
        if self.matrix.shape != (2, 2) or self.shift.shape != (2,):
            raise ValueError(
                f"matrix and shift must have shapes (2, 2) and (2,), but have {self.matrix.shape} "
                f"and {self.shift.shape}."
            )

    def position(self, x, y):
        """
        Give row and reference column of the trace of a star at (x, y).

        Parameters
        ----------
        x, y : float, array-like or `~astropy.units.Quantity` in pix
            Position in the image.

        Returns
        -------
        row, column : `~numpy.ndarray`
        """
        y, x = np.asarray(_plain(y), float), np.asarray(_plain(x), float)
        return tuple(m[0] * y + m[1] * x + s for m, s in zip(self.matrix, self.shift, strict=True))

    def inverse(self, row, column):
        """Give (x, y) of the star whose trace has this row and reference column."""
        values = np.stack(np.broadcast_arrays(_plain(row), _plain(column))).astype(float)
        offset = np.moveaxis(values, 0, -1) - self.shift
        y, x = np.moveaxis(np.linalg.solve(self.matrix, offset[..., None])[..., 0], -1, 0)
        return x, y

    def columns(self, x, y, n_x):
        """
        Give the first column of a star's spectrum and the one after its last, within the frame.

        Returns
        -------
        first, stop : int
            Equal where the spectrum misses the frame: no column is left.
        """
        if self.span is None:
            return 0, n_x
        column = float(self.position(x, y)[1])
        ends = np.clip(
            [np.rint(column + s) + k for s, k in zip(self.span, (0, 1), strict=True)], 0, n_x
        )
        return int(ends[0]), int(ends[1])


def fit_image_to_trace(stars, rows, *, columns=None, span=None, tolerance=3.0):
    """
    Match stars of an image with traces and fit the transformation between them.

    Which star belongs to which trace need not be known: every pairing proposes a shift (and, with
    its neighbours, a scale near 1), the one that agrees with the most others within ``tolerance``
    wins, brighter stars first. One match gives a shift; two a scale along the slit as well; three
    or more also how rows depend on x.

    Parameters
    ----------
    stars : `~astropy.table.Table`
        Stars with ``x`` and ``y``, the brightest first (`find_stars_in_image`).
    rows : array-like, shape (n_traces,)
        Rows of traces, the brightest first (``find_stars(...)["position"]``).
    columns : array-like, shape (n_traces,), or None
        Reference columns of the traces: slitless frames only.
    span : (float, float) or None
        Handed on to `ImageToTrace`.
    tolerance : float
        Rows within which star and trace belong together.

    Returns
    -------
    transformation : ImageToTrace
    pairs : `~numpy.ndarray` of int, shape (n_matches, 2)
        Index of star and of trace.

    Raises
    ------
    ValueError
        Where there are no stars or no traces.
    """
    y, x = (np.asarray(_plain(stars[name]), float) for name in ("y", "x"))
    rows = np.asarray(_plain(rows), float)
    if y.size == 0 or rows.size == 0:
        raise ValueError(
            f"Matching needs stars and traces, but got {y.size} stars and {rows.size} traces."
        )
    shift = _vote(y, rows, tolerance)
    pairs = _pair(y + shift, rows, tolerance)
    for _ in range(5):
        fit = _fit_line(y[pairs[:, 0]], x[pairs[:, 0]], rows[pairs[:, 1]])
        new = _pair(fit[0] + fit[1] * y + fit[2] * x, rows, tolerance)
        if np.array_equal(new, pairs) or len(new) < len(pairs):
            break
        pairs = new
    rest = rows[pairs[:, 1]] - (fit[0] + fit[1] * y[pairs[:, 0]] + fit[2] * x[pairs[:, 0]])
    along = np.array([0.0, 1.0, 0.0])  # constant, with x, with y
    if columns is not None:
        here = np.asarray(_plain(columns), float)[pairs[:, 1]]
        along = _fit_line(x[pairs[:, 0]], y[pairs[:, 0]], here)
    matrix = [[fit[1], fit[2]], [along[2], along[1]]]
    rms = float(np.sqrt(np.mean(rest**2)))
    return ImageToTrace(matrix, [fit[0], along[0]], span, rms), pairs


def _plain(value):
    """Take the unit off a position in pixels."""
    return value.to_value("pix") if hasattr(value, "to_value") else value


def _vote(y, rows, tolerance):
    """Find the shift that brings most stars to a trace; the bright count more."""
    weight = 1 / (1 + np.arange(y.size))[:, None] + 1 / (1 + np.arange(rows.size))
    shifts = (rows - y[:, None]).ravel()
    agree = np.abs(rows - y[:, None] - shifts[:, None, None]) < tolerance
    return shifts[np.argmax((agree * weight).sum(axis=(1, 2)))]


def _pair(predicted, rows, tolerance):
    """Pair each trace with the star predicted nearest to it."""
    distance = np.abs(predicted[:, None] - rows)
    star = np.argmin(distance, axis=0)
    trace = np.argmin(distance, axis=1)
    mutual = (trace[star] == np.arange(rows.size)) & (distance.min(axis=0) < tolerance)
    return np.stack([star[mutual], np.flatnonzero(mutual)], axis=1)


def _fit_line(along, across, values):
    """
    Fit constant, scale and tilt.

    The scale is 1 and the tilt 0 where the positions are too few, or too close together, to know.
    """
    if values.size < 2 or np.ptp(along) < 1:
        return np.array([np.mean(values - along), 1.0, 0.0])
    terms = [np.ones(values.size), along]
    if values.size > 2 and np.ptp(across) > 1:
        terms.append(across)
    coefficients = np.linalg.lstsq(np.stack(terms, axis=1), values, rcond=None)[0]
    return np.append(coefficients, np.zeros(3 - coefficients.size))
