"""Which pixels of an image can be used, and how noisy is an empty one?"""

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty

__all__ = ["plain_array", "read_image"]


def read_image(image, mask=None, read_noise=None, rows=slice(None)):
    """
    Take data, good pixels and the noise of an empty pixel out of an image.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        In electron (or without unit).
    mask : array-like of bool, shape (n_y, n_x), or None
        Pixels to leave out, in addition to the image's own mask and to what is not finite.
    read_noise : float, `~astropy.units.Quantity` or None
        Noise of an empty pixel, electron.
    rows : slice
        Rows to read, the others being left alone.

    Returns
    -------
    data : `~numpy.ndarray` of float, shape (n_rows, n_x)
    good : `~numpy.ndarray` of bool, shape (n_rows, n_x)
    read_noise : float or None
        What was given, or else what the image's uncertainty holds beside the photon noise of each
        pixel's own count, or else ``None``.

    Raises
    ------
    ValueError
        Where the image is not in electron, or shapes do not fit.
    """
    unit = getattr(image, "unit", None)
    if unit is not None and unit not in (u.electron, u.dimensionless_unscaled, u.photon):
        raise ValueError(
            f"The image is in {unit}, but its photon noise is needed; convert it to electron "
            "(multiply by the gain)."
        )
    own = getattr(image, "mask", None)
    whole = plain_array(image)
    if whole.ndim != 2:
        raise ValueError(f"An image has 2 dimensions, but this has {whole.ndim}; pass one frame.")
    data = np.asarray(whole[rows], dtype=float)
    good = np.isfinite(data)
    for bad in (own, mask):
        if bad is None or bad is np.ma.nomask:
            continue
        if np.shape(bad) != whole.shape:
            raise ValueError(
                f"The mask has shape {np.shape(bad)}, but the image has {whole.shape}; "
                "they must be the same."
            )
        good &= ~np.asarray(bad, bool)[rows]
    if isinstance(read_noise, u.Quantity):
        read_noise = read_noise.to_value(u.electron)
    uncertainty = getattr(image, "uncertainty", None)
    if read_noise is None and uncertainty is not None:
        some = (slice(None, None, 3), slice(None, None, 3))
        rest = uncertainty.represent_as(StdDevUncertainty).array[rows][some] ** 2
        rest = (rest - np.maximum(data[some], 0))[good[some]]
        read_noise = float(np.sqrt(max(np.median(rest), 0.0))) if rest.size else None
    return data, good, read_noise


def plain_array(image):
    """Give the pixels of an image without unit, mask and all else; no copy where it has them."""
    image = image.value if isinstance(image, u.Quantity) else image
    return np.asarray(image if isinstance(image, (np.ndarray, list)) else image.data)
