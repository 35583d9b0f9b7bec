"""A whole night from what we believe: stars, sky, lamps and detector, written as raw frames."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable

from slitlapse.automation.conditions import Conditions, Weather
from slitlapse.automation.defects import add_defects
from slitlapse.automation.detector import SimulatedDetector
from slitlapse.automation.log import NightError
from slitlapse.automation.plan import plan_log, simulated_lamps
from slitlapse.automation.scene import SlitScene, place_on_slit
from slitlapse.automation.series_file import write_atomically
from slitlapse.extraction.simulate import add_hits
from slitlapse.flats import make_lamp_image, make_sensitivity
from slitlapse.instruments import Instrument
from slitlapse.observing_log import write_night

__all__ = ["SimulatedNight", "simulate_night"]

EXPOSURES = 40  # where nobody says how many
FLAT_PEAK = 0.5  # of what saturates the detector
FLAT_ELECTRONS = 30000.0  # and no more than this


@dataclass(frozen=True, eq=False)
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
        What the slit showed, where the spectrum had not moved.
    sensitivity : array, shape (n_y, n_x)
        Of the pixels, turned.
    log : `~astropy.table.QTable`
        One row a frame.
    conditions : Conditions
        With the defects.
    weather : Weather
        What each science exposure saw.
    dark_current : array, shape (n_y, n_x)
        Electrons per second, turned.
    """

    folder: Path
    instrument: Instrument
    stars: tuple
    scene: SlitScene
    sensitivity: np.ndarray
    log: QTable
    conditions: Conditions
    weather: Weather
    dark_current: np.ndarray

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

    @property
    def hours(self):
        """Hours of mid-exposure since the first."""
        time = self.science["time"]
        return (time - time[0]).to_value(u.hour)

    @property
    def offsets(self):
        """Pixels that the stars stood off along the slit, shape (n_time,)."""
        return self.weather.offsets

    @property
    def fwhms(self):
        """Seeing in pixels, shape (n_time,)."""
        return self.weather.fwhms

    @property
    def transmission(self):
        """Of the air without its extinction, shape (n_time,)."""
        return self.weather.transmission

    def spectrum(self, name, index):
        """
        True electrons of a star in one exposure, shape (n_x,).

        As a detector of even sensitivity would have recorded them, summed over the whole
        profile.
        """
        star = next(star for star in self.stars if star.name == name)
        scene = self.scene.moved(self.weather.shifts[index])
        light = scene.spectrum(star, index) * self.weather.transmission[index]
        if self.conditions.extinction:
            light *= scene.air(star, float(self.science["airmass"][index]))
        return light * star.changes(scene, self.hours)[:, index]

    def flux(self, name):
        """`spectrum` of all exposures, shape (n_x, n_time)."""
        return np.stack([self.spectrum(name, i) for i in range(len(self.science))], axis=1)

    def light(self, index):
        """Expected electrons of one exposure: stars and sky, shape (n_y, n_x), even detector."""
        weather = self.weather
        image = self.scene.moved(weather.shifts[index]).sky_image.copy()
        for star in self.stars:
            spectrum = self.spectrum(star.name, index)
            image += self.scene.star_image(
                star, spectrum, weather.offsets[index], weather.fwhms[index]
            )
        return image


def simulate_night(
    folder,
    *,
    instrument,
    rng,
    n_exposures=None,
    stars=None,
    defects=(),
    conditions=None,
    headers=None,
    solution=None,
    progress=False,
    **changes,
):
    """
    Write the raw frames of a night and a ``night.toml`` to reduce them.

    Parameters
    ----------
    folder : path-like
        Gets ``raw`` and ``night.toml``.
    instrument : `~slitlapse.instruments.Instrument`
        Any: those whose sections stand in header cards need ``headers``, unless built in.
    rng : `~numpy.random.Generator`
    n_exposures : int, optional
        Of the stars; by default as many as the longest truth of a star has times, else 40.
    stars : sequence of SimulatedStar or int, optional
        How many, or which; by default a target with a transit and a comparison star.
    defects : sequence of str
        Keys of `~slitlapse.automation.defects.DEFECTS`.
    conditions : Conditions, optional
        The numbers of the night.
    headers : list of dict, optional
        Cards of a real frame that the instrument file points to, one dict for each amplifier.
    solution : `~slitlapse.wavelength.WavelengthSolution`, optional
        Along the middle of the slit; by default about the instrument's range.
    progress : bool
        Whether to show a progress bar.
    **changes
        Single numbers of `~slitlapse.automation.conditions.Conditions`, such as ``seeing=5.0``.

    Returns
    -------
    SimulatedNight

    Raises
    ------
    NightError
        Where the instrument's sections are not known, or there is no such defect.
    TypeError
        Where a number's name is not known.
    """
    folder = Path(folder)
    conditions = (Conditions() if conditions is None else conditions).changed(**changes)
    _text_of_instrument(instrument)  # a mistake is said before anything is written
    detector = SimulatedDetector.of(instrument, headers=headers, read_noise=conditions.read_noise)
    if stars is None or isinstance(stars, int):
        stars = place_on_slit(2 if stars is None else stars, detector.shape[0])
    if n_exposures is None:
        times = [star.truth.shape[1] for star in stars if star.truth is not None]
        n_exposures = max(times, default=1) if max(times, default=1) > 1 else EXPOSURES
    lamps, conditions = simulated_lamps(instrument), conditions.with_seeing(stars)
    conditions, stars = add_defects(defects, conditions, stars, detector, lamps)
    scene = SlitScene.build(
        instrument, detector.shape, lean=conditions.lean, solution=solution,
        profile=conditions.profile, sky_level=conditions.sky_level,
        line_fwhm=conditions.line_fwhm,
    )  # fmt: skip
    night = SimulatedNight(
        folder, instrument, tuple(stars), scene,
        make_sensitivity(detector.shape, rng=rng, scatter=conditions.scatter),
        plan_log(instrument, conditions, n_exposures), conditions,
        conditions.draw(n_exposures, rng), _dark_current(detector.shape, conditions, rng),
    )  # fmt: skip
    _check_empty(folder / "raw", night.log)
    paths = write_night(
        night.log, _recipes(night, detector, rng, progress), folder / "raw",
        header=instrument.header, frames=instrument.frames, lamps=instrument.lamps,
        extension=instrument.extension, cards=detector.cards,
    )  # fmt: skip
    for path in paths[len(paths) - conditions.torn_frames :]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write_atomically(night.night_file, lambda path: path.write_text(_night_text(night)))
    return night


