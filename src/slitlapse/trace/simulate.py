"""What would the image of a star look like, if we knew where its light lies?"""

import numpy as np
from scipy.special import ndtr, stdtr
from specreduce.tracing import Trace

__all__ = ["PROFILE_FAMILIES", "star_image"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1


def star_image(shape, trace, width, spectrum=1.0, *, profile="gaussian", **shape_parameters):
    """
    Draw the noiseless image of a star, integrated exactly over every pixel.

    Parameters
    ----------
    shape : (int, int)
        Shape (n_y, n_x) of the image; dispersion along axis 1.
    trace : float, array-like of shape (n_x,) or `~specreduce.tracing.Trace`
        Row of the star in every column; one number is a level trace at this reference row.
    width : float or array-like, shape (n_x,)
        Gaussian-equivalent sigma in pixels: the full width at half maximum over 2.3548.
    spectrum : float or array-like, shape (n_x,)
        Total of the star in every column, electron.
    profile : {"gaussian", "moffat", "asymmetric", "double"} or callable
        Family. ``"moffat"`` takes ``beta`` (3), ``"asymmetric"`` takes ``skew`` (0.2): the ratio of
        right to left half width is 1 + skew, the centre is the mean. ``"double"`` takes ``share``
        (0.2) and ``ratio`` (2.5): a Gaussian in a wider one. A callable is the running integral of
        a profile of mean 0 in units of ``width``.

    Returns
    -------
    `~numpy.ndarray`, shape (n_y, n_x)
        Electrons. What falls beyond the first and last row is lost.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.trace import star_image
    >>> image = star_image((100, 3), 50.3, 2.0, spectrum=[1e4, 2e4, 3e4])
    >>> image.sum(axis=0)
    array([10000., 20000., 30000.])
    """
    n_y, n_x = shape
    running = PROFILE_FAMILIES.get(profile, profile) if isinstance(profile, str) else profile
    if not callable(running):
        raise ValueError(
            f"profile must be one of {sorted(PROFILE_FAMILIES)} or a callable, but got {profile!r}."
        )
    trace = np.broadcast_to(
        np.asarray(trace.trace if isinstance(trace, Trace) else trace, float), n_x
    )
    width = np.broadcast_to(np.asarray(width, float), n_x)
    if not (width > 0).all():
        raise ValueError(f"width must be positive, but its smallest value is {width.min()}.")
    edges = (np.arange(n_y + 1)[:, None] - 0.5 - trace) / width
    return np.diff(running(edges, **shape_parameters), axis=0) * np.asarray(spectrum, float)


def _moffat(t, beta=3.0):
    """Running integral of a Moffat profile: Student's t distribution in disguise."""
    alpha = 0.5 * FWHM / np.sqrt(2 ** (1 / beta) - 1)
    return stdtr(2 * beta - 1, t / alpha * np.sqrt(2 * beta - 1))


def _asymmetric(t, skew=0.2):
    """Running integral of two half Gaussians of the same total width, moved to mean 0."""
    left, right = 2 / (2 + skew), 2 * (1 + skew) / (2 + skew)
    t = t + np.sqrt(2 / np.pi) * (right - left)
    low = left * ndtr(np.minimum(t, 0) / left)
    high = right * (ndtr(np.maximum(t, 0) / right) - 0.5)
    return low + high


def _double(t, share=0.2, ratio=2.5):
    """Running integral of a Gaussian with a wider one; the width is that of the narrow one."""
    return (1 - share) * ndtr(t) + share * ndtr(t / ratio)


PROFILE_FAMILIES = {
    "gaussian": ndtr,
    "moffat": _moffat,
    "asymmetric": _asymmetric,
    "double": _double,
}
