import numpy as np
import pytest

from slitlapse.automation.store import (
    ExposureStore,
    file_checksum,
    fingerprint,
    one_run_at_a_time,
)


def test_what_is_put_comes_back(tmp_path):
    store = ExposureStore(tmp_path / "kept", "k1")
    arrays = {
        "A/flux": np.arange(5.0),
        "A/mask": np.array([True, False]),
        "A/peak": np.arange(5, dtype=np.float32),
        "A/sky": np.arange(5.0) - 3,
        "A/shift": np.float64(0.3),
        "AB/flux": np.arange(5.0) + 7,
        "lost": np.array("why"),
    }
    assert store.get("a.fits", "f" * 64) is None
    store.put("a.fits", "f" * 64, arrays)
    back = store.get("a.fits", "f" * 64)
    assert back.keys() == arrays.keys()
    for name in arrays:
        assert np.array_equal(back[name], arrays[name])
        assert back[name].dtype == np.asarray(arrays[name]).dtype
    one_star = store.get("a.fits", "f" * 64, "A/")
    assert one_star.keys() == {name for name in arrays if name.startswith("A/")}


def test_what_was_measured_under_other_decisions_is_not_used(tmp_path):
    ExposureStore(tmp_path, "k1").put("a.fits", "0" * 64, {"x": np.zeros(2)})
    assert ExposureStore(tmp_path, "k2").get("a.fits", "0" * 64) is None
    assert ExposureStore(tmp_path, "k1").get("a.fits", "1" * 64) is None


def test_a_changed_byte_is_noticed(tmp_path):
    store = ExposureStore(tmp_path, "k")
    store.put("a.fits", "0" * 64, {"A/x": np.ones(20), "A/n": np.arange(3)})
    path = store.path("a.fits", "0" * 64)
    content = bytearray(path.read_bytes())
    content[content.index(np.ones(3).tobytes()) + 3] ^= 1
    path.write_bytes(content)
    assert store.get("a.fits", "0" * 64) is None


@pytest.mark.parametrize("length", [0, 10, 200])
def test_a_damaged_file_is_measured_again(tmp_path, length):
    store = ExposureStore(tmp_path, "k")
    store.put("a.fits", "0" * 64, {"x": np.zeros(20)})
    path = store.path("a.fits", "0" * 64)
    path.write_bytes(path.read_bytes()[:length])
    assert store.get("a.fits", "0" * 64) is None


def test_names_of_files_lead_nowhere_else(tmp_path):
    store = ExposureStore(tmp_path, "k")
    assert store.path("../../etc/x y.fits", "0" * 64).parent == tmp_path


def test_the_fingerprint_sees_every_change():
    base = {"a": [1, 2.5], "b": {"c": None}, "array": np.arange(4.0)}
    same = {"array": np.arange(4.0), "b": {"c": None}, "a": [1, 2.5]}
    others = [
        base | {"a": [1, 2.6]},
        base | {"b": {"d": None}},
        base | {"array": np.arange(4)},
        base | {"array": np.arange(4.0).reshape(2, 2)},
    ]
    assert fingerprint(base) == fingerprint(same)
    assert len({fingerprint(each) for each in [base, *others]}) == 5


def test_checksums_are_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_checksum(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_second_run_in_one_folder_is_refused_until_the_first_has_ended(tmp_path):
    refused = pytest.raises(ValueError, match="another run is at work in")
    with one_run_at_a_time(tmp_path), refused, one_run_at_a_time(tmp_path):
        pass
    with one_run_at_a_time(tmp_path):
        pass


def test_only_whole_exposures_count_as_kept(tmp_path):
    store = ExposureStore(tmp_path, "key")
    assert not store.has("a.fits", "0" * 64)
    store.put("a.fits", "0" * 64, {"x": np.arange(1000.0)})
    assert store.has("a.fits", "0" * 64)
    path = store.path("a.fits", "0" * 64)
    path.write_bytes(path.read_bytes()[:500])
    assert not store.has("a.fits", "0" * 64)
