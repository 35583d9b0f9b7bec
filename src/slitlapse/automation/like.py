"""What would a night like this one look like, if we knew the truth behind it?"""

from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable
from scipy.ndimage import median_filter

from slitlapse.automation.assemble import find_target, series_filename
from slitlapse.automation.conditions import Conditions
from slitlapse.automation.detector import SimulatedDetector
from slitlapse.automation.log import NightError, choose_frames, log_night
from slitlapse.automation.night_file import read_night
from slitlapse.automation.scene import SimulatedStar, place_on_slit
from slitlapse.automation.series import SpectralTimeSeries
from slitlapse.automation.simulate import simulate_night
from slitlapse.instruments import load_instrument
from slitlapse.observing_log import read_header
from slitlapse.wavelength import WavelengthSolution

__all__ = ["imitate_night", "simulate_like", "steady_truth"]

MOST_CALIBRATIONS = 15  # more of a kind would only take longer
SMOOTH = 9  # pixels; noise of the measured spectra is not part of the truth
BEYOND = 0.1  # of the spectrum, by which the truth reaches past both of its ends
DEGREE = 5  # of the wavelength polynomial: enough for any spectrograph


def imitate_night(night):
    """
    Describe a night by what `~slitlapse.automation.simulate_night` needs to make its like.

    Where the night was reduced: positions, spectra and motion of its stars, its seeing, sky,
    wavelengths and read noise. Where it was not: what its log and its ``night.toml`` say.

    Parameters
    ----------
    night : `~slitlapse.automation.Night`

    Returns
    -------
    dict
        Keyword arguments: ``instrument``, ``n_exposures``, ``conditions``, ``headers``, and, as
        far as they are known, ``stars`` and ``solution``.

    Raises
    ------
    NightError
        Where the night has no science frames.
    """
    chosen = choose_frames(log_night(night), night)
    table = chosen["science"]
    if not len(table):
        raise NightError(
            f"{night.source}: there are no science frames in {night.data}: a night without them "
            "has no like"
        )
    found = {
        "instrument": night.instrument,
        "n_exposures": len(table),
        "headers": _cards(night, str(table["filename"][0])),
        "conditions": _from_log(night, chosen),
    }
    measured = read_series(night)
    if measured:
        found["conditions"] = _from_series(found["conditions"], list(measured.values()))
        found["solution"] = _solution(next(iter(measured.values())))
    stars = _stars(night, measured, str(table["filename"][0]))
    return found | ({"stars": stars} if stars else {})


def read_series(night):
    """Spectra that the reduction of a night left, one `SpectralTimeSeries` a star."""
    found = {}
    for path in sorted(Path(night.output).glob("trace_*.ecsv")):
        file = path.with_name(path.stem.removeprefix("trace_") + ".fits")
        if file.exists():
            series = SpectralTimeSeries.read(file)
            found[series.name] = series
    return {n: found[n] for n in night.stars if n in found} if night.stars else found


def _cards(night, name):
    """Cards of a frame that the instrument file points to, one dict for each amplifier."""
    instrument = night.instrument
    several = isinstance(instrument.extension, tuple)
    extensions = instrument.extension if several else [instrument.extension]
    headers = [read_header(night.data / name, extension=e).cards for e in extensions]
    found = []
    for i, amplifier in enumerate(instrument.amplifiers):
        header = headers[i] if several else headers[0]
        keywords = [v["keyword"] for v in vars(amplifier).values() if isinstance(v, dict)]
        found.append({keyword: header[keyword] for keyword in keywords if keyword in header})
    return found if several else [{k: v for cards in found for k, v in cards.items()}] * len(found)


def _from_log(night, chosen):
    """Exposure time, cadence, calibrations and target."""
    table = chosen["science"]
    seconds = float(np.nanmedian(table["exposure_time"].to_value(u.s)))
    middle = table["time"].unmasked
    between = np.diff(np.sort((middle - middle[0]).to_value(u.s)))
    overhead = max(float(np.median(between)) - seconds, 0.0) if len(between) else 15.0
    counts = {k: min(len(chosen[k]), MOST_CALIBRATIONS) for k in ("bias", "dark", "flat", "arc")}
    changes = {
        "exposure_time": seconds, "overhead": overhead,
        "n_calibrations": counts | {"arc": min(counts["arc"], 1)},
        "start": middle.min() - table["exposure_time"][0] / 2,
    }  # fmt: skip
    target = find_target(night, table)
    return Conditions().changed(**changes, **({} if target is None else {"target": target}))


