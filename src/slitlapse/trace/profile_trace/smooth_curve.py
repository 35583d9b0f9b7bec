"""Which smooth curve goes through these points, outliers left out?"""

from collections import namedtuple

import numpy as np
from numpy.polynomial.legendre import legvander

__all__ = ["Curve", "fit_smooth_curve"]

Curve = namedtuple("Curve", "value sigma degree keep")


def fit_smooth_curve(x, y, error, at, degree, sigma, max_degree=8):
    """Fit a polynomial, outliers left out; the degree of least BIC where none is given."""
    scale = np.array([at[0], at[-1]], float)
    scaled = (2 * x - scale.sum()) / max(np.ptp(scale), 1.0)
    top = max(min(max_degree, x.size // 4), 0) if degree is None else min(degree, x.size - 1)
    design = legvander(scaled, top) / error[:, None]
    y_w = y / error
    keep = np.ones(x.size, bool)
    for _ in range(6):
        best = None
        for n in range(top + 1) if degree is None else [top]:
            a, b = design[keep, : n + 1], y_w[keep]
            coef = np.linalg.lstsq(a, b, rcond=None)[0]
            chi2 = max(((a @ coef - b) ** 2).sum(), 1e-12 * b.size)
            # Bayesian information criterion with an unknown common scale of the errors
            bic = b.size * np.log(chi2 / b.size) + (n + 1) * np.log(b.size)
            if best is None or bic < best[0]:
                best = bic, n, coef, chi2 / max(b.size - n - 1, 1)
        _, n, coef, reduced = best
        z = design[:, : n + 1] @ coef - y_w
        spread = max(1.4826 * np.median(np.abs(z[keep])), np.sqrt(min(reduced, 1.0)), 1e-9)
        new = np.abs(z) < sigma * spread
        if new.sum() <= top + 1 or np.array_equal(new, keep):
            break
        keep = new
    vander = legvander((2 * at - scale.sum()) / max(np.ptp(scale), 1.0), n)
    cov = np.linalg.pinv(design[keep, : n + 1].T @ design[keep, : n + 1]) * max(reduced, 1.0)
    value_sigma = np.sqrt(np.einsum("xi,ij,xj->x", vander, cov, vander))
    return Curve(vander @ coef, value_sigma, n, keep)
