"""Keep what was measured in each exposure, so that a run that was stopped can go on."""

import hashlib
import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slitlapse.automation.series_file import write_atomically

__all__ = ["ExposureStore", "file_checksum", "fingerprint", "one_run_at_a_time"]


def file_checksum(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(content):
    """Short text that changes when anything in ``content`` (JSON kinds, arrays) changes."""
    digest = hashlib.sha256()

    def add(item):
        if isinstance(item, np.ndarray):
            digest.update(f"{item.dtype}{item.shape}".encode())
            digest.update(np.ascontiguousarray(item).tobytes())
        elif isinstance(item, dict):
            for key in sorted(item):
                digest.update(f"{key}:".encode())
                add(item[key])
        elif isinstance(item, (list, tuple)):
            digest.update(f"[{len(item)}".encode())
            for each in item:
                add(each)
        else:
            digest.update(json.dumps(item).encode())

    add(content)
    return digest.hexdigest()[:24]


@contextmanager
def one_run_at_a_time(folder):
    """
    Keep a second run out of a folder while one is at work in it.

    The operating system lets go of the lock when a run ends, however it ends.

    Raises
    ------
    ValueError
        Where another run is at work.
    """
    try:
        import fcntl
    except ImportError:  # Windows: files are put in place whole, but two runs do work twice
        yield
        return
    with open(Path(folder) / ".lock", "a") as file:  # empties nothing, whatever it links to
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another run is at work in {folder}: wait until it has ended, or give this night "
                "another output"
            ) from error
        yield


@dataclass(frozen=True)
class ExposureStore:
    """
    A folder with one file per finished exposure.

    Parameters
    ----------
    folder : `~pathlib.Path`
    key : str
        Fingerprint of everything that an exposure's result depends on besides the exposure;
        what was kept under another key is not used.
    """

    folder: Path
    key: str

    def path(self, name, checksum):
        """File that keeps the exposure of this name and content."""
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(name).name)
        return self.folder / f"{safe}.{checksum[:12]}.npz"

    def get(self, name, checksum, start=""):
        """Arrays kept for an exposure, those whose keys start so, or None."""
        try:
            with open(self.path(name, checksum), "rb") as file:
                whole = np.load(file, allow_pickle=False)
                if str(whole["key"]) != self.key:
                    return None
                kept = {}
                for entry, keys in json.loads(str(whole["index"])).items():
                    if any(key.startswith(start) for key in keys):
                        kept |= zip(keys, whole[entry], strict=True)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, KeyError, ValueError, AttributeError, zipfile.BadZipFile):
            return None  # not whole: the exposure is measured again
        return {key: values for key, values in kept.items() if key.startswith(start)}

    def has(self, name, checksum):
        """Whether the arrays of an exposure are kept, whole."""
        return self.get(name, checksum) is not None

    def put(self, name, checksum, arrays):
        """Keep the arrays of an exposure, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        index, stacks = _stacked(arrays)

        def save(path):
            with open(path, "wb") as file:
                np.savez(file, key=np.array(self.key), index=np.array(json.dumps(index)), **stacks)

        write_atomically(self.path(name, checksum), save, lasting=False)


def _stacked(arrays):
    """
    Stack arrays of one star, kind and shape: ten entries in a file are quicker than a hundred.

    Returns
    -------
    index : dict of str to list of str
        For each entry the keys of its rows.
    stacks : dict of str to array
    """
    index, rows = {}, {}
    for key, values in arrays.items():
        star, values = key.rpartition("/")[0], np.asarray(values)
        index.setdefault((star, values.dtype.str, values.shape), []).append(key)
        rows.setdefault((star, values.dtype.str, values.shape), []).append(values)
    entries = [f"stack{number}" for number in range(len(rows))]
    stacks = dict(zip(entries, map(np.stack, rows.values()), strict=True))
    return dict(zip(entries, index.values(), strict=True)), stacks
