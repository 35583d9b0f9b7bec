"""
What differs between telescopes: data, no algorithms.

An instrument is a small TOML file: which pixels each amplifier reads, where wavelength increases,
which header card means what, which lamps there are. `load_instrument` reads a built-in one by name
(`list_instruments`) or somebody's file (`instrument_template` is one to start from), and answers a
mistake in it with one sentence that names the file, the key, what was found and what is allowed.
`find_site` knows where observatories are.
"""

from .instrument import AmplifierCards, Instrument, InstrumentError
from .parse import instrument_template, list_instruments, load_instrument, parse_instrument
from .site import find_site, list_sites

__all__ = [
    "AmplifierCards",
    "Instrument",
    "InstrumentError",
    "find_site",
    "instrument_template",
    "list_instruments",
    "list_sites",
    "load_instrument",
    "parse_instrument",
]
