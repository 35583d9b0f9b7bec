"""How many electrons fall into an aperture that follows the star?"""

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty, VarianceUncertainty
from scipy.special import ndtr
from specreduce.core import SpecreduceOperation
from specutils import Spectrum

from .aperture import BoxcarSums, aperture_weights, boxcar_sums

__all__ = ["BoxcarExtract", "BoxcarSums", "aperture_weights", "boxcar_sums"]

MASK_TREATMENTS = ("apply", "ignore", "propagate")
FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian of width 1


@dataclass
class BoxcarExtract(SpecreduceOperation):
    """
    Boxcar extraction along a trace, with sub-pixel edges and honest errors.

    Called as `specreduce.extract.BoxcarExtract`; the frame is never changed. Plain arrays count
    as electrons.

    Parameters
    ----------
    image : `~astropy.nddata.NDData`, `~specutils.Spectrum`, Quantity or array, shape (n_y, n_x)
        Sky-subtracted frame.
    trace_object : `~specreduce.tracing.Trace`
        Where the star is; its ``.width`` (n_x,), where it has one, is the star's Gaussian width.
    width : float
        Full width of the aperture, in units of ``width_in``.
    disp_axis, crossdisp_axis : int
        Dispersion and spatial axis of the image.
    mask_treatment : {"apply", "ignore", "propagate"}
        "propagate": one bad pixel condemns the column. Filling is not offered.
    widths : sequence of float, optional
        Several full widths in one pass, instead of ``width``.
    width_in : {"pixel", "seeing"}
        "seeing": in units of the star's FWHM in each column, so that the aperture breathes.
    light_outside : {"report", "correct"}
        "correct" divides by the enclosed fraction.
    star_width : float or array of shape (n_x,), optional
        Gaussian width of the star, pixel; by default that of the trace, else it is measured at
        half maximum of the light stacked along the trace.
    profile : "gaussian", array of shape (n_y, n_x), or callable of (rows, centre, width)
        How the light is spread; by default as the trace says, if it has a ``.profile(rows)``,
        else a Gaussian.
    noise : `PixelNoise`, optional
        Noise of the frame; without it, the uncertainty of the image is propagated.

    Examples
    --------
    >>> import numpy as np
    >>> from specreduce.tracing import FlatTrace
    >>> from slitlapse.extraction import BoxcarExtract, gaussian_profile
    >>> star = 1e4 * gaussian_profile(np.arange(30)[:, None], np.full(40, 14.3), np.full(40, 2.0))
    >>> spectrum = BoxcarExtract(star, FlatTrace(star, 14.3), width=12, star_width=2.0)()
    >>> spectrum.flux[0]
    <Quantity 9973.0 electron>
    """

    image: Any
    trace_object: Any
    width: float = 5
    disp_axis: int = 1
    crossdisp_axis: int = 0
    mask_treatment: str = "apply"
    widths: Any = None
    width_in: str = "pixel"
    light_outside: str = "report"
    star_width: Any = None
    profile: Any = None
    noise: Any = None

    @property
    def spectrum(self):
        """The extracted `~specutils.Spectrum`."""
        return self()

    def __call__(self, image=None, trace=None, width=None, disp_axis=None, crossdisp_axis=None):
        """
        Extract; anything given here replaces what the object was built with.

        Returns
        -------
        `~specutils.Spectrum`
            Of shape (n_x,), or (n_width, n_x) with ``widths``. ``.meta`` holds
            "enclosed_fraction", "bad_fraction" and "variance_components".
        """
        image = self.image if image is None else image
        trace = self.trace_object if trace is None else trace
        disp_axis = self.disp_axis if disp_axis is None else disp_axis
        data, mask, variance, unit = _open(image, disp_axis, self.mask_treatment, self.noise)
        single = self.widths is None or width is not None
        widths = [self.width if width is None else width] if single else self.widths
        sums = self._sums(data, mask, variance, trace, np.asarray(widths, dtype=float))
        pick = (lambda a: a[0]) if single else (lambda a: a)
        uncertainty, kind = None, type(getattr(image, "uncertainty", None))
        if self.noise is not None or variance is not None:
            uncertainty = VarianceUncertainty(pick(sums.variance) * unit**2)
            kind = StdDevUncertainty if kind is type(None) else kind
            uncertainty = uncertainty.represent_as(kind)
        axis = getattr(image, "spectral_axis", None)
        meta = dict(getattr(image, "meta", None) or {})
        meta["enclosed_fraction"] = pick(sums.enclosed)
        meta["bad_fraction"] = pick(sums.bad_fraction)
        meta["variance_components"] = {k: pick(v) * unit**2 for k, v in sums.variances.items()}
        return Spectrum(
            pick(sums.flux) * unit,
            spectral_axis=np.arange(data.shape[1]) * u.pix if axis is None else axis,
            uncertainty=uncertainty,
            mask=pick(~np.isfinite(sums.flux)),
            meta=meta,
        )

    def _sums(self, data, mask, variance, trace, widths):
        """Describe the star and call `boxcar_sums` on the whole frame."""
        if np.any(widths <= 0):
            raise ValueError(f"The aperture width is {widths.tolist()}; it must be positive.")
        for name, allowed in (("width_in", ("pixel", "seeing")),
                              ("light_outside", ("report", "correct"))):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is '{getattr(self, name)}'; choose one of {allowed}.")
        centre = np.asarray(np.ma.getdata(trace.trace), dtype=float)
        rows = np.arange(data.shape[0])[:, None]
        star = getattr(trace, "width", None) if self.star_width is None else self.star_width
        star = _half_maximum_width(data, mask, rows - centre) if star is None else star
        star = np.broadcast_to(np.asarray(star, dtype=float), centre.shape)
        unit = star * FWHM if self.width_in == "seeing" else np.ones_like(star)
        noise = _Map(np.ones(data.shape) if variance is None else variance)
        noise = noise if self.noise is None else self.noise
        if self.profile is None and hasattr(trace, "profile") and self.star_width is None:
            profile = trace.profile(rows[:, 0])
        else:
            profile = _shape(self.profile, rows, centre, star)
        sums = boxcar_sums(data, rows, centre, widths[:, None] / 2 * unit, profile, noise, mask)
        return sums.corrected() if self.light_outside == "correct" else sums


