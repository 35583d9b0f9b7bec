"""What does a whole arc say about its wavelengths where hardly any of its lines stands alone?"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

from .one_arc import ArcSpectrum, OneArc

__all__ = ["ArcModel", "ArcSpectrum", "correct_curve", "model_arcs"]

FAINTEST = 1e-4  # of the brightest line; fainter ones are left out
COOLING = 0.8  # of the largest step, per step: absent lines otherwise come and go for ever
N_PLAIN = 4  # steps before the tails: no line is an outlier only because it was thought fainter


@dataclass(frozen=True, eq=False)
class ArcModel:
    """
    How the lines of whole arcs are displaced from where a curve puts them.

    Parameters
    ----------
    displacement : array of shape (degree + 1,)
        Legendre coefficients, pixels: lines are at x + d(x), not at x.
    covariance : array
        Of these: from the noise, and from how independent pieces of the arcs disagree.
    fluxes : list of array
        The modelled arcs.
    """

    displacement: np.ndarray
    covariance: np.ndarray
    fluxes: list

    def at(self, pixel, n_pixels):
        """Displacement in pixels at ``pixel`` of a detector of ``n_pixels``."""
        return legendre.legval(2 * np.asarray(pixel) / (n_pixels - 1) - 1, self.displacement)

    def corrected(self, coefficients, n_pixels):
        """
        Take a curve to where the arcs say that it is.

        Parameters
        ----------
        coefficients : array
            Legendre, wavelengths of the curve whose pixels were modelled (detector on -1 ... +1).
        n_pixels : int

        Returns
        -------
        coefficients, covariance : array
            Of one degree more than the curve or the displacement, whichever bends more.
        """
        half = 0.5 * (n_pixels - 1)
        v = np.cos(np.pi * (np.arange(401) + 0.5) / 401)
        before = v
        for _ in range(5):  # what is seen at v was believed to be at before
            before = v - legendre.legval(before, self.displacement) / half
        degree = max(len(coefficients), len(self.displacement))
        back = np.linalg.pinv(legendre.legvander(v, degree))
        slope = legendre.legval(v, legendre.legder(coefficients)) / half
        effect = back @ (-slope[:, None] * legendre.legvander(v, len(self.displacement) - 1))
        curve = back @ legendre.legval(before, coefficients)
        return curve, effect @ self.covariance @ effect.T


def model_arcs(arcs, *, fwhm, degree=3, max_steps=20):
    """
    Fit whole arcs with all their listed lines: brightness of each, widths, and a displacement.

    Lines are a Gaussian behind an evenly lit slit, which may lean and have wings (Gauss-Hermite
    functions of third and fourth order, van der Marel & Franx 1993); in one arc their shape changes
    slowly along the detector. What bright lines show it to be wrong by counts as an error of all.
    Where lines overlap, the centre of a blend depends on how bright its members are, which no
    list knows for a given lamp. The spectrum knows: each line may be as bright as it asks for,
    within a factor of some three around what is expected, while all share one displacement.

    Parameters
    ----------
    arcs : list of `ArcSpectrum`
        All on one detector. Lines that are not expected on it may be left out.
    fwhm : float
        Line width, pixels.
    degree : int
        Of the displacement along the detector.
    max_steps : int
        Of Gauss and Newton.

    Returns
    -------
    model : `ArcModel`

    Raises
    ------
    ValueError
        If no arc has a line to fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(400)
    >>> listed = np.array([50.0, 130.0, 134.0, 250.0, 255.0, 340.0])
    >>> away = x[:, None] - listed - 0.3
    >>> seen = np.exp(-0.5 * (away / 1.7) ** 2) @ [5e3, 9e3, 2e3, 4e3, 5e3, 3e3]
    >>> arc = ArcSpectrum(seen, np.full(400, 5.0), listed, np.full(6, 2e4))
    >>> print(f"{model_arcs([arc], fwhm=4.0, degree=0).displacement[0]:.2f}")
    0.30
    """
    fitted = [OneArc(arc, fwhm) for arc in arcs if len(arc.pixel)]
    if not fitted:
        raise ValueError("No arc has a listed line on the detector; there is nothing to fit.")
    displacement = np.zeros(degree + 1)
    for k in range(max_steps):
        parts = [one.marginal(displacement, robust=k >= N_PLAIN) for one in fitted]
        known = sum(part[0] for part in parts) + 1e-6 * np.eye(degree + 1)
        step = np.linalg.solve(known, sum(part[1].sum(axis=0) for part in parts))
        step = np.clip(step, -0.5 * fwhm, 0.5 * fwhm)
        displacement = displacement + step
        for one, part in zip(fitted, parts, strict=True):
            one.move(part[2] - part[3] @ step, COOLING ** max(k - N_PLAIN, 0))
        if k > N_PLAIN and np.abs(step).max() < 1e-3:
            break
    parts = [one.marginal(displacement) for one in fitted]
    inverse = np.linalg.inv(sum(part[0] for part in parts) + 1e-6 * np.eye(degree + 1))
    pieces = np.vstack([part[1] for part in parts])
    # each alone is too small: pieces cannot disagree about what they were free to absorb
    few = len(pieces) / max(len(pieces) - degree - 1, 1)
    covariance = inverse + inverse @ (pieces.T @ pieces) @ inverse * few
    fluxes = [one.evaluate(displacement)[0] for one in fitted]
    return ArcModel(displacement, covariance, fluxes)


def correct_curve(coefficients, spectra, wavelengths, expected, n_pixels, fwhm):
    """
    Model whole arcs by a curve that is right to a fraction of a line width, and correct it.

    Parameters
    ----------
    coefficients : array
        Legendre, the curve so far (angstrom; detector on -1 ... +1).
    spectra : list of (flux, uncertainty)
        Plain arrays of shape (n_pixels,) in one unit; the flux is NaN where it is bad or
        saturated, the uncertainty None where it is not known.
    wavelengths, expected : list of array
        Per arc, its lamp's lines and the flux expected of each.
    n_pixels : int
    fwhm : float
        Line width, pixels.

    Returns
    -------
    coefficients, covariance : array

    Raises
    ------
    ValueError
        If no arc has a listed line on the detector.
    """
    half = 0.5 * (n_pixels - 1)
    x = np.linspace(-3 * fwhm, n_pixels - 1 + 3 * fwhm, 4 * n_pixels)
    wave = legendre.legval(x / half - 1, coefficients)
    if wave[-1] < wave[0]:
        x, wave = x[::-1], wave[::-1]
    arcs = []
    for (flux, uncertainty), listed, bright in zip(spectra, wavelengths, expected, strict=True):
        near = (listed > wave[0]) & (listed < wave[-1])
        near &= bright > FAINTEST * np.max(bright, initial=0.0, where=near)
        arcs.append(ArcSpectrum(flux, uncertainty, np.interp(listed[near], wave, x), bright[near]))
    model = model_arcs(arcs, fwhm=fwhm, degree=max(len(coefficients) - 1, 3))
    return model.corrected(coefficients, n_pixels)
