"""Put line lists of slitlapse where specreduce's tests look for the ones they download.

The test fixtures of specreduce 1.9.0 draw arcs of He I, Ne I, Xe I and Ar I from line lists that
are downloaded on first use. Here the same four lists are written from the packaged ones of
slitlapse (vacuum wavelengths from the NIST Atomic Spectra Database), in the layout that
``specreduce.calibration_data.load_pypeit_calibration_lines`` reads, and put into astropy's
download cache under the addresses that it asks for.

Run it with the Python that has specreduce installed: ``python line_lists.py FOLDER``.
"""

import csv
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "src" / "slitlapse" / "wavelength" / "data"
IONS = {"HeI": ("He", "He I"), "NeI": ("Ne", "Ne I"), "XeI": ("Xe", "Xe I"), "ArI": ("Ar", "Ar I")}
BRIGHTEST = 2e4  # amplitude of a lamp's brightest line; the fixtures scale it by 0.01
ISOLATED = 80.0  # angstrom: lines of the fixtures are 7 angstrom wide, and no list has blends
POWER = 0.3  # amplitudes spread less than strengths, as the arcs' dynamic range is small


def isolated_lines(lamp):
    """Return the (wavelength, amplitude) of a lamp's lines that no brighter line is near."""
    name, ion = IONS[lamp]
    with (DATA / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    lines = [(float(r["strength"]), float(r["wavelength"])) for r in rows if r["ion"] == ion]
    strongest, kept = max(lines)[0], []
    for strength, wavelength in sorted(lines, reverse=True):
        if all(abs(wavelength - other) > ISOLATED for other, _ in kept):
            kept.append((wavelength, BRIGHTEST * (strength / strongest) ** POWER))
    return sorted(kept)


def fixed_width(lamp):
    """Return the line list of a lamp as the text of a fixed-width table."""
    table = [("ion", "wave", "NIST", "Instr", "amplitude", "Source")]
    for wavelength, amplitude in isolated_lines(lamp):
        table.append((lamp, f"{wavelength:.4f}", "1", "0", f"{amplitude:.1f}", "NIST"))
    lines = ["| " + " | ".join(f"{value:>10}" for value in row) + " |" for row in table]
    return "\n".join(lines) + "\n"


def main(folder):
    """Write the four lists to a folder and import them into the download cache."""
    from astropy.utils.data import import_file_to_cache
    from specreduce.calibration_data import PYPEIT_DATA_URL

    folder.mkdir(parents=True, exist_ok=True)
    for lamp in IONS:
        file = folder / f"{lamp}_lines.dat"
        file.write_text(fixed_width(lamp))
        url = f"{PYPEIT_DATA_URL}/arc_lines/lists/{lamp}_lines.dat"
        import_file_to_cache(url, str(file), pkgname="specreduce")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
