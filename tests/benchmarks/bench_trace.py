"""
Traces beside specreduce's ``FitTrace``, on the same frames, in one run.

Run ``python tests/benchmarks/bench_trace.py [frames]`` (``--quick``: one small frame, to see that
it runs). Truth: Moffat stars (beta 3, FWHM 4.5 to 5.9 pixels) on a bent trace, sky of 200
electrons, read noise 4. Errors are in pixels; times are CPU times, the best of several
rounds, on one thread (set OMP_NUM_THREADS=1).

The Cramér-Rao bound is that of all rows of the frame, over a sky of one level per column. The
window of the trace (30 rows on either side, as nothing else shines there) and the slope of its sky
cost less than 1 per cent of it in the centre and 3 in the width, which wide wings and sky share.
Beside other stars or on a bent sky the window has 21 rows, which cost 1 and 6 per cent.
"""

import sys
import time
import warnings

import numpy as np
from astropy import units as u
from astropy.modeling.models import Chebyshev1D
from specreduce.tracing import FitTrace

from slitlapse.trace import ProfileTrace, find_stars, measure_profile_shift, star_image

SKY, READ_NOISE, BETA = 200.0, 4.0, 3.0


def truth(n_y, n_x):
    """Trace and width of the star."""
    x = np.linspace(-1, 1, n_x)
    return n_y / 2 + 5 * x + 3 * x**2 - x**3, 2.2 + 0.3 * x


def simulate(n_y, n_x, flux, rng, hits=0.0):
    """One frame; ``hits`` is the share of columns that a cosmic ray crosses near the star."""
    trace, width = truth(n_y, n_x)
    image = SKY + star_image((n_y, n_x), trace, width, flux, profile="moffat", beta=BETA)
    image = rng.poisson(image) + rng.normal(0, READ_NOISE, image.shape)
    columns = rng.choice(n_x, int(hits * n_x), replace=False)
    rows = (trace[columns] + rng.uniform(-6, 6, columns.size)).astype(int)
    image[rows, columns] += rng.uniform(500, 2e4, columns.size)
    return image


def bound(n_y, n_x, flux, bins):
    """Cramér-Rao bound of centre and log width of each bin; flux and sky of a column are free."""
    (trace, width), h, shape = truth(n_y, n_x), 1e-3, {"profile": "moffat", "beta": BETA}
    draw = [
        star_image((n_y, n_x), trace + d, width * np.exp(w), **shape)
        for d, w in ((0, 0), (h, 0), (-h, 0), (0, h), (0, -h))
    ]
    slopes = flux * (draw[1] - draw[2]) / (2 * h), flux * (draw[3] - draw[4]) / (2 * h)
    terms = np.stack([draw[0], np.ones_like(draw[0]), *slopes])
    fisher = np.einsum("iyx,jyx->xij", terms / (SKY + flux * draw[0] + READ_NOISE**2), terms)
    free = fisher[:, 2:, :2] @ np.linalg.inv(fisher[:, :2, :2]) @ fisher[:, :2, 2:]
    left = (fisher[:, 2:, 2:] - free).reshape(bins, -1, 2, 2).sum(axis=1)
    return np.sqrt(np.einsum("bii->bi", np.linalg.inv(left))).T


