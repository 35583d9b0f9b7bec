"""One exposure in several files becomes one file with an HDU each."""

import numpy as np
import pytest
from astropy.io import fits

from slitlapse.observing_log import join_files, read_header


@pytest.fixture
def night(tmp_path):
    for exposure in ("ccd0001", "ccd0002"):
        for part in (1, 2):
            image = np.full((5, 7), 40000 + part, np.uint16)  # needs BZERO
            header = fits.Header({"OBJECT": exposure, "EGAIN": 1.0 + part / 10})
            fits.PrimaryHDU(image, header).writeto(tmp_path / f"{exposure}c{part}.fits")
    return tmp_path


def test_parts_of_an_exposure_become_hdus_in_the_order_asked_for(night):
    paths = join_files(night, ["c2.fits", "c1.fits"], night / "joined")
    assert [path.name for path in paths] == ["ccd0001.fits", "ccd0002.fits"]
    with fits.open(paths[0]) as hdus:
        assert hdus[0].data is None
        assert [int(hdu.data.max()) for hdu in hdus[1:]] == [40002, 40001]
        assert [hdu.data.dtype.kind for hdu in hdus[1:]] == ["u", "u"]
        assert [hdu.header["EGAIN"] for hdu in hdus[1:]] == [1.2, 1.1]
        assert hdus[0].header["OBJECT"] == "ccd0001"
    assert read_header(paths[0], extension=[1, 2]).cards["EGAIN"] == 1.2
    assert sorted(path.name for path in (night / "joined").iterdir()) == [
        *("ccd0001.fits", "ccd0002.fits"),
    ]


def test_what_is_joined_already_is_kept(night):
    endings = ["c1.fits", "c2.fits"]
    first = join_files(night, endings, night / "joined")[0]
    before = first.stat().st_mtime_ns
    assert join_files(night, endings, night / "joined")[0] == first
    assert first.stat().st_mtime_ns == before


def test_a_part_that_is_missing_is_named_before_anything_is_written(night):
    (night / "ccd0002c2.fits").unlink()
    with pytest.raises(ValueError, match=r"exposure 'ccd0002' lacks ccd0002c2.fits: copy it"):
        join_files(night, ["c1.fits", "c2.fits"], night / "joined")
    assert not (night / "joined").exists()


def test_a_folder_without_parts_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"has no files that end in c1.fits or c2.fits"):
        join_files(tmp_path, ["c1.fits", "c2.fits"], tmp_path)
    with pytest.raises(ValueError, match=r"has no files"):
        join_files(tmp_path / "nowhere", ["c1.fits"], tmp_path)
