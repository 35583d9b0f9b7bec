"""What do the bug fixes change? The same lines run on the released and on the patched packages.

``compare.py`` runs this file; each function yields (what is measured, expected, found).
"""

import time
import warnings

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, VarianceUncertainty
from ccdproc import subtract_overscan
from scipy.special import ndtr
from specreduce.background import Background
from specreduce.extract import BoxcarExtract, HorneExtract
from specreduce.tracing import FitTrace, FlatTrace
from specreduce.wavecal1d import WavelengthCalibration1D
from specutils import Spectrum

READ_NOISE = 5.0


def attempt(measure):
    """Return what a function measures, or the name of the error that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what 1.9.0 warns of is not the question here
        try:
            return f"{measure():.4g}"
        except (IndexError, TypeError, ValueError) as error:
            return type(error).__name__


def milliseconds(measure, repeats=5):
    """Return the shortest of several processor times."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        measure()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def star(shape, row, width, flux=1e4):
    """Return a noiseless star, integrated over pixels."""
    y = np.arange(shape[0])[:, np.newaxis] * np.ones(shape[1])
    return flux * (ndtr((y + 0.5 - row) / width) - ndtr((y - 0.5 - row) / width))


def spectrum(data, variance, mask=None):
    """Return an image with variance as upstream takes it."""
    return Spectrum(
        data * u.electron,
        uncertainty=None if variance is None else VarianceUncertainty(variance * u.electron**2),
        mask=np.zeros(data.shape, bool) if mask is None else mask,
        spectral_axis=np.arange(data.shape[1]) * u.pix,
        spectral_axis_index=1,
    )


def overscan():
    """Yield what ccdproc 0001 changes."""
    spoilt = np.full((10, 30), 1000.0)
    spoilt[5, 25] = 6e4
    masked = CCDData(spoilt, unit="adu", mask=spoilt > 5e4)
    yield (
        "row with a masked overscan pixel of 6e4, adu",
        "0",
        attempt(lambda: subtract_overscan(masked, overscan=masked[:, 20:]).data[5, 0]),
    )
    nan = CCDData(np.where(spoilt > 5e4, np.nan, spoilt), unit="adu")
    yield (
        "row with a NaN in its overscan, adu",
        "0",
        attempt(lambda: subtract_overscan(nan, overscan=nan[:, 20:]).data[5, 0]),
    )
    data = np.random.default_rng(1).normal(1000, READ_NOISE, (2048, 2148))
    struck = data.copy()
    struck[900, 2110] = 6e4
    clean, hit = (CCDData(frame, unit="adu") for frame in (data, struck))

    def shift():
        try:
            row = subtract_overscan(hit, overscan=hit[:, 2048:], sigma_clip=5)
        except TypeError:  # the released one has no sigma_clip
            row = subtract_overscan(hit, overscan=hit[:, 2048:])
        return np.mean(
            (row.data - subtract_overscan(clean, overscan=clean[:, 2048:]).data)[900, :5]
        )

    yield (
        "shift of a row by a cosmic ray of 6e4 in 100 overscan columns, sigma_clip=5, adu",
        "0 +- 0.05",
        attempt(shift),
    )
    yield (
        "time for 2048 x 2148 without sigma_clip, ms",
        "as before",
        f"{milliseconds(lambda: subtract_overscan(clean, overscan=clean[:, 2048:])):.0f}",
    )


def traces():
    """Yield what specreduce 0001 changes."""
    data = star((120, 400), 60.0, 2.0)
    options = {"bins": 40, "peak_method": "centroid", "window": 15, "guess": 60}
    yield (
        "centroid of a star at row 60",
        "60",
        attempt(lambda: np.mean(FitTrace(spectrum(data, data + 25), **options).trace)),
    )
    edge = star((60, 400), 6.0, 2.0) + star((60, 400), 57.0, 2.0, flux=3e4)
    yield (
        "star at row 6 of 60, a brighter one at row 57, window 10",
        "6",
        attempt(
            lambda: np.mean(FitTrace(spectrum(edge, edge + 25), bins=40, window=10, guess=6).trace)
        ),
    )
    top = star((60, 400), 54.0, 2.0)
    yield (
        "star at row 54 of 60, window 10",
        "54",
        attempt(
            lambda: np.mean(FitTrace(spectrum(top, top + 25), bins=40, window=10, guess=54).trace)
        ),
    )
    yield (
        "bins made for disp_bounds=(200, 400)",
        "200",
        attempt(
            lambda: len(
                FitTrace(
                    spectrum(star((60, 500), 30.0, 2.0), None), disp_bounds=(200, 400), guess=30
                )._bin_peaks[0]
            )
        ),
    )


