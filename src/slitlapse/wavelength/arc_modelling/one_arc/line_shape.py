"""How is the light of one arc line spread over the pixels?"""

import numpy as np
from numpy.polynomial import legendre
from scipy.special import ndtr

__all__ = ["N_TERMS", "N_WIDTHS", "LineShape", "typical_widths", "width_terms"]

N_WIDTHS, N_TERMS = 4, 3  # parameters of a shape, and Legendre terms of each along the detector
PHASES = 64  # of a pixel, at which a shape is worked out; between them it is interpolated
N_PLACES = 5  # along the detector, likewise
TERMS = legendre.legvander(np.linspace(-1, 1, N_PLACES), N_TERMS - 1)
CENTRE_FLOOR = 0.2  # of a line's height: weights of the fits that other lines' centres come from


def typical_widths(fwhm):
    """Widths of lines of this width (pixels) that neither lean nor have wings, everywhere alike."""
    widths = np.zeros((N_WIDTHS, N_TERMS))
    widths[:2, 0] = np.log(0.95 * fwhm / 2.3548), np.log(0.5 * fwhm)
    return widths


def width_terms(along):
    """How much each Legendre term of a width counts for lines there: shape (n_lines, N_TERMS)."""
    near, far = _between(along)
    return (1 - far)[:, None] * TERMS[near] + far[:, None] * TERMS[near + 1]


def _between(along):
    """The last of the places before each line, and what part of the way to the next it is."""
    place = (np.clip(along, -1, 1) + 1) * 0.5 * (N_PLACES - 1)
    near = np.minimum(place.astype(int), N_PLACES - 2)
    return near, place - near


class LineShape:
    """
    Shares of a line's light in the pixels near it, and how they change with its parameters.

    A Gaussian behind an evenly lit slit, which may lean and have wings (Gauss-Hermite functions of
    third and fourth order, van der Marel & Franx 1993), integrated over the pixels. Its parameters
    change slowly along the detector, as the focus does. So it is worked out at five places along
    the detector and 64 within a pixel, and interpolated for the lines.

    Parameters
    ----------
    widths : array of shape (4, 3)
        Natural log of the Gaussian's width and of the slit's (pixels), parts of the light that
        lean and that are in wings: each a Legendre series along the detector (-1 to +1).
    reach : int
        How many pixels on either side of a line's own have its light.

    Attributes
    ----------
    tables : array of shape (N_PLACES, 6, PHASES + 1, 2 * reach + 1)
        The shares, their derivative by the line's place, and by each of the four widths.
    """

    def __init__(self, widths, reach):
        self.reach = reach
        places = TERMS @ widths.T
        edge = np.arange(-reach * PHASES - PHASES, (reach + 1) * PHASES + 1) / PHASES
        below = _below(edge, places.T[:, :, None], _centre_per_lean(widths[:, 0]))
        light = below[..., PHASES:] - below[..., :-PHASES]
        # a line at phase p of its pixel: the later the phase, the earlier its neighbours' edges
        at = np.arange(PHASES, -1, -1)[:, None] + PHASES * np.arange(2 * reach + 1)
        self.tables = np.moveaxis(light[..., at], 1, 0)

    def first_pixel(self, centre):
        """Index of the first pixel that has light of lines at ``centre``."""
        return np.round(centre).astype(int) - self.reach

    def at(self, centre, along):
        """
        Shares of lines and their derivatives.

        Parameters
        ----------
        centre : array of shape (n_lines,)
            Pixels.
        along : array of shape (n_lines,)
            The same, with -1 to +1 for the whole detector.

        Returns
        -------
        shares : array of shape (6, n_lines, 2 * reach + 1)
        """
        phase = (centre - np.round(centre) + 0.5) * PHASES
        early = np.minimum(phase.astype(int), PHASES - 1)
        late, (near, far) = phase - early, _between(along)
        shares = 0.0
        for i, at_place in ((near, 1 - far), (near + 1, far)):
            for j, at_phase in ((early, 1 - late), (early + 1, late)):
                shares = shares + (at_place * at_phase)[:, None, None] * self.tables[i, :, j]
        return np.moveaxis(shares, 1, 0)


def _centre_per_lean(widths):
    """
    Where a Gaussian on a slope finds lines, per part of the light that leans, in total widths.

    With the weights of `find_lines`: both then speak of the same centre.
    """
    widths = widths + [0, 0, 0.1 - widths[2], 0]
    total = _total(*np.exp(widths[:2]))
    edge = np.linspace(-5, 5, 101) * total
    x = 0.5 * (edge[1:] + edge[:-1]) / total
    light = np.diff(_below(edge, widths, 0.0)[0])
    centre, width = 0.0, 1.0
    for _ in range(6):
        z = (x - centre) / width
        bell = np.exp(-0.5 * z**2)
        design = np.stack([bell, bell * z, bell * z**2, np.ones(len(x)), x], axis=1)
        weighted = design / (bell + CENTRE_FLOOR)[:, None]
        height, move, widen, *_ = np.linalg.solve(weighted.T @ design, weighted.T @ light)
        centre += width * np.clip(move / height, -0.5, 0.5)
        width *= np.exp(np.clip(widen / height, -0.2, 0.2))
    return centre / widths[2]


def _total(sigma, slit):
    return np.sqrt(sigma**2 + slit**2 / 12)


def _below(edge, widths, per_lean):
    """
    Light below an edge, and its derivatives by the line's place and by its widths.

    The line's place is where a fit finds it: ``per_lean`` times how much it leans from zero. That
    factor is held while derivatives are taken.
    """
    (sigma, slit), (lean, wings) = np.exp(widths[:2]), widths[2:]
    total = _total(sigma, slit)
    edge = edge + per_lean * lean * total
    upper, lower, z = (edge + slit / 2) / sigma, (edge - slit / 2) / sigma, edge / total
    above, under = ndtr(upper), ndtr(lower)
    tip, toe, bell = (np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi) for x in (upper, lower, z))
    even = sigma / slit * (upper * above + tip - lower * under - toe)
    # integrals of Gauss-Hermite functions of third and fourth order, and the functions
    leaning, winged = -(8 * z**2 + 4) * bell / np.sqrt(48), 12 * ndtr(z) - 16 * z**3 * bell
    winged = winged / np.sqrt(384)
    skewed = (8 * z**3 - 12 * z) * bell / np.sqrt(48)
    peaked = (16 * z**4 - 48 * z**2 + 12) * bell / np.sqrt(384)
    scaled = (lean * skewed + wings * peaked) * -z  # by the log of the total width
    density = (above - under) / slit + (lean * skewed + wings * peaked) / total
    shift = density * per_lean * total
    part = sigma**2 / total**2
    by_sigma = sigma / slit * (tip - toe) + part * (scaled + lean * shift)
    by_slit = 0.5 * (above + under) - even + (1 - part) * (scaled + lean * shift)
    below = even + lean * leaning + wings * winged
    return np.stack([below, -density, by_sigma, by_slit, leaning + shift, winged])
