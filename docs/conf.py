"""Configuration of the documentation."""

import os
import shutil
import tomllib
from pathlib import Path

from sphinx_astropy.conf.v2 import *  # noqa: F403

import slitlapse

HERE = Path(__file__).parent
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")  # for the kernels of the tutorials, too

project = "slitlapse"
author = "The slitlapse developers"
copyright = f"2026, {author}"
release = slitlapse.__version__
version = ".".join(release.split(".")[:2])

extensions += ["myst_nb"]  # noqa: F405
exclude_patterns += ["_build", "**.ipynb_checkpoints"]  # noqa: F405
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # bars of progress; warnings would fail tests/test_tutorials.py
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_title = f"slitlapse {release}"
html_static_path = ["_static"]
html_css_files = ["slitlapse.css"]
html_theme_options["header_links_before_dropdown"] = 4  # noqa: F405
# pages without pages below them have nothing to navigate there: room for code and pictures
alone = [path.stem for path in HERE.glob("*.*") if path.suffix in (".rst", ".md")]
html_sidebars = {page: [] for page in ["tutorials/*", *alone]}
nitpicky = False
# the documentation builds without a network: names of other projects stay plain text
intersphinx_mapping = {}
default_role = "obj"

# tutorials live at the top of the repository, where people look for them
tutorials = HERE / "tutorials"
shutil.rmtree(tutorials, ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", tutorials)
for page in tutorials.glob("*.md"):
    text = page.read_text(encoding="utf-8")
    page.write_text(
        f"{text}\n---\n\n{{nb-download}}`{page.stem}.ipynb` (this page as a notebook)\n"
    )
# pages of names that are gone would be warnings: the reference is written anew every time
shutil.rmtree(HERE / "api", ignore_errors=True)


def write_commands(path):
    """Write the reference of the commands from the parser itself."""
    from slitlapse.cli import build_parser

    parser = build_parser()
    commands = next(a for a in parser._actions if hasattr(a, "choices") and a.choices)
    parsers = {"slitlapse": parser} | {
        f"slitlapse {name}": command for name, command in commands.choices.items()
    }
    lines = ["The commands", "============", "", "What ``--help`` says of each.", ""]
    for name, command in parsers.items():
        lines += [name, "-" * len(name), "", ".. code-block:: text", ""]
        lines += [f"   {line}".rstrip() for line in command.format_help().splitlines()] + [""]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines))


os.environ["COLUMNS"] = "88"  # argparse folds its lines at the width of the terminal
os.environ["NO_COLOR"] = "1"
write_commands(HERE / "api" / "commands.rst")


# every class has a picture on its page, and the code that makes it: see figures/figures.toml
FIGURES = {
    f"slitlapse.{name}": script
    for script, names in tomllib.loads((HERE / "figures" / "figures.toml").read_text()).items()
    for name in names
}
plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 110)]
plot_rcparams = {"savefig.bbox": "tight", "font.size": 12, "legend.fontsize": "small"}
plot_apply_rcparams = True


def add_picture(app, what, name, obj, options, lines):
    """Put the picture of a class below what its docstring says, once a page."""
    parts = name.split(".")
    script = FIGURES.get(f"slitlapse.{parts[1]}.{parts[-1]}") if len(parts) > 2 else None
    drawn = app.env.temp_data.setdefault("pictures", set())
    if what == "class" and script is not None and name not in drawn:
        drawn.add(name)
        lines += ["", ".. rubric:: In a picture", "", f".. plot:: figures/{script}.py", ""]


def setup(app):
    """Draw after numpydoc has rewritten the docstring, so that it leaves the picture alone."""
    app.connect("autodoc-process-docstring", add_picture, priority=900)
