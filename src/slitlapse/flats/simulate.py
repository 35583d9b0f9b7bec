"""Backward: a detector's sensitivity, and the light of a flat-field lamp through a slit."""

import numpy as np
from scipy.special import erf

__all__ = ["make_lamp_image", "make_sensitivity"]


def make_sensitivity(shape, *, rng, scatter=0.01, dead_columns=(), n_dead=0, n_dust=0, fringes=0.0):
    """
    Invent the sensitivity of a detector's pixels.

    Parameters
    ----------
    shape : tuple of int
        (n_y, n_x)
    rng : `~numpy.random.Generator`
    scatter : float
        Standard deviation from pixel to pixel.
    dead_columns : sequence of int
        Columns that see 2 % of the light.
    n_dead : int
        Single pixels that do.
    n_dust : int
        Grains of dust that take up to 10 % of the light over a few pixels.
    fringes : float
        Amplitude of fringes, growing from the middle to the end of the dispersion.

    Returns
    -------
    float `~numpy.ndarray`, shape (n_y, n_x)
    """
    n_y, n_x = shape
    y, x = np.mgrid[:n_y, :n_x]
    sensitivity = 1 + scatter * rng.normal(size=shape)
    for _ in range(n_dust):
        y0, x0, size = rng.uniform(0, n_y), rng.uniform(0, n_x), rng.uniform(1.5, 4)
        distance = ((y - y0) ** 2 + (x - x0) ** 2) / size**2
        sensitivity *= 1 - rng.uniform(0.02, 0.1) * np.exp(-0.5 * distance)
    if fringes:
        growth = np.clip(2 * x / n_x - 1, 0, 1)
        sensitivity *= 1 + fringes * growth * np.sin(2 * np.pi * (x / 22 + y / 90))
    sensitivity[:, list(dead_columns)] = 0.02
    sensitivity[rng.integers(0, n_y, n_dead), rng.integers(0, n_x, n_dead)] = 0.02
    return sensitivity


def make_lamp_image(
    shape, *, peak=30000.0, blue_end=0.02, slits=((0.1, 0.9),), slope=0.0, curve=0.0, blur=1.5
):
    """
    Light of a lamp, in electron, as a detector of even sensitivity would get it.

    Parameters
    ----------
    shape : tuple of int
        (n_y, n_x), dispersion along x, blue at x = 0.
    peak : float
        Largest number of electrons.
    blue_end : float
        Brightness at x = 0 relative to the peak.
    slits : sequence of (float, float)
        Edges of the slits, as fractions of n_y.
    slope, curve : float
        By how many pixels edges move from one end to the other, and bow in the middle.
    blur : float
        Width (sigma, pixels) of the edges.

    Returns
    -------
    float `~numpy.ndarray`, shape (n_y, n_x)
    """
    n_y, n_x = shape
    t = np.linspace(0, 1, n_x)
    spectrum = blue_end + (1 - blue_end) * np.sin(0.5 * np.pi * t**0.8) ** 2
    spectrum *= 1 - 0.15 * np.exp(-0.5 * ((t - 0.6) / 0.06) ** 2)
    shift = slope * (t - 0.5) + curve * (2 * t - 1) ** 2
    y = np.arange(n_y)[:, None] - shift
    step = lambda edge: 0.5 * (1 + erf((y - edge) / (np.sqrt(2) * blur)))  # noqa: E731
    light = np.zeros(shape)
    for low, high in slits:
        light += step(low * n_y) - step(high * n_y)
    illumination = 1 - 0.1 * ((y - 0.45 * n_y) / n_y) ** 2 - 0.04 * (y / n_y)
    image = light * illumination * spectrum
    return peak * image / image.max()
