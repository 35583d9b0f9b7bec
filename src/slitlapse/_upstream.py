"""The one door to upstream features that are private or differ between releases."""

import importlib
import inspect

__all__ = ["prefer"]


def prefer(module, *ours):
    """
    Choose upstream's objects where they can do all that ours can, else ours.

    What decides is the feature, not a version: upstream must have every name, each with every
    public attribute and every parameter of ours. All are taken from one place or none, as they
    belong together.

    Parameters
    ----------
    module : str
        Where the objects would be upstream, such as ``"specreduce.profile_trace"``.
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
    try:
        upstream = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            return ours
        raise  # it is there, and broken
    theirs = tuple(getattr(upstream, one.__name__, None) for one in ours)
    fits = all(_can_all(new, old) for new, old in zip(theirs, ours, strict=True))
    return theirs if fits else ours


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
