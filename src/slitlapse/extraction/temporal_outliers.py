"""Which pixels does one exposure see that its neighbours in time do not?"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

__all__ = ["TemporalOutliers"]


@dataclass
class TemporalOutliers:
    """
    Mark hits by comparing each exposure with its neighbours in time.

    Exposures come in one by one as sky-subtracted cut-outs that follow the star; the marks of
    one come out as soon as its later neighbours are in. Nothing is ever filled. The expectation
    of a pixel is the median, over the neighbours, of their counts scaled by the ratio of the
    star's throughput and carried over by the ratio of the two profiles, so that drift, seeing
    and transits - slow or sharp - belong to the expectation.

    Parameters
    ----------
    n_neighbours : int
        Exposures on either side that are kept: the buffer holds twice as many plus one.
    threshold : float
        Standard deviations beyond which a pixel is marked.
    profile_error : float
        Fraction of the star's light by which profiles may be wrong between exposures.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.extraction import TemporalOutliers
    >>> outliers = TemporalOutliers(n_neighbours=2)
    >>> light, variance = np.full((9, 50), 100.0), np.full((9, 50), 100.0)
    >>> marks = []
    >>> for number in range(5):
    ...     frame = light.copy()
    ...     if number == 2:
    ...         frame[4, 20] += 500
    ...     marks += outliers.add(frame, light, variance)
    >>> marks += outliers.finish()
    >>> [int(mark.sum()) for mark in marks]
    [0, 0, 1, 0, 0]
    """

    n_neighbours: int = 3
    threshold: float = 6.0
    profile_error: float = 0.02
    _buffer: deque = field(default_factory=deque, repr=False)
    _waiting: int = field(default=0, repr=False)

    def __post_init__(self):
        if self.n_neighbours < 1:
            raise ValueError(
                f"n_neighbours is {self.n_neighbours}: an exposure needs at least 1 neighbour to "
                "be compared with. For single frames use ccdproc.cosmicray_lacosmic."
            )

    def add(self, data, model, variance, mask=None):
        """
        Take in the next exposure.

        Parameters
        ----------
        data : `~numpy.ndarray`, shape (n_rows, n_x)
            Sky-subtracted counts, electron.
        model : `~numpy.ndarray`, shape (n_rows, n_x)
            What the extraction expects: flux of this exposure, robust against hits, times its
            profile (this exposure's centre and width).
        variance : `~numpy.ndarray`, shape (n_rows, n_x)
            Variance of each pixel by the noise model.
        mask : `~numpy.ndarray` of bool, shape (n_rows, n_x), optional
            True = bad already; never used and never marked.

        Returns
        -------
        list of `~numpy.ndarray` of bool
            Marks of the exposures that have all their neighbours now: none or one.
        """
        mask = np.zeros(data.shape, bool) if mask is None else mask
        residual = np.where(mask, np.nan, data - model)
        self._buffer.append((residual, model, variance))
        self._waiting += 1
        done = []
        if self._waiting > self.n_neighbours:
            done.append(self._mark(len(self._buffer) - self._waiting))
            self._waiting -= 1
        while len(self._buffer) > 2 * self.n_neighbours + 1 or (
            len(self._buffer) - self._waiting > self.n_neighbours
        ):
            self._buffer.popleft()
        return done

    def finish(self):
        """Hand back the marks of the last exposures, whose later neighbours do not exist."""
        done = []
        while self._waiting:
            done.append(self._mark(len(self._buffer) - self._waiting))
            self._waiting -= 1
        self._buffer.clear()
        return done

    def _mark(self, index):
        """Compare one exposure of the buffer with the others."""
        residual, model, variance = self._buffer[index]
        others = [item for i, item in enumerate(self._buffer) if i != index]
        if not others:
            return np.zeros(residual.shape, bool)
        # what the model misses everywhere (profile wings, a neighbour) scales with the light
        scale = np.nansum(model) / np.array([np.nansum(item[1]) for item in others])
        expected = np.stack([s * item[0] for s, item in zip(scale, others, strict=True)])
        known = np.isfinite(expected)
        ordered = np.sort(np.where(known, expected, np.inf), axis=0)
        number = known.sum(axis=0)
        low = np.take_along_axis(ordered, np.maximum((number - 1) // 2, 0)[None], axis=0)[0]
        high = np.take_along_axis(ordered, np.maximum(number // 2, 0)[None] % len(others), axis=0)
        middle = np.where(number > 0, (low + np.where(number % 2, low, high[0])) / 2, 0)
        variances = np.stack([s**2 * item[2] for s, item in zip(scale, others, strict=True)])
        spread = variances.mean(axis=0)
        # the median of n Gaussian deviates varies by about pi / 2 n
        allowed = variance + spread * np.minimum(np.pi / (2 * np.maximum(number, 1)), 1)
        allowed = allowed + (self.profile_error * model) ** 2
        # neighbours that disagree among themselves (seeing that changes a profile that is not
        # quite right) do not know what to expect; one of them may itself be struck
        apart = np.where(known, (expected - middle) ** 2, 0)
        disagreement = (apart.sum(axis=0) - apart.max(axis=0)) / np.maximum(number - 2, 1)
        allowed = allowed + 2 * np.maximum(disagreement - 2 * spread, 0)
        change = residual - middle
        change = change - _smooth_change(change, model.sum(axis=0))
        with np.errstate(invalid="ignore"):
            return change > self.threshold * np.sqrt(allowed)


def _smooth_change(change, light, block=32):
    """
    Find the part of a change that a row shows in many columns, in proportion to the star.

    Seeing and drift change a row over long stretches of the trace, a hit only in a few columns.
    """
    n_rows, n_x = change.shape
    light = np.maximum(light, np.abs(light).mean() * 1e-3)
    padded = np.full((n_rows, -(-n_x // block) * block), np.nan)
    padded[:, :n_x] = change / light
    ordered = np.sort(padded.reshape(n_rows, -1, block), axis=2)  # NaN goes last
    number = np.isfinite(ordered).sum(axis=2, keepdims=True)
    middle = np.take_along_axis(ordered, number // 2 - (number > 0), axis=2)
    middle = np.where(number > block // 4, middle, 0)
    return np.repeat(middle[:, :, 0], block, axis=1)[:, :n_x] * light
