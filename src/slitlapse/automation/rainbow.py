"""How does a series become a ``Rainbow`` of the package chromatic, and a ``Rainbow`` a series?"""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

__all__ = ["from_rainbow", "to_rainbow"]

OWN = {"ok", "wavelength_2d"}  # made for the Rainbow from what the series has anyway
THEIRS = {"original_wave_index", "original_time_index", "history", "wscale", "tscale"}
CLOCK = {"time_format", "time_scale", "time_is_barycentric"}


def to_rainbow(series):
    """
    Give a series to chromatic.

    Parameters
    ----------
    series : SpectralTimeSeries

    Returns
    -------
    chromatic.Rainbow
        ``ok`` is 1 where the series' mask is False. Times are Julian days in TDB, wavelengths and
        times rise. Names of files, which chromatic cannot keep along the time axis, stand in
        ``metadata["filenames"]``, in the order of the timelike ``exposure_number``.

    Raises
    ------
    ValueError
        Where the series has no wavelengths, or the same one twice.
    ImportError
        Where chromatic is not installed: ``pip install slitlapse[chromatic]``.

    Notes
    -----
    Save it as ``.rainbow.npy``: chromatic's own FITS files lose the units of electrons. Bin with
    `SpectralTimeSeries.bin` before, which adds photons up; chromatic's ``bin`` averages with the
    errors as weights, which is meant for normalised fluxes. A star over another is divided here,
    too, where the masks of both count. ``wavelength_2d`` is what ``align_wavelengths`` asks for;
    that correlates the errors of neighbours.
    """
    from matplotlib import rc_context

    with rc_context():  # importing chromatic changes how all later figures look
        from chromatic import Rainbow

    wavelength = series.wavelength
    if not wavelength.unit.is_equivalent(u.AA):
        raise ValueError(
            f"star {series.name or '?'} counts {wavelength.unit} instead of wavelengths, which a "
            "Rainbow needs; solve an arc first"
        )
    wave = np.argsort(wavelength.value, kind="stable")
    time = np.argsort(series.time.tdb.jd1 + series.time.tdb.jd2, kind="stable")
    if np.any(np.diff(wavelength.value[wave]) == 0):
        raise ValueError(f"star {series.name or '?'} has the same wavelength twice; bin it first")
    wavelike = {name: _plain(series.wavelike[name])[wave] for name in series.wavelike.colnames}
    timelike, words = _timelike(series, time)
    fluxlike = {name: value[wave][:, time] for name, value in series.fluxlike.items()}
    taken = fluxlike.keys() & (wavelike.keys() | timelike.keys())
    fluxlike = {f"{k}_by_pixel" if k in taken else k: v for k, v in fluxlike.items()}
    fluxlike["ok"] = (~series.mask[wave][:, time]).astype(int)
    fluxlike["wavelength_2d"] = series.wavelength_2d[wave][:, time]
    rainbow = Rainbow(
        wavelike=wavelike, timelike=timelike, fluxlike=fluxlike,
        metadata=dict(series.metadata) | words, name=series.name,
    )  # fmt: skip
    barycentric = "BJD" in str(series.metadata.get("time_reference", ""))
    rainbow.set_times_from_astropy(series.time[time], is_barycentric=barycentric)
    return rainbow


def _plain(column):
    """A column as chromatic takes it: hour angles in degrees, plain numbers as they are."""
    if isinstance(column, u.Quantity):
        return column.to(u.deg) if column.unit == u.hourangle else u.Quantity(column)
    return np.asarray(column)


def _timelike(series, order):
    """Numbers of every exposure; and what is no number, for the metadata."""
    timelike = {"time": series.time.tdb.jd[order] * u.day}
    words = {"time_scale_of_series": series.time.scale, "units_of_series": {}}
    for name in series.timelike.colnames:
        column = series.timelike[name]
        if name == "time":
            continue
        values = _plain(column)[order]
        if getattr(column, "unit", None) != getattr(values, "unit", None):
            words["units_of_series"][name] = column.unit.to_string()
        if np.issubdtype(np.asarray(values).dtype, np.number):
            timelike[name] = values
        else:
            words[f"{name}s"] = [str(each) for each in values]
    timelike.setdefault("exposure_number", np.arange(len(order)))
    return timelike, words


def from_rainbow(rainbow):
    """
    Make a series of a ``Rainbow``.

    Parameters
    ----------
    rainbow : chromatic.Rainbow

    Returns
    -------
    SpectralTimeSeries
        Of one from `to_rainbow` the series as it was, in order of wavelength and time.
    """
    from slitlapse.automation.series import SpectralTimeSeries

    metadata = {k: v for k, v in rainbow.metadata.items() if k not in CLOCK | THEIRS}
    units = metadata.pop("units_of_series", {})
    scale = rainbow.metadata.get("time_scale") or "tdb"
    days = u.Quantity(rainbow.timelike["time"]).to_value(u.day)
    time = Time(days, format=rainbow.metadata.get("time_format") or "jd", scale=scale)
    time = getattr(time, metadata.pop("time_scale_of_series", scale))
    timelike = QTable({"time": time})
    skip = THEIRS | {"time", "time_lower", "time_upper"}
    for name, value in rainbow.timelike.items():
        if name not in skip:
            timelike[name] = value.to(units[name]) if name in units else value
    for key in [key for key, value in metadata.items() if _is_a_word_each(value, len(days))]:
        timelike[key.removesuffix("s")] = metadata.pop(key)
    if "filename" in timelike.colnames and "exposure_number" in timelike.colnames:
        timelike.remove_column("exposure_number")
    fluxlike = {
        name.removesuffix("_by_pixel"): u.Quantity(value)
        for name, value in rainbow.fluxlike.items()
        if name not in OWN
    }
    mask = None
    if "ok" in rainbow.fluxlike:
        mask = np.asarray(rainbow.fluxlike["ok"]) == 0
    metadata.setdefault("star", metadata.pop("name", "") or "")
    metadata.pop("name", None)
    wavelike = {k: v for k, v in rainbow.wavelike.items() if k not in THEIRS}
    return SpectralTimeSeries(QTable(wavelike), timelike, fluxlike, mask, metadata)


def _is_a_word_each(value, number):
    return isinstance(value, list) and len(value) == number and all(
        isinstance(each, str) for each in value
    )  # fmt: skip
