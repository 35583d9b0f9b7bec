"""Where does a star go, roughly, when its trace is tilted or bowed?"""

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

__all__ = ["StarNotFoundError", "follow_star"]


class StarNotFoundError(ValueError):
    """No star was found where one was asked for."""


def follow_star(data, good, guess, reach, n_bins=64):
    """Walk along the star from the middle of the frame; give its rough row in every column."""
    n_y, n_x = data.shape
    base = np.asarray(0.0 if guess is None else guess, float)
    base = np.broadcast_to(base, n_x)
    n_bins = min(n_bins, max(n_x // 8, 1))
    edges = np.linspace(0, n_x, 5 * n_bins + 1).astype(int)[:-1]
    count = np.maximum(np.add.reduceat(good.astype(np.int32), edges, axis=1), 1)
    cuts = np.add.reduceat(data, edges, axis=1) / count
    cuts = np.median(cuts.reshape(n_y, n_bins, 5), axis=2)  # a hit reaches one of five
    cuts = gaussian_filter1d(cuts, 1.5, axis=0) - uniform_filter1d(cuts, 41, axis=0)
    noise = 1.4826 * np.median(np.abs(cuts - np.median(cuts, axis=0)), axis=0)
    snr = cuts / np.maximum(noise, 1e-9 * np.abs(cuts).max() + 1e-30)
    x = (np.arange(n_bins) + 0.5) * n_x / n_bins - 0.5
    x0 = np.interp(x, np.arange(n_x), base)
    rows = np.arange(n_y)[:, None]
    if guess is None:
        start_row = np.argmax(np.clip(snr, 0, 20).mean(axis=1))
        x0 = np.full(n_bins, float(start_row))
    near = np.where(np.abs(rows - x0) <= reach, snr, 0)
    middle = np.argmax(near.max(axis=0) * np.exp(-0.5 * ((x - x.mean()) / (0.15 * n_x)) ** 2))
    if near[:, middle].max() < 5:
        where = "" if guess is None else f" within {reach:g} pixels of row {x0[middle]:.1f}"
        raise StarNotFoundError(
            f"No star stands out{where}: the brightest row is {near[:, middle].max():.1f} sigma "
            "above its surroundings. Look at find_stars(image) or give another guess."
        )
    offset = np.full(n_bins, np.nan)
    offset[middle] = _peak(snr[:, middle], rows[np.argmax(near[:, middle])][0]) - x0[middle]
    for side in (range(middle + 1, n_bins), range(middle - 1, -1, -1)):
        seen = [middle]
        for i in side:
            last = np.array(seen[-6:])
            slope = np.polyfit(x[last], offset[last], 1)[0] if len(last) > 3 else 0.0
            expected = np.median(offset[last] + slope * (x[i] - x[last]))
            low = int(np.clip(x0[i] + expected - 0.4 * reach, 0, n_y - 1))
            part = snr[low : int(np.clip(x0[i] + expected + 0.4 * reach, 1, n_y - 1)) + 1, i]
            if part.size and part.max() > 5:
                offset[i] = _peak(snr[:, i], low + np.argmax(part)) - x0[i]
                seen.append(i)
    seen = np.isfinite(offset)
    if guess is None:
        base = np.full(n_x, float(start_row))
    return x[seen], offset[seen], base


def _peak(cut, row):
    """Refine a maximum with a parabola through three pixels."""
    if not 0 < row < cut.size - 1:
        return float(row)
    a, b, c = cut[row - 1 : row + 2]
    bend = a - 2 * b + c
    return row + (np.clip(0.5 * (a - c) / bend, -0.5, 0.5) if bend < 0 else 0.0)
