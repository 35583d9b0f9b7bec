"""How many electrons come from each star, if every pixel counts by what it knows?"""

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.modeling import Model
from astropy.nddata import StdDevUncertainty
from scipy.special import betainc, ndtr
from specreduce.core import SpecreduceOperation
from specutils import Spectrum

__all__ = ["OptimalSums", "ProfileExtract", "optimal_sums"]


@dataclass(frozen=True, eq=False)
class OptimalSums:
    """
    What `optimal_sums` found, one row for each star.

    Parameters
    ----------
    flux : `~numpy.ndarray`, shape (n_star, n_x)
        Light of the whole star, electron. NaN where the good pixels do not settle it.
    variances : dict of str to `~numpy.ndarray`, each of shape (n_star, n_x)
        Variance of the flux from "star" (and its blended neighbours), "sky", "read", "dark",
        "flat" and "skyfit", electron^2.
    bad_fraction : `~numpy.ndarray`, shape (n_star, n_x)
        Fraction of the star's light (within the cut-out) on masked or rejected pixels.
    chi2 : `~numpy.ndarray`, shape (n_x,)
        Chi-square per degree of freedom of the profile fit.
    rejected : `~numpy.ndarray` of bool, shape (n_rows, n_x)
        Pixels rejected here, beyond the mask that came in.
    background : `~numpy.ndarray`, shape (n_coefficients, n_x)
        Coefficients of the local background, if one was fitted.
    weights : `~numpy.ndarray`, shape (n_star, n_rows, n_x)
        ``flux = sum(weights * data, axis=1)``.
    """

    flux: np.ndarray
    variances: dict
    bad_fraction: np.ndarray
    chi2: np.ndarray
    rejected: np.ndarray
    background: np.ndarray
    weights: np.ndarray

    @property
    def variance(self):
        """Sum of the variances, electron^2, shape (n_star, n_x)."""
        return sum(self.variances.values())


def optimal_sums(
    data,
    profiles,
    noise,
    mask=None,
    *,
    background_degree=None,
    reject_sigma=5.0,
    profile_error=0.0,
):
    """
    Fit the flux of one or several stars to every column (Horne 1986, PASP 98, 609).

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_rows, n_x)
        Sky-subtracted counts of a cut-out or a whole frame, electron / sensitivity.
    profiles : `~numpy.ndarray`, shape (n_rows, n_x) or (n_star, n_rows, n_x)
        Fraction of each star's light in each pixel.
    noise : `PixelNoise`
        Noise of the same pixels.
    mask : `~numpy.ndarray` of bool, shape (n_rows, n_x), optional
        True = bad.
    background_degree : int, optional
        Fit a polynomial of this degree along the rows together with the stars.
    reject_sigma : float or None
        The worst pixel of a column is rejected beyond this many standard deviations, and the
        column is fitted again, until none is left.
    profile_error : float
        Fraction by which the profile may be wrong before its misfit counts as a hit.

    Returns
    -------
    `OptimalSums`

    Raises
    ------
    ValueError
        Where the shapes of data and profiles differ.
    """
    stars = profiles[None] if np.ndim(profiles) == 2 else np.asarray(profiles)
    if stars.shape[1:] != np.shape(data):
        raise ValueError(
            f"The profiles cover {stars.shape[1:]} pixels but the data {np.shape(data)}. Cut both "
            "with the same window."
        )
    usable = np.isfinite(data) & ~noise.bad
    usable = usable if mask is None else usable & ~mask
    design = stars
    if background_degree is not None:
        height = np.linspace(-1, 1, len(data))[:, None] + np.zeros(data.shape)
        powers = [height**power for power in range(background_degree + 1)]
        design = np.concatenate([stars, powers])
    terms = [np.broadcast_to(np.asarray(t, dtype=float), data.shape) for t in noise.terms()]
    column_set = _Columns(np.where(usable, data, 0), design, terms, usable.copy(), len(stars))
    with np.errstate(invalid="ignore"):
        coefficients, weights, variance = column_set.fit(reject_sigma, profile_error)
    return _summarise(column_set, noise, usable, coefficients, weights, variance)


