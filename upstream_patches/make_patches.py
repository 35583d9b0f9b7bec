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
from dataclasses import dataclass, field
from pathlib import Path

from sources import HERE, apply, fetch, run, series, unpack

ROOT = HERE.parent
SRC = ROOT / "src" / "slitlapse"
TESTS = ROOT / "tests"
STATEMENT = re.compile(
    r"^(?P<lead> *(?:>>> )?)from slitlapse\.(?P<module>[\w.]+) import "
    r"(?:\((?P<many>[^)]*)\)|(?P<names>[^\n]*))$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Feature:
    """One feature: where its modules come from and go to, and its words."""

    package: str
    patch: str
    modules: dict  # folder or file under src/slitlapse -> the same under the package
    tests: dict  # file under tests -> name under the package's tests
    note: str
    change: str
    main: str  # what differs on the development branch
    data: dict = field(default_factory=dict)  # folder under src/slitlapse -> under the package


FEATURES = (
    Feature(
        "ccdproc",
        "0002-amplifiers",
        {"photons/amplifier": "amplifier", "photons/process.py": "process_amplifiers.py",
         "photons/simulate.py": "tests/raw_frames.py"},
        {"photons/amplifier/test_amplifier.py": "test_amplifier.py",
         "photons/amplifier/test_overscan.py": "test_amplifier_overscan.py",
         "photons/test_process.py": "test_process_amplifiers.py"},
        "Reduce frames that several amplifiers read out",
        "``Amplifier`` and ``process_amplifiers`` subtract overscan, trim and apply the gain of "
        "each amplifier of a frame.",
        "On main: every function takes xp and keeps data in its array library, so the block loops "
        "need array_api_extra in place of assignment.",
    ),
    Feature(
        "specreduce",
        "0006-profile-trace",
        {"trace/profile_trace": "profile_trace", "trace/simulate.py": "tests/star_image.py"},
        {"trace/test_profile_trace.py": "test_profile_trace.py"},
        "Trace the centre and the width of a star, with their errors",
        "Added ``specreduce.profile_trace.ProfileTrace``: a trace with the width of the star, "
        "errors of both and rejection of outliers.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; it does not use _ImageParser, which is gone there (#309).",
    ),
    Feature(
        "specreduce",
        "0007-polynomial-background",
        {"sky/polynomial_background": "polynomial_background"},
        {"sky/test_polynomial_background.py": "test_polynomial_background.py",
         "sky/polynomial_background/test_column_fit.py": "test_column_fit.py"},
        "Fit the background of each column with a polynomial along the slit",
        "Added ``specreduce.polynomial_background.PolynomialBackground`` with the variance of the "
        "background in an aperture.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; the base class Background reads its image with parse_image there (#309).",
    ),
    Feature(
        "specreduce",
        "0008-spline-sky",
        {"sky/spline_sky": "spline_sky"},
        {"sky/test_spline_sky.py": "test_spline_sky.py",
         "sky/spline_sky/test_sky_geometry.py": "test_sky_geometry.py"},
        "Model the sky on the tilted lines' own pixels (#197)",
        "Added ``specreduce.spline_sky.SplineSky``: the sky as a spline in the tilt-corrected "
        "coordinate of every pixel, without resampling.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; TiltSolution.resample changes in #320, which this does not call.",
    ),
    Feature(
        "specreduce",
        "0009-profile-extraction",
        {"extraction/optimal": "profile_extract", "extraction/pixel_noise.py": "pixel_noise.py",
         "extraction/profiles.py": "spatial_profiles.py", "extraction/cutout.py": "row_window.py",
         "extraction/noise_budget.py": "noise_budget.py",
         "extraction/simulate.py": "tests/simulated_star.py"},
        {"extraction/test_optimal.py": "test_profile_extract.py",
         "extraction/test_pixel_noise.py": "test_pixel_noise.py",
         "extraction/test_profiles.py": "test_spatial_profiles.py",
         "extraction/test_cutout.py": "test_row_window.py"},
        "Extract stars with a given profile and tell where the noise comes from",
        "Added ``specreduce.profile_extract.ProfileExtract``: optimal extraction with a profile "
        "of varying width, several stars, rejection of cosmic rays and variance components.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; HorneExtract is rewritten in #322, which this stands beside.",
    ),
    Feature(
        "specreduce",
        "0010-line-lists",
        {"wavelength/line_lists.py": "lamp_lines/__init__.py"},
        {"wavelength/test_line_lists.py": "test_lamp_lines.py"},
        "Line lists of lamps and of the night sky that need no network",
        "Added ``specreduce.lamp_lines``: line lists of lamps and of the night sky inside the "
        "package, which say whether they are in air or in vacuum.",
        "On main: it adds a module, so it applies but for the change log, which has no unreleased "
        "section yet; the tests that download lists are marked remote_data there (#310).",
        {"wavelength/data": "lamp_lines/data"},
    ),
)  # fmt: skip


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
        files[target] = _compare_floats(rewrite(text, feature.package))
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
    text = f"{title}\n{'=' * len(title)}\n\n{feature.change}\n\nSee the examples of:\n\n{links}\n"
    (tree / "docs" / f"{page}.rst").write_text(text)
    index = tree / "docs" / ("user_guide.rst" if feature.package == "specreduce" else "index.rst")
    known = "    background\n" if feature.package == "specreduce" else "    reduction_toolbox\n"
    content = index.read_text()
    assert known in content, f"{index.name} has no entry {known.strip()}"
    index.write_text(content.replace(known, f"{known}    {page}\n", 1))

    log = tree / "CHANGES.rst"
    if log.exists():
        old = log.read_bytes()
        entry = f"- {feature.change} [#NNN]\r\n\r\n".encode()
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
    note = f"{feature.note}\n\nChange log:\n\n- {feature.change}\n\n{feature.main}"
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
