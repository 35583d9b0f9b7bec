"""The calibration products of a night, as files."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable

from slitlapse.automation.assemble import describe_night, versions
from slitlapse.automation.series_file import write_atomically

__all__ = ["decisions", "write_calibration", "write_traces"]


def write_calibration(calibration, folder):
    """
    Write master frames and the sensitivity.

    Parameters
    ----------
    calibration : Calibration
    folder : `~pathlib.Path`
        Gets ``bias.fits``, ``dark.fits``, ``flat.fits`` and ``sensitivity.fits``, as far as
        the night has them. The bias lies as the raw frames do, the others are turned.
    """
    door = calibration.door
    if door.bias is not None:
        _write(folder / "bias.fits", bias=door.bias.data, error=door.bias.uncertainty.array)
    if door.dark is not None:
        _write(
            folder / "dark.fits", unit="electron / s",
            rate=door.dark.rate.value, error=door.dark.uncertainty.value,
        )  # fmt: skip
    if calibration.flat is not None:
        flat = calibration.flat
        _write(folder / "flat.fits", flat=flat.data, error=flat.uncertainty.array)
    if door.sensitivity is not None:
        s = door.sensitivity
        _write(
            folder / "sensitivity.fits", unit="",
            sensitivity=s.sensitivity, error=s.uncertainty, unmeasured=s.mask.astype(np.uint8),
        )  # fmt: skip


def _write(path, unit="electron", **images):
    """Write arrays as the HDUs of one file."""
    hdus = [fits.PrimaryHDU()]
    for name, array in images.items():
        hdu = fits.ImageHDU(np.ascontiguousarray(array, dtype=_plain(array)), name=name.upper())
        if unit and name != "unmeasured":
            hdu.header["BUNIT"] = unit
        hdus.append(hdu)
    write_atomically(path, lambda name: fits.HDUList(hdus).writeto(name, overwrite=True))


def _plain(array):
    return np.float32 if np.asarray(array).dtype.kind == "f" else np.asarray(array).dtype


def write_traces(placements, solutions, folder):
    """
    Write where each star's light lies and how its pixels relate to wavelengths.

    Parameters
    ----------
    placements : list of Placement
    solutions : dict of str to StarWavelengths
    folder : `~pathlib.Path`
        Gets ``trace_<star>.ecsv``, ``wavelength_<star>.ecsv`` and ``lines_<star>.ecsv``.
    """
    from slitlapse.automation.assemble import series_filename

    for name, trace in placements[0].traces.items():
        safe = Path(series_filename(name, placements[0].traces)).stem
        table = QTable()
        table["pixel"] = np.arange(len(trace.width)) * u.pix
        table["center"] = np.asarray(trace.trace, float) * u.pix
        table["width"] = np.asarray(trace.width, float) * u.pix
        _write_table(folder / f"trace_{safe}.ecsv", table)
        if name not in solutions:
            continue
        for index, solution in enumerate(solutions[name].solutions):
            number = "" if len(solutions[name].solutions) == 1 else f"_{index + 1}"
            _write_table(folder / f"wavelength_{safe}{number}.ecsv", solution.to_table())
            _write_table(folder / f"lines_{safe}{number}.ecsv", solution.lines)


def _write_table(path, table):
    write_atomically(path, lambda name: table.write(name, format="ascii.ecsv", overwrite=True))


def decisions(night, plans):
    """Everything that the measurement of an exposure depends on besides the exposure."""
    content = {"night": describe_night(night), "versions": versions(), "plans": []}
    del content["night"]["hits"]  # those in time are found in what was measured
    for plan in {id(plan): plan for plan in plans.values()}.values():
        door = plan.door
        parts = {
            "read_noise": plan.read_noise,
            "widths": list(plan.widths),
            "half_rows": plan.half_rows,
            "bias": None if door.bias is None else door.bias.data,
            "dark": None if door.dark is None else door.dark.rate.value,
            "sensitivity": None if door.sensitivity is None else door.sensitivity.sensitivity,
            "bad": door.bad,
            "sky": plan.sky.method,
        }
        for name, trace in plan.traces.items():
            parts[f"trace {name}"] = np.asarray(trace.trace, float)
            parts[f"width {name}"] = np.asarray(trace.width, float)
            parts[f"sky {name}"] = plan.sky.pixels[name]
        content["plans"].append(parts)
    return content
