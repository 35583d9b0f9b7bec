"""
How wrong is the sky under a star, and how long does it take?

Two stars on a slit of 400 rows and 2048 columns, lines tilted and curved by 6 pixels, 10 % of
gradient and 2 % of bow in the slit's illumination, 360 cosmic rays per million pixels: the
set-up of the comparison of peers. Run it with ``python tests/benchmarks/bench_sky.py``
(``--quick``: one exposure of a quarter of the columns, to see that it runs).

For each model it prints the milliseconds once and per exposure (process time), the residuals
beside the stars over the photon noise (all, on lines), and for each star the error of the sky
summed over 17 rows: over the noise of the sum with the star's photons (all columns, on lines),
over the noise of the sky alone (the same), and over the error that the model tells.

The error of one spectrum is that of the photons of the 310 rows that show sky (pulls of 1), shared
by 1 / 0.9 knots per pixel. Lines of 30000 electrons decide how far apart knots may be: with cubic
splines it was 0.75 pixels, whose noise was 0.22 on lines under the second star (its own noise is
less than that of the first, as it is fainter), and one knot per pixel made 0.24; quintic splines
are as exact with knots of 0.9 pixels.
"""

import sys
import time

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty
from specreduce.background import Background
from specreduce.tracing import ArrayTrace

from slitlapse.sky import SkyGeometry, SkyWindows, fit_columns, supersampled_median
from slitlapse.sky.simulate import sky_scene

EDGE = 10


def judge(scene, model, good, hit, aperture_variance=None):
    """Return residuals beside the stars, and the errors of the column sums."""
    noise = np.sqrt(scene.sky + scene.read_noise**2)
    line = scene.sky > 1.5 * np.median(scene.sky)
    y = np.arange(len(scene.sky))[:, np.newaxis]
    beside = scene.far_from_stars(22) & (np.abs(y - scene.traces[0]) < 60) & good & ~hit
    inner = np.zeros(scene.sky.shape[1], dtype=bool)
    inner[EDGE:-EDGE] = True
    beside &= inner
    return noise, line, beside, inner


def measure(scene, exposures, name, prepare, fit):
    """Time and judge one model over several exposures, and print a row."""
    data = scene.observe(np.random.default_rng(1000))[0]
    start = time.process_time()
    state = prepare(data)
    once, times, rows = time.process_time() - start, [], []
    for seed in range(exposures):
        data, hit = scene.observe(np.random.default_rng(seed))
        start = time.process_time()
        model, variance_of = fit(state, data)
        times.append(time.process_time() - start)
        good = np.isfinite(model)
        model = np.where(good, model, 0.0)
        noise, line, beside, inner = judge(scene, model, good, hit)
        pull = (data - model) / noise
        row = [pull[beside].std(), pull[beside & line].std()]
        for star in range(len(scene.traces)):
            aperture = scene.aperture(star)
            error = np.sum(aperture * (model - scene.sky), axis=0)
            on = inner & (np.sum(aperture * line, axis=0) > 8)
            for variance in (scene.variance, noise**2):
                total = error / np.sqrt(np.sum(aperture * variance, axis=0))
                row += [total[inner].std(), total[on].std()]
            told = np.sqrt(variance_of(aperture)) if variance_of else np.nan
            row.append((error / told)[inner].std())
        rows.append(row)
    text = " ".join(f"{value:6.3f}" for value in np.mean(rows, axis=0))
    print(f"{name:34s} {1e3 * once:7.0f} {1e3 * min(times):7.1f} {text}", flush=True)
    return np.mean(rows, axis=0)


def upstream(scene):
    """Return how specreduce's two-sided background is used, for both stars."""

    def fit(_, data):
        noise = StdDevUncertainty(np.sqrt(np.maximum(data, 0) + scene.read_noise**2))
        image = CCDData(data, unit="electron", uncertainty=noise)
        model = np.full(data.shape, np.nan)
        y = np.arange(len(data))[:, np.newaxis]
        for position in scene.traces:
            sky = Background.two_sided(image, ArrayTrace(image, position), 34, width=24)
            near = np.abs(y - position) < 60
            model = np.where(near & np.isnan(model), sky.bkg_image().flux.value, model)
        return model, None

    return fit


def compare(brightest, exposures=4, **size):
    """Print the table for a brightest line of so many electrons per row."""
    scene = sky_scene(rng=np.random.default_rng(3), brightest=brightest, **size)
    print(f"\nbrightest line {brightest:.0f} electron per row, {scene.sky.max():.0f} in a pixel")
    sky, read = scene.far_from_stars(22), scene.read_noise**2
    rows = np.arange(len(scene.sky))

    def splines(**options):
        def prepare(data):
            geometry = SkyGeometry(scene.effective_pixel, sky, **options)
            return geometry.weighted(geometry.fit(data, read).variance)

        return prepare

    def one_spectrum(data):
        geometry = splines()(data)
        return geometry.with_illumination(geometry.fit(data, read))

    def by_splines(geometry, data):
        fit = geometry.fit(data, read)
        return np.where(fit.good, fit.model, np.nan), fit.aperture_variance

    def by_columns(degree):
        def fit(_, data):
            model, variance = np.full(data.shape, np.nan), {}
            for star, position in enumerate(scene.traces):
                windows = SkyWindows([[-46, -22], [22, 46]])
                local = windows.mask(data.shape, position, np.delete(scene.traces, star, axis=0))
                used = np.flatnonzero(local.any(axis=1))
                part = slice(used[0], used[-1] + 1)
                found = fit_columns(data[part], local[part], read, rows=rows[part], degree=degree)
                variance[star] = found, part
                near = np.abs(rows[:, np.newaxis] - position) < 60
                model = np.where(near & np.isnan(model), found.evaluate(rows), model)

            def variance_of(weights):
                star = int(weights[int(np.rint(scene.traces[0, 0])), 0] == 0)
                found, part = variance[star]
                return found.aperture_variance(weights[part], rows[part])

            return model, variance_of

        return fit

    def by_median(_, data):
        return supersampled_median(data, scene.effective_pixel, sky).evaluate(
            scene.effective_pixel
        ), None

    print(" " * 34, "once ms  each ms  resid  lines | star 1: all lines, sky only, pull | star 2")
    measure(scene, exposures, "splines x quadratic", splines(), by_splines)
    measure(scene, exposures, "one spectrum x illumination", one_spectrum, by_splines)
    measure(
        scene, exposures, "columns beside each star, degree 2", lambda data: None, by_columns(2)
    )
    measure(
        scene, exposures, "columns beside each star, degree 1", lambda data: None, by_columns(1)
    )
    measure(scene, exposures, "running median, 0.5 px", lambda data: None, by_median)
    measure(scene, exposures, "specreduce two-sided average", lambda data: None, upstream(scene))


if __name__ == "__main__":
    if sys.argv[1:] == ["--quick"]:
        compare(1500.0, 1, shape=(400, 512), n_lines=30)
    else:
        for brightest in (1500.0, 30000.0):
            compare(brightest)
