"""What do the features do better than what upstream has? Both, on the same simulated frames.

``compare.py`` runs this file with the patched packages; each function yields (what is measured,
with upstream's code as it is, with the feature). Times are processor times on one core.
"""

import socket
import warnings

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from ccdproc import create_deviation, gain_correct, subtract_overscan, trim_image
from ccdproc.amplifier import Amplifier
from ccdproc.process_amplifiers import process_amplifiers
from compare_fixes import milliseconds, spectrum, star
from specreduce.background import Background
from specreduce.calibration_data import load_pypeit_calibration_lines
from specreduce.extract import BoxcarExtract, HorneExtract
from specreduce.lamp_lines import KNOWN_LAMPS, lamp_line_list
from specreduce.pixel_noise import PixelNoise
from specreduce.polynomial_background import PolynomialBackground
from specreduce.profile_extract import ProfileExtract
from specreduce.profile_trace import ProfileTrace
from specreduce.spline_sky import SplineSky
from specreduce.tracing import ArrayTrace, FitTrace, FlatTrace

READ_NOISE = 5.0


def rms(values):
    """Return the root of the mean square."""
    return np.sqrt(np.mean(np.square(values)))


def amplifiers():
    """Yield ccdproc 0002: a frame of two amplifiers, 4096 rows of 2 x (1024 + 50) columns."""
    rng = np.random.default_rng(1)
    gains, levels = (1.2, 1.5), (1000.0, 1400.0)
    truth = rng.poisson(50.0, (4096, 2048)).astype(float)
    drift = 2 * np.sin(np.arange(4096) / 900)[:, np.newaxis]
    raw = np.empty((4096, 2148))
    for i, (gain, level) in enumerate(zip(gains, levels, strict=True)):
        data, blank = np.s_[:, 1024 * i : 1024 * (i + 1)], np.s_[:, 2048 + 50 * i : 2098 + 50 * i]
        raw[data] = truth[data] / gain + level + drift
        raw[blank] = level + drift
    ccd = CCDData(np.round(raw + rng.normal(0, 4.0, raw.shape)), unit="adu")
    adu = u.electron / u.adu
    parts = [
        Amplifier(
            f"[{1024 * i + 1}:{1024 * (i + 1)},1:4096]",
            f"[{2049 + 50 * i}:{2098 + 50 * i},1:4096]",
            gain=gain * adu,
            read_noise=4.0 * gain * u.electron,
        )
        for i, gain in enumerate(gains)
    ]

    def by_hand():
        halves = []
        for i, gain in enumerate(gains):
            half = ccd[:, 1024 * i : 1024 * (i + 1)]
            blank = ccd[:, 2048 + 50 * i : 2098 + 50 * i]
            half = trim_image(subtract_overscan(half, overscan=blank))
            options = {"gain": gain * adu, "readnoise": 4.0 * gain * u.electron}
            half = create_deviation(half, disregard_nan=True, **options)
            halves.append(gain_correct(half, gain * adu))
        flux = np.hstack([half.data for half in halves])
        return CCDData(
            flux,
            unit=u.electron,
            uncertainty=type(halves[0].uncertainty)(
                np.hstack([half.uncertainty.array for half in halves])
            ),
        )

    def together():
        return process_amplifiers(ccd, parts)

    found = [make() for make in (by_hand, together)]
    rows = [rms(np.mean((frame.data - truth)[:, :1024], axis=1)) for frame in found]
    yield "error of a row's level, rms, electron", *(f"{row:.2f}" for row in rows)
    times = [milliseconds(make, 3) for make in (by_hand, together)]
    yield "time with uncertainty, ms", *(f"{ms:.0f}" for ms in times)


