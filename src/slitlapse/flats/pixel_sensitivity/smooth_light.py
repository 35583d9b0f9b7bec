"""What is smooth in a flat: the light of lamp and slit, fitted without the pixels."""

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import solveh_banded
from scipy.ndimage import uniform_filter
from scipy.sparse import vstack

__all__ = ["SlitProfile", "SplineSurface", "fit_smooth_light"]

BLOCK = 256  # columns at a time: double precision inside a block, single precision between
SAMPLE = 500_000  # pixels are enough for a median
SETTLED = 0.02  # rms change of the light, in units of a pixel's noise: adds 0.02 % to it
FLOOR = 1e-6  # of the largest light: no weight is larger than there


def fit_smooth_light(
    values,
    error,
    use,
    *,
    spacing=(40, 32),
    profile=None,
    sigma_clip=5.0,
    max_iterations=6,
):
    """
    Fit the light of a flat: a surface of splines times a profile along the slit.

    Both are least-squares fits in turn, weighted by the noise that the light itself predicts.

    Parameters
    ----------
    values, error : `~numpy.ndarray`, shape (n_y, n_x)
        The flat and its standard error, electron. What ``use`` leaves out may be anything.
    use : bool `~numpy.ndarray`, shape (n_y, n_x)
        Lit and good.
    spacing : tuple of float
        Pixels between the knots of the splines along y and x.
    profile : SlitProfile, optional
        Changed in place; without it there is only the surface.
    sigma_clip : float
        Pixels farther off than this many standard deviations (robust, including the scatter of
        the sensitivity itself) are not used.
    max_iterations : int
        At most; fewer where the light has settled.

    Returns
    -------
    float32 `~numpy.ndarray`, shape (n_y, n_x)
    """
    surface = SplineSurface(values.shape, spacing)
    blocks = [slice(x, x + BLOCK) for x in range(0, values.shape[1], BLOCK)]
    # an odd step does not see only every other column of a pattern
    step = int(np.sqrt(values.size / SAMPLE)) // 2 * 2 + 1
    some = (slice(None, None, step), slice(None, None, step))
    seen = use[some]
    sample, sample_error = values[some][seen].astype(float), error[some][seen].astype(float)
    # a pixel's own count must not decide its weight: low ones would pull the light down
    per_count = np.median(sample_error**2 / np.abs(sample))
    light = np.where(use, values, 0).astype(np.float32)
    light = uniform_filter(light, 15, output=light)
    weight = np.empty_like(light)
    along = np.ones_like(light)
    scatter, clip = 0.0, np.inf
    for _ in range(max_iterations):
        floor = FLOOR * light.max()
        for block in blocks:
            model = np.maximum(light[:, block].astype(float), floor)
            variance = per_count * model + (scatter * model) ** 2
            kept = use[:, block] & ((values[:, block] - model) ** 2 < clip**2 * variance)
            weight[:, block] = np.where(kept, 1 / variance, 0)
            surface.add(block, values[:, block], weight[:, block], along[:, block])
        surface.solve()
        if profile is not None:
            for block in blocks:
                profile.add(block, values[:, block], weight[:, block], surface(block))
            profile.solve()
        before = light[some][seen].astype(float)
        for block in blocks:
            if profile is not None:
                along[:, block] = profile(block)
            light[:, block] = surface(block) * along[:, block]
        now = np.maximum(light[some][seen].astype(float), floor)
        noise = np.sqrt(per_count / now)
        good = weight[some][seen] > 0
        width = 1.4826 * np.median(np.abs(sample / now - 1)[good])
        scatter = np.sqrt(max(width**2 - np.median(noise[good]) ** 2, 0))
        change = np.sqrt(np.mean((now - before)[good] ** 2 / (per_count * now[good])))
        if change < SETTLED and np.isfinite(clip):
            break
        clip = sigma_clip
    return light


