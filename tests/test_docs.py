"""The files that the documentation shows are read by the package itself."""

from pathlib import Path

import pytest

from slitlapse.automation import read_night
from slitlapse.instruments import load_instrument

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*night.toml")), ids=lambda path: path.stem)
def test_a_night_file_of_the_docs_can_be_read(path):
    night = read_night(path)
    assert night.data.name == "raw"
    assert night.output.name == "reduced"


def test_the_instrument_file_of_the_docs_can_be_read():
    instrument = load_instrument(EXAMPLES / "instrument.toml")
    assert instrument.name == "My spectrograph"
    assert len(instrument.amplifiers) == 2


def test_the_night_file_of_the_docs_shows_every_key():
    from slitlapse.automation.night_schema import SCHEMA

    text = (EXAMPLES / "night.toml").read_text() + (DOCS / "files.rst").read_text()
    for key, rule in SCHEMA.items():
        for name in [key, *(rule if isinstance(rule, dict) else ())]:
            assert name is None or name in text, f"{name} is not explained"


def test_every_example_is_shown_on_some_page():
    pages = "".join(path.read_text() for path in DOCS.glob("*.rst"))
    for path in EXAMPLES.iterdir():
        assert f"examples/{path.name}" in pages, f"no page shows {path.name}"
