"""Bands of the air deepen with the airmass: which pixels do so together, and how much by?"""

import numpy as np
from scipy.ndimage import label

__all__ = ["log_depth", "number_bands", "slope_in_depth"]

FAINTEST = 1e-3  # of the light beside a band: nothing is known about what absorbs more
N_PLACES = 16  # in a band, where a star's lines could also lie
JOINT = 4  # pixels beside the joint of lines that have been moved round
SATURATED = 0.2  # of a depth deepens at least


def number_bands(telluric, pad):
    """
    Number the runs of True, and the knots of a template that they may reach.

    Parameters
    ----------
    telluric : array-like of bool, shape (n_pixels,), or None
    pad : int
        Knots of the template beyond each end of the detector.

    Returns
    -------
    bands : array of int, shape (n_pixels + 2 * pad,)
        0 outside of bands.
    """
    return np.pad(label(np.asarray(telluric, bool))[0], pad)


def log_depth(values, bands):
    """
    Guess the logarithm of each band's transmission: light over that beside the deepest lines.

    Parameters
    ----------
    values : array of shape (n_knots,)
        The template.
    bands : array of int, shape (n_knots,)
        As of `number_bands`.

    Returns
    -------
    array of shape (n_knots,)
        Zero outside of bands, and where a band's light is brightest in each half of it.
    """
    result = np.zeros(len(values))
    for number in range(1, bands.max() + 1):
        at = np.flatnonzero(bands == number)
        halves, top = np.array_split(np.arange(len(at)), 2), np.ones(len(at))
        for _ in range(3):  # brightest beside a slope, too
            ends = [half[(values[at] / top)[half].argmax()] for half in halves if len(half)]
            top = np.maximum(np.interp(np.arange(len(at)), ends, values[at][ends]), 1e-300)
            if len(ends) > 1 and np.ptp(values[at][ends]) < values[at][ends].min():
                slope = np.diff(values[at][ends])[0] / max(np.diff(ends)[0], 1)
                line = values[at][ends[0]] + slope * (np.arange(len(at)) - ends[0])
                top = np.maximum(line, 0.1 * top)
        ratio = values[at] / top
        result[at] = np.log(np.clip(ratio, FAINTEST, 1.0))
    return result


def slope_in_depth(pattern, log_light, weight):
    """
    How much of a template's slope is in the pattern of what deepens, by mistake?

    A pattern that contains ``c`` times the slope moves a spectrum by ``c`` pixels per unit of
    depth, so depth and shift can be told apart only by knowing what the air's pattern looks like:
    like the logarithm of the light (times something, as lines saturate), but for the star's lines.
    Those are outliers here (Cauchy's weights). Where they happen to lie on slopes they leave an
    error; how large it is, the same lines tell when moved to other places in the band.

    Parameters
    ----------
    pattern, log_light, weight : array of shape (n_knots,)
        Of one band: what deepens, the logarithm of the template, and the information on it.

    Returns
    -------
    slope_part, variance : float
    """
    slope = np.gradient(log_light)
    (part, likeness, *_), star = _without_star(pattern, log_light, slope, weight)
    star = star / max(likeness, SATURATED)
    others = []
    for lag in np.linspace(0, len(star), N_PLACES + 2).astype(int)[1:-1]:
        moved = log_light - star + np.roll(star, lag)
        apart = weight * (np.abs(np.arange(len(star)) - lag) > JOINT)
        answer, _ = _without_star(pattern - part * slope, moved, np.gradient(moved), apart)
        others.append(answer[0])
    spectrum = np.abs(np.fft.rfft(star - star.mean(), 2 * len(star))) ** 2
    n_lines = spectrum.sum() ** 2 / np.maximum((spectrum**2).sum(), 1e-300)  # as if independent
    return part, np.mean(np.square(others)) * n_lines / max(n_lines - len(answer), 1.0)


def _without_star(pattern, log_light, slope, weight):
    """Pattern as slope, logarithm of the light and a straight line; and minus what is left."""
    flat = np.ones(len(pattern))
    design = np.stack([slope, log_light, flat, np.linspace(-1, 1, len(flat))], axis=1)
    robust = flat
    for _ in range(12):
        both = (weight * robust)[:, None]
        answer = np.linalg.pinv(design.T @ (both * design), hermitian=True) @ (
            design.T @ (both[:, 0] * pattern)
        )
        rest = design @ answer - pattern
        spread = 1.4826 * np.median(np.abs(rest[weight > 0])) + 1e-12
        robust = 1 / (1 + (rest / spread) ** 2)
    return answer, rest
