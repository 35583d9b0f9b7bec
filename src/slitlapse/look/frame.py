"""What is on this frame? One image, scaled to show faint and bright, with its bad pixels marked."""

import astropy.units as u
import numpy as np
from astropy.nddata import block_reduce
from astropy.visualization import AsinhStretch, ImageNormalize, LinearStretch, LogStretch

__all__ = ["find_limits", "show_frame"]

STRETCHES = {"linear": LinearStretch, "log": LogStretch, "asinh": AsinhStretch}


def find_limits(image, *, percentiles=(1, 99.5)):
    """
    Find the limits that show most of an image.

    Parameters
    ----------
    image : array-like, `~astropy.units.Quantity` or `~astropy.nddata.CCDData`, shape (n_y, n_x)
        Masked and non-finite pixels are left out.
    percentiles : pair of float, optional
        Of the good pixels.

    Returns
    -------
    low, high : float
        Always different from each other: an image of one value gets half a unit of room.
    """
    data, mask, _ = _parts(image)
    good = data[np.isfinite(data) & ~mask]
    if good.size == 0:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(good, percentiles))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def show_frame(
    image,
    ax=None,
    *,
    mask=None,
    limits=None,
    stretch="linear",
    colorbar=True,
    most_pixels=None,
    **kwargs,
):
    """
    Draw an image with pixel axes, a colour bar in its unit, and its bad pixels marked.

    Parameters
    ----------
    image : array-like, `~astropy.units.Quantity` or `~astropy.nddata.CCDData`, shape (n_y, n_x)
        A `~astropy.nddata.CCDData` brings its unit and mask.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default new axes.
    mask : array-like of bool, shape (n_y, n_x), optional
        True for bad pixels, drawn in red; by default the mask of ``image``.
    limits : pair of float, optional
        Values of black and white, see `find_limits`.
    stretch : {"linear", "log", "asinh"}, optional
        How grey follows value between the limits.
    colorbar : bool or `~matplotlib.axes.Axes`, optional
        Add a colour bar; into these axes, where they are given.
    most_pixels : int, optional
        Along either side: a larger image is drawn as means of blocks, a block with a bad pixel
        in red. For pages, where it is much faster; by default every pixel is there to zoom in.
    **kwargs
        For `~matplotlib.axes.Axes.imshow`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        With the image.

    Raises
    ------
    ValueError
        If the image is not two-dimensional, or ``stretch`` or the mask's shape is wrong.
    """
    data, own_mask, unit = _parts(image)
    n_y, n_x = data.shape
    mask = own_mask if mask is None else np.asarray(mask, dtype=bool)
    if mask.shape != data.shape:
        raise ValueError(f"The mask has shape {mask.shape}, but the image {data.shape}.")
    if stretch not in STRETCHES:
        raise ValueError(f"stretch is {stretch!r}, but may only be one of {[*STRETCHES]}.")
    if limits is None:
        limits = find_limits(np.ma.array(data, mask=mask))
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.figure(layout="constrained").add_subplot()
    norm = ImageNormalize(vmin=limits[0], vmax=limits[1], stretch=STRETCHES[stretch]())
    defaults = {"origin": "lower", "aspect": "auto", "cmap": "gray", "interpolation": "none"}
    if not {"vmin", "vmax", "norm"} & set(kwargs):
        defaults["norm"] = norm
    if most_pixels is not None:
        data, mask, defaults["extent"] = _in_blocks(data, mask, most_pixels)
    drawn = ax.imshow(data, **{**defaults, **kwargs})
    if mask.any():
        overlay = np.zeros((*mask.shape, 4))
        overlay[mask] = (0.85, 0.1, 0.1, 0.8)
        ax.imshow(overlay, **{**defaults, "cmap": None, "norm": None, "label": "mask"})
    if most_pixels is not None:
        ax.set(xlim=(-0.5, n_x - 0.5), ylim=(-0.5, n_y - 0.5))
    ax.set(xlabel="x (pixel)", ylabel="y (pixel)")
    bar = {"label": unit}
    if stretch != "linear" and drawn.norm is norm:
        bar["ticks"] = _even_ticks(norm)
    if colorbar is True:
        ax.figure.colorbar(drawn, ax=ax, pad=0.01, **bar)
    elif colorbar is not False:
        ax.figure.colorbar(drawn, cax=colorbar, **bar)
    return ax


def _even_ticks(norm, number=5):
    """Round values that lie evenly along the bar of a stretch that is not linear."""
    values = norm.inverse(np.linspace(0, 1, number))
    places = -np.floor(np.log10(np.gradient(values))).astype(int)
    rounded = [round(float(value), place) for value, place in zip(values, places, strict=True)]
    return sorted({value for value in rounded if norm.vmin <= value <= norm.vmax})


def _parts(image):
    """Values, mask and name of the unit of whatever kind of image this is."""
    unit = getattr(image, "unit", None)
    mask = getattr(image, "mask", None)
    data = np.asarray(getattr(image, "value", None) if isinstance(image, u.Quantity) else image)
    data = np.asarray(image.data) if hasattr(image, "wcs") or np.ma.isMA(image) else data
    if data.ndim != 2:
        raise ValueError(f"An image has two dimensions, but this has shape {data.shape}.")
    mask = np.zeros(data.shape, bool) if mask is None else np.broadcast_to(mask, data.shape)
    return data, mask.astype(bool), "" if unit is None else str(unit)


def _in_blocks(data, mask, most_pixels):
    """Means of the finite pixels of blocks, which blocks have a bad one, and where it all lies."""
    n_y, n_x = data.shape
    blocks = [-(-size // most_pixels) for size in data.shape]
    room = [(0, -size % block) for size, block in zip(data.shape, blocks, strict=True)]
    finite = np.pad(np.isfinite(data), room)
    total = block_reduce(np.where(finite, np.pad(data, room), 0.0), blocks, np.sum)
    number = block_reduce(finite, blocks, np.sum)
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    extent = (-0.5, n_x + room[1][1] - 0.5, -0.5, n_y + room[0][1] - 0.5)
    return mean, block_reduce(np.pad(mask, room), blocks, np.any), extent
