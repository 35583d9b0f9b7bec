"""Where does a star's light lie along the spectrum, and how wide is it there?"""

import copy

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from specreduce.tracing import Trace

from .compare_pixels import compare_pixels, cut_out, rough_width, solve_bins
from .follow_star import StarNotFoundError, follow_star
from .smooth_curve import Curve, fit_smooth_curve
from .star_profile import profile_evaluator

__all__ = ["ProfileTrace", "StarNotFoundError", "TraceWarning"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1


class TraceWarning(AstropyUserWarning):
    """The trace can be used, but part of it deserves a look."""


class ProfileTrace(Trace):
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
        Number of bins along the dispersion axis; ``None``: 16 columns in each.
    window : float or None
        Pixels on either side of the star that are looked at; ``None``: from its width.
    profile : {"moffat", "gaussian", "moments"}
        Model of the star, or flux-weighted moments within the window.
    beta : float or None
        Exponent of the Moffat profile; ``None``: fitted, one number for the star.
    trace_model, width_model : int or None
        Degree of the polynomial through the centres and (log) widths; ``None``: the degree of
        least Bayesian information criterion (Schwarz 1978), 8 at most.
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
    profile, beta : str, float or None
        The profile family and the exponent of a Moffat profile.
    table : `~astropy.table.QTable` or None
        Every bin: ``x``, ``center``, ``width``, ``amplitude``, ``background``, and whether and
        why (not) it was used.

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
        mask=None,
        sigma=4.0,
    ):
        if profile not in ("moffat", "gaussian", "moments"):
            raise ValueError(
                f"profile must be 'moffat', 'gaussian' or 'moments', but got {profile!r}."
            )
        data, good, read_noise = _parse(image, mask, read_noise)
        n_x = data.shape[1]
        bins = max(n_x // 16, 1) if bins is None else int(bins)
        if not 1 <= bins <= n_x:
            raise ValueError(f"bins must be 1 to {n_x} (the columns), but got {bins}.")
        guess = guess.trace if isinstance(guess, Trace) else guess
        guess = guess.to_value(u.pix) if isinstance(guess, u.Quantity) else guess
        reach = 15.0 if window is None else window
        x, moved, base = follow_star(np.where(good, data, 0), good, guess, reach)
        path = base + fit_smooth_curve(x, moved, np.ones(x.size), np.arange(n_x), None, 5.0).value
        fit = _fit(
            data,
            good,
            path,
            bins,
            window,
            profile,
            beta,
            neighbours,
            read_noise,
            (trace_model, width_model),
            sigma,
        )
        self._set(image, profile, fit["beta"], fit["center"], fit["width"], neighbours)
        self.table = fit["table"]
        self.read_noise, self.window = fit["read_noise"], fit["half"]

    @classmethod
    def from_curves(cls, image, trace, width, profile="gaussian", *, beta=None, neighbours=()):
        """
        Build a trace by hand.

        Parameters
        ----------
        image : image or tuple
            The image it belongs to, or only that image's shape (n_y, n_x).
        trace, width : float or array-like, shape (n_x,)
            Centre and Gaussian-equivalent sigma in pixels.
        profile : {"gaussian", "moffat"}
            Family.
        beta : float or None
            Exponent of a Moffat profile, > 1.

        Returns
        -------
        ProfileTrace
        """
        new = cls.__new__(cls)
        if isinstance(image, tuple):
            image = np.broadcast_to(0.0, image)
        n_x = image.shape[1]
        curves = [
            Curve(np.broadcast_to(np.asarray(v, float), n_x).copy(), np.zeros(n_x), None, None)
            for v in (trace, width)
        ]
        new._set(image, profile, beta, *curves, neighbours)
        new.table, new.read_noise, new.window = None, None, None
        return new

    def _set(self, image, profile, beta, center, width, neighbours):
        """Take over the curves."""
        self.image, self.profile_family, self.beta = image, profile, beta
        self.neighbours = tuple(float(d) for d in neighbours)
        self.trace, self.trace_uncertainty = center.value, center.sigma
        self.trace_degree = center.degree
        self.width, self.width_uncertainty = width.value, width.sigma
        self.width_degree = width.degree
        self._mask_treatment, self._valid_mask_treatment_methods = None, [None]
        self._bound_trace()  # upstream's consumers expect a masked array

    @property
    def fwhm(self):
        """Full width at half maximum in pixels, shape (n_x,)."""
        return FWHM * self.width

    def __add__(self, delta):
        """Return a copy moved by ``delta`` pixels; the image is shared, not copied."""
        new = copy.copy(self)
        new.shift(delta)
        return new

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
        evaluate = profile_evaluator(self.profile_family, self.beta)
        return evaluate(rows, center, self.width[columns] * width_factor)

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
        n_y = (self.image.shape if shape is None else shape)[0]
        return self.profile(np.arange(n_y), offset, width_factor)

    @property
    def reach(self):
        """Rows on either side of the trace that are looked at."""
        if self.window is not None:
            return int(np.ceil(self.window))
        return int(np.ceil(max(4.5 * np.median(self.width) + 2, 8)))

    def cut_out(self, image, reach=None, *, columns=slice(None), mask=None):
        """
        Cut the rows around the trace out of an image, moved by whole pixels only.

        Returns
        -------
        data, good, rows : `~numpy.ndarray`, shape (2 reach + 1, n_columns)
            Pixels, whether they can be used, and their rows in the image.
        """
        data, good, _ = _parse(image, mask, 0.0)
        return cut_out(
            data, good, np.asarray(self.trace), self.reach if reach is None else reach, columns
        )

    def compare(
        self,
        image,
        offset=0.0,
        width_factor=1.0,
        *,
        columns=slice(None),
        read_noise=None,
        mask=None,
    ):
        """
        Compare an image with this star's model, and say how the model should move.

        Returns
        -------
        dict
            For every column ``x``: ``gradient`` (n_x, 2) and ``info`` (n_x, 2, 2) of centre and
            log width (flux and a straight sky are free in each column), ``flux``, ``sky``,
            ``solvable``, and ``fine`` (n_rows, n_x), the pixels used; ``floor``, the noise of an
            empty pixel.
        """
        data, good, read_noise = _parse(image, mask, read_noise)
        center = np.asarray(self.trace) + offset
        cut, seen, rows = cut_out(data, good, center, self.reach, columns)
        evaluate = profile_evaluator(self.profile_family, self.beta)
        width = self.width[columns] * width_factor
        part = compare_pixels(
            cut,
            seen,
            rows,
            center[columns],
            width,
            evaluate,
            {"floor": read_noise},
            self.neighbours,
            None,
        )
        return {"x": np.arange(data.shape[1])[columns], **part}


def _parse(image, mask, read_noise):
    """Take data, good pixels and the noise of an empty pixel out of what came in."""
    unit = getattr(image, "unit", None)
    if unit is not None and unit not in (u.electron, u.dimensionless_unscaled, u.ct, u.photon):
        raise ValueError(
            f"The image is in {unit}, but its photon noise is needed: convert it to electron."
        )
    data = image.value if isinstance(image, u.Quantity) else image
    data = np.asarray(data if isinstance(data, np.ndarray) else data.data, dtype=float)
    if data.ndim != 2:
        raise ValueError(f"The image must have 2 dimensions, but has {data.ndim}.")
    good = np.isfinite(data)
    for bad in (getattr(image, "mask", None), mask):
        if bad is not None and np.shape(bad) not in ((), data.shape):
            raise ValueError(f"The mask has shape {np.shape(bad)}, the image {data.shape}.")
        if bad is not None:
            good &= ~np.asarray(bad, bool)
    noise = getattr(image, "uncertainty", None)
    if read_noise is None and noise is not None:
        # the uncertainty holds the photon noise of each pixel's own count: keep the rest of it
        rest = noise.represent_as(StdDevUncertainty).array ** 2 - np.maximum(data, 0)
        read_noise = np.sqrt(max(np.median(rest[good][::7]), 0.0))
    return data, good, read_noise


def _fit(data, good, path, bins, window, profile, beta, neighbours, read_noise, degrees, sigma):
    """Alternate between comparing pixels with the model and drawing smooth curves."""
    n_x = data.shape[1]
    start = rough_width(data, good, path, window)
    half = int(np.ceil(max(4.5 * start + 2, 8) if window is None else window))
    center, width = np.asarray(path, float), np.full(n_x, start)
    fit_shape = profile == "moffat" and beta is None
    q = 0.0 if profile != "moffat" else 1 / (4.0 if beta is None else beta)
    noise = {"floor": read_noise}
    every = np.arange(n_x)
    stride = max(n_x // 512, 1)
    for i in range(10):
        last = i >= 8
        columns = every if last else every[::stride]
        n_bins = bins if last else min(bins, max(columns.size // 8, 1))
        starts = np.linspace(0, columns.size, n_bins + 1).astype(int)[:-1]
        evaluate = profile_evaluator(profile, 1 / q if q else None)
        slopes = None
        if fit_shape:
            slopes = (
                profile_evaluator("moffat", 1 / (q - 0.01)),
                profile_evaluator("moffat", 1 / (q + 0.01)),
                0.02,
            )
        cut, seen, rows = cut_out(data, good, center, half, columns)
        part = compare_pixels(
            cut, seen, rows, center[columns], width[columns], evaluate, noise, neighbours, slopes
        )
        counts = np.diff(np.append(starts, columns.size))
        at, step, error, empty, d_shape = solve_bins(part, starts, columns, counts)
        near = np.interp(at, every, width)
        step = (
            np.clip(step, [-1, -0.4], [1, 0.4]) * np.stack([near, np.ones_like(near)], 1)
            if not last
            else step
        )
        if not last:
            step[:, 0] = np.clip(step[:, 0], -near, near)
        bin_center = np.interp(at, every, center) + step[:, 0]
        log_width = np.log(near) + step[:, 1]
        usable = ~empty & (error[:, 0] < 2 * near) & (error[:, 1] < 2)
        if usable.sum() < 2:
            raise StarNotFoundError(
                f"Only {usable.sum()} of {usable.size} bins see a star along this path; check the "
                "guess, or read the image with find_stars."
            )
        c = fit_smooth_curve(
            at[usable], bin_center[usable], error[usable, 0], every, degrees[0], sigma
        )
        w = fit_smooth_curve(
            at[usable], log_width[usable], error[usable, 1], every, degrees[1], sigma
        )
        center, width = c.value, np.exp(np.clip(w.value, np.log(0.3), np.log(half)))
        if fit_shape:
            q = float(np.clip(q + np.clip(d_shape, -0.1, 0.1), 0.03, 0.6))
    used = usable.copy()
    used[usable] = c.keep & w.keep
    columns = {
        "x": at * u.pix,
        "center": bin_center * u.pix,
        "center_uncertainty": error[:, 0] * u.pix,
        "width": np.exp(log_width) * u.pix,
        "width_uncertainty": error[:, 1] * np.exp(log_width) * u.pix,
        "amplitude": np.add.reduceat(part["flux"], starts) / counts * u.electron,
        "background": np.add.reduceat(part["sky"], starts) / counts * u.electron,
        "used": used,
        "reason": np.where(used, "", np.where(usable, "off the curve", "too little light")),
    }
    table = QTable(columns)
    return {
        "beta": 1 / q if q else None,
        "center": c,
        "width": Curve(width, w.sigma * width, w.degree, w.keep),
        "table": table,
        "read_noise": part["floor"],
        "half": half,
    }
