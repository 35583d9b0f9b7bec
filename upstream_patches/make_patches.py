"""Make the feature patches from slitlapse's own modules and tests.

``python upstream_patches/make_patches.py`` copies each module of `FEATURES`, with its tests, to
where it would live upstream, rewrites its imports, adds an API entry, a section of documentation
and a line of the change log, and writes the difference as the next patch of the ``release/``
series. ``tests/test_upstream_patches.py`` fails when a module and its patch drift apart.
"""

import ast
import re
import subprocess
import sys
import tempfile
import textwrap
from functools import cache
from pathlib import Path

from features import FEATURES
from sources import HERE, apply, fetch, run, series, unpack

ROOT = HERE.parent
SRC = ROOT / "src" / "slitlapse"
TESTS = ROOT / "tests"
STATEMENT = re.compile(
    r"^(?P<lead> *(?:>>> )?)from slitlapse\.(?P<module>[\w.]+) import "
    r"(?:\((?P<many>[^)]*)\)|(?P<names>[^\n]*))$",
    re.MULTILINE,
)
REFERENCE = re.compile(r"(?<![`:\w])`([A-Za-z_][\w.]*)`(?![`_\w])")
# what our docstrings refer to and the documentation there cannot find
UNKNOWN_THERE = {"False", "SkyWindows.mask", "fwhm", "geometry", "line_excess"}


def _files(feature):
    """Yield (file of ours, path upstream) of all modules of a feature."""
    for source, target in feature.modules.items():
        path = SRC / source
        if path.is_dir():
            for file in sorted(path.rglob("*.py")):
                yield file, f"{feature.package}/{target}/{file.relative_to(path)}"
        else:
            yield path, f"{feature.package}/{target}"


def _dotted(path):
    """Return the module name of a path."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def homes(package):
    """Return where public names and modules of ours live upstream."""
    names, modules = {}, {}
    for feature in FEATURES:
        if feature.package != package:
            continue
        for file, target in _files(feature):
            ours = _dotted(str(file.relative_to(SRC.parent)))
            modules[ours] = _dotted(target)
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                    for name in ast.literal_eval(node.value):
                        room = ".".join(ours.split(".")[:2])
                        old = names.get((room, name))
                        if old is None or len(_dotted(target)) < len(old):
                            names[room, name] = _dotted(target)
    return names, modules


def rewrite(text, package):
    """Point the imports of a text, and of its examples, to upstream's modules."""
    names, modules = homes(package)

    def replace(match):
        module, lead = f"slitlapse.{match['module']}", match["lead"]
        wanted = [n.strip() for n in (match["many"] or match["names"]).split(",") if n.strip()]
        room = ".".join(module.split(".")[:2])
        groups = {}
        for name in wanted:
            home = modules.get(module) or names[room, name]
            groups.setdefault(home, []).append(name)
        lines = []
        for home, members in sorted(groups.items()):
            line = f"{lead}from {home} import {', '.join(members)}"
            if len(line) > 88:
                inner = "".join(f"{lead}    {member},\n" for member in members)
                line = f"{lead}from {home} import (\n{inner}{lead})"
            lines.append(line)
        return "\n".join(lines)

    text = STATEMENT.sub(replace, text)
    for ours, theirs in sorted(modules.items(), key=lambda pair: -len(pair[0])):
        text = re.sub(rf"\b{re.escape(ours)}\b", theirs, text)
    return text


def _link(text, package, room, here):
    """Write references so that upstream's documentation finds them, or as plain text."""
    names, _ = homes(package)
    pages = {_dotted(f"{f.package}/{to}") for f in FEATURES for to in f.modules.values()}

    def replace(match):
        name = match[1]
        home = names.get((f"slitlapse.{room}", name.split(".")[0]), here)
        if name in UNKNOWN_THERE or (home != here and home not in pages):
            return f"``{name}``"
        return match[0] if home == here else f"`~{home}.{name}`"

    lines = [REFERENCE.sub(replace, line) for line in text.split("\n")]
    return "\n".join(
        new if len(new) <= 100 else old for new, old in zip(lines, text.split("\n"), strict=True)
    )


