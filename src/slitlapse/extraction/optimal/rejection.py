"""Which pixels of a column tell another story than the star does?"""

import numpy as np

__all__ = ["reject_outliers"]


def reject_outliers(columns, found, reject_sigma, profile_error=0.0):
    """
    Reject pixels until those that are left agree with the stars.

    Parameters
    ----------
    columns : `~slitlapse.extraction.optimal.column_fit.Columns`
        Its ``good`` is changed in place; so is its ``data`` where the profile misses light all
        along the trace, so hand in a copy.
    found : `~numpy.ndarray`, shape (n_term, n_x)
        Coefficients fitted to all good pixels; changed in place.
    reject_sigma : float
        Standard deviations beyond which the worst pixel of a column goes.
    profile_error : float
        Fraction by which the profile may be wrong.

    Returns
    -------
    bool
        Whether a pixel was rejected.
    """
    usable, n_star = columns.good.copy(), columns.n_star
    variance = columns.variance(found[:n_star])
    usual = _usual_misfit(columns, found, variance)
    if usual.max() > 2:  # the profile is not quite right: take out what it misses everywhere
        good, missed = columns.good, _missed_light(columns, found)
        columns.data -= np.where(good, missed, 0)
        found[:], variance, _ = columns.converge(found[:n_star])
        usual = _usual_misfit(columns, found, variance)
    if profile_error > 0:
        usual = usual + (profile_error * columns.light(found[:n_star])) ** 2 / variance
    _reject(columns, found, usual, reject_sigma)
    lost = np.flatnonzero((usable != columns.good).any(axis=0))
    if lost.size:
        _second_opinion(columns, found, usable, usual, reject_sigma, lost)
        _reject_neighbours(columns, found, usable, usual)
    return bool(lost.size)


