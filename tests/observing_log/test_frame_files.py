"""Which files are frames, and what do their headers say?"""

import bz2
import gzip
import warnings

import numpy as np
import pytest
from astropy.io import fits
from ccdproc import ImageFileCollection

from slitlapse.observing_log import (
    FrameFileError,
    FrameFileWarning,
    find_frames,
    read_frame,
    read_header,
    read_headers,
)


def write(path, shape=(40, 50), **cards):
    hdu = fits.PrimaryHDU(np.zeros(shape, np.int16), fits.Header(cards))
    hdu.writeto(path)
    return path


@pytest.fixture
def night(tmp_path):
    """Three good frames in three packings."""
    write(tmp_path / "a.fits", OBJECT="a")
    write(tmp_path / "b.fit.gz", OBJECT="b")
    image = fits.CompImageHDU(np.arange(2000, dtype=np.int16).reshape(40, 50), name="SCI")
    image.header["OBJECT"] = "c"
    fits.HDUList([fits.PrimaryHDU(header=fits.Header({"SITE": "x"})), image]).writeto(
        tmp_path / "c.fits.fz"
    )
    return tmp_path


def test_all_packings_of_a_folder_are_found_and_nothing_else(night):
    (night / "notes.txt").write_text("not a frame")
    (night / "._a.fits").write_bytes(b"what a file manager leaves behind")
    (night / "reference").mkdir()
    write(night / "reference" / "d.fits")
    (night / "E.FTS").write_bytes((night / "a.fits").read_bytes())
    (night / "f.fits.bz2").write_bytes(bz2.compress((night / "a.fits").read_bytes()))
    names = [path.name for path in find_frames(night)]
    assert names == ["E.FTS", "a.fits", "b.fit.gz", "c.fits.fz", "f.fits.bz2"]
    assert [each.shape for each in read_headers(night)[0]] == [(40, 50)] * 5


def test_a_file_a_list_or_a_collection_will_do_as_well(night):
    one = night / "a.fits"
    assert find_frames(one) == [one]
    assert find_frames([str(one)]) == [one]
    collection = ImageFileCollection(night, filenames=["a.fits", "b.fit.gz"])
    assert [path.name for path in find_frames(collection)] == ["a.fits", "b.fit.gz"]


def test_data_are_found_in_any_hdu_and_the_primary_completes_the_header(night):
    header = read_header(night / "c.fits.fz")
    assert (header.hdu, header.shape) == (1, (40, 50))
    assert (header.cards["OBJECT"], header.cards["SITE"]) == ("c", "x")


def test_the_data_hdu_wins_over_the_primary(tmp_path):
    primary = fits.PrimaryHDU(header=fits.Header({"GAIN": 1.0, "OBJECT": "x"}))
    second = [
        fits.ImageHDU(np.zeros((3, 4)), fits.Header({"GAIN": gain}), name=name)
        for gain, name in ((2.0, "ONE"), (3.0, "TWO"))
    ]
    fits.HDUList([primary, *second]).writeto(tmp_path / "x.fits")
    for extension, gain in ((0, 2.0), (2, 3.0), ("TWO", 3.0), ((2, 1), 3.0), ([1, 2], 2.0)):
        header = read_header(tmp_path / "x.fits", extension=extension)
        assert header.cards["GAIN"] == gain
        assert header.cards["OBJECT"] == "x"


def test_pixels_of_several_hdus_come_with_their_headers(tmp_path):
    images = [np.arange(12.0).reshape(1, 3, 4) + n for n in range(3)]
    hdus = [fits.ImageHDU(i, fits.Header({"GAIN": n}), "ABC"[n]) for n, i in enumerate(images)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "x.fits")
    headers, found = read_frame(tmp_path / "x.fits", extensions=["C", 1])
    assert [header.cards["GAIN"] for header in headers] == [2, 0]
    np.testing.assert_array_equal(found, [images[2][0], images[0][0]])
    with pytest.raises(OSError, match="no image in HDU 'D', only in 1, 2, 3"):
        read_frame(tmp_path / "x.fits", extensions=["A", "D"])


@pytest.mark.parametrize("extension", [3, "THREE", [1, 3], ["ONE", "THREE"]])
def test_an_hdu_that_is_not_there_is_not_replaced_by_another(tmp_path, extension):
    second = [fits.ImageHDU(np.zeros((3, 4)), name=name) for name in ("ONE", "TWO")]
    fits.HDUList([fits.PrimaryHDU(), *second]).writeto(tmp_path / "x.fits")
    with pytest.raises(OSError, match=r"no image in HDU '?(3|THREE)'?, only in 1, 2"):
        read_header(tmp_path / "x.fits", extension=extension)


def test_the_first_of_two_equal_cards_counts(tmp_path):
    header = fits.Header([("OBSTYPE", "DARK")])
    header.append(("OBSTYPE", 1))
    fits.PrimaryHDU(np.zeros((3, 4)), header).writeto(tmp_path / "x.fits")
    assert read_header(tmp_path / "x.fits").cards["OBSTYPE"] == "DARK"


def test_axes_of_length_one_are_no_axes(tmp_path):
    fits.PrimaryHDU(np.zeros((1, 1, 3, 4))).writeto(tmp_path / "x.fits")
    assert read_header(tmp_path / "x.fits").shape == (3, 4)


