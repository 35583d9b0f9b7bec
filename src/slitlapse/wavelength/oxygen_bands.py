"""Where does the oxygen of the air absorb in a star's light, line by line, and is it there?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from scipy.ndimage import gaussian_filter1d

__all__ = ["OxygenOffset", "measure_oxygen", "oxygen_transmission"]

# Molecular constants in 1/cm: O2 ground state (rotation B, D; spin-spin and spin-rotation
# splitting), Babcock & Herzberg 1948 (ApJ 108, 167); of each band its origin, B and D above, and
# the strength of all its lines in cm per molecule (HITRAN; Rothman et al. 2009, JQSRT 110, 533).
ROTATION, STRETCH, SPLIT, COUPLING = 1.43768, 4.84e-6, 1.9848, -0.00842
BANDS = {
    "A": (13120.909, 1.391250, 5.37e-6, 2.24e-22),
    "B": (14525.661, 1.372953, 5.40e-6, 1.50e-23),
}
RANGES = {"A": (7585.0, 7735.0), "B": (6860.0, 6995.0)}  # vacuum, angstrom
COLUMN = 4.5e24  # molecules per square cm above sea level
WIDTH = 0.05  # 1/cm, half of a line's width at sea level; half of that on average
TEMPERATURE = 255.0  # K
STEP = 0.02  # angstrom between samples: lines are 0.05 wide and more
FWHMS = (2.0, 2.8, 4.0, 5.6, 8.0)  # pixels, that are tried
ROOM = 30.0  # angstrom of continuum on either side of a band
MODEL_ERROR = 0.02  # of the light: no star is smooth
FEWEST = 12  # pixels of a band


@dataclass(frozen=True)
class OxygenOffset:
    """
    Offset of a star's spectrum against its wavelengths, told by the air's oxygen.

    Parameters
    ----------
    shift, shift_uncertainty : float
        Pixels by which the bands lie at larger x than the solution says.
    contrast : float
        Improvement of chi square over the best offset elsewhere, in units of the reduced chi
        square.
    bands : tuple of str
        Which were seen: A (7600 angstrom), B (6870).
    strength : float
        Oxygen in the line of sight over what was assumed.

    Examples
    --------
    >>> OxygenOffset(0.4, 0.1, contrast=300.0, bands=("A",), strength=1.1).bands
    ('A',)
    """

    shift: float
    shift_uncertainty: float
    contrast: float
    bands: tuple
    strength: float


def oxygen_transmission(wavelength, *, airmass=1.2, pressure=0.77):
    """
    Part of the light that the oxygen of the air lets through, line by line.

    Both bands from rotation and spin of the molecule, lines of one pressure-broadened width.

    Parameters
    ----------
    wavelength : array-like or `~astropy.units.Quantity`
        In vacuum; plain numbers are angstrom. Lines are 0.05 angstrom wide.
    airmass : float
    pressure : float
        At the telescope, over that at sea level.

    Returns
    -------
    array
        1 outside of 6860 to 6995 and 7585 to 7735 angstrom.
    """
    wave = np.asarray(u.Quantity(wavelength, u.AA).value, float)
    depth, half = np.zeros(wave.shape), 0.5 * WIDTH * pressure
    for name, (low, high) in RANGES.items():
        inside = (wave >= low) & (wave <= high)
        number = 1e8 / wave[inside]
        for centre, strength in zip(*_lines(*BANDS[name]), strict=True):
            dose = strength * COLUMN * airmass * pressure
            depth[inside] += dose * half / np.pi / ((number - centre) ** 2 + half**2)
    return np.exp(-depth)


def _lines(origin, rotation, stretch, total):
    """Wave numbers (1/cm) and strengths of the lines of a band, four branches."""
    n = np.arange(1, 40, 2.0)  # the even ones do not exist
    middle = ROTATION * n * (n + 1) - STRETCH * (n * (n + 1)) ** 2
    above, below = (2 * n + 3) * ROTATION, (2 * n - 1) * ROTATION
    root = np.sqrt(np.array([above, below]) ** 2 + SPLIT**2 - 2 * SPLIT * ROTATION)
    first = middle + above - SPLIT - root[0] + COUPLING * (n + 1)
    third = middle - below - SPLIT + np.where(n > 1, root[1], -root[1]) - COUPLING * n

    def upper(k):
        return origin + rotation * k * (k + 1) - stretch * (k * (k + 1)) ** 2

    centre = [upper(n - 1) - middle, upper(n - 1) - third, upper(n + 1) - middle,
              upper(n + 1) - first]  # fmt: skip
    share = np.array([n, n - 0.5, n + 0.5, n + 1]) * np.exp(-1.4388 * middle / TEMPERATURE)
    return np.ravel(centre), total * np.ravel(share / share.sum())


def measure_oxygen(flux, solution, *, uncertainty=None, max_shift=20.0):
    """
    Find the offset at which the bands of oxygen explain a star's spectrum best.

    Around each band the logarithm of the light is a parabola plus the logarithm of the
    transmission times a strength.

    Parameters
    ----------
    flux : array-like, shape (n_pixels,)
        Of the star; bad pixels are not finite.
    solution : `~slitlapse.wavelength.WavelengthSolution`
    uncertainty : array-like, shape (n_pixels,), optional
    max_shift : float
        Pixels, in both directions.

    Returns
    -------
    OxygenOffset

    Raises
    ------
    ValueError
        If no band lies on the spectrum.
    """
    flux = np.asarray(getattr(flux, "value", flux), float)
    wave = solution.to_medium("vacuum").wavelength.to_value(u.AA)
    sigma = np.zeros(len(flux)) if uncertainty is None else np.asarray(uncertainty, float)
    parts = {}
    for name in BANDS:
        part = _Part.cut(name, wave, flux, sigma, max_shift)
        if part is not None:
            parts[name] = part
    if not parts:
        raise ValueError(
            "Neither of the bands of oxygen (6870 and 7600 angstrom) lies on enough good pixels of "
            "this spectrum."
        )
    best = None
    for fwhm in FWHMS:
        curves = {name: part.curve(fwhm) for name, part in parts.items()}
        steps = np.arange(-max_shift, max_shift + 0.1, 0.2)
        found = np.array([[part.fit(curves[name], step) for step in steps]
                          for name, part in parts.items()])  # fmt: skip
        gain = found[..., 0].sum(axis=0)
        if best is None or gain.max() > best[0].max():
            best = gain, steps, found, fwhm
    return _summary(parts, *best)


def _summary(parts, gain, steps, found, fwhm):
    """Parabola through the highest gains, and how far the rest is below."""
    top = int(np.clip(gain.argmax(), 1, len(gain) - 2))
    left = sum(part.chi2 for part in parts.values()) - gain[top]
    noise = max(left / max(sum(part.n_free for part in parts.values()), 1), 1.0)
    before, here, after = gain[top - 1 : top + 2]
    bend = max(2 * here - before - after, 1e-12)
    step = steps[1] - steps[0]
    shift = steps[top] + np.clip(0.5 * (after - before) / bend, -1, 1) * step
    error = step * np.sqrt(2 * noise / bend)
    away = np.abs(steps - steps[top]) > max(1.5 * fwhm, 3.0)
    seen = tuple(name for name, each in zip(parts, found, strict=True) if each[top, 0] > 9 * noise)
    contrast = (gain[top] - gain[away].max(initial=0.0)) / noise
    strength = found[found[:, top, 0].argmax(), top, 1]
    return OxygenOffset(float(shift), float(error), float(contrast), seen, float(strength))


@dataclass(frozen=True, eq=False)
class _Part:
    """The spectrum around one band, as logarithms without a parabola."""

    name: str
    wave: np.ndarray
    weight: np.ndarray
    basis: np.ndarray
    values: np.ndarray

    @classmethod
    def cut(cls, name, wave, flux, sigma, max_shift):
        low, high = RANGES[name]
        scale = np.median(np.abs(np.diff(wave)))
        room = ROOM + max_shift * scale
        inside = (wave > low - room) & (wave < high + room)
        good = inside & np.isfinite(flux) & np.isfinite(sigma)
        if not good.any():
            return None
        good &= flux > 0.02 * max(np.median(flux[good]), 0.0)
        on_band = good & (wave > low) & (wave < high)
        if on_band.sum() < FEWEST or wave[good].min() > low or wave[good].max() < high:
            return None
        x = np.arange(len(flux))[good]
        along = (x - x.mean()) / np.ptp(x)
        weight = 1 / np.hypot(sigma[good] / flux[good], MODEL_ERROR)
        basis, _ = np.linalg.qr(weight[:, None] * along[:, None] ** np.arange(3))
        values = weight * np.log(flux[good])
        return cls(name, wave[good], weight, basis, values - basis @ (basis.T @ values))

    @property
    def chi2(self):
        return float(self.values @ self.values)

    @property
    def n_free(self):
        return len(self.values) - 5

    @property
    def scale(self):
        """Angstrom per pixel, with its sign."""
        return float(np.median(np.diff(self.wave)))

    def curve(self, fwhm):
        """Logarithm of the transmission at lines ``fwhm`` pixels wide: wavelength, value."""
        low, high = RANGES[self.name]
        spread = fwhm / 2.3548 * abs(self.scale)
        grid = np.arange(low - 5 * spread, high + 5 * spread, STEP)
        blurred = gaussian_filter1d(oxygen_transmission(grid), spread / STEP, mode="nearest")
        return grid, np.log(blurred)

    def fit(self, curve, shift):
        """Improvement of chi square and strength of the band, moved by ``shift`` pixels."""
        moved = np.interp(self.wave - shift * self.scale, *curve, left=0.0, right=0.0)
        design = self.weight * moved
        design = design - self.basis @ (self.basis.T @ design)
        norm = design @ design
        if not norm > 0:
            return 0.0, 0.0
        strength = max(design @ self.values / norm, 0.0)
        return norm * strength**2, strength
