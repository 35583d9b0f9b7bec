"""Which wavelengths does a lamp, or the night sky, shine at? Lists that travel with the package."""

import csv
import re
from functools import cache
from importlib import resources

import astropy.units as u
import numpy as np
from astropy.table import Column, QTable
from specutils.utils.wcs_utils import air_to_vac, vac_to_air

__all__ = [
    "KNOWN_LAMPS",
    "LineList",
    "convert_medium",
    "lamp_line_list",
    "merge_blends",
    "read_line_list",
    "sky_line_list",
    "split_lamp_names",
]

NAMES = {
    "He": "helium",
    "Ne": "neon",
    "Ar": "argon",
    "Kr": "krypton",
    "Xe": "xenon",
    "Hg": "mercury",
    "Cd": "cadmium",
    "Zn": "zinc",
    "Cu": "copper",
    "Fe": "iron",
    "Th": "thorium",
}
KNOWN_LAMPS = tuple(NAMES)
MEDIA = ("air", "vacuum")
FILLER = {
    *("lamp", "lamps", "arc", "arcs", "spare", "comp", "comparison", "calib", "calibration"),
    *("and", "on", "hollow", "cathode", "hcl", "pen", "ray", "penray", "s", "sec", "exposure"),
}
SYMBOLS = re.compile(rf"(?:({'|'.join(NAMES)})(?:i{{1,3}})?)", re.IGNORECASE)
WHOLE = re.compile(rf"(?:(?:{'|'.join(NAMES)})(?:i{{1,3}})?)+", re.IGNORECASE)


class LineList(QTable):
    """
    Spectral lines whose wavelengths say whether they are in air or in vacuum.

    A `~astropy.table.QTable` with the columns ``wavelength`` (a length), ``strength``
    (relative, of no common scale between ions), ``ion``, ``lamp`` (element symbol) and
    ``source``; the medium is in `medium`, and in ``meta["medium"]`` so that it survives
    slicing and writing.

    Examples
    --------
    >>> from slitlapse.wavelength import lamp_line_list
    >>> mercury = lamp_line_list("Hg", wavelength_range=(5400, 5500))
    >>> mercury.medium
    'air'
    >>> green = mercury["strength"].argmax()
    >>> print(f"{mercury['wavelength'][green]:.2f}")
    5460.75 Angstrom
    >>> print(f"{mercury.to_medium('vacuum')['wavelength'][green]:.2f}")
    5462.27 Angstrom
    """

    @property
    def medium(self):
        """``"air"`` or ``"vacuum"``."""
        return check_medium(self.meta.get("medium"))

    def to_medium(self, medium):
        """Give the same lines with wavelengths in ``"air"`` or ``"vacuum"``."""
        new = self.copy()
        new["wavelength"] = convert_medium(self["wavelength"], self.medium, medium)
        new.meta["medium"] = check_medium(medium)
        return new


def check_medium(medium):
    """Return ``medium`` if it is ``"air"`` or ``"vacuum"``, else raise a `ValueError`."""
    if medium not in MEDIA:
        raise ValueError(f"medium is {medium!r}; say 'air' or 'vacuum'.")
    return medium


def convert_medium(wavelength, have, want):
    """
    Convert wavelengths between air and vacuum.

    Parameters
    ----------
    wavelength : `~astropy.units.Quantity`
        Wavelengths; 2000 angstrom and above (air does not matter below).
    have, want : {"air", "vacuum"}

    Returns
    -------
    wavelength : `~astropy.units.Quantity`
        In the unit it came in. Refractive index of Ciddor (1996, Applied Optics 35, 1566), by
        specutils; there and back again is exact to 1e-6 angstrom.
    """
    check_medium(have), check_medium(want)
    if have == want:
        return wavelength
    wave = u.Quantity(wavelength)
    if want == "air":
        return vac_to_air(wave, method="Ciddor1996").to(wave.unit)
    return air_to_vac(wave, scheme="iteration", method="Ciddor1996").to(wave.unit)


