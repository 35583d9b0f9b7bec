"""The house rules: who may import whom, one test module per module, and what no file does."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SRC = TESTS.parent / "src" / "slitlapse"
ROOMS = {"observing_log", "photons", "flats", "trace", "sky", "extraction", "wavelength"}
LOCAL = {"__init__", "simulate", "explain"}  # files of a room that may see their siblings
MAY_IMPORT = {
    **{room: {"_upstream"} for room in ROOMS},
    "look": set(),
    "instruments": {"observing_log", "photons", "instruments"},
    "automation": ROOMS | {"look", "instruments", "automation", "_upstream", "__version__"},
    "": {"automation", "instruments", "observing_log", "cli", "__version__"},
}
LAZY = {"matplotlib", "IPython", "tqdm", "chromatic", "dask", "distributed"}
FILES = sorted(SRC.rglob("*.py"))
NAMES = [str(path.relative_to(SRC)) for path in FILES]


def imported(path, tree=None):
    """Yield the dotted name of everything a file imports, relative or not."""
    here = ("slitlapse", *path.relative_to(SRC).parts[:-1])
    for node in ast.walk(tree or ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            base = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_the_house_has_all_its_rooms():
    rooms = {path.name for path in SRC.iterdir() if (path / "__init__.py").exists()}
    assert rooms == ROOMS | {"automation", "instruments", "look"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_only_what_it_may(path):
    room = path.relative_to(SRC).parts[0] if path.parent != SRC else ""
    allowed = MAY_IMPORT[room]
    if room and (room not in ROOMS or path.stem in LOCAL):
        allowed = allowed | {room}
    if path.stem == "explain":
        allowed = allowed | {"look"}
    if path.name in {"__init__.py", "_upstream.py"} and path.parent == SRC:
        allowed = set()
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "slitlapse":
            assert rest.split(".")[0] in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_private_upstream_names_come_through_one_door(path):
    if path.name == "_upstream.py":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] in {"slitlapse", "__future__"}:
            continue
        private = [part for part in parts if part.startswith("_") and part != "__version__"]
        assert not private, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_slow_imports_wait_until_they_are_needed(path):
    tree = ast.parse(path.read_text())
    at_top = ast.Module([n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))], [])
    assert not {name.split(".")[0] for name in imported(path, at_top)} & LAZY


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_randomness_comes_in_as_an_argument(path):
    allowed = {"Generator", "default_rng"}  # a type to name, and the demo's own seed
    for node in ast.walk(ast.parse(path.read_text())):
        inner = getattr(node, "value", None) if isinstance(node, ast.Attribute) else None
        if (
            isinstance(inner, ast.Attribute)
            and inner.attr == "random"
            and getattr(inner.value, "id", "") == "np"
        ):
            assert node.attr in allowed, f"{path.name}:{node.lineno} uses np.random.{node.attr}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_has_its_own_test_module(path):
    if path.stem not in {"__init__", "_upstream", "__main__"}:
        folder = TESTS / path.parent.relative_to(SRC)
        assert (folder / f"test_{path.stem}.py").exists()


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_goes_forward_backward_and_explains(room):
    files = {path.stem for path in (SRC / room).glob("*.py")}
    assert files >= LOCAL
    assert len(files) > len(LOCAL), f"{room} has no concept"
    card = ast.get_docstring(ast.parse((SRC / room / "__init__.py").read_text()))
    for heading in ("question", "In plain words", "Forward", "Backward", "How do we know"):
        assert heading.lower() in card.lower(), f"the card of {room} lacks '{heading}'"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400, f"{path.name} wants to be two files"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body
            if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body = body[1:]
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 70, f"{path.name}: {node.name} has {lines} lines"
