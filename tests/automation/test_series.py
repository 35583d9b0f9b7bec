import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time
from PIL import Image

from slitlapse.automation import SpectralTimeSeries


def make_series(n_wave=60, n_time=8, rng=None, level=1000.0, start=4000.0, name="A"):
    wave = (start + 2 * np.arange(n_wave)) * u.AA
    spectrum = level * (1 + 0.5 * np.sin(np.arange(n_wave) / 7))
    truth = np.repeat(spectrum[:, None], n_time, axis=1)
    flux = truth if rng is None else rng.poisson(truth).astype(float)
    time = Time(2460000.5 + np.arange(n_time) / 100, format="jd", scale="tdb")
    return SpectralTimeSeries(
        QTable({"wavelength": wave, "pixel": np.arange(n_wave, dtype=float)}),
        QTable({"time": time, "airmass": 1 + np.arange(n_time) / 10}),
        {
            "flux": flux * u.electron,
            "uncertainty": np.sqrt(truth) * u.electron,
            "sky": 10 * np.ones_like(truth) * u.electron,
            "variance_star": truth * u.electron**2,
            "variance_read": 0 * truth * u.electron**2,
        },
        metadata={"star": name, "medium": "air"},
    )


def test_wavelength_comes_first_and_time_second():
    series = make_series()
    assert series.flux.shape == (60, 8) == series.shape
    assert series.wavelength.shape == (60,) and series.time.shape == (8,)
    assert not series.mask.any()


def test_a_wrong_shape_is_refused():
    series = make_series()
    with pytest.raises(ValueError, match="wavelength is the first axis"):
        SpectralTimeSeries(
            series.wavelike, series.timelike, {k: v.T for k, v in series.fluxlike.items()}
        )


def test_what_is_required_is_asked_for():
    series = make_series()
    with pytest.raises(ValueError, match="'uncertainty'"):
        SpectralTimeSeries(series.wavelike, series.timelike, {"flux": series.flux})
    with pytest.raises(ValueError, match="astropy Time"):
        SpectralTimeSeries(series.wavelike, QTable({"time": np.arange(8)}), series.fluxlike)


def test_binning_keeps_the_light_and_the_variance():
    series = make_series(rng=np.random.default_rng(2))
    edges = [3999, 4031.3, 4077.7, 4119] * u.AA
    binned = series.bin(wavelength=edges)
    assert np.allclose(binned.flux.sum(axis=0), series.flux.sum(axis=0), rtol=1e-10)
    one = series.bin(wavelength=60)
    assert np.allclose(one.uncertainty**2, (series.uncertainty**2).sum(axis=0), rtol=1e-10)
    total = sum(v for k, v in one.fluxlike.items() if k.startswith("variance_"))
    assert np.allclose(total, one.uncertainty**2, rtol=1e-10)


def with_sky_fit(series, correlation):
    """The same with a sky whose errors in neighbouring columns go together."""
    sky = np.full(series.shape, 500.0) * u.electron**2
    fluxlike = series.fluxlike | {
        "variance_skyfit": sky,
        "uncertainty": np.sqrt(series.uncertainty**2 + sky),
    }
    wavelike = series.wavelike.copy()
    for lag, values in enumerate(correlation, start=1):
        wavelike[f"skyfit_correlation_{lag}"] = np.full(len(wavelike), values)
    return SpectralTimeSeries(wavelike, series.timelike, fluxlike)


def test_a_bin_knows_that_errors_of_the_sky_go_together():
    plain, series = make_series(), with_sky_fit(make_series(), [-0.3, 0.1])
    sky = series.bin(wavelength=60).fluxlike["variance_skyfit"]
    assert np.allclose(sky.value, 500 * (60 + 2 * (-0.3 * 59 + 0.1 * 58)))
    whole = series.bin(wavelength=60).uncertainty ** 2
    assert np.allclose(whole, plain.bin(wavelength=60).uncertainty ** 2 + sky, rtol=1e-12)
    # in time there is nothing in common, nor between pixels that were not neighbours
    assert np.allclose(series.bin(time=8).fluxlike["variance_skyfit"].value, 8 * 500)
    apart = series[::3].bin(wavelength=20).fluxlike["variance_skyfit"]
    assert np.allclose(apart.value, 20 * 500)
    every_second = series[::2].bin(wavelength=30).fluxlike["variance_skyfit"]
    assert np.allclose(every_second.value, 500 * (30 + 2 * 0.1 * 29))


def test_binned_noise_is_what_the_uncertainty_says():
    rng = np.random.default_rng(3)
    binned = make_series(n_time=400, rng=rng).bin(wavelength=17.3 * u.AA)
    pulls = (binned.flux - binned.flux.mean(axis=1, keepdims=True)) / binned.uncertainty
    n = pulls.size
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * n)


def test_a_bin_that_is_mostly_masked_is_masked():
    series = make_series()
    series.mask[:40, 3] = True
    assert series.bin(wavelength=60).mask.tolist() == [[i == 3 for i in range(8)]]


def test_bins_past_the_end_of_the_spectrum_are_masked():
    binned = make_series().bin(wavelength=[3900, 4010, 4050] * u.AA)
    assert binned.mask[0].all() and not binned.mask[1].any()


