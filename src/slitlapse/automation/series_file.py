"""One FITS file per star: written whole or not at all, readable with astropy alone."""

import json
import os
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time

__all__ = ["read", "write", "write_atomically"]

FORMAT = "slitlapse series 1"


def write_atomically(path, save, *, lasting=True):
    """
    Write a file under another name, then put it in place in one step.

    Parameters
    ----------
    path : path-like
        Where the file shall be.
    save : callable
        Called with the temporary path; writes the file there.
    lasting : bool
        Whether to wait until the disk has it, so that the computer may crash, too. Not needed
        for a file whose damage is noticed and which is quickly made again.

    Notes
    -----
    A run that is killed leaves the old file or the new one, never half of one.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        save(Path(name))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # a temporary file is private; the result is not
        if lasting:
            with open(name, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write(series, path, overwrite=False):
    """
    Write a series.

    Parameters
    ----------
    series : `~slitlapse.automation.SpectralTimeSeries`
    path : path-like
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileExistsError
        Where the file is there and may not be replaced.
    """
    if Path(path).exists() and not overwrite:
        raise FileExistsError(f"{path} exists; say overwrite=True to replace it")
    hdus = to_hdus(series)
    for hdu in hdus:
        hdu.add_checksum(when="whole HDU")  # by default it says when, and no two files are alike
    write_atomically(path, lambda name: hdus.writeto(name, overwrite=True))


def to_hdus(series):
    """Arrange a series as FITS HDUs: one image a fluxlike, a table each for the rest."""
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = ("slitlapse", "software that made this file")
    primary.header["CONTENT"] = (FORMAT, "what it holds")
    for line in describe(series):
        primary.header.add_comment(line)
    hdus = fits.HDUList([primary])
    for name, value in series.fluxlike.items():
        image = fits.ImageHDU(np.asarray(value.value), name=name.upper())
        image.header["KEY"] = (name, "key in .fluxlike")
        image.header["BUNIT"] = (value.unit.to_string(), "unit of the values")
        hdus.append(image)
    hdus.append(fits.ImageHDU(series.mask.astype(np.uint8), name="MASK"))
    for name in ("wavelike", "timelike"):
        hdus.append(table_to_hdu(getattr(series, name), name.upper()))
    hdus.append(metadata_to_hdu(series.metadata))
    return hdus


def metadata_to_hdu(metadata):
    """Turn a dict into a table of keys and JSON texts, both plain ASCII."""
    keys = [escape(key) for key in metadata] or [""]
    texts = [json.dumps(value) for value in metadata.values()] or ["null"]
    columns = [
        fits.Column("key", f"{max(map(len, keys)) + 1}A", array=np.array(keys)),
        fits.Column("json", f"{max(map(len, texts))}A", array=np.array(texts)),
    ]
    return fits.BinTableHDU.from_columns(columns, name="METADATA")


def table_to_hdu(table, name):
    """Turn a table into an HDU; units that FITS does not know (electron) are kept as text."""
    table = escape_text(table)
    table.meta.clear()
    units = {}
    for key in table.colnames:
        if isinstance(table[key], u.Quantity):
            units[key] = table[key].unit.to_string()
            table[key] = table[key].value
    hdu = fits.table_to_hdu(table)
    for key, unit in units.items():
        if unit:
            hdu.columns[key].unit = unit
    hdu.name = name
    return hdu


def hdu_to_table(hdu):
    """Undo `table_to_hdu`."""
    units = {column.name: column.unit for column in hdu.columns if column.unit}
    table = QTable.read(hdu, astropy_native=True, unit_parse_strict="silent")
    for name in table.colnames:
        if name in units and not isinstance(table[name], Time):
            table[name] = u.Quantity(np.asarray(table[name].value, float), u.Unit(units[name]))
    table.meta.clear()
    return restore_text(table)


def describe(series):
    """Say in plain words what the file holds and how to read it."""
    time = series.time
    yield f"Spectra of one star: {series.shape[0]} wavelengths, {series.shape[1]} times."
    yield "Images have the shape (wavelength, time) as numpy reads them."
    yield "FLUX and UNCERTAINTY are in electron; MASK is 1 where a value is bad."
    yield f"Times are the middle of each exposure, scale {time.scale.upper()}."
    yield series.metadata.get("time_reference", "").encode("ascii", "replace").decode()
    yield "WAVELIKE and TIMELIKE are tables, METADATA holds JSON texts."


def escape(text):
    """Write text in plain ASCII, by Python's escapes; ordinary names stay as they are."""
    return str(text).encode("unicode_escape").decode("ascii")


def restore(text):
    """Undo `escape`."""
    return str(text).encode("ascii").decode("unicode_escape")


def escape_text(table):
    """Copy a table with text that FITS can hold."""
    table = table.copy()
    for name in table.colnames:
        if getattr(table[name], "dtype", np.dtype(float)).kind == "U":
            table[name] = [escape(text) for text in table[name]]
    return table


def restore_text(table):
    """Undo `escape_text`, and give text back as str."""
    for name in table.colnames:
        kind = getattr(table[name], "dtype", np.dtype(float)).kind
        if kind in "SU":
            texts = [t if isinstance(t, str) else t.decode("ascii") for t in table[name]]
            table[name] = [restore(text) for text in texts]
    return table


def read(path):
    """
    Read a series file into the arguments of `SpectralTimeSeries`.

    Raises
    ------
    ValueError
        Where the file is not one that `write` wrote.
    """
    try:
        hdus = fits.open(path, memmap=False)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} cannot be read as FITS ({error}); was it cut short?") from error
    with hdus:
        if hdus[0].header.get("CONTENT") != FORMAT:
            raise ValueError(f"{path} is not a series of slitlapse; give a file that reduce wrote")
        fluxlike = {
            hdu.header["KEY"]: hdu.data.astype(hdu.data.dtype.newbyteorder("="))
            * u.Unit(hdu.header.get("BUNIT", ""))
            for hdu in hdus
            if "KEY" in hdu.header
        }
        tables = {name: hdu_to_table(hdus[name.upper()]) for name in ("wavelike", "timelike")}
        mask = hdus["MASK"].data.astype(bool)
        rows = hdus["METADATA"].data
        metadata = {restore(row["key"]): json.loads(row["json"]) for row in rows if row["key"]}
    return {"fluxlike": fluxlike, "mask": mask, "metadata": metadata, **tables}
