"""Which straight or slightly bent relation makes all observed lines fall upon listed ones?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

__all__ = ["DispersionSearch", "first_guesses", "search_dispersion"]

# ranks from, to; weight of such a line; power of the listed strengths it is compared with
BRIGHTNESS_CLASSES = ((0, 12, 1.0, 0.8), (12, 36, 0.8, 0.5), (36, 999, 0.4, 0.3))
# along the detector where nothing is known, and about a range: an eighth of the work of the finest
# grid or less, and nine arcs of ten are solved
COARSE_BINS = (192, 512)
FINEST_BINS = 1024
NEAR = 65536  # complex numbers that fit a processor's near memory a few times
PROMISING = 0.3  # of the work of a fine search is tried first, as a coarse one has ranked it
USUAL = 0.4  # angstrom per pixel; finer ones are a third of the work, and few slits have them
WIDEST = (2500.0, 3000.0)  # one sigma, angstrom, of middle and half span when nothing is known


@dataclass(frozen=True, eq=False)
class DispersionSearch:
    """
    Guesses at the dispersion relation, best first.

    Parameters
    ----------
    coefficients : array of shape (n_guesses, 3)
        Wavelength (angstrom) = a0 + a1 v + a2 v**2, with v running from -1 at the first pixel to
        +1 at the last.
    score : array of shape (n_guesses,)
        Log-likelihood of the observed positions over that of random ones.
    n_tried : int
        How many relations were compared.
    tried : array of shape (n_dispersions, 2)
        Every dispersion tried (angstrom per pixel at the middle), and its best score.
    """

    coefficients: np.ndarray
    score: np.ndarray
    n_tried: int
    tried: np.ndarray | None = None

    def promising(self, portion=PROMISING):
        """Dispersions that did best, so many that trying them is this portion of the work."""
        ranked = self.tried[np.argsort(-self.tried[:, 1])]
        work = np.cumsum(1 / ranked[:, 0])  # the finer the dispersion, the longer the lists
        return ranked[: np.searchsorted(work, portion * work[-1]) + 1, 0]


def search_dispersion(
    arcs,
    n_pixels,
    *,
    dispersion=(0.25, 8.0),
    centre=(None, None),
    directions=(1, -1),
    curvature=0.11,
    detection=0.7,
    n_guesses=40,
    n_bins=512,
    separation=6.0,
    near=None,
    at_least=0.0,
    after=None,
):
    """
    Compare every dispersion, direction, bend and zero point on a grid, all zero points by FFT.

    A relation is scored by the log-likelihood ratio of the observed positions: a line is either
    one of the listed ones (with a chance in proportion to a low power of its listed strength) or
    falls anywhere. That punishes both bright lines that nothing explains and lists so dense that
    anything fits.

    Parameters
    ----------
    arcs : list of (pixels, weights, wavelengths, strengths)
        Per lamp: where lines were seen, how much each counts (0 to 1), and the lamp's list in
        angstrom with strengths.
    n_pixels : int
    dispersion : pair of float
        Smallest and largest angstrom per pixel, at the middle, without sign.
    centre : pair of float or None
        Wavelength at the middle of the detector lies between these; None: where the lists are.
    directions : sequence of {1, -1}
        Wavelength rises (1) or falls (-1) with pixel.
    curvature : float
        Largest a2 / a1: 0.1 is a bend of 5 % of the span.
    detection : float
        Chance that an observed line is in the list.
    n_guesses : int
        How many guesses to give back; none near a better one.
    n_bins : int
        Resolution of the search: the detector is divided into about this many bins.
    separation : float
        Guesses differ by more than this many bins somewhere.
    near : array-like, optional
        Only dispersions about as far apart from one of these as they are from each other.
    at_least : float
        Only dispersions of the same grid that are not finer than this.
    after : `DispersionSearch`, optional
        With the same bins: its dispersions are not tried again, its guesses are among those given
        back.

    Returns
    -------
    search : `DispersionSearch`

    Notes
    -----
    The idea of testing all relations at once is that of the Hough transform (RASCAL, Veitch-
    Michaelis & Lam 2020) and of PypeIt's pattern search; scoring by likelihood is our own choice.

    Examples
    --------
    >>> import numpy as np
    >>> listed = np.array([4026.2, 4471.5, 4713.1, 4921.9, 5015.7, 5875.6, 6678.2, 7065.2])
    >>> seen = (listed - 3900) / 3.2
    >>> arc = (seen, np.ones(8), listed, np.ones(8))
    >>> best = search_dispersion([arc], 1024, centre=(5000, 6000)).coefficients[0]
    >>> bool(abs(best[1] / 511.5 - 3.2) < 0.05)
    True
    """
    size = max(n_pixels / n_bins, 1.0)  # pixels per bin
    half = 0.5 * (n_pixels - 1)
    step = 1.35 * size / half
    n_scale = int(np.ceil(np.log(dispersion[1] / dispersion[0]) / step)) + 1
    scales = np.geomspace(*dispersion, n_scale) if n_scale > 1 else np.array(dispersion[:1])
    bends = np.linspace(-curvature, curvature, 2 * int(np.ceil(curvature / (1.9 * step))) + 1)
    scales = _chosen(scales[scales >= at_least], near, after)
    prior = -0.5 * (bends / 0.06) ** 2
    window = int(np.ceil(n_pixels / size)) + 1
    everything = np.concatenate([arc[2] for arc in arcs])
    found, cache, tried, n_tried = [], {}, [], 0
    for scale in scales:
        bin_width = scale * size
        reach = half * scale
        low = everything.min() - reach if centre[0] is None else centre[0] - reach * 1.3
        high = everything.max() + reach if centre[1] is None else centre[1] + reach * 1.3
        n_list = int(np.ceil((high - low) / bin_width)) + 1
        # few different lengths, so that the observed side is seldom transformed anew
        rounded = 2 ** (np.ceil(4 * np.log2(n_list + 1)) / 4)  # wraps where no window fits
        length = next_fast_len(int(np.ceil(rounded)), real=True)
        if length not in cache:
            cache[length] = _observed(arcs, half, size, bends, directions, window, length)
        fields = rfft(_fields(arcs, low, bin_width, n_list, window, detection), length)
        n_zero = max(n_list - window + 1, 1)
        middle = low + (np.arange(n_zero) + half / size) * bin_width
        outside = slice(0, 0)
        if centre[0] is not None:
            outside = (middle < centre[0]) | (middle > centre[1])
        n_tried += len(bends) * len(directions) * n_zero
        rows = []
        for d, sign in enumerate(directions):
            seen = [one[d] for one in cache[length]]
            score = _scores(fields, seen, prior, length, n_zero)
            score[:, outside] = -np.inf
            rows += _best_of(score, middle, sign, scale * half, bends)
        tried.append((scale, max(row[0] for row in rows)))
        found += rows
    if after is not None:
        found += list(np.column_stack([after.score, after.coefficients]))
        tried, n_tried = [*after.tried, *tried], n_tried + after.n_tried
    best = _distinct(np.array(found), half, size, n_guesses, separation)
    return DispersionSearch(best[:, 1:], best[:, 0], n_tried, np.array(tried))


def _chosen(scales, near, after):
    """Those of the dispersions that are to be tried."""
    if near is not None and len(scales) > 1:
        apart = np.abs(np.log(scales[:, None] / np.asarray(near))).min(axis=1)
        known = np.sort(np.log(near))
        gap = max(np.diff(known).min(initial=np.inf), np.log(scales[1] / scales[0]))
        scales = scales[apart <= (gap if np.isfinite(gap) else apart.min())]
    return scales if after is None else scales[~np.isin(scales, after.tried[:, 0])]


def _scores(fields, seen, prior, length, n_zero):
    """Score of every bend and zero point, a few bends at a time: they stay near the processor."""
    n_bends, n_frequencies = seen[0].shape
    score = np.empty((n_bends, n_zero), np.float32)
    few = max(1, NEAR // n_frequencies)
    total, part = np.empty((2, few, n_frequencies), np.complex64)
    for first in range(0, n_bends, few):
        rows = slice(first, min(first + few, n_bends))
        n = rows.stop - rows.start
        np.multiply(fields[0], seen[0][rows], out=total[:n])
        for field, one in zip(fields[1:], seen[1:], strict=True):
            total[:n] += np.multiply(field, one[rows], out=part[:n])
        score[rows] = irfft(total[:n], length, axis=-1)[:, :n_zero]
    score += prior[:, None].astype(np.float32)
    return score


def _observed(arcs, half, size, bends, directions, window, length):
    """Conjugate transforms of what was seen, per arc: shape (direction, bend, frequency)."""
    seen = []
    for pixels, weights, *_ in arcs:
        v = np.asarray(pixels) / half - 1
        grid = np.zeros((len(directions), len(bends), length), np.float32)
        for d, sign in enumerate(directions):
            # a bend moves positions by half * q (v^2 - 1/3): its mean over the detector is zero
            place = (half * (sign * v + sign * bends[:, None] * (v**2 - 1 / 3)) + half) / size
            place = np.clip(place, 0, window - 1)
            below = np.floor(place).astype(int)
            part = place - below
            at = (below + length * np.arange(len(bends))[:, None]).ravel()
            flat = np.bincount(at, (weights * (1 - part)).ravel(), grid[d].size)
            flat += np.bincount(at + 1, (weights * part).ravel(), grid[d].size + 1)[:-1]
            grid[d] = flat.reshape(grid[d].shape)
        seen.append(np.conj(rfft(grid, axis=-1)))
    return seen


def _fields(arcs, low, bin_width, n_list, window, detection):
    """Log of how much likelier an observed line is here than anywhere in the window, per arc."""
    listed, last = np.empty((len(arcs), n_list)), None
    for row, (*_, wave, strength) in zip(listed, arcs, strict=True):
        if wave is not last:  # several arcs may share one list
            place = (wave - low) / bin_width
            inside = (place >= 0) & (place < n_list - 1)
            place, last = place[inside].round().astype(int), wave
        row[:] = np.bincount(place, strength[inside], n_list)
    smooth = gaussian_filter1d(listed, 1.0, mode="constant")
    mean = uniform_filter1d(smooth, window, mode="constant")
    n_lit = (smooth > 0).sum(axis=1, keepdims=True)
    floor = np.where(n_lit > 0, 0.3 * smooth.sum(axis=1, keepdims=True) / np.maximum(n_lit, 1), 1.0)
    share = smooth / np.maximum(mean, 0.1 * floor + 1e-30)
    return np.log(1 - detection + detection * share).astype(np.float32)


def _best_of(score, middle, sign, a1, bends):
    """Best zero points of every bend at one scale and direction: rows of score, a0, a1, a2."""
    top = score.argmax(axis=1)
    value = score[np.arange(len(bends)), top]
    flat = score.max(axis=0)  # other places along the list that do well at any bend
    places = np.argpartition(-flat, 12)[:12] if len(flat) > 12 else np.arange(len(flat))
    places = places[np.argsort(-flat[places])][::3]
    row = np.append(np.argsort(-value)[:6], score[:, places].argmax(axis=0))
    column = np.append(top[row[: len(row) - len(places)]], places)
    a2 = sign * a1 * bends[row]
    a0 = middle[column] - a2 / 3
    return list(zip(score[row, column], a0, np.full(len(row), sign * a1), a2, strict=True))


def _distinct(table, half, size, n_guesses, separation):
    """Keep the best guesses that differ by more than some bins somewhere on the detector."""
    table = table[np.isfinite(table[:, 0])]
    table = table[np.argsort(-table[:, 0])]
    v = np.array([-0.8, 0.0, 0.8])
    kept, places = [], np.empty((0, 3))
    for row in table:
        wave = row[1] + row[2] * v + row[3] * v**2
        apart = np.abs(places - wave).max(axis=1) * half / abs(row[2])
        if not len(kept) or apart.min() > separation * size:
            kept.append(row)
            places = np.vstack([places, wave])
        if len(kept) == n_guesses:
            break
    return np.array(kept).reshape(-1, 4)


def first_guesses(
    observed,
    n_pixels,
    wavelength_range,
    dispersion,
    guess,
    pairs,
    increasing,
    medium,
    *,
    slack=1.0,
    stage="all",
    scout=None,
    after=None,
):
    """
    Guesses, what was known before (one sigma of middle and half span), how far off they are.

    ``slack`` narrows the search about ``wavelength_range`` where that is known to better than 10 %.
    The stage "coarse" makes the bins wider, which is enough for most arcs and takes a tenth of the
    time; "promising" tries the dispersions where ``scout``, such a coarse search, did well, "usual"
    those of most spectrographs, "all" all, and "finest" the usual ones again with narrower bins,
    for crowded arcs on long detectors; ``after`` tells what has been tried with the same bins.
    """
    coarse = stage == "coarse"
    half = 0.5 * (n_pixels - 1)
    if guess is not None or pairs is not None:
        return _from_knowledge(guess, pairs, half, n_pixels, medium)
    arcs = []
    for arc in observed:  # the brighter the lines, the more their listed strength counts
        rank = np.argsort(np.argsort(-arc.flux))
        # of many lamps, the bright lines are enough
        for first, last, weight, power in BRIGHTNESS_CLASSES[: 3 if len(observed) < 3 else 2]:
            of = (rank >= first) & (rank < last)
            if of.any():
                arcs.append(
                    (arc.pixel[of], np.full(of.sum(), weight), arc.wavelength, arc.strength**power)
                )
    directions = {None: (1, -1), True: (1,), False: (-1,)}[increasing]
    kwargs = {"directions": directions, "n_guesses": 100, "n_bins": 512}
    prior, start = WIDEST, 8.0
    if coarse:
        kwargs |= {"n_guesses": 60, "n_bins": COARSE_BINS[0], "separation": 3.0}
        start = 1.5 * n_pixels / COARSE_BINS[0]
    if dispersion is not None:
        value = abs(u.Quantity(dispersion, u.AA / u.pix).value)
        kwargs["dispersion"] = (0.85 * value, 1.15 * value)
        prior = (WIDEST[0], 0.1 * value * half)
    if wavelength_range is not None:
        low, high = np.sort(u.Quantity(wavelength_range, u.AA).value)
        span, middle = high - low, 0.5 * (low + high)
        if dispersion is None:
            scale = span / n_pixels
            kwargs["dispersion"] = (scale * (1 - 0.14 * slack), scale * (1 + 0.16 * slack))
        reach = 0.13 * slack * span
        kwargs["centre"] = (middle - reach, middle + reach)
        prior, n_bins = (0.1 * span, 0.05 * span), COARSE_BINS[1] if coarse else 1024
        start = max(6.0, 1.5 * n_pixels / n_bins)
        n_guesses = int((80 if coarse else 150) * slack)
        kwargs |= {"n_bins": n_bins, "separation": 2.5, "n_guesses": n_guesses}
    if stage == "promising":
        kwargs["near"] = scout.promising()
    if stage in ("usual", "finest"):
        kwargs["at_least"] = USUAL
    if stage == "finest":
        kwargs |= {"n_bins": FINEST_BINS, "n_guesses": 300}
        after = None
    return search_dispersion(arcs, n_pixels, after=after, **kwargs), prior, start


def _from_knowledge(guess, pairs, half, n_pixels, medium):
    """Guesses around an archived solution, or through the user's pairs."""
    if pairs is not None:
        pixel, wave = np.array([(float(p), u.Quantity(w, u.AA).value) for p, w in pairs]).T
        if len(pixel) < 2:
            raise ValueError("One pair cannot give a dispersion; identify two lines or more.")
        a = np.polynomial.polynomial.polyfit(pixel / half - 1, wave, min(len(pixel) - 1, 2))
        a = np.append(a, np.zeros(3 - len(a)))
        known = DispersionSearch(a[None], np.zeros(1), 1)
        return known, (5 * abs(a[1]) / half, 0.02 * abs(a[1])), 6.0
    v = np.linspace(-1, 1, 33)
    wave = guess.to_medium(medium).pixel_to_wavelength((v + 1) * 0.5 * (guess.n_pixels - 1)).value
    a = np.polynomial.polynomial.polyfit(v, wave, 2)
    moves = np.arange(-40, 41, 4) * abs(a[1]) / half
    known = DispersionSearch(a + np.outer(moves, [1, 0, 0]), np.zeros(len(moves)), len(moves))
    return known, (20 * abs(a[1]) / half, 0.02 * abs(a[1])), 4.0