def background():
    """Yield what specreduce 0002 changes."""
    flat, half = np.ones((60, 50)), np.zeros((60, 50), bool)
    half[20:30] = True
    masked = spectrum(flat, np.full(flat.shape, 100.0), half)
    yield (
        "variance of a mean over 20 rows of variance 100, half of them masked",
        "10",
        attempt(
            lambda: np.median(
                Background(masked, [FlatTrace(flat, 29.5)], width=20, sigma=None)
                .bkg_spectrum()
                .uncertainty.array
            )
        ),
    )
    rng = np.random.default_rng(2)
    noise = 1000 + rng.normal(0, np.sqrt(1000), (120, 500))
    for given in ("Spectrum", "array"):
        image = spectrum(noise, None) if given == "Spectrum" else noise

        def boxcar(image=image):
            trace = FlatTrace(image, 60)
            sky = Background.two_sided(image, trace, 30, width=20)
            found = BoxcarExtract(sky.sub_image(), trace, width=11).spectrum
            return np.median(found.uncertainty.array)

        yield (
            f"variance of 11 rows of variance 1000 minus background, {given} without uncertainty",
            "11275",
            attempt(boxcar),
        )
    dead = np.zeros((60, 50), bool)
    dead[:, 10] = True
    yield (
        "sky said, without a mask, of a column that is all masked (nan: none said)",
        "nan",
        attempt(lambda: _sky_of_dead_column(flat)),
    )


def _sky_of_dead_column(flat):
    """Return the background of a column that is all masked, masked where it says so."""
    dead = np.zeros(flat.shape, bool)
    dead[:, 10] = True
    sky = Background(spectrum(flat, flat, dead), [FlatTrace(flat, 29.5)], width=20, sigma=None)
    found = sky.bkg_spectrum()
    mask = False if found.mask is None else found.mask
    return np.ma.array(found.flux.value, mask=mask)[10:11].filled(np.nan)[0]


def wavelengths():
    """Yield what specreduce 0003 changes."""
    listed = np.arange(5000.0, 5501, 100)

    def calibrate():
        found = WavelengthCalibration1D(
            obs_lines=[listed - 4900],
            line_lists=[np.ma.masked_array(listed, mask=[0, 1, 0, 0, 0, 0])],
            pix_bounds=(0, 1000),
            ref_pixel=300.0,
        )
        found.fit_lines([100.0, 600.0], [5000.0, 5500.0], degree=1, refine_fit=False)
        return found

    yield (
        "rms of exact lines, one list entry masked, angstrom",
        "0",
        attempt(lambda: calibrate().rms()),
    )
    rng = np.random.default_rng(3)
    pixels = np.linspace(20, 980, 40)
    seen = pixels + rng.normal(0, 0.05, 40)
    seen[7] += 4.0  # a blend

    def refine():
        found = WavelengthCalibration1D(
            obs_lines=[seen],
            line_lists=[5000 + pixels],
            pix_bounds=(0, 1000),
            ref_pixel=500.0,
        )
        found.fit_lines([20.0, 500.0, 980.0], [5020.0, 5500.0, 5980.0], degree=2, refine_fit=False)
        try:
            found.refine_fit(degree=3, sigma=4)
        except TypeError:  # the released one has no sigma
            found.refine_fit(degree=3)
        x = np.linspace(0, 1000, 200)
        return np.abs(found.solution.pix_to_wav(x) - (5000 + x)).max()

    yield "largest error with one of 40 lines off by 4 angstrom, angstrom", "< 0.1", attempt(refine)


def horne():
    """Yield what specreduce 0004 changes."""
    square = star((64, 64), 30.0, 2.0)

    def extract():
        image = CCDData(square, unit="adu", uncertainty=VarianceUncertainty(square + 25))
        return np.median(HorneExtract(image, FlatTrace(square, 30.0)).spectrum.flux.value)

    yield "flux in a square image of a star of 1e4", "1e4", attempt(extract)
    data = star((60, 80), 30.0, 2.0)

    def changed():
        variance = data + 25
        variance[:, 5] = 0.0
        image = CCDData(data, unit="adu", uncertainty=VarianceUncertainty(variance))
        HorneExtract(image, FlatTrace(image, 30.0)).spectrum  # noqa: B018
        return np.sum(~np.isfinite(image.uncertainty.array))

    yield "NaN written into the caller's uncertainty", "0", attempt(changed)


TOPICS = {
    "ccdproc 0001": overscan,
    "specreduce 0001": traces,
    "specreduce 0002": background,
    "specreduce 0003": wavelengths,
    "specreduce 0004": horne,
}
