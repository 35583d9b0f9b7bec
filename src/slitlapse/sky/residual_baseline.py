"""Is anything left beside the star once the sky is taken away?"""

import numpy as np
from astropy import units as u
from astropy.table import QTable

__all__ = ["residual_baseline"]


def residual_baseline(
    subtracted, variance, traces, *, inner=15.0, outer=35.0, mask=None, sky_variance=None,
    sigma=5.0,
):  # fmt: skip
    """
    Measure the level that is left on each side of each star.

    A level that differs from zero by many of its standard deviations shows a sky that was not
    followed, the wings of a star, or a neighbour; one that changes in the course of a night
    shows up in the light curve. A region where two stars meet is measured for both.

    Parameters
    ----------
    subtracted : array, shape (n_y, n_x)
        Image minus sky, in electron.
    variance : array, shape (n_y, n_x)
        Variance of its pixels, from the noise model.
    traces : list of Trace or array, shape (n_x,), or number
        The stars.
    inner, outer : float
        Distance from the star of the two edges of each side, in pixels.
    mask : array of bool, shape (n_y, n_x), optional
        True on bad pixels and on other stars.
    sky_variance : callable, optional
        ``aperture_variance`` of the sky model, for the share of the sky's own error.
    sigma : float or None
        Pixels further than this from zero, in units of their noise and of the scatter of
        their column, are left out (cosmic rays).

    Returns
    -------
    `~astropy.table.QTable`
        A row per star and side with columns ``star`` (number), ``side`` ("below", "above"),
        ``level`` and ``uncertainty`` (electron per pixel, mean over all columns), ``pull``
        (their ratio), ``scatter`` (root mean square of the pixels over their noise), ``n_pixels``,
        and ``levels`` (per column, shape (n_x,), NaN where nothing is left).

    Raises
    ------
    ValueError
        If ``inner`` is not smaller than ``outer``.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky import residual_baseline
    >>> image = np.zeros((100, 50))
    >>> image[60:] = 2.0  # something was left above the star
    >>> table = residual_baseline(image, np.full(image.shape, 9.0), [45.0])
    >>> print(table["side", "level"])
     side  level
          electron
    ----- --------
    below      0.0
    above      2.0
    """
    if not 0 <= inner < outer:
        raise ValueError(f"inner = {inner} must be smaller than outer = {outer}, both positive.")
    subtracted, variance = np.asarray(subtracted, dtype=float), np.asarray(variance, dtype=float)
    good = np.isfinite(subtracted) & (variance > 0)
    if mask is not None:
        good &= ~mask
    y = np.arange(len(subtracted))[:, np.newaxis]
    rows = []
    for star, trace in enumerate(traces):
        # an array's own ``trace`` is a method: the sum of its diagonal
        position = trace if isinstance(trace, np.ndarray) else getattr(trace, "trace", trace)
        offset = y - np.asarray(np.ma.getdata(position), dtype=float)
        for side, sign in (("below", -1), ("above", 1)):
            use = good & (sign * offset >= inner) & (sign * offset <= outer)
            rows.append((star, side, *_level(subtracted, variance, use, sky_variance, sigma)))
    names = ["star", "side", "level", "uncertainty", "pull", "scatter", "n_pixels", "levels"]
    table = QTable(rows=rows, names=names)
    for name in ("level", "uncertainty", "levels"):
        table[name] = table[name] * u.electron
    return table


def _level(data, variance, use, sky_variance, sigma):
    """Return level, uncertainty, pull, scatter, number of pixels, and the level per column."""
    pull = np.where(use, data / np.sqrt(np.where(use, variance, 1.0)), np.nan)
    if sigma is not None and use.any():
        columns = np.flatnonzero(use.any(axis=0))
        scatter = np.ones(use.shape[1])
        middle = np.nanmedian(np.abs(pull[:, columns]), axis=0)
        scatter[columns] = np.maximum(1.4826 * middle, 1.0)
        use = use & (np.abs(np.nan_to_num(pull)) <= sigma * scatter)
    count = use.sum(axis=0)
    known = count > 0
    if not known.any():
        return np.nan, np.nan, np.nan, np.nan, 0, np.full(use.shape[1], np.nan)
    sums = np.sum(data, axis=0, where=use)
    levels = np.where(known, sums / np.maximum(count, 1), np.nan)
    per_column = np.sum(variance, axis=0, where=use)
    if sky_variance is not None:
        per_column = per_column + np.where(known, sky_variance(1.0 * use), 0.0)
    per_column = per_column[known] / count[known] ** 2
    # columns weigh by their noise: a bright sky line tells little about the level
    weight = 1 / per_column / np.sum(1 / per_column)
    level, uncertainty = np.sum(weight * levels[known]), np.sqrt(np.sum(weight**2 * per_column))
    rms = np.sqrt(np.mean(pull[use] ** 2))
    return level, uncertainty, level / uncertainty, rms, int(count.sum()), levels
