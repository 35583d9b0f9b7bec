"""The door: a file comes in, a frame of electrons goes out, turned and corrected."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.automation.log import NightError
from slitlapse.flats import PixelSensitivity
from slitlapse.instruments import Instrument
from slitlapse.observing_log import read_frame
from slitlapse.photons import DarkCurrent, MaskBits, process_amplifiers, to_electrons, turn

__all__ = ["FrameDoor", "binning_factors", "read_raw"]

NEARLY_WHOLE = 0.02  # how far two sizes may be from a whole multiple of each other
NOT_MASKED = MaskBits.no_sensitivity  # noted, but no reason to mask


def read_raw(path, instrument, shape=None):
    """
    Read a raw frame.

    Parameters
    ----------
    path : path-like
    instrument : `~slitlapse.instruments.Instrument`
    shape : tuple of int, optional
        Raw size (n_y, n_x) of the frames that the instrument's sections count pixels of. By
        default, this frame's.

    Returns
    -------
    frames : `~astropy.nddata.CCDData` or list of them
        In adu, one where all amplifiers share an HDU, else one per amplifier.
    amplifiers : list of `~slitlapse.photons.Amplifier`

    Raises
    ------
    OSError
        Where the file is not a whole FITS frame.
    """
    extensions = instrument.extension
    several = isinstance(extensions, tuple)
    headers, arrays = read_frame(path, extensions=extensions if several else [extensions])
    frames = [CCDData(array, unit=u.adu, meta={"FILENAME": Path(path).name}) for array in arrays]
    cards = [each.cards for each in headers]
    factors = binning_factors(arrays[0].shape, shape)
    if several:
        return frames, instrument.amplifiers_for(cards, factors=factors)
    return frames[0], instrument.amplifiers_for(cards[0], factors=factors)


def binning_factors(shape, reference):
    """
    Pixels of a frame to one of another that shows the same, along y and x.

    Parameters
    ----------
    shape, reference : tuple of int
        Raw sizes; overscans are often as wide in every binning, so that the sizes are only
        nearly multiples of each other.

    Returns
    -------
    tuple of float
        Whole numbers or 1 over them; (1, 1) where the sizes are alike, or have nothing to do
        with each other.
    """
    if reference is None or tuple(shape) == tuple(reference):
        return (1, 1)
    factors = []
    for size, usual in zip(shape, reference, strict=True):
        ratio = max(size, usual) / min(size, usual)
        if abs(ratio - round(ratio)) > NEARLY_WHOLE:
            return (1, 1)
        factors.append(round(ratio) if size >= usual else 1 / round(ratio))
    return tuple(factors)


@dataclass(frozen=True)
class FrameDoor:
    """
    All that turns the raw frames of one night into electrons, the same way for each.

    Parameters
    ----------
    instrument : `~slitlapse.instruments.Instrument`
    folder : `~pathlib.Path`
        Where the raw frames are.
    read_noises : tuple of `~astropy.units.Quantity`, optional
        One per amplifier, in electron; by default what the amplifiers or the overscan say.
    bias : `~astropy.nddata.CCDData`, optional
        Master bias in electron, trimmed but not turned.
    dark : `~slitlapse.photons.DarkCurrent`, optional
        Turned.
    sensitivity : `~slitlapse.flats.PixelSensitivity`, optional
        Turned.
    bad : array of uint16, optional
        Flags of pixels that are bad in every frame, turned.
    shape : tuple of int, optional
        Raw size (n_y, n_x) of the night's frames. Arcs may be binned otherwise.
    """

    instrument: Instrument
    folder: Path
    read_noises: tuple | None = None
    bias: CCDData | None = None
    dark: DarkCurrent | None = None
    sensitivity: PixelSensitivity | None = None
    bad: np.ndarray | None = None
    shape: tuple | None = None

    def with_(self, **changes):
        """Copy with some parts replaced."""
        return replace(self, **changes)

    @property
    def described_by(self):
        """The instrument's file, or its name where it was made by hand."""
        source = self.instrument.source
        return self.instrument.name if source is None else source

    @contextmanager
    def naming(self, filename):
        """Name the frame and the instrument file where the two do not fit each other."""
        try:
            yield
        except NightError:
            raise
        except OSError as error:
            raise NightError(
                f"{self.folder / filename} cannot be read: {error}. Put it back or take it out, "
                "and run again: exposures that are finished are kept"
            ) from error
        except ValueError as error:
            raise NightError(
                f"{filename} cannot be opened as {self.described_by} describes it: correct the "
                f"instrument file, or take this frame out of {self.folder}. {error}"
            ) from error

    def raw(self, filename):
        """Raw frame(s) of a file and the amplifiers, with the night's read noises."""
        with self.naming(filename):
            frames, amplifiers = read_raw(self.folder / filename, self.instrument, self.shape)
        if self.read_noises is not None:
            pairs = zip(amplifiers, self.read_noises, strict=True)
            amplifiers = [amplifier.with_noise(read_noise=noise) for amplifier, noise in pairs]
        return frames, amplifiers

    def electrons(self, filename, kind, exposure_time=None, *, uncertainty=True):
        """
        Open a frame: flag, subtract level, bias and dark, gain, turn, divide by sensitivity.

        Parameters
        ----------
        filename : str
            Relative to ``folder``.
        kind : str
            Kind of frame; those that arrive without bias keep their level.
        exposure_time : `~astropy.units.Quantity`, optional
            For the dark current.
        uncertainty : bool
            Whether to give one to every pixel; extraction makes its own from models of star and
            sky.

        Returns
        -------
        `~astropy.nddata.CCDData`
            In electron, dispersion along axis 1 and wavelength increasing, with mask, flags
            and uncertainty. A frame that is binned otherwise than the night's has only its own
            overscan's level taken off: bias, dark and sensitivity are of other pixels.
        """
        frames, amplifiers = self.raw(filename)
        has_bias = kind not in self.instrument.bias_subtracted
        factors = binning_factors(_first(frames).data.shape, self.shape)
        alike = factors == (1, 1)
        with self.naming(filename):
            frame = to_electrons(
                frames,
                amplifiers,
                bias=self.bias if has_bias and alike else None,
                overscan="auto" if has_bias else None,
                saturation=self.instrument.saturation,
                bad_sections=self.instrument.bad_for(factors),
                uncertainty=uncertainty,
            )
        frame = turn(frame, self.instrument.dispersion)
        if not alike:
            return frame
        if self.dark is not None and has_bias and exposure_time is not None:
            frame = self.dark.subtract_from(frame, exposure_time)
        return self._correct(frame)

    @cached_property
    def _sensitivity(self):
        """As precise as frames are, made once."""
        return self.sensitivity.sensitivity.astype(np.float32)

    def _correct(self, frame):
        """Divide by the sensitivity and add what is bad in every frame."""
        if self.sensitivity is not None:
            s = self._sensitivity
            sigma = None
            if frame.uncertainty is not None:
                sigma = StdDevUncertainty(frame.uncertainty.array / s, copy=False)
            frame = CCDData(
                frame.data / s,
                unit=u.electron,
                uncertainty=sigma,
                mask=frame.mask,
                meta=frame.meta,
                flags=frame.flags,
            )
        if self.bad is not None:
            frame.flags = self.bad | (0 if frame.flags is None else frame.flags)
            frame.mask = (frame.flags & ~np.uint16(NOT_MASKED)) != 0
        return frame

    def read_noise(self, filename):
        """
        Noise that reading adds to every pixel, shape (n_y, n_x), turned, in electron.

        Read noise of each amplifier and the error of the master bias, before the frame is
        divided by the sensitivity.
        """
        frames, amplifiers = self.raw(filename)
        several = isinstance(frames, list)
        empty = [
            CCDData(np.zeros(frame.data.shape, np.uint8), unit=u.adu)
            for frame in (frames if several else [frames])
        ]
        silent = process_amplifiers(empty if several else empty[0], amplifiers, overscan=None)
        noise = silent.uncertainty.array
        if self.bias is not None:
            noise = np.hypot(noise, self.bias.uncertainty.array)
        noise = turn(noise, self.instrument.dispersion)
        return np.ascontiguousarray(noise, dtype=float)


def _first(frames):
    """The frame, or that of the first amplifier."""
    return frames[0] if isinstance(frames, list) else frames
