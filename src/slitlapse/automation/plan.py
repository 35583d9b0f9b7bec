"""In which order are the frames of a simulated night taken, and when?"""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation.conditions import find_start
from slitlapse.observing_log import compute_airmass
from slitlapse.wavelength import split_lamp_names

__all__ = ["plan_log", "simulated_lamps"]

SECONDS = {"bias": 0.0, "flat": 5.0, "arc": 10.0}


def plan_log(instrument, conditions, n_exposures):
    """
    Plan the observing log of a night: biases, darks, flats, an arc, the stars.

    Parameters
    ----------
    instrument : `~slitlapse.instruments.Instrument`
        Kinds of frame that it does not know are not taken.
    conditions : Conditions
    n_exposures : int

    Returns
    -------
    `~astropy.table.QTable`
    """
    kinds = [k for k in ("bias", "dark", "flat", "arc") for _ in range(conditions.count(k))]
    kinds = [kind for kind in kinds if kind in instrument.frames] + ["science"] * n_exposures
    seconds = {"dark": conditions.exposure_time, "science": conditions.exposure_time} | SECONDS
    exposure = np.array([seconds[kind] for kind in kinds])
    begin = np.concatenate([[0], np.cumsum(exposure + conditions.overhead)[:-1]])
    site, target = instrument.site, conditions.target
    start = conditions.start
    first = begin[len(kinds) - n_exposures] if n_exposures else 0.0
    if start is None:
        start = find_start(site, target, (begin[-1] + exposure[-1] - first) * u.s)
    table = QTable()
    table["filename"] = [f"{i + 1:04d}_{kind}.fits" for i, kind in enumerate(kinds)]
    table["kind"] = kinds
    table["time"] = Time(start, format="isot") + (begin - first + exposure / 2) * u.s
    table["exposure_time"] = exposure * u.s
    table["object"] = ["Simulated star" if kind == "science" else kind for kind in kinds]
    table["lamps"] = [simulated_lamps(instrument) if kind == "arc" else "" for kind in kinds]
    table["ra"] = np.full(len(kinds), target.ra.deg) * u.deg
    table["dec"] = np.full(len(kinds), target.dec.deg) * u.deg
    airmass = np.ones(len(kinds))
    if site is not None:
        airmass = compute_airmass(table["time"], target, site)
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
