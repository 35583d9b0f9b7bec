"""How fast and how good are photons and flats? Run it: it prints, and nothing is asserted.

Times are the smallest of several repeats, in milliseconds; levels are in adu.
"""

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
from slitlapse.photons import Amplifier, combine_frames, process_amplifiers, to_electrons
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
            print(f"  {n} rows, {name:9s} {rms}   {np.std(pulls):.2f}")


def white_light(n_frames=120):
    """
    What errors of the level leave in a white light curve, relative to rows by themselves.

    17 rows around the star less the mean of two windows of 40 rows. The last column assumes
    126 ppm for rows by themselves (158 ppm for row medians, which are 1.25 times noisier).
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
    print("left in a white light curve: relative to row by row, ppm")
    for name, drift in drifts.items():
        rng, left = np.random.default_rng(1), {"auto": [], "savgol": [], "rows": []}
        for _ in range(n_frames):
            truth = drift(rng.uniform(0, 2 * np.pi, 2))
            means = truth + rng.normal(0, 9 / np.sqrt(50), n)
            for method, found in left.items():
                error = truth - model_level(means, np.full(n, 50), 9.0, method)[0]
                found.append((error[star] - error[sky].mean()).sum())
        share = {key: np.std(found) / np.std(left["rows"]) for key, found in left.items()}
        print(f"  {name:9s}", "  ".join(f"{k} {v:.2f} {126 * v:4.0f}" for k, v in share.items()))


def sensitivity(rng, slits, **detector):
    """Time, memory and error over photon noise of the sensitivity from five flats of 8 Mpx."""
    shape, n_frames = (2048, 4096), 5
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


def combining(rng):
    """Combine ten frames of 4 megapixels from files."""
    with tempfile.TemporaryDirectory() as folder:
        base, paths = rng.normal(1000, 4, (1024, 4096)), []
        for i in range(10):
            paths.append(str(Path(folder) / f"{i}.fits"))
            hdu = fits.PrimaryHDU(np.roll(base, 37 * i, axis=1).astype(np.uint16))
            hdu.header["BUNIT"] = "adu"
            hdu.writeto(paths[-1])
        print("combining 10 frames of 4096 x 1024 from files:")
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


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(1)
    speed(generator, 4096, 50)
    speed(generator, 400, 16)
    levels(generator)
    white_light()
    combining(generator)
    print("sensitivity of 2048 x 4096 pixels from five flats: one slit with dead columns and dust,")
    print("two slits with pixels of 2 %, fringes of 1 %:")
    sensitivity(generator, ((0.1, 0.9),), dead_columns=[300, 301], n_dead=50, n_dust=20)
    sensitivity(generator, ((0.05, 0.4), (0.5, 0.95)), scatter=0.02)
    sensitivity(generator, ((0.1, 0.9),), scatter=0.005, fringes=0.01)