def _summarise(column_set, noise, usable, coefficients, weights, variance):
    """Add up the variances and count what was lost."""
    n_star, good = column_set.n_star, column_set.good
    flux, weights = coefficients[:n_star], weights[:n_star]
    names = ("star", "sky", "read", "dark", "flat", "skyfit")
    out = {name: np.zeros_like(flux) for name in names}
    square = np.where(good, weights, 0) ** 2
    square[:, :, ~np.isfinite(flux).all(axis=0)] = np.nan
    for name, part in noise.parts(column_set.light(np.nan_to_num(flux))).items():
        if np.ndim(part) or part != 0:
            part = np.where(good, part, 0)
            out[name] = np.einsum("iyx,yx->ix", square, part)
    if noise.aperture_variance is not None:
        out["skyfit"] = np.stack([noise.aperture_variance(np.nan_to_num(w)) for w in weights])
    stars = column_set.design[:n_star]
    lost = (stars * ~good).sum(axis=1) / np.maximum(stars.sum(axis=1), 1e-30)
    misfit = np.where(good, column_set.data - column_set.model(coefficients), 0) ** 2
    chi2 = np.divide(misfit, variance, out=np.zeros_like(misfit), where=good).sum(axis=0)
    chi2 = chi2 / np.maximum(good.sum(axis=0) - len(coefficients), 1)
    rejected = usable & ~good
    return OptimalSums(flux, out, lost, chi2, rejected, coefficients[n_star:], weights)


@dataclass
class _Columns:
    """All that is known of some columns; ``good`` shrinks as pixels are rejected."""

    data: np.ndarray
    design: np.ndarray  # (n_term, n_rows, n_x): stars first, then background terms
    terms: list  # variance = terms[0] + terms[1] * light + terms[2] * light**2
    good: np.ndarray
    n_star: int

    def pick(self, x):
        """Keep some columns only."""
        terms = [term[:, x] for term in self.terms]
        return _Columns(self.data[:, x], self.design[:, :, x], terms, self.good[:, x], self.n_star)

    def light(self, flux):
        """Counts of all stars in each pixel."""
        return np.einsum("ix,iyx->yx", np.maximum(flux, 0), self.design[: self.n_star])

    def model(self, coefficients):
        """Counts that the fit expects in each pixel."""
        return np.einsum("ix,iyx->yx", coefficients, self.design)

    def solve(self, flux):
        """Weighted least squares of each column, for the variance that ``flux`` makes."""
        light = self.light(flux)
        variance = self.terms[0] + light * (self.terms[1] + light * self.terms[2])
        inverse = np.divide(1.0, variance, out=np.zeros_like(variance), where=self.good)
        weighted = self.design * inverse
        normal = np.einsum("iyx,jyx->xij", weighted, self.design)
        weights = np.einsum("xij,jyx->iyx", _invert(normal), weighted)
        return np.einsum("iyx,yx->ix", weights, self.data), weights, variance

    def converge(self, flux, tolerance=1e-3, max_iter=12):
        """Repeat `solve` until no flux moves by more than a small part of its error."""
        for _ in range(max_iter):
            found, weights, variance = self.solve(flux)
            step = np.abs(found[: self.n_star] - flux)
            sigma = np.sqrt((weights[: self.n_star] ** 2 * variance).sum(axis=1))
            flux = found[: self.n_star]
            if not np.any(step > tolerance * sigma):
                break
        return found, weights, variance

    def fit(self, reject_sigma, profile_error):
        """Converge all columns, then reject the worst pixel of a column while there is one."""
        columns = np.arange(self.data.shape[1])
        coefficients, weights, variance = self.converge(np.zeros((self.n_star, columns.size)))
        while reject_sigma is not None and columns.size:
            part = self.pick(columns)
            found, w, v = coefficients[:, columns], weights[:, :, columns], variance[:, columns]
            leverage = np.einsum("iyx,iyx->yx", w, part.design)
            allowed = v * np.clip(1 - leverage, 0.02, 1)
            allowed = allowed + (profile_error * part.light(found[: self.n_star])) ** 2
            badness = np.where(part.good, (part.data - part.model(found)) ** 2 / allowed, 0)
            worst = badness.argmax(axis=0)
            hit = np.take_along_axis(badness, worst[None], 0)[0] > reject_sigma**2
            columns = columns[hit]
            self.good[worst[hit], columns] = False
            part = self.pick(columns)
            found, w, v = part.converge(coefficients[: self.n_star, columns])
            coefficients[:, columns], weights[:, :, columns], variance[:, columns] = found, w, v
        return coefficients, weights, variance


