"""How much of each pixel is in the aperture, and what do the pixels add up to?"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

__all__ = ["BoxcarSums", "aperture_weights", "boxcar_sums"]

COMPONENTS = ("star", "sky", "read", "dark", "flat", "skyfit")
NODES, PARTS = np.polynomial.legendre.leggauss(4)  # for the light on one side of an edge


@dataclass(frozen=True, eq=False)
class BoxcarSums:
    """
    What `boxcar_sums` found, one row for each aperture width.

    Parameters
    ----------
    flux : `~numpy.ndarray`, shape (n_width, n_x)
        Light within the aperture, electron, masked pixels made up for. NaN where no pixel is
        good.
    variances : dict of str to `~numpy.ndarray`, each of shape (n_width, n_x)
        Variance of the flux from "star", "sky", "read", "dark", "flat" and "skyfit", electron^2.
    enclosed : `~numpy.ndarray`, shape (n_width, n_x)
        Fraction of the star's light that falls into the aperture, by the profile.
    bad_fraction : `~numpy.ndarray`, shape (n_width, n_x)
        Fraction of the light in the aperture that fell on masked pixels, by the profile.
    """

    flux: np.ndarray
    variances: dict
    enclosed: np.ndarray
    bad_fraction: np.ndarray

    @property
    def variance(self):
        """Sum of the variances, electron^2, shape (n_width, n_x)."""
        return sum(self.variances.values())

    def corrected(self):
        """Divide by the enclosed fraction: the light of the whole star, at any seeing."""
        variances = {name: v / self.enclosed**2 for name, v in self.variances.items()}
        return BoxcarSums(self.flux / self.enclosed, variances, self.enclosed, self.bad_fraction)


def aperture_weights(rows, centre, half_width, profile):
    """
    Weigh the pixels of an aperture with sub-pixel edges.

    A pixel that the edge of the aperture cuts is split as the star's light in it is: a parabola
    through the logarithm of the profile in the pixel and its two neighbours (exact for a Gaussian
    and for an exponential wing) says how much lies on either side.

    Parameters
    ----------
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre : `~numpy.ndarray`, shape (n_x,)
        Row of the star.
    half_width : float or `~numpy.ndarray` of shape (n_x,)
        Half of the full width of the aperture, pixel.
    profile : `~numpy.ndarray`, shape (n_rows, n_x), or None
        Fraction of the light in each pixel. None splits edge pixels evenly.

    Returns
    -------
    `~numpy.ndarray`, shape (n_rows, n_x)
        1 inside, 0 outside, between 0 and 1 at the edges.
    """
    half_widths = np.broadcast_to(half_width, (1, len(centre)))
    return _all_weights(rows - centre, half_widths, profile)[0]


def _all_weights(offset, half_widths, profile):
    """`aperture_weights` of several apertures, shape (n_width, n_rows, n_x)."""
    weights = (half_widths + 0.5)[:, None] - np.abs(offset)
    # an aperture narrower than a pixel may lie within one
    np.clip(weights, 0, np.minimum(2 * half_widths, 1)[:, None], out=weights)
    if profile is None:
        return weights
    n_rows, n_x = offset.shape
    edges = np.stack([-half_widths, half_widths])
    y = np.rint(edges - offset[0]).astype(int)
    where = [np.broadcast_to(part, y.shape) for part in np.indices(half_widths.shape, sparse=True)]
    number, x, half = *where, np.broadcast_to(half_widths, y.shape)
    seen = (y >= 0) & (y < n_rows)
    if not seen.all():
        y, number, x, half = y[seen], number[seen], x[seen], half[seen]
    away = offset.take(y * n_x + x)
    lower, upper = np.maximum(-half - away, -0.5), np.minimum(half - away, 0.5)
    near = np.stack([np.clip(y + step, 0, n_rows - 1) for step in (-1, 0, 1)])
    below, here, above = np.log(np.maximum(profile.take(near * n_x + x), 1e-15))
    slope, bend = (above - below) / 2, (above + below - 2 * here) / 2
    # a pixel's mean is smoother than the light in it: take the width of the pixel out again
    sharper = 1 / (1 + np.maximum(bend, -3) / 6)
    slope, bend = sharper * slope, sharper * bend

    def light(low, high):
        middle, reach = (low + high) / 2, (high - low) / 2
        terms = []
        for node, part in zip(NODES, PARTS, strict=True):
            t = middle + node * reach
            terms.append(part * np.exp(t * (slope + bend * t)))
        return 2 * reach * sum(terms)

    weights.put((number * n_rows + y) * n_x + x, light(lower, upper) / light(-0.5, 0.5))
    return weights


def boxcar_sums(data, rows, centre, half_widths, profile, noise, mask=None, *, neighbours=None):
    """
    Sum a star's light in apertures of several widths, with every variance by itself.

    Masked pixels get no weight; their share of the light in the aperture is made up for by the
    profile, which raises the variance.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_rows, n_x)
        Sky-subtracted counts of a cut-out or a whole frame, electron / sensitivity.
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre : `~numpy.ndarray`, shape (n_x,)
        Row of the star.
    half_widths : array-like, shape (n_width,) or (n_width, n_x)
        Half of the full width of each aperture, pixel.
    profile : `~numpy.ndarray`, shape (n_rows, n_x)
        Fraction of the star's light in each pixel, masked or not.
    noise : `PixelNoise`
        Noise of the same pixels.
    mask : `~numpy.ndarray` of bool, shape (n_rows, n_x), optional
        True = bad.
    neighbours : pair of `~numpy.ndarray`, each of shape (n_other, n_rows, n_x), optional
        Profiles of other stars in the aperture and the weights that give their fluxes (of an
        optimal extraction of all together): their light is taken off, and its noise counted.

    Returns
    -------
    `BoxcarSums`

    Notes
    -----
    The variance of the star's photons is that of the measured flux spread by the profile (not of
    each pixel's own noisy count); where the signal is low, that of its running mean, so that an
    upward fluctuation does not claim a larger error for itself.
    """
    offset = rows - centre
    half_widths = np.asarray(half_widths, dtype=float)
    half_widths = half_widths if half_widths.ndim == 2 else half_widths[:, None]
    half_widths = np.broadcast_to(half_widths, (len(half_widths), len(centre)))
    near = slice(0, len(data))
    if neighbours is None:  # others are solved for in all rows
        near = _rows_within(offset, half_widths.max())
    bad = noise.bad | ~np.isfinite(data)
    bad = (bad if mask is None else bad | mask)[near]
    counts, inside = np.where(bad, data.dtype.type(0), data[near]), profile[near]
    weights = _all_weights(offset[near], half_widths, inside)
    enclosed = np.einsum("wyx,yx->wx", weights, inside)
    kept = 1 - _ratio(_lost(weights, inside, bad), enclosed)
    raise_by = _ratio(1.0, np.where(kept > 1e-9, kept, np.nan))
    weights[:, bad] = 0
    others = 0.0
    if neighbours is not None:
        weights, others = _without(weights, counts, *neighbours)
    flux = raise_by * np.einsum("wyx,yx->wx", weights, counts)
    star = np.nan_to_num(np.mean(_ratio(flux, enclosed), axis=0))
    lit = np.maximum(star, 1e-3)  # never quite dark, so that its variance can be scaled below
    parts = noise.parts(lit * profile + others)
    if neighbours is not None:
        own = noise.parts(lit * profile)["star"]
        parts |= {"star": own, "others": parts["star"] - own}
    out = {name: np.zeros_like(flux) for name in (*COMPONENTS, "others")}
    squares = np.square(weights)
    for name, part in parts.items():
        if np.ndim(part) or part != 0:
            part = np.where(bad, 0, np.broadcast_to(part, data.shape)[near])
            out[name] = raise_by**2 * np.einsum("wyx,yx->wx", squares, part)
    if noise.aperture_variance is not None:
        weights *= np.nan_to_num(raise_by)[:, None]
        outside = near.start, len(data) - near.stop
        scaled = np.pad(weights, ((0, 0), outside, (0, 0)))
        out["skyfit"] = np.stack([noise.aperture_variance(each) for each in scaled])
    sigma = np.sqrt(sum(v[0] for v in out.values())) / np.maximum(enclosed[0], 1e-9)
    out["star"] = out["star"] * np.maximum(_steady(star, sigma), 0) / lit + out.pop("others")
    return BoxcarSums(flux, out, enclosed, 1 - kept)


def _rows_within(offset, half_width):
    """Rows that the aperture touches in any column, and their neighbours, as a slice."""
    rows = np.flatnonzero((np.abs(offset) < half_width + 1.5).any(axis=1))
    return slice(rows[0], rows[-1] + 1) if rows.size else slice(0, 1)


def _lost(weights, profile, bad):
    """Light in the apertures that fell on bad pixels, shape (n_width, n_x)."""
    y, x = np.nonzero(bad)
    light = weights[:, y, x] * profile[y, x]
    return np.stack([np.bincount(x, each, minlength=bad.shape[1]) for each in light])


def _without(apertures, counts, profiles, weights):
    """Weights of the apertures' sums when other stars' light is off, and that light."""
    weights = np.nan_to_num(weights)
    inside = np.einsum("wyx,kyx->wkx", apertures, profiles)
    effective = apertures - np.einsum("wkx,kyx->wyx", inside, weights)
    flux = np.maximum(np.einsum("kyx,yx->kx", weights, counts), 0)
    return effective, np.einsum("kx,kyx->yx", flux, profiles)


def _steady(flux, sigma, size=11):
    """
    Shrink each flux to its running mean by as much as noise explains its scatter.

    After Lee (1980, IEEE Trans. PAMI 2, 165). Only the variance of the photons is made of it.
    """
    sigma = np.where(np.isfinite(sigma), sigma, 0)

    def running_mean(values):
        return uniform_filter1d(values, size, mode="nearest")

    mean = running_mean(flux)
    spread = running_mean((flux - mean) ** 2)
    keep = 1 - np.minimum(1.5 * running_mean(sigma**2) / np.maximum(spread, 1e-30), 1)
    return mean + keep * (flux - mean)


def _ratio(numerator, denominator):
    """Divide, with NaN and no warning where the denominator is zero or NaN."""
    ok = np.isfinite(denominator) & (denominator != 0)
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=ok)
