import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from slitlapse.automation import NightError
from slitlapse.automation.measure_all import measure_all
from slitlapse.automation.night import plan_exposures
from slitlapse.automation.stars import place_stars


@pytest.fixture(scope="module")
def plans(toy_night):
    night, chosen, calibration = toy_night.night, toy_night.chosen, toy_night.calibration
    (placement,) = place_stars(night, chosen, calibration, [])
    plan = plan_exposures(night, placement, calibration, None, [])
    return dict.fromkeys(placement.filenames, plan)


@pytest.fixture
def measure(toy_night, plans, tmp_path):
    def run(workers=1, key="a", n=6, folder="out", plans=plans):
        night = replace(toy_night.night, output=tmp_path / folder)
        return measure_all(night, toy_night.chosen["science"][:n], plans, key, workers)

    return run


def test_all_exposures_come_in_order_of_time(toy_night, measure):
    found = measure()
    flux = found.star("target")["flux_optimal"]
    assert len(found) == 6 and flux.shape == (640, 6) and flux.dtype == float
    for index, arrays in enumerate(found):
        assert np.array_equal(arrays["target/flux_optimal"], flux[:, index])
    boxes = found.star("comparison")["flux_boxcar"]
    assert boxes.shape == (3, 640, 6)


@pytest.mark.slow
def test_whoever_does_the_work_the_bytes_are_the_same(measure):
    expected = list(measure())
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        for number, workers in enumerate((3, threads, processes)):
            found = list(measure(workers, folder=f"out{number}"))
            for one, other in zip(expected, found, strict=True):
                assert one.keys() == other.keys()
                for key in one:
                    assert np.array_equal(one[key], other[key], equal_nan=True), key


class Refuses:
    """An executor that must not be asked."""

    def submit(self, *args):
        raise AssertionError("an exposure was measured again")


def test_finished_exposures_are_not_measured_again(measure):
    first = list(measure(n=3))
    again = list(measure(Refuses(), n=3))
    assert all(
        np.array_equal(a["target/chi2"], b["target/chi2"])
        for a, b in zip(first, again, strict=True)
    )
    with pytest.raises(AssertionError, match="measured again"):
        measure(Refuses(), n=3, key="other decisions")


def test_a_damaged_exposure_is_measured_again(measure):
    found = measure(n=2)
    path = found.store.path(*found.frames[1])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NightError, match="has vanished or is damaged"):
        list(found)
    assert len(list(measure(n=2))) == 2
    assert path.read_bytes() == whole


def end_worker(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_is_ended_from_outside_is_said(measure, plans):
    class Ends(ProcessPoolExecutor):
        def submit(self, function, *args):
            return super().submit(end_worker)

    with Ends(1) as pool, pytest.raises(NightError, match="fewer --jobs; exposures that are fin"):
        measure(pool)


def test_what_was_finished_before_a_mistake_is_kept(measure, plans, tmp_path):
    class Stops:
        """Does one exposure, then its machine is lost."""

        def __init__(self):
            self.done = 0

        def submit(self, function, plan, jobs):
            future = Future()
            future.set_result(function(plan, jobs[:1])) if not self.done else None
            if self.done:
                future.set_exception(OSError("no space left on device"))
            self.done += 1
            return future

    names = list(plans)
    apart = plans | {names[0]: replace(plans[names[0]])}  # two plans: two parts
    with pytest.raises(OSError, match="no space left"):
        measure(Stops(), n=2, plans=apart)
    (kept,) = (tmp_path / "out" / "exposures").iterdir()
    assert kept.name.startswith(names[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the cluster's own, when a worker of it is killed
def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(measure):
    distributed = pytest.importorskip("distributed")
    expected = list(measure(n=12))
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        pids = client.run(os.getpid)
        killed = []

        class Kills:
            """The cluster's executor; one worker dies when it has got something to do."""

            def __init__(self):
                self.executor = client.get_executor(pure=False)

            def submit(self, *args):
                future = self.executor.submit(*args)
                if not killed:
                    killed.append(next(iter(pids.values())))
                    os.kill(killed[0], signal.SIGKILL)
                return future

        found = list(measure(Kills(), n=12, folder="cluster"))
    assert killed
    for one, other in zip(expected, found, strict=True):
        for key in one:
            assert np.array_equal(one[key], other[key], equal_nan=True), key