def _invert(normal):
    """Invert a stack of symmetric matrices; NaN where the good pixels do not settle them."""
    diagonal = np.einsum("xii->xi", normal)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1))
    scaled = normal / (scale[:, :, None] * scale[:, None, :])
    solvable = (diagonal > 0).all(axis=1)
    scaled[~solvable] = np.eye(normal.shape[1])
    solvable &= np.linalg.det(scaled) > 1e-10
    scaled[~solvable] = np.eye(normal.shape[1])
    inverse = np.linalg.inv(scaled) / (scale[:, :, None] * scale[:, None, :])
    inverse[~solvable] = np.nan
    return inverse


@dataclass
class ProfileExtract(SpecreduceOperation):
    """
    Optimal extraction of one or several stars along their traces.

    The frame is never changed. Plain arrays count as electrons.

    Parameters
    ----------
    image : `~astropy.nddata.NDData`, `~specutils.Spectrum`, Quantity or array, shape (n_y, n_x)
        Sky-subtracted frame.
    trace_object : `~specreduce.tracing.Trace` or list of them
        One for each star; blended stars are solved together.
    width : float, array of shape (n_x,), or a list with one for each star, optional
        Gaussian width of the star, pixel; by default the ``.width`` of the trace.
    profile : "gaussian", "moffat", array, callable or `~astropy.modeling.Model`
        Arrays have the shape (n_y, n_x) or (n_star, n_y, n_x); a callable is given (rows, centre,
        width); a model is a function of (row - centre) / width.
    beta : float
        Exponent of the Moffat profile.
    noise : `PixelNoise`
        Noise of the frame, in electron.
    background_degree, reject_sigma, profile_error
        As in `optimal_sums`.
    half_window : int
        Rows on either side of the outermost stars that take part.
    disp_axis, crossdisp_axis : int
        Dispersion and spatial axis of the image; the noise is turned already.
    mask_treatment : {"apply", "ignore"}
        Whether the mask of the image counts; non-finite pixels never do.

    Examples
    --------
    >>> import numpy as np
    >>> from specreduce.tracing import FlatTrace
    >>> from slitlapse.extraction import PixelNoise, ProfileExtract, gaussian_profile
    >>> star = 1e4 * gaussian_profile(np.arange(30)[:, None], np.full(40, 14.3), np.full(40, 2.0))
    >>> noise = PixelNoise(read_noise=4.0)
    >>> extract = ProfileExtract(star, FlatTrace(star, 14.3), width=2.0, noise=noise)
    >>> extract.spectrum.flux[0]
    <Quantity 10000. electron>
    """

    image: Any
    trace_object: Any
    width: Any = None
    profile: Any = "gaussian"
    beta: float = 3.0
    noise: Any = None
    background_degree: Any = None
    reject_sigma: Any = 5.0
    profile_error: float = 0.0
    half_window: int = 12
    disp_axis: int = 1
    crossdisp_axis: int = 0
    mask_treatment: str = "apply"

    @property
    def spectrum(self):
        """The extracted `~specutils.Spectrum`."""
        return self()

    def __call__(self, image=None):
        """
        Extract.

        Returns
        -------
        `~specutils.Spectrum`
            Of shape (n_x,), or (n_star, n_x) for a list of traces. ``.meta`` holds
            "bad_fraction", "chi2" and "variance_components".
        """
        image = self.image if image is None else image
        sums = self.sums(image)
        pick = (lambda a: a) if isinstance(self.trace_object, list) else (lambda a: a[0])
        axis = getattr(image, "spectral_axis", None)
        meta = dict(getattr(image, "meta", None) or {})
        meta |= {"bad_fraction": pick(sums.bad_fraction), "chi2": sums.chi2}
        parts = sums.variances.items()
        meta["variance_components"] = {k: pick(v) * u.electron**2 for k, v in parts}
        return Spectrum(
            pick(sums.flux) * u.electron,
            spectral_axis=np.arange(sums.chi2.size) * u.pix if axis is None else axis,
            uncertainty=StdDevUncertainty(np.sqrt(pick(sums.variance)) * u.electron),
            mask=pick(~np.isfinite(sums.flux)),
            meta=meta,
        )

    def sums(self, image=None):
        """Return the `OptimalSums` on the whole frame: pixels far from the stars are masked."""
        image = self.image if image is None else image
        unit = getattr(image, "unit", None)
        if unit not in (None, u.electron) or self.noise is None:
            raise ValueError(
                f"Optimal weights need a noise model and electrons; the image is in {unit} and "
                f"noise is {self.noise}. Multiply by the gain and give noise=PixelNoise(...)."
            )
        if self.mask_treatment not in ("apply", "ignore"):
            raise ValueError(f"mask_treatment is '{self.mask_treatment}', not 'apply' or 'ignore'.")
        turn = np.asarray if self.disp_axis == 1 else np.transpose
        data = turn(image if isinstance(image, np.ndarray) else image.data).astype(float)
        several = isinstance(self.trace_object, list)
        traces = self.trace_object if several else [self.trace_object]
        centres = [np.asarray(np.ma.getdata(trace.trace), dtype=float) for trace in traces]
        rows = np.arange(len(data))[:, None]
        mask = rows < np.min(centres, axis=0) - self.half_window
        mask = mask | (rows > np.max(centres, axis=0) + self.half_window)
        if getattr(image, "mask", None) is not None and self.mask_treatment == "apply":
            mask = mask | turn(image.mask).astype(bool)
        if isinstance(self.profile, np.ndarray):
            profiles = self.profile
        else:
            widths = self.width if isinstance(self.width, list) else [self.width] * len(traces)
            stars = zip(traces, centres, widths, strict=True)
            profiles = np.stack([self._profile(rows, *star) for star in stars])
        return optimal_sums(
            data,
            profiles,
            self.noise,
            mask,
            background_degree=self.background_degree,
            reject_sigma=self.reject_sigma,
            profile_error=self.profile_error,
        )

    def _profile(self, rows, trace, centre, width):
        """Fraction of one star's light in each pixel."""
        width = getattr(trace, "width", None) if width is None else width
        if width is None:
            raise ValueError(
                "The trace has no width and none was given. Give width= in pixel (Gaussian "
                "sigma, FWHM / 2.3548), or a trace that carries a .width."
            )
        width = np.broadcast_to(np.asarray(width, dtype=float), centre.shape)
        if isinstance(self.profile, Model):
            points, weights = np.polynomial.legendre.leggauss(7)
            grid, step = np.linspace(-50, 50, 20001, retstep=True)
            nodes = (rows - centre)[..., None] + points / 2
            light = self.profile(nodes / width[:, None]) @ weights / 2
            return light / (np.sum(self.profile(grid)) * step * width)
        if callable(self.profile):
            return self.profile(rows, centre, width)
        edges = np.stack([rows - centre - 0.5, rows - centre + 0.5])
        if self.profile == "gaussian":
            return np.diff(ndtr(edges / width), axis=0)[0]
        if self.profile == "moffat":
            edges = edges / (width * np.sqrt(2 * np.log(2) / (2 ** (1 / self.beta) - 1)))
            tail = 0.5 * betainc(self.beta - 0.5, 0.5, 1 / (1 + edges**2))  # Student's t
            return np.diff(np.where(edges < 0, tail, 1 - tail), axis=0)[0]
        raise ValueError(
            f"The profile is {self.profile!r}; give 'gaussian', 'moffat', an array of the shape "
            "of the frame, an astropy model, or a callable of (rows, centre, width)."
        )
