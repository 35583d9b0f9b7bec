"""
What does a night cost? Time per exposure and memory against frames, size, stars and workers.

Run ``python tests/benchmarks/bench_night.py`` for the table, or
``python tests/benchmarks/bench_night.py memory [frames]`` for one night of 2048 x 4096 pixels
(500 frames by default, links to 10 that are simulated), with its report; ``--quick`` is one case
of three small frames, to see that it runs. Nights are simulated with the toy instrument's
amplifiers stretched to the size, tilted sky lines and all; the chain runs with its defaults: tilted
sky, optimal extraction and three boxcars.

Times are of the exposures alone (what is made once for all is beside them): processor time with
one worker, time on the clock with several. "reading" is plain
``astropy.io.fits.getdata`` of the same frames, from the disk's cache. One thread per process: set
``OMP_NUM_THREADS=1``. For comparison, on the same 2048 x 400 with two stars: specreduce's steps
take 0.47 s and PypeIt's 3.0 s per exposure.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
from astropy.io import fits

from slitlapse.automation import night as chain
from slitlapse.automation import read_night, reduce_night, simulate_night
from slitlapse.instruments import load_instrument

USUAL = {"n_x": 2048, "n_y": 400, "stars": 2, "frames": 12, "workers": 1}
CASES = [
    {},
    {"frames": 48},
    {"n_x": 1024, "n_y": 200},
    {"n_x": 4096, "n_y": 400},
    {"n_x": 4096, "n_y": 2048, "frames": 6},
    {"stars": 1},
    {"stars": 4},
    {"workers": 2},
]


def stretched(folder, n_x, n_y):
    """The toy instrument with two amplifiers side by side that fill a frame of this size."""
    text = (files("slitlapse.instruments") / "data" / "toy.toml").read_text()
    half, strip = n_x // 2, 24
    edges = {
        "[1:320,1:120]": (1, half),
        "[321:640,1:120]": (half + 1, n_x),
        "[641:664,1:120]": (n_x + 1, n_x + strip),
        "[665:688,1:120]": (n_x + strip + 1, n_x + 2 * strip),
    }
    for old, (first, last) in edges.items():
        if old not in text:
            raise SystemExit(f"toy.toml has no section {old}: change bench_night.py with it")
        text = text.replace(old, f"[{first}:{last},1:{n_y}]")
    path = folder / "instrument.toml"
    path.write_text(text)
    return load_instrument(path)


def make_night(folder, n_x, n_y, stars, frames, different=10):
    """Raw frames: at most some different ones, the others links to them."""
    instrument = stretched(folder, n_x, n_y)
    simulate_night(
        folder, instrument=instrument, rng=np.random.default_rng(1), stars=stars,
        n_exposures=min(frames, different), n_calibrations=5,
    )  # fmt: skip
    science = sorted((folder / "raw").glob("*science.fits"))
    for number in range(len(science), frames):
        os.link(science[number % len(science)], folder / "raw" / f"again{number:05d}_science.fits")
    return read_night(folder / "night.toml")


def time_exposures(folder, n_x, n_y, stars, frames, workers):
    """Measure in this process: seconds once, per exposure, and of reading; peak memory in GB."""
    night = make_night(folder, n_x, n_y, stars, frames)
    taken = {}
    clock = time.process_time if workers == 1 else time.perf_counter  # other work does not count
    measure_all = chain.measure_all

    def timed(*args):
        started = clock()
        taken["once"] = started - taken["start"]
        result = measure_all(*args)
        taken["exposures"] = (clock() - started) / frames
        return result

    chain.measure_all = timed
    taken["start"] = clock()
    reduce_night(night, jobs=workers)
    taken["all"] = clock() - taken["start"]
    names = sorted(night.data.glob("*science.fits"))[:10]
    started = clock()
    for name in names:
        fits.getdata(name)
    taken["reading"] = (clock() - started) / len(names)
    taken["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return taken


def show(case):
    """One line of the table, measured in this process (memory's peak is of a process)."""
    case = USUAL | case
    with tempfile.TemporaryDirectory() as folder:
        taken = time_exposures(Path(folder), **case)
    each, reading = taken["exposures"] * 1e3, taken["reading"] * 1e3
    print(
        f"{case['n_x']:5d} x {case['n_y']:4d} {case['stars']:5d} {case['frames']:6d} "
        f"{case['workers']:7d} {each:13.0f} ms {reading:7.1f} ms ({100 * reading / each:3.0f} %) "
        f"{taken['once']:6.1f} s {taken['all']:6.1f} s {taken['memory']:6.2f} GB",
        flush=True,
    )


def memory(frames):
    """One long night of large frames, by the command, with its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        make_night(Path(folder), 4096, 2048, 2, frames)
        command = [shutil.which("slitlapse"), "reduce", str(Path(folder) / "night.toml")]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        taken = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{frames} frames of 2048 x 4096: {taken:.0f} s, peak memory {peak:.2f} GB")


def main(arguments):
    """Each case in a process of its own."""
    if arguments[:1] == ["memory"]:
        return memory(int(arguments[1]) if len(arguments) > 1 else 500)
    if arguments[:1] == ["case"]:
        return show(CASES[int(arguments[1])])
    print("  frame      stars frames workers  per exposure   reading         once    all   memory")
    if arguments[:1] == ["--quick"]:
        return show({"n_x": 640, "n_y": 120, "frames": 3})
    for number in range(len(CASES)):
        subprocess.run([sys.executable, __file__, "case", str(number)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
