"""Read ``night.toml``, the one file a person writes for a night."""

import os
import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath, PureWindowsPath

from astropy.coordinates import SkyCoord

from slitlapse.automation.night_schema import NightFileError, check_night
from slitlapse.automation.times import parse_target
from slitlapse.instruments import Instrument, load_instrument

__all__ = ["Night", "NightFileError", "read_night"]

OWN_FOLDERS = ("exposures", "report")  # in the output


@dataclass(frozen=True)
class Night:
    """
    All that a person decides about one night.

    Parameters
    ----------
    data : `~pathlib.Path`
        Folder with the raw frames.
    instrument : `~slitlapse.instruments.Instrument`
    output : `~pathlib.Path`
        Folder for the results.
    object : str, optional
        Pattern of the object's name: which science frames.
    target : `~astropy.coordinates.SkyCoord`, optional
        For BJD and airmass where the headers have no coordinates.
    stars : dict, optional
        Name to position along the slit, or to a dict of file-name pattern to position.
        Without any, stars are found and named by brightness.
    frames : dict, optional
        Kind of frame to a list of file-name patterns; a kind named here is exactly these.
    lamps : dict, optional
        File-name pattern to lamp names, where the headers do not tell.
    sky_method, sky_windows : str and list of pairs, optional
        How to model the sky and where, as offsets from the star in pixels.
    extraction_method : str
        Which flux is the headline: ``"boxcar"`` or ``"optimal"``.
    widths : tuple of float, optional
        Full widths of the boxcar in pixels; the middle one is the headline. By default they
        follow from the seeing.
    hits : str
        Where cosmic rays on a star are looked for: on each ``"frame"`` by itself, or then in
        ``"time"``, too, in the spectra of the exposures before and after.
    degree : int, optional
        Of the wavelength polynomial; by default chosen from the lines.
    arcs : str
        Which arcs belong to an exposure: the nearest in time, interpolated, or all together.
    source : `~pathlib.Path`, optional
        The file it was read from.
    """

    data: Path
    instrument: Instrument
    output: Path
    object: str | None = None
    target: SkyCoord | None = None
    stars: dict = field(default_factory=dict)
    frames: dict = field(default_factory=dict)
    lamps: dict = field(default_factory=dict)
    sky_method: str = "tilted"
    sky_windows: tuple | None = None
    extraction_method: str = "boxcar"
    widths: tuple | None = None
    hits: str = "frame"
    degree: int | None = None
    arcs: str = "nearest"
    source: Path | None = None

    def position(self, star, filename):
        """
        Where a star was told to be in one exposure.

        Parameters
        ----------
        star : str
            Name of the star.
        filename : str
            File name of the exposure.

        Returns
        -------
        float

        Raises
        ------
        NightFileError
            Where no pattern of the star fits the file name.
        """
        places = self.stars[star]
        if not isinstance(places, dict):
            return float(places)
        for pattern, place in places.items():
            if matches(filename, pattern):
                return float(place)
        raise NightFileError(
            f"{self.source}: [stars] {star} has positions for {', '.join(places)}, but none of "
            f"these patterns fits the science frame {filename}; add one that does"
        )

    def with_changes(self, **changes):
        """Copy the night with some decisions replaced."""
        return replace(self, **changes)


def matches(filename, pattern):
    """Tell whether a file name fits a pattern; endings of compressed files do not matter."""

    def bare(name):
        name = Path(name).name
        for ending in (".gz", ".fz", ".bz2"):
            name = name.removesuffix(ending)
        return name

    return fnmatch(bare(filename).lower(), bare(pattern).lower())


def read_night(path):
    """
    Read and check a ``night.toml``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Night

    Raises
    ------
    NightFileError
        In one sentence: the file, the key, what was found and what is allowed.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise NightFileError(
            f"there is no file {path}; 'slitlapse init DIR --instrument NAME' writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise NightFileError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise NightFileError(f"{path} is not valid TOML: {error}") from None
    check_night(content, path)
    check_places(content, path)
    return _build(content, path)


def check_places(content, source):
    """
    Refuse a night file that would lead out of its own folder.

    A file that came from somebody else may neither read what is not given to it nor write over
    what is not its own. Frames that are kept elsewhere come in by a link that its owner makes;
    results go to no link.

    Parameters
    ----------
    content : dict
        What the TOML file says.
    source : `~pathlib.Path`
        The file.

    Raises
    ------
    NightFileError
    """
    for key in ("data", "output"):
        place = content[key]
        parts = place.replace("\\", "/").split("/")
        strange = not place.isprintable()  # a NUL, say, which no file system takes
        absolute = PureWindowsPath(place).anchor or PurePosixPath(place).is_absolute()
        if ".." in parts or absolute or strange:
            raise NightFileError(
                f"{source}: {key} must be a place in the folder of this file, without '..', but "
                f"found {place!r}; move this file, or put a link into its folder: ln -s TARGET NAME"
            )
    folder = source.parent.resolve()
    output = folder / content["output"]
    for place in (output, *(output / name for name in OWN_FOLDERS)):
        if not place.resolve().is_relative_to(folder):
            raise NightFileError(
                f"{source}: output leads to {place.resolve()}, which is not in the folder of this "
                "file; name a folder that is no link"
            )


def _build(content, path):
    folder = path.parent
    sky, wavelength = content.get("sky", {}), content.get("wavelength", {})
    extraction, target = content.get("extraction", {}), content.get("target")
    name = content["instrument"]
    beside = folder / name
    windows = sky.get("windows")
    widths = extraction.get("widths")
    try:
        coordinates = None if target is None else parse_target(target["ra"], target["dec"])
    except ValueError as error:
        raise NightFileError(f"{path}: [target] is not a place on the sky: {error}") from None
    return Night(
        data=folder / content["data"],
        instrument=load_instrument(beside if os.path.isfile(beside) else name),
        output=folder / content["output"],
        object=content.get("object"),
        target=coordinates,
        stars=content.get("stars", {}),
        frames={kind: _as_list(value) for kind, value in content.get("frames", {}).items()},
        lamps=content.get("lamps", {}),
        sky_method=sky.get("method", "tilted"),
        sky_windows=None if windows is None else tuple(map(tuple, windows)),
        extraction_method=extraction.get("method", "boxcar"),
        widths=None if widths is None else tuple(map(float, widths)),
        hits=extraction.get("hits", "frame"),
        degree=wavelength.get("degree"),
        arcs=wavelength.get("arcs", "nearest"),
        source=path,
    )


def _as_list(value):
    return [value] if isinstance(value, str) else list(value)
