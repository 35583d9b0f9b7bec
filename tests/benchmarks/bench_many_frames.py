"""How much memory and time do hundreds of frames take to combine? Run it: it prints.

``python tests/benchmarks/bench_many_frames.py [frames] [frames for ccdproc]``

writes frames of 2048 x 4096 pixels (17 MB each; 500 by default) to a temporary folder and combines
them, each method in a process of its own. ccdproc gets fewer (20 by default) and a limit of 1 GB;
its time per frame is what to compare, and flatters it: the more frames, the smaller the pieces
for each of which it reads every file as a whole. ``--quick`` instead of the numbers takes four
small frames, to see that it runs.
"""

import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits


def write_frames(folder, n_frames, shape=(2048, 4096)):
    """Bias frames of one noise pattern, shifted."""
    base = np.random.default_rng(1).normal(1000, 4, shape).astype(np.uint16)
    for i in range(n_frames):
        hdu = fits.PrimaryHDU(np.roll(base, (37 * i + i // 7, 91 * i), axis=(0, 1)))
        hdu.header["BUNIT"] = "adu"
        hdu.writeto(Path(folder) / f"{i:04d}.fits")


def combine(folder, n_frames, how):
    """Combine the first frames in a folder; print the time and the largest memory."""
    paths = sorted(str(path) for path in Path(folder).glob("*.fits"))[:n_frames]
    warnings.simplefilter("ignore")
    if how.startswith("ccdproc"):
        import ccdproc

        start, spent = time.perf_counter(), time.process_time()
        options = {"method": "median"} if "median" in how else {"sigma_clip": True}
        ccdproc.combine(paths, unit="adu", mem_limit=1e9, **options)
    else:
        from slitlapse.photons import combine_frames

        start, spent = time.perf_counter(), time.process_time()
        combine_frames(paths, method=how)
    start, spent = time.perf_counter() - start, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"  {how:24s} {n_frames:4d} frames  {start:6.1f} s ({spent:6.1f} s of processor)  "
        f"{1e3 * spent / n_frames:5.0f} ms a frame  peak {peak:.2f} GB",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        combine(sys.argv[1], int(sys.argv[2]), sys.argv[3])
        sys.exit()
    size = {"shape": (128, 256)} if "--quick" in sys.argv else {}
    numbers = ["4", "3"] if size else sys.argv[1:]
    n_ours, n_theirs = [int(n) for n in (*numbers, *(500, 20)[len(numbers) :])]
    with tempfile.TemporaryDirectory() as temporary:
        write_frames(temporary, max(n_ours, n_theirs), **size)
        cases = (
            ("mean", n_ours),
            ("median", n_ours),
            ("mean", n_theirs),
            ("median", n_theirs),
            ("ccdproc clipped average", n_theirs),
            ("ccdproc median", n_theirs),
        )
        for how, number in cases[::5] if size else cases:  # the first and the last
            subprocess.run([sys.executable, __file__, temporary, str(number), how], check=True)
