"""How bright is each frame, and where is its bias level? A glance at the pixels of a night."""

import re
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable

__all__ = ["measure_levels"]


def measure_levels(files, *, dark=None, light=None, extension=0):
    """
    Measure the typical and the highest counts of raw frames, and their level where no light fell.

    Parameters
    ----------
    files : list of path-like
        The frames; one is read at a time.
    dark : str, optional
        FITS section (1-indexed, inclusive, x first) that no light reaches, such as an overscan.
    light : str, optional
        FITS section of the lit part; by default the whole frame.
    extension : int or str, optional
        HDU of the data; where it holds no image, the first HDU that does.

    Returns
    -------
    levels : `~astropy.table.QTable`
        Columns ``filename``, ``counts`` (median), ``counts_high`` (99th percentile),
        ``counts_max`` and ``bias_level`` (median of ``dark``), in adu. NaN where a section
        misses the frame.
    """
    rows = []
    for path in files:
        image = _read(path, extension)
        lit = image if light is None else image[_slices(light)]
        unlit = image[:0, :0] if dark is None else image[_slices(dark)]
        lit, unlit = lit[np.isfinite(lit)], unlit[np.isfinite(unlit)]
        percentiles = np.percentile(lit, [50, 99, 100]) if lit.size else [np.nan] * 3
        rows.append([*percentiles, np.median(unlit) if unlit.size else np.nan])
    names = ["counts", "counts_high", "counts_max", "bias_level"]
    values = np.array(rows, dtype=float).reshape(len(rows), len(names))
    columns = {name: column * u.adu for name, column in zip(names, values.T, strict=True)}
    return QTable({"filename": [Path(path).name for path in files], **columns})


def _read(path, extension):
    """Pixels of the wanted HDU, or of the first that has an image."""
    with fits.open(path, memmap=False) as hdus:
        images = [n for n, hdu in enumerate(hdus) if hdu.is_image and len(hdu.shape) >= 2]
        if not images:
            raise OSError(f"{path}: no HDU holds an image")
        named = [n for n in images if extension in (n, hdus[n].name)]
        data = np.asarray(hdus[(named + images)[0]].data)
    return data.reshape(data.shape[-2:])


def _slices(section):
    """Python slices of a FITS section."""
    numbers = [int(number) for number in re.findall(r"\d+", section)]
    if len(numbers) != 4:
        raise ValueError(f"{section!r} is no FITS section: write it as [x1:x2,y1:y2].")
    x1, x2, y1, y2 = numbers
    return slice(y1 - 1, y2), slice(x1 - 1, x2)
