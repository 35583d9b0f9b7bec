"""A star on the detector, from its spectrum and its profile, with photons that are counted."""

from dataclasses import dataclass

import numpy as np

from slitlapse.extraction.profiles import gaussian_profile, moffat_profile

__all__ = ["SimulatedStar", "add_hits", "add_hot_pixels", "simulate_star", "star_profile"]


@dataclass(frozen=True, eq=False)
class SimulatedStar:
    """
    A simulated frame and everything that is true of it.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_y, n_x)
        Noisy counts with the true sky and dark subtracted, electron / sensitivity.
    expected : `~numpy.ndarray`, shape (n_y, n_x)
        Star light without noise, electron / sensitivity.
    profile : `~numpy.ndarray`, shape (n_y, n_x)
        Fraction of the star's light in each pixel.
    variance : `~numpy.ndarray`, shape (n_y, n_x)
        True variance of ``data``.
    flux, centre, width : `~numpy.ndarray`, shape (n_x,)
        Light of the star (electron), its row and its Gaussian width (pixel).
    """

    data: np.ndarray
    expected: np.ndarray
    profile: np.ndarray
    variance: np.ndarray
    flux: np.ndarray
    centre: np.ndarray
    width: np.ndarray


def star_profile(family, rows, centre, width, *, beta=3.0):
    """
    Fraction of a star's light in each pixel, for several families of profiles.

    Parameters
    ----------
    family : {"gaussian", "moffat", "double", "asymmetric"}
        "double": 70 % in a Gaussian core, 30 % in one twice as wide, of the FWHM asked for.
        "asymmetric": two Gaussians of 75 % and 25 %, the second displaced by 0.8 widths; its
        centroid is at ``centre``.
    rows : `~numpy.ndarray`, shape (n_rows, n_x) or (n_rows, 1)
        Rows of the pixels.
    centre, width : `~numpy.ndarray`, shape (n_x,)
        Row of the star and its FWHM / 2.3548, pixel.
    beta : float
        Exponent of the Moffat profile.

    Returns
    -------
    `~numpy.ndarray`, shape (n_rows, n_x)
        Integrated over pixels.
    """
    width = np.asarray(width, dtype=float)
    if family == "gaussian":
        return gaussian_profile(rows, centre, width)
    if family == "moffat":
        return moffat_profile(rows, centre, width, beta)
    if family == "double":
        core = width * 0.9151  # 0.7 exp(-x^2/2) + 0.15 exp(-x^2/8) has FWHM 2.3548 / 0.9151
        return 0.7 * gaussian_profile(rows, centre, core) + 0.3 * gaussian_profile(
            rows, centre, 2 * core
        )
    if family == "asymmetric":
        main = gaussian_profile(rows, centre - 0.2 * width, width)
        return 0.75 * main + 0.25 * gaussian_profile(rows, centre + 0.6 * width, width)
    raise ValueError(
        f"There is no profile family '{family}': choose gaussian, moffat, double or asymmetric."
    )


def simulate_star(
    flux,
    shape,
    centre,
    width,
    *,
    rng,
    family="gaussian",
    beta=3.0,
    sky=0.0,
    dark=0.0,
    read_noise=0.0,
    sensitivity=1.0,
    keep_sky=False,
):
    """
    Put a star on the detector, count its photons and subtract the true sky and dark.

    Parameters
    ----------
    flux : float or `~numpy.ndarray`, shape (n_x,)
        Light of the star, electron per column at sensitivity 1.
    shape : tuple of int
        (n_y, n_x) of the frame.
    centre, width : float or `~numpy.ndarray`, shape (n_x,)
        Row of the star and its Gaussian width, pixel.
    rng : `~numpy.random.Generator`
        Source of randomness.
    family, beta
        As in `star_profile`.
    sky, dark, sensitivity : float or `~numpy.ndarray`, shape (n_y, n_x)
        Sky and dark counts (in the units of the corrected frame) and sensitivity of the pixels.
    read_noise : float or `~numpy.ndarray`, shape (n_y, n_x)
        Electron.
    keep_sky : bool
        Leave the sky in ``data``, as a frame has it before its sky is subtracted.

    Returns
    -------
    `SimulatedStar`
    """
    flux, centre, width = (
        np.broadcast_to(v, shape[1]).astype(float) for v in (flux, centre, width)
    )
    profile = star_profile(family, np.arange(shape[0])[:, None], centre, width, beta=beta)
    expected = flux * profile
    counts = rng.poisson((expected + sky + dark) * sensitivity)
    electrons = counts + read_noise * rng.normal(size=shape)
    variance = (expected + sky + dark) / sensitivity + (read_noise / sensitivity) ** 2
    data = electrons / sensitivity - dark - (0.0 if keep_sky else sky)
    return SimulatedStar(
        data, expected, profile, np.broadcast_to(variance, shape), flux, centre, width
    )


def add_hits(data, n_hits, *, rng, energy=2000.0, length=4.0):
    """
    Add cosmic-ray tracks to a frame.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_y, n_x)
        Frame; a new one is returned.
    n_hits : int
        Number of tracks.
    rng : `~numpy.random.Generator`
        Source of randomness.
    energy : float
        Median electrons of a track (log-normal, a factor of 2.7 at one sigma).
    length : float
        Mean length of a track, pixel (exponential).

    Returns
    -------
    struck : `~numpy.ndarray`, shape (n_y, n_x)
        Data with the tracks.
    hit : `~numpy.ndarray`, shape (n_y, n_x)
        Electrons of the tracks in each pixel.
    """
    hit = np.zeros(data.shape)
    for _ in range(n_hits):
        start = rng.random(2) * data.shape
        angle, reach = rng.random() * 2 * np.pi, rng.exponential(length)
        steps = max(int(4 * reach), 1)
        path = start[:, None] + np.array([[np.sin(angle)], [np.cos(angle)]]) * np.linspace(
            0, reach, steps
        )
        y, x = np.rint(path).astype(int)
        inside = (y >= 0) & (y < data.shape[0]) & (x >= 0) & (x < data.shape[1])
        np.add.at(hit, (y[inside], x[inside]), energy * np.exp(rng.normal()) / steps)
    return data + hit, hit


def add_hot_pixels(data, fraction, *, rng, level=3000.0):
    """
    Make some pixels hot.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_y, n_x)
        Frame; a new one is returned.
    fraction : float
        Fraction of the pixels that are hot.
    rng : `~numpy.random.Generator`
        Source of randomness.
    level : float
        Mean of their dark counts, electron (exponential).

    Returns
    -------
    heated : `~numpy.ndarray`, shape (n_y, n_x)
        Data with the hot pixels.
    hot : `~numpy.ndarray` of bool, shape (n_y, n_x)
        Where they are.
    """
    hot = rng.random(np.shape(data)) < fraction
    return data + hot * rng.exponential(level, np.shape(data)), hot
