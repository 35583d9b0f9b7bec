"""Which stars are in an image of the field, taken without the disperser?"""

import numpy as np
from astropy import units as u
from astropy.nddata import NDData
from astropy.stats import SigmaClip, gaussian_fwhm_to_sigma, mad_std
from astropy.table import QTable
from scipy.ndimage import binary_erosion, median_filter

__all__ = ["find_stars_in_image"]

DARK = 0.2  # of the image: less than this around its openings is no slit


def find_stars_in_image(image, *, mask=None, fwhm=None, threshold=5.0, n_stars=None, box=50):
    """
    Find stars in an undispersed image: of the field, or through the slit.

    Where the image shows a slit or mask, the dark around its openings is left out. The sky is
    taken off with `photutils.background.Background2D`, stars are found with
    `photutils.detection.DAOStarFinder` (Stetson 1987), first with a guess of their width, then with
    the width that the brightest of them have.

    Parameters
    ----------
    image : `~astropy.nddata.NDData` or array-like, shape (n_y, n_x)
        Image, turned as the spectra are.
    mask : array-like of bool, shape (n_y, n_x), or None
        Pixels to leave out (``True``), in addition to the image's own mask and to NaN.
    fwhm : float or None
        Full width at half maximum of the stars, pixels; ``None``: measured.
    threshold : float
        Least height of a star above the noise, in standard deviations of a pixel that has seen the
        finder's kernel.
    n_stars : int or None
        How many stars to return at most, the brightest first.
    box : int
        Size of the boxes in which the sky is measured, pixels.

    Returns
    -------
    `~astropy.table.QTable`
        One row per star, the brightest first: ``x``, ``y`` (pix), ``flux`` (unit of the image,
        electron where it has none; within a circle of 1.5 FWHM), ``fwhm`` (pix, of all stars),
        ``significance``. Empty where there is none.

    Raises
    ------
    ValueError
        Where the image has no good pixel or the mask another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.trace import find_stars_in_image
    >>> y, x = np.mgrid[:100, :120]
    >>> star = 3000 * np.exp(-0.5 * ((x - 70.3) ** 2 + (y - 41.8) ** 2) / 2**2)
    >>> image = np.random.default_rng(0).normal(100 + star, 5)
    >>> stars = find_stars_in_image(image)
    >>> print(stars["x"].round(1), stars["y"].round(1))
    [70.3] pix [41.8] pix
    """
    from photutils.detection import DAOStarFinder

    data, good, unit = _parse(image, mask)
    good &= ~_dark(data, good)
    flat, noise = _without_sky(data, good, box)
    guess = 4.0 if fwhm is None else float(fwhm)
    for last in (True,) if fwhm is not None else (False, True):
        finder = DAOStarFinder(
            threshold * noise,
            guess,
            sigma_radius=2.5,  # the default, 1.5, throws away most of a faint star
            sharpness_range=(0.2, 1.3) if last else (0.1, 2.0),  # about 0.7 if the width is right
            roundness_range=(-1.0, 1.0),
        )
        found = _quietly(finder, flat, ~good)
        if found is None or len(found) == 0:
            return _table([], [], [], guess, [], unit)
        x, y = np.asarray(found["x_centroid"]), np.asarray(found["y_centroid"])
        bright = np.argsort(-np.asarray(found["flux"]))[:10]
        for _ in range(0 if last else 4):
            guess = _median_width(flat, good, x[bright], y[bright], guess)
    flux, n_pixels = _circle_sums(flat, good, x, y, 1.5 * guess)
    order = np.argsort(-flux)[:n_stars]
    significance = flux / (noise * np.sqrt(n_pixels))
    return _table(x[order], y[order], flux[order], guess, significance[order], unit)


def _parse(image, mask):
    """Take data, good pixels and unit out of what came in."""
    unit = getattr(image, "unit", None)
    data = image.data if isinstance(image, NDData) else getattr(image, "value", image)
    data = np.asarray(data, dtype=float)
    if data.ndim != 2:
        raise ValueError(f"An image has 2 dimensions, but this has {data.ndim}; pass one frame.")
    good = np.isfinite(data)
    for bad in (getattr(image, "mask", None), mask):
        if bad is None or bad is np.ma.nomask:
            continue
        if np.shape(bad) != data.shape:
            raise ValueError(
                f"The mask has shape {np.shape(bad)}, but the image has {data.shape}; "
                "they must be the same."
            )
        good &= ~np.asarray(bad, bool)
    if not good.any():
        raise ValueError("The image has no good pixel; check its mask.")
    return np.where(good, data, 0.0), good, u.electron if unit is None else unit


