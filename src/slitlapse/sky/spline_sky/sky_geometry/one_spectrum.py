"""Is the sky one spectrum times something that changes slowly along the slit?"""

import warnings

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import spsolve

__all__ = ["IlluminationWarning", "separate", "slit_illumination"]

# the square of what one spectrum cannot describe is then what polynomials have of noise
MOST_MISFIT = 2.0
MOST_ROUNDS = 50
SETTLED = 1e-3  # standard deviations of the ratios


class IlluminationWarning(AstropyUserWarning):
    """The sky is not one spectrum times the illumination of the slit."""


def slit_illumination(fit, smoothness=2):
    """
    Find by how much the slit makes the sky brighter or fainter in every pixel.

    Parameters
    ----------
    fit : `SplineFit`
        Of a good exposure, or of the mean of many, by a geometry with polynomials.
    smoothness : int
        Degree in the effective pixel, of the ratios of coefficients.

    Returns
    -------
    illumination : array, shape (n_rows, n_x)
    misfit : float
        By how many times one spectrum times the illumination fits worse than noise.

    Warns
    -----
    IlluminationWarning
        If it fits much worse than the polynomials did.
    """
    used = fit.geometry
    if not used.is_weighted:  # its errors would not be in units of the noise
        used = used.weighted(fit.variance)
    old = used._splines
    middle, reach = np.mean(old.knots), np.ptp(old.knots) / 2
    slow = np.polynomial.legendre.legvander((old.knots - middle) / reach, smoothness)
    _, ratios, misfit = separate(used._factor, fit.coefficients, slow)
    t = np.clip((used.effective_pixel - middle) / reach, -1, 1)
    illumination = np.ones(t.shape)
    for k, ratio in enumerate(ratios, start=1):
        across = np.polynomial.legendre.legval(t, ratio)
        illumination += across * old.along[:, k, np.newaxis]
    if misfit > MOST_MISFIT:
        warnings.warn(
            f"One spectrum times the slit's illumination fits {misfit:.1f} times worse than "
            "noise: the sky changes along the slit in other ways (scattered light, nebula, "
            "wings of stars). Keep the polynomials along the slit.",
            IlluminationWarning,
            stacklevel=3,
        )
    return illumination, misfit


def separate(factor, coefficients, slow):
    """
    Write coefficients ``c[j, k]`` as a spectrum ``s[j]`` times slow ratios ``r_k(j)``, r_0 = 1.

    Spectrum and ratios are fitted in turn, each by weighted least squares with the other known.
    (To divide by the measured ``c[j, 0]`` instead would take its noise for spectrum, and find
    ratios that are too small.)

    Parameters
    ----------
    factor : array, shape (n_diagonals, n_knots * n_terms)
        Banded lower Cholesky factor of the normal equations that gave the coefficients.
    coefficients : array, shape (n_knots * n_terms,)
        Term by term for each knot.
    slow : array, shape (n_knots, n_slow)
        Functions of the knot of which the ratios are sums.

    Returns
    -------
    spectrum : array, shape (n_knots,)
    ratios : array, shape (n_terms - 1, n_slow)
        ``slow @ ratios[k - 1]`` is r_k.
    misfit : float
        Mean square of what is left, in units of the noise: 1 where the sky is such a product.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.sky.spline_sky.sky_geometry.one_spectrum import separate
    >>> spectrum, slow = np.array([1.0, 5.0, 2.0, 3.0]), np.ones((4, 1))
    >>> coefficients = np.outer(spectrum, [1.0, 0.2]).ravel()
    >>> _, ratios, _ = separate(np.ones((1, 8)), coefficients, slow)
    >>> ratios.round(3)
    array([[0.2]])
    """
    n_knots, n_slow = slow.shape
    n_terms = coefficients.size // n_knots
    n_ratios = (n_terms - 1) * n_slow
    root = diags_array(
        [diagonal[: coefficients.size - d] for d, diagonal in enumerate(factor)],
        offsets=range(len(factor)),
        shape=(coefficients.size, coefficients.size),
    ).tocsr()
    target = root @ coefficients
    pointers = np.arange(coefficients.size + 1)
    knot = np.repeat(np.arange(n_knots), n_terms)
    ratios = np.zeros((n_terms - 1, n_slow))
    for _ in range(MOST_ROUNDS):
        across = np.concatenate([np.ones((n_knots, 1)), slow @ ratios.T], axis=1)
        seen = root @ csr_array((across.ravel(), knot, pointers))
        spectrum = spsolve((seen.T @ seen).tocsc(), seen.T @ target)
        terms = np.zeros((n_knots, n_terms, n_terms - 1, n_slow))
        for k in range(1, n_terms):
            terms[:, k, k - 1] = spectrum[:, np.newaxis] * slow
        level = np.zeros((n_knots, n_terms))
        level[:, 0] = spectrum
        design = root @ terms.reshape(coefficients.size, n_ratios)
        rest = target - root @ level.ravel()
        new, *_ = np.linalg.lstsq(design, rest, rcond=None)
        step, ratios = new - ratios.ravel(), new.reshape(ratios.shape)
        if np.sum((design @ step) ** 2) < SETTLED**2 * n_ratios:
            break
    misfit = np.sum((rest - design @ new) ** 2) / max(n_knots * (n_terms - 1) - n_ratios, 1)
    return spectrum, ratios, float(misfit)
