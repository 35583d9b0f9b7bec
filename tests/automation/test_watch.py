import itertools

import numpy as np
import pytest

from slitlapse.automation import simulate_night
from slitlapse.automation.watch import watch_night
from slitlapse.instruments import load_instrument


@pytest.fixture
def folder(tmp_path):
    simulate_night(
        tmp_path, instrument=load_instrument("toy"), rng=np.random.default_rng(5), n_exposures=4,
        n_calibrations=3,
    )  # fmt: skip
    return tmp_path


@pytest.mark.slow
def test_new_frames_and_a_new_night_file_are_noticed(folder):
    last = sorted((folder / "raw").iterdir())[-1]
    away = folder / last.name
    last.rename(away)
    runs = watch_night(folder / "night.toml", every=0.05)
    assert next(runs).series["target"].shape == (640, 3)
    away.rename(last)
    assert next(runs).series["target"].shape == (640, 4)
    text = (folder / "night.toml").read_text()
    (folder / "night.toml").write_text(text + "\n[extraction]\nmethod = 'optimal'\n")
    assert next(runs).series["target"].metadata["headline"] == "optimal"
    (folder / "night.toml").write_text(text + "\n[extraktion]\n")
    assert "extraktion" in str(next(runs))
    (folder / "night.toml").write_text(text)
    assert next(runs).series["target"].metadata["headline"] == "boxcar"


def test_a_mistake_at_the_start_is_an_error(tmp_path):
    with pytest.raises((ValueError, OSError), match=r"night\.toml"):
        next(watch_night(tmp_path / "night.toml"))


@pytest.mark.slow
def test_nothing_is_done_while_nothing_changes(folder, monkeypatch):
    looks = itertools.count()

    class Enough(Exception):
        pass

    def sleep(seconds):
        if next(looks) > 5:
            raise Enough

    runs = watch_night(folder / "night.toml", every=0.0)
    assert next(runs).series
    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(Enough):
        next(runs)