def split_lamp_names(text):
    """
    Read element symbols out of a lamp's name as observatories write it.

    Parameters
    ----------
    text : str or sequence of str
        ``"HeNeAr"``, ``"CuNe+CuAr"``, ``"Hg(A)"``, ``"Neon"``, ``"Hg-Cd"``, ``"Spare_Ar"``.

    Returns
    -------
    lamps : list of str
        Element symbols, each once, in the order in which they appear.

    Raises
    ------
    ValueError
        For a name that holds anything but known lamps; the message lists those.

    Examples
    --------
    >>> split_lamp_names("CuNe+CuAr"), split_lamp_names("Hg(A)"), split_lamp_names("Neon")
    (['Cu', 'Ne', 'Ar'], ['Hg', 'Ar'], ['Ne'])
    """
    texts = [text] if isinstance(text, str) else list(text)
    found = []
    full_names = {name: symbol for symbol, name in NAMES.items()}
    for word in re.findall(r"[A-Za-z]+", " ".join(texts)):
        low = word.lower()
        if low in FILLER:
            continue
        if low in full_names:
            found.append(full_names[low])
        elif low == "a":  # the old symbol of argon, still painted on mercury lamps
            found.append("Ar")
        elif WHOLE.fullmatch(word):
            found += [symbol.capitalize() for symbol in SYMBOLS.findall(word)]
        else:
            found = None
            break
    if not found:
        raise ValueError(
            f"Cannot read lamps out of {text!r}. Known are {', '.join(KNOWN_LAMPS)}, their English "
            "names, and any combination such as 'HeNeAr' or 'CuNe+CuAr'."
        )
    return list(dict.fromkeys(found))


@cache
def _packaged(name):
    """Read one packaged list: comments, then a header, then vacuum angstrom, strength, ion."""
    text = resources.files(__package__).joinpath("data", f"{name}.csv").read_text("utf-8")
    comments = [line[2:] for line in text.splitlines() if line.startswith("#")]
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    wave = np.array([float(row["wavelength"]) for row in rows])
    strength = np.array([float(row["strength"]) for row in rows])
    source = comments[-1].removeprefix("Source: ").split(" (")[0].rstrip(".")
    return wave, strength, np.array([row["ion"] for row in rows]), source


def _as_angstrom(value):
    return u.Quantity(value, u.AA).value


def _build(names, lamps, medium, wavelength_range, min_strength):
    parts = [(lamp, *_packaged(name)) for name, lamp in zip(names, lamps, strict=True)]
    table = LineList(
        {
            "wavelength": np.concatenate([p[1] for p in parts]) * u.AA,
            "strength": np.concatenate([p[2] for p in parts]),
            "ion": np.concatenate([p[3] for p in parts]),
            "lamp": np.concatenate([np.full(len(p[1]), p[0]) for p in parts]),
            "source": np.concatenate([np.full(len(p[1]), p[4]) for p in parts]),
        },
        meta={"medium": "vacuum"},
    ).to_medium(check_medium(medium))
    keep = table["strength"] >= min_strength
    if wavelength_range is not None:
        low, high = np.sort(_as_angstrom(wavelength_range))
        keep &= (table["wavelength"].value >= low) & (table["wavelength"].value <= high)
    table = table[keep]
    table.sort("wavelength")
    return table


def lamp_line_list(lamps, *, medium="air", wavelength_range=None, min_strength=0.0, fwhm=None):
    """
    Lines of one or several lamps, from the lists inside the package.

    Parameters
    ----------
    lamps : str or sequence of str
        Anything `split_lamp_names` reads: ``"HeNeAr"``, ``["Hg", "Cd"]``.
    medium : {"air", "vacuum"}
        What the wavelengths are to be in.
    wavelength_range : pair of float or `~astropy.units.Quantity`, optional
        Keep lines between these (plain numbers are angstrom).
    min_strength : float
        Keep lines at least this strong, on their ion's own scale.
    fwhm : float or `~astropy.units.Quantity`, optional
        Resolution (plain numbers are angstrom) at which blends of one lamp are merged.

    Returns
    -------
    lines : `LineList`
        Sorted by wavelength. Empty if no line lies in the range.

    Notes
    -----
    Wavelengths and relative strengths are public values of the NIST Atomic Spectra Database
    (A. Kramida, Yu. Ralchenko, J. Reader and the NIST ASD team), stored in vacuum. Of iron and
    thorium, the strongest 60 and 90 lines of every 250 angstrom are kept.
    """
    symbols = split_lamp_names(lamps)
    table = _build(symbols, symbols, medium, wavelength_range, min_strength)
    return table if fwhm is None else merge_blends(table, fwhm)


