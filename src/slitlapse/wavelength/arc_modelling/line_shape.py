"""How is the light of one arc line spread over the pixels?"""

import numpy as np
from scipy.special import ndtr

__all__ = ["LineShape", "typical_widths"]

PHASES = 64  # of a pixel, at which a shape is worked out; between them it is interpolated
STEP = 0.02  # of numerical derivatives
CENTRE_FLOOR = 0.2  # of a line's height: weights of the fits that other lines' centres come from


def typical_widths(fwhm):
    """Parameters of a line of this width (pixels) that neither leans nor has wings."""
    return np.array([np.log(0.95 * fwhm / 2.3548), np.log(0.5 * fwhm), 0.0, 0.0])


class LineShape:
    """
    Shares of a line's light in the pixels near it, and how they change with its parameters.

    A Gaussian behind an evenly lit slit, which may lean and have wings (Gauss-Hermite functions of
    third and fourth order, van der Marel & Franx 1993), integrated over the pixels. All lines of an
    arc have one shape, so it is worked out once, at 64 places within a pixel, and not per line.

    Parameters
    ----------
    widths : array of shape (4,)
        Natural log of the Gaussian's width and of the slit's (pixels); parts of the light that
        lean and that are in wings.
    reach : int
        How many pixels on either side of a line's own have its light.

    Attributes
    ----------
    table : array of shape (6, PHASES + 1, 2 * reach + 1)
        The shares, their derivative by the line's place, and by each of the four widths.
    """

    def __init__(self, widths, reach):
        self.reach = reach
        edge = np.arange(-reach * PHASES - PHASES, (reach + 1) * PHASES + 1) / PHASES

        def shares(widths, moved=0.0):
            below = _below(edge - moved + _fitted_centre(widths), widths)
            light = below[PHASES:] - below[:-PHASES]
            # a line at phase p of its pixel: the later the phase, the earlier its neighbours' edges
            at = np.arange(PHASES, -1, -1)[:, None] + PHASES * np.arange(2 * reach + 1)
            return light[at]

        table = [shares(widths), (shares(widths, STEP) - shares(widths, -STEP)) / (2 * STEP)]
        for step in STEP * np.eye(len(widths)):
            table.append((shares(widths + step) - shares(widths - step)) / (2 * STEP))
        self.table = np.array(table)

    def first_pixel(self, centre):
        """Index of the first pixel that has light of lines at ``centre``."""
        return np.round(centre).astype(int) - self.reach

    def at(self, centre):
        """Rows of the table for lines at ``centre`` (pixels): shape (6, n_lines, 2 reach + 1)."""
        phase = (centre - np.round(centre) + 0.5) * PHASES
        below = np.minimum(phase.astype(int), PHASES - 1)
        part = (phase - below)[:, None]
        return (1 - part) * self.table[:, below] + part * self.table[:, below + 1]


def _fitted_centre(widths):
    """Where a Gaussian on a slope finds a leaning line, with the weights of `find_lines`."""
    if widths[2] == 0:
        return 0.0
    sigma, slit = np.exp(widths[:2])
    total = np.sqrt(sigma**2 + slit**2 / 12)
    edge = np.linspace(-5, 5, 101) * total
    x, light = 0.5 * (edge[1:] + edge[:-1]) / total, np.diff(_below(edge, widths))
    centre, width = 0.0, 1.0
    for _ in range(6):
        z = (x - centre) / width
        bell = np.exp(-0.5 * z**2)
        design = np.stack([bell, bell * z, bell * z**2, np.ones(len(x)), x], axis=1)
        weighted = design / (bell + CENTRE_FLOOR)[:, None]
        height, move, widen, *_ = np.linalg.solve(weighted.T @ design, weighted.T @ light)
        centre += width * np.clip(move / height, -0.5, 0.5)
        width *= np.exp(np.clip(widen / height, -0.2, 0.2))
    return total * centre


def _below(edge, widths):
    """Light below an edge: a Gaussian behind an evenly lit slit, leaning and with wings."""
    sigma, slit, lean, wings = *np.exp(widths[:2]), *widths[2:]
    upper, lower = (edge + slit / 2) / sigma, (edge - slit / 2) / sigma
    z = edge / np.sqrt(sigma**2 + slit**2 / 12)
    bell = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    # integrals of Gauss-Hermite functions of third and fourth order
    leaning = -(8 * z**2 + 4) * bell / np.sqrt(48)
    winged = (12 * ndtr(z) - 16 * z**3 * bell) / np.sqrt(384)
    even = sigma / slit * (_ramp(upper) - _ramp(lower))
    return even + lean * leaning + wings * winged


def _ramp(z):
    """Integral of the normal distribution function."""
    return z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
