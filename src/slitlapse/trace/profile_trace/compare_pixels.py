"""How should a star's model move so that it matches the pixels of every column?"""

import numpy as np
from scipy.ndimage import uniform_filter1d

__all__ = ["compare_pixels", "cut_out", "rough_width", "solve_bins"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1


def cut_out(data, good, path, half, columns):
    """Cut out the rows around a path."""
    x = np.arange(data.shape[1])[columns]
    rows = np.rint(path[x]).astype(int) + np.arange(-half, half + 1)[:, None]
    inside = (rows >= 0) & (rows < data.shape[0])
    flat = np.clip(rows, 0, data.shape[0] - 1) * data.shape[1] + x
    return data.ravel()[flat], good.ravel()[flat] & inside, rows.astype(float)


def _gram(left, right):
    """Sum over the rows every product of two lists of columns: shape (n_x, n_left, n_right)."""
    out = np.empty((left[0].shape[1], len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            out[:, i, j] = np.einsum("nx,nx->x", a, b)
    return out


def _linear(cut, weight, parts, extra=()):
    """Solve flux and sky of every column; also project ``extra`` columns onto the same basis."""
    weighted = [part * weight for part in parts]
    gram = _gram(weighted, [*parts, cut, *extra])
    n = len(parts)
    norm = gram[:, :n, :n]
    solvable = (weight > 0).sum(axis=0) > n
    norm = np.where(solvable[:, None, None], norm, np.eye(n))
    scale = np.sqrt(np.einsum("xii->xi", norm)) + 1e-300
    norm = norm / scale[:, :, None] / scale[:, None, :] + 1e-10 * np.eye(n)
    inverse = np.linalg.inv(norm) / scale[:, :, None] / scale[:, None, :]
    return solvable, inverse, inverse @ gram[:, :, n:]


def _steady(flux, variance, solvable, length=15):
    """Calm a noisy spectrum: shrink it towards its local mean as far as noise explains."""
    solvable = solvable & (variance > 0)
    weight = np.where(solvable, 1 / np.where(solvable, variance, 1), 0)
    flux = np.where(solvable, flux, 0)
    norm = uniform_filter1d(weight, length)
    mean = uniform_filter1d(weight * flux, length) / np.maximum(norm, 1e-300)
    excess = uniform_filter1d(weight * (flux - mean) ** 2 - 1.0 * solvable, length)
    real = np.maximum(excess / np.maximum(norm, 1e-300), 0)
    return mean + real / (real + np.maximum(variance, 1e-300)) * (flux - mean)


def compare_pixels(cut, seen, rows, center, width, evaluate, noise, neighbours, slopes):
    """Fit every column and say how centre, width (and shape) should change: one linear step."""
    y = rows - center
    profile, by_c, by_w = evaluate(rows, center, width)
    parts = [profile, np.ones_like(y), y / (0.5 * y.shape[0])]
    derivs = [[by_c, by_w]]
    for distance in neighbours:
        other = evaluate(rows, center + distance, width)
        parts.append(other[0])
        derivs.append(list(other[1:]))
    if slopes is not None:  # what the Moffat exponent changes
        narrow, wide = (one(rows, center, width)[0] for one in slopes[:2])
        derivs[0].append((wide - narrow) / slopes[2])
        for other in derivs[1:]:
            other.append(np.zeros_like(y))
    weight = seen / noise["variance"] if "variance" in noise else seen * 1.0
    for _ in range(2):
        solvable, inverse, values = _linear(cut, weight, parts)
        flux = _steady(values[:, 0, 0], inverse[:, 0, 0], solvable)
        amounts = [flux, *(values[:, k, 0] for k in range(1, len(parts)))]
        model = sum(a * p for a, p in zip(amounts, parts, strict=True))
        rest = cut - sum(values[:, k, 0] * p for k, p in enumerate(parts))
        floor = noise["floor"]
        if floor is None:  # not told: what scatters more than photons do, beside the star
            away = seen & (np.abs(y) > 3 * width) & solvable
            scatter = 1.4826 * np.median(np.abs(rest[away])) if away.any() else 0.0
            floor = np.sqrt(max(scatter**2 - max(np.median(cut[away]), 0), 1e-4 * scatter**2))
        variance = floor**2 + np.maximum(model, 0) + 1e-12
        z = rest / np.sqrt(variance)
        some = z[:, :: max(z.shape[1] // 256, 1)]
        usual = np.median(some, axis=1, keepdims=True)  # a model that is a little wrong
        spread = 1.4826 * np.median(np.abs(some - usual), axis=1, keepdims=True)
        fine = seen & (np.abs(z - usual) < 6 * np.maximum(spread, 1))
        weight = fine / variance
    steps = [
        sum(a * d[k] for a, d in zip([flux, *amounts[3:]], derivs, strict=True))
        for k in range(len(derivs[0]))
    ]
    solvable, _, values = _linear(cut, weight, parts, steps)
    cross = _gram([s * weight for s in steps], [*steps, cut, *parts])
    k = len(steps)
    onto = cross[:, :, k + 1 :]
    info = cross[:, :, :k] - onto @ values[:, :, 1:]
    gradient = cross[:, :, k] - (onto @ values[:, :, :1])[:, :, 0]
    info[~solvable], gradient[~solvable] = 0, 0
    return {
        "info": info,
        "gradient": gradient,
        "flux": values[:, 0, 0],
        "sky": values[:, 1, 0],
        "fine": fine,
        "solvable": solvable,
        "floor": floor,
    }


def solve_bins(part, starts, x, counts):
    """Add up the columns of each bin and solve for its steps; the shape is common to all."""
    info = np.add.reduceat(part["info"], starts, axis=0)
    gradient = np.add.reduceat(part["gradient"], starts, axis=0)
    a, g = info[:, :2, :2].copy(), gradient[:, :2]
    empty = ~(np.linalg.det(a) > 1e-9 * a[:, 0, 0] * a[:, 1, 1])
    a[empty] = np.eye(2) * 1e-12
    inverse = np.linalg.inv(a)
    d_shape = 0.0
    if info.shape[1] > 2:
        to_shape = np.einsum("bij,bj->bi", inverse, info[:, :2, 2])
        down = (info[:, 2, 2] - (info[:, 2, :2] * to_shape).sum(axis=1))[~empty].sum()
        up = (gradient[:, 2] - (g * to_shape).sum(axis=1))[~empty].sum()
        d_shape = up / down if down > 0 else 0.0
        g = g - d_shape * info[:, :2, 2]
    step = np.einsum("bij,bj->bi", inverse, g)
    heavy = part["info"][:, 0, 0]
    total = np.add.reduceat(heavy, starts)
    at = np.add.reduceat(heavy * x, starts) / np.where(total > 0, total, 1)
    plain = np.add.reduceat(x.astype(float), starts) / counts
    at = np.where(empty, plain, at)
    return at, step, np.sqrt(np.einsum("bii->bi", inverse)), empty, d_shape


def rough_width(data, good, path, window):
    """Guess the width from the median of the star's cuts, row by row along the path."""
    reach = int(np.ceil(25 if window is None else window))
    cut, seen, _ = cut_out(data, good, path, reach, slice(None, None, max(data.shape[1] // 512, 1)))
    cut = np.nanmedian(np.where(seen, cut, np.nan)[:, seen.any(axis=0)], axis=1)
    cut = cut - np.nanpercentile(cut, 25)
    high = cut > 0.5 * np.nanmax(cut[reach - 3 : reach + 4])
    left, right = np.argmin(high[reach::-1]), np.argmin(high[reach:])
    return max((left + right - 1) / FWHM, 0.6)
