"""Where does a frame come from? Memory, a file, or a function that makes it: read by rows."""

import math
from pathlib import Path

import astropy.units as u
from astropy.io import fits
from astropy.nddata import CCDData

__all__ = ["FrameSource"]


class FrameSource:
    """
    One frame, wherever it is, read by rows.

    Parameters
    ----------
    frame : `~astropy.nddata.CCDData`, path or callable
        See `combine_frames`.
    unit : unit, optional
        Of a file without BUNIT.
    hdu : int or str
        Of a file.
    hold : bool
        Whether to keep what a callable returns until `release`, so that it is called once.

    Attributes
    ----------
    shape : tuple of int
    unit : `~astropy.units.Unit`
    meta : dict or `~astropy.io.fits.Header`
        A copy.
    has_uncertainty : bool
    """

    def __init__(self, frame, unit=None, hdu=0, *, hold=False):
        self.frame, self.hdu, self._held = frame, hdu, None
        self.is_path = isinstance(frame, (str, Path))
        if self.is_path:
            self._open(unit)
            return
        ccd = frame if isinstance(frame, CCDData) else frame()
        self.shape, self.unit, self.meta = ccd.data.shape, ccd.unit, ccd.meta.copy()
        self.has_uncertainty = ccd.uncertainty is not None
        if hold:
            self._held = ccd

    @property
    def n_bytes(self):
        """What a frame with float32 data and errors, mask and flags takes in memory."""
        return 11 * math.prod(self.shape)

    def _open(self, unit):
        """Look at a file's header only."""
        with fits.open(self.frame) as hdus:
            self.meta, self.shape = hdus[self.hdu].header.copy(), hdus[self.hdu].shape
            self.extensions = {hdu.name for hdu in hdus} & {"MASK", "UNCERT"}
            images = [number for number, each in enumerate(hdus) if len(each.shape) == 2]
        if len(self.shape) != 2:
            raise ValueError(
                f"HDU {self.hdu} of {self.frame} has the shape {self.shape}, no image: choose "
                f"hdu among {images}."
            )
        unit = self.meta.get("BUNIT") if unit is None else unit
        if unit is None:
            raise ValueError(f"{self.frame} has no card BUNIT: say which unit its pixels have.")
        self.unit = u.Unit(unit)
        self.has_uncertainty = "UNCERT" in self.extensions

    def rows(self, part):
        """Data, mask and standard deviation of some rows; the latter two may be None."""
        if self.is_path:
            with fits.open(self.frame) as hdus:
                read = lambda name: hdus[name].section[part] if name in self.extensions else None  # noqa: E731
                mask = read("MASK")
                data = hdus[self.hdu].section[part]
                return data, None if mask is None else mask.astype(bool), read("UNCERT")
        ccd = self._held
        if ccd is None:
            ccd = self.frame if isinstance(self.frame, CCDData) else self.frame()
        mask = None if ccd.mask is None else ccd.mask[part]
        error = None if ccd.uncertainty is None else ccd.uncertainty.array[part]
        return ccd.data[part], mask, error

    def release(self):
        """Let go of what is held."""
        self._held = None
