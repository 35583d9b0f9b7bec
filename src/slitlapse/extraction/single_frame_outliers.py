"""Which pixels of a lone frame are too sharp to be light that came through the telescope?"""

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from ccdproc import cosmicray_lacosmic

__all__ = ["find_single_frame_outliers"]


def find_single_frame_outliers(
    data, read_noise, *, sky=0.0, mask=None, threshold=5.0, object_contrast=5.0, max_iter=4
):
    """
    Mark cosmic rays on one frame by their sharp edges (van Dokkum 2001, PASP 113, 1420).

    For nights of one frame, and for arcs and standards: a series has better, see
    `TemporalOutliers`, and on a star the residuals against its profile find three times as many
    (`optimal_sums`). Tracks that touch the border of the frame are often missed. The finding is
    `ccdproc.cosmicray_lacosmic`'s; its cleaned image is thrown away.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (n_y, n_x)
        Sky-subtracted counts, electron.
    read_noise : float
        Electron.
    sky : float or `~numpy.ndarray`, shape (n_y, n_x)
        Sky that was subtracted, electron; counts for the noise.
    mask : `~numpy.ndarray` of bool, shape (n_y, n_x), optional
        True = bad already; not looked at and not marked.
    threshold : float
        Standard deviations of the Laplacian beyond which a pixel is marked.
    object_contrast : float
        How much sharper than the structure around it a hit must be; a well sampled star has less
        than 5.
    max_iter : int
        Rounds.

    Returns
    -------
    `~numpy.ndarray` of bool, shape (n_y, n_x)
        True where a hit is.

    Raises
    ------
    ValueError
        Where the frame has not two dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import find_single_frame_outliers
    >>> frame = np.random.default_rng(1).normal(0, 4, (40, 50))
    >>> frame[20, 30] += 400
    >>> np.argwhere(find_single_frame_outliers(frame, 4.0))
    array([[20, 30]])
    """
    data = np.array(data, dtype=np.float32)
    if data.ndim != 2:
        raise ValueError(f"A frame has 2 dimensions, but the data has shape {data.shape}.")
    known = ~np.isfinite(data)
    known = known if mask is None else known | mask
    sky = np.broadcast_to(np.asarray(sky, dtype=np.float32), data.shape)
    data = np.where(known, 0, data) + sky  # with its sky, from which the photon noise is known
    frame = CCDData(data, unit="electron", mask=known)
    found = cosmicray_lacosmic(
        frame,
        sigclip=threshold,
        objlim=object_contrast,
        gain=1.0 * u.dimensionless_unscaled,
        gain_apply=False,
        readnoise=read_noise * u.electron,
        satlevel=np.inf,
        niter=max_iter,
        inbkg=np.array(sky),
    )
    return np.asarray(found.mask, bool) & ~known
