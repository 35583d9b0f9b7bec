"""What would the arc look like, if the wavelength solution and the line list were right?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from scipy.special import ndtr

from .line_lists import LineList, lamp_line_list
from .wavelength_solution import WavelengthSolution

__all__ = ["SimulatedSpectrograph", "arc_image", "arc_spectrum", "simulate_spectrograph"]

FWHM_TO_SIGMA = 1 / 2.3548200450309493


def arc_spectrum(
    solution, lines, *, fwhm=2.5, slit=0.0, counts=1e5, background=0.0, read_noise=0.0, rng=None
):
    """
    Draw the arc that a solution and a line list predict, integrated over the pixels.

    Parameters
    ----------
    solution : `~slitlapse.wavelength.WavelengthSolution`
    lines : `~slitlapse.wavelength.LineList`
        ``strength`` times ``counts`` over the largest strength is each line's total.
    fwhm : float
        Width (pixels) of the Gaussian part of a line's profile.
    slit : float
        Width (pixels) of the evenly lit slit it is smeared by: 0 leaves Gaussian lines.
    counts : float
        Electrons in the strongest line.
    background : float
        Electrons per pixel everywhere.
    read_noise : float
        Electrons; used with ``rng``.
    rng : `~numpy.random.Generator`, optional
        Draws photons and read noise; without it the expected electrons are returned.

    Returns
    -------
    flux : array of shape (n_pixels,)
        Electrons.

    Examples
    --------
    >>> solution = WavelengthSolution([5500.0, 500.0], (0, 1000), 1001)
    >>> arc = arc_spectrum(solution, lamp_line_list("Hg"), fwhm=3.0)
    >>> round(float(solution.pixel_to_wavelength(arc.argmax()).value))
    5461
    """
    wave = lines.to_medium(solution.medium)["wavelength"]
    centre = solution.wavelength_to_pixel(wave)
    total = np.asarray(lines["strength"], float) * counts / np.max(lines["strength"])
    flux = background + _integrated(centre, total, fwhm, slit, solution.n_pixels)
    if rng is None:
        return flux
    return rng.poisson(flux) + rng.normal(0, read_noise, flux.shape)


def arc_image(solution, lines, tilt, *, profile=None, rng=None, read_noise=0.0, **kwargs):
    """
    Draw an arc frame whose lines are tilted.

    Parameters
    ----------
    solution : `~slitlapse.wavelength.WavelengthSolution`
        Along the tilt's reference row.
    lines : `~slitlapse.wavelength.LineList`
    tilt : `~slitlapse.wavelength.LineTilt`
        Or anything with ``shape`` and ``detector(pixel, row)``.
    profile : array of shape (n_y,), optional
        How bright the slit is along its length; 1 everywhere if not given.
    rng, read_noise
        As in `arc_spectrum`.
    **kwargs
        ``fwhm``, ``slit``, ``counts`` and ``background`` of `arc_spectrum`.

    Returns
    -------
    image : array of shape (n_y, n_x)
        Electrons.
    """
    n_y, n_x = tilt.shape
    profile = np.ones(n_y) if profile is None else np.asarray(profile, float)
    centre = solution.wavelength_to_pixel(lines.to_medium(solution.medium)["wavelength"])
    total = np.asarray(lines["strength"], float) / np.max(lines["strength"])
    total = total * kwargs.get("counts", 1e5)
    fwhm, slit = kwargs.get("fwhm", 2.5), kwargs.get("slit", 0.0)
    rows = [
        profile[y] * _integrated(tilt.detector(centre, y), total, fwhm, slit, n_x)
        for y in range(n_y)
    ]
    image = np.array(rows) + kwargs.get("background", 0.0)
    if rng is None:
        return image
    return rng.poisson(image) + rng.normal(0, read_noise, image.shape)


def _integrated(centre, total, fwhm, slit, n_pixels):
    """Sum of lines, each Gaussian convolved with a box, integrated over every pixel."""
    sigma = fwhm * FWHM_TO_SIGMA
    reach = int(np.ceil(6 * sigma + slit / 2)) + 1
    flux = np.zeros(n_pixels + 2 * reach + 1)
    keep = np.isfinite(centre) & (centre > -reach) & (centre < n_pixels - 1 + reach) & (total > 0)
    centre, total = centre[keep], total[keep]
    first = np.round(centre).astype(int) - reach
    edge = first[:, None] + np.arange(2 * reach + 2) - 0.5 - centre[:, None]
    if slit > 0:
        upper, lower = (edge + slit / 2) / sigma, (edge - slit / 2) / sigma
        below = sigma / slit * (_ramp(upper) - _ramp(lower))
    else:
        below = ndtr(edge / sigma)
    share = np.diff(below, axis=1) * total[:, None]
    index = first[:, None] + np.arange(2 * reach + 1) + reach
    inside = (index >= 0) & (index < len(flux))
    np.add.at(flux, index[inside], share[inside])
    return flux[reach : reach + n_pixels]


def _ramp(z):
    """Integral of the normal distribution function."""
    return z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


@dataclass(frozen=True, eq=False)
class SimulatedSpectrograph:
    """
    A spectrograph nobody built, its arcs, and the truth.

    Parameters
    ----------
    solution : `~slitlapse.wavelength.WavelengthSolution`
        The truth.
    arcs : list of (str, array, array)
        Lamp, spectrum in electrons, uncertainty: what `~slitlapse.wavelength.match_lamps` takes.
    fwhm : float
        Of the lines, pixels.
    """

    solution: WavelengthSolution
    arcs: list
    fwhm: float

    def rough_range(self, rng, error=0.1):
        """Wavelength range with a centre and a dispersion wrong by up to ``error``."""
        wave = self.solution.wavelength.value
        span = abs(wave[-1] - wave[0])
        middle = 0.5 * (wave[0] + wave[-1]) + rng.uniform(-error, error) * span
        half = 0.5 * span * (1 + rng.uniform(-error, error))
        return middle - half, middle + half


def simulate_spectrograph(
    rng,
    *,
    n_pixels=None,
    dispersion=(0.4, 6.0),
    curvature=0.05,
    lamps=None,
    min_lines=10,
    missing=0.1,
    spurious=0.1,
    medium="air",
):
    """
    Invent a spectrograph and take its arcs.

    Lamps shine with the listed strengths times a random factor per line (a factor 2.7) and per ion
    (likewise), under a response that falls towards the ends; some listed lines are missing, some
    lines are on nobody's list, and neighbours blend as the resolution demands.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    n_pixels : int, optional
        Drawn from 1024, 2048 and 4096 if not given.
    dispersion : pair of float
        Angstrom per pixel, drawn evenly in its logarithm.
    curvature : float
        Largest departure from a straight line, in parts of the span.
    lamps : sequence of str, optional
        One to four are drawn if not given.
    min_lines : int
        Draw again until so many lines of all lamps stand well above the noise.
    missing, spurious : float
        Parts of the listed lines that do not shine, and of the lines that are not listed.
    medium : {"air", "vacuum"}

    Returns
    -------
    spectrograph : `SimulatedSpectrograph`
    """
    single = ["HeAr", "Ne", "Ar", "Kr", "Xe", "Hg", "CdZn", "FeAr", "ThAr", "CuAr", "CuNe", "HgAr"]
    while True:
        n = int(rng.choice([1024, 2048, 4096])) if n_pixels is None else n_pixels
        scale = np.exp(rng.uniform(*np.log(dispersion)))
        span = scale * n
        if not 300 <= span <= 7600:
            continue
        start = rng.uniform(3200, 10900 - span)
        bend = rng.uniform(-curvature, curvature) * span
        sign = rng.choice([-1, 1])
        terms = [start + span / 2, sign * span / 2, 2 / 3 * bend, rng.normal(0, 0.002) * span]
        truth = WavelengthSolution(terms, (0, n - 1), n, medium)
        chosen = rng.choice(single, rng.integers(1, 5), replace=False) if lamps is None else lamps
        fwhm = rng.uniform(2.0, 4.5)
        arcs, bright = [], 0
        for lamp in chosen:
            flux, sigma, count = _one_arc(rng, lamp, truth, fwhm, missing, spurious)
            bright += count
            arcs.append((str(lamp), flux, sigma))
        if bright >= min_lines:
            return SimulatedSpectrograph(truth, arcs, fwhm)


def _one_arc(rng, lamp, truth, fwhm, missing, spurious):
    """One lamp's spectrum, its uncertainty, and how many lines stand out."""
    wave = truth.wavelength.value
    lines = lamp_line_list(lamp, medium=truth.medium, wavelength_range=(wave.min(), wave.max()))
    names = np.unique(lines["ion"])
    factor = dict(zip(names, np.exp(rng.normal(0, 1.0, len(names))), strict=True))
    top = {name: lamp_line_list(lamp)["strength"][lamp_line_list(lamp)["ion"] == name].max()
           for name in names}  # fmt: skip
    weak = np.array([0.3 if name.endswith("II") else 1.0 for name in lines["ion"]])
    scale = np.array([factor[name] / top[name] for name in lines["ion"]]) * weak
    strength = lines["strength"] * scale * np.exp(rng.normal(0, 1.0, len(lines)))
    strength = np.where(rng.random(len(lines)) < missing, 0.0, strength)
    if len(lines):
        n_extra = rng.poisson(spurious * min(len(lines), 40))
        extra = rng.uniform(wave.min(), wave.max(), n_extra)
        strong = np.sort(strength)[-40:]
        wave = np.append(lines["wavelength"].value, extra)
        strength = np.append(strength, rng.choice(strong, n_extra))
        where = truth.wavelength_to_pixel(wave) / truth.n_pixels - 0.5
        strength = strength * np.exp(-0.5 * (where / rng.uniform(0.25, 0.6)) ** 2)
    total = strength / max(strength.max(initial=0.0), 1e-30) * 10 ** rng.uniform(4.5, 6)
    table = {"wavelength": wave[: len(total)] * u.AA, "strength": total + 1e-9}
    lit = LineList(table, meta={"medium": truth.medium})
    background, noise = 20.0, 4.0
    kwargs = {"fwhm": fwhm, "slit": rng.uniform(0, 1.2) * fwhm, "background": background}
    expected = np.full(truth.n_pixels, background)
    if len(lit):
        expected = arc_spectrum(truth, lit, counts=total.max() + 1e-9, **kwargs)
    flux = rng.poisson(expected) + rng.normal(0, noise, expected.shape)
    bound = 10 * np.sqrt(2 * fwhm * (background + noise**2) + np.maximum(total, 0))
    return flux, np.sqrt(expected + noise**2), int((total > bound).sum())
