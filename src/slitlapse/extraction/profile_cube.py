"""What if a model of the telescope already says how light spreads, wavelength by wavelength?"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

__all__ = ["ProfileCube"]


@dataclass(frozen=True, eq=False)
class ProfileCube:
    """
    Slices through a point-spread function that changes with wavelength.

    Parameters
    ----------
    coordinate : `~numpy.ndarray`, shape (n_plane,)
        Wavelength or pixel of each plane, increasing.
    offset : `~numpy.ndarray`, shape (n_offset,)
        Distance from the star's centre along the slit, pixel of the detector, evenly spaced; as
        fine as the model is (a few samples per pixel).
    light : `~numpy.ndarray`, shape (n_plane, n_offset)
        Light at each offset; need not be normalised.

    Raises
    ------
    ValueError
        Where the shapes do not match or a plane is dark.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import ProfileCube
    >>> offset, width = np.linspace(-12, 12, 241), np.array([[1.5], [2.5]])
    >>> cube = ProfileCube(np.array([4e3, 8e3]), offset, np.exp(-0.5 * (offset / width) ** 2))
    >>> profile = cube.at(np.linspace(4e3, 8e3, 50))
    >>> light = profile(np.arange(30)[:, None], np.full(50, 14.8))
    >>> light.shape, bool(np.allclose(light.sum(axis=0), 1))
    ((30, 50), True)
    """

    coordinate: np.ndarray
    offset: np.ndarray
    light: np.ndarray

    def __post_init__(self):
        expected = (np.size(self.coordinate), np.size(self.offset))
        if np.shape(self.light) != expected:
            raise ValueError(
                f"The light has shape {np.shape(self.light)} but there are {expected[0]} planes "
                f"and {expected[1]} offsets. Give light of shape {expected}."
            )
        dark = ~(np.sum(self.light, axis=1) > 0)
        if dark.any():
            raise ValueError(
                f"Plane {np.flatnonzero(dark)[0]} of the cube holds no light. Leave it out: "
                "planes are interpolated."
            )

    @classmethod
    def from_psf(cls, coordinate, cube, oversampling=1, disp_axis=2):
        """
        Collapse images of a point source along the dispersion.

        Parameters
        ----------
        coordinate : `~numpy.ndarray`, shape (n_plane,)
            Wavelength or pixel of each image.
        cube : `~numpy.ndarray`, shape (n_plane, n_a, n_b)
            Images of a point source at the middle of the frame.
        oversampling : float
            Samples of the image per pixel of the detector.
        disp_axis : {1, 2}
            Axis of the cube that is the dispersion.

        Returns
        -------
        `ProfileCube`
        """
        light = np.sum(cube, axis=disp_axis)
        offset = (np.arange(light.shape[1]) - (light.shape[1] - 1) / 2) / oversampling
        return cls(np.asarray(coordinate), offset, light)

    @cached_property
    def _below(self):
        """Edges of the samples, and the fraction of light below them for each plane."""
        step = self.offset[1] - self.offset[0]
        edges = np.append(self.offset - step / 2, self.offset[-1] + step / 2)
        below = np.cumsum(self.light, axis=1) / np.sum(self.light, axis=1, keepdims=True)
        return edges, np.concatenate([np.zeros((len(below), 1)), below], axis=1)

    def at(self, coordinate):
        """
        Interpolate the planes to the columns of a frame.

        Parameters
        ----------
        coordinate : `~numpy.ndarray`, shape (n_x,)
            Wavelength or pixel of each column; beyond the planes, the outermost one counts.

        Returns
        -------
        callable
            Of (rows, centre, width=None); hand it to `ProfileExtract` or `BoxcarExtract` as their
            ``profile``. The width is not looked at: the model knows its own.
        """
        coordinate = np.clip(coordinate, self.coordinate[0], self.coordinate[-1])
        plane = np.interp(coordinate, self.coordinate, np.arange(len(self.coordinate)))
        edges, below = self._below
        curves = [PchipInterpolator(edges, curve) for curve in below]

        def profile(rows, centre, width=None):
            start = np.clip(rows - centre - 0.5, edges[0], edges[-1])
            stop = np.clip(rows - centre + 0.5, edges[0], edges[-1])
            light = np.zeros(np.broadcast_shapes(np.shape(rows), (1, np.size(centre))))
            for number, curve in enumerate(curves):
                weight = np.clip(1 - np.abs(plane - number), 0, None)
                x = np.flatnonzero(weight > 0)
                light[:, x] += weight[x] * (curve(stop[:, x]) - curve(start[:, x]))
            return light

        return profile
