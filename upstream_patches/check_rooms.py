"""Do the rooms take what the patches bring from upstream, and do their tests pass with it?

``python upstream_patches/check.py --with-slitlapse`` installs slitlapse beside the patched ccdproc
and specreduce, in an environment of its own, asks every room where its public objects come from,
and runs the tests of the rooms, the long ones too.
"""

import json
import tomllib

from features import FEATURES
from make_patches import ROOT, homes
from sources import RELEASES, run

ROOMS = sorted({source.split("/")[0] for feature in FEATURES for source in feature.modules})
ASK = """
import importlib, json
rooms = {room: importlib.import_module("slitlapse." + room) for room in %r}
print(json.dumps({
    room: {name: getattr(getattr(module, name), "__module__", None) for name in module.__all__}
    for room, module in rooms.items()
}))
"""


def requirements():
    """Return what slitlapse and its tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["test"]


def expected():
    """Yield (room, public name, module upstream) of every object that a patch brings there."""
    for package in RELEASES:
        for (room, name), home in sorted(homes(package)[0].items()):
            if ".tests." not in home:
                yield room.removeprefix("slitlapse."), name, home


def not_taken(python):
    """Return the objects that the rooms do not take from upstream, and how many they do."""
    places = json.loads(run([python, "-c", ASK % ROOMS]).splitlines()[-1])
    wrong, taken = [], 0
    for room, name, home in expected():
        place = places[room].get(name)  # None: not public in the room, or a constant
        if place is not None and place.split(".")[0] == home.split(".")[0]:
            taken += 1
        elif place is not None:
            wrong.append(f"slitlapse.{room}.{name} comes from {place} and not from {home}")
    return wrong, taken


def check_rooms(python, run_tests, report):
    """Check the rooms in an environment with the patched packages; return what is wrong."""
    wrong, taken = not_taken(python)
    outcomes = run_tests(python, ROOT, [f"tests/{room}" for room in ROOMS], report)
    failed = sorted(name for name, outcome in outcomes.items() if outcome in {"failure", "error"})
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    print(f"slitlapse with both\n  {taken} objects of {', '.join(ROOMS)} come from upstream")
    print(f"  tests of these rooms: {passed} passed, {len(failed)} failed, of {len(outcomes)}")
    return wrong + [f"{name} fails with the patched packages" for name in failed]
