"""How far has a star moved since the shared trace was measured, and how much wider is it?"""

from dataclasses import dataclass, field

import numpy as np
from astropy import units as u
from astropy.table import QTable
from scipy.ndimage import gaussian_filter1d

__all__ = ["ProfileShift", "measure_profile_shift"]

MOST_ROUNDS = 20
SEEN = 10.0  # sigma of all columns: below this, noise decides where a star seems to be


@dataclass(frozen=True)
class ProfileShift:
    """
    Offset and width of one star in one exposure, against the trace shared by all exposures.

    Parameters
    ----------
    offset, offset_uncertainty : float
        Rows from the shared trace to the star.
    width_factor, width_factor_uncertainty : float
        Width of the star over the width of the shared trace.
    rest : dict of `~numpy.ndarray`, shape (n_bins,)
        What one offset and one factor leave, along the spectrum: ``x``, ``offset``,
        ``width_factor`` and their uncertainties.
    read_noise : float or None
        Noise of an empty pixel that was used, electron.
    significance : float or None
        Light of the star in all columns over its noise.

    Examples
    --------
    >>> from slitlapse.trace import ProfileShift
    >>> shift = ProfileShift(0.31, 0.002, 1.08, 0.001)
    >>> shift.offset
    0.31
    """

    offset: float
    offset_uncertainty: float
    width_factor: float = 1.0
    width_factor_uncertainty: float = 0.0
    rest: dict = field(default_factory=dict, repr=False, compare=False)
    read_noise: float | None = None
    significance: float | None = None

    @property
    def seen(self):
        """Whether the exposure shows the star well enough to say where it is."""
        return bool(np.isfinite(self.offset))

    @property
    def table(self):
        """`rest` as `~astropy.table.QTable`."""
        return QTable({k: v * (u.one if "width" in k else u.pix) for k, v in self.rest.items()})

    @property
    def rest_chi2(self):
        """Chi-square per bin of the rest of the offset: 1 where only noise is left."""
        return float(np.mean((self.rest["offset"] / self.rest["offset_uncertainty"]) ** 2))