class SplineSurface:
    """
    A tensor product of cubic B-splines, by least squares from blocks of columns.

    A pixel touches only 4 x 4 of the splines, so that products are sparse and the normal matrix
    is a narrow band (de Boor 1978, *A Practical Guide to Splines*, chapters XIV and XVII).

    Parameters
    ----------
    shape : tuple of int
        (n_y, n_x)
    spacing : tuple of float
        Pixels between knots along y and x.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.flats.pixel_sensitivity.smooth_light import SplineSurface
    >>> surface = SplineSurface((30, 40), spacing=(15, 20))
    >>> plane = np.arange(30)[:, None] + 2.0 * np.arange(40)
    >>> surface.add(slice(0, 40), plane, weight=np.ones((30, 40)))
    >>> surface.solve()
    >>> bool(np.allclose(surface(slice(0, 40)), plane, atol=1e-4))
    True
    """

    def __init__(self, shape, spacing):
        self.across, self.along = (
            _splines(n, each) for n, each in zip(shape, spacing, strict=True)
        )
        self._pairs_y, self._pairs_x = _pairs(self.across), _pairs(self.along)
        self._left = np.zeros((self._pairs_y.shape[0], shape[1]))
        self._right = np.zeros((self.across.shape[1], shape[1]))
        self.coefficients = np.zeros((self.across.shape[1], self.along.shape[1]))

    def add(self, block, values, weight, factor=1.0):
        """Take the columns of a block: ``values`` are to be surface x ``factor``."""
        weighted = weight * np.asarray(factor, float)
        self._right[:, block] = self.across.T @ np.where(weight > 0, weighted * values, 0)
        self._left[:, block] = self._pairs_y @ (weighted * factor)

    def solve(self):
        """Find the coefficients from all columns taken."""
        k_y, k_x = self.coefficients.shape
        # products[dy, j_y, dx, j_x]: spline j_y by j_y + dy, along x likewise
        products = (self._pairs_x @ self._left.T).T.reshape(4, k_y, 4, k_x)
        band = np.zeros((3 * k_y + 4, k_x, k_y))
        for dy in range(4):
            for dx in range(4):
                part = products[dy, : k_y - dy, dx].T
                band[dx * k_y + dy, :, : k_y - dy] += part
                if dx and dy:  # the neighbour on the other side along y
                    band[dx * k_y - dy, :, dy:] += part
        band = band.reshape(len(band), -1)
        # splines without any pixel under them: a weak pull to zero keeps the matrix regular
        band[0] += 1e-9 * band[0].mean()
        right = (self.along.T @ self._right.T).ravel()
        found = solveh_banded(band, right, lower=True, overwrite_ab=True)
        self.coefficients = found.reshape(k_x, k_y).T

    def __call__(self, block):
        """Return the surface in a block of columns."""
        return self.across @ (self.along[block] @ self.coefficients.T).T