def _imports(tree):
    """Yield (node, room or module, name) of every import from our package."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slitlapse."):
            yield from ((node, node.module, alias.name) for alias in node.names)


def _for_upstream(text, package):
    """Leave out tests that need real frames or what upstream has not, and our marker."""
    names, modules = homes(package)
    lines = [line for line in text.split("\n") if line.strip() != "@pytest.mark.slow"]
    gone = {"real_data"} | {
        name
        for _, module, name in _imports(ast.parse(text))
        if module not in modules and (module, name) not in names
    }
    while True:
        code = "\n".join(lines)
        for node in ast.parse(code).body:
            first = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", [])]])
            source = "\n".join(lines[first - 1 : node.end_lineno])
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                bound = [a.asname or a.name.split(".")[0] for a in node.names]
                kept = [n for n in bound if len(re.findall(rf"\b{n}\b", code)) > 1]
                kept = [n for n in kept if n not in gone]
                if kept == bound:
                    continue
                new = []
                if kept and isinstance(node, ast.ImportFrom):
                    new = [f"from {node.module} import {', '.join(kept)}"]
            elif any(re.search(rf"\b{name}\b", source) for name in gone):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    gone.add(node.name)
                elif isinstance(node, ast.Assign):
                    gone.update(t.id for t in node.targets if isinstance(t, ast.Name))
                new = []
            elif isinstance(node, ast.FunctionDef) and not node.name.startswith("test_"):
                if node.decorator_list or len(re.findall(rf"\b{node.name}\b", code)) > 1:
                    continue
                new = []
            else:
                continue
            lines[first - 1 : node.end_lineno] = new
            break
        else:
            return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).rstrip("\n") + "\n"


def _compare_floats(text):
    """Say at each example with decimals that they count as numbers, as our settings do."""
    example = re.compile(
        r"^( *(?:>>>|\.\.\.) [^\n]*)\n(?= *(?!>>>|\.\.\.| )[^\n]*\d\.)", re.MULTILINE
    )
    return example.sub(r"\1  # doctest: +FLOAT_CMP\n", text)


def new_files(feature):
    """Return the text of every module and test that a feature adds upstream, by path."""
    files = {}
    for file, target in _files(feature):
        text = file.read_text()
        if str(file.relative_to(SRC)) in feature.modules:  # its siblings become others' homes
            text = re.sub(
                r"^from \.(?=\w)", f"from slitlapse.{file.parent.name}.", text, flags=re.MULTILINE
            )
        text = _compare_floats(rewrite(text, feature.package))
        room = file.relative_to(SRC).parts[0]
        files[target] = _link(text, feature.package, room, _dotted(target))
    for source, target in feature.tests.items():
        text = _for_upstream((TESTS / source).read_text(), feature.package)
        files[f"{feature.package}/tests/{target}"] = rewrite(text, feature.package)
    for source, target in feature.data.items():
        for file in sorted((SRC / source).glob("*.csv")):
            files[f"{feature.package}/{target}/{file.name}"] = file.read_text()
    return files


def _ship(feature, tree):
    """Say to the build that data files belong to the package."""
    project = tree / "pyproject.toml"
    table = "[tool.setuptools.package-data]\n"
    for target in feature.data.values():
        folder, name = f"{feature.package}/{target}".rsplit("/", 1)
        entry = f'"{folder.replace("/", ".")}" = ["{name}/*.csv"]\n'
        assert table in project.read_text(), "pyproject.toml has no table of data files"
        project.write_text(project.read_text().replace(table, table + entry))


def _fill(text, width, indent=""):
    """Return a text in lines, whole words in each."""
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _example(feature, module):
    """Return the first example of a module's public things, for the page of documentation."""
    path = f"{feature.package}/{module.split('.', 1)[1].replace('.', '/')}"
    files = new_files(feature)
    code = ast.parse(files[f"{path}.py"] if f"{path}.py" in files else files[f"{path}/__init__.py"])
    for node in code.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            lines = (ast.get_docstring(node) or "").split("\nExamples\n--------\n")
            if len(lines) > 1 and not node.name.startswith("_"):
                block = lines[1].split("\n\n")[0].strip("\n")
                return f"For example::\n\n{textwrap.indent(block, '    ')}\n"
    raise ValueError(f"{module} has no example to show in the documentation")


def _document(feature, tree):
    """Add the API entries, a documentation page and the line of the change log."""
    public = [
        _dotted(f"{feature.package}/{target}")
        for target in feature.modules.values()
        if not target.startswith("tests/")
    ]
    api = tree / "docs" / "api.rst"
    entries = "".join(f"\n.. automodapi:: {m}\n    :no-inheritance-diagram:\n" for m in public)
    api.write_text(api.read_text().rstrip("\n") + "\n" + entries)

    page = feature.patch[5:].replace("-", "_")
    title = page.replace("_", " ").capitalize()
    links = "\n".join(f"* `{m}`" for m in public)
    text = f"{title}\n{'=' * len(title)}\n\n{_fill(feature.change, 79)}\n\n"
    text += f"{_example(feature, public[0])}\nThe modules with all options:\n\n{links}\n"
    (tree / "docs" / f"{page}.rst").write_text(text)
    index = tree / "docs" / ("user_guide.rst" if feature.package == "specreduce" else "index.rst")
    known = "    background\n" if feature.package == "specreduce" else "    reduction_toolbox\n"
    content = index.read_text()
    assert known in content, f"{index.name} has no entry {known.strip()}"
    index.write_text(content.replace(known, f"{known}    {page}\n", 1))

    log = tree / "CHANGES.rst"
    if log.exists():
        old = log.read_bytes()
        entry = _fill(f"- {feature.change} [#NNN]", 80, "  ")
        entry = f"{entry}\n\n".replace("\n", "\r\n").encode()
        at = old.index(b"Bug Fixes")
        log.write_bytes(old[:at] + entry + old[at:])


def make(feature, tree):
    """Add a feature to a source tree and return the patch."""
    git = ["git", "-c", "core.autocrlf=false", "-c", "user.name=x", "-c", "user.email=x"]
    run([*git, "init", "-q"], cwd=tree)
    run([*git, "add", "-A", "-f"], cwd=tree)
    run([*git, "commit", "-q", "--allow-empty", "-m", "before"], cwd=tree)
    for path, text in new_files(feature).items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    _document(feature, tree)
    _ship(feature, tree)
    run([*git, "add", "-A", "-f"], cwd=tree)
    command = ["git", "diff", "--cached", "--no-color"]
    diff = subprocess.run(command, cwd=tree, capture_output=True, check=True).stdout
    run([*git, "commit", "-q", "-m", "after"], cwd=tree)
    change = _fill(f"- {feature.change}", 95, "  ")
    note = f"{feature.note}\n\nChange log:\n\n{change}\n\n{_fill(feature.main, 95)}"
    return f"{note}\n\n---\n".encode() + diff


def main():
    """Write all feature patches anew."""
    work = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    mine = {feature.patch for feature in FEATURES}
    for package in dict.fromkeys(feature.package for feature in FEATURES):
        tree = unpack(fetch(package, work / "sdist"), work / f"make-{package}")
        for patch in series(package):
            if patch.stem not in mine:
                apply(patch, tree)
        for feature in FEATURES:
            if feature.package == package:
                target = HERE / package / "release" / f"{feature.patch}.patch"
                target.write_bytes(make(feature, tree))
                print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
