"""What would this sky look like on the detector? Exactly integrated over pixels."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

__all__ = ["LineShape", "SkyScene", "SkySpectrum", "sky_image", "sky_scene"]


@dataclass(frozen=True)
class SkySpectrum:
    """
    A sky of emission lines on a smooth continuum, per effective pixel.

    Parameters
    ----------
    centres : array, shape (n_lines,)
        Effective pixels of the lines.
    fluxes : array, shape (n_lines,)
        Electrons in each line, per row of the slit.
    sigma : float
        Gaussian line spread, in pixels, before the pixel's own width.
    continuum : array, shape (n_terms,)
        Electrons per pixel and row, as coefficients of 1, u, u^2, ... in effective pixels.

    Examples
    --------
    >>> from slitlapse.sky.simulate import SkySpectrum
    >>> spectrum = SkySpectrum([50.2], [1000.0], 1.5, [10.0])
    >>> float(spectrum.between(0, 100))
    2000.0
    """

    centres: np.ndarray
    fluxes: np.ndarray
    sigma: float
    continuum: tuple = (0.0,)

    def between(self, low, high):
        """Return the electrons between two effective pixels (arrays of the same shape)."""
        low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        integral = np.polynomial.Polynomial(self.continuum).integ()
        total = np.asarray(integral(high) - integral(low))
        for centre, flux in zip(self.centres, self.fluxes, strict=True):
            # beyond 8 sigma a Gaussian holds less than 1e-14
            near = (high > centre - 8 * self.sigma) & (low < centre + 8 * self.sigma)
            edges = [(edge[near] - centre) / self.sigma for edge in (low, high)]
            total[near] += flux * (ndtr(edges[1]) - ndtr(edges[0]))
        return total


@dataclass(frozen=True)
class LineShape:
    """
    Where lines lie on the detector: tilted, curved, and stretched along the spectrum.

    Parameters
    ----------
    tilt : float
        Pixels that a line moves along the dispersion from the first to the last row.
    curvature : float
        Pixels by which its middle lies off the straight line between its ends.
    twist : float
        Change of the tilt from the first to the last column, in pixels.
    shape : (int, int)
        Shape (n_y, n_x) of the image.
    """

    tilt: float = 6.0
    curvature: float = 1.5
    twist: float = 0.5
    shape: tuple = (400, 2048)

    def __call__(self, x, y):
        """Return the effective pixel at ``x``, ``y`` (arrays, pixels); at mid slit it is x."""
        n_y, n_x = self.shape
        v = (y - (n_y - 1) / 2) / n_y  # -0.5 ... 0.5 along the slit
        return x - v * (self.tilt + self.twist * (x / n_x - 0.5)) + 4 * self.curvature * v**2

    def image(self):
        """Return the effective pixel of every pixel, array, shape (n_y, n_x)."""
        y, x = np.indices(self.shape, dtype=float)
        return self(x, y)


def sky_image(spectrum, line_shape, illumination=None):
    """
    Draw the sky on the detector, integrated over every pixel.

    Parameters
    ----------
    spectrum : `SkySpectrum`
        What the sky emits.
    line_shape : `LineShape`
        Where its lines lie.
    illumination : callable, optional
        Share of light that the slit lets through at row y (float array); 1 by default.

    Returns
    -------
    array, shape (n_y, n_x)
        Electrons. A pixel gets what lies between the effective pixels of its left and right
        edge, averaged over its height by 3-point Gauss-Legendre quadrature (exact to 1e-9 for
        lines that move by less than 0.1 pixel per row).
    """
    n_y, n_x = line_shape.shape
    edges = np.arange(n_x + 1) - 0.5
    nodes, weights = np.polynomial.legendre.leggauss(3)
    image = np.zeros(line_shape.shape)
    for node, weight in zip(nodes / 2, weights / 2, strict=True):
        y = np.arange(n_y)[:, np.newaxis] + node
        effective = line_shape(edges, y)
        light = spectrum.between(effective[:, :-1], effective[:, 1:])
        image += weight * light * (1.0 if illumination is None else illumination(y))
    return image


@dataclass(frozen=True)
class SkyScene:
    """
    A slit with sky and stars of which everything is known.

    Parameters
    ----------
    sky, stars : array, shape (n_y, n_x)
        Electrons of sky, and of all stars.
    effective_pixel : array, shape (n_y, n_x)
        Where the lines lie.
    traces : array, shape (n_stars, n_x)
        Rows of the stars.
    read_noise : float
        In electron.
    hits : float
        Pixels hit by cosmic rays, per pixel.
    """

    sky: np.ndarray
    stars: np.ndarray
    effective_pixel: np.ndarray
    traces: np.ndarray
    read_noise: float
    hits: float = 0.0

    @property
    def variance(self):
        """Variance of every pixel, stars included, array, shape (n_y, n_x)."""
        return self.sky + self.stars + self.read_noise**2

    def far_from_stars(self, distance):
        """Return a boolean image that is True further than ``distance`` rows from all stars."""
        y = np.arange(len(self.sky))[:, np.newaxis, np.newaxis]
        return np.all(np.abs(y - self.traces) > distance, axis=1)

    def aperture(self, star, rows=17):
        """Return an image that is 1 in the ``rows`` rows nearest to a star, and else 0."""
        y = np.arange(len(self.sky))[:, np.newaxis]
        return (np.abs(y - np.rint(self.traces[star])) <= (rows - 1) / 2).astype(float)

    def observe(self, rng):
        """
        Take one exposure.

        Returns
        -------
        data : array, shape (n_y, n_x)
            Electrons, with photon and read noise and cosmic rays.
        hit : array of bool, shape (n_y, n_x)
            Where cosmic rays are.
        """
        data = rng.poisson(self.sky + self.stars) + rng.normal(0, self.read_noise, self.sky.shape)
        hit = rng.random(self.sky.shape) < self.hits
        data[hit] += rng.exponential(3000, np.count_nonzero(hit))
        return data, hit


def sky_scene(
    shape=(400, 2048), *, rng, rows=(130, 275), fluxes=(19000.0, 7000.0), n_lines=120,
    brightest=30000.0, gradient=0.10, bow=0.02, sigma=1.5, line_shape=None, read_noise=4.5,
    hits=1.1e-3,
):  # fmt: skip
    """
    Set up a long slit with two Moffat stars on curved traces and tilted, curved sky lines.

    Parameters
    ----------
    shape : (int, int)
        Shape (n_y, n_x).
    rng : `numpy.random.Generator`
        Places the lines.
    rows, fluxes : list of float
        Rows of the stars at mid detector, and their electrons per column.
    n_lines, brightest : int, float
        Number of sky lines, and the electrons per row of the brightest; the others are spread
        evenly in the logarithm over three decades.
    gradient, bow : float
        Change of the slit's illumination from end to end, and its curvature.
    sigma : float
        Line spread, in pixels.
    line_shape : `LineShape`, optional
        Where the lines lie; tilted by 6 pixels over the slit by default.
    read_noise, hits : float
        As in `SkyScene`; 1.1e-3 is 360 tracks of 3 pixels per million pixels.

    Returns
    -------
    `SkyScene`
    """
    n_y, n_x = shape
    line_shape = LineShape(shape=shape) if line_shape is None else line_shape
    spectrum = SkySpectrum(
        rng.uniform(-10, n_x + 10, n_lines), brightest * 10 ** -rng.uniform(0, 3, n_lines),
        sigma, (30.0, 60.0 / n_x),
    )  # fmt: skip

    def illumination(y):
        v = (y - (n_y - 1) / 2) / n_y
        return 1 + gradient * v + bow * (1 - 12 * v**2)

    x = np.arange(n_x)
    traces = np.array(rows)[:, np.newaxis] + 7.3 * (x / n_x - 0.5) ** 2 * 4 - 2.0
    y = np.arange(n_y)[:, np.newaxis]
    stars = np.zeros(shape)
    for trace, flux in zip(traces, fluxes, strict=True):
        alpha = 5.5 / 2 / np.sqrt(2 ** (1 / 3) - 1)  # Moffat of index 3, FWHM 5.5 pixels
        edges = [(y + side - trace) / alpha for side in (-0.5, 0.5)]
        stars += flux * (_moffat_integral(edges[1]) - _moffat_integral(edges[0]))
    sky = sky_image(spectrum, line_shape, illumination)
    return SkyScene(sky, stars, line_shape.image(), traces, read_noise, hits)


def _moffat_integral(t):
    """Return the share of a Moffat line profile of index 3 below t (units of alpha)."""
    # the antiderivative of (1 + t^2)^-3, divided by its integral over all t, 3 pi / 8
    square = 1 + t**2
    return 0.5 + (t / (4 * square**2) + 3 * t / (8 * square) + 3 / 8 * np.arctan(t)) * 8 / 3 / np.pi
