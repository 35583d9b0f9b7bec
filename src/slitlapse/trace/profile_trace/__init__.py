"""Where does a star's light lie along the spectrum, and how wide is it there?"""

from functools import partial

import numpy as np
from astropy import units as u
from specreduce.tracing import Trace

from .compare_pixels import compare_pixels, measure_moments
from .cut_out import cut_out, mean_cut, rough_width, rough_window, rows_around, usual_reach
from .follow_star import StarNotFoundError, follow_star
from .look_over import TraceWarning, look_over
from .measure_star import Model, StarLostError, measure_star
from .read_image import plain_array, read_image
from .smooth_curve import fit_smooth_curve
from .solve_bins import add_up_bins
from .star_profile import profile_evaluator
from .trace_with_width import TraceWithWidth

__all__ = ["ProfileTrace", "StarNotFoundError", "TraceWarning"]

FAMILIES = "moffat", "gaussian", "moments"
COLUMNS_PER_BIN = 16, 64, 256  # the second and third where the star is too faint
BLOCK = 256  # columns drawn at a time
FAINT = 0.3  # widths: a centre less certain than this wants longer bins


class ProfileTrace(TraceWithWidth):
    """
    Centre and width of one star along axis 1 of an image, each with a smooth curve.

    A model of the star, its width and shape the same along the slit, integrated over each pixel
    and standing on a local sky (a straight line per column), is compared with every pixel near
    the star. Each column has its own flux and sky; columns share a centre and a width in bins;
    smooth curves go through the bins, and the comparison is repeated around the curves. So
    neither tilt nor colour of the star smears or pulls what a bin says, cosmic rays are
    recognised by their pixels, and faint columns cannot run away.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        Image in electron, dispersion along axis 1; the sky may still be in it.
    guess : float, array-like of shape (n_x,), `~specreduce.tracing.Trace` or None
        Row of the star at the middle column, or along all columns. ``None``: the brightest.
    bins : int or None
        Number of bins along the dispersion axis; ``None``: 16 columns in each, or
        64 or 256 where the star is too faint for that.
    window : float or None
        Pixels on either side of the star that are looked at; ``None``: from its width, more
        where nothing else shines, less if a bright star not among the ``neighbours`` is near.
    profile : {"moffat", "gaussian", "moments"}
        Model of the star, or flux-weighted moments within the window.
    beta : float or None
        Exponent of the Moffat profile; ``None``: fitted, one number for the star.
    trace_model, width_model : None, int, "spline" or `~astropy.modeling.Model`
        Curve through the centres and (log) widths; ``None``: from
        the Bayesian information criterion, 10 at most; ``"spline"``, a degree, or a linear model.
    neighbours : sequence of float
        Rows from this star to others that share its window; they are fitted together.
    read_noise : float or None
        Noise of an empty pixel in electron; ``None``: from the image's uncertainty, or else from
        the scatter around the model.
    mask : array-like of bool, shape (n_y, n_x), or None
        Pixels to leave out (``True``), in addition to the image's own mask and what is not finite.
    sigma : float
        Bins further than this from the curves are not used for them.

    Attributes
    ----------
    trace, trace_uncertainty : `~numpy.ma.MaskedArray`, `~numpy.ndarray`, shape (n_x,)
        Centre in pixels; masked where the star lies outside the image.
    width, width_uncertainty : `~numpy.ndarray`, shape (n_x,)
        Gaussian-equivalent sigma in pixels, FWHM / 2.3548.
    fwhm : `~numpy.ndarray`, shape (n_x,)
        Full width at half maximum in pixels.
    trace_degree, width_degree : int
        Degree of the curves.
    profile_family : str
        The profile family.
    beta, beta_uncertainty : float, `~numpy.ndarray` of shape (n_x,), or None
        Exponent of a Moffat profile: an array where it changes along the spectrum by more than
        chance. An uncertainty is ``None`` where the exponent was given.
    neighbours : tuple of float
        Distances to other stars as fitted, pixels.
    reach : int
        Rows on either side of the trace that were looked at.
    read_noise : float
        Noise of an empty pixel that was used, electron.
    table : `~astropy.table.QTable` or None
        Every bin: ``x``, ``center``, ``width`` (pix), ``shape`` (1 / beta) with uncertainties,
        ``amplitude``, ``background`` (electron per column and per pixel), how many columns and
        pixels it holds and how many pixels were hit by something else, whether it was ``used``
        for the centre and for the width, and the ``reason`` why not. Its ``meta`` hold
        ``center_known`` and ``width_known``, the columns between which there was light enough;
        beyond, the width stays what it was and the centre goes on straight. ``None`` if built by
        hand.

    Raises
    ------
    StarNotFoundError
        Where no star stands out of the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.trace import ProfileTrace
    >>> truth = ProfileTrace.from_curves((60, 400), 30 + np.linspace(-4, 4, 400), 2.0)
    >>> image = 100 + 5000 * truth.profile_image()
    >>> found = ProfileTrace(image, guess=30, profile="gaussian", read_noise=5)
    >>> bool(abs(found.trace - truth.trace).max() < 1e-3)
    True
    """

    def __init__(
        self,
        image,
        guess=None,
        bins=None,
        window=None,
        profile="moffat",
        *,
        beta=None,
        trace_model=None,
        width_model=None,
        neighbours=(),
        read_noise=None,
        variance=None,
        mask=None,
        sigma=4.0,
    ):
        if profile not in FAMILIES:
            raise ValueError(f"profile must be one of {FAMILIES}, but got {profile!r}.")
        data, good, read_noise = read_image(image, mask, read_noise)
        n_x = data.shape[1]
        if bins is not None and not 1 <= bins <= n_x:
            raise ValueError(f"bins must be 1 to {n_x}, the number of columns, but got {bins}.")
        choices = [max(n_x // n, 1) for n in COLUMNS_PER_BIN] if bins is None else [int(bins)]
        path = _follow(data, good, guess, 15.0 if window is None else window, neighbours)
        cut = mean_cut(data, good, path)
        width, alone = rough_width(cut)
        if window is None:
            window = min(rough_window(cut, width), np.inf if len(neighbours) else alone)
        self.window = int(np.ceil(window))
        shape = np.full(n_x, 1 / (4.0 if beta is None else beta)) if profile == "moffat" else None
        fit_shape = profile == "moffat" and beta is None
        start = Model(path, np.full(n_x, width), shape, np.asarray(neighbours, float))
        compare = _comparer(data, good, self.window, read_noise, variance, profile, fit_shape)
        draw, models = partial(fit_smooth_curve, sigma=sigma), (trace_model, width_model, None)
        found = None
        for n_bins in choices:  # a star too faint for short bins may be seen in longer ones
            try:
                found = measure_star(start, compare, draw, n_bins, fit_shape, models)
            except StarLostError as error:
                if n_bins == choices[-1] and found is None:
                    raise StarNotFoundError(str(error)) from error
                continue
            table = found.table
            if np.mean(table["center_uncertainty"] < FAINT * table["width"]) > 0.5:
                break
        self._take_over(image, profile, *found)
        look_over(self)

    def _take_over(self, image, profile, model, center, log_width, wings, floor, table):
        """Keep what was found."""
        self.image, self.profile_family, self.beta = image, profile, model.beta
        self.neighbours, self.beta_uncertainty = tuple(float(d) for d in model.distances), None
        if wings is not None:  # the curve is that of 1 / beta
            sigma = wings.sigma if np.ndim(self.beta) else wings.sigma[0]
            self.beta_uncertainty = sigma * self.beta**2
        self.trace, self.trace_uncertainty = center.value, center.sigma
        self.width, self.width_uncertainty = model.width, log_width.sigma * model.width
        self.trace_degree, self.width_degree = center.degree, log_width.degree
        self.table, self.read_noise = table, floor
        self._mask_outside()

    def profile(self, rows, offset=0.0, width_factor=1.0):
        """
        Give the share of the star's light that each pixel receives.

        Parameters
        ----------
        rows : array-like, shape (n_rows,) or (n_rows, n_x)
            Rows of the pixels (centres); consecutive rows are the fastest.
        offset : float
            Added to the trace, pixels.
        width_factor : float
            Factor on the width.

        Returns
        -------
        `~numpy.ndarray`, shape (n_rows, n_x)
            Integrated over each pixel; the sum over all rows of an endless column is 1.
        """
        return self.profile_and_slopes(rows, offset, width_factor)[0]

    def profile_and_slopes(self, rows, offset=0.0, width_factor=1.0, columns=slice(None)):
        """
        Give `profile` and its derivatives with respect to centre and log width.

        Returns
        -------
        profile, by_center, by_log_width : `~numpy.ndarray`, shape (n_rows, n_columns)
        """
        rows = np.asarray(rows, float)
        rows = rows[:, None] if rows.ndim == 1 else rows
        center = np.asarray(self.trace)[columns] + offset
        return self._evaluator(columns)(rows, center, self.width[columns] * width_factor)

    def _evaluator(self, columns=slice(None)):
        """Give the function that integrates this star's profile over pixels."""
        beta = self.beta if np.ndim(self.beta) == 0 else self.beta[columns]
        return profile_evaluator(self.profile_family, beta)

    def profile_image(self, shape=None, offset=0.0, width_factor=1.0):
        """
        Draw `profile` on a frame: an image of the star with 1 electron in each column.

        Parameters
        ----------
        shape : tuple or None
            Shape (n_y, n_x) of the frame; ``None``: that of the image.

        Returns
        -------
        `~numpy.ndarray`, shape (n_y, n_x)
        """
        n_y, n_x = self.image.shape if shape is None else shape
        drawn = np.empty((n_y, n_x))
        for start in range(0, n_x, BLOCK):  # what is needed on the way is several times as large
            part = slice(start, min(start + BLOCK, n_x))
            drawn[:, part], *_ = self.profile_and_slopes(
                np.arange(n_y), offset, width_factor, columns=part
            )
        return drawn

    @property
    def reach(self):
        """Rows on either side of the trace that are looked at."""
        if self.window is not None:
            return int(np.ceil(self.window))
        return int(np.ceil(usual_reach(self.width)))

    def cut_out(self, image, reach=None, *, offset=0.0, columns=slice(None), mask=None):
        """
        Cut the rows around the trace out of an image, moved by whole pixels only.

        Parameters
        ----------
        image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
            Image in electron.
        reach : int or None
            Rows on either side; ``None``: `reach`.
        offset : float
            Added to the trace.
        columns : slice
            Columns to cut out.
        mask : array-like of bool, shape (n_y, n_x), or None
            Pixels to leave out, in addition to the image's own mask and to NaN.

        Returns
        -------
        data, good, rows : `~numpy.ndarray`, shape (2 reach + 1, n_columns)
            Pixels, whether they can be used, and their rows in the image.
        """
        reach = self.reach if reach is None else int(reach)
        path = np.asarray(self.trace) + offset
        band = rows_around(path, reach, len(plain_array(image)))
        data, good, _ = read_image(image, mask, 0.0, rows=band)
        cut, seen, rows = cut_out(data, good, path - band.start, reach, columns)
        return cut, seen, rows + band.start

    def compare(
        self, cut, offset=0.0, width_factor=1.0, *, columns=slice(None), floor=None, variance=None
    ):
        """
        Compare the pixels around the trace with this star's model; say how it should move.

        Parameters
        ----------
        cut : tuple
            What `cut_out` gave for the same ``columns``: data, good, rows.
        offset, width_factor : float
            Where the model stands, against the trace and width.
        columns : slice
            The columns of ``cut``.
        floor : float or None
            Noise of an empty pixel, electron; ``None``: from the scatter beside the star.
        variance : `~numpy.ndarray`, shape of ``cut``, or None
            Variance of every pixel, used instead.

        Returns
        -------
        dict
            For every column: ``gradient`` (n_x, 2) and ``info`` (n_x, 2, 2) of centre and log
            width, the flux and a straight sky being free in each column; ``flux``, ``sky``,
            ``solvable``; ``fine`` (n_rows, n_x), the pixels used; ``floor``.
        """
        part = compare_pixels(
            *cut,
            np.asarray(self.trace)[columns] + offset,
            self.width[columns] * width_factor,
            self._evaluator(columns),
            floor=floor,
            variance=variance,
            neighbours=self.neighbours,
        )
        part["info"], part["gradient"] = part["info"][:, :2, :2], part["gradient"][:, :2]
        return part


def _follow(data, good, guess, reach, neighbours):
    """Give the rough row of the star in every column."""
    guess = guess.trace if isinstance(guess, Trace) else guess
    guess = guess.to_value(u.pix) if isinstance(guess, u.Quantity) else guess
    x, moved, base = follow_star(
        data if good.all() else np.where(good, data, 0), good, guess, reach
    )
    start = moved[np.argmin(np.abs(x - 0.5 * data.shape[1]))]
    caught = min((0.0, *neighbours), key=lambda d: abs(start - d))  # this star, or a brighter one?
    curve = fit_smooth_curve(
        x, moved - caught, np.full(x.size, 0.3), np.arange(data.shape[1]), sigma=5.0
    )
    return base + curve.value


def _comparer(data, good, reach, read_noise, variance, profile, fit_shape):
    """Give the function that compares the image with a model and adds up bins."""

    def compare(model, columns, n_bins):
        cut, seen, rows = cut_out(data, good, model.center, reach, columns, np.float32)
        x = np.arange(data.shape[1])[columns]
        beta = model.beta if np.ndim(model.beta) == 0 else model.beta[columns]
        noise = None if variance is None else cut_out(variance, good, model.center, reach, columns)
        where = rows, model.center[columns], model.width[columns]
        part = compare_pixels(
            cut,
            seen,
            *where,
            profile_evaluator(profile, beta, np.float32, wings=fit_shape),
            floor=read_noise,
            variance=None if noise is None else noise[0],
            neighbours=model.distances,
        )
        info, gradient = part["info"], part["gradient"]
        if profile == "moments":
            info, gradient = measure_moments(part, cut, *where, reach)
        starts = np.linspace(0, x.size, n_bins + 1).astype(int)[:-1]
        return add_up_bins(info, gradient, x, starts), {**part, "seen": seen}

    return compare
