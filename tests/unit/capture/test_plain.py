"""Whatever a user's objects do, what is recorded of them is plain, bounded and can be written."""

from __future__ import annotations

import array
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import json
import pathlib
import subprocess
import sys
import types
import uuid
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_crewai_trace.capture.plain import MOST_CHARACTERS, MOST_ITEMS, MOST_VALUES, message_of, plain
from tests.support import hostile


def written(value) -> bytes:
    """As a trace's document writes it; an error where it could not be read again as the same."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    assert json.loads(text) == value
    return text.encode("utf-8")


def values_in(value) -> int:
    count, stack = 0, [value]
    while stack:
        one = stack.pop()
        count += 1
        stack.extend([*one, *one.values()] if type(one) is dict else one if type(one) is list else ())
        assert type(one) in (dict, list, str, int, float, bool, type(None))
    return count


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Page(pydantic.BaseModel):
    title: str
    tags: list[str] = []
    parent: Page | None = None


@dataclasses.dataclass
class Point:
    x: int
    inner: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int = 1


@dataclasses.dataclass(slots=True)
class MoreSlotted(Slotted):
    b: int = 2


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-5, -5),
        (1.5, 1.5),
        ("text", "text"),
        ("é\U0001f600", "é\U0001f600"),
        ([1, [2]], [1, [2]]),
        ((1, 2), [1, 2]),
        (Pair(1, 2), [1, 2]),
        ({"a": {"b": (1,)}}, {"a": {"b": [1]}}),
        ({1: "a", None: "b", False: "c", 1.5: "d"}, {"1": "a", "None": "b", "False": "c", "1.5": "d"}),
        ({(1, 2): "a"}, {"[1, 2]": "a"}),
        ({Colour.RED: 1}, {"red": 1}),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 1, "a"}), [1, 2, "a"]),
        (deque([1, 2]), [1, 2]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Flags.A | Flags.B, 3),
        (b"\x00\xff", "<2 bytes>"),
        (bytearray(3), "<3 bytes>"),
        (memoryview(b"abcd"), "<4 bytes>"),
        (decimal.Decimal("1.50"), "1.50"),
        (decimal.Decimal("NaN"), "NaN"),
        (decimal.Decimal("sNaN"), "sNaN"),
        (decimal.Decimal("-Infinity"), "-Infinity"),
        (decimal.Decimal("1E+999999"), "1E+999999"),
        (fractions.Fraction(1, 3), "1/3"),
        (complex(1, 2), "(1+2j)"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc), "2026-01-02 03:00:00+00:00"),
        (datetime.time(1, 2), "01:02:00"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (datetime.timezone.utc, "UTC"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (ipaddress.ip_address("127.0.0.1"), "127.0.0.1"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (10**400, 10**400),
        (10**5000, "<integer of 16610 bits>"),
        (-(10**5000), "<integer of 16610 bits>"),
        ({10**5000: 1}, {"<integer of 16610 bits>": 1}),
        (Point(1, [2]), {"x": 1, "inner": [2]}),
        (Slotted(), {"a": 1}),
        (MoreSlotted(), {"a": 1, "b": 2}),
        (
            Page(title="x", parent=Page(title="y")),
            {"title": "x", "tags": [], "parent": {"title": "y", "tags": [], "parent": None}},
        ),
        (ValueError("bad"), "ValueError: bad"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (int, "<builtins.int>"),
        (len, "<builtins.len>"),
        (json.dumps, "<json.dumps>"),
        (Page, f"<{__name__}.Page>"),
        ("a".upper, "<?.str.upper>"),
        (json, "<builtins.module>"),
        (range(3), "<builtins.range>"),
        (iter([1]), "<builtins.list_iterator>"),
        (array.array("i", [1]), "<array.array>"),
        (functools.partial(int), "<functools.partial>"),
        (types.SimpleNamespace(a=1), "<types.SimpleNamespace>"),
        (types.MappingProxyType({"a": 1}), "<builtins.mappingproxy>"),
        (UserDict(a=1), "<collections.UserDict>"),
        (object(), "<builtins.object>"),
        (..., "<builtins.ellipsis>"),
        (NotImplemented, "<builtins.NotImplementedType>"),
    ],
    ids=lambda value: ascii(value)[:40] if isinstance(value, str | bytes | float) else type(value).__name__,
)
def test_what_becomes_of_a_value(value, expected):
    """S59"""
    copy = plain(value)

    assert copy == expected
    assert type(copy) is type(expected)
    assert written(copy)
    assert plain([value]) == [expected]


def test_text_that_no_file_takes_is_replaced():
    """S58: lone surrogates, also in keys and in the texts of other types."""
    assert plain("a\ud800b\udfff") == "a?b?"
    assert plain({"\ud800": "\udc00"}) == {"?": "?"}
    assert plain(ValueError("a\ud800")) == "ValueError: a?"
    assert plain(pathlib.PurePosixPath("a\udcff")) == "a?"
    assert plain(b"\xff\xfe".decode("utf-8", "surrogateescape")) == "??"
    assert plain("\U0001f600") == "\U0001f600"
    named = type("Named", (), {})
    named.__qualname__ = "a\ud800"
    assert plain(named()) == f"<{__name__}.a?>"
    assert plain(named) == f"<{__name__}.a?>"


@pytest.mark.parametrize("long", ["", "x" * 200, "\u00e9"])
def test_nul_is_replaced(long):
    """S58: no file system, XML document or database takes it."""
    text = f"{long}b\x00c"
    assert plain(text) == f"{long}b\ufffdc"
    assert plain({text: [text, 1.5]}) == {f"{long}b\ufffdc": [f"{long}b\ufffdc", 1.5]}
    assert plain({text: text}) == {f"{long}b\ufffdc": f"{long}b\ufffdc"}


def subclass_of(base, *args):
    return hostile.subclass(base, "items", "keys", "values", "get", "__index__", "__int__", "__float__", "encode")(
        *args
    )


class Model(pydantic.BaseModel):
    x: int = 1
    __getattribute__ = __repr__ = __str__ = __iter__ = __eq__ = hostile.never
    model_dump = hostile.never


def model():
    made = object.__new__(Model)
    object.__setattr__(made, "__dict__", {"x": 1})
    return made


HOSTILE = {
    "an object": (hostile.Everything, "<tests.support.hostile.Everything>"),
    "a list": (lambda: subclass_of(list, [1]), [1]),
    "a tuple": (lambda: subclass_of(tuple, [1]), [1]),
    "a set": (lambda: subclass_of(set, [1]), [1]),
    "a frozenset": (lambda: subclass_of(frozenset, [1]), [1]),
    "a deque": (lambda: subclass_of(deque, [1]), [1]),
    "a dict": (lambda: subclass_of(dict, {"a": 1}), {"a": 1}),
    "an OrderedDict": (lambda: subclass_of(OrderedDict, {"a": 1}), {"a": 1}),
    "a str": (lambda: subclass_of(str, "a"), "a"),
    "an int": (lambda: subclass_of(int, 5), 5),
    "a float": (lambda: subclass_of(float, 1.5), 1.5),
    "a model": (model, {"x": 1}),
    "a model's class": (lambda: Model, f"<{__name__}.Model>"),
    "an exception": (hostile.Empty, "Empty: <its __str__ raised ZeroDivisionError>"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_code_of_a_value_is_run(name):
    """S59: what would raise, block or lie is not asked."""
    make, expected = HOSTILE[name]
    value = make()

    assert plain(value) == expected
    assert plain([value, (value,)]) == [expected, [expected]]
    assert plain({"a": value}) == {"a": expected}
    assert written(plain([value]))


ODD = {
    "a zone in a datetime": lambda: datetime.datetime(2026, 1, 1, tzinfo=hostile.Zone()),
    "a zone in a time": lambda: datetime.time(1, tzinfo=hostile.Zone()),
    "a zone": hostile.Zone,
    "a released memoryview": lambda: memoryview_of(b"abc", released=True),
    "a large fraction": lambda: fractions.Fraction(10**5000, 3),
    "a large complex": lambda: complex(float("inf"), float("nan")),
    "no module": lambda: hostile.nameless(None),
    "a number as module": lambda: hostile.nameless(5),
    "a property as module": lambda: hostile.nameless(property(hostile.never)),
    "its class": lambda: type(hostile.nameless(property(hostile.never))),
    "no dataclass": hostile.NoDataclass,
    "a dataclass with a __dict__ of its own": hostile.OddDataclass,
    "a metaclass": lambda: hostile.instance_of_meta(hostile.Meta),
    "its class, too": lambda: type(hostile.instance_of_meta(hostile.Meta)),
    "a worse metaclass": lambda: hostile.instance_of_meta(hostile.EvenMoreMeta),
    "its class as well": lambda: type(hostile.instance_of_meta(hostile.EvenMoreMeta)),
    "a lambda": lambda: lambda: 1,
    "a generator": lambda: (hostile.never() for _ in [1]),
    "a coroutine function": lambda: plain,
    "a model that is not whole": lambda: object.__new__(Page),
    "a dataclass that is not whole": lambda: object.__new__(Point),
    "a slotted one that is not whole": lambda: object.__new__(MoreSlotted),
    "an enum's class": lambda: Colour,
    "a class of a wrong __slots__": type("S", (), {"__slots__": "abc"}),
    "a user's unhashable key": lambda: {frozenset([1]): 1},
}


def memoryview_of(data: bytes, *, released: bool):
    view = memoryview(data)
    if released:
        view.release()
    return view


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_survived(name):
    """S59"""
    copy = plain([ODD[name]()])

    assert len(copy) == 1
    assert written(copy)
    assert " at 0x" not in str(copy)  # no address: the same run gives the same text


def test_the_text_of_an_exception_is_survived():
    """S59"""
    assert message_of(hostile.Empty()) == "<its __str__ raised ZeroDivisionError>"
    assert message_of(ValueError("a", 1)) == "('a', 1)"
    assert message_of(ValueError("x" * 2 * MOST_CHARACTERS)).endswith("… [cut: 1,000,000 more characters]")


def test_a_value_that_contains_itself():
    """S59"""
    loop: list = [1]
    loop.append(loop)
    table: dict = {"loop": loop}
    table["table"] = [table]
    page = Page(title="x")
    page.parent = page
    point = Point(1)
    point.inner.append(point)

    assert plain(loop) == [1, "… [contains itself]"]
    assert plain(table) == {"loop": [1, "… [contains itself]"], "table": ["… [contains itself]"]}
    assert plain(page)["parent"] == "… [contains itself]"
    assert plain(point)["inner"] == ["… [contains itself]"]
    same: list = []
    assert plain([same, same]) == [[], []]  # twice is not in itself


@pytest.mark.parametrize(
    "nest", [lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: {(1, v): v}, lambda v: Point(1, v)]
)
def test_depth_10_000_is_cut(nest):
    """S59"""
    deep = None
    for _ in range(10_000):
        deep = nest(deep) if not isinstance(deep, dict) or "a" in deep else nest(1)

    copy = plain(deep)

    assert "[cut: too deep]" in str(copy) or nest(1) == {(1, 1): 1}
    assert len(written(copy)) < 100_000


def bomb(width: int, levels: int, leaf):
    for _ in range(levels):
        leaf = [leaf] * width
    return leaf


@pytest.mark.parametrize(
    "leaf", [0, "x", None, (), {"a": 1}, Slotted()], ids=["int", "str", "none", "tuple", "dict", "dataclass"]
)
@pytest.mark.parametrize(("width", "levels"), [(2, 60), (10, 12), (1_000, 4)])
def test_a_small_value_that_unfolds_into_a_large_one_is_cut(width, levels, leaf):
    """S59, S60: ten lists may hold each other a thousand billion times."""
    copy = plain(bomb(width, levels, leaf))

    assert values_in(copy) <= 3 * MOST_VALUES
    assert "[cut:" in str(copy)
    assert written(copy)


def test_a_payload_of_long_texts_is_cut():
    """S60: each within its bounds, together a gigabyte."""
    copy = plain(["a" * MOST_CHARACTERS] * 1_000)

    assert sum(map(len, copy)) <= 10 * MOST_CHARACTERS
    assert "[cut:" in copy[-1]


def test_a_long_answer_is_cut_with_a_mark():
    """S60: 6 MB"""
    copy = plain("x" * 6_000_000)

    assert copy.startswith("x" * 1_000)
    assert copy.endswith("x… [cut: 5,000,000 more characters]")
    assert plain("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    assert len(plain(["x" * 6_000_000])[0]) == len(copy)
    (key,) = plain({"k" * 6_000_000: 1})
    assert len(key) < MOST_CHARACTERS + 100


def test_many_attributes_are_cut_with_a_mark():
    """S60: 10,000 of them"""
    copy = plain({f"key {n}": n for n in range(10_000)})

    assert list(copy)[:2] == ["key 0", "key 1"]
    assert len(copy) == MOST_ITEMS + 1
    assert copy["…"] == "[cut: 9000 more]"
    assert plain(list(range(10_000)))[-1] == "… [cut: 9000 more]"
    assert plain(tuple(range(10_000)))[-1] == "… [cut: 9000 more]"
    assert plain(deque(range(10_000)))[-1] == "… [cut: 9000 more]"
    assert len(plain({*range(10_000)})) == MOST_ITEMS + 1
    assert plain([0] * MOST_ITEMS) == [0] * MOST_ITEMS


def test_images_are_cut_with_a_mark():
    """S60: base64, as the providers' messages have it"""
    data = "iVBORw0KGgo" + "A" * 100_000
    messages = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "text", "text": f"Look: ![picture](data:image/png;base64,{data}) and say."},
    ]
    copy = plain(messages)

    assert len(written(copy)) < 2_000
    assert copy[0]["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgoA")
    assert copy[0]["image_url"]["url"].endswith("more characters of base64]")
    assert copy[2]["text"].startswith("Look: ![picture](data:image/png;base64,iVBOR")
    assert copy[2]["text"].endswith(") and say.")
    assert plain("data:image/png;base64,AAAA") == "data:image/png;base64,AAAA"