def upstream(image, bins):
    """Trace as specreduce measures it best: Gaussian peaks, sky taken off, Chebyshev curve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FitTrace(
            (image - np.median(image, axis=0)) * u.electron,
            bins=bins,
            guess=image.shape[0] / 2,
            window=25,
            trace_model=Chebyshev1D(4),
            peak_method="gaussian",
        )


def best_time(run, n=5):
    """Best CPU time in milliseconds."""
    times = []
    for _ in range(n):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def accuracy(n_frames, n_y=100, n_x=2048, bins=64):
    """Print errors of curves and bins at several brightnesses."""
    print(f"\n{n_frames} frames of {n_y} x {n_x}, {bins} bins; errors in pixels")
    print("flux/column hits | bin: pull c, pull w, rms/CRB c, w | curve rms, bias | specreduce rms")
    trace, width = truth(n_y, n_x)
    columns = np.arange(n_x)
    for flux, hits in (
        (2e4, 0.0),
        (2e4, 0.05),
        (2e3, 0.0),
        (686.0, 0.0),
        (300.0, 0.0),
        (60.0, 0.0),
    ):
        rng, limit = np.random.default_rng(int(flux)), bound(n_y, n_x, flux, bins)
        pulls, ratios, curves, theirs = [], [], [], []
        for number in range(n_frames):
            image = simulate(n_y, n_x, flux, rng, hits)
            found = ProfileTrace(image, n_y / 2, bins, read_noise=READ_NOISE)
            used = np.asarray(found.table["used"])
            names = "x", "center", "center_uncertainty", "width", "width_uncertainty"
            x, c, ce, w, we = (found.table[name].value[used] for name in names)
            wrong = np.array(
                [c - np.interp(x, columns, trace), w / np.interp(x, columns, width) - 1]
            )
            pulls.append(wrong / np.array([ce, we / w]))
            ratios.append(wrong / limit[:, used])
            curves.append(np.asarray(found.trace) - trace)
            if number < 3:
                theirs.append(np.asarray(upstream(image, bins).trace) - trace)
        pull, ratio = (np.concatenate(a, axis=1).std(axis=1) for a in (pulls, ratios))
        print(
            f"{flux:8.0f} {hits:6.2f} | "
            f"{pull[0]:.3f} {pull[1]:.3f} {ratio[0]:.3f} {ratio[1]:.3f} | "
            f"{np.sqrt(np.mean(np.square(curves))):.5f} {np.mean(curves):+.5f} | "
            f"{np.sqrt(np.mean(np.square(theirs))):.5f}  "
            f"(bins: +-{1 / np.sqrt(2 * sum(p.shape[1] for p in pulls)):.3f})"
        )


def shifts(n_frames, n_y=100, n_x=512):
    """Print errors of one shift per exposure."""
    print(
        f"\none offset and width factor per exposure, {n_frames} exposures of {n_y} x {n_x} "
        f"(pulls +-{1 / np.sqrt(2 * n_frames):.3f})"
    )
    print("flux/column | offset: stated, rms, pull | width factor: stated, rms, pull")
    shared = ProfileTrace.from_curves((n_y, n_x), *truth(n_y, n_x), "moffat", beta=BETA)
    for flux in (2e4, 3e3, 686.0, 150.0):
        rng, wrong, stated = np.random.default_rng(int(flux)), [], []
        for _ in range(n_frames):
            put = rng.uniform(-4, 4), rng.uniform(0.85, 1.2)
            image = SKY + flux * shared.profile_image(None, *put)
            image = rng.poisson(image) + rng.normal(0, READ_NOISE, image.shape)
            got = measure_profile_shift(image, shared, read_noise=READ_NOISE)
            wrong.append([got.offset - put[0], got.width_factor - put[1]])
            stated.append([got.offset_uncertainty, got.width_factor_uncertainty])
        wrong, stated = np.array(wrong), np.array(stated)
        numbers = stated.mean(axis=0), wrong.std(axis=0), (wrong / stated).std(axis=0)
        parts = [f"{a:.5f} {b:.5f} {c:.2f}" for a, b, c in zip(*numbers, strict=True)]
        print(f"{flux:8.0f} | " + " | ".join(parts))


def speed(sizes=((400, 2048, 64), (512, 4096, 256), (512, 4096, 4096)), rounds=20):
    """Print times."""
    rng = np.random.default_rng(0)
    print("\nCPU time, ms")
    for n_y, n_x, bins in sizes:
        image = simulate(n_y, n_x, 2e4, rng)
        ours = [
            best_time(
                lambda f=f, i=image, b=bins: ProfileTrace(
                    i, i.shape[0] / 2, b, profile=f, read_noise=READ_NOISE
                ),
                rounds,
            )
            for f in ("gaussian", "moffat", "moments")
        ]
        theirs = best_time(lambda i=image, b=bins: upstream(i, b), 1)
        print(
            f"{n_y} x {n_x}, {bins:4d} bins: gaussian {ours[0]:.1f}, moffat {ours[1]:.1f}, moments "
            f"{ours[2]:.1f}; FitTrace gaussian {theirs:.0f}"
        )
    image = simulate(400, 2048, 2e4, rng)
    shared = ProfileTrace(image, 200, read_noise=READ_NOISE)
    shift = best_time(lambda: measure_profile_shift(image, shared, read_noise=READ_NOISE), 15)
    print(f"measure_profile_shift, 400 x 2048: {shift:.2f}")
    print(f"find_stars, 400 x 2048: {best_time(lambda: find_stars(image)):.1f}")
    print(f"profile of the whole frame: {best_time(shared.profile_image):.1f}")


if __name__ == "__main__":
    quick = sys.argv[1:] == ["--quick"]
    n_frames = 1 if quick else int((sys.argv[1:] or [24])[0])
    speed(*(([(100, 512, 32)], 1) if quick else ()))
    accuracy(n_frames, n_x=512 if quick else 2048)
    shifts(10 * n_frames)