def _usual_misfit(columns, found, variance, block=256):
    """
    Median squared residual of each row, in units of its variance, along the trace.

    It is 1 for a perfect profile. Every second column of a block is enough.
    """
    chi = (columns.data - columns.model(found)) ** 2 / variance
    chi[~columns.good] = np.nan
    middles = []
    for start in range(0, chi.shape[1], block):
        ordered = np.sort(chi[:, start : start + block : 2], axis=1)  # NaN goes last
        number = np.isfinite(ordered).sum(axis=1, keepdims=True)
        middle = np.take_along_axis(ordered, number // 2 - (number > 0), axis=1)
        middles.append(np.where(number > 10, middle / 0.4549, 1))
    usual = np.maximum(np.concatenate(middles, axis=1), 1)
    return usual[:, np.arange(chi.shape[1]) // block].astype(chi.dtype)


def _missed_light(columns, found, block=32):
    """
    Light that the profile misses, or has too much, in the same row along the trace.

    The median, over stretches of the trace, of the residual in units of the stars' light, with
    straight lines from stretch to stretch.
    """
    n_rows, n_x = columns.data.shape
    light = np.maximum(np.nan_to_num(found[: columns.n_star]), 0).sum(axis=0)
    share = (columns.data - columns.model(found)) / np.maximum(light, 1e-3)
    share[~columns.good] = np.nan
    n_block = -(-n_x // block)
    padded = np.full((n_rows, n_block * block), np.nan, dtype=share.dtype)
    padded[:, :n_x] = share
    middle = np.nan_to_num(_median(padded.reshape(n_rows, n_block, block)))
    place = np.clip((np.arange(n_x) + 0.5) / block - 0.5, 0, n_block - 1)
    left = np.minimum(place.astype(int), max(n_block - 2, 0))
    right = np.minimum(left + 1, n_block - 1)
    part = (place - left).astype(share.dtype)
    return ((1 - part) * middle[:, left] + part * middle[:, right]) * light


def _badness(part, found, usual):
    """Squared residual of each good pixel over what it should be, and the residual."""
    variance = part.variance(found[: part.n_star])
    residual = part.data - part.model(found)
    residual *= part.good
    if len(part.design) == 1:
        leverage = part.design[0] * part.design[0]
        leverage *= part.good / variance
        leverage /= np.maximum(leverage.sum(axis=0), 1e-30)
    else:
        weights = part.solve(found[: part.n_star], want_weights=True)[2]
        leverage = (weights * part.design).sum(axis=0)
    np.subtract(1, leverage, out=leverage)
    np.maximum(leverage, 0.02, out=leverage)
    leverage *= variance
    leverage *= usual
    return residual**2 / leverage, residual


def _reject(columns, found, usual, reject_sigma):
    """Reject the worst pixel of a column and fit it again, while there is one."""
    x = np.arange(columns.data.shape[1])
    while x.size:
        part = columns.pick(x)
        badness, _ = _badness(part, found[:, x], usual[:, x])
        x, worst = _worst(badness, x, reject_sigma**2)
        columns.good[worst, x] = False
        if x.size:
            found[:, x] = columns.pick(x).converge(found[: columns.n_star, x])[0]


def _worst(badness, x, limit):
    """Columns with a pixel beyond the limit, and the row of their worst one."""
    high = badness.max(axis=0) > limit  # NaN is not
    return x[high], badness[:, high].argmax(axis=0)


def _reject_neighbours(columns, found, usable, usual, threshold=3.0):
    """Let the neighbours of rejected pixels go at a lower threshold: the rest of a track."""
    y, x = np.nonzero(usable != columns.good)
    steps = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    shape = np.array(usable.shape)
    while y.size:
        near = np.clip(np.stack([y, x], axis=1)[:, None] + steps, 0, shape - 1).reshape(-1, 2)
        x = np.unique(near[:, 1])
        badness, residual = _badness(columns.pick(x), found[:, x], usual[:, x])
        high = (badness > threshold**2) & (residual > 0)
        y, place = near[:, 0], np.searchsorted(x, near[:, 1])
        hit = np.unique(np.stack([y, place])[:, high[y, place]], axis=1)
        y, x = hit[0], x[hit[1]]
        columns.good[y, x] = False
        again = np.unique(x)
        if again.size:
            found[:, again] = columns.pick(again).converge(found[: columns.n_star, again])[0]


def _second_opinion(columns, found, usable, usual, reject_sigma, x, reach=5):
    """
    Fit columns that lost pixels again, starting from the brightness of their neighbours.

    A track along the slit can hide most of a star: then the pixels that disagree with the fit
    are the good ones. Of the two solutions the one of smaller cost stays, the cost being that of
    Gaussian pixels whose misfit counts ``reject_sigma`` at most, and of a spectrum that stays
    within what the next two columns on either side say, unless eight pixels speak against it.
    """
    if not x.size:
        return
    limit, n_star = reject_sigma**2, columns.n_star
    around = x[:, None] + np.r_[-reach:0, 1 : reach + 1]
    around = np.clip(around, 0, columns.data.shape[1] - 1)
    here, scale = columns.pick(x), usual[:, x]
    there = columns.pick(x)
    everything, flux = usable[:, x], _median(found[:n_star][:, around])
    close = np.nan_to_num(found[:n_star][:, around[:, reach - 2 : reach + 2]])
    lowest, highest = close.min(axis=2), close.max(axis=2)
    coefficients = np.zeros_like(found[:, x])
    coefficients[:n_star] = flux

    def misfit(part, coefficients):
        variance = part.variance(coefficients[:n_star])
        return (part.data - part.model(coefficients)) ** 2 / (variance * scale), variance

    trial = coefficients.copy()
    for _ in range(5):
        before = there.good
        there.good = everything & (misfit(there, trial)[0] < limit)
        if np.array_equal(before, there.good):
            break
        coefficients, _, sigma = there.converge(coefficients[:n_star])
        trial = coefficients.copy()
        # where little of the star is left, the neighbours know better what to expect
        vague = ~(np.abs(trial[:n_star] - flux) > reject_sigma * sigma)
        trial[:n_star] = np.where(vague, flux, trial[:n_star])
    costs = []
    for part, solution in ((here, found[:, x]), (there, coefficients)):
        chi, variance = misfit(part, solution)
        cost = np.where(everything, np.minimum(chi, limit) + np.log(variance), 0).sum(axis=0)
        away = np.maximum(solution[:n_star] - highest, lowest - solution[:n_star])
        away = np.nan_to_num(np.maximum(away, 0) / part.solve(solution[:n_star])[2])
        costs.append(cost + np.minimum(away**2, 8 * limit).sum(axis=0))
    better = costs[1] < costs[0] - 1e-3
    columns.good[:, x[better]] = there.good[:, better]
    found[:, x[better]] = coefficients[:, better]


def _median(values):
    """Median along the last axis without NaN (the lower of the two middle values)."""
    ordered = np.sort(values, axis=-1)  # NaN goes last
    number = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    return np.take_along_axis(ordered, np.maximum(number - 1, 0) // 2, axis=-1)[..., 0]
