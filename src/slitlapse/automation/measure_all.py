"""Who measures the exposures? This process, several, or another machine: the result is the same."""

import pickle
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from slitlapse.automation.exposure import measure_exposure
from slitlapse.automation.log import NightError
from slitlapse.automation.store import ExposureStore, file_checksum

__all__ = ["StoredExposures", "measure_all"]

MOST_TOGETHER = 8  # exposures that travel to a worker with one copy of the plan


@dataclass(frozen=True)
class StoredExposures:
    """
    What was measured of all exposures of a night, kept on disk.

    Parameters
    ----------
    store : ExposureStore
    frames : tuple of (str, str)
        Name and checksum of each frame, in order of time.
    """

    store: ExposureStore
    frames: tuple

    def __len__(self):
        return len(self.frames)

    def __iter__(self):
        """Yield the arrays of one exposure after the other, `dict` of str to array."""
        return self._arrays()

    def _arrays(self, start=""):
        """The same, only what has keys that start so."""
        for name, checksum in self.frames:
            arrays = self.store.get(name, checksum, start)
            if arrays is None:
                raise NightError(
                    f"{self.store.path(name, checksum)} has vanished or is damaged: run again, the "
                    f"exposure {name} is then measured anew"
                )
            yield arrays

    def star(self, name, summarise=dict):
        """
        Gather what was measured of one star.

        Parameters
        ----------
        name : str
        summarise : callable
            Given what was measured of the star in one exposure, `dict` of str to array, it
            returns what of it to gather; by default everything.

        Returns
        -------
        dict of str to array
            Last axis: the exposures, in order of time. NaN, 0 or False in exposures that are
            lost.
        """
        gathered, start = {}, f"{name}/"
        for index, arrays in enumerate(self._arrays(start)):
            if not arrays:  # lost
                continue
            mine = summarise({key.removeprefix(start): value for key, value in arrays.items()})
            for key, values in mine.items():
                if key not in gathered:
                    nothing = np.nan if values.dtype.kind == "f" else 0
                    gathered[key] = np.full((len(self), *values.shape), nothing, values.dtype)
                gathered[key][index] = values
        for key in gathered:  # turned at the end: value by value would take minutes
            gathered[key] = np.ascontiguousarray(np.moveaxis(gathered[key], 0, -1))
        return gathered

    def lost(self):
        """
        Say which exposures could not be used.

        Returns
        -------
        list of str
            A sentence for each.

        Raises
        ------
        NightError
            Where all are lost.
        """
        reasons = [str(arrays["lost"]) for arrays in self if "lost" in arrays]
        if len(reasons) == len(self):
            raise NightError(f"no exposure can be used. The last: {reasons[-1]}")
        return [f"An exposure is masked, because {reason}" for reason in reasons]


def measure_all(night, table, plans, key, workers=1, progress=False):
    """
    Measure every exposure, or take it from the run before.

    Parameters
    ----------
    night : Night
    table : `~astropy.table.QTable`
        Rows of the log: the science frames, in order of time.
    plans : mapping of str to ExposurePlan
        By file name.
    key : str
        Fingerprint of all that the plans hold.
    workers : int or `~concurrent.futures.Executor`
        How many processes, or who does the work instead.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    StoredExposures
    """
    from tqdm import tqdm

    store = ExposureStore(night.output / "exposures", key)
    names = [str(name) for name in table["filename"]]
    frames = tuple((name, file_checksum(night.data / name)) for name in names)
    missing = [i for i, frame in enumerate(frames) if not store.has(*frame)]
    jobs = [(names[i], table["exposure_time"][i]) for i in missing]
    checksums = dict(frames)
    shown = tqdm(
        total=len(names), initial=len(names) - len(jobs), desc="exposures", unit="frame",
        disable=None if progress else True,
    )  # fmt: skip
    with shown:
        for name, arrays in _measured(jobs, plans, workers):
            store.put(name, checksums[name], arrays)
            shown.update()
    return StoredExposures(store, frames)


def _measured(jobs, plans, workers):
    """Yield name and arrays of each exposure, in the order in which they are finished."""
    if hasattr(workers, "submit"):
        chunks = _chunks(jobs, plans, MOST_TOGETHER)
        yield from _results(workers, _measure_some, chunks)
    elif workers < 2 or len(jobs) < 2:
        for name, exposure_time in jobs:
            yield name, measure_exposure(plans[name], name, exposure_time)
    else:
        workers = min(workers, len(jobs))
        # several turns for each, so that none waits long for the last one
        size = min(max(len(jobs) // (4 * workers), 1), MOST_TOGETHER)
        with TemporaryDirectory() as folder, ProcessPoolExecutor(workers) as pool:
            yield from _results(pool, _measure_kept, _kept(_chunks(jobs, plans, size), folder))


def _results(executor, measure, chunks):
    """Submit all, yield what is finished; a failure is raised when the others have ended."""
    futures = [executor.submit(measure, *chunk) for chunk in chunks]
    trouble = None
    try:
        for future in as_completed(futures):
            if future.exception() is None:
                yield from future.result()
            elif trouble is None:  # the others go on: what they finish is kept
                trouble = future.exception()
    finally:
        for future in futures:
            future.cancel()
    if isinstance(trouble, BrokenProcessPool):
        raise NightError(
            "a worker process was ended from outside, often because memory was full: run again "
            "with fewer --jobs; exposures that are finished are kept"
        ) from trouble
    if trouble is not None:
        raise trouble


def _chunks(jobs, plans, size):
    """Split the jobs into parts of at most ``size`` exposures that share one plan."""
    by_plan = {}
    for name, exposure_time in jobs:
        by_plan.setdefault(id(plans[name]), []).append((name, exposure_time))
    for part in by_plan.values():
        plan = plans[part[0][0]]
        for start in range(0, len(part), size):
            yield plan, part[start : start + size]


def _measure_some(plan, jobs):
    """Measure some exposures (a plain function, so that other processes can call it)."""
    return [(name, measure_exposure(plan, name, seconds)) for name, seconds in jobs]


def _kept(chunks, folder):
    """Write each plan once, to a file that nobody else can touch, and send its name instead."""
    paths = {}
    for plan, jobs in chunks:
        if id(plan) not in paths:
            path = Path(folder) / f"plan{len(paths)}"
            with open(path, "wb") as file:
                pickle.dump(plan, file, protocol=pickle.HIGHEST_PROTOCOL)
            paths[id(plan)] = path
        yield paths[id(plan)], jobs


def _measure_kept(path, jobs):
    """Measure some exposures with a plan that is read once by each process."""
    return _measure_some(_plan_in(path), jobs)


@lru_cache(maxsize=1)
def _plan_in(path):
    with open(path, "rb") as file:
        return pickle.load(file)
