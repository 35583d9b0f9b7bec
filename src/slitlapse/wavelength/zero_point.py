"""Is this star's wavelength scale off as a whole? Ask lines whose wavelengths are known."""

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from astropy.table import QTable

__all__ = ["ZeroPoint", "measure_zero_point"]

BRIGHTNESS = 0.3  # by which the listed strength of a faint neighbour may be wrong


@dataclass(frozen=True, eq=False)
class ZeroPoint:
    """
    Mean distance of single lines from where a wavelength solution expects them.

    Parameters
    ----------
    shift, shift_uncertainty : float
        Pixels, weighted mean of the lines used; positive where they are found at larger x, so
        that ``solution.shifted(shift)`` expects them where they are.
    lines : `~astropy.table.QTable`
        ``wavelength``, ``pixel`` expected, ``offset``, ``offset_uncertainty``, ``used``.

    Examples
    --------
    >>> zero = ZeroPoint(0.12, 0.03, QTable())
    >>> zero.shift
    0.12
    """

    shift: float
    shift_uncertainty: float
    lines: QTable = field(repr=False)


def measure_zero_point(
    spectrum, solution, lines, *, uncertainty=None, fwhm=4.0, absorption=False, max_shift=3.0,
    shining=None,
):  # fmt: skip
    """
    Compare where known lines are with where the solution puts them.

    Sky emission lines tell the instrument's own offset, stellar or telluric absorption lines that
    of a star that does not sit in the middle of the slit.

    Parameters
    ----------
    spectrum : array-like of shape (n_pixels,)
        Of the sky, or of the star.
    solution : `~slitlapse.wavelength.WavelengthSolution`
    lines : `~slitlapse.wavelength.LineList`, or `~astropy.units.Quantity`
        Wavelengths in the solution's medium (a list that knows its own is converted). Lines nearer
        to a neighbour than 1.5 ``fwhm`` are left out, unless ten times stronger.
    uncertainty : array-like, optional
        Standard deviation of each pixel; by default measured beside each line.
    fwhm : float
        Of the lines, pixels.
    absorption : bool
        The lines are dips.
    max_shift : float
        Offsets larger than this, in pixels, are not believed.
    shining : `~slitlapse.wavelength.LineList`, optional
        All lines there are, with their strengths, faint ones too, where ``lines`` are a choice of
        them or blends in one; by default ``lines``. What neighbours, and the parts of a blend, do
        to the centre of a line is taken off, and 30 % of it is added to the uncertainty.

    Returns
    -------
    zero_point : `ZeroPoint`

    Raises
    ------
    ValueError
        If fewer than two lines can be measured.
    """
    flux = np.array(getattr(spectrum, "value", spectrum), dtype=float)
    wave, strength = _wanted(lines, solution)
    expected = solution.wavelength_to_pixel(wave)
    rank = np.ones(len(wave)) if strength is None else strength
    keep = _alone(expected, rank, fwhm) & (expected > 4 * fwhm)
    keep &= expected < len(flux) - 1 - 4 * fwhm
    wave, expected = wave[keep], expected[keep]
    sigma = None if uncertainty is None else np.broadcast_to(uncertainty, flux.shape)
    rows = [_centre(flux, sigma, x, fwhm, -1 if absorption else 1, max_shift) for x in expected]
    found, error = np.array(rows).reshape(-1, 2).T
    offset = found - expected
    pulled = _pulled(
        expected, len(flux), sigma, fwhm, solution, lines if shining is None else shining
    )
    offset, error = offset - pulled, np.hypot(error, BRIGHTNESS * pulled)
    used = np.isfinite(offset) & (np.abs(offset) < max_shift) & (error < fwhm / 4)
    for _ in range(10):
        if used.sum() < 2:
            raise ValueError(
                f"Only {used.sum()} of {len(wave)} known lines can be measured in this spectrum; "
                "at least 2 are needed. Give more lines, a larger max_shift, or the right fwhm."
            )
        extra = _extra_scatter(offset[used], error[used])
        weight = 1 / (error**2 + extra**2)
        mean = np.average(offset[used], weights=weight[used])
        pull = np.abs(offset - mean) * np.sqrt(weight)
        worst = np.where(used, pull, 0).argmax()
        if pull[worst] < 4 or used.sum() < 4:
            break
        used[worst] = False
    table = QTable(
        {
            "wavelength": wave,
            "pixel": expected * u.pix,
            "offset": offset * u.pix,
            "offset_uncertainty": error * u.pix,
            "used": used,
        }
    )
    return ZeroPoint(float(mean), float(weight[used].sum() ** -0.5), table)