def sky_line_list(*, medium="air", wavelength_range=None, min_strength=0.0, fwhm=None):
    """
    Emission lines of the night sky: OH, O I, Na, and the mercury of street lamps.

    Parameters and result are those of `lamp_line_list`; ``lamp`` is ``"sky"``. Useful where a
    frame has no arc, and for the instrument's own shift (sky fills the slit as a lamp does).
    """
    table = _build(["sky"], ["sky"], medium, wavelength_range, min_strength)
    return table if fwhm is None else merge_blends(table, fwhm)


def merge_blends(lines, fwhm):
    """
    Merge what a spectrograph cannot tell apart into one line at the strength-weighted mean.

    Lines of one lamp closer than ``fwhm`` to the running mean of their group are one; its
    strength is the sum, its ion that of the strongest.

    Parameters
    ----------
    lines : `LineList`
    fwhm : float or `~astropy.units.Quantity`
        Resolution element; plain numbers are angstrom.

    Returns
    -------
    lines : `LineList`
        With one more column, ``n_blended``.
    """
    width = _as_angstrom(fwhm)
    wave = lines["wavelength"].to_value(u.AA)
    strength = np.asarray(lines["strength"], float)
    groups = []
    for lamp in dict.fromkeys(lines["lamp"]):
        members = np.flatnonzero(lines["lamp"] == lamp)
        current, mean = [], -np.inf
        for i in members[np.argsort(wave[members])]:
            if current and wave[i] - mean > width:
                groups.append(current)
                current = []
            current.append(i)
            mean = np.average(wave[current], weights=strength[current] + 1e-30)
        groups += [current] if current else []
    best = [group[int(np.argmax(strength[group]))] for group in groups]
    merged = lines[np.array(best, int)]
    means = [np.average(wave[g], weights=strength[g] + 1e-30) for g in groups]
    merged["wavelength"] = (means * u.AA).to(lines["wavelength"].unit)
    merged["strength"] = np.array([strength[g].sum() for g in groups])
    merged["n_blended"] = Column([len(g) for g in groups], dtype=int)
    merged.sort("wavelength")
    return merged


def read_line_list(source, *, medium, lamp="user"):
    """
    Make a `LineList` of your own lines.

    Parameters
    ----------
    source : str, path, or table
        A table with a column ``wavelength`` (a length, or plain angstrom) and, if you have them,
        ``strength``, ``ion``, ``lamp``, ``source``; or a text file: wavelength in angstrom,
        then optionally strength and ion, ``#`` before comments.
    medium : {"air", "vacuum"}
        What your wavelengths are in: only you know.
    lamp : str
        Name of the lamp where the table does not have one.

    Returns
    -------
    lines : `LineList`
    """
    if isinstance(source, QTable) or hasattr(source, "colnames"):
        table, origin = source, "user's table"
    else:
        origin = str(source)
        with open(source, encoding="utf-8") as text:
            rows = [line.split("#")[0].replace(",", " ").split() for line in text]
        rows = [row for row in rows if row]
        try:
            table = QTable({"wavelength": [float(row[0]) for row in rows]})
            if rows and min(map(len, rows)) > 1:
                table["strength"] = [float(row[1]) for row in rows]
            if rows and min(map(len, rows)) > 2:
                table["ion"] = [" ".join(row[2:]) for row in rows]
        except ValueError as error:
            raise ValueError(
                f"{source} is not a line list: {error}. Each line holds a wavelength in angstrom, "
                "then optionally a strength and an ion; comments start with #."
            ) from error
    if "wavelength" not in table.colnames:
        raise ValueError(f"A line list needs a column 'wavelength', found {table.colnames}.")
    n = len(table)
    wave = u.Quantity(table["wavelength"], getattr(table["wavelength"], "unit", None) or u.AA)
    lines = LineList({"wavelength": wave.to(u.AA)}, meta={"medium": check_medium(medium)})
    defaults = {"strength": np.ones(n), "ion": lamp, "lamp": lamp, "source": origin}
    for name, default in defaults.items():
        lines[name] = table[name] if name in table.colnames else np.broadcast_to(default, n).copy()
    lines.sort("wavelength")
    return lines