def traces():
    """Yield specreduce 0006: a tilted star whose width changes, with and without cosmic rays."""
    rng = np.random.default_rng(2)
    x = np.arange(2048)
    centre, width = 60 + 0.004 * (x - 1000), 1.6 + 0.8 * x / 2048
    light = star((120, 2048), centre, width, 2e4)
    clean = rng.poisson(light + 50) + rng.normal(0, READ_NOISE, light.shape)
    hit = clean.copy()
    columns = rng.choice(2048, 60, replace=False)  # 3 %
    hit[np.clip((centre[columns] + rng.uniform(-14, 14, 60)).astype(int), 0, 119), columns] += 5e4
    noise = light + 50 + READ_NOISE**2

    def upstream(data, bins=256):
        options = {"bins": bins, "peak_method": "gaussian", "window": 15, "guess": 60}
        return FitTrace(spectrum(data - 50, noise), **options)

    def feature(data):
        options = {"guess": 60, "profile": "gaussian", "read_noise": READ_NOISE}
        return ProfileTrace(data, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in (("no cosmic rays", clean), ("cosmic rays in 3 % of columns", hit)):
            found = [upstream(data), feature(data)]
            errors = [np.abs(one.trace - centre).max() for one in found]
            yield f"largest error of the centre, {name}, pixel", *(f"{e:.4f}" for e in errors)
        pulls = (found[1].trace - centre) / found[1].trace_uncertainty
        yield "error of the centre over its reported one, rms", "no error", f"{rms(pulls):.2f}"
        worst = np.abs(found[1].width / width - 1).max()
        yield "largest error of the width", "no width", f"{100 * worst:.2f} %"
        times = [milliseconds(lambda: upstream(clean), 2), milliseconds(lambda: feature(clean), 2)]
    yield "time for 120 x 2048 (FitTrace: 256 bins), ms", *(f"{ms:.0f}" for ms in times)


def backgrounds():
    """Yield specreduce 0007: a sky that is not even along the slit."""
    rng = np.random.default_rng(3)
    y = np.arange(200.0)[:, np.newaxis]

    def exposure(bow):
        sky = 1000 * (1 + 0.001 * (y - 100) + bow * (y - 100) ** 2) * np.ones(2000)
        data = rng.poisson(sky) + rng.normal(0, READ_NOISE, sky.shape)
        return sky, data, spectrum(data, sky + READ_NOISE**2)

    def upstream(image, side="two_sided"):
        return getattr(Background, side)(image, FlatTrace(image, 100), 40, width=20)

    def feature(image, side="two_sided", degree=1):
        make = getattr(PolynomialBackground, side)
        options = {"width": 20, "degree": degree, "read_noise": READ_NOISE}
        return make(image, FlatTrace(image, 100), 40, **options)

    for side, kind, bow, degree in (
        ("one_sided", "10 % slope per 100 rows", 0.0, 1),
        ("two_sided", "slope and 5 % curvature", 5e-6, 2),
    ):
        sky, data, image = exposure(bow)
        both = [upstream(image, side), feature(image, side, degree)]
        bias = [np.mean(b.bkg_image().flux.value[100] - 1000.0) / 10 for b in both]
        yield f"bias of the sky under the star, {side}, {kind}", *(f"{b:.2f} %" for b in bias)
    sky, data, image = exposure(0.0)
    for row, half in ((11, 5), (21, 10)):
        window = np.abs(y - 100) <= half
        both = [upstream(image), feature(image)]
        scatter = [np.std(np.sum((data - b.bkg_image().flux.value) * window, axis=0)) for b in both]
        reported = BoxcarExtract(both[0].sub_image(), FlatTrace(image, 100), width=row)
        reported = reported.spectrum.uncertainty.array
        inside = np.sum((sky + READ_NOISE**2) * window, axis=0)
        weights = window * np.ones(data.shape)
        honest = inside + both[1].aperture_variance(weights)
        ratios = np.sqrt(np.median(reported)) / scatter[0], np.sqrt(np.median(honest)) / scatter[1]
        yield f"reported over true error of {row} rows", *(f"{r:.2f}" for r in ratios)
    times = [milliseconds(lambda: make(image).bkg_image(), 3) for make in (upstream, feature)]
    yield "time for 200 x 2000, ms", *(f"{ms:.0f}" for ms in times)


def skies():
    """Yield specreduce 0008: tilted sky lines under a star."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:200, :1000].astype(float)
    effective = x - 0.03 * (y - 100)  # 6 pixels along the slit
    sky = np.full(x.shape, 100.0)
    for line in np.arange(40.5, 1000, 53.3):
        at = (effective - line) / 1.5
        sky += 1e4 * 10 ** rng.uniform(-1.5, 0.5) * np.exp(-0.5 * at**2)
    sky *= 1 + 0.0005 * (y - 100)
    noise = np.sqrt(sky + READ_NOISE**2)
    data = rng.poisson(sky + star(x.shape, 100.0, 2.0)) + rng.normal(0, READ_NOISE, sky.shape)
    image = spectrum(data, noise**2)
    window = np.abs(y[:, 0] - 100) <= 5
    total = np.sqrt(np.sum(noise[window] ** 2, axis=0))
    lines = sky[100] > 1000

    def upstream():
        return Background.two_sided(image, FlatTrace(image, 100), 40, width=40).bkg_image()

    def feature():
        exclude = [(100, 15)]
        return SplineSky(
            data, effective, exclude=exclude, spatial_degree=1, read_noise=READ_NOISE
        ).bkg_image()

    residuals = [
        np.sum((make().flux.value - sky)[window], axis=0) / total for make in (upstream, feature)
    ]
    for where, name in ((lines, "in bright lines"), (~lines, "elsewhere")):
        values = [rms(r[where]) for r in residuals]
        yield f"error of the sky in 11 rows over their noise, {name}", *(f"{v:.2f}" for v in values)
    times = [milliseconds(make, 3) for make in (upstream, feature)]
    yield "time for 200 x 1000, ms", *(f"{ms:.0f}" for ms in times)


def horne(data, variance, trace):
    """Return upstream's optimal extraction of a sky-subtracted image."""
    found = HorneExtract(spectrum(data, variance), trace).spectrum.flux.value
    return np.asarray(found, float)


def extractions():
    """Yield specreduce 0009: stars of 2e4 electrons a column, sky 50."""
    rng = np.random.default_rng(5)
    x = np.arange(2000)
    shape, noise = (60, 2000), PixelNoise(read_noise=READ_NOISE, sky=50.0)
    tilted = 30 + 0.004 * (x - 1000)

    def both(data, light, centre, width):
        trace = ArrayTrace(data, centre)
        upstream = horne(data, light + 50 + READ_NOISE**2, trace)
        return upstream, ProfileExtract(data, trace, width=width, noise=noise).spectrum

    def noisy(light):
        return rng.poisson(light + 50) - 50 + rng.normal(0, READ_NOISE, light.shape)

    for name, width in (("tilted star", 1.7), ("width 1.6 to 2.4 pixels", 1.6 + 0.8 * x / 2000)):
        light = star(shape, tilted, width, 2e4)
        upstream, feature = both(light, light, tilted, width)
        found = [upstream, feature.flux.value]
        worst = [100 * np.abs(f / 2e4 - 1).max() for f in found]
        yield f"largest error of the flux without noise, {name}", *(f"{w:.1g} %" for w in worst)
    light = star(shape, tilted, 1.7, 2e4)
    even = horne(light, np.full(shape, 25.0), ArrayTrace(light, tilted))
    yield "the same, tilted star, variance even", f"{100 * np.abs(even / 2e4 - 1).max():.1g} %", "-"
    second = light + star(shape, tilted + 15, 1.7, 1e4)
    pair = [ArrayTrace(second, tilted), ArrayTrace(second, tilted + 15)]
    upstream = horne(second, second + 75, pair[0])
    feature = ProfileExtract(second, pair, width=[1.7, 1.7], noise=noise).spectrum[0].flux.value
    yield (
        "flux of a star of 20000 with one of 10000 beside it, 15 pixels off",
        f"{np.median(upstream):.0f}",
        f"{np.median(feature):.0f}",
    )
    data = noisy(light)
    hit = data.copy()
    hit[32, ::20] += 2e4
    upstream, feature = both(hit, light, tilted, 1.7)
    sigma = np.median(feature.uncertainty.array)
    bias = [np.median((f - 2e4)[::20]) / sigma for f in (upstream, feature.flux.value)]
    yield "error of columns with a hit of 20000 electrons, sigma", *(f"{b:.1f}" for b in bias)
    upstream, feature = both(data, light, tilted, 1.7)
    pulls = (feature.flux.value - 2e4) / feature.uncertainty.array
    error = HorneExtract(spectrum(data, light + 75), ArrayTrace(data, tilted)).spectrum.uncertainty
    ratio = np.std(upstream) / np.sqrt(np.median(error.array))
    yield "scatter over reported error", f"{ratio:.2f}", f"{np.std(pulls):.2f}"
    trace = ArrayTrace(data, tilted)
    times = (
        milliseconds(lambda: horne(data, light + 75, trace), 2),
        milliseconds(lambda: ProfileExtract(data, trace, width=1.7, noise=noise).spectrum, 2),
    )
    yield "time for 60 x 2000, ms", *(f"{ms:.0f}" for ms in times)


def lists():
    """Yield specreduce 0010: line lists where nothing can be downloaded."""

    class NoNetworkError(OSError):
        """What a machine without a network says."""

    def refuse(*args, **kwargs):
        raise NoNetworkError("no network")

    kept, socket.socket.connect = socket.socket.connect, refuse
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            upstream = load_pypeit_calibration_lines("HeI", cache=False)
        feature = lamp_line_list("He")
        lines = sum(len(lamp_line_list(lamp)) for lamp in KNOWN_LAMPS)
        time = milliseconds(lambda: lamp_line_list("HeNeAr"), 3)
    finally:
        socket.socket.connect = kept
    yield "lines of helium without a network", str(upstream), f"{len(feature)}"
    yield f"lines of all {len(KNOWN_LAMPS)} lamps without a network", "None", f"{lines}"
    yield "time to load three lamps, ms", "-", f"{time:.0f}"


TOPICS = {
    "ccdproc 0002": amplifiers,
    "specreduce 0006": traces,
    "specreduce 0007": backgrounds,
    "specreduce 0008": skies,
    "specreduce 0009": extractions,
    "specreduce 0010": lists,
}
