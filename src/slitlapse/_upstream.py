"""The one door to upstream features that are private or differ between releases."""

import importlib
import inspect
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from itertools import accumulate

__all__ = ["prefer"]


def prefer(modules, *ours):
    """
    Choose upstream's objects where they can do all that ours can, else ours.

    What decides is the feature, not a version: upstream must have every name, each with every
    public attribute and every parameter of ours. All are taken from upstream or none, as they
    belong together. A package is imported only where it has all the modules.

    Parameters
    ----------
    modules : str or sequence of str
        Where the objects would be upstream, such as ``"specreduce.profile_trace"``; each is
        taken from the first module that has its name.
    *ours : class or function
        Our own objects, whose names are those upstream.

    Returns
    -------
    objects : tuple of class or function
        In the order of ``ours``.

    Examples
    --------
    >>> from slitlapse._upstream import prefer
    >>> class ProfileTrace:
    ...     "Ours."
    >>> prefer("specreduce.some_day", ProfileTrace)[0].__doc__
    'Ours.'
    """
    names = [modules] if isinstance(modules, str) else list(modules)
    if not all(_is_there(name) for name in names):
        return ours
    upstream = [importlib.import_module(name) for name in names]  # there and broken: let it raise
    theirs = tuple(_find(one.__name__, upstream) for one in ours)
    fits = all(_can_all(new, old) for new, old in zip(theirs, ours, strict=True))
    return theirs if fits else ours


def _is_there(module):
    """Whether a module could be imported, found without importing the packages it is in."""
    *packages, _ = names = list(accumulate(module.split("."), "{}.{}".format))
    if module in sys.modules:
        return True
    path = None
    for name in names:
        spec = find_spec(name) if path is None else PathFinder.find_spec(name, path)
        if spec is None or (name in packages and spec.submodule_search_locations is None):
            return False
        path = spec.submodule_search_locations
    return True


def _find(name, modules):
    """Return the object of a name in the first module that has it, or None."""
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


def _can_all(theirs, ours):
    """Whether an object has the public attributes of ours and accepts all its parameters."""
    if theirs is None or inspect.isclass(theirs) != inspect.isclass(ours):
        return False
    if any(not hasattr(theirs, name) for name in dir(ours) if not name.startswith("_")):
        return False
    if inspect.isclass(ours) and issubclass(ours, (Exception, Warning)):
        return issubclass(theirs, ours.__mro__[1])
    try:
        wanted, there = (inspect.signature(one).parameters for one in (ours, theirs))
    except ValueError:  # written in C, without a signature
        return False
    return list(wanted) == list(there)[: len(wanted)]