@dataclass(frozen=True)
class _Map:
    """A variance map in the shape of a `PixelNoise`."""

    variance: np.ndarray
    aperture_variance: None = None

    @property
    def bad(self):
        return ~np.isfinite(self.variance)

    def parts(self, light):
        return {"read": self.variance}


def _open(image, disp_axis, mask_treatment, noise):
    """Return data, mask, variance (or None) and unit, with the dispersion along axis 1."""
    if mask_treatment not in MASK_TREATMENTS:
        raise ValueError(
            f"mask_treatment is '{mask_treatment}'; choose one of {MASK_TREATMENTS}. Bad pixels "
            "are made up for by the profile, never filled."
        )
    turn = np.asarray if disp_axis == 1 else np.transpose
    data = turn(np.asarray(image) if isinstance(image, np.ndarray) else image.data).astype(float)
    unit = u.electron if getattr(image, "unit", None) is None else image.unit
    if noise is not None and unit != u.electron:
        raise ValueError(
            f"A noise model needs electrons, but the image is in {unit}. Multiply by the gain "
            "first, or leave out noise to propagate the image's own uncertainty."
        )
    mask, variance = getattr(image, "mask", None), getattr(image, "uncertainty", None)
    mask = None if mask is None or mask_treatment == "ignore" else turn(mask).astype(bool)
    if mask_treatment == "propagate":
        bad = ~np.isfinite(data) if mask is None else mask | ~np.isfinite(data)
        mask = np.repeat(bad.any(axis=0)[None], len(data), axis=0)
    if variance is not None:
        variance = turn(variance.represent_as(VarianceUncertainty).array)
    return data, mask, variance, unit


def _shape(profile, rows, centre, width):
    """Turn a name, an array or a callable into the fraction of light in each pixel."""
    if isinstance(profile, np.ndarray):
        return profile
    if callable(profile):
        return profile(rows, centre, width)
    if profile is None or profile == "gaussian":
        start = (rows - centre - 0.5) / width
        return ndtr(start + 1 / width) - ndtr(start)
    raise ValueError(
        f"The profile is {profile!r}; give 'gaussian', an array of the shape of the frame, or a "
        "callable of (rows, centre, width) such as moffat_profile."
    )


def _half_maximum_width(data, mask, offset):
    """Gaussian width of a star, from the half maximum of its light stacked along the trace."""
    near = np.isfinite(data) & (np.abs(offset) < 30)
    near = near if mask is None else near & ~mask
    bins = np.rint(4 * (offset[near] + 30)).astype(int)
    number = np.bincount(bins, minlength=241)
    light = np.bincount(bins, data[near], minlength=241) / np.maximum(number, 1)
    y = np.arange(241)[number > 0] / 4 - 30
    light = light[number > 0]
    high = np.abs(y[light > light[np.argmin(np.abs(y))] / 2])
    width = high[high < 15].max(initial=0) * 2 / FWHM
    if not width > 0:
        raise ValueError(
            "The star's width could not be measured: no light at the trace. Give star_width, or "
            "a trace with a .width."
        )
    return np.sqrt(max(width**2 - 1 / 12, 0.05))
