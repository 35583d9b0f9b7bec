"""Does every built-in instrument give back a night of its own? Full frames, two exposures.

Run with ``python tests/benchmarks/bench_instruments.py [NAME ...]``: simulates a night through
the instrument's amplifiers, sections and cards, reduces it with what stands in its file, and
prints, for each star, the pulls of the flux (median and standard deviation; 0 and 1 are right)
and the error of the wavelengths (rms, pixels).
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from slitlapse.automation import read_night, reduce_night, simulate_night
from slitlapse.instruments import list_instruments, load_instrument


def check(name, folder, seed=1):
    """Simulate, reduce, and yield a line of figures for each star."""
    begin = time.process_time()
    truth = simulate_night(
        folder, instrument=load_instrument(name), rng=np.random.default_rng(seed),
        n_exposures=2, n_calibrations=3,
    )  # fmt: skip
    simulated = time.process_time()
    result = reduce_night(read_night(truth.night_file))
    reduced = time.process_time()
    for star in truth.stars:
        series = result.series[star.name]
        flux = truth.flux(star.name) * series.fluxlike["enclosed"].value
        pulls = ((series.flux.value - flux) / series.uncertainty.value)[~series.mask]
        line = f"{name:14s} {star.name:12s} {truth.scene.shape[1]:5d} x {truth.scene.shape[0]:4d}"
        line += f"  pulls {np.median(pulls):+.3f} {pulls.std():.3f}"
        line += f"  beyond 5 sigma {np.mean(np.abs(pulls) > 5):.1e}"
        if series.wavelength.unit.is_equivalent("angstrom"):
            true = truth.scene.star_solution(star)
            wrong = (series.wavelength - true.wavelength) / np.gradient(true.wavelength)
            line += f"  wavelength {np.sqrt(np.mean(wrong.value**2)):.3f} px"
        else:
            line += "  no wavelengths"
        yield line + f"  ({simulated - begin:.0f} + {reduced - simulated:.0f} s)"
    for note in result.notes:
        yield f"{'':14s} note: {note}"


def main(names):
    """Check the instruments named, or all."""
    for name in names if names else list_instruments():
        with tempfile.TemporaryDirectory() as folder:
            try:
                for line in check(name, Path(folder)):
                    print(line, flush=True)
            except ValueError as error:
                print(f"{name:14s} fails: {error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