def _from_series(conditions, stars):
    """Seeing, motion, sky and read noise, as the reduction measured them."""

    def along(name):
        values = [np.asarray(star.timelike[name].value, float) for star in stars]
        return np.nanmedian(values, axis=0)

    seeing, offset = along("seeing"), along("spatial_shift")
    typical = float(np.nanmedian(seeing))
    widths = stars[0].metadata["widths"]
    per_pixel = [star.fluxlike["sky"].value / widths[len(widths) // 2] for star in stars]
    continuum = np.median([np.nanpercentile(sky, 20) for sky in per_pixel])
    jitter = np.nanstd(np.diff(offset)) / np.sqrt(2) if len(offset) > 2 else 0.0
    return conditions.changed(
        seeing=typical,
        seeing_change=float(np.nanmax(seeing) - np.nanmin(seeing)) / 2 / typical,
        drift=float(np.nanmax(offset) - np.nanmin(offset)),
        jitter=float(jitter),
        sky_level=max(float(continuum), 0.1),
        read_noise=stars[0].metadata["read_noise"],
    )


def _solution(series):
    """Wavelengths of a series as a polynomial; None where it counts pixels."""
    wave = series.wavelength
    if not wave.unit.is_equivalent(u.AA):
        return None
    pixel = np.arange(len(wave), dtype=float)
    return WavelengthSolution.fit(
        pixel, wave, n_pixels=len(wave), degree=DEGREE, medium=series.metadata["medium"]
    )


def _stars(night, measured, filename):
    """Stars where the night has them; bright as measured, or as any simulated star."""
    stars = []
    for name, series in measured.items():
        table = QTable.read(_trace_file(night, name, measured))
        centre = table["center"].value
        truth = steady_truth(series)
        level = float(np.nanmedian(series.flux.value))
        star = SimulatedStar(name, 0.0, level, tilt=float(centre[-1] - centre[0]), truth=truth)
        stars.append(_moved(star, centre[len(centre) // 2]))
    if not measured:
        for i, name in enumerate(night.stars):
            star = SimulatedStar(name, 0.0, 9000.0 + 5000.0 * (i % 2))
            stars.append(_moved(star, night.position(name, filename)))
    return tuple(stars)


def _moved(star, middle):
    """Star whose trace is at ``middle`` in the middle of the spectrum."""
    return replace(star, row=float(middle - star.bend(0.5)))


def _trace_file(night, name, stars):
    return Path(night.output) / f"trace_{Path(series_filename(name, stars)).stem}.ecsv"


def steady_truth(series):
    """
    Take the typical spectrum of a measured star for the truth of a steady one.

    Parameters
    ----------
    series : `~slitlapse.automation.SpectralTimeSeries`

    Returns
    -------
    `~slitlapse.automation.SpectralTimeSeries` or None
        Of one time: the median of all exposures, freed from the losses of the aperture and from
        most noise, without gaps and reaching a little beyond its ends. None where the series
        has no wavelengths.
    """
    if not series.wavelength.unit.is_equivalent(u.AA):
        return None
    flux = np.where(series.mask, np.nan, series.flux.value)
    if "enclosed" in series.fluxlike:
        flux = flux / series.fluxlike["enclosed"].value
    light = np.full(len(flux), np.nan)
    seen = np.isfinite(flux).any(axis=1)
    light[seen] = np.nanmedian(flux[seen], axis=1)
    pixel = np.arange(len(light), dtype=float)
    light = np.interp(pixel, pixel[seen], light[seen])
    light = np.maximum(median_filter(light, SMOOTH, mode="nearest"), 0)
    extra = int(BEYOND * len(light))
    wave = series.wavelength.to_value(u.AA)
    steps = np.arange(1, extra + 1)
    wave = np.concatenate([
        wave[0] - (wave[1] - wave[0]) * steps[::-1], wave, wave[-1] + (wave[-1] - wave[-2]) * steps
    ])  # fmt: skip
    light = np.pad(light, extra, mode="edge")[:, None] * series.flux.unit
    wavelike = QTable({"wavelength": wave * u.AA})
    return SpectralTimeSeries(
        wavelike, series.timelike[:1], {"flux": light, "uncertainty": 0 * light},
        metadata={"star": series.name},
    )  # fmt: skip


def simulate_like(folder, night_file=None, *, instrument=None, seed=1, n_exposures=None,
                  depth=None, defects=(), progress=False):  # fmt: skip
    """
    Simulate a night, like another one where it is given.

    Parameters
    ----------
    folder : path-like
        Gets the raw frames and ``night.toml``.
    night_file : path-like, optional
        The ``night.toml`` of the night to imitate.
    instrument : str or path-like, optional
        Where no night is given; by default the toy.
    seed : int
        Of the random numbers.
    n_exposures : int, optional
        By default 40, or as many as the night has.
    depth : float, optional
        Of the first star's transit, from 0 to 1.
    defects : sequence of str
        See `~slitlapse.automation.defects.DEFECTS`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    SimulatedNight

    Raises
    ------
    NightError
        Where the folder is the night's own, or the depth is none.
    """
    if depth is not None and not 0 <= depth < 1:
        raise NightError(f"the depth of a transit is a part of the light, 0 to 1, not {depth}")
    if night_file is None:
        found = {"instrument": load_instrument("toy" if instrument is None else instrument)}
    else:
        night = read_night(night_file)
        if Path(folder).resolve() == Path(night_file).resolve().parent:
            raise NightError(f"{folder} holds the night to imitate: name another folder")
        found = imitate_night(night)
    if n_exposures is not None:
        found["n_exposures"] = n_exposures
    if depth is not None:
        detector = SimulatedDetector.of(found["instrument"], headers=found.get("headers"))
        stars = found.get("stars", place_on_slit(2, detector.shape[0]))
        found["stars"] = (replace(stars[0], depth=depth), *stars[1:])
    rng = np.random.default_rng(seed)
    return simulate_night(folder, rng=rng, defects=defects, progress=progress, **found)
