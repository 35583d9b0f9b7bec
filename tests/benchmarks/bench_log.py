"""
A night's headers into a table, beside ccdproc's collection of the same files, in one run.

Run ``python tests/benchmarks/bench_log.py [frames]`` (``--quick``: 5 frames). The headers
have 150 cards, as those of Kast have. Both read all cards; the log also finds kinds, lamps and
times, and checks that every file is whole. Times are CPU times, the best of several rounds.
"""

import sys
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time
from ccdproc import ImageFileCollection

from slitlapse.instruments import load_instrument
from slitlapse.observing_log import make_header_table, write_night


def write_files(folder, n_frames, instrument):
    """Write science frames of a star at the meridian."""
    night = QTable(
        {
            "filename": [f"b{number:04d}.fits" for number in range(n_frames)],
            "kind": ["science"] * n_frames,
            "time": Time("2015-05-20T04:00:00") + np.arange(n_frames) * 60 * u.s,
            "exposure_time": np.full(n_frames, 50) * u.s,
            "object": ["star"] * n_frames,
            "airmass": np.full(n_frames, 1.2),
            "ra": np.full(n_frames, 184.4) * u.deg,
            "dec": np.full(n_frames, 39.0) * u.deg,
        }
    )
    rules = {key: getattr(instrument, key) for key in ("header", "frames", "lamps")}
    image = np.zeros((350, 2112), np.uint16)
    more = {f"CARD{number:03d}": number for number in range(139)}
    return write_night(night, {"science": lambda row: image}, folder, **rules, cards=more)


def best(function, rounds=3):
    """Shortest CPU time in seconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main():
    """Print milliseconds per frame."""
    arguments = ["5" if text == "--quick" else text for text in sys.argv[1:]]
    n_frames = int(arguments[0]) if arguments else 200
    instrument = load_instrument("kast_blue")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), n_frames, instrument)
        ours = best(lambda: make_header_table(folder, **instrument.log_rules))
        bare = best(lambda: make_header_table(folder, **instrument.log_rules, other_cards=False))
        theirs = best(lambda: ImageFileCollection(folder, keywords="*").summary)
        read = best(lambda: [path.read_bytes() for path in paths])
    print(f"{n_frames} frames, ms per frame of CPU time")
    for name, seconds in (
        ("slitlapse make_header_table", ours),
        ("  without the cards nobody asked for", bare),
        ("ccdproc ImageFileCollection, all keywords", theirs),
        ("reading the bytes of the files", read),
    ):
        print(f"{name:45s} {1e3 * seconds / n_frames:7.2f}")


if __name__ == "__main__":
    main()
