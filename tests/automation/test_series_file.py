import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time

from slitlapse.automation import SpectralTimeSeries
from slitlapse.automation.series_file import write_atomically


@pytest.fixture
def series():
    rng = np.random.default_rng(1)
    time = Time(2460000.123456789 + np.arange(3) / 7, format="jd", scale="tdb")
    mask = np.zeros((5, 3), bool)
    mask[2, 1] = True
    return SpectralTimeSeries(
        QTable({"wavelength": np.linspace(400, 500, 5) * u.nm, "pixel": np.arange(5.0)}),
        QTable(
            {
                "time": time,
                "exposure_time": [10.5, 10.5, 10.25] * u.s,
                "sky_level": [1.0, np.nan, 3.0] * u.electron,
                "filename": ["a.fits", "ä b.fits", "c\\n.fits"],
                "used": [True, False, True],
            }
        ),
        {
            "flux": rng.normal(size=(5, 3)) * u.electron,
            "uncertainty": rng.random((5, 3)) * u.electron,
            "variance_star": rng.random((5, 3)) * u.electron**2,
            "bad_fraction": rng.random((5, 3)) * u.one,
        },
        mask,
        {"star": "B", "lamps": ["He", "Ne"], "note": "Ångström, 50 %", "none": None, "n": 1.5},
    )


def test_a_round_trip_loses_nothing(series, tmp_path):
    path = tmp_path / "B.fits"
    series.write(path)
    back = SpectralTimeSeries.read(path)
    for name, value in series.fluxlike.items():
        assert np.array_equal(back.fluxlike[name].value, value.value)
        assert back.fluxlike[name].unit == value.unit
    assert list(back.fluxlike) == list(series.fluxlike)
    assert np.array_equal(back.mask, series.mask)
    assert back.metadata == series.metadata
    assert np.array_equal(back.time.jd1 + back.time.jd2, series.time.jd1 + series.time.jd2)
    assert back.time.scale == "tdb" and np.all((back.time - series.time).sec == 0)
    for mine, other in ((series.wavelike, back.wavelike), (series.timelike, back.timelike)):
        assert mine.colnames == other.colnames
        for name in set(mine.colnames) - {"time"}:
            assert getattr(mine[name], "unit", None) == getattr(other[name], "unit", None)
            left, right = (np.asarray(table[name]) for table in (mine, other))
            assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


def test_astropy_alone_can_read_the_file(series, tmp_path):
    path = tmp_path / "B.fits"
    series.write(path)
    with fits.open(path) as hdus:
        assert hdus["FLUX"].data.shape == (5, 3)
        assert hdus["FLUX"].header["BUNIT"] == "electron"
        assert hdus["MASK"].data[2, 1] == 1
        assert hdus["TIMELIKE"].data["exposure_time"][2] == 10.25
        assert hdus["WAVELIKE"].columns["wavelength"].unit == "nm"
        assert "(wavelength, time)" in str(hdus[0].header["COMMENT"])


def test_nothing_is_replaced_unasked(series, tmp_path):
    path = tmp_path / "B.fits"
    series.write(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        series.write(path)
    series.write(path, overwrite=True)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half of the n")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_other_files_are_refused(series, tmp_path):
    path = tmp_path / "other.fits"
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(path)
    with pytest.raises(ValueError, match="not a series"):
        SpectralTimeSeries.read(path)
    path.write_bytes(b"SIMPLE")
    with pytest.raises(ValueError, match="cut short"):
        SpectralTimeSeries.read(path)
    with pytest.raises(FileNotFoundError):
        SpectralTimeSeries.read(tmp_path / "none.fits")


def test_the_same_series_gives_the_same_bytes_with_a_checksum(series, tmp_path):
    first, second = tmp_path / "1.fits", tmp_path / "2.fits"
    series.write(first)
    series.write(second)
    assert first.read_bytes() == second.read_bytes()
    with fits.open(first, checksum=True) as hdus:  # a wrong checksum warns, and that is an error
        assert all("CHECKSUM" in hdu.header for hdu in hdus)
        for hdu in hdus:
            assert hdu.data is None or hdu.data.size
