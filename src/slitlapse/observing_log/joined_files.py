"""One exposure in several files? Put its amplifiers or chips into one file, an HDU each."""

from collections import defaultdict
from pathlib import Path

from astropy.io import fits

__all__ = ["join_files"]


def join_files(folder, endings, output):
    """
    Join the files that several amplifiers or chips wrote of the same exposure.

    Parameters
    ----------
    folder : path-like
        Where the files are.
    endings : list of str
        How their names end, in the order wanted: ``["c1.fits", "c2.fits"]``. What stands before
        names the exposure. Packed files have their packing in the ending (``"c1.fits.gz"``).
    output : path-like
        Folder for the joined files; made where it does not exist. A file that is there already
        is kept, so that joining again adds only what is new.

    Returns
    -------
    paths : list of `~pathlib.Path`
        One file per exposure: the header of the first part in HDU 0, and the pixels and header
        of each part, unchanged, in HDUs 1, 2, ...

    Raises
    ------
    ValueError
        If no exposure is found, or one lacks a part.
    """
    folder, output = Path(folder), Path(output)
    parts = defaultdict(dict)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        for ending in endings:
            if path.name.endswith(ending):
                parts[path.name.removesuffix(ending)][ending] = path
    if not parts:
        raise ValueError(f"The folder {folder} has no files that end in {' or '.join(endings)}.")
    for exposure, found in parts.items():
        missing = [f"{exposure}{ending}" for ending in endings if ending not in found]
        if missing:
            raise ValueError(
                f"The exposure {exposure!r} lacks {', '.join(missing)}: copy it to {folder}, or "
                "move the other parts of that exposure away."
            )
    output.mkdir(parents=True, exist_ok=True)
    return [
        _join([found[each] for each in endings], output / f"{exposure}.fits")
        for exposure, found in parts.items()
    ]


def _join(parts, path):
    """Write one joined file, unless it is there; never half of one."""
    if path.exists():
        return path
    images = []
    for number, part in enumerate(parts, start=1):
        with fits.open(part, memmap=False) as hdus:
            hdu = next(hdu for hdu in hdus if hdu.is_image and hdu.shape)
            header, data = hdu.header.copy(), hdu.data
        images.append(fits.ImageHDU(data, header))
        images[-1].name = f"PART{number}"
        if number == 1:
            general = fits.PrimaryHDU(header=header.copy(strip=True))
    draft = path.with_suffix(".part")
    fits.HDUList([general, *images]).writeto(draft, overwrite=True)
    return draft.replace(path)
