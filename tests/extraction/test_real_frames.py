"""What does extraction make of frames that were taken at telescopes?"""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import median_filter

from slitlapse.extraction import PixelNoise, RowWindow, boxcar_sums, optimal_sums
from slitlapse.sky import fit_columns
from slitlapse.trace import ProfileTrace, measure_profile_shift


def extract(frame, trace, read_noise, half_width, *, bad=None, others=(), free=14, shift=None):
    """Subtract a straight sky beside the star and extract, optimal and boxcar."""
    offset, factor = (0.0, 1.0) if shift is None else (shift.offset, shift.width_factor)
    centre = np.asarray(trace.trace) + offset
    rows = np.arange(max(int(centre.min()) - 45, 0), min(int(centre.max()) + 46, len(frame)))
    band, apart = frame[rows], rows[:, None] - centre
    masked = np.zeros(band.shape, bool) if bad is None else bad[rows]
    beside = (np.abs(apart) > free) & (np.abs(apart) < 42) & ~masked
    for other in others:
        beside &= np.abs(rows[:, None] - np.asarray(other.trace)) > free
    fit = fit_columns(band, beside, read_noise**2, rows=rows, degree=1)
    sky = fit.evaluate(rows)
    window = RowWindow.around(centre - rows[0], 13, len(rows))
    noise = PixelNoise(
        read_noise, sky, aperture_variance=lambda weights: fit.aperture_variance(weights, rows)
    ).cut(window)
    data, masked = window.cut(band - sky), window.cut(masked) | window.outside
    seen = window.rows + rows[0]
    profile = trace.profile(seen, offset, factor)
    optimal = optimal_sums(data, profile, noise, masked)
    boxcars = [
        boxcar_sums(data, seen, centre, [half_width], profile, noise, mask)
        for mask in (masked, masked | optimal.rejected)
    ]
    return optimal, *boxcars


def test_kast_agrees_with_a_published_reduction(real_data):
    folder = real_data / "lick_kast_blue_2015"

    def electrons(name):
        raw = fits.getdata(folder / f"{name}.fits.gz").astype(float)
        level = [np.median(raw[:, a:b], axis=1)[:, None] for a, b in ((2050, 2080), (2082, 2112))]
        halves = [raw[:, :1024] - level[0], raw[:, 1024:2048] - level[1]]
        return np.hstack([1.21 * halves[0], 1.25 * halves[1]])

    frame = electrons("b27") - np.mean([electrons(f"b2{i}") for i in (1, 2, 3)], axis=0)
    published = Table.read(folder / "reference" / "spec1d_b27.fits.gz", hdu=1)
    published = {name: np.asarray(published[name]) for name in published.colnames}
    trace = ProfileTrace(frame, guess=174.0, read_noise=3.5)
    half = np.median(published["BOX_NPIX"]) / 2
    optimal, _, boxcar = extract(frame, trace, 3.5, half)
    good = published["OPT_MASK"] & published["BOX_MASK"] & (np.arange(2048) > 100)
    for ours, name in ((optimal, "OPT"), (boxcar, "BOX")):
        theirs, sigma = published[f"{name}_COUNTS"], published[f"{name}_COUNTS_SIG"]
        assert abs(np.median(ours.flux[0][good] / theirs[good]) - 1) < 0.05
        claim = np.median((ours.flux[0] / np.sqrt(ours.variance[0]))[good])
        assert abs(claim / np.median((theirs / sigma)[good]) - 1) < 0.10


def test_sprat_exposures_scatter_as_quoted_but_the_slit_does_not(real_data):
    folder, read_noise = real_data / "lt_sprat_2018", 7.35
    frames = []
    for number in range(1, 6):
        raw = fits.getdata(folder / f"v_e_20180810_12_{number}_0_0.fits.gz").astype(float)
        frames.append(2.45 * (raw - np.median(raw[2:34])))
    mean = np.median(frames, axis=0)
    trace, other = (ProfileTrace(mean, guess=row, read_noise=read_noise) for row in (128.0, 73.0))
    flux, variance = [], []
    for frame in frames:
        shift = measure_profile_shift(frame, trace, read_noise=read_noise)
        optimal, _, _ = extract(frame, trace, read_noise, 6.0, others=[other], shift=shift)
        flux.append(optimal.flux[0, 400:900])
        variance.append(optimal.variance[0, 400:900])
    flux, variance = np.array(flux), np.array(variance)
    throughput = 5 * flux.sum(axis=1, keepdims=True) / flux.sum()
    pull = (flux / throughput - np.mean(flux / throughput, axis=0)) * throughput
    pull = pull / np.sqrt(variance * 4 / 5)
    # columns scatter as quoted (2500 of them: 1.4 %; gain and read noise are known to 5 %) ...
    assert abs(pull.std() - 1) < 0.05 + 4 / np.sqrt(2 * 4 * 500)
    # ... but all columns together move by far more than photons do: light lost at the slit
    white = throughput.std(ddof=1)
    quoted = np.mean(np.sqrt(variance.sum(axis=1)) / flux.sum(axis=1))
    assert quoted < 0.0015
    assert 5 * quoted < white < 0.03


@pytest.mark.parametrize("name", ["2022-01-27T02-31-32.701", "2022-01-27T04-46-29.093"])
def test_efosc2_cosmic_rays_leave_no_spike_in_the_boxcar(real_data, name):
    folder = real_data / "ntt_efosc2_2022"
    biases = [
        fits.getdata(folder / f"EFOSC.2022-01-26T19-{time}.fits.gz").astype(float)
        for time in ("02-38.210", "03-08.542", "03-39.513", "04-10.535")
    ]
    raw = fits.getdata(folder / f"EFOSC.{name}.fits.gz").astype(float)
    bad = (raw >= 65000)[:1020].T
    frame = (1.2 * (raw - np.median(biases, axis=0)))[:1020].T
    trace = ProfileTrace(frame, guess=545.0, read_noise=12.0, mask=bad)
    _, struck, marked = extract(frame, trace, 12.0, 8.0, bad=bad)

    def spikes(sums):
        flux = np.nan_to_num(sums.flux[0])
        pull = ((flux - median_filter(flux, 15)) / np.sqrt(sums.variance[0]))[200:1000]
        usual = 1.4826 * np.median(np.abs(pull - np.median(pull)))
        return np.sum(pull / max(usual, 1) > 5)

    assert spikes(struck) >= 5
    assert spikes(marked) == 0