def measure_profile_shift(
    image,
    trace,
    *,
    read_noise=None,
    variance=None,
    mask=None,
    max_offset=8.0,
    n_bins=16,
    stride=None,
):
    """
    Measure how one exposure of a star differs from the trace of all exposures.

    The offset is found to a pixel with a median cut along the trace, refined on 128 columns by
    linear steps, and measured on all columns in the last step. Each column has its own flux and
    sky; pixels hit by something else are left out.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        Exposure in electron; the sky may still be in it.
    trace : `ProfileTrace`
        Shared trace, width and profile of this star (and of neighbours in its window).
    read_noise : float or None
        Noise of an empty pixel, electron; ``None``: from the scatter beside the star.
    variance : array-like, shape (n_y, n_x), or None
        Variance of every pixel from a noise model, used instead.
    mask : array-like of bool, shape (n_y, n_x), or None
        Pixels to leave out, in addition to the image's own mask and to NaN.
    max_offset : float
        Farthest offset that is looked for, pixels.
    n_bins : int
        Bins of the rest along the spectrum.
    stride : int or None
        Use every n-th column; ``None``: all.

    Returns
    -------
    ProfileShift
        Not a number, with an endless uncertainty and ``seen`` false, where the star has less than
        10 sigma in all columns together (clouds): noise would decide where it seems to be. Errors
        are those of the photons. Where the star has another profile than the trace, up to some
        1e-4 of its width in the offset and 1e-3 in the width factor come on top, noticed above
        some 1e4 electron per column.

    Raises
    ------
    ValueError
        Where no good pixel is left near the trace.
    TypeError
        Where ``trace`` has no profile.
    """
    if not hasattr(trace, "compare"):
        raise TypeError(
            f"A shift is measured against a ProfileTrace, but got {type(trace).__name__}; "
            "ProfileTrace.from_curves makes one from a trace and a width."
        )
    some = slice(None, None, max(trace.shape[0] // 128, 1))
    columns = slice(None, None, stride)
    offset, factor = _coarse(image, trace, mask, max_offset, some), 1.0
    width = float(np.median(trace.width))
    near = {"reach": min(trace.reach, int(6 * width + 3)), "offset": offset, "columns": columns}
    cut = trace.cut_out(image, mask=mask, **near)
    if variance is not None:
        variance = trace.cut_out(variance, **near)[0]
    x = np.arange(trace.shape[0])[columns]
    few = slice(None, None, max(x.size // 128, 1))
    chosen = few
    for _ in range(MOST_ROUNDS):
        part = trace.compare(
            [a[:, chosen] for a in cut],
            offset,
            factor,
            columns=x[chosen],
            floor=read_noise,
            variance=None if variance is None else variance[:, chosen],
        )
        step, covariance = _solve(part)
        if step is None:
            return _not_seen(part)
        offset += float(np.clip(step[0], -width * factor, width * factor))
        factor *= float(np.exp(np.clip(step[1], -0.4, 0.4)))
        moved = max(abs(step[0]) / width, abs(step[1]))
        if chosen is not few and moved < 0.03:
            break
        if moved < 0.1:
            chosen = slice(None)  # near enough for a linear step on all columns
    else:
        return _not_seen(part)
    if not _significance(part) > SEEN:
        return _not_seen(part)
    errors = np.sqrt(np.diag(covariance))
    return ProfileShift(
        float(offset),
        float(errors[0]),
        float(factor),
        float(errors[1] * factor),
        _rest(part, x, step, n_bins),
        part["floor"],
        _significance(part),
    )


def _not_seen(part):
    """Say that there is nothing to say: no number, and an endless uncertainty."""
    numbers = np.nan, np.inf, np.nan, np.inf
    return ProfileShift(*numbers, {}, part["floor"], _significance(part))


def _significance(part):
    """Give the light of all columns over its noise."""
    known = part["solvable"] & (part["flux_variance"] > 0)
    weight = known / np.where(known, part["flux_variance"], 1.0)
    return float((weight * part["flux"]).sum() / max(np.sqrt(weight.sum()), 1e-300))


def _solve(part):
    """Add up all columns and solve for the common step; ``None`` where there is nothing."""
    info, gradient = part["info"].sum(axis=0), part["gradient"].sum(axis=0)
    if not np.linalg.det(info) > 1e-9 * info[0, 0] * info[1, 1]:
        return None, None
    covariance = np.linalg.inv(info)
    return covariance @ gradient, covariance


def _coarse(image, trace, mask, max_offset, columns):
    """Find the offset to about a pixel: the peak of the median cut along the trace."""
    room = max_offset + 3 * float(np.median(trace.width)) + 2
    others = [round(distance) for distance in trace.neighbours if abs(distance) < room]
    reach = int(np.ceil(room)) + max(map(abs, others), default=0)
    cut, seen, _ = trace.cut_out(image, reach, columns=columns, mask=mask)
    usable = seen.mean(axis=0) > 0.5
    if not usable.any():
        raise ValueError(
            "No column has enough good pixels near the trace; check the mask and the trace."
        )
    cut, seen = cut[:, usable], seen[:, usable]
    ordered = np.sort(np.where(seen, cut, np.inf), axis=0)
    sky = np.take_along_axis(ordered, seen.sum(axis=0, keepdims=True) // 2, axis=0)
    cut = np.where(seen, cut - sky, 0.0)
    groups = np.array_split(cut, 15, axis=1) if cut.shape[1] >= 15 else [cut]
    cut = np.median([group.mean(axis=1) for group in groups], axis=0)
    smooth = gaussian_filter1d(cut, max(float(np.median(trace.width)), 0.7), mode="nearest")
    offsets = np.arange(-int(max_offset), int(max_offset) + 1)
    # where a neighbour is taken for the star, its own neighbours are missing
    light = sum(smooth[reach + offsets + distance] for distance in (0, *others))
    return float(offsets[np.argmax(light)])


def _rest(part, x, step, n_bins):
    """Add up columns in bins: what is left after the common step."""
    info = part["info"]
    gradient = part["gradient"] - info @ step
    starts = np.linspace(0, x.size, min(n_bins, x.size) + 1).astype(int)[:-1]
    info, gradient = (np.add.reduceat(a, starts, axis=0) for a in (info, gradient))
    weight = part["info"][:, 0, 0]
    total = np.add.reduceat(weight, starts)
    at = np.add.reduceat(weight * x, starts) / np.where(total > 0, total, np.nan)
    empty = ~(np.linalg.det(info) > 1e-9 * info[:, 0, 0] * info[:, 1, 1])
    info[empty] = np.eye(2)
    inverse = np.linalg.inv(info)
    values = np.einsum("bij,bj->bi", inverse, gradient)
    errors = np.sqrt(np.einsum("bii->bi", inverse))
    values[empty], errors[empty] = np.nan, np.nan
    names = "offset", "offset_uncertainty", "width_factor", "width_factor_uncertainty"
    columns = values[:, 0], errors[:, 0], np.exp(values[:, 1]), errors[:, 1]
    return {"x": at, **dict(zip(names, columns, strict=True))}