class SlitProfile:
    """
    A cubic spline along each slit, one knot a pixel, that moves with the edges of the slit.

    Parameters
    ----------
    shift : float `~numpy.ndarray`, shape (n_slits, n_x)
        How far each slit lies above its own mean place, in pixels, in each column.
    number : int `~numpy.ndarray`, shape (n_y, n_x)
        Which slit lights a pixel, from 0; -1 in the dark.
    """

    fine = 8  # bins per pixel, so that a million pixels become a few thousand

    def __init__(self, shift, number):
        self.shift, self.number = shift, number
        reach = int(np.ceil(np.max(np.abs(shift)))) + 2
        span = len(number) + 2 * reach
        start = reach + span * np.arange(len(shift))[:, None]
        self._offset = start - shift
        self.coefficients = np.ones(span * len(shift) + 4)
        self._sums = np.zeros((3, span * len(shift) * self.fine))

    def cut(self, rows, columns):
        """Return a profile, not yet fitted, of a part of the image."""
        return SlitProfile(self.shift[:, columns], self.number[rows, columns])

    def add(self, block, values, weight, factor):
        """Take the columns of a block: ``values`` are to be ``factor`` x profile."""
        strength = weight * factor
        amounts = strength * factor, np.where(weight > 0, strength * values, 0)
        for rows, inside, offset in self._slits(block):
            where = np.arange(rows.start, rows.stop)[:, None] + offset
            index = np.where(inside, np.rint(where * self.fine), 0).astype(np.int32).ravel()
            total = np.where(inside, amounts[0][rows], 0)
            for sums, amount in zip(
                self._sums, (total, amounts[1][rows], total * where), strict=True
            ):
                amount = np.where(inside, amount, 0)
                sums += np.bincount(index, amount.ravel(), len(sums))

    def solve(self):
        """Find the profile from all columns taken; its weighted mean is 1."""
        some = np.flatnonzero(self._sums[0] > 0)
        total, product, moment = self._sums[:, some]
        self._sums[:] = 0
        design = BSpline.design_matrix(
            moment / total, np.arange(len(self.coefficients) + 4.0) - 3, 3
        )
        weighted = design.multiply(total[:, None]).tocsr()
        normal = (design.T @ weighted).tocsr()
        band = np.zeros((4, len(self.coefficients)))
        for k in range(4):
            band[k, : len(self.coefficients) - k] = normal.diagonal(k)
        # coefficients that no pixel fixes are pulled to 1, weakly
        pull = 1e-6 * np.median(band[0][band[0] > 0])
        band[0] += pull
        found = solveh_banded(band, design.T @ product + pull, lower=True)
        self.coefficients = found / (total @ (design @ found) / total.sum())

    def __call__(self, block):
        """Return the profile in a block of columns; 1 in the dark."""
        out = np.ones((len(self.number), self.number[:, block].shape[1]))
        for rows, inside, offset in self._slits(block):
            first = np.floor(offset).astype(int)
            f = offset - first
            table = self.coefficients[first + np.arange(rows.start, rows.stop + 3)[:, None]]
            n = rows.stop - rows.start
            # the four cubic B-splines that are not zero between two knots
            found = table[:n] * (1 - f) ** 3 + table[3:] * f**3
            found += table[1 : n + 1] * (3 * f**3 - 6 * f**2 + 4)
            found += table[2 : n + 2] * (3 * f * (1 + f - f**2) + 1)
            out[rows] = np.where(inside, np.maximum(found / 6, 1e-3), out[rows])
        return out

    def _slits(self, block):
        """Yield rows, which pixels of them are lit, and their offset, slit by slit."""
        number = self.number[:, block]
        for slit, offset in enumerate(self._offset[:, block]):
            inside = number == slit
            lit = np.flatnonzero(inside.any(axis=1))
            if lit.size:
                rows = slice(lit[0], lit[-1] + 1)
                yield rows, inside[rows], offset


def _splines(n, spacing):
    """Cubic B-splines at n pixels, about ``spacing`` pixels between knots: sparse, by pixel."""
    n_parts = max(round(n / spacing), 1)
    inner = np.linspace(-0.5, n - 0.5, n_parts + 1)
    if n_parts > 4:  # a curve is free at its ends, where it would follow fringes: longer pieces
        inner = np.delete(inner, [1, -2])
    knots = np.concatenate([inner[:1].repeat(3), inner, inner[-1:].repeat(3)])
    return BSpline.design_matrix(np.arange(n, dtype=float), knots, 3).tocsr()


def _pairs(splines):
    """Products of spline j and spline j + d for d = 0 to 3, sparse, shape (4 x n_splines, n)."""
    by_spline = splines.T.tocsr()
    n = by_spline.shape[0]
    rows = []
    for d in range(4):
        product = by_spline[: n - d].multiply(by_spline[d:]).tocsr()
        product.resize(n, by_spline.shape[1])
        rows.append(product)
    return vstack(rows).tocsr()
