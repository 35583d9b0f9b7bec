"""Which files are frames, and what do their headers say, wherever the data are inside?"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

__all__ = [
    "FrameFileError",
    "FrameFileWarning",
    "FrameHeader",
    "find_frames",
    "read_frame",
    "read_header",
    "read_headers",
]

ENDINGS = (".fits", ".fit", ".fts")
PACKED = (".gz", ".fz", ".bz2")


class FrameFileError(ValueError):
    """There is no frame to read where one was promised."""


class FrameFileWarning(AstropyUserWarning):
    """A file was left out because it is not a whole FITS frame."""


@dataclass(frozen=True)
class FrameHeader:
    """
    What the header of one frame says, and how large its data are.

    Parameters
    ----------
    path : `~pathlib.Path`
        The file.
    cards : `~astropy.io.fits.Header`
        Header of the data HDU, completed with the cards of the primary that it does not have. Of
        a card that stands twice, indexing gives the first.
    shape : tuple of int
        ``(n_y, n_x)`` of the data.
    hdu : int
        Number of the HDU that holds the data.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astropy.io import fits
    >>> header = FrameHeader(Path("b1.fits"), fits.Header({"OBJECT": "Feige 66"}), (350, 2112), 0)
    >>> header.cards["OBJECT"]
    'Feige 66'
    """

    path: Path
    cards: fits.Header
    shape: tuple
    hdu: int


def find_frames(files_or_folder):
    """
    List the paths of a folder's FITS files, or of the files given.

    Parameters
    ----------
    files_or_folder : path-like, list of path-like, or `~ccdproc.ImageFileCollection`
        Of a folder, the files that end in ``.fits``, ``.fit`` or ``.fts``, plain or packed
        (``.gz``, ``.fz``, ``.bz2``), sorted by name; its subfolders are not looked at.

    Returns
    -------
    paths : list of `~pathlib.Path`
        At least one.

    Raises
    ------
    FrameFileError
        If the folder is missing or holds no such file, or no files are given.
    """
    if hasattr(files_or_folder, "files_filtered"):  # a ccdproc.ImageFileCollection
        files_or_folder = files_or_folder.files_filtered(include_path=True)
    if not isinstance(files_or_folder, (str, os.PathLike)):
        paths = [Path(each) for each in files_or_folder]
        if not paths:
            raise FrameFileError("No files were given: pass a folder or at least one file.")
        return paths
    folder = Path(files_or_folder)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise FrameFileError(f"There is no folder {folder}: give the folder of the raw frames.")
    paths = [path for path in sorted(folder.iterdir()) if _is_frame_name(path.name)]
    if not paths:
        raise FrameFileError(
            f"The folder {folder} holds no FITS file: names have to end in {', '.join(ENDINGS)}, "
            f"plain or with {', '.join(PACKED)} after it."
        )
    return paths


def _is_frame_name(name):
    name = name.lower()
    bare = name.rsplit(".", 1)[0] if name.endswith(PACKED) else name
    return bare.endswith(ENDINGS) and not name.startswith(".")


def read_headers(files_or_folder, *, extension=0):
    """
    Read the headers of many frames; what is not a whole FITS frame is named and skipped.

    Parameters
    ----------
    files_or_folder : path-like, list of path-like, or `~ccdproc.ImageFileCollection`
        See `find_frames`.
    extension : int, str or list, optional
        HDU of the data, see `read_header`.

    Returns
    -------
    headers : list of `FrameHeader`
        Of the readable frames.
    skipped : dict
        Path to the reason why it was left out.

    Raises
    ------
    FrameFileError
        If there is no readable frame at all.

    Warns
    -----
    FrameFileWarning
        Of every file that is skipped, with the reason.
    """
    headers, skipped = [], {}
    for path in find_frames(files_or_folder):
        try:
            headers.append(read_header(path, extension=extension))
        except OSError as error:
            skipped[path] = str(error)
    reasons = "; ".join(f"{path.name}: {reason}" for path, reason in skipped.items())
    if not headers:
        raise FrameFileError(f"None of the {len(skipped)} files is a readable frame. {reasons}")
    for path, reason in skipped.items():
        warnings.warn(f"{path.name} is left out: {reason}", FrameFileWarning, stacklevel=2)
    return headers, skipped


def read_header(path, *, extension=0):
    """
    Read the header of the HDU that holds the data, completed from the primary.

    Parameters
    ----------
    path : path-like
        The FITS file.
    extension : int, str or list, optional
        Number or name of the data HDU (of a list, the first, but all have to be there). Where
        HDU 0 has no image, the first HDU that has one is taken, because compression moves it.

    Returns
    -------
    header : `FrameHeader`
        The pixels are not read, but the file is checked to be long enough to hold them.

    Raises
    ------
    OSError
        If the file cannot be read, is not FITS, is cut short, or holds no image there.
    """
    return _look_into(path, lambda hdus: _describe(path, hdus, extension))


def read_frame(path, *, extensions=(0,)):
    """
    Read headers and pixels of a frame, the file being opened once.

    Parameters
    ----------
    path : path-like
        The FITS file.
    extensions : sequence of int or str
        HDUs of the data, for each see `read_header`.

    Returns
    -------
    headers : list of `FrameHeader`
    images : list of `~numpy.ndarray`, shape (n_y, n_x)

    Raises
    ------
    OSError
        As `read_header` does.
    """

    def take(hdus):
        headers = [_describe(path, hdus, each) for each in extensions]
        return headers, [np.asarray(hdus[h.hdu].data).reshape(h.shape) for h in headers]

    return _look_into(path, take)


class _NoImageError(OSError):
    """The file is a good one, but it does not hold what is asked for."""


def _look_into(path, take):
    """What ``take`` makes of the HDUs of a file; `OSError` where it is not a whole one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # closed even if it is broken
            with open(path, "rb") as file, fits.open(file, memmap=False) as hdus:
                whole = all(_is_whole(hdu) for hdu in hdus)
                found = take(hdus) if whole else None
        except FileNotFoundError as error:
            raise OSError("there is no such file") from error
        except _NoImageError:
            raise
        except Exception as error:  # readers answer a damaged file with almost any exception
            raise OSError(
                f"not a whole FITS file ({str(error) or type(error).__name__})"
            ) from error
    if not whole or any("Error validating header" in str(each.message) for each in caught):
        raise OSError("cut short, it ends before its data do")
    return found


