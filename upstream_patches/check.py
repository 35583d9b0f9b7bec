"""Do the patches apply to the released sources, and does all that upstream tests still pass?

One command, ``python upstream_patches/check.py``, that

1. fetches the source distributions of ccdproc and specreduce from the package index,
2. applies every patch of the ``release/`` series in order,
3. installs the untouched release and the patched one into fresh environments,
4. runs upstream's own tests, documentation included, with upstream's own settings (warnings are
   errors) in both, and compares them test by test,
5. shows for every patch of existing code that its tests fail without that code,
6. with ``--with-slitlapse``, installs slitlapse beside both patched packages and runs the tests of
   the rooms, which then take what the patches bring from upstream (see ``check_rooms.py``),
7. with ``--numbers``, prints what was measured before and after (see ``compare.py``).

It ends with an error if a test that passed no longer does, if a new test fails, or if a fix has
no test that fails without it. The line lists that specreduce's tests would download are ours.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

sys.dont_write_bytecode = True  # leave nothing behind beside the scripts

from check_rooms import ROOT, check_rooms, requirements  # noqa: E402
from compare import tables  # noqa: E402
from sources import (  # noqa: E402
    HERE,
    RELEASES,
    added_files,
    apply,
    environment,
    fetch,
    run,
    series,
    touched,
    unpack,
)

# what upstream needs to be built and tested; pytest 9.2 cannot start with pytest-astropy 0.11
TOOLS = ["pytest<9.2", "pytest-astropy", "psutil", "memory_profiler", "photutils"]
BUILD = ["setuptools>=77", "setuptools_scm", "hatchling", "hatch-vcs"]
PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]


def make_environment(folder):
    """Create a virtual environment; return its Python and its folder of packages."""
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return python, Path(run([python, "-c", code]).strip())


def install_dependencies(folder, *more):
    """Install what both packages and their tests need, and more; return the folder of packages."""
    python, packages = make_environment(folder)
    released = [f"{name}=={version}" for name, version in RELEASES.items()]
    run([python, *PIP, "install", *TOOLS, *BUILD, *released, *more])
    run([python, *PIP, "uninstall", "--yes", *RELEASES])
    return packages


def install(folder, dependencies, *trees):
    """Install source trees into an environment of its own that borrows the dependencies."""
    python, packages = make_environment(folder)
    run([python, *PIP, "uninstall", "--yes", "setuptools"])  # older than the dependencies' own
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    run([python, *PIP, "install", "--no-index", "--no-deps", "--no-build-isolation", *trees])
    return python


def run_tests(python, tree, arguments, report):
    """Run pytest with upstream's settings; return the outcome of every test by its name."""
    settings = {
        "XDG_CACHE_HOME": str(report.parent / "cache"),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml"]
    done = subprocess.run(
        [str(part) for part in [*command, *arguments, f"--junitxml={report}"]],
        cwd=tree,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(f"pytest did not start in {tree}:\n{done.stdout}\n{done.stderr}")
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        name = f"{case.get('classname')}::{case.get('name')}"
        outcomes[name] = min(kinds) if kinds else "passed"
    if any(outcome in {"failure", "error"} for outcome in outcomes.values()):
        report.with_suffix(".log").write_text(done.stdout + done.stderr)
    return outcomes


def names(outcomes, *kinds):
    """Return the names of the tests with one of some outcomes."""
    return {name for name, outcome in outcomes.items() if outcome in kinds}


def in_words(outcomes):
    """Return how many tests had which outcome."""
    kinds = {"passed": "passed", "skipped": "skipped", "failure": "failed", "error": "errors"}
    numbers = {word: len(names(outcomes, kind)) for kind, word in kinds.items()}
    return ", ".join(f"{number} {word}" for word, number in numbers.items())


def is_fix(patch):
    """Whether a patch changes code that exists, and not only adds files."""
    new = added_files(patch)
    return any(path.endswith(".py") and path not in new for path in touched(patch))


def apply_series(package, file, folder):
    """Unpack and patch the sources; return both trees and a pair of trees for each fix.

    The pair differs in the patch's code only: both have its tests.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
    released = unpack(file, folder / "released")
    patched = unpack(file, folder / "patched")
    pairs = []
    for patch in series(package):
        without = folder / f"{patch.stem}-without"
        if is_fix(patch):
            shutil.copytree(patched, without)
            apply(patch, without, lambda path: "/tests/" in path)
        apply(patch, patched)
        if is_fix(patch):
            pairs.append((patch, without))
    return released, patched, pairs


def prove(patch, without, python, folder):
    """Return the tests of a patch that fail without its code."""
    tests = [path for path in touched(patch) if "/tests/test_" in path]
    outcomes = run_tests(python, without, tests, folder / f"{patch.stem}.xml")
    return names(outcomes, "failure", "error")


def check(package, work, dependencies):
    """Check one package; return what is wrong."""
    folder = work / package
    released, patched, pairs = apply_series(package, fetch(package, work / "sdist"), folder)
    trees = {"released": released, "patched": patched}
    pythons = {k: install(work / f"{package}-{k}", dependencies, tree) for k, tree in trees.items()}
    (folder / "cache" / "astropy").mkdir(parents=True)
    if package == "specreduce":
        lists = [HERE / "line_lists.py", folder / "lists"]
        run([pythons["released"], *lists], env=environment(XDG_CACHE_HOME=str(folder / "cache")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        both = [
            pool.submit(run_tests, pythons[k], tree, [package, "docs"], folder / f"{k}.xml")
            for k, tree in trees.items()
        ]
        proofs = {
            patch: pool.submit(prove, patch, without, pythons["released"], folder)
            for patch, without in pairs
        }
        old, new = (result.result() for result in both)
        proofs = {patch: result.result() for patch, result in proofs.items()}

    print(
        f"{package} {RELEASES[package]}\n  untouched: {in_words(old)}\n  patched:   {in_words(new)}"
    )
    wrong = [f"{name} passed before" for name in names(old, "passed") - names(new, "passed")]
    wrong += [f"{name} fails" for name in names(new, "failure", "error") - set(old)]
    for patch in series(package):
        if patch in proofs:
            cured = proofs[patch] & names(new, "passed")
            print(f"  {patch.name}: {len(cured)} tests fail without its code and pass with it")
            if not cured:
                wrong.append(f"{patch.name} has no test that fails without its code")
        else:
            print(f"  {patch.name}: only adds files")
    return wrong


def with_slitlapse(work, dependencies):
    """Check the rooms beside both patched packages; return what is wrong."""
    patched = [work / package / "patched" for package in RELEASES]
    python = install(work / "slitlapse", dependencies, *patched, ROOT)
    (work / "cache" / "astropy").mkdir(parents=True, exist_ok=True)
    return check_rooms(python, run_tests, work / "slitlapse.xml")


def numbers(work, dependencies):
    """Measure the released and the patched packages; return the tables."""
    columns = {}
    for kind, topics in (("released", ["fixes"]), ("patched", ["fixes", "features"])):
        trees = [work / package / kind for package in RELEASES]
        python = install(work / kind, dependencies, *trees)
        cache = work / "specreduce" / "cache"
        settings = environment(XDG_CACHE_HOME=str(cache), OMP_NUM_THREADS="1", MPLBACKEND="Agg")
        for which in topics:
            answer = run([python, HERE / "compare.py", which], env=settings)
            columns[kind, which] = json.loads(answer.splitlines()[-1])
    return tables(
        columns["released", "fixes"], columns["patched", "fixes"], columns["patched", "features"]
    )


def main():
    """Check both packages and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="where to work, and to leave it all")
    parser.add_argument("--with-slitlapse", action="store_true", help="also test the rooms")
    parser.add_argument("--numbers", action="store_true", help="also print numbers before, after")
    args = parser.parse_args()
    start = time.monotonic()
    work = Path(tempfile.mkdtemp()) if args.folder is None else args.folder
    try:
        more = requirements() if args.with_slitlapse else []
        dependencies = install_dependencies(work / "dependencies", *more)
        wrong = [line for package in RELEASES for line in check(package, work, dependencies)]
        if args.with_slitlapse:
            wrong += with_slitlapse(work, dependencies)
        if args.numbers:
            print(numbers(work, dependencies))
    finally:
        if args.folder is None:
            shutil.rmtree(work, ignore_errors=True)
    print("\n".join(wrong) or "All patches apply, and every test passes that passed before.")
    print(f"{time.monotonic() - start:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
