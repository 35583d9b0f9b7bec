"""Where on a raw frame are one amplifier's pixels, and what does it read when no light comes?"""

import re
from dataclasses import dataclass, field, replace

import astropy.units as u
import numpy as np

from .overscan import OverscanLevel, line_means, model_level, unevenness

__all__ = ["Amplifier", "LitOverscanError", "OverscanLevel"]

GAIN_UNIT = u.electron / u.adu
SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


class LitOverscanError(ValueError):
    """The overscan of an amplifier saw light, so that it does not hold the level."""


@dataclass(frozen=True)
class Amplifier:
    """
    One amplifier: its sections on the raw frame, its gain and its read noise.

    Parameters
    ----------
    data : str or tuple of slice
        The pixels it reads: a FITS section ``"[x1:x2,y1:y2]"`` (1-indexed, inclusive) or the
        slices ``(y, x)`` of the array.
    overscan : str or tuple of slice, optional
        Pixels that no light reaches and that hold this amplifier's level. Beside the data
        they give a level per row, above or below it a level per column. `None`: the level
        stays in the frame (it is subtracted with the bias, or it is already gone).
    gain : float or `~astropy.units.Quantity`
        Electrons per adu.
    read_noise : float or `~astropy.units.Quantity`, optional
        In electron. `None`: what the overscan shows.
    name : str, optional
        What to call it in tables and messages.
    output : str or tuple of slice, optional
        Where the data belong on the detector; default: where they are on the raw frame.
        Needed for one HDU per amplifier. A reversed range, ``"[2048:1025,1:400]"``,
        says that the amplifier was read from the other side.
    gap : str or tuple of slice, optional
        Part of the detector beside the output section that nobody reads, such as the gap to the
        next CCD: it keeps its place in the trimmed frame, masked.

    Raises
    ------
    ValueError
        If a section cannot be read, is reversed, or the gain or read noise is not positive.

    Examples
    --------
    >>> from slitlapse.photons import Amplifier
    >>> left = Amplifier("[1:1024,1:350]", "[2049:2080,1:350]", gain=1.21, read_noise=3.5)
    >>> left.data
    (slice(0, 350, None), slice(0, 1024, None))
    >>> left.gain
    <Quantity 1.21 electron / adu>
    """

    data: str | tuple
    overscan: str | tuple | None = None
    gain: u.Quantity | float = field(kw_only=True)
    read_noise: u.Quantity | float | None = None
    name: str = ""
    output: str | tuple | None = None
    gap: str | tuple | None = None

    def __post_init__(self):
        write = lambda key, value: object.__setattr__(self, key, value)  # noqa: E731
        for key, what in (("data", "data section"), ("overscan", "overscan section"),
                          ("gap", "gap")):  # fmt: skip
            if getattr(self, key) is not None:
                write(key, _as_slices(getattr(self, key), what, self.name))
        output = self.data if self.output is None else self.output
        write("output", _as_slices(output, "output section", self.name, may_flip=True))
        sizes = [tuple(_length(s) for s in section) for section in (self.data, self.output)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"Amplifier {self.name!r} reads {sizes[0]} pixels (y, x), but its output section "
                f"has {sizes[1]}: give sections of the same size (CCDSEC cards of binned frames "
                "often count unbinned pixels)."
            )
        for key, unit in (("gain", GAIN_UNIT), ("read_noise", u.electron)):
            if (value := getattr(self, key)) is not None:
                quantity = u.Quantity(value, unit) if np.isscalar(value) else value.to(unit)
                if not quantity.value > 0 or not np.isfinite(quantity.value):
                    raise ValueError(
                        f"Amplifier {self.name!r} has {key} {value}; it must be positive."
                    )
                write(key, quantity)

    @classmethod
    def from_header(cls, header, *, data, overscan=None, gain, read_noise=None, **kwargs):
        """
        Read sections, gain and read noise from header cards.

        Parameters
        ----------
        header : `~astropy.io.fits.Header` or dict
        data, overscan, gain, read_noise : str or value
            The keyword that holds it (``"DATASEC1"``, ``"GAIN1"``), or the value itself.
        **kwargs
            ``name`` and ``output`` (a keyword or a section), as in `Amplifier`.

        Raises
        ------
        KeyError
            If a keyword is not in the header.
        """
        name = kwargs.get("name", "")

        def look_up(value, what):
            if not isinstance(value, str) or "[" in value:
                return value
            if value not in header:
                raise KeyError(
                    f"The header has no card {value!r} for the {what} of amplifier {name!r}; "
                    "name a keyword that is there, or give the value itself."
                )
            return header[value] if "section" in what else float(header[value])

        if "output" in kwargs:
            kwargs["output"] = look_up(kwargs["output"], "output section")
        return cls(
            look_up(data, "data section"),
            look_up(overscan, "overscan section"),
            gain=look_up(gain, "gain"),
            read_noise=look_up(read_noise, "read noise"),
            **kwargs,
        )

    def with_noise(self, *, gain=None, read_noise=None):
        """Return a copy with another ``gain`` and/or ``read_noise``."""
        new = {"gain": gain, "read_noise": read_noise}
        return replace(self, **{key: value for key, value in new.items() if value is not None})

    @property
    def extent(self):
        """First and one-past-last pixel of the output section along y, and along x."""
        return tuple(_ends(s) for s in self.output)

    def place_in(self, box):
        """
        Tell where this amplifier's data go in a part of the detector.

        Parameters
        ----------
        box : tuple of slice
            The part (y, x), such as what all amplifiers fill together.

        Returns
        -------
        tuple of slice
            Backward where the amplifier reads from the other side.
        """
        place = []
        for s, (low, high), edge in zip(self.output, self.extent, box, strict=True):
            low, high = low - edge.start, high - edge.start
            backward = slice(high - 1, low - 1 if low > 0 else None, -1)
            place.append(backward if s.step == -1 else slice(low, high))
        return tuple(place)

    def check(self, shape):
        """Raise `ValueError` if a section reaches outside a frame of ``shape`` (n_y, n_x)."""
        for what, section in (("data", self.data), ("overscan", self.overscan)):
            if section is not None and any(s.stop > n for s, n in zip(section, shape, strict=True)):
                raise ValueError(
                    f"The {what} section {to_section(section)} of amplifier {self.name!r} reaches "
                    f"outside the frame of {shape[1]} x {shape[0]} pixels: correct the section, "
                    "or use it only with frames of its size and binning."
                )

    def measure_level(self, image, mask=None, *, method="auto", sigma_clip=5.0):
        """
        Measure the level of this amplifier on one raw frame.

        Parameters
        ----------
        image : `~numpy.ndarray`, shape (n_y, n_x)
            The whole raw frame, in adu.
        mask : bool `~numpy.ndarray`, shape (n_y, n_x), optional
            Bad pixels; these and any that are not finite are left out.
        method : str, `~astropy.modeling.Model` or callable
            ``"auto"``: a smooth curve whose stiffness is chosen from the data, see Notes.
            ``"constant"``: one level. ``"rows"``: every line by itself. ``"savgol"``:
            Savitzky-Golay, order 5 over 65 lines. A model that is linear in its parameters
            (`~astropy.modeling.polynomial.Chebyshev1D`) is fitted over -1 ... 1. A callable
            gets the line means (n_lines,) and returns their smooth version.
        sigma_clip : float or None
            Overscan pixels that differ by more from their line's median are rejected.

        Returns
        -------
        OverscanLevel

        Notes
        -----
        The smooth curve minimises the squared distance to the line means plus a penalty on its
        second differences (Whittaker 1923; a smoothing spline), those of a parabola excepted. The
        weight of the penalty is the one under which the line means are most probable, given the
        noise that the scatter within lines predicts (marginal likelihood, as in Garcia 2010, CSDA
        54, 1167, computed with a cosine transform). If rows jump by more than that noise, the
        jumps are followed as far as they stand out (not those of columns: a level belongs to the
        time of reading, and what a column does by itself is a defect or the bias's own pattern).

        The errors hold for levels that drift smoothly. Of one that wanders from line to line as a
        random walk does, by a tenth of the noise of a line mean, the curve is near the best
        possible, but its errors are up to twice those stated.
        """
        if self.overscan is None:
            raise ValueError(f"Amplifier {self.name!r} has no overscan to measure a level on.")
        axis = self._axis(method)
        pixels = image[self.overscan].astype(np.float32)
        good = np.isfinite(pixels)
        if mask is not None:
            good &= ~mask[self.overscan]
        if axis == 1:
            pixels, good = np.ascontiguousarray(pixels.T), np.ascontiguousarray(good.T)
        means, counts, noise, n_clipped = line_means(pixels, good, sigma_clip, self.name)
        level, variance, words = model_level(means, counts, noise, method, jumps=axis == 0)
        first = self.data[axis].start - self.overscan[axis].start
        n_lines = _length(self.data[axis])
        if isinstance(method, str) and method == "constant":
            level, variance = np.repeat(level[:1], n_lines), np.repeat(variance[:1], n_lines)
        else:
            level, variance = level[first : first + n_lines], variance[first : first + n_lines]
        result = OverscanLevel(level, np.sqrt(variance), axis, noise, pixels.size, n_clipped, words)
        self._refuse_light(pixels, image, result)
        return result

    def _refuse_light(self, pixels, image, level):
        """Raise `LitOverscanError` if the overscan shows light in one of three ways."""
        uneven, signs = unevenness(pixels), []
        if uneven > 1:  # it falls off away from the data
            signs.append(f"its pixels differ by {uneven:.1f} times their noise across it")
        noise = level.read_noise * self.gain.value
        if self.read_noise is not None and noise > 2 * self.read_noise.value:
            signs.append(f"its noise is {noise:.3g} electron, not {self.read_noise.value:.3g}")
        share = self._share_of_light(image, level)
        if share > 0.01:  # electronics answer with some 1e-3 of the light, no more
            signs.append(f"its level follows the data with {100 * share:.1f} % of their light")
        if signs:
            raise LitOverscanError(
                f"The overscan {to_section(self.overscan)} of amplifier {self.name!r} seems lit: "
                f"{' and '.join(signs)}. Choose pixels that no light reaches, or overscan=None "
                "and subtract a bias."
            )

    def _share_of_light(self, image, level):
        """Part of the data's light, line by line, that the level follows; 0 if none is seen."""
        lines = slice(None, None, max(1, len(level.level) // 200))  # some pixels will tell
        step = slice(None, None, max(1, _length(self.data[1 - level.axis]) // 32))
        data = image[self.data] if level.axis == 0 else image[self.data].T
        at = level.level[lines]
        light, at = np.median(data[lines, step], axis=1) - at, at - at.mean()
        light = np.where(np.isfinite(light), light, 0)
        light -= light.mean()
        if light.std() < 50 + 20 * level.read_noise or at.std() == 0:
            return 0.0
        if np.corrcoef(at, light)[0, 1] < 0.7:
            return 0.0
        return float(at @ light / (light @ light))

    def _axis(self, method):
        """Which way the level runs: 0 along rows' index, 1 along columns' index."""
        covers = [
            over.start <= data.start and over.stop >= data.stop
            for over, data in zip(self.overscan, self.data, strict=True)
        ]
        if not any(covers) and not (isinstance(method, str) and method == "constant"):
            raise ValueError(
                f"The overscan {to_section(self.overscan)} of amplifier {self.name!r} covers "
                f"neither all rows nor all columns of its data {to_section(self.data)}: give one "
                "that does, or ask for overscan='constant'."
            )
        if all(covers) or not any(covers):  # as long as the longer side
            return int(_length(self.overscan[1]) > _length(self.overscan[0]))
        return int(covers[1])


def to_section(section):
    """FITS section of slices ``(y, x)``."""
    y, x = section
    return f"[{x.start + 1}:{x.stop},{y.start + 1}:{y.stop}]"


def _length(s):
    """Number of pixels of a slice that may run backward."""
    return len(range(*s.indices(10**9)))


def _is_definite(s):
    """Whether a slice says where it ends; backward, None is the end at pixel 0."""
    if not isinstance(s, slice) or s.step not in (None, 1, -1):
        return False
    return (s.start if s.step == -1 else s.stop) is not None


def _ends(s):
    """First and one-past-last pixel of a slice that may run backward."""
    if s.step == -1:
        return (0 if s.stop is None else s.stop + 1), s.start + 1
    return s.start, s.stop


def _as_slices(section, what, name, may_flip=False):
    """Slices ``(y, x)`` with definite ends, out of a FITS section or slices."""
    who = f"The {what} of amplifier {name!r}"
    if not isinstance(section, str):
        if len(section) != 2 or not all(_is_definite(s) for s in section):
            raise ValueError(f"{who} is {section!r}; give two slices (y, x) that say their end.")
        out = tuple(s if s.step == -1 else slice(s.start or 0, s.stop) for s in section)
        if any(not 0 <= _ends(s)[0] < _ends(s)[1] for s in out):
            raise ValueError(f"{who} is {section!r}: its slices are empty or negative.")
        if any(s.step == -1 for s in out) and not may_flip:
            raise ValueError(
                f"{who} is {section!r}, which runs backward: only an output section may."
            )
        return out
    match = SECTION.fullmatch(section.strip())
    if match is None:
        raise ValueError(f"{who} is {section!r}; a FITS section looks like '[1:1024,1:400]'.")
    x1, x2, y1, y2 = map(int, match.groups())
    if min(x1, x2, y1, y2) < 1:
        raise ValueError(f"{who} is {section!r}, but FITS pixels are counted from 1.")
    if (x1 > x2 or y1 > y2) and not may_flip:
        raise ValueError(f"{who} is {section!r}, which runs backward: give the smaller end first.")
    return tuple(
        slice(a - 1, b) if a <= b else slice(a - 1, b - 2 if b > 1 else None, -1)
        for a, b in ((y1, y2), (x1, x2))
    )
