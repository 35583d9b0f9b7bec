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
    offset = rows - centre
    weights = np.minimum(half_width - offset, 0.5) - np.maximum(-half_width - offset, -0.5)
    np.clip(weights, 0, 1, out=weights)
    if profile is None:
        return weights
    columns = np.arange(offset.shape[1])
    edges = [np.rint(centre + side * half_width).astype(int) for side in (-1, 1)]
    first = np.broadcast_to(rows, offset.shape)[0]
    y, x = np.concatenate(edges) - np.tile(first, 2), np.tile(columns, 2)
    seen = (y >= 0) & (y < len(offset))
    y, x = y[seen], x[seen]
    half = np.broadcast_to(half_width, np.shape(centre))[x]
    upper, lower = np.minimum(half - offset[y, x], 0.5), np.maximum(-half - offset[y, x], -0.5)
    near = [np.clip(y + step, 0, len(profile) - 1) for step in (-1, 0, 1)]
    below, here, above = np.log(np.maximum([profile[row, x] for row in near], 1e-15))
    slope, bend = (above - below) / 2, (above + below - 2 * here) / 2
    # a pixel's mean is smoother than the light in it: take the width of the pixel out again
    sharper = 1 / (1 + np.maximum(bend, -3) / 6)

    def light(low, high):
        t = (low + high) / 2 + (high - low) / 2 * NODES[:, None]
        return (high - low) * (PARTS @ np.exp(sharper * t * (slope + bend * t)))

    weights[y, x] = light(lower, upper) / light(-0.5, 0.5)
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
    half_widths = np.asarray(half_widths, dtype=float)
    bad = noise.bad | ~np.isfinite(data)
    bad = bad if mask is None else bad | mask
    counts, good = np.where(bad, data.dtype.type(0), data), ~bad
    weights = [aperture_weights(rows, centre, half, profile) for half in half_widths]
    enclosed = np.array([np.einsum("yx,yx->x", w, profile) for w in weights])
    kept = profile * good
    kept = _ratio(np.array([np.einsum("yx,yx->x", w, kept) for w in weights]), enclosed)
    raise_by = _ratio(1.0, np.where(kept > 1e-9, kept, np.nan))
    effective, others = [w * good for w in weights], 0.0
    if neighbours is not None:
        effective, others = _without(effective, counts, *neighbours)
    flux = raise_by * np.array([np.einsum("yx,yx->x", w, counts) for w in effective])
    star = np.nan_to_num(np.mean(_ratio(flux, enclosed), axis=0))
    lit = np.maximum(star, 1e-3)  # never quite dark, so that its variance can be scaled below
    parts = noise.parts(lit * profile + others)
    if neighbours is not None:
        own = noise.parts(lit * profile)["star"]
        parts |= {"star": own, "others": parts["star"] - own}
    out = {name: np.zeros_like(flux) for name in (*COMPONENTS, "others")}
    squares = [w * w for w in effective]
    for name, part in parts.items():
        if np.ndim(part) or part != 0:
            part = np.broadcast_to(np.where(good, part, 0), good.shape)
            sums = [np.einsum("yx,yx->x", square, part) for square in squares]
            out[name] = raise_by**2 * np.array(sums)
    if noise.aperture_variance is not None:
        scaled = zip(effective, np.nan_to_num(raise_by), strict=True)
        out["skyfit"] = np.stack([noise.aperture_variance(w * r) for w, r in scaled])
    sigma = np.sqrt(sum(v[0] for v in out.values())) / np.maximum(enclosed[0], 1e-9)
    out["star"] = out["star"] * np.maximum(_steady(star, sigma), 0) / lit + out.pop("others")
    return BoxcarSums(flux, out, enclosed, 1 - kept)


def _without(apertures, counts, profiles, weights):
    """Weights of the apertures' sums when other stars' light is off, and that light."""
    weights = np.nan_to_num(weights)
    inside = [np.einsum("yx,kyx->kx", aperture, profiles) for aperture in apertures]
    effective = [
        aperture - np.einsum("kx,kyx->yx", share, weights)
        for aperture, share in zip(apertures, inside, strict=True)
    ]
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
