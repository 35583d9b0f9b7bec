"""The curve of a solution: bases, the domain they live on, where it turns back, air and vacuum."""

import astropy.units as u
import numpy as np
from numpy.polynomial import chebyshev, legendre, polynomial
from specutils.utils.wcs_utils import air_to_vac, vac_to_air

__all__ = ["BASES", "MEDIA", "NO_LINES", "carry_over", "convert", "monotonic_branch", "scaled"]

BASES = {
    "legendre": (legendre.legval, legendre.legvander, legendre.leg2poly),
    "chebyshev": (chebyshev.chebval, chebyshev.chebvander, chebyshev.cheb2poly),
    "polynomial": (polynomial.polyval, polynomial.polyvander, np.asarray),
}
MEDIA = ("air", "vacuum")
NO_LINES = {
    **{name: np.zeros(0, "U32") for name in ("lamp", "ion", "reason")},
    **{name: np.zeros(0) * u.pix for name in ("pixel", "pixel_uncertainty")},
    **{name: np.zeros(0) * u.AA for name in ("wavelength", "residual")},
    "used": np.zeros(0, bool),
}


def convert(wavelength, have, want):
    """Wavelengths of one medium in the other; NaN, as of a line not named, stays NaN."""
    if have == want:
        return wavelength
    if want == "air":
        return vac_to_air(wavelength, method="Ciddor1996")
    # the iteration of specutils never ends where one wavelength is NaN, as of a line not named
    converted, known = wavelength.copy(), np.isfinite(wavelength.value)
    if known.any():
        options = {"scheme": "iteration", "method": "Ciddor1996"}
        converted[known] = air_to_vac(wavelength[known], **options)
    return converted


def scaled(pixel, domain):
    """Pixels mapped so that the domain becomes -1 to +1."""
    return (2 * pixel - domain[0] - domain[1]) / (domain[1] - domain[0])


def monotonic_branch(evaluate, n_pixels):
    """
    Pixels around the detector as far as wavelength stays monotonic, and their wavelengths.

    Parameters
    ----------
    evaluate : callable
        Wavelength at an array of pixels.
    n_pixels : int
        Length of the detector; the branch reaches one more length to either side at most.

    Returns
    -------
    pixel, wavelength : array
    """
    n = n_pixels
    grid = np.arange(-n, 2 * n, max(n / 4096, 0.5))
    value = evaluate(grid)
    middle = int(np.argmin(np.abs(grid - 0.5 * (n - 1))))
    rising = np.sign(np.diff(value)) == np.sign(value[middle + 1] - value[middle])
    low = np.flatnonzero(~rising[:middle])
    high = np.flatnonzero(~rising[middle:])
    start = low[-1] + 1 if low.size else 0
    stop = middle + high[0] + 1 if high.size else len(grid)
    return grid[start:stop], value[start:stop]


def carry_over(old_pixel, basis, domain, degree):
    """
    Matrix that turns coefficients on old pixels into coefficients on new ones.

    Parameters
    ----------
    old_pixel : array of shape (n_new,)
        Pixel of the old detector that sees what each new one sees.
    basis : str
    domain : pair of float
        Of the old coefficients.
    degree : int
        Of the old polynomial; the new one has two more where the map is not a straight line.

    Returns
    -------
    carry : array of shape (new_degree + 1, degree + 1)
        It is linear, so the covariance follows.
    straight : bool
    """
    n = len(old_pixel)
    x = np.arange(n)
    straight = np.ptp(old_pixel - np.polyval(np.polyfit(x, old_pixel, 1), x)) < 1e-9 * n
    new = BASES[basis][1](scaled(x, (0.0, n - 1.0)), degree + (0 if straight else 2))
    old = BASES[basis][1](scaled(old_pixel, domain), degree)
    return np.linalg.lstsq(new, old, rcond=None)[0], bool(straight)
