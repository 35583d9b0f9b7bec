"""Which smooth curve goes through these points, outliers left out?"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.interpolate import BSpline

__all__ = ["Curve", "fit_smooth_curve"]


@dataclass(frozen=True)
class Curve:
    """
    A smooth curve through points.

    Parameters
    ----------
    value, sigma : `~numpy.ndarray`, shape (n_at,)
        The curve and its standard error.
    degree : int
        Degree of the polynomial, or number of pieces of the spline.
    keep : `~numpy.ndarray` of bool, shape (n_points,)
        Points that were used.
    chi2 : float
        Reduced chi-square of the points used.
    """

    value: np.ndarray
    sigma: np.ndarray
    degree: int | None = None
    keep: np.ndarray | None = None
    chi2: float | None = None


def fit_smooth_curve(x, y, error, at, model=None, sigma=4.0, *, max_degree=8, level_ends=False):
    """
    Fit a polynomial or spline, outliers left out.

    Parameters
    ----------
    x, y, error : `~numpy.ndarray`, shape (n_points,)
        Points and their standard errors.
    at : `~numpy.ndarray`
        Where to evaluate; its first and last value are the ends of the range.
    model : None, int, "spline" or `~astropy.modeling.Model`
        ``None``: polynomial of the degree with the least Bayesian information criterion (Schwarz
        1978; the common scale of the errors is taken as unknown). An integer: that degree (a
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
        level; otherwise along its tangent.

    Returns
    -------
    Curve
    """
    span = float(at[0]), max(float(at[-1] - at[0]), 1.0)
    designs, names = _designs(model, min(max_degree, max(x.size // 4, 0)), x.size)
    keep = np.ones(x.size, bool)
    matrices = [design(2 * (x - span[0]) / span[1] - 1) / error[:, None] for design in designs]
    scaled = y / error
    for _ in range(8):
        best = None
        for k, matrix in enumerate(matrices):
            a, b = matrix[keep], scaled[keep]
            coef = np.linalg.lstsq(a, b, rcond=1e-10)[0]
            chi2 = max(((a @ coef - b) ** 2).sum(), 1e-12 * b.size)
            bic = b.size * np.log(chi2 / b.size) + a.shape[1] * np.log(b.size)
            if best is None or bic < best[0]:
                best = bic, k, coef, chi2 / max(b.size - a.shape[1], 1)
        _, k, coef, reduced = best
        z = matrices[k] @ coef - scaled
        spread = max(1.4826 * np.median(np.abs(z[keep])), 1.0)
        closer = np.abs(z) < sigma * spread
        if np.array_equal(closer, keep) or closer.sum() <= matrices[-1].shape[1]:
            break
        keep = closer
    near = 1.5 * np.median(np.diff(np.sort(x[keep]))) if keep.sum() > 1 else 0.0
    inside = np.clip(at, x[keep].min() - near, x[keep].max() + near)
    rows = designs[k](2 * (inside - span[0]) / span[1] - 1)
    if not level_ends:
        ahead = designs[k](2 * (inside + _inward(at, inside) - span[0]) / span[1] - 1)
        rows = rows + (rows - ahead) * np.abs(at - inside)[:, None]
    covariance = np.linalg.pinv(matrices[k][keep].T @ matrices[k][keep], hermitian=True)
    covariance *= max(reduced, 1.0)
    error = np.sqrt(np.einsum("xi,ij,xj->x", rows, covariance, rows, optimize=True))
    return Curve(rows @ coef, error, names[k], keep, reduced)


def _inward(at, inside):
    """Give the step of one pixel from beyond the ends back into the range."""
    return np.sign(inside - at)


def _designs(model, top, n_points):
    """List the functions that give a curve's terms at positions scaled to -1..1."""
    if model is None:
        degrees = range(top + 1)
    elif isinstance(model, (int, np.integer)) and not isinstance(model, bool):
        degrees = [min(int(model), max(n_points - 1, 0))]
    elif isinstance(model, str) and model == "spline":
        pieces = range(1, max(top - 2, 1) + 1)
        return [_spline_terms(n) for n in pieces], list(pieces)
    elif getattr(model, "linear", False) and hasattr(model, "fit_deriv"):
        return [_model_terms(model)], [len(model.parameters) - 1]
    else:
        raise ValueError(
            "A curve is None (degree chosen), a degree, 'spline', or an astropy model that is "
            f"linear in its parameters, but got {model!r}."
        )
    return [lambda t, n=n: legvander(t, n) for n in degrees], list(degrees)


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
