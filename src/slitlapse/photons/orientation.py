"""Which way does the wavelength run? Turn every frame so that it increases along axis 1."""

from copy import deepcopy

import numpy as np
from astropy.nddata import CCDData

__all__ = ["DISPERSIONS", "to_raw_pixel", "turn", "turn_back"]

DISPERSIONS = ("+x", "-x", "+y", "-y")


def turn(image, dispersion):
    """
    Turn a frame so that dispersion is axis 1 and wavelength increases along it.

    For y the frame is transposed; for "-" the dispersion axis, and only that, is reversed.

    Parameters
    ----------
    image : `~numpy.ndarray` or `~astropy.nddata.CCDData`, shape (n_y, n_x)
    dispersion : {"+x", "-x", "+y", "-y"}
        Where wavelength increases on the frame as it is.

    Returns
    -------
    Same type as ``image``
        Arrays are views. The ``meta`` of a `~astropy.nddata.CCDData` gets the card ``TURNED``
        (the dispersion) and ``TURNEDNX`` (pixels along the dispersion), which `turn_back` and
        `to_raw_pixel` read.

    Raises
    ------
    ValueError
        If ``dispersion`` is none of the four, or the frame is already turned.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.photons import turn, turn_back
    >>> raw = np.array([[1, 2], [3, 4], [5, 6]])  # three rows; wavelength decreases with y
    >>> turn(raw, "-y")
    array([[5, 3, 1],
           [6, 4, 2]])
    >>> bool((turn_back(turn(raw, "-y"), "-y") == raw).all())
    True
    """
    _check(dispersion)
    if not isinstance(image, CCDData):
        return _turn(image, dispersion)
    if "TURNED" in image.meta:
        raise ValueError(
            f"This frame was already turned from {image.meta['TURNED']!r}: turn_back first."
        )
    result = _apply(image, lambda array: _turn(array, dispersion))
    result.meta["TURNED"] = dispersion
    result.meta["TURNEDNX"] = result.data.shape[1]
    return result


def turn_back(image, dispersion=None):
    """
    Undo `turn`.

    Parameters
    ----------
    image : `~numpy.ndarray` or `~astropy.nddata.CCDData`
    dispersion : {"+x", "-x", "+y", "-y"}, optional
        Needed for arrays; a `~astropy.nddata.CCDData` remembers it.
    """
    if isinstance(image, CCDData) and dispersion is None:
        dispersion = image.meta.get("TURNED")
    _check(dispersion)
    if not isinstance(image, CCDData):
        return _turn_back(image, dispersion)
    result = _apply(image, lambda array: _turn_back(array, dispersion))
    for key in ("TURNED", "TURNEDNX"):
        if key in result.meta:
            del result.meta[key]
    return result


def to_raw_pixel(x, y, meta):
    """
    Find the raw frame's FITS pixel that a pixel of the turned, trimmed frame came from.

    Parameters
    ----------
    x, y : float or `~numpy.ndarray`
        0-indexed pixel along and across the dispersion.
    meta : dict-like
        Of the turned frame: ``TURNED``, ``TURNEDNX``, ``TRIMX0``, ``TRIMY0``; what is missing
        counts as not turned and not trimmed.

    Returns
    -------
    tuple of float or `~numpy.ndarray`
        ``(x, y)`` on the raw frame, 1-indexed as in FITS.
    """
    dispersion = meta.get("TURNED", "+x")
    _check(dispersion)
    x, y = np.asarray(x, float), np.asarray(y, float)
    if dispersion[0] == "-":
        x = meta["TURNEDNX"] - 1 - x
    if dispersion[1] == "y":
        x, y = y, x
    return x + meta.get("TRIMX0", 0) + 1, y + meta.get("TRIMY0", 0) + 1


def _check(dispersion):
    if dispersion not in DISPERSIONS:
        raise ValueError(f"The dispersion is {dispersion!r}; it must be one of {DISPERSIONS}.")


def _turn(array, dispersion):
    array = array.T if dispersion[1] == "y" else array
    return array[:, ::-1] if dispersion[0] == "-" else array


def _turn_back(array, dispersion):
    array = array[:, ::-1] if dispersion[0] == "-" else array
    return array.T if dispersion[1] == "y" else array


def _apply(ccd, function):
    """Turn everything of a frame that has its shape; the header is copied."""
    maybe = lambda array: None if array is None else function(array)  # noqa: E731
    error = ccd.uncertainty
    result = CCDData(
        function(ccd.data),
        unit=ccd.unit,
        mask=maybe(ccd.mask),
        uncertainty=None if error is None else type(error)(function(error.array)),
        meta=deepcopy(ccd.meta),
    )
    result.flags = maybe(ccd.flags)
    return result
