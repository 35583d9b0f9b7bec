"""Fetch the released sources of ccdproc and specreduce, and apply patches to them."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASES = {"ccdproc": "2.5.1", "specreduce": "1.9.0"}


def run(command, **kwargs):
    """Run a command; raise with all that it said if it fails."""
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


def apply(patch, tree, *options):
    """Apply a patch exactly: no fuzz, no rejects, line ends kept."""
    # git would silently skip files of a tree that lies inside another repository
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)}
    command = ["git", "apply", "--whitespace=nowarn", *options, patch]
    run(command, cwd=tree, env=environment)


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