def _dark_current(shape, conditions, rng):
    """Electrons per second: none but in hot pixels."""
    hot = rng.random(shape) < conditions.hot_pixels
    return np.where(hot, 10 ** rng.uniform(0.7, 2.0, shape), 0.0)


def _recipes(night, detector, rng, progress):
    """How the image of each kind of frame is made."""
    from tqdm import tqdm

    scene, conditions, dark = night.scene, night.conditions, np.zeros(detector.shape)
    peak = min(FLAT_ELECTRONS, FLAT_PEAK * detector.full_well)
    lamp = make_lamp_image(detector.shape, peak=peak, slits=((0.05, 0.95),))
    bar = tqdm(
        total=len(night.log), desc="raw frames", unit="frame", disable=None if progress else True
    )
    names = {str(name): i for i, name in enumerate(night.science["filename"])}

    def finish(row, light):
        bar.update()
        if bar.n == bar.total:
            bar.close()
        seconds = row["exposure_time"].to_value(u.s)
        electrons = light * night.sensitivity + night.dark_current * seconds
        if row["kind"] in ("science", "dark"):
            number = rng.poisson(conditions.cosmic_rays * seconds * electrons.size / 1e6)
            electrons, _ = add_hits(electrons, number, rng=rng)
        return detector.expose(electrons, rng, kind=str(row["kind"]))

    def arc(row):
        shown = conditions.arc_lamps if conditions.arc_lamps is not None else str(row["lamps"])
        return finish(row, scene.moved(conditions.arc_shift).arc_image(shown))

    return {
        "bias": lambda row: finish(row, dark),
        "dark": lambda row: finish(row, dark),
        "flat": lambda row: finish(row, lamp),
        "arc": arc,
        "science": lambda row: finish(row, night.light(names[str(row["filename"])])),
    }


def _text_of_instrument(instrument):
    """How a ``night.toml`` names the instrument: built in, or its file."""
    source = instrument.source
    if source is None:
        raise NightError(
            f"{instrument.name} has no file that a night.toml could name: write one, and read it "
            "with load_instrument"
        )
    return _text(source.stem if source.parent.name == "data" else str(source.resolve()))


def _night_text(night):
    """The ``night.toml`` of a simulated night."""
    stars = "\n".join(
        f"{_key(star.name)} = {star.row + star.bend(0.5):.1f}" for star in night.stars
    )
    return (
        "# a simulated night: the truth behind it is known\n"
        f'data = "raw"\ninstrument = {_text_of_instrument(night.instrument)}\n'
        'output = "reduced"\n\n'
        f"[stars]          # pixel along the slit, at the middle of the spectrum\n{stars}\n"
    )


def _text(value):
    """A TOML string: what JSON escapes, TOML does alike."""
    return json.dumps(value, ensure_ascii=True)


def _key(name):
    """A TOML key, quoted where it has to be."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _text(name)


def _check_empty(folder, log):
    """Complain about raw frames of another night, which would be reduced with this one."""
    planned = {str(name) for name in log["filename"]}
    others = [path.name for path in folder.glob("*") if path.name not in planned]
    if others:
        raise NightError(
            f"{folder} holds files of another night ({len(others)}, such as {others[0]}): name "
            "another folder, or empty this one"
        )
