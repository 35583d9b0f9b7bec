"""What the slit of a simulated night shows: stars, sky and lamps, integrated over pixels."""

from dataclasses import dataclass, replace
from functools import cached_property

import astropy.units as u
import numpy as np

from slitlapse.automation.conditions import extinction_curve
from slitlapse.automation.series import SpectralTimeSeries
from slitlapse.automation.truth import electrons_in_pixels
from slitlapse.trace import star_image
from slitlapse.wavelength import LineTilt, WavelengthSolution, lamp_line_list, sky_line_list
from slitlapse.wavelength.simulate import arc_image

__all__ = ["SimulatedStar", "SlitScene", "place_on_slit", "transit_shape"]

FWHM = np.sqrt(8 * np.log(2))
FINE = 5  # samples per pixel of a spectrum
ABSORPTION = ((5175, 12, 0.4), (5893, 6, 0.5), (6563, 10, 0.6), (6870, 25, 0.5), (7620, 35, 0.7))


@dataclass(frozen=True)
class SimulatedStar:
    """
    A star of a simulated night.

    Parameters
    ----------
    name : str
    row : float
        Where it is on the slit, at the blue end.
    level : float
        Electrons per pixel of its continuum in the middle of the spectrum.
    slope : float
        Relative change of the continuum from the middle to the red end.
    depth : float
        Of its transit; a colour term makes it 10 % deeper in the blue and shallower in the red.
    tilt : float
        Pixels its trace climbs from end to end.
    variation : float
        Relative amplitude of a sine wave in its light.
    period : float
        Of that wave, in lengths of the night.
    truth : `~slitlapse.automation.SpectralTimeSeries`, optional
        Its spectra instead of the built-in one, see
        `~slitlapse.automation.truth.electrons_in_pixels`; a transit and a variation multiply it.

    Examples
    --------
    >>> star = SimulatedStar("target", 40.0, 9000.0, depth=0.02)
    >>> float(star.bend(0.0)), float(star.bend(1.0))
    (0.0, 2.5)
    """

    name: str
    row: float
    level: float
    slope: float = 0.2
    depth: float = 0.0
    tilt: float = 2.5
    variation: float = 0.0
    period: float = 0.6
    truth: SpectralTimeSeries | None = None

    def bend(self, along):
        """How far the trace has climbed at ``along`` (0 to 1) of the spectrum, pixels."""
        along = np.asarray(along, float)
        return self.tilt * along + 0.8 * np.sin(np.pi * along)

    def dip(self, scene, hours):
        """Light lost in transit, shape (n_x, n_time)."""
        along = np.linspace(0, 1, scene.shape[1])
        colour = 1 + 0.1 * (1 - 2 * along)
        return self.depth * colour[:, None] * transit_shape(hours)

    def changes(self, scene, hours):
        """Factor on the star's own light, shape (n_x, n_time)."""
        phase = hours / max(hours[-1], 1e-9)
        wave = 1 + self.variation * np.sin(2 * np.pi * phase / self.period + 0.4)
        return (1 - self.dip(scene, hours)) * wave


def place_on_slit(number, n_y):
    """
    Stars of different brightness, evenly along the slit: a target with a transit comes first.

    Parameters
    ----------
    number : int
    n_y : int
        Rows of the frame.

    Returns
    -------
    tuple of SimulatedStar
    """
    if number == 1:
        return (SimulatedStar("target", 0.5 * n_y, 9000.0, depth=0.02),)
    if number == 2:
        return (
            SimulatedStar("target", 0.36 * n_y, 9000.0, depth=0.02),
            SimulatedStar("comparison", 0.68 * n_y, 14000.0, slope=-0.2),
        )
    rows = np.linspace(0.2, 0.8, number) * n_y
    stars = [SimulatedStar("target", float(rows[0]), 9000.0, depth=0.02)]
    for i, row in enumerate(rows[1:], start=1):
        level, slope = 14000.0 - 2500.0 * ((i - 1) % 4), -0.2 + 0.15 * ((i - 1) % 3)
        stars.append(SimulatedStar(f"comparison{i}", float(row), level, slope=slope))
    return tuple(stars)


def transit_shape(hours):
    """A trapezoid of height 1 in the middle half of the night, its edges a tenth of it."""
    length = max(hours[-1], 1e-9)
    return np.clip((0.25 - np.abs(hours / length - 0.5)) / 0.05 + 0.5, 0, 1)


