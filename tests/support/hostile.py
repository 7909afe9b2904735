"""Objects that fail the test when any code of theirs is run."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import pytest


def never(*args: Any, **kwargs: Any) -> Any:
    """No ``Exception``: nobody who catches those hides it."""
    pytest.fail("code of a value's own class was run")


class Everything:
    """Blocks, raises or lies whatever is asked of it."""

    __repr__ = __str__ = __format__ = __bytes__ = __eq__ = __ne__ = __lt__ = __hash__ = never
    __getattr__ = __getattribute__ = __setattr__ = __len__ = __length_hint__ = __iter__ = __next__ = never
    __bool__ = __contains__ = __getitem__ = __call__ = __index__ = __int__ = __float__ = never
    __reduce__ = __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = __sizeof__ = __dir__ = never
    __class__ = property(never)
    __dict__ = property(never)


class Empty(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class Zone(datetime.tzinfo):
    utcoffset = dst = tzname = fromutc = never


def subclass(base: type, *methods: str) -> type:
    """A subclass of a builtin that answers for itself, which nobody should ask."""
    asked = ("__iter__", "__len__", "__repr__", "__str__", "__eq__", "__hash__", "__bool__", "__getitem__", *methods)
    return type(f"Lying{base.__name__}", (base,), dict.fromkeys(asked, never))


class Meta(type):
    """A metaclass whose classes answer for themselves."""

    __getattr__ = __eq__ = __hash__ = __instancecheck__ = __subclasscheck__ = __call__ = __repr__ = __dir__ = never


class EvenMoreMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        never()


def instance_of_meta(meta: type) -> Any:
    return object.__new__(type.__new__(meta, "Odd", (), {}))


@dataclass
class OddDataclass:
    a: int = 1
    __dict__ = property(never)  # as werkzeug's proxies have one

    def __init__(self) -> None:
        pass


class NoDataclass:
    __dataclass_fields__ = 5


def nameless(module: Any) -> Any:
    return type("Nameless", (), {"__module__": module})()
