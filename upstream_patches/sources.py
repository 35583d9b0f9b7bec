"""Fetch the released sources of ccdproc and specreduce, and apply patches to them."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASES = {"ccdproc": "2.5.1", "specreduce": "1.9.0"}


def environment(**more):
    """Return the environment without what would change how Python or pytest run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST_"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(command, **kwargs):
    """Run a command; raise with all that it said if it fails."""
    kwargs = {"env": environment(), **kwargs}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **kwargs
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def fetch(package, folder):
    """Download a source distribution, once, and return its path."""
    file = folder / f"{package}-{RELEASES[package]}.tar.gz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary"]
            + [package, "--dest", folder, f"{package}=={RELEASES[package]}"]
        )
    return file


def unpack(file, folder):
    """Unpack a source distribution into a folder that takes its place, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file) as tar:
        tar.extractall(folder.parent / f"{folder.name}.tmp", filter="data")
    top = folder.parent / f"{folder.name}.tmp"
    (top / file.name.removesuffix(".tar.gz")).rename(folder)
    top.rmdir()
    return folder


def series(package):
    """Return the patches for a release, in order."""
    return sorted((HERE / package / "release").glob("*.patch"))


HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def _change(old, hunks, where):
    """Return lines with hunks applied, each exactly where it says."""
    new, at = [], 0
    for start, count, lines in hunks:
        begin = start - 1 if count else start
        before = [line[1:] for line in lines if line[:1] in (b" ", b"-")]
        if begin < at or old[begin : begin + count] != before:
            raise RuntimeError(f"{where} does not fit at line {start}")
        new += old[at:begin] + [line[1:] for line in lines if line[:1] in (b" ", b"+")]
        at = begin + count
    return new + old[at:]


def _read(patch):
    """Yield (path, hunks) of a patch; a hunk is (first line, number of lines, lines)."""
    lines = patch.read_bytes().split(b"\n")
    path, hunks, i = None, [], 0
    while i < len(lines):
        found = HUNK.match(lines[i])
        if lines[i].startswith(b"diff --git ") and path is not None:
            yield path, hunks
            path, hunks = None, []
        if lines[i].startswith(b"+++ b/"):
            path = lines[i][6:].strip().decode()
        if found is None or path is None:
            i += 1
            continue
        old, new = (int(n) if n is not None else 1 for n in found.groups()[1:])
        body, left = [], [old, new]
        while any(left):
            i += 1
            body.append(lines[i] + b"\n")
            left[0] -= lines[i][:1] in (b" ", b"-")
            left[1] -= lines[i][:1] in (b" ", b"+")
        hunks.append((int(found[1]), old, body))
        i += 1
    if path is not None:
        yield path, hunks


def apply(patch, tree, wanted=lambda path: True):
    """Apply a patch exactly, no fuzz and no offset, to the files that are wanted."""
    for path, hunks in _read(patch):
        if wanted(path):
            file = tree / path
            old = file.read_bytes().split(b"\n") if file.exists() else []
            lines = [line + b"\n" for line in old[:-1]] + ([old[-1]] if old and old[-1] else [])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"".join(_change(lines, hunks, f"{patch.name}: {path}")))


def touched(patch):
    """Return the paths that a patch changes or adds."""
    lines = patch.read_bytes().decode().splitlines()
    return [line[6:].strip() for line in lines if line.startswith("+++ b/")]


def added_files(patch):
    """Return the text of every file that a patch adds, by path."""
    files, path, new = {}, None, False
    for line in patch.read_bytes().decode().split("\n"):
        if line.startswith("diff --git "):
            path, new = None, False
        elif line.startswith("new file mode"):
            new = True
        elif line.startswith("+++ b/") and new:
            path = line[6:].strip()
            files[path] = []
        elif path is not None and line.startswith("+"):
            files[path].append(line[1:])
    return {path: "\n".join([*lines, ""]) for path, lines in files.items()}
