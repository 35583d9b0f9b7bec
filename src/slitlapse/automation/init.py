"""Write a first ``night.toml`` from what a folder holds."""

import json
import os
import warnings
from collections import Counter
from pathlib import Path

from slitlapse.automation.log import log_folder
from slitlapse.automation.series_file import write_atomically
from slitlapse.instruments import load_instrument

__all__ = ["write_night_file"]

TEXT = """\
# What to reduce, and how. Lines behind a # are examples: remove the # to use them.

data = {data}            # folder with the raw frames, relative to this file
instrument = {instrument}      # a built-in name (slitlapse instruments), or an instrument file
output = {output}            # folder for the results, relative to this file
{objects}
{found}

# [target]                  # for BJD and airmass where the headers have no coordinates
# ra = "12:06:17"
# dec = "+12:30:25"

# [stars]                   # without it, stars are found on the slit and named A, B, ...
# target = 412.0            # pixel along the slit, at the middle of the spectrum
# comparison = {{ "*_nodA*" = 188.0, "*_nodB*" = 214.5 }}

# [frames]                  # a kind named here is exactly these files; [] means none
# arc = ["neon.*.fits", "argon.*.fits"]

# [lamps]                   # where the headers do not tell which lamps were on
# "neon.*" = ["Ne"]

# [sky]
# method = "tilted"         # "tilted" | "polynomial" | "median"
# windows = [[-60, -20], [20, 60]]    # pixels from the star

# [extraction]
# method = "boxcar"         # "boxcar" | "optimal": the headline flux; both are kept
# widths = [8, 12, 16]      # full widths in pixels; the middle one is the headline
# hits = "frame"            # "frame" | "time": compare with the exposures before and after, too

# [wavelength]
# degree = 4                # without it, chosen from the lines
# arcs = "nearest"          # "nearest" in time | "interpolate" | "together"
"""


def write_night_file(path, folder, instrument, *, overwrite=False):
    """
    Write a commented ``night.toml``, filled in from what a folder holds.

    Parameters
    ----------
    path : path-like
        The file to write.
    folder : path-like
        The raw frames.
    instrument : str
        Name or file of the instrument.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    ValueError
        Where the file exists, the folder holds no frames, or it cannot be linked.

    Notes
    -----
    A night file reads only under its own folder. Frames that are elsewhere get a
    link beside it, of their folder's name.
    """
    path, folder = Path(path), Path(folder)
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; remove it, name another, or say --force")
    known = load_instrument(instrument)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        log = log_folder(folder, instrument)
    counts = Counter(log["kind"])
    found = ["# found in the folder: " + ", ".join(f"{n} {kind}" for kind, n in counts.items())]
    found += [f"# left out: {name} ({reason})" for name, reason in log.meta["skipped"].items()]
    objects = Counter(str(row["object"]) for row in log if row["kind"] == "science")
    lines = []
    for index, (name, count) in enumerate(objects.most_common()):
        frames = f"{count} science frame{'s' if count > 1 else ''}"
        comment = "# " if index or not name else ""
        lines.append(f"{comment}object = {_text(name)}      # {frames}")
    built_in = known.source is None or known.source.parent.name == "data"
    name = instrument if built_in else _relative(Path(instrument), path.parent)
    text = TEXT.format(
        data=_text(_within(folder, path.parent)),
        instrument=_text(str(name)),
        output=_text("reduced"),
        objects="\n".join(lines),
        found="\n".join(" ".join(line.split()) for line in found),
    )
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


def _relative(path, start):
    """Path as seen from a folder, with forward slashes."""
    return Path(os.path.relpath(path, start)).as_posix()


def _within(path, start):
    """Path as seen from a folder, with forward slashes; a link there where it is elsewhere."""
    seen = _relative(path, start)
    if not seen.startswith("..") and not Path(seen).is_absolute():
        return seen
    link = start / path.resolve().name
    if not (link.exists() and link.samefile(path)):
        try:
            link.symlink_to(path.resolve(), target_is_directory=path.is_dir())
        except OSError as error:
            raise ValueError(
                f"{path} is not in the folder of the night file, and no link to it can be made "
                f"there ({error}); name another --output"
            ) from error
    return link.name


def _text(value):
    """A TOML text: JSON's quoting is valid TOML."""
    return json.dumps(value, ensure_ascii=False)
