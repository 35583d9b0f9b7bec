"""Which smooth curve goes through these points, outliers left out?"""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg.lapack import dtrtri

__all__ = ["Curve", "fit_smooth_curve"]

FAR_WORSE, FAR_OFF = 4.0, 3.0  # an error, over the median one and over the floor
NODES = 128  # at least, where the error is worked out
SECANT = 0.05  # of the range: the last part, whose slope a curve goes on with
Fit = namedtuple("Fit", "criterion n share inverse reduced sizes belief")


@dataclass(frozen=True)
class Curve:
    """
    A smooth curve through points.

    Parameters
    ----------
    value, sigma : `~numpy.ndarray`, shape (n_at,)
        The curve and its standard error.
    degree : int
        Degree of the polynomial; for other curves the number of their terms less one.
    keep : `~numpy.ndarray` of bool, shape (n_points,)
        Points that were used.
    chi2 : float
        Reduced chi-square of the points used.
    reach : tuple of float
        First and last position where the points say where the curve is; beyond, it goes on.
    """

    value: np.ndarray
    sigma: np.ndarray
    degree: int | None = None
    keep: np.ndarray | None = None
    chi2: float | None = None
    reach: tuple | None = None


def fit_smooth_curve(
    x,
    y,
    error,
    at,
    model=None,
    sigma=4.0,
    *,
    max_degree=10,
    level_ends=False,
    caution=0.0,
    floor=0.0,
):
    """
    Fit a polynomial or spline, outliers left out.

    Parameters
    ----------
    x, y, error : `~numpy.ndarray`, shape (n_points,)
        Points and their standard errors.
    at : `~numpy.ndarray`
        Where to evaluate; its first and last value are the ends of the range.
    model : None, int, "spline" or `~astropy.modeling.Model`
        ``None``: polynomial, its degree by the Bayesian information criterion (Schwarz 1978; the
        common scale of the errors is taken as unknown): the degree of the least criterion, and
        the others as far as exp(-BIC / 2) believes in them (Hoeting et al. 1999), so that what
        cannot be decided adds to the error. An integer: that degree (a
        Chebyshev or Legendre series of the same degree is the same curve). ``"spline"``: cubic
        B-spline, the number of equal pieces chosen by the same criterion. A model that is linear in
        its parameters: its terms.
    sigma : float
        Points farther away than this many times their error (or their scatter, if that is larger)
        are left out.
    max_degree : int
        Highest degree, or most pieces, that are tried.
    level_ends : bool
        Farther out than the outermost points (by more than they are apart) the curve goes on
        level; otherwise as steep as over its last part.
    floor : float
        Deviations of this size are taken for what a smooth curve cannot follow, not for outliers.
        Ends where the curve's error is several times larger, and larger than elsewhere, count as
        farther out: a few points with hardly any weight do not hold a curve.
    caution : float
        The criterion must be smaller by more than this for a higher degree to be believed.

    Returns
    -------
    Curve
    """
    span = float(at[0]), max(float(at[-1] - at[0]), 1.0)
    families = _families(model, min(max_degree, max(x.size // 5, 0)), x.size)
    bases = [terms(2 * (x - span[0]) / span[1] - 1) for terms, _ in families]
    matrices = [basis / error[:, None] for basis in bases]
    scaled, keep = y / error, np.ones(x.size, bool)
    for _ in range(8):
        fits = [
            _least(matrix[keep], scaled[keep], sizes, caution)
            for matrix, (_, sizes) in zip(matrices, families, strict=True)
        ]
        k = int(np.argmin([fit.criterion for fit in fits]))
        fit = fits[k]
        z = matrices[k][:, : fit.n] @ (fit.inverse[: fit.n, : fit.n] @ fit.share[: fit.n]) - scaled
        spread = max(1.4826 * _median(np.abs(z[keep])), 1.0)
        closer = np.abs(z) < sigma * np.sqrt(spread**2 + (floor / error) ** 2)
        if np.array_equal(closer, keep) or closer.sum() <= fit.n + 1:
            break
        keep = closer
    order = np.argsort(x[keep])
    points = x[keep][order]
    near = 1.5 * _median(np.diff(points)) if points.size > 1 else 0.0
    terms, n_terms = families[k][0], len(fit.inverse)

    inside = np.arange(n_terms) < fit.sizes[:, None]  # which terms a size has
    coefficients = fit.inverse @ (fit.belief @ inside * fit.share)

    def basis(where):
        return terms(2 * (where - span[0]) / span[1] - 1)[:, :n_terms]

    nodes = np.append(at[:: max(at.size // NODES, 1)], at[-1:])  # errors change slowly
    known = bases[k][keep][order, :n_terms]
    ends = basis(np.clip(nodes, points[0] - near, points[-1] + near))
    errors = _uncertainty(np.concatenate([known, ends]) @ fit.inverse, fit, inside)
    first, last = _believed(points, errors[: points.size], floor, near)
    chord = max(SECANT * (last - first), 1.0)
    ends = np.array([first, first + chord, last - chord, last])
    within = np.clip(at, first, last)
    value, ends = np.split(basis(np.append(within, ends)) @ coefficients, [at.size])
    error = np.interp(at, nodes, errors[points.size :])
    if not level_ends and (first > at[0] or last < at[-1]):
        # the chord over the last part: a tangent at the very end would wag
        slope = np.where(at < first, ends[1] - ends[0], ends[3] - ends[2]) / chord
        value += slope * (at - within)
    return Curve(value, error, int(fit.n) - 1, keep, fit.reduced, (float(first), float(last)))


def _believed(points, error, floor, near):
    """Give the range in which the curve is known: not where it is merely what is left free."""
    known = (error <= FAR_WORSE * _median(error)) | (error <= FAR_OFF * floor) | (floor == 0)
    if known.all():
        return points[0] - near, points[-1] + near
    return points[known][0], points[known][-1]


def _median(values):
    """Give the (upper) median, faster than numpy for few values."""
    return np.partition(values, values.size // 2)[values.size // 2]


def _least(matrix, values, sizes, caution):
    """
    Fit the first columns of a matrix, as many (of ``sizes``) as the criterion says.

    One triangular decomposition holds the fits with any number of columns: in its terms the
    coefficients (``share``) do not depend on each other.
    """
    r = np.linalg.cholesky(matrix.T @ matrix + 1e-13 * np.eye(matrix.shape[1])).T
    inverse, _ = dtrtri(r)
    share = (matrix.T @ values) @ inverse
    left = np.maximum((values**2).sum() - np.cumsum(share**2), 1e-12 * values.size)
    sizes = np.asarray(sizes)
    sizes = sizes[(sizes <= values.size) & (np.abs(r.diagonal()[sizes - 1]) > 1e-10)]
    bic = values.size * np.log(left[sizes - 1] / values.size) + sizes * np.log(values.size)
    best = np.argmax(bic <= bic.min() + caution)  # the shortest that is not clearly worse
    n = sizes[best]
    belief = np.exp(-0.5 * np.maximum(bic - bic[best], 0)) if caution == 0 else 1.0 * (sizes == n)
    inverse = inverse[: sizes[-1], : sizes[-1]]
    reduced = left[n - 1] / max(values.size - n, 1)
    return Fit(bic[best], n, share[: sizes[-1]], inverse, reduced, sizes, belief / belief.sum())


def _uncertainty(basis, fit, inside):
    """Give the error of the average of all sizes; their differences are part of it."""
    value = basis @ (fit.belief @ inside * fit.share)
    variance = max(fit.reduced, 1.0) * basis**2 @ (fit.belief @ inside)
    some = fit.belief > 1e-4
    each = basis @ (inside[some] * fit.share).T
    return np.sqrt(variance + (each - value[:, None]) ** 2 @ fit.belief[some])


def _families(model, top, n_points):
    """List functions that give a curve's terms at positions scaled to -1..1, and how many count."""
    if model is None:
        return [(lambda t: _legendre(t, top), range(1, top + 2))]
    if isinstance(model, (int, np.integer)) and not isinstance(model, bool):
        n = min(int(model), max(n_points - 1, 0))
        return [(lambda t: _legendre(t, n), [n + 1])]
    if isinstance(model, str) and model == "spline":
        pieces = range(1, max(top - 2, 1) + 1)
        return [(_spline_terms(n), [n + 3]) for n in pieces]
    if getattr(model, "linear", False) and hasattr(model, "fit_deriv"):
        n = len(model.parameters)
        return [(_model_terms(model), [n])]
    raise ValueError(
        "A curve is None (degree chosen), a degree, 'spline', or an astropy model that is linear "
        f"in its parameters, but got {model!r}."
    )


def _legendre(t, top):
    """Give Legendre polynomials by their recurrence, shape (n, top + 1)."""
    terms = np.ones((top + 1, t.size))
    terms[1:2] = t
    for k in range(2, top + 1):
        np.multiply(terms[k - 1], t, out=terms[k])
        terms[k] *= (2 * k - 1) / k
        terms[k] -= (k - 1) / k * terms[k - 2]
    return terms.T


def _spline_terms(pieces):
    """Give the cubic B-splines on equal pieces."""
    knots = np.concatenate([[-1.0] * 3, np.linspace(-1, 1, pieces + 1), [1.0] * 3])
    return lambda t: BSpline.design_matrix(np.clip(t, -1, 1), knots, 3).toarray()


def _model_terms(model):
    """Give the terms of a linear astropy model."""

    def terms(t):
        values = np.asarray(model.fit_deriv(t, *model.parameters), float)
        return values.T if model.col_fit_deriv else values

    return terms
