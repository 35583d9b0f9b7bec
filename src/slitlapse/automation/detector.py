"""What would an instrument's detector write, if this light fell on it?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from slitlapse.automation.log import NightError
from slitlapse.instruments import Instrument
from slitlapse.photons import to_raw, turn, turn_back

__all__ = ["SimulatedDetector"]

READ_NOISE = 4.0  # electron, where the instrument file has none
BIAS_LEVEL = 1000.0  # adu
LARGEST = 65535  # adu, where the instrument file names no saturation


@dataclass(frozen=True)
class SimulatedDetector:
    """
    The amplifiers of an instrument, ready to be read out.

    Parameters
    ----------
    instrument : `~slitlapse.instruments.Instrument`
    amplifiers : tuple of `~slitlapse.photons.Amplifier`
        With their read noise.
    shape : tuple of int
        (n_y, n_x) of the turned, trimmed frame.
    headers : list of dict
        Cards that the instrument file points to, one dict for each amplifier.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.automation.detector import SimulatedDetector
    >>> from slitlapse.instruments import load_instrument
    >>> detector = SimulatedDetector.of(load_instrument("ldss3c"))
    >>> detector.shape
    (1024, 2048)
    >>> frames = detector.expose(np.zeros(detector.shape), np.random.default_rng(1))
    >>> [frame.shape for frame in frames]  # one HDU for each amplifier, overscan included
    [(2048, 576), (2048, 576)]
    """

    instrument: Instrument
    amplifiers: tuple
    shape: tuple
    headers: list

    @classmethod
    def of(cls, instrument, *, headers=None, read_noise=None):
        """
        Set up the detector that an instrument file describes.

        Parameters
        ----------
        instrument : `~slitlapse.instruments.Instrument`
        headers : list of dict, optional
            Cards of a real frame, one dict for each amplifier; by default those of the
            instrument's typical frame.
        read_noise : float or sequence of float, optional
            Electrons, one for all amplifiers or one for each; by default what the instrument
            says, else 4.

        Returns
        -------
        SimulatedDetector

        Raises
        ------
        NightError
            Where sections or gains stand in cards, and no headers are known.
        """
        headers = instrument.example_headers if headers is None else list(headers)
        try:
            amplifiers = instrument.amplifiers_for(headers)
        except ValueError as error:
            raise NightError(
                f"a night of {instrument.name} cannot be simulated from its file alone, because "
                f"cards tell its sections or gains: pass headers of a real frame, use --like with "
                f"a night.toml, or take another instrument, such as toy. {error}"
            ) from error
        given = [None] * len(amplifiers)
        if read_noise is not None:
            given = np.broadcast_to(np.asarray(read_noise, float), len(amplifiers))
        amplifiers = tuple(_with_noise(a, n) for a, n in zip(amplifiers, given, strict=True))
        ends = [[sorted(_ends(s)) for s in a.output] for a in amplifiers]
        trimmed = tuple(
            max(e[axis][1] for e in ends) - min(e[axis][0] for e in ends) for axis in (0, 1)
        )
        shape = turn(np.empty(trimmed, bool), instrument.dispersion).shape
        return cls(instrument, amplifiers, shape, headers)

    @property
    def saturation(self):
        """Largest value that the converter gives, in adu."""
        stated = self.instrument.saturation
        return LARGEST if stated is None else stated.to_value(u.adu)

    @property
    def full_well(self):
        """Electrons that saturate the amplifier of the lowest gain."""
        return min(a.gain.value for a in self.amplifiers) * (self.saturation - BIAS_LEVEL)

    @property
    def cards(self):
        """Cards that every primary header needs: none where each amplifier has its own HDU."""
        return {} if isinstance(self.instrument.extension, tuple) else self.headers[0]

    def expose(self, electrons, rng, *, kind="science"):
        """
        Read out expected electrons.

        Parameters
        ----------
        electrons : array, shape (n_y, n_x)
            On the turned, trimmed frame.
        rng : `~numpy.random.Generator`
        kind : str
            Kind of frame: some instruments deliver some kinds without their bias.

        Returns
        -------
        `~astropy.nddata.CCDData` or list of them
            In adu, as the raw frame lies; a list where each amplifier has an HDU of its own.
        """
        image = np.ascontiguousarray(turn_back(electrons, self.instrument.dispersion))
        several = isinstance(self.instrument.extension, tuple)
        frames = to_raw(
            image, self.amplifiers, rng=rng, bias_level=BIAS_LEVEL, saturation=self.saturation,
            separate=several,
        )  # fmt: skip
        for frame, header in zip(frames if several else [frames], self.headers, strict=False):
            if kind in self.instrument.bias_subtracted:
                frame.data = frame.data.astype(np.float32) - np.float32(BIAS_LEVEL)
            frame.header = dict(header) if several else {}
        return frames


def _with_noise(amplifier, given):
    """Amplifier with the read noise that is given, its own, or a usual one."""
    if given is not None:
        return amplifier.with_noise(read_noise=float(given) * u.electron)
    if amplifier.read_noise is None:
        return amplifier.with_noise(read_noise=READ_NOISE * u.electron)
    return amplifier


def _ends(part):
    """First and last edge of a slice that may run backward."""
    if part.step == -1:
        return (0 if part.stop is None else part.stop + 1), part.start + 1
    return part.start, part.stop
