"""What does a trace know that also says how wide its star is?"""

import copy

import numpy as np
from specreduce.tracing import Trace

__all__ = ["TraceWithWidth"]

FWHM = np.sqrt(8 * np.log(2))  # of a Gaussian of sigma 1


class TraceWithWidth(Trace):
    """
    Centre, width and shape of one star in every column.

    Attributes
    ----------
    trace, trace_uncertainty : `~numpy.ma.MaskedArray`, `~numpy.ndarray`, shape (n_x,)
        Centre in pixels; masked where the star lies outside the image.
    width, width_uncertainty : `~numpy.ndarray`, shape (n_x,)
        Gaussian-equivalent sigma in pixels, FWHM / 2.3548.
    profile_family : str
        The profile family.
    beta, beta_uncertainty : float, `~numpy.ndarray` of shape (n_x,), or None
        Exponent of a Moffat profile.
    neighbours : tuple of float
        Distances to other stars, pixels.
    """

    @classmethod
    def from_curves(cls, image, trace, width, profile="gaussian", *, beta=None, neighbours=()):
        """
        Build a trace by hand.

        Parameters
        ----------
        image : image or tuple
            The image it belongs to, or only that image's shape (n_y, n_x).
        trace, width : float or array-like, shape (n_x,)
            Centre and Gaussian-equivalent sigma in pixels.
        profile : {"gaussian", "moffat"}
            Family.
        beta : float or None
            Exponent of a Moffat profile, > 1.

        Returns
        -------
        TraceWithWidth
            Of the class it is called on.
        """
        new = cls.__new__(cls)
        if isinstance(image, tuple):
            image = np.broadcast_to(0.0, image)
        n_x = image.shape[1]
        new.image, new.profile_family, new.beta = image, profile, beta
        new.neighbours, new.beta_uncertainty = tuple(float(d) for d in neighbours), None
        new.trace, new.width = (
            np.broadcast_to(np.asarray(curve, float), n_x).copy() for curve in (trace, width)
        )
        new.trace_uncertainty, new.width_uncertainty = np.zeros(n_x), np.zeros(n_x)
        new.trace_degree = new.width_degree = None
        new._mask_outside()
        new.table, new.read_noise, new.window = None, None, None
        return new

    def _mask_outside(self):
        """Mask the trace where it lies outside the image, as upstream's consumers expect."""
        self._mask_treatment, self._valid_mask_treatment_methods = None, [None]
        self._bound_trace()

    @property
    def fwhm(self):
        """Full width at half maximum in pixels, shape (n_x,)."""
        return FWHM * self.width

    def __add__(self, delta):
        """Return a copy moved by ``delta`` pixels; the image is shared, not copied."""
        new = copy.copy(self)
        new.shift(delta)
        return new
