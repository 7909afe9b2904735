"""The conversation of an LLM call, shared between the calls that repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

Message = dict[str, Any]


class Messages(Sequence[Message]):
    """The messages of one call, in order: the first ``shared`` of an earlier call's, and then ``tail``.

    Every LLM call carries the whole conversation so far, so keeping each list as it comes grows with the square of the
    number of calls; this grows with the text that is new in each.
    """

    __slots__ = ("base", "shared", "tail")

    def __init__(self, tail: Sequence[Message] = (), base: Messages | None = None, shared: int = 0) -> None:
        self.base = base
        self.shared = shared
        self.tail = tuple(tail)

    def __len__(self) -> int:
        return self.shared + len(self.tail)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.to_list())

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return self.to_list()[index]

    def to_list(self) -> list[Message]:
        """All messages as a list of one's own."""
        parts: list[tuple[Message, ...]] = []
        node: Messages | None = self
        wanted = len(self)
        while node is not None and wanted > 0:
            if wanted > node.shared:
                parts.append(node.tail[: wanted - node.shared])
                wanted = node.shared
            node = node.base
        parts.reverse()
        return [message for part in parts for message in part]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Messages):
            return len(self) == len(other) and self.to_list() == other.to_list()
        if isinstance(other, list | tuple):
            return self.to_list() == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # holds dicts

    def __reduce__(self) -> tuple[type[Messages], tuple[list[Message]]]:
        # Not link by link: copying a chain of a thousand calls would exceed Python's recursion.
        return Messages, (self.to_list(),)

    def __repr__(self) -> str:
        return repr(self.to_list())
