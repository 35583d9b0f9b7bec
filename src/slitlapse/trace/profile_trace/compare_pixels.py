"""How should the model of a star move so that it matches the pixels of every column?"""

import functools

import numpy as np
from scipy.ndimage import uniform_filter1d

__all__ = ["compare_pixels", "measure_moments"]

HIT = 6.0  # sigma: a pixel this far from the model was hit by something else
PIXEL = np.float32  # of counts and profiles: what the sums need; these are solved in float64
ENOUGH = 512  # columns tell the noise of an empty pixel to one per cent
CALM = 15  # columns over which a spectrum too faint to be seen column by column is averaged


def compare_pixels(
    cut,
    seen,
    rows,
    center,
    width,
    evaluate,
    *,
    floor=None,
    variance=None,
    neighbours=(),
):
    """
    Fit flux and sky of every column, and say how centre and width should change.

    The model of a column is ``flux * profile + sky + slope * y`` (plus the neighbours). One linear
    (Gauss-Newton) step: the flux and the sky, which every column has for itself, are eliminated,
    so that what remains can be added up over the columns that share a centre and a width.

    Parameters
    ----------
    cut, seen, rows : `~numpy.ndarray`, shape (n_rows, n_x)
        From `cut_out`; electron.
    center, width : `~numpy.ndarray`, shape (n_x,)
        Where the model stands, pixels.
    evaluate : callable
        ``evaluate(rows, center, width)`` returns the profile and its derivatives with respect to
        centre and log width, and to the shape where that is to be fitted.
    floor : float or None
        Noise of a pixel without any light, electron; ``None``: from the scatter beside the star.
    variance : `~numpy.ndarray`, shape (n_rows, n_x), or None
        Variance of every pixel from a model, used instead.
    neighbours : sequence of float
        Distances to other stars; further steps are theirs.

    Returns
    -------
    dict
        ``info`` (n_x, n_steps, n_steps) and ``gradient`` (n_x, n_steps) of the steps centre, log
        width, distance of each neighbour, shape; ``flux``, ``sky`` and ``flux_variance`` (n_x,);
        ``flux_by_step`` (2, n_x), by how much the flux shrinks with the first two steps;
        ``chi2``, ``solvable`` (n_x,); ``fine``, ``weight``, ``residual`` and what ``evaluate``
        gave as ``profile`` (n_rows, n_x); ``floor``.
    """
    half = 0.5 * len(rows)
    y = np.arange(len(rows), dtype=PIXEL)[:, None] / PIXEL(half)
    y = y + ((rows[0] - center) / half).astype(PIXEL)
    stars = [
        [part.astype(PIXEL, copy=False) for part in evaluate(rows, center + distance, width)]
        for distance in (0.0, *neighbours)
    ]
    parts = [stars[0][0], np.ones_like(y), y, *(star[0] for star in stars[1:])]
    cut = cut.astype(PIXEL, copy=False)
    if variance is None:
        floor = _find_floor(cut, seen, rows - center, width, parts) if floor is None else floor
        some = slice(None, None, max(cut.shape[1] // 128, 1))
        usual = _median(cut[:, some])
        weight = seen * (1 / (floor**2 + np.maximum(usual, 0) + 1e-12)).astype(PIXEL)
    else:
        floor = float(np.sqrt(np.median(variance[seen]))) if floor is None else floor
        variance = np.maximum(variance, 1e-12).astype(PIXEL)
        weight = seen / variance
    fit = _fit_columns(cut, seen, parts, weight, floor, variance)
    calm = [
        _calm(fit["values"][k], fit["inverse"][k, k], fit["solvable"]) for k in (0, *_others(parts))
    ]
    light = [a.astype(PIXEL) for a in calm]
    steps = [
        functools.reduce(np.add, (a * star[k] for a, star in zip(light, stars, strict=True)))
        for k in range(1, len(stars[0]))
    ]
    steps[2:2] = [a * star[1] for a, star in zip(light[1:], stars[1:], strict=True)]
    swept, solvable = _sweep(_gram([*parts, *steps, fit["residual"]], fit["weight"]), len(parts))
    solvable &= fit["solvable"]
    n, k = len(parts), len(parts) + len(steps)
    swept[:n, k] += fit["values"]
    if not solvable.all():
        swept[:, :, ~solvable] = 0
    return {
        "info": np.moveaxis(swept[n:k, n:k], -1, 0),
        "gradient": swept[n:k, k].T,
        "flux": calm[0],
        "flux_by_step": swept[0, n : n + 2],
        "flux_variance": swept[0, 0],
        "sky": swept[1, k],
        "slope": swept[2, k] / half,
        "solvable": solvable,
        "fine": fit["fine"],
        "residual": fit["residual"],
        "weight": fit["weight"],
        "chi2": swept[k, k],
        "profile": stars[0],
        "floor": floor,
    }


def _others(parts):
    """Number the parts that are the neighbours' profiles."""
    return range(3, len(parts))


def _fit_columns(cut, seen, parts, weight, floor, variance):
    """Fit every column, weights from the model; leave out pixels hit by something else."""
    n = len(parts)
    swept, solvable = _sweep(_gram([*parts, cut], weight), n)
    values, inverse = swept[:n, n], swept[:n, :n]
    model = _add(values, parts)
    noise2 = variance if variance is not None else _noise2(model, floor)
    residual = cut - model
    z = np.sqrt(noise2)
    np.divide(residual, z, out=z)
    some = z[:, :: max(z.shape[1] // 128, 1)]
    usual = _median(some)  # a profile that is a little wrong
    limit = HIT * np.maximum(1.4826 * _median(np.abs(some - usual)), 1)
    z -= usual
    fine = np.abs(z, out=z) < limit
    fine &= seen
    hit = (fine != seen).any(axis=0)
    for _ in range(3):  # a hit spoils the fit of its column: fit again without, and look again
        if not hit.any():
            break
        part = [p[:, hit] for p in parts]
        again, fitted = _sweep(_gram([*part, cut[:, hit]], (fine / noise2)[:, hit]), n)
        model = _add(again[:n, n], part)
        values[:, hit], inverse[:, :, hit] = again[:n, n], again[:n, :n]
        solvable[hit] = fitted
        if variance is None:
            noise2[:, hit] = _noise2(model, floor)
        residual[:, hit] = cut[:, hit] - model
        z = residual[:, hit] / np.sqrt(noise2[:, hit])
        fine[:, hit] = seen[:, hit] & (np.abs(z - usual) < limit)
    solvable &= fine.sum(axis=0) > n
    return {
        "values": values,
        "inverse": inverse,
        "solvable": solvable,
        "fine": fine,
        "weight": fine / noise2,
        "residual": residual,
    }


def _noise2(model, floor):
    """Give the variance of pixels whose light is that of a model."""
    noise2 = np.maximum(model, 0)
    noise2 += floor**2 + 1e-12
    return noise2


def _median(a):
    """Give the (upper) median of each row: a guard that need not be exact."""
    middle = a.shape[1] // 2
    return np.partition(a, middle, axis=1)[:, middle : middle + 1]


def _add(values, parts):
    """Add up the parts of a model."""
    model = values[0].astype(PIXEL) * parts[0]
    for value, part in zip(values[1:], parts[1:], strict=True):
        model += value.astype(PIXEL) * part
    return model


def _gram(columns, weight):
    """Sum weighted products of columns over the rows: shape (n, n, n_x)."""
    n = len(columns)
    out = np.empty((n, n, weight.shape[1]))
    for i, left in enumerate(columns):
        weighted = left * weight
        for j in range(i, n):
            out[i, j] = out[j, i] = _sum(weighted, columns[j])
    return out


def _sweep(gram, n):
    """
    Eliminate the first ``n`` unknowns (Beaton's sweep operator), for all columns at once.

    The upper left block becomes its inverse, the upper right the solutions, the lower right what
    is left of the others once the first are free.
    """
    size = [gram[k, k].copy() for k in range(n)]
    solvable = np.ones(gram.shape[-1], bool)
    for k in range(n):
        solvable &= gram[k, k] > 1e-10 * size[k]
        inverse = 1 / np.where(solvable, gram[k, k], 1.0)
        row = gram[k] * inverse
        row[k] = inverse
        for i, other in enumerate(gram):  # row by row: what is at work stays near
            if i != k:
                share = other[k].copy()
                other -= share * row
                other[k] = -share * inverse
        gram[k] = row
    return gram, solvable


def _calm(flux, variance, solvable):
    """Shrink a noisy spectrum towards its local mean as far as noise explains its scatter."""
    solvable = solvable & (variance > 0)
    variance = np.where(solvable, variance, 1.0)
    flux = np.where(solvable, flux, 0.0)
    weight = solvable / variance
    norm = uniform_filter1d(weight, CALM)  # a running sum: not quite 0 where all weights are
    norm = np.where(norm > 1e-9 * norm.max(initial=0.0), norm, np.inf)
    mean = uniform_filter1d(weight * flux, CALM) / norm
    excess = uniform_filter1d(weight * (flux - mean) ** 2 - solvable, CALM) / norm
    real = np.maximum(excess, 0)
    return mean + real / (real + variance) * (flux - mean)


def _find_floor(cut, seen, y, width, parts):
    """Estimate what scatters beside the star more than the photons of the sky do."""
    some = slice(None, None, max(cut.shape[1] // ENOUGH, 1))
    cut, seen, y, width = cut[:, some], seen[:, some], y[:, some], width[some]
    parts = [part[:, some] for part in parts]
    away = seen & (np.abs(y) > 3 * width)
    if away.sum() < 100:
        away = seen
    swept, solvable = _sweep(_gram([*parts, cut], seen * 1.0), len(parts))
    n = len(parts)
    rest = cut - sum(a * p for a, p in zip(swept[:n, n], parts, strict=True))
    away &= solvable
    scatter = 1.4826 * np.median(np.abs(rest[away])) if away.any() else 0.0
    n_rows = np.mean(seen.sum(axis=0)[solvable]) if solvable.any() else n + 1
    scatter /= np.sqrt(max(1 - n / n_rows, 0.1))  # what the fit has taken up
    sky = max(np.median(cut[away]), 0.0) if away.any() else 0.0
    return float(np.sqrt(max(scatter**2 - sky, 1e-4 * scatter**2)))


def measure_moments(part, cut, rows, center, width, reach):
    """
    Say how far flux-weighted moments lie from those of a star at ``center`` of this ``width``.

    The moments of a Gaussian seen through the same window are what they are compared with, so that
    neither pixels nor the ends of the window bias them. The sky is a straight line through the rows
    outside 60 per cent of the window; columns with a missing pixel nearer to the star are left out,
    because a moment cannot do without it.

    Parameters
    ----------
    part : dict
        What `compare_pixels` gave for these columns: noise, hits and calm spectrum.
    cut, rows : `~numpy.ndarray`, shape (n_rows, n_x)
        From `cut_out`.
    center, width : `~numpy.ndarray`, shape (n_x,)
        Where the moments are taken about; pixels.
    reach : float
        Half the height of the window.

    Returns
    -------
    info, gradient : `~numpy.ndarray`, shape (n_x, 2, 2) and (n_x, 2)
        As from `compare_pixels`, with moments in place of the slopes of a profile.
    """
    y = np.arange(len(rows), dtype=PIXEL)[:, None] + (rows[0] - center).astype(PIXEL)
    away = np.abs(y)
    inner = np.minimum(0.6 * reach, 3 * width).astype(PIXEL) + PIXEL(0.5) - away
    np.clip(inner, 0, 1, out=inner)
    outer = ((away > 0.6 * reach) & (inner == 0) & part["fine"]).astype(PIXEL)
    basis = [np.ones_like(y), y]
    swept, solvable = _sweep(_gram(basis, outer), 2)
    known = part["weight"] > 0
    noise2 = known / np.where(known, part["weight"], 1)
    solvable = solvable & part["solvable"] & (part["fine"] | (inner == 0)).all(axis=0)
    n_x = y.shape[1]
    info, gradient = np.zeros((n_x, 2, 2)), np.zeros((n_x, 2))
    profile, *slopes = part["profile"]
    rest = cut.astype(PIXEL, copy=False) - part["flux"].astype(PIXEL) * profile
    for k, weight in enumerate((inner * y, inner * (away**2 - (width**2).astype(PIXEL)))):
        # the sky under the star is read from the outer rows: their share of the sum
        sums = [weight.sum(axis=0), _sum(weight, y)]
        share = np.einsum("ijx,jx->ix", swept, sums).astype(PIXEL)
        weight = weight - outer * (share[0] + share[1] * y)
        excess = _sum(weight, rest)
        by_step = part["flux"] * _sum(weight, slopes[k])
        noise = _sum(weight * noise2, weight)
        precision = solvable / np.where(noise > 0, noise, 1)
        info[:, k, k] = by_step**2 * precision
        gradient[:, k] = by_step * excess * precision
    return info, gradient


def _sum(left, right):
    """Sum products over the rows."""
    return np.einsum("yx,yx->x", left, right)
