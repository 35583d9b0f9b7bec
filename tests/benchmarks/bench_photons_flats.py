"""How fast and how good are photons and flats? Run it: it prints, and nothing is asserted.

``python tests/benchmarks/bench_photons_flats.py`` (``--quick``: few and small frames, to see that
it runs). Times are the smallest of several repeats, in milliseconds; levels are in adu.
"""

import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import astropy.units as u
import ccdproc
import numpy as np
from astropy.io import fits
from astropy.modeling.polynomial import Chebyshev1D
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.flats import (
    find_illuminated,
    fit_pixel_sensitivity,
    make_lamp_image,
    make_sensitivity,
)
from slitlapse.photons import (
    Amplifier,
    combine_frames,
    find_dead_pixels,
    measure_gain,
    measure_read_noise,
    process_amplifiers,
    simulate_bias,
    simulate_flat,
    to_electrons,
)
from slitlapse.photons.amplifier.overscan import model_level


def best(function, repeats=9):
    """Smallest time of several runs, ms."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def two_amplifiers(n_y, n_overscan):
    """Halves of a 2048 pixel wide detector, both overscans at the right."""
    return [
        Amplifier(
            f"[{1 + 1024 * i}:{1024 + 1024 * i},1:{n_y}]",
            f"[{2049 + n_overscan * i}:{2048 + n_overscan * (i + 1)},1:{n_y}]",
            gain=1.2 + 0.1 * i,
            read_noise=4.8,
            name=str(i),
        )
        for i in (0, 1)
    ]


def plain_recipe(data, n_overscan):
    """What one would write in numpy: row medians off, gain on."""
    out = np.empty((len(data), 2048), np.float32)
    for i, gain in ((0, 1.2), (1, 1.3)):
        x = slice(1024 * i, 1024 * (i + 1))
        over = slice(2048 + n_overscan * i, 2048 + n_overscan * (i + 1))
        out[:, x] = (data[:, x] - np.median(data[:, over], axis=1)[:, None]) * gain
    return out


def with_ccdproc(raw, n_overscan):
    """Overscan, trim and gain by ccdproc, amplifier by amplifier."""
    parts = []
    for i, gain in ((0, 1.2), (1, 1.3)):
        over = raw[:, 2048 + n_overscan * i : 2048 + n_overscan * (i + 1)]
        part = raw[:, 1024 * i : 1024 * (i + 1)]
        part = ccdproc.subtract_overscan(part, over, median=True, model=Chebyshev1D(6))
        parts.append(ccdproc.gain_correct(part, gain * u.electron / u.adu).data)
    return np.hstack(parts)


def speed(rng, n_y, n_overscan):
    """Process a frame of 2048 x ``n_y`` pixels and two overscans."""
    shape = n_y, 2048 + 2 * n_overscan
    raw = CCDData(rng.normal(1000, 4, shape).astype(np.uint16), unit=u.adu)
    amplifiers = two_amplifiers(n_y, n_overscan)
    print(f"{shape[1]} x {shape[0]}:")
    print(f"  plain numpy           {best(lambda: plain_recipe(raw.data, n_overscan)):7.1f}")
    print(f"  ccdproc + Chebyshev   {best(lambda: with_ccdproc(raw, n_overscan), 3):7.1f}")
    bare = best(lambda: process_amplifiers(raw, amplifiers, uncertainty=False))
    print(f"  process_amplifiers    {bare:7.1f}")
    print(f"    with uncertainty    {best(lambda: process_amplifiers(raw, amplifiers)):7.1f}")
    whole = best(lambda: to_electrons(raw, amplifiers, saturation=65535))
    print(f"  to_electrons          {whole:7.1f}")


def levels(rng, n_frames=40):
    """Error of the level per row under smooth drifts: 50 columns of 9 adu noise."""
    drifts = {
        "none": lambda t: 0 * t,
        "slow": lambda t: 2 * np.sin(2 * np.pi * 1.3 * t + 0.4),
        "settling": lambda t: 5 * np.exp(-t / 0.1),
        "mixed": lambda t: 1.8 * np.sin(6.9 * t + 0.4) + 0.5 * np.sin(29.5 * t + 1),
        "fast": lambda t: 1.8 * np.sin(2 * np.pi * 6 * t + 0.4),
        "walk": lambda t: np.cumsum(np.random.default_rng(len(t)).normal(0, 0.13, len(t))),
    }
    print("rms of the level per row: automatic, Chebyshev(6), savgol, row by row; pull")
    for n in (200, 400):
        t = np.linspace(0, 1, n)
        for name, drift in drifts.items():
            error = {method: [] for method in ("auto", "chebyshev", "savgol", "rows")}
            pulls = []
            for _ in range(n_frames):
                means = drift(t) + rng.normal(0, 9 / np.sqrt(50), n)
                for method, found in error.items():
                    model = Chebyshev1D(6) if method == "chebyshev" else method
                    level, variance, _ = model_level(means, np.full(n, 50), 9.0, model)
                    found.append(level - drift(t))
                    if method == "auto":
                        pulls.append((level - drift(t)) / np.sqrt(variance))
            rms = "  ".join(f"{np.sqrt(np.mean(np.square(e))):.3f}" for e in error.values())
            print(f"  {n} rows, {name:9s} {rms}   {np.sqrt(np.mean(np.square(pulls))):.2f}")


def white_light(n_frames=120):
    """
    What errors of the level leave in a white light curve, relative to rows by themselves.

    17 rows around the star less the mean of two windows of 40 rows. The last column assumes
    126 ppm for rows by themselves (158 ppm for row medians, which are 1.25 times noisier). "best"
    is the least that a smoothing spline of any stiffness leaves, were the stiffness told: with
    waves as long as the star is from its sky ("mixed"), none gets below 90 ppm.
    """
    n = 400
    t, rows = np.linspace(0, 1, n), np.arange(n)
    star, far = abs(rows - 200) <= 8, abs(rows - 200)
    sky = (far > 20) & (far <= 60)
    drifts = {
        "slow": lambda p: 1.8 * np.sin(8.2 * t + p[0]),
        "two": lambda p: 2 * np.sin(5 * t + p[0]) + 0.4 * np.sin(17 * t + p[1]),
        "mixed": lambda p: 1.8 * np.sin(6.9 * t + p[0]) + 0.5 * np.sin(29.5 * t + p[1]),
        "settling": lambda p: 5 * np.exp(-t / 0.15) * (1 + 0.1 * np.sin(p[0])),
    }
    smoothers = [whittaker(n, length) for length in np.geomspace(4, 60, 14)]
    weights = star - sky * (star.sum() / sky.sum())
    one = np.linalg.norm(weights) * 9 / np.sqrt(50)  # every row by itself
    print("left in a white light curve: relative to row by row, ppm")
    for name, drift in drifts.items():
        truths = np.array([drift(p) for p in np.random.default_rng(2).uniform(0, 6.3, (200, 2))])
        least = min(
            np.hypot(
                np.std((truths @ m - truths) @ weights),
                np.linalg.norm(weights @ m) * 9 / np.sqrt(50),
            )
            for m in smoothers
        )
        rng, left = np.random.default_rng(1), {"auto": [], "savgol": [], "rows": []}
        for _ in range(n_frames):
            truth = drift(rng.uniform(0, 2 * np.pi, 2))
            means = truth + rng.normal(0, 9 / np.sqrt(50), n)
            for method, found in left.items():
                error = truth - model_level(means, np.full(n, 50), 9.0, method)[0]
                found.append((error[star] - error[sky].mean()).sum())
        share = {key: np.std(found) / np.std(left["rows"]) for key, found in left.items()}
        share["best"] = least / one
        print(f"  {name:9s}", "  ".join(f"{k} {v:.2f} {126 * v:4.0f}" for k, v in share.items()))


def whittaker(n, length):
    """Matrix of a smoothing spline."""
    bend = np.diff(np.eye(n), 2, axis=0)
    return np.linalg.inv(np.eye(n) + length**4 * bend.T @ bend)


def noise(n_seeds=30):
    """Read noise and gain from simulated frames: error over truth, and pull."""
    amplifiers = [
        Amplifier("[1:100,1:100]", "[201:220,1:100]", gain=1.2, read_noise=3.8, name="left"),
        Amplifier("[101:200,1:100]", "[221:240,1:100]", gain=1.4, read_noise=3.1, name="right"),
    ]
    lamp = np.tile(np.linspace(300, 20000, 100)[:, None], (1, 200))
    errors, pulls = {"read noise": [], "gain": []}, {"read noise": [], "gain": []}
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        biases = [simulate_bias(amplifiers, rng=rng) for _ in range(3)]
        flats = [simulate_flat(lamp * f, amplifiers, rng=rng) for f in (1, 0.97, 0.8, 0.82)]
        found = {
            "read noise": [
                (r.sigma, r.uncertainty) for r in measure_read_noise(biases, amplifiers)
            ],
            "gain": [(g.value, g.uncertainty) for g in measure_gain(flats, amplifiers)],
        }
        truths = {
            # rounding to integers adds its own noise
            "read noise": [
                np.hypot(a.read_noise.value, a.gain.value / 12**0.5) for a in amplifiers
            ],
            "gain": [a.gain.value for a in amplifiers],
        }
        for what, values in found.items():
            for (value, error), truth in zip(values, truths[what], strict=True):
                errors[what].append(value.value / truth - 1)
                pulls[what].append((value.value - truth) / error.value)
    print(f"read noise and gain of 2 amplifiers of 100 x 100 pixels, {n_seeds} seeds:")
    for what in errors:
        e, p = np.array(errors[what]), np.array(pulls[what])
        print(
            f"  {what:10s} rms error {100 * np.sqrt(np.mean(e**2)):.2f} %, worst "
            f"{100 * abs(e).max():.2f} %; pulls {p.mean():+.2f} +- {p.std():.2f}"
        )


def dead_pixels(rng, shape):
    """Time to find the dead pixels of a flat, 8 megapixels unless in a hurry."""
    y, x = np.arange(shape[0])[:, None] / shape[0], np.arange(shape[1]) / shape[1]
    lamp = 2e4 * np.exp(-0.5 * ((x - 0.61) / 0.29) ** 2) / (1 + np.exp((abs(y - 0.5) - 0.39) * 1e3))
    print(
        f"dead pixels of a flat of {shape[0]} x {shape[1]} pixels, photon noise and 30 times that:"
    )
    for factor in (1, 30):
        flat = rng.normal(lamp, factor * np.sqrt(lamp + 25))
        flat[rng.uniform(size=flat.shape) < 1e-3] *= 0.3
        ccd = CCDData(flat.astype(np.float32), unit=u.electron)
        print(f"  {best(lambda c=ccd: find_dead_pixels(c), 1):7.0f}")


def sensitivity(rng, shape, slits, **detector):
    """Time, memory and error over photon noise of the sensitivity from five flats of 8 Mpx."""
    n_frames = 5
    lamp = make_lamp_image(shape, slope=8, curve=4, slits=slits).astype(np.float32)
    truth = make_sensitivity(shape, rng=rng, **detector).astype(np.float32)
    flat = (rng.poisson(lamp * truth * n_frames) / n_frames).astype(np.float32)
    error = np.sqrt((np.maximum(flat, 0) + 12) / n_frames)
    ccd = CCDData(flat, unit=u.electron, uncertainty=StdDevUncertainty(error))
    region = find_illuminated(ccd)
    start = time.process_time()
    tracemalloc.start()
    found = fit_pixel_sensitivity(ccd, region)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    spent = time.process_time() - start
    good = ~found.mask
    limit = (np.sqrt(lamp * truth / n_frames) / np.maximum(lamp, 1))[good]
    ratio = np.std((found.sensitivity - truth)[good] / limit)
    kept = good.sum() / region.mask.sum()
    print(
        f"  {spent:4.1f} s  {peak:4.0f} MB  error over photon noise {ratio:.3f}  of lit {kept:.4f}"
    )


def combining(rng, shape):
    """Combine ten frames from files."""
    with tempfile.TemporaryDirectory() as folder:
        base, paths = rng.normal(1000, 4, shape), []
        for i in range(10):
            paths.append(str(Path(folder) / f"{i}.fits"))
            hdu = fits.PrimaryHDU(np.roll(base, 37 * i, axis=1).astype(np.uint16))
            hdu.header["BUNIT"] = "adu"
            hdu.writeto(paths[-1])
        print(f"combining 10 frames of {shape[1]} x {shape[0]} from files:")
        for method in ("mean", "median"):
            print(f"  {method:7s} {best(lambda m=method: combine_frames(paths, method=m), 3):7.0f}")
        options = {"unit": "adu", "method": "average", "sigma_clip": True}
        print(
            f"  ccdproc, clipped average {best(lambda: ccdproc.combine(paths, **options), 1):7.0f}"
        )
        options = {"unit": "adu", "method": "median"}
        print(
            f"  ccdproc, median          {best(lambda: ccdproc.combine(paths, **options), 1):7.0f}"
        )


def main(quick):
    """Print all of it, or little of it."""
    rng, large = np.random.default_rng(1), (64, 512) if quick else (2048, 4096)
    for size in ((64, 16),) if quick else ((4096, 50), (400, 16)):
        speed(rng, *size)
    levels(rng, *([2] if quick else []))
    white_light(*([2] if quick else []))
    noise(*([2] if quick else []))
    dead_pixels(rng, large)
    combining(rng, (64, 128) if quick else (1024, 4096))
    print(
        f"sensitivity of {large[0]} x {large[1]} pixels from five flats: one slit with dead columns"
    )
    print("and dust, two slits with pixels of 2 %, fringes of 1 %:")
    sensitivity(rng, large, ((0.1, 0.9),), dead_columns=[300, 301], n_dead=50, n_dust=20)
    sensitivity(rng, large, ((0.05, 0.4), (0.5, 0.95)), scatter=0.02)
    sensitivity(rng, large, ((0.1, 0.9),), scatter=0.005, fringes=0.01)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main("--quick" in sys.argv)
