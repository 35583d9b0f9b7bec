"""A whole night from what we believe: stars, sky, lamps and detector, written as raw frames."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation.log import NightError
from slitlapse.automation.scene import SimulatedStar, SlitScene
from slitlapse.automation.series_file import write_atomically
from slitlapse.automation.times import parse_target
from slitlapse.flats import make_lamp_image, make_sensitivity
from slitlapse.instruments import Instrument
from slitlapse.observing_log import compute_airmass, write_night
from slitlapse.photons import to_raw, turn, turn_back
from slitlapse.wavelength import split_lamp_names

__all__ = ["SimulatedNight", "simulate_night"]

READ_NOISE = 4.0  # electron, where the instrument file has none
BIAS_LEVEL = 1000.0  # adu
START = "2025-03-14T04:00:00"
TARGET = ("11:30:00", "+05:00:00")


@dataclass(frozen=True)
class SimulatedNight:
    """
    A night of raw frames and the truth behind it.

    Parameters
    ----------
    folder : `~pathlib.Path`
        Holds ``raw`` and ``night.toml``.
    instrument : `~slitlapse.instruments.Instrument`
    stars : tuple of SimulatedStar
    scene : SlitScene
        What the slit showed.
    sensitivity : array, shape (n_y, n_x)
        Of the pixels, turned.
    log : `~astropy.table.QTable`
        One row a frame.
    offsets, fwhms : array, shape (n_time,)
        Shift along the slit and seeing in pixels, one a science exposure.
    transmission : array, shape (n_time,)
        Of the air.
    """

    folder: Path
    instrument: Instrument
    stars: tuple
    scene: SlitScene
    sensitivity: np.ndarray
    log: QTable
    offsets: np.ndarray
    fwhms: np.ndarray
    transmission: np.ndarray
    files: tuple = field(default=())

    @property
    def n_frames(self):
        """Number of raw frames."""
        return len(self.log)

    @property
    def night_file(self):
        """The ``night.toml`` that reduces it."""
        return self.folder / "night.toml"

    @cached_property
    def science(self):
        """Rows of the log of the science frames."""
        return self.log[self.log["kind"] == "science"]

    def flux(self, name):
        """
        True electrons of a star, shape (n_x, n_time).

        As a detector of even sensitivity would have recorded them, summed over the whole
        profile.
        """
        star = next(star for star in self.stars if star.name == name)
        spectrum = self.scene.spectrum(star)
        hours = self.hours
        return spectrum[:, None] * self.transmission * (1 - star.dip(self.scene, hours))

    @property
    def hours(self):
        """Hours of mid-exposure since the first."""
        time = self.science["time"]
        return (time - time[0]).to_value(u.hour)


def simulate_night(
    folder,
    *,
    instrument,
    rng,
    n_exposures=40,
    stars=None,
    drift=1.0,
    seeing=4.0,
    seeing_change=0.1,
    clouds=0.02,
    profile="moffat",
    n_calibrations=9,
    exposure_time=60.0,
    progress=False,
):
    """
    Write the raw frames of a night and a ``night.toml`` to reduce them.

    Parameters
    ----------
    folder : path-like
        Gets ``raw`` and ``night.toml``.
    instrument : `~slitlapse.instruments.Instrument`
        Any whose amplifier sections stand in its file.
    rng : `~numpy.random.Generator`
    n_exposures : int
        Of the stars.
    stars : sequence of SimulatedStar, optional
        By default a target with a transit and a comparison star.
    drift : float
        Pixels that the stars move along the slit through the night, as a slow wave.
    seeing, seeing_change : float
        FWHM in pixels and its relative change through the night.
    clouds : float
        Relative change of the transmission, common to all stars.
    profile : str or callable
        Family of the stars' profile, see `~slitlapse.trace.star_image`.
    n_calibrations : int
        How many biases and how many flats.
    exposure_time : float
        In seconds.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    SimulatedNight

    Raises
    ------
    NightError
        Where the instrument's sections are told by header cards only.
    """
    folder = Path(folder)
    detector = _Detector.of(instrument)
    n_y = detector.shape[0]
    if stars is None:
        stars = (
            SimulatedStar("target", 0.36 * n_y, 9000.0, depth=0.02),
            SimulatedStar("comparison", 0.68 * n_y, 14000.0, slope=-0.2),
        )
    scene = SlitScene.build(instrument, detector.shape, profile=profile)
    phase = np.linspace(0, 1, n_exposures)
    sensitivity = make_sensitivity(detector.shape, rng=rng, scatter=0.01)
    log = _plan_log(instrument, n_exposures, n_calibrations, exposure_time, detector)
    night = SimulatedNight(
        folder, instrument, tuple(stars), scene, sensitivity, log,
        offsets=drift * np.sin(2 * np.pi * phase) / 2 + rng.normal(0, 0.05, n_exposures),
        fwhms=seeing * (1 + seeing_change * np.sin(5 * phase + 1)),
        transmission=1 + clouds * np.sin(9 * phase),
    )  # fmt: skip
    recipes = _recipes(night, detector, rng, progress)
    write_night(
        log, recipes, folder / "raw",
        header=instrument.header, frames=instrument.frames, lamps=instrument.lamps,
        extension=instrument.extension,
    )  # fmt: skip
    write_atomically(night.night_file, lambda path: path.write_text(_night_text(night)))
    return night


@dataclass(frozen=True)
class _Detector:
    """Amplifiers of an instrument, and the size of raw and of turned frames."""

    amplifiers: tuple
    raw_shape: tuple
    shape: tuple
    dispersion: str

    @classmethod
    def of(cls, instrument):
        try:
            amplifiers = instrument.amplifiers_for({})
        except ValueError as error:
            raise NightError(
                f"a night of {instrument.name} cannot be simulated, because its sections or gains "
                f"stand in headers only; take another instrument, such as toy: {error}"
            ) from error
        amplifiers = [
            a if a.read_noise is not None else a.with_noise(read_noise=READ_NOISE * u.electron)
            for a in amplifiers
        ]
        sections = [s for a in amplifiers for s in (a.data, a.overscan) if s is not None]
        raw_shape = tuple(max(section[axis].stop for section in sections) for axis in (0, 1))
        ends = [[sorted(_ends(s)) for s in a.output] for a in amplifiers]
        trimmed = tuple(
            max(e[axis][1] for e in ends) - min(e[axis][0] for e in ends) for axis in (0, 1)
        )
        shape = turn(np.empty(trimmed), instrument.dispersion).shape
        return cls(tuple(amplifiers), raw_shape, shape, instrument.dispersion)

    def expose(self, electrons, rng, poisson=True):
        """Raw frame(s) of expected electrons on the turned frame."""
        image = np.ascontiguousarray(turn_back(electrons, self.dispersion))
        return to_raw(
            image, self.amplifiers, rng=rng, bias_level=BIAS_LEVEL, shape=self.raw_shape,
            poisson=poisson,
        )  # fmt: skip


def _ends(part):
    if part.step == -1:
        return (0 if part.stop is None else part.stop + 1), part.start + 1
    return part.start, part.stop


def _recipes(night, detector, rng, progress):
    """How the image of each kind of frame is made."""
    from tqdm import tqdm

    scene, dark = night.scene, np.zeros(detector.shape)
    lamp = make_lamp_image(detector.shape, peak=30000.0, slits=((0.05, 0.95),))
    bar = tqdm(
        total=len(night.log), desc="raw frames", unit="frame", disable=None if progress else True
    )
    names = {str(name): i for i, name in enumerate(night.science["filename"])}

    def finish(kind, electrons):
        bar.update()
        if bar.n == bar.total:
            bar.close()
        raw = detector.expose(electrons, rng)
        if kind in night.instrument.bias_subtracted:
            return raw.data.astype(np.float32) - np.float32(BIAS_LEVEL)
        return raw.data

    def science(row):
        index = names[str(row["filename"])]
        light = scene.sky_image.copy()
        for star in night.stars:
            spectrum = night.flux(star.name)[:, index]
            light += scene.star_image(star, spectrum, night.offsets[index], night.fwhms[index])
        return finish("science", light * night.sensitivity)

    return {
        "bias": lambda row: finish("bias", dark),
        "flat": lambda row: finish("flat", lamp * night.sensitivity),
        "arc": lambda row: finish("arc", scene.arc_image(str(row["lamps"])) * night.sensitivity),
        "science": science,
    }


def _plan_log(instrument, n_exposures, n_calibrations, exposure_time, detector):
    """The night's observing log: biases, flats, an arc, the stars."""
    kinds = ["bias"] * n_calibrations + ["flat"] * n_calibrations + ["arc"]
    kinds = [kind for kind in kinds if kind in instrument.frames] + ["science"] * n_exposures
    seconds = {"bias": 0.0, "flat": 5.0, "arc": 10.0, "science": exposure_time}
    exposure = np.array([seconds[kind] for kind in kinds])
    start = np.concatenate([[0], np.cumsum(exposure + 15)[:-1]])
    table = QTable()
    table["filename"] = [f"{i + 1:04d}_{kind}.fits" for i, kind in enumerate(kinds)]
    table["kind"] = kinds
    table["time"] = Time(START) + (start + exposure / 2) * u.s
    table["exposure_time"] = exposure * u.s
    table["object"] = ["Simulated star" if kind == "science" else kind for kind in kinds]
    table["lamps"] = [simulated_lamps(instrument) if kind == "arc" else "" for kind in kinds]
    target = parse_target(*TARGET)
    table["ra"] = np.full(len(kinds), target.ra.deg) * u.deg
    table["dec"] = np.full(len(kinds), target.dec.deg) * u.deg
    airmass = np.ones(len(kinds))
    if instrument.site is not None:
        airmass = compute_airmass(table["time"], target, instrument.site)
    table["airmass"] = np.where(np.isfinite(airmass), airmass, 1.0)
    return table


def simulated_lamps(instrument):
    """Lamps to put into an arc: those the instrument has, or the usual three."""
    known = []
    for name in instrument.lamps:
        if name == "keyword":
            continue
        try:
            known += split_lamp_names(name)
        except ValueError:
            continue  # a lamp of which there is no list cannot be drawn
    return "+".join(dict.fromkeys(known)) if known else "HeNeAr"


def _night_text(night):
    """The ``night.toml`` of a simulated night."""
    source = night.instrument.source
    built_in = source is None or source.parent.name == "data"
    name = source.stem if source is not None and built_in else str(source)
    stars = "\n".join(f"{star.name} = {star.row + star.bend(0.5):.1f}" for star in night.stars)
    return (
        "# a simulated night: the truth behind it is known\n"
        f'data = "raw"\ninstrument = "{name}"\noutput = "reduced"\n\n'
        f"[stars]          # pixel along the slit, at the middle of the spectrum\n{stars}\n"
    )
