"""Frames are still coming in: reduce the night again whenever there are new ones."""

import time
from pathlib import Path

from slitlapse.automation.night import reduce_night
from slitlapse.automation.night_file import read_night

__all__ = ["watch_night"]


def watch_night(path, *, every=10.0, **options):
    """
    Reduce a night now, and again whenever frames or the night file have changed.

    A change counts when it has lasted for one look at the folder, so that a frame which is being
    written is left in peace. Exposures that are finished are not measured again.

    Parameters
    ----------
    path : path-like
        The ``night.toml``, read anew each time.
    every : float
        Seconds between two looks at the folder.
    **options
        For `~slitlapse.automation.reduce_night`.

    Yields
    ------
    NightResult or Exception
        Of each run; a ValueError or OSError is handed on, because the next frame may cure it.
    """
    path = Path(path)
    done = before = None
    while True:
        try:
            night = read_night(path)
            now = _listing(path, night)
        except (ValueError, OSError) as error:
            if done is None:
                raise
            now, night = str(error), error
        if now != done and (now == before or done is None):
            done = now
            if isinstance(night, Exception):
                yield night
            else:
                try:
                    yield reduce_night(night, **options)
                except (ValueError, OSError) as error:
                    yield error
        before = now
        time.sleep(every)


def _listing(path, night):
    """Name, size and time of change of the night file and of everything in its folder."""
    files = [path, *(each for each in night.data.rglob("*") if each.is_file())]
    return {str(each): (each.stat().st_size, each.stat().st_mtime_ns) for each in files}