def _pulled(expected, n_pixels, sigma, fwhm, solution, lines):
    """How far listed lines near by move the centre of each; nowhere without strengths."""
    wave, strength = _wanted(lines, solution)
    if strength is None:
        return np.zeros(len(expected))
    pixel = solution.wavelength_to_pixel(wave)
    near = np.isfinite(pixel) & (np.abs(pixel - n_pixels / 2) < n_pixels / 2 + 4 * fwhm)
    z = (np.arange(n_pixels)[:, None] - pixel[near]) / (fwhm / 2.3548)
    listed = np.exp(-0.5 * z**2) @ strength[near]
    centres = [_centre(listed, sigma, x, fwhm, 1, 0.5 * fwhm)[0] for x in expected]
    return np.array(centres) - expected


def _wanted(lines, solution):
    if hasattr(lines, "to_medium"):
        lines = lines.to_medium(solution.medium)
    if hasattr(lines, "colnames"):
        strength = np.asarray(lines["strength"]) if "strength" in lines.colnames else None
        lines = u.Quantity(lines["wavelength"])
    else:
        lines, strength = u.Quantity(np.atleast_1d(lines), u.AA), None
    return lines, strength


def _alone(pixel, strength, fwhm):
    near = np.abs(pixel[:, None] - pixel) < 1.5 * fwhm
    rival = near & (strength > 0.1 * strength[:, None]) & ~np.eye(len(pixel), dtype=bool)
    return np.isfinite(pixel) & ~rival.any(axis=1)


def _centre(flux, sigma, expected, fwhm, sign, max_shift):
    """Gaussian on a sloping background, by linear steps in the centre: centre and its error."""
    reach = int(np.ceil(2 * fwhm + max_shift))
    first = round(expected) - reach
    if first < 0 or first + 2 * reach + 1 > len(flux):
        return np.nan, np.nan
    x = np.arange(first, first + 2 * reach + 1, dtype=float)
    y = sign * flux[first : first + len(x)]
    near = np.abs(x - expected) <= max_shift
    centre, width = x[near][np.argmax(y[near])], fwhm / 2.3548
    for _ in range(12):
        window = np.abs(x - centre) <= 2 * fwhm
        z = (x - centre) / width
        bell = np.exp(-0.5 * z**2)
        error = np.ones(len(x)) if sigma is None else sigma[first : first + len(x)]
        design = np.stack([bell, bell * z / width, np.ones(len(x)), x - expected], axis=1)
        root = (window / error)[:, None]
        covariance = np.linalg.pinv((design * root).T @ (design * root), hermitian=True)
        answer = covariance @ ((design * root).T @ (y * root[:, 0]))
        if not answer[0] > 0:
            return np.nan, np.nan
        step = np.clip(answer[1] / answer[0], -0.5 * fwhm, 0.5 * fwhm)
        centre += step
        if abs(step) < 1e-6:
            break
    variance = covariance[1, 1] / answer[0] ** 2
    residual = ((y - design @ answer) * root[:, 0])[window]
    spread = (residual**2).sum() / max(window.sum() - 4, 1)
    return centre, np.sqrt(variance * (spread if sigma is None else max(spread, 1)))


def _extra_scatter(offset, error):
    spread = np.var(offset, ddof=1) - np.mean(error**2)
    return np.sqrt(max(spread, 0.0))
