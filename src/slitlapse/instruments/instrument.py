"""What differs between telescopes? Sections, gains, card names and lamps: data, no algorithm."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import astropy.units as u
from astropy.coordinates import EarthLocation
from astropy.io import fits

from slitlapse.observing_log import FrameHeader, tabulate_headers
from slitlapse.photons import Amplifier

__all__ = ["AmplifierCards", "Instrument", "InstrumentError"]


class InstrumentError(ValueError):
    """An instrument file says something that cannot be, or a header lacks what it points to."""


@dataclass(frozen=True)
class AmplifierCards:
    """
    One amplifier as an instrument file describes it, before any header is known.

    Parameters
    ----------
    data, overscan, output : str or dict
        FITS section on the raw frame, or ``{"keyword": card that holds one}``. ``overscan`` and
        ``output`` (where the data belong on the detector) may be None.
    gain, read_noise : float or dict
        Electron per adu, and electron; ``read_noise`` may be None.
    gap : str, int or dict, optional
        What nobody reads beside the data, such as the gap to the CCD before: a section of the
        detector, as ``output`` has them. Where each amplifier has an HDU of its own and no
        ``output``, the number of columns between it and the amplifier before; or
        ``{"unbinned": columns, "binning": card}``, where a card tells the binning.

    Examples
    --------
    >>> cards = AmplifierCards("[1:1024,1:400]", gain={"keyword": "GAIN1"})
    >>> cards.resolve({"GAIN1": 1.3}, name="1").gain
    <Quantity 1.3 electron / adu>
    """

    data: str | dict
    overscan: str | dict | None = None
    gain: float | dict = 1.0
    read_noise: float | dict | None = None
    output: str | dict | None = None
    gap: str | int | dict | None = None

    def resolve(self, header, name, factors=(1, 1)):
        """
        Fill in what the header tells.

        Parameters
        ----------
        header : `~astropy.io.fits.Header` or dict
            Of the frame.
        name : str
            For messages and tables.
        factors : pair of float, optional
            Pixels of this frame, along y and x, to one of those that the file's sections count.
            Sections that a card tells count the frame's own.

        Returns
        -------
        amplifier : `~slitlapse.photons.Amplifier`
            Ready to process that frame.

        Raises
        ------
        InstrumentError
            If a card is absent or holds no section or number.
        """
        values = {}
        for key in ("data", "overscan", "gain", "read_noise", "output"):
            value = getattr(self, key)
            if isinstance(value, dict):
                value = _card(header, value["keyword"], key, name)
            elif isinstance(value, str) and tuple(factors) != (1, 1):
                value = _scaled(value, *factors)
            values[key] = value
        if isinstance(self.gap, str):
            values["gap"] = self.gap if tuple(factors) == (1, 1) else _scaled(self.gap, *factors)
        try:
            return Amplifier(values.pop("data"), values.pop("overscan"), name=name, **values)
        except ValueError as error:
            raise InstrumentError(str(error)) from error

    def gap_columns(self, header, name, factor=1):
        """
        Count the columns between this amplifier's data and those of the one before.

        Parameters
        ----------
        header, name
            As in `resolve`.
        factor : float, optional
            Pixels of this frame along x to one of those that the file counts.

        Returns
        -------
        int
            A binned gap is rounded: pixels beyond it are up to half a pixel off.

        Raises
        ------
        InstrumentError
            If the card is absent or tells no binning.
        """
        if not isinstance(self.gap, dict):
            return 0 if self.gap is None or isinstance(self.gap, str) else round(self.gap * factor)
        text = _card(header, self.gap["binning"], "binning", name)
        binning = re.match(r"\s*(\d+)", text)
        if binning is None or int(binning[1]) < 1:
            raise InstrumentError(
                f"The card {self.gap['binning']} should hold the binning of amplifier {name!r}, "
                f'such as "2 2", but is {text!r}.'
            )
        return int(self.gap["unbinned"] / int(binning[1]) + 0.5)


def _scaled(section, factor_y, factor_x):
    """Section that covers the same part of a detector binned otherwise."""
    x1, x2, y1, y2 = map(int, re.findall(r"\d+", section))
    edges = []
    for low, high, factor in ((x1, x2, factor_x), (y1, y2, factor_y)):
        ends = [round((low - 1) * factor), round(high * factor)]
        if low > high:  # runs backward
            ends = [round(low * factor), round((high - 1) * factor)]
        edges.append(f"{ends[0] + (low <= high)}:{ends[1] + (low > high)}")
    return f"[{edges[0]},{edges[1]}]"


def _card(header, keyword, key, name):
    """Value of a card as a section or as a number."""
    what = f"{key} of amplifier {name!r}"
    if keyword not in header:
        raise InstrumentError(f"The header has no card {keyword!r}, which should hold the {what}.")
    value = header[keyword]
    if key in {"gain", "read_noise"}:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise InstrumentError(
                f"The card {keyword} should hold the {what}, a number, but is {value!r}."
            ) from None
    return str(value)


@dataclass(frozen=True)
class Instrument:
    """
    All that slitlapse has to know about an instrument: the content of its file.

    Parameters
    ----------
    name : str
        In words.
    dispersion : {"+x", "-x", "+y", "-y"}
        Where wavelength increases on the raw frame.
    amplifiers : tuple of `AmplifierCards`
        At least one.
    header, frames, lamps : dict
        Rules to read headers by, see `~slitlapse.observing_log.tabulate_headers`.
    site : `~astropy.coordinates.EarthLocation`, optional
        Where the telescope stands.
    extension : int, str or tuple, optional
        HDU of the data; a tuple where each amplifier has its own.
    saturation : `~astropy.units.Quantity`, optional
        In adu.
    bias_subtracted : tuple of str, optional
        Kinds of frame that arrive without their bias.
    bad : tuple of str, optional
        Raw FITS sections to be masked before anything else.
    wavelength_range : `~astropy.units.Quantity`, shape (2,), optional
        Rough.
    medium : {"air", "vacuum"}, optional
        Of the wavelengths wanted.
    source : `~pathlib.Path`, optional
        The file.
    example : tuple of dict, optional
        Cards that a typical frame has, for each amplifier, where the file points to cards.

    Examples
    --------
    >>> from slitlapse.instruments import load_instrument
    >>> kast = load_instrument("kast_blue")
    >>> kast.dispersion, len(kast.amplifiers), kast.medium
    ('+x', 2, 'air')
    >>> kast.frame_kinds
    ('bias', 'arc', 'flat', 'dark', 'science')
    """

    name: str
    dispersion: str
    amplifiers: tuple
    header: dict = field(default_factory=dict)
    frames: dict = field(default_factory=dict)
    lamps: dict = field(default_factory=dict)
    site: EarthLocation | None = None
    extension: int | str | tuple = 0
    saturation: u.Quantity | None = None
    bias_subtracted: tuple = ()
    bad: tuple = ()
    wavelength_range: u.Quantity | None = None
    medium: str = "air"
    source: Path | None = None
    example: tuple = ()

    @property
    def example_headers(self):
        """One dict of cards for each amplifier, as `amplifiers_for` takes them."""
        return list(self.example) if self.example else [{} for _ in self.amplifiers]

    @property
    def frame_kinds(self):
        """Kinds of frame in the order they are tried."""
        return tuple(self.frames)

    @property
    def log_rules(self):
        """Keyword arguments for `~slitlapse.observing_log.make_header_table`."""
        rules = {"header": self.header, "frames": self.frames, "lamps": self.lamps}
        return {**rules, "extension": self.extension, "site": self.site}

    def amplifiers_for(self, header, *, factors=(1, 1)):
        """
        Return the amplifiers that a frame was read with.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`, dict, or list of them
            Of the frame; a list, one per amplifier, where each has an HDU of its own.
        factors : pair of float, optional
            For a frame binned otherwise than the file says: its pixels, along y and x, to one of
            the file's, such as (1, 2) for arcs binned 1 x 2 in a night of 2 x 2.

        Returns
        -------
        amplifiers : list of `~slitlapse.photons.Amplifier`
            In the order of the file. Where each has an HDU of its own and no ``output`` is given,
            they are put side by side in that order, with the gaps that the file tells.

        Raises
        ------
        InstrumentError
            If a header lacks a card or holds nonsense in it, or the number of headers is wrong.
        """
        headers = list(header) if isinstance(header, (list, tuple)) else None
        if headers is None:
            headers = [header] * len(self.amplifiers)
        if len(headers) != len(self.amplifiers):
            raise InstrumentError(
                f"{self.name} has {len(self.amplifiers)} amplifiers, but {len(headers)} headers "
                "were given: give one for each, or one for all."
            )
        try:
            found = [
                cards.resolve(each, str(number), factors)
                for number, (cards, each) in enumerate(
                    zip(self.amplifiers, headers, strict=True), start=1
                )
            ]
        except InstrumentError as error:
            raise InstrumentError(f"{self.name}: {error}") from None
        if isinstance(self.extension, tuple):
            try:
                gaps = [
                    cards.gap_columns(each, amplifier.name, factors[1])
                    for cards, each, amplifier in zip(self.amplifiers, headers, found, strict=True)
                ]
            except InstrumentError as error:
                raise InstrumentError(f"{self.name}: {error}") from None
            return _side_by_side(found, self.amplifiers, gaps)
        return found

    def bad_for(self, factors=(1, 1)):
        """
        Sections of a frame that are masked before anything else.

        Parameters
        ----------
        factors : pair of float, optional
            For a frame binned otherwise than the file says, as in `amplifiers_for`.

        Returns
        -------
        tuple of str
        """
        if tuple(factors) == (1, 1):
            return self.bad
        return tuple(_scaled(section, *factors) for section in self.bad)

    def lamps_for(self, header):
        """
        Name the lamps that a header says were on.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            Of a frame of any kind.

        Returns
        -------
        lamps : list of str
            As they stand in the instrument file or in the card.
        """
        rules = {"time": {"value": "2000-01-01T00:00:00"}, "exposure_time": {"value": 0}}
        one = FrameHeader(Path("frame.fits"), fits.Header(header), (1, 1), 0)
        row = tabulate_headers([one], header=rules, frames={"arc": {}}, lamps=self.lamps)[0]
        return [lamp for lamp in str(row["lamps"]).split("+") if lamp]


def _side_by_side(amplifiers, cards, gaps):
    """Amplifiers of separate HDUs, each one's data to the right of the one before."""
    placed, start = [], 0
    for amplifier, described, gap in zip(amplifiers, cards, gaps, strict=True):
        y, x = amplifier.data
        width, height = x.stop - x.start, y.stop - y.start
        if described.output is None:
            rows, first = slice(0, height), start + gap
            amplifier = replace(
                amplifier,
                output=(rows, slice(first, first + width)),
                gap=(rows, slice(start, first)) if gap else amplifier.gap,
            )
        placed.append(amplifier)
        start += gap + width
    return placed
