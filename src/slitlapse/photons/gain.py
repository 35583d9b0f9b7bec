"""How many electrons make one adu? Noise grows with light: photon transfer from flat pairs."""

import warnings
from dataclasses import dataclass
from itertools import pairwise

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["Gain", "GainWarning", "measure_gain"]


class GainWarning(AstropyUserWarning):
    """The gain measured is not the one that was stated."""


@dataclass(frozen=True)
class Gain:
    """
    A measured gain and the photon transfer curve behind it.

    Parameters
    ----------
    value, uncertainty : `~astropy.units.Quantity`
        In electron / adu.
    name : str
        The amplifier's.
    signal, variance, variance_uncertainty : `~astropy.units.Quantity`, shape (n_bins,), optional
        Mean signal (adu) and variance of one frame (adu2) of pixels binned by signal.
    read_variance : `~astropy.units.Quantity`, optional
        Variance at no light (adu2): the intercept.

    Examples
    --------
    >>> import astropy.units as u
    >>> from slitlapse.photons import Gain
    >>> Gain(1.21 * u.electron / u.adu, 0.01 * u.electron / u.adu, "left").name
    'left'
    """

    value: u.Quantity
    uncertainty: u.Quantity
    name: str = ""
    signal: u.Quantity | None = None
    variance: u.Quantity | None = None
    variance_uncertainty: u.Quantity | None = None
    read_variance: u.Quantity | None = None

    def plot(self, ax=None, **kwargs):
        """Draw variance against signal with the line of this gain; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        ax.errorbar(
            self.signal.value,
            self.variance.value,
            self.variance_uncertainty.value,
            **{"fmt": "o", "ms": 3, "label": "pixels of similar signal", **kwargs},
        )
        x = np.array([0, self.signal.value.max()])
        line = self.read_variance.value + x / self.value.value
        ax.plot(x, line, label=f"gain {self.value.value:.4g} electron/adu")
        ax.set(xlabel="signal (adu)", ylabel="variance of one frame (adu²)")
        ax.legend()
        return ax


def measure_gain(
    flats, amplifiers, *, biases=None, saturation=None, n_bins=40, sigma_clip=5.0, tolerance=0.1
):
    """
    Measure the gain of every amplifier by photon transfer.

    The variance of the difference of two flats is twice the read variance plus twice the signal
    over the gain (Janesick 2001, *Scientific Charge-Coupled Devices*, section 2.2). Pixels are
    binned by their signal; a straight line through the bins, weighted by the errors that it
    predicts itself, has the slope 1 / gain.

    Parameters
    ----------
    flats : sequence of `~astropy.nddata.CCDData`
        Raw flats in adu; 0 and 1, 2 and 3, ... are pairs of equal exposures. Their lamp may
        drift: the second is scaled to the first.
    amplifiers : sequence of `Amplifier`
        Data and overscan sections, and the gains that were stated.
    biases : sequence of `~astropy.nddata.CCDData`, optional
        Raw biases. Their mean is the level where an amplifier has no overscan, and they fix the
        read variance; without them it is fitted.
    saturation : float, optional
        Pixels with 90 % of this raw value in either frame are left out.
    n_bins : int
        Bins of signal.
    sigma_clip : float
        Rejection of cosmic rays.
    tolerance : float
        Fraction by which statement and measurement may differ without a warning.

    Returns
    -------
    list of Gain
        One per amplifier.

    Raises
    ------
    ValueError
        If there is no pair, no level, or too little light to know the gain to a tenth.

    Warns
    -----
    GainWarning
        If the stated gain is off by more than ``tolerance``.
    """
    flats, biases = list(flats), list([] if biases is None else biases)
    if len(flats) < 2 or len(flats) % 2:
        raise ValueError(
            f"Photon transfer needs pairs of flats, but got {len(flats)} frames: give 2, 4, ..."
        )
    for frame in (*flats, *biases):
        if frame.unit != u.adu:
            raise u.UnitTypeError(f"Photon transfer needs raw frames, in adu, not {frame.unit}.")
        if frame.data.shape != flats[0].data.shape:
            raise ValueError(
                f"Frames of photon transfer have different sizes (y, x): {flats[0].data.shape} and "
                f"{frame.data.shape}; measure each binning by itself."
            )
    return [
        _measure_one(flats, biases, a, saturation, n_bins, sigma_clip, tolerance)
        for a in amplifiers
    ]


def _measure_one(flats, biases, amplifier, saturation, n_bins, sigma_clip, tolerance):
    """Gain of one amplifier."""
    amplifier.check(flats[0].data.shape)
    signal, half = [], []
    for first, second in zip(flats[::2], flats[1::2], strict=True):
        one, two = (_light(frame, biases, amplifier, saturation) for frame in (first, second))
        good = np.isfinite(one) & np.isfinite(two)
        one, two = one[good], two[good]
        lit = np.sum(one) > 0 and np.sum(two) > 0
        ratio = np.sum(one) / np.sum(two) if lit else np.nan
        if not 0.2 < ratio < 5:
            raise _too_dark(amplifier)
        # weights that keep the mean unbiased and make sum and difference uncorrelated
        signal.append((one + ratio * two) / 2)
        half.append((one - ratio * two) / np.sqrt(1 + ratio))
    signal, half = np.concatenate(signal), np.concatenate(half)
    bins = _bin(signal, half, n_bins, sigma_clip)
    if len(bins[0]) < 3:
        raise _too_dark(amplifier)
    read = None
    if len(biases) >= 2:
        read = np.mean(
            [
                _clipped_variance(
                    (b.data[amplifier.data].astype(float) - a.data[amplifier.data]).ravel()
                    / np.sqrt(2),
                    sigma_clip,
                )
                for a, b in pairwise(biases)
            ]
        )
    slope, error, intercept, sigma = _fit_line(*bins, read)
    if not error < 0.1 * slope:
        raise _too_dark(amplifier)
    gain, stated = 1 / slope, amplifier.gain.value
    if abs(stated / gain - 1) > tolerance:
        warnings.warn(
            f"Amplifier {amplifier.name!r}: a gain of {stated:.3g} electron/adu is stated, but "
            f"the flats show {gain:.3g}; use the measured one.",
            GainWarning,
            stacklevel=3,
        )
    unit, square = u.electron / u.adu, u.adu**2
    return Gain(
        gain * unit,
        gain**2 * error * unit,
        amplifier.name,
        bins[0] * u.adu,
        bins[1] * square,
        sigma * square,
        intercept * square,
    )


def _too_dark(amplifier):
    return ValueError(
        f"The flats of amplifier {amplifier.name!r} hold too little light, or range of it, for a "
        "photon transfer curve: give pairs of brighter flats, biases with them if the flats are "
        "even, or check the sections."
    )


def _light(frame, biases, amplifier, saturation):
    """Adu above the level; NaN where bad."""
    raw = frame.data[amplifier.data].astype(float)
    bad = np.zeros(raw.shape, bool)
    if saturation is not None:
        bad |= raw > 0.9 * saturation
    if frame.mask is not None:
        bad |= frame.mask[amplifier.data]
    if amplifier.overscan is not None:
        raw -= amplifier.measure_level(frame.data, frame.mask).image
    elif biases:
        raw -= np.mean([bias.data[amplifier.data] for bias in biases], axis=0)
    else:
        raise ValueError(
            f"Amplifier {amplifier.name!r} has no overscan, so its level is unknown: "
            "give bias frames, too."
        )
    raw[bad] = np.nan
    return raw


def _clipped_variance(values, sigma_clip):
    values = values - np.median(values)
    scale = np.hypot(1.4826 * np.median(np.abs(values)), 0.2)
    values = values[np.abs(values) < sigma_clip * scale]
    return np.var(values, ddof=1)


def _bin(signal, half, n_bins, sigma_clip):
    """Mean signal, variance and number of pixels in bins of equal number."""
    order = np.argsort(signal)
    groups = [g for g in np.array_split(order, n_bins) if len(g) > 20]
    mean = np.array([signal[g].mean() for g in groups])
    variance = np.array([_clipped_variance(half[g], sigma_clip) for g in groups])
    return mean, variance, np.array([len(g) for g in groups])


def _fit_line(mean, variance, number, read):
    """Slope of the photon transfer line, its error, the intercept, and the bins' errors."""
    sigma = np.full(len(mean), np.median(variance)) * np.sqrt(2 / number)
    for _ in range(5):  # the errors follow the model, not the data: those would bias the slope
        weight = sigma**-2
        if read is None:
            total, x, y = weight.sum(), weight @ mean, weight @ variance
            xx, xy = weight @ mean**2, weight @ (mean * variance)
            determinant = total * xx - x**2
            slope = (total * xy - x * y) / determinant
            intercept = (y - slope * x) / total
            error = np.sqrt(total / determinant)
        else:
            intercept = read
            slope = weight @ (mean * (variance - read)) / (weight @ mean**2)
            error = (weight @ mean**2) ** -0.5
        model = np.maximum(intercept + slope * mean, 1e-3 * variance.max())
        sigma = model * np.sqrt(2 / number)
    return slope, error, intercept, sigma
