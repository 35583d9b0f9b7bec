"""Configuration of the documentation."""

import shutil
from pathlib import Path

from sphinx_astropy.conf.v2 import *  # noqa: F403

import slitlapse

HERE = Path(__file__).parent

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
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_title = f"slitlapse {release}"
nitpicky = False
# the documentation builds without a network: names of other projects stay plain text
intersphinx_mapping = {}
default_role = "obj"

# tutorials live at the top of the repository, where people look for them
tutorials = HERE / "tutorials"
shutil.rmtree(tutorials, ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", tutorials)
# pages of names that are gone would be warnings: the reference is written anew every time
shutil.rmtree(HERE / "api", ignore_errors=True)