def test_which_part_of_a_set_is_kept_is_the_same_in_every_process():
    """S50"""
    code = "from pytest_crewai_trace.capture.plain import plain; print(plain({str(n) for n in range(3000)}))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1
    assert "'0'" in outputs.pop()


def test_the_copy_is_ones_own():
    value = {"a": [1]}
    copy = plain(value)
    value["a"].append(2)
    value["b"] = 1

    assert copy == {"a": [1]}


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.sampled_from(
        [-(2**14_000), float("nan"), float("inf"), "\ud800", "\x00", "x" * 10, Colour.RED, int, Slotted()]
    )
    | st.floats()
    | st.text()
    | st.binary(max_size=3)
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.dates()
    | st.timedeltas()
    | st.uuids()
)
keys = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.tuples(st.text(max_size=2))
sound = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(keys, inner)
        | st.lists(inner).map(deque)
        | st.builds(Point, x=inner, inner=st.lists(inner, max_size=2))
    ),
)


@given(anything)
@example([[]] * 100)
def test_anything_becomes_something_that_can_be_written(value):
    """S58, S59: JSON without NaN, in UTF-8, and the same when it is copied again."""
    copy = plain(value)

    assert written(copy)
    assert values_in(copy) <= 3 * MOST_VALUES
    assert plain(copy) == copy
    assert plain(value) == copy


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | sound,
        lambda v: st.lists(v) | st.dictionaries(sound, v),
    )
)
def test_plain_values_stay_as_they_are(value):
    assert plain(value) == value