def test_binning_in_time_adds_exposures():
    series = make_series()
    binned = series.bin(time=4)
    assert np.allclose(binned.flux, 4 * series.flux[:, :2], rtol=1e-10)
    assert np.allclose(binned.timelike["airmass"], [1.15, 1.55])
    assert np.allclose((binned.time - series.time[0]).to_value("day"), [0.015, 0.055])
    by_width = series.bin(time=0.04 * u.day)
    assert np.allclose(by_width.flux, binned.flux)


def test_edges_in_time_split_exposures_and_keep_the_sum():
    series = make_series(rng=np.random.default_rng(8))
    seconds = 864.0  # from one exposure to the next
    series.timelike["exposure_time"] = np.full(8, 800.0) * u.s
    cuts = [-500, 0, 1000, 3100.5, 3101, 7000]  # the first is before all, 0 is a middle
    binned = series.bin(time=series.time[0] + cuts * u.s)
    assert np.allclose(binned.flux.sum(axis=1), series.flux.sum(axis=1), rtol=1e-10, atol=0)
    assert binned.shape == (60, 5)
    fine = 1e-7  # these times are Julian days in one number: 40 microseconds of 800 seconds
    assert np.allclose(binned.flux[:, 0], series.flux[:, 0] / 2, rtol=fine)
    # of the second exposure, from 464 to 1264 s, the part before 1000 s
    part = (1000 - (seconds - 400)) / 800
    expected = series.flux[:, 0] / 2 + part * series.flux[:, 1]
    assert np.allclose(binned.flux[:, 1], expected, rtol=fine)
    variance = series.uncertainty[:, 0] ** 2 / 4 + part**2 * series.uncertainty[:, 1] ** 2
    assert np.allclose(binned.uncertainty[:, 1] ** 2, variance, rtol=fine)
    lasted = binned.timelike["exposure_time"]
    assert np.isclose(lasted.sum(), 8 * 800 * u.s) and np.isclose(lasted[0], 400 * u.s)


@pytest.mark.parametrize("time", [3, 0.03 * u.day])
def test_whole_exposures_keep_the_sum_to_ten_digits(time):
    series = make_series(rng=np.random.default_rng(9))[:, :6]
    binned = series.bin(time=time, wavelength=7.7 * u.AA)
    alone = series.bin(wavelength=7.7 * u.AA)
    assert binned.shape[1] == 2
    assert np.allclose(binned.flux.sum(axis=1), alone.flux.sum(axis=1), rtol=1e-10, atol=0)


def test_a_ratio_has_the_errors_and_masks_of_both():
    rng = np.random.default_rng(4)
    a, b = (make_series(n_time=500, rng=rng, level=level) for level in (4000, 9000))
    b.mask[5, 6] = True
    ratio = a / b
    assert ratio.mask.sum() == 1 and ratio.mask[5, 6]
    assert ratio.flux.unit == u.dimensionless_unscaled
    good = ~ratio.mask
    pulls = ((ratio.flux - 4 / 9) / ratio.uncertainty)[good]
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


def test_stars_with_other_wavelengths_are_not_divided_silently():
    with pytest.raises(ValueError, match="bin both on the same edges first"):
        make_series() / make_series(start=4000.5)


def test_a_cut_keeps_rows_and_columns_together():
    series = make_series()
    cut = series[10:20, ::2]
    assert cut.shape == (10, 4)
    assert np.all(cut.flux == series.flux[10:20, ::2])
    assert np.all(cut.timelike["airmass"] == series.timelike["airmass"][::2])


def test_the_shift_moves_the_wavelengths_of_pixels_and_nothing_else():
    series = make_series()
    series.timelike["wavelength_shift"] = np.linspace(-1, 1, 8) * u.pix
    # moved by +1 pixel of 2 A: the pixel holds what was one pixel to the left
    assert np.allclose((series.wavelength_2d[:, -1] - series.wavelength).value, -2)
    assert np.all(series.flux == make_series().flux)


def test_pictures_draw_the_series():
    series = make_series()
    ax = series.plot()
    drawn = ax.lines[0].get_ydata()
    assert np.allclose(drawn, series.flux.value.mean(axis=1))
    image = series.imshow(ax=ax.figure.add_subplot()).collections[0]
    assert np.allclose(image.get_array(), 1)


def test_a_few_bins_of_many_exposures_are_drawn_as_light_curves():
    series = make_series(n_time=30)
    edges = np.linspace(series.wavelength[0], series.wavelength[-1], 4)
    binned = series.bin(wavelength=edges)
    ax = binned.plot()
    drawn = [np.asarray(bars.lines[0].get_ydata(), float) for bars in ax.containers]
    assert len(drawn) == 3
    mean = binned.flux.value.mean(axis=1, keepdims=True)
    below = [points.mean() - 1 for points in drawn]  # each curve lies lower than the one before
    assert np.all(np.diff(below) < 0)
    for points, curve, level in zip(drawn, binned.flux.value / mean, below, strict=True):
        assert np.allclose(points - level, curve)
    assert "hours" in ax.get_xlabel()


def test_the_movie_shows_one_exposure_a_frame(tmp_path):
    series = make_series(n_time=3)
    series.animate().save(tmp_path / "night.gif", writer="pillow")
    with Image.open(tmp_path / "night.gif") as movie:
        assert movie.n_frames == 3