def _dark(data, good):
    """
    Find what a slit or mask keeps dark: there are two levels, and hardly anything in between.

    Stars alone do not look like this: their light falls off through all levels.
    """
    calm = median_filter(data, 5)
    values = np.clip(calm[good], *np.percentile(calm[good], [0.5, 99.5]))
    counts, edges = np.histogram(values, 128)
    middle, below = 0.5 * (edges[1:] + edges[:-1]), np.cumsum(counts)[:-1]
    sums = np.cumsum(counts * middle)
    apart = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / (values.size - below)
    split = edges[1:-1][np.argmax(below * (values.size - below) * apart**2)]  # Otsu (1979)
    low, high = values[values < split], values[values >= split]
    if low.size < DARK * values.size or high.size < 100:
        return np.zeros(data.shape, bool)
    dark, lit = np.median(low), np.median(high)
    between = np.abs(values - 0.5 * (dark + lit)) < 0.25 * (lit - dark)
    spread = np.diff(np.percentile(high, [16, 84]))[0]
    if between.sum() > 0.3 * high.size or spread > 0.5 * (lit - dark):
        return np.zeros(data.shape, bool)
    return ~binary_erosion(calm > 0.5 * (dark + lit), iterations=2, border_value=1)


def _without_sky(data, good, box):
    """Take the sky off; also give the noise of a pixel."""
    from photutils.background import Background2D, MedianBackground

    size = tuple(min(box, n) for n in data.shape)
    sky = Background2D(
        data,
        size,
        mask=~good,
        filter_size=3,
        sigma_clip=SigmaClip(3.0),
        bkg_estimator=MedianBackground(),
        exclude_percentile=97.0,  # the opening of a mask fills little of a box
    ).background
    flat = np.where(good, data - sky, 0.0)
    return flat, float(mad_std(flat[good]))


def _quietly(finder, flat, bad):
    """Run the finder; that it found nothing is an answer here and not a warning."""
    import warnings

    from photutils.utils.exceptions import NoDetectionsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        return finder(flat, mask=bad)


def _median_width(flat, good, x, y, guess):
    """Measure the width of stars from their flux within two circles, as a Gaussian has it."""
    inner, _ = _circle_sums(flat, good, x, y, 0.5 * guess)
    outer, _ = _circle_sums(flat, good, x, y, 1.5 * guess)
    share = np.clip(inner / np.maximum(outer, 1e-12), 0.05, 0.98)
    # a circle of radius r holds 1 - exp(-r^2 / 2 sigma^2) of a Gaussian: solve for sigma
    sigma = np.linspace(0.2, 3.0, 400)[:, None] * guess
    inside, around = (1 - np.exp(-0.5 * (r * guess / sigma) ** 2) for r in (0.5, 1.5))
    model = inside / around
    best = sigma[np.argmin(np.abs(model - share), axis=0), 0]
    return float(np.clip(np.median(best) / gaussian_fwhm_to_sigma, 1.5, 30.0))


def _circle_sums(flat, good, x, y, radius):
    """Sum the flux in circles and count their pixels."""
    from photutils.aperture import CircularAperture, aperture_photometry

    circles = CircularAperture(np.transpose([x, y]), radius)
    sums = aperture_photometry(flat, circles, mask=~good)["aperture_sum"]
    return np.asarray(sums, float), circles.area


def _table(x, y, flux, fwhm, significance, unit):
    """Put stars in a table."""
    columns = {
        "x": np.asarray(x, float) * u.pix,
        "y": np.asarray(y, float) * u.pix,
        "flux": np.asarray(flux, float) * unit,
        "fwhm": np.full(len(x), float(fwhm)) * u.pix,
        "significance": np.asarray(significance, float) * u.one,
    }
    return QTable(columns)
