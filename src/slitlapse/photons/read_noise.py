"""How noisy is reading a pixel? Ask frames that saw no light."""

import warnings
from dataclasses import dataclass
from itertools import pairwise

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["ReadNoise", "ReadNoiseWarning", "measure_read_noise"]


class ReadNoiseWarning(AstropyUserWarning):
    """The read noise measured is not the one that was stated."""


@dataclass(frozen=True)
class ReadNoise:
    """
    Noise that one readout adds to one pixel.

    Parameters
    ----------
    sigma : `~astropy.units.Quantity`
        Standard deviation, in electron or adu.
    uncertainty : `~astropy.units.Quantity`
        Its standard error, same unit.
    name : str
        The amplifier's.
    scatter : `~astropy.units.Quantity`, shape (n_values,), optional
        Differences of bias pixels over sqrt(2), to look at.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from slitlapse.photons import ReadNoise
    >>> noise = ReadNoise(3.5 * u.electron, 0.01 * u.electron)
    >>> noise.simulate((2, 3), rng=np.random.default_rng(1)).shape
    (2, 3)
    """

    sigma: u.Quantity
    uncertainty: u.Quantity
    name: str = ""
    scatter: u.Quantity | None = None

    def simulate(self, shape, *, rng):
        """Draw read noise with the given ``shape``."""
        return rng.normal(0, self.sigma.value, shape) * self.sigma.unit

    def plot(self, ax=None, **kwargs):
        """Draw the histogram of ``scatter`` with the Gaussian of ``sigma``; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        values, sigma = self.scatter.value, self.sigma.value
        _, edges, _ = ax.hist(values, **{"bins": _bins(values, sigma), "alpha": 0.5, **kwargs})
        x = np.linspace(edges[0], edges[-1], 400)
        peak = len(values) * (edges[1] - edges[0]) / np.sqrt(2 * np.pi) / sigma
        ax.plot(x, peak * np.exp(-0.5 * (x / sigma) ** 2), label=f"sigma = {self.sigma:.3g}")
        ax.set(xlabel=f"bias difference / sqrt(2) ({self.sigma.unit})", ylabel="pixels")
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.5)
        ax.legend()
        return ax


def _bins(values, sigma):
    """Edges of bins out to 5 sigma, each as wide as one or more steps if the values have steps."""
    width, unique = sigma / 5, np.unique(np.round(values / sigma, 6))
    first = -5 * sigma
    if len(unique) < len(values) / 10:  # of integers: each bin must hold as many of them
        step = sigma * np.diff(unique).min()
        width = step * max(1, round(width / step))
        first = (
            sigma * unique[np.argmin(np.abs(unique))] - (np.ceil(5 * sigma / width) + 0.5) * width
        )
    return first + width * np.arange(np.ceil((5 * sigma - first) / width) + 1)


def measure_read_noise(biases, amplifiers, *, sigma_clip=5.0, tolerance=0.1):
    """
    Measure the read noise of every amplifier from two or more raw bias frames.

    Differences of successive frames free the noise from the fixed pattern; the median of each
    difference, and with it a change of the level between frames, is taken off.

    Parameters
    ----------
    biases : sequence of `~astropy.nddata.CCDData`
        Raw bias frames in adu; their masks are honoured.
    amplifiers : sequence of `Amplifier`
        Their data sections, gains, and the read noises that were stated, if any.
    sigma_clip : float
        Rejection of cosmic rays.
    tolerance : float
        Fraction by which statement and measurement may differ without a warning.

    Returns
    -------
    list of ReadNoise
        In electron, one per amplifier.

    Raises
    ------
    ValueError
        If there are fewer than two frames or their sizes differ.
    ~astropy.units.UnitTypeError
        If a frame is not in adu.

    Warns
    -----
    ReadNoiseWarning
        If the stated read noise is off by more than ``tolerance``.
    """
    biases, amplifiers = list(biases), list(amplifiers)
    if len(biases) < 2:
        raise ValueError(
            f"Read noise needs at least 2 bias frames, but got {len(biases)}: "
            "one frame cannot tell noise from a fixed pattern."
        )
    for bias in biases:
        if bias.unit != u.adu:
            raise u.UnitTypeError(f"Bias frames must be raw, in adu, but one is in {bias.unit}.")
        if bias.data.shape != biases[0].data.shape:
            raise ValueError(
                f"Bias frames have different sizes: {biases[0].data.shape} and {bias.data.shape}; "
                "measure each binning by itself."
            )
    return [_measure_one(biases, a, sigma_clip, tolerance) for a in amplifiers]


def _measure_one(biases, amplifier, sigma_clip, tolerance):
    """Read noise of one amplifier."""
    amplifier.check(biases[0].data.shape)
    square, count, kept = 0.0, 0, []
    for first, second in pairwise(biases):
        difference = second.data[amplifier.data].astype(float) - first.data[amplifier.data]
        good = np.isfinite(difference)
        for bias in (first, second):
            if bias.mask is not None:
                good &= ~bias.mask[amplifier.data]
        values = difference[good] / np.sqrt(2)
        values -= np.median(values)
        scale = np.hypot(1.4826 * np.median(np.abs(values)), 0.2)
        values = values[np.abs(values) < sigma_clip * scale]
        square += np.sum((values - values.mean()) ** 2)
        count += len(values) - 1
        kept.append(values)
    # successive differences share a frame (correlation -1/2), so N-1 of them hold the
    # information of 2 (N-1)^2 / (3 N - 4) independent ones
    pairs = len(biases) - 1
    effective = count * (2 * pairs / (3 * pairs - 1))
    gain = amplifier.gain.value
    sigma = np.sqrt(square / count) * gain
    if amplifier.read_noise is not None:
        stated = amplifier.read_noise.value
        if abs(stated / sigma - 1) > tolerance:
            warnings.warn(
                f"Amplifier {amplifier.name!r}: a read noise of {stated:.3g} electron is stated, "
                f"but the bias frames show {sigma:.3g} electron; use the measured one.",
                ReadNoiseWarning,
                stacklevel=3,
            )
    return ReadNoise(
        sigma * u.electron,
        sigma / np.sqrt(2 * effective) * u.electron,
        amplifier.name,
        np.concatenate(kept)[: 10**6] * gain * u.electron,
    )
