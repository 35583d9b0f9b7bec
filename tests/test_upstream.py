"""The door to upstream: what upstream can do is taken from there, and nothing else is."""

import sys
import types

import pytest

from slitlapse import _upstream


class Tool:
    """A class of ours."""

    def __init__(self, image, width=5):
        self.image, self.width = image, width

    def measure(self):
        return self.width


class ToolWarning(UserWarning):
    """A warning of ours."""


@pytest.fixture
def upstream(monkeypatch):
    """A module that upstream might have some day."""
    module = types.ModuleType("later")
    monkeypatch.setitem(sys.modules, "later", module)
    return module


def named(name, *bases, **body):
    return type(name, bases, body)


def test_ours_are_taken_where_upstream_has_no_such_module():
    assert _upstream.prefer("not_there.at_all", Tool) == (Tool,)
    assert _upstream.prefer("specreduce.not_there", Tool, ToolWarning) == (Tool, ToolWarning)


def test_upstreams_are_taken_where_they_can_do_the_same(upstream):
    upstream.Tool = named("Tool", Tool)
    upstream.ToolWarning = named("ToolWarning", UserWarning)
    taken = _upstream.prefer("later", Tool, ToolWarning)
    assert taken == (upstream.Tool, upstream.ToolWarning)


def test_more_parameters_at_the_end_do_not_hinder(upstream):
    def init(self, image, width=5, profile=None):
        pass

    upstream.Tool = named("Tool", Tool, __init__=init)
    assert _upstream.prefer("later", Tool) == (upstream.Tool,)


def test_a_missing_parameter_leaves_all_of_ours(upstream):
    def init(self, image):
        pass

    upstream.Tool = named("Tool", Tool, __init__=init)
    upstream.ToolWarning = named("ToolWarning", UserWarning)
    assert _upstream.prefer("later", Tool, ToolWarning) == (Tool, ToolWarning)


def test_a_missing_name_or_method_leaves_ours(upstream):
    upstream.Tool = named("Tool", object, __init__=Tool.__init__)
    assert _upstream.prefer("later", Tool) == (Tool,)
    assert _upstream.prefer("later", ToolWarning) == (ToolWarning,)


def test_objects_in_several_modules_are_taken_together_or_not_at_all(upstream, monkeypatch):
    upstream.Tool = named("Tool", Tool)
    assert _upstream.prefer(("later", "later_too"), Tool, ToolWarning) == (Tool, ToolWarning)
    also = types.ModuleType("later_too")
    monkeypatch.setitem(sys.modules, "later_too", also)
    assert _upstream.prefer(("later", "later_too"), Tool, ToolWarning) == (Tool, ToolWarning)
    also.ToolWarning = named("ToolWarning", UserWarning)
    taken = _upstream.prefer(("later", "later_too"), Tool, ToolWarning)
    assert taken == (upstream.Tool, also.ToolWarning)


def test_a_package_without_the_module_is_not_imported_to_find_out(tmp_path, monkeypatch):
    package = tmp_path / "slow_upstream"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert _upstream.prefer("slow_upstream.later", Tool) == (Tool,)
    (package / "later.py").write_text("class Tool: pass\n")
    with pytest.raises(RuntimeError, match="imported"):
        _upstream.prefer("slow_upstream.later", Tool)


def test_a_module_has_no_modules_inside(tmp_path, monkeypatch):
    (tmp_path / "flat_upstream.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert _upstream.prefer("flat_upstream.later", Tool) == (Tool,)


def test_a_module_of_upstream_that_is_broken_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_upstream.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        _upstream.prefer("broken_upstream", Tool)
