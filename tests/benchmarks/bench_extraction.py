"""
Boxcar and optimal extraction beside specreduce's, on the same frames, in one run.

Run ``python tests/benchmarks/bench_extraction.py`` (``--quick``: few and small frames, to see that
it runs). Truth, sky, trace, width and the mask of the bad pixels are given to all; cosmic rays are
not. Times are CPU times, the best of several rounds.
"""

import sys
import time
import warnings

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty
from specreduce.extract import BoxcarExtract as UpstreamBoxcar
from specreduce.extract import HorneExtract
from specreduce.tracing import ArrayTrace

from slitlapse.extraction import (
    BoxcarExtract,
    PixelNoise,
    ProfileExtract,
    RowWindow,
    boxcar_sums,
    gaussian_profile,
    optimal_sums,
)
from slitlapse.extraction.simulate import add_hits, simulate_star

N_Y, SKY, READ_NOISE, WIDTH = 57, 60.0, 4.0, 14.0


def exposures(flux, slope, struck, n_x, n_time):
    """Frames of a Gaussian star whose trace has a slope, drifts and breathes."""
    rng, x = np.random.default_rng(1), np.arange(n_x)
    for _ in range(n_time):
        centre = 28 + slope * (x - n_x / 2) + rng.uniform(-0.5, 0.5)
        width = np.full(n_x, 2.1 * rng.uniform(0.85, 1.15))
        star = simulate_star(
            flux, (N_Y, n_x), centre, width, rng=rng, sky=SKY, read_noise=READ_NOISE
        )
        mask, data = np.zeros(star.data.shape, bool), star.data
        if struck:
            mask = rng.random(data.shape) < 0.01
            data = np.where(mask, 3e4, add_hits(data, 8, rng=rng)[0])
        yield star, data, mask


def methods(star, data, mask):
    """Every way to extract one exposure, as a function without arguments."""
    ccd = CCDData(data, unit="electron", mask=mask)
    ccd.uncertainty = StdDevUncertainty(np.sqrt(star.variance))
    trace = ArrayTrace(ccd, star.centre)
    noise = PixelNoise(READ_NOISE, np.full(data.shape, SKY))
    window = RowWindow.around(star.centre, 12, N_Y)

    def core(kind):
        cut, masked, part = window.cut(data), window.cut(mask), noise.cut(window)
        profile = gaussian_profile(window.rows, star.centre, star.width)
        if kind != "boxcar":
            sums = optimal_sums(cut, profile, part, masked)
            masked = masked | sums.rejected
        if kind != "optimal":
            sums = boxcar_sums(cut, window.rows, star.centre, [WIDTH / 2], profile, part, masked)
            sums = sums.corrected()
        return sums.flux[0], np.sqrt(sums.variance[0])

    def spectrum(operation):
        result = operation()
        sigma = result.uncertainty.represent_as(StdDevUncertainty).array
        return result.flux.value, sigma

    ours = {"star_width": star.width, "noise": noise, "light_outside": "correct"}
    return {
        "boxcar   slitlapse core": lambda: core("boxcar"),
        "boxcar   slitlapse, optimal's marks": lambda: core("boxcar, marked"),
        "boxcar   slitlapse BoxcarExtract": lambda: spectrum(
            BoxcarExtract(ccd, trace, WIDTH, **ours)
        ),
        "boxcar   specreduce BoxcarExtract": lambda: spectrum(UpstreamBoxcar(ccd, trace, WIDTH)),
        "optimal  slitlapse core": lambda: core("optimal"),
        "optimal  slitlapse ProfileExtract": lambda: spectrum(
            ProfileExtract(ccd, trace, width=star.width, noise=noise)
        ),
        "optimal  specreduce HorneExtract": lambda: spectrum(HorneExtract(ccd.copy(), trace)),
    }


def measure(flux, slope, struck, **size):
    """Collect errors, quoted sigmas and times of every method."""
    found = {}
    for star, data, mask in exposures(flux, slope, struck, **size):
        bound = 1 / np.sqrt((star.profile**2 / star.variance * ~mask).sum(axis=0))
        for name, method in methods(star, data, mask).items():
            start = time.process_time()
            light, sigma = method()
            took = time.process_time() - start
            found.setdefault(name, []).append((light - star.flux, sigma, bound, took, light.sum()))
    return found


def time_of_a_cutout(n_x=4096, rounds=25):
    """Milliseconds of CPU time for 25 rows x ``n_x`` columns with bad pixels and 8 hits."""
    rng = np.random.default_rng(2)
    kwargs = {"family": "moffat", "sky": SKY, "read_noise": READ_NOISE}
    star = simulate_star(2e4, (25, n_x), 12.3, 2.1, rng=rng, **kwargs)
    mask = rng.random(star.data.shape) < 0.01
    data, _ = add_hits(star.data, 8, rng=rng)
    rows = np.arange(25)[:, None]
    for kind in (np.float64, np.float32):
        cut, profile = data.astype(kind), star.profile.astype(kind)
        noise = PixelNoise(READ_NOISE, np.full(data.shape, SKY, dtype=kind))
        jobs = {
            "optimal": lambda c=cut, p=profile, n=noise: optimal_sums(c, p, n, mask),
            "boxcar, three widths": lambda c=cut, p=profile, n=noise: boxcar_sums(
                c, rows, star.centre, [4.0, 6.0, 8.0], p, n, mask
            ),
        }
        for name, job in jobs.items():
            times = []
            for _ in range(rounds):
                start = time.process_time()
                job()
                times.append(time.process_time() - start)
            print(f"25 x {n_x}, {np.dtype(kind).name}, {name}: {1e3 * min(times):.1f} ms")


def main(quick=False):
    """Print one table for each case."""
    warnings.simplefilter("ignore")
    size = {"n_x": 256, "n_time": 2} if quick else {"n_x": 2048, "n_time": 8}
    time_of_a_cutout(*((512, 2) if quick else ()))
    for flux in (700.0, 2e4):
        for slope, struck in ((0.0, False), (0.004, False), (0.004, True)):
            print(f"\n{flux:.0f} electron per column, slope {slope}, bad pixels and hits: {struck}")
            heads = ("bias %", "rms/bound", "pull", ">5 sigma %", "white/limit", "ms")
            print(" " * 36 + "".join(f"{head:>12}" for head in heads))
            best = {}
            for name, rows in measure(flux, slope, struck, **size).items():
                error, sigma, bound, took, white = (
                    np.array(part) for part in zip(*rows, strict=True)
                )
                limit = np.sqrt((bound**2).sum(axis=1).mean())
                pull, best[name] = error / sigma, took[1:].min()
                numbers = (
                    100 * np.nanmean(error) / flux,
                    np.sqrt(np.nanmean((error / bound) ** 2)),
                    np.nanstd(pull),
                    100 * np.nanmean(np.abs(pull) > 5),
                    np.nanstd(white, ddof=1) / limit,
                    1e3 * best[name],
                )
                print(f"{name:36}" + "".join(f"{number:12.3f}" for number in numbers))
            boxcar = best["boxcar   specreduce BoxcarExtract"] / best["boxcar   slitlapse core"]
            optimal = best["optimal  specreduce HorneExtract"] / best["optimal  slitlapse core"]
            print(f"speed over specreduce: boxcar {boxcar:.1f} x, optimal {optimal:.1f} x")


if __name__ == "__main__":
    main("--quick" in sys.argv)
