"""How many electrons come from each star, if every pixel counts by what it knows?"""

from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.modeling import Model
from astropy.nddata import StdDevUncertainty
from scipy.special import ndtr, stdtr
from specreduce.core import SpecreduceOperation
from specutils import Spectrum

from .column_fit import Columns, steady_flux
from .rejection import reject_outliers

__all__ = ["OptimalSums", "ProfileExtract", "optimal_sums"]

COMPONENTS = ("star", "sky", "read", "dark", "flat", "skyfit")


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
        Sky-subtracted counts of a cut-out or a whole frame, electron / sensitivity. float32 is
        computed as it is, good to a part in a million.
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
        Fraction by which the profile may be wrong before its misfit counts as a hit. A misfit
        that a row shows all along the trace never does.

    Returns
    -------
    `OptimalSums`

    Raises
    ------
    ValueError
        Where the shapes of data and profiles differ.

    Notes
    -----
    The variance of the star's photons is that of the fitted star; where the signal is low, of
    its running mean, so that an upward fluctuation does not claim a larger error for itself.

    Three things are done that Horne's loop lacks: what a profile misses in the same row all along
    the trace is no hit (it is taken out while hits are sought, and stays in the fit); positive
    neighbours of a rejected pixel go beyond 3 sigma already (the rest of a track); and a column
    that lost pixels is fitted again from the brightness of its neighbours, of which two solutions
    the more likely one is kept (for tracks along the slit).
    """
    stars = profiles[None] if np.ndim(profiles) == 2 else np.asarray(profiles)
    if stars.shape[1:] != np.shape(data):
        raise ValueError(
            f"The profiles cover {stars.shape[1:]} pixels but the data {np.shape(data)}. Cut both "
            "with the same window."
        )
    kind = np.float32 if np.asarray(data).dtype == np.float32 else float
    good = np.isfinite(data) & ~noise.bad
    good = good if mask is None else good & ~mask
    usable = good.copy()
    design = stars.astype(kind, copy=False)
    if background_degree is not None:
        height = np.linspace(-1, 1, len(data))[:, None] + np.zeros(data.shape)
        powers = [height**power for power in range(background_degree + 1)]
        design = np.concatenate([design, np.array(powers, dtype=kind)])
    terms = [np.asarray(term, dtype=kind) for term in noise.terms()]
    terms[0] = np.where(good, terms[0], 1)
    columns = Columns(np.where(good, data, kind(0)), design, terms, good, len(stars))
    with np.errstate(invalid="ignore", over="ignore"):
        # single precision is enough to find what is good and how bright the stars are, and the
        # mask is shared; only the last solution is computed as precisely as the data came
        steady = _fit(columns.single(), reject_sigma, profile_error)
        coefficients, variance, weights = columns.solve(steady, want_weights=True)
    return _summarise(columns, noise, usable, steady, coefficients, variance, weights)


def _fit(columns, reject_sigma, profile_error):
    """Settle which pixels are good; return how bright the stars are for the variance of pixels."""
    start = np.zeros((columns.n_star, columns.data.shape[1]), dtype=columns.data.dtype)
    if columns.n_star == 1:  # a plain sum is close enough to save a round
        start[0] = columns.data.sum(axis=0)
    found, _, sigma = columns.converge(start)
    if reject_sigma is not None and reject_outliers(columns, found, reject_sigma, profile_error):
        _, _, sigma = columns.solve(found[: columns.n_star])
    return steady_flux(found[: columns.n_star], sigma)


def _summarise(columns, noise, usable, steady, coefficients, variance, weights):
    """Add up the variances and count what was lost."""
    n_star, good = columns.n_star, columns.good
    flux = coefficients[:n_star]
    out = {name: np.zeros_like(flux) for name in COMPONENTS}
    square = weights[:n_star] ** 2
    for name, part in noise.parts(columns.light(steady)).items():
        if np.ndim(part) or part != 0:
            out[name] = np.einsum("kyx,yx->kx", square, np.where(good, part, 0))
    if noise.aperture_variance is not None:
        parts = [noise.aperture_variance(np.nan_to_num(weight)) for weight in weights[:n_star]]
        out["skyfit"] = np.stack(parts)
    stars = columns.design[:n_star]
    lost = np.einsum("kyx,yx->kx", stars, ~good) / np.maximum(stars.sum(axis=1), 1e-30)
    misfit = np.where(good, (columns.data - columns.model(coefficients)) ** 2 / variance, 0)
    chi2 = misfit.sum(axis=0) / np.maximum(good.sum(axis=0) - len(coefficients), 1)
    rejected = usable & ~good
    return OptimalSums(flux, out, lost, chi2, rejected, coefficients[n_star:], weights[:n_star])


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
        By default as the trace says, if it has a ``.profile(rows)``, else a Gaussian.
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
    profile: Any = None
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
        """Return the `OptimalSums`, its images on the whole frame."""
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
        first = max(int(np.min(centres)) - self.half_window, 0)
        band = _Band(first, min(int(np.max(centres)) + self.half_window + 2, len(data)), len(data))
        rows = np.arange(band.first, band.last)[:, None]
        mask = rows < np.min(centres, axis=0) - self.half_window
        mask = mask | (rows > np.max(centres, axis=0) + self.half_window)
        if getattr(image, "mask", None) is not None and self.mask_treatment == "apply":
            mask = mask | band.cut(turn(image.mask)).astype(bool)
        if isinstance(self.profile, np.ndarray):
            profiles = band.cut(self.profile)
        else:
            widths = self.width if isinstance(self.width, list) else [self.width] * len(traces)
            stars = zip(traces, centres, widths, strict=True)
            profiles = np.stack([self._profile(rows, *star) for star in stars])
        sums = optimal_sums(
            band.cut(data),
            profiles,
            self.noise.cut(band),
            mask,
            background_degree=self.background_degree,
            reject_sigma=self.reject_sigma,
            profile_error=self.profile_error,
        )
        whole = {"rejected": band.paste(sums.rejected), "weights": band.paste(sums.weights)}
        return replace(sums, **whole)

    def _profile(self, rows, trace, centre, width):
        """Fraction of one star's light in each pixel."""
        if self.profile is None and width is None and hasattr(trace, "profile"):
            return trace.profile(rows[:, 0])
        width = getattr(trace, "width", None) if width is None else width
        if width is not None:
            width = np.broadcast_to(np.asarray(width, dtype=float), centre.shape)
        if callable(self.profile) and not isinstance(self.profile, Model):
            return self.profile(rows, centre, width)
        if width is None:
            raise ValueError(
                "The trace has no width and none was given. Give width= in pixel (Gaussian "
                "sigma, FWHM / 2.3548), or a trace that carries a .width."
            )
        if isinstance(self.profile, Model):
            points, weights = np.polynomial.legendre.leggauss(7)
            grid, step = np.linspace(-50, 50, 20001, retstep=True)
            nodes = (rows - centre)[..., None] + points / 2
            light = self.profile(nodes / width[:, None]) @ weights / 2
            return light / (np.sum(self.profile(grid)) * step * width)
        edges = np.stack([rows - centre - 0.5, rows - centre + 0.5])
        if self.profile is None or self.profile == "gaussian":
            return np.diff(ndtr(edges / width), axis=0)[0]
        if self.profile == "moffat":
            edges = edges / (width * np.sqrt(2 * np.log(2) / (2 ** (1 / self.beta) - 1)))
            freedom = 2 * self.beta - 1  # a Moffat curve is Student's t distribution
            return np.diff(stdtr(freedom, np.sqrt(freedom) * edges), axis=0)[0]
        raise ValueError(
            f"The profile is {self.profile!r}; give 'gaussian', 'moffat', an array of the shape "
            "of the frame, an astropy model, or a callable of (rows, centre, width)."
        )


@dataclass(frozen=True)
class _Band:
    """The rows that take part, for all columns alike."""

    first: int
    last: int
    n_y: int

    def cut(self, image):
        """Rows of an image or of a stack of images; numbers and None as they are."""
        if image is None or np.ndim(image) == 0:
            return image
        return np.asarray(image)[..., self.first : self.last, :]

    def paste(self, values):
        """The rows on the frame, zero elsewhere."""
        padding = [(0, 0)] * (np.ndim(values) - 2)
        return np.pad(values, [*padding, (self.first, self.n_y - self.last), (0, 0)])