def damage(path, how):
    raw = path.read_bytes()
    if how == "cut data":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "cut header":
        path.write_bytes(raw[:1000])
    elif how == "text":
        path.write_bytes(b"this is not a FITS file\n" * 200)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "spectrum":
        path.unlink()
        fits.PrimaryHDU(np.zeros(100)).writeto(path)
    elif how == "table":
        path.unlink()
        fits.HDUList(
            [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E")])]
        ).writeto(path)
    elif how == "gone":
        path.unlink()
        path.symlink_to("nowhere.fits")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cut data", "cut short"),
        ("cut header", "not a whole FITS file"),
        ("text", "not a whole FITS file"),
        ("empty", "not a whole FITS file"),
        ("spectrum", "no HDU holds a two-dimensional image"),
        ("table", "no HDU holds a two-dimensional image"),
        ("gone", "there is no such file"),
    ],
)
def test_a_file_that_is_no_whole_frame_is_named_and_skipped(night, how, reason):
    bad = write(night / "bad.fits", shape=(200, 300))
    damage(bad, how)
    with pytest.warns(FrameFileWarning, match=rf"^bad.fits is left out: .*{reason}"):
        headers, skipped = read_headers(night)
    assert len(headers) == 3
    assert list(skipped) == [bad]
    with pytest.raises(OSError, match=reason):
        read_header(bad)


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_a_packed_file_that_is_cut_is_noticed(tmp_path, part):
    image = np.random.default_rng(1).integers(0, 1000, (300, 300)).astype(np.int16)
    plain = tmp_path / "x.fits"
    fits.PrimaryHDU(image).writeto(plain)
    gz, fz = tmp_path / "x.fits.gz", tmp_path / "x.fits.fz"
    gz.write_bytes(gzip.compress(plain.read_bytes()))
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(fz)
    for path in (plain, gz, fz):
        assert read_header(path).shape == (300, 300)
        raw = path.read_bytes()
        path.write_bytes(raw[: int(part * len(raw))])
        if path is plain and part == 0.999:
            continue  # only padding was lost
        with pytest.raises(OSError, match=r"cut short|not a whole FITS file"):
            read_header(path)


def test_lost_padding_is_not_missed(tmp_path):
    path = write(tmp_path / "x.fits")
    raw = path.read_bytes()
    path.write_bytes(raw[: 2880 + 40 * 50 * 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(path).shape == (40, 50)


def test_a_cut_extension_behind_the_data_is_noticed(tmp_path):
    path = tmp_path / "x.fits"
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 4))), fits.ImageHDU(np.zeros((90, 90)))]).writeto(
        path
    )
    raw = path.read_bytes()
    for length in (5760 + 500, 5760 + 2880 + 500):
        path.write_bytes(raw[:length])
        with pytest.raises(OSError, match="cut short"):
            read_header(path)


def test_a_folder_without_frames_is_one_clear_error(tmp_path):
    with pytest.raises(FrameFileError, match=r"There is no folder .*nowhere: give the folder"):
        find_frames(tmp_path / "nowhere")
    with pytest.raises(FrameFileError, match=r"holds no FITS file: names have to end in .fits"):
        find_frames(tmp_path)
    with pytest.raises(FrameFileError, match="No files were given"):
        find_frames([])
    (tmp_path / "x.fits").write_text("hello")
    with pytest.raises(
        FrameFileError, match=r"None of the 1 files is a readable frame. x.fits: not"
    ):
        read_headers(tmp_path)


@pytest.mark.parametrize("ending", [".fits", ".fits.gz", ".fits.fz"])
def test_a_damaged_file_is_either_read_or_named_whatever_is_broken(tmp_path, ending):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 1000, (20, 30)).astype(np.int16)
    path = tmp_path / f"x{ending}"
    if ending == ".fits.fz":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(path)
    else:
        fits.PrimaryHDU(image, fits.Header({"OBJECT": "star"})).writeto(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(150):
        broken = whole.copy()
        where = rng.integers(0, rng.choice([400, len(whole)]), rng.choice([1, 5, 50]))
        broken[where] = rng.integers(0, 256, len(where))
        path.write_bytes(broken[: rng.integers(1, 2 * len(whole))].tobytes())
        try:
            header = read_header(path)
        except OSError as error:
            assert str(error)
        else:
            assert min(header.shape) > 0


def test_every_real_frame_is_read(real_data):
    shapes = {
        "lick_kast_blue_2015": {(350, 2112): 9},
        "lt_sprat_2018": {(254, 1024): 11},
        "soar_goodman_2018": {(200, 2071): 16, (200, 4142): 3},
        "ntt_efosc2_2022": {(1030, 1030): 14},
        "p200_dbsp_blue_2020": {(2835, 460): 3},
        "lco_floyds_2020": {(512, 2079): 3},
        "int_ids_arc_2018": {(4200, 366): 1},
        "toronto_st7_2019": {(510, 765): 7},
        "gtc_osiris_tres3b": {(512, 1024): 5},
    }
    for folder, expected in shapes.items():
        found = [each.shape for each in read_headers(real_data / folder)[0]]
        assert {shape: found.count(shape) for shape in found} == expected