@dataclass(frozen=True)
class SlitScene:
    """
    A slit, its spectrograph and its sky.

    Parameters
    ----------
    shape : tuple of int
        (n_y, n_x) of the turned frame.
    solution : `~slitlapse.wavelength.WavelengthSolution`
        Along the reference row of the tilt.
    tilt : `~slitlapse.wavelength.LineTilt`
    profile : str or callable
        Family of the stars' profiles.
    sky_level : float
        Electrons per pixel of the sky's continuum; its lines are brighter.
    line_fwhm : float
        Of lines, in pixels.

    Examples
    --------
    >>> from slitlapse.instruments import load_instrument
    >>> scene = SlitScene.build(load_instrument("toy"), (120, 640))
    >>> scene.sky_image.shape
    (120, 640)
    """

    shape: tuple
    solution: WavelengthSolution
    tilt: LineTilt
    profile: object = "moffat"
    sky_level: float = 40.0
    line_fwhm: float = 2.8

    @classmethod
    def build(cls, instrument, shape, *, lean=3.0, solution=None, **kwargs):
        """A scene for an instrument: its range of wavelengths, 3 % off, and curved lines."""
        n_y, n_x = shape
        if solution is None:
            rough = instrument.wavelength_range
            low, high = (4500.0, 8500.0) if rough is None else rough.to_value(u.AA)
            middle, half = (low + high) / 2 * 1.005, (high - low) / 2 * 0.97
            coefficients = np.array([middle, half, 0.006 * half, -0.002 * half])
            solution = WavelengthSolution(
                coefficients, (0, n_x - 1), n_x, medium=instrument.medium, basis="legendre"
            )
        tilt = LineTilt([[lean], [lean / 1.5]], shape, 0.5 * (n_y - 1))
        return cls(tuple(shape), solution, tilt, **kwargs)

    def moved(self, shift):
        """The scene with its whole spectrum moved along the dispersion by pixels."""
        return self if shift == 0 else replace(self, solution=self.solution.shifted(shift))

    def trace(self, star):
        """Row of a star at every pixel, shape (n_x,)."""
        return star.row + star.bend(np.linspace(0, 1, self.shape[1]))

    def star_solution(self, star):
        """Wavelengths along a star's trace."""
        return self.tilt.carry(self.solution, self.trace(star))

    def spectrum(self, star, index=0):
        """Electrons of a star in every pixel, shape (n_x,), integrated over the pixels."""
        n_x = self.shape[1]
        solution = self.star_solution(star)
        if star.truth is not None:
            edges = solution.pixel_to_wavelength(np.arange(n_x + 1) - 0.5)
            return electrons_in_pixels(star.truth, edges, index, level=star.level)
        fine = (np.arange(n_x * FINE) + 0.5) / FINE - 0.5
        wave = solution.pixel_to_wavelength(fine).to_value(u.AA)
        along = 2 * (fine + 0.5) / n_x - 1
        light = star.level * (1 + star.slope * along) * (0.25 + 0.75 * np.cos(1.2 * along) ** 2)
        for centre, width, depth in ABSORPTION:
            light *= 1 - depth * np.exp(-0.5 * ((wave - centre) / width) ** 2)
        return light.reshape(n_x, FINE).mean(axis=1)

    def air(self, star, airmass):
        """Part of a star's light that comes through, shape (n_x,); 1 at airmass 1."""
        wave = self.star_solution(star).wavelength
        return 10 ** (-0.4 * extinction_curve(wave) * (airmass - 1))

    def star_image(self, star, spectrum, offset, fwhm):
        """Electrons of a star on the frame, shape (n_y, n_x)."""
        # seeing is a little better in the red
        width = fwhm / FWHM * np.linspace(1.05, 0.95, self.shape[1])
        return star_image(
            self.shape, self.trace(star) + offset, width, spectrum, profile=self.profile
        )

    @cached_property
    def illumination(self):
        """Share of light that the slit lets through, row by row: edges dark, 5 % slope."""
        y = np.arange(self.shape[0]) / (self.shape[0] - 1)
        lit = (y > 0.05) & (y < 0.95)
        return np.where(lit, 1 + 0.05 * (y - 0.5), 0.0)

    @cached_property
    def sky_image(self):
        """Electrons of the sky, shape (n_y, n_x)."""
        edges = self.solution.wavelength[[0, -1]].to_value(u.AA)
        lines = sky_line_list(
            medium=self.solution.medium, wavelength_range=(edges.min(), edges.max())
        )
        image = np.full(self.shape, self.sky_level) * self.illumination[:, None]
        if len(lines):
            image += arc_image(
                self.solution, lines, self.tilt, profile=self.illumination,
                fwhm=self.line_fwhm, counts=75.0 * self.sky_level,
            )  # fmt: skip
        return image

    def arc_image(self, lamps):
        """Electrons of lamps, shape (n_y, n_x)."""
        edges = self.solution.wavelength[[0, -1]].to_value(u.AA)
        lines = lamp_line_list(
            lamps, medium=self.solution.medium, wavelength_range=(edges.min(), edges.max())
        )
        return arc_image(
            self.solution, lines, self.tilt, profile=self.illumination,
            fwhm=self.line_fwhm, counts=60000.0,
        )  # fmt: skip