def _describe(path, hdus, extension):
    """`FrameHeader` of one HDU."""
    wanted = list(extension) if isinstance(extension, (list, tuple)) else [extension]
    images = [n for n, hdu in enumerate(hdus) if _shape(hdu) is not None]
    if not images:
        raise _NoImageError("no HDU holds a two-dimensional image")
    names = {name: n for n in images[::-1] for name in (n, hdus[n].name)}
    missing = [name for name in wanted if name not in names and name != 0]
    if missing:
        raise _NoImageError(
            f"no image in HDU {missing[0]!r}, only in {', '.join(map(str, images))}"
        )
    number = names.get(wanted[0], images[0])
    cards = hdus[number].header.copy()
    if number:
        cards.extend(hdus[0].header, unique=True)
    return FrameHeader(Path(path), cards, _shape(hdus[number]), number)


def _shape(hdu):
    """Shape of a two-dimensional image, axes of length one in front left out; None for others."""
    if not hdu.is_image:
        return None
    shape = tuple(hdu.shape)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape if len(shape) == 2 and min(shape) > 0 else None


def _is_whole(hdu):
    """Is the last byte of the data there? Asks the file, unpacked where it is packed."""
    where = hdu.fileinfo()
    # padding after the data is often forgotten and never missed; a compressed image has a heap
    size = where["datSpan"] if isinstance(hdu, fits.CompImageHDU) else hdu.size
    if not size:
        return True
    where["file"].seek(where["datLoc"] + size - 1)
    return len(where["file"].read(1)) == 1
