"""Keeps a test off the network: only this machine can be reached, and who tried more is named.

What goes through Python's ``socket`` is seen, sync and async; a library that opens its connections in C (gRPC) is not,
nor is another process.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from pytest_crewai_trace.errors import NetworkBlockedError
from pytest_crewai_trace.replay.callers import is_crewais_own, reaches_somebody, who_is_here
from pytest_crewai_trace.replay.patches import Patches

_LOOPBACK_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost", "broadcasthost"})


@dataclass(frozen=True)
class Attempt:
    """A connection that was not made."""

    host: str
    port: int | None
    who: str

    def __str__(self) -> str:
        return f"{self.host}{'' if self.port is None else f':{self.port}'}, by {self.who}"


class NetworkBlock:
    """No connections but to this machine and to the hosts in ``allow``, from ``start()`` to ``stop()``.

    ``attempts`` are those that were refused, with ``NetworkBlockedError``; with ``ConnectionRefusedError`` where that
    would reach nobody. ``because`` says why there is no network, and ``instead`` what a test that needs it can do.
    What crewAI itself wants of its ``own`` hosts is refused, and not told. ``detached`` is as for ``reaches_somebody``.
    """

    def __init__(
        self,
        because: str,
        instead: str,
        allow: Collection[str] = (),
        own: Collection[str] = (),
        detached: Callable[[], bool] = lambda: False,
    ) -> None:
        self.because, self.instead = because, instead
        self.allow = frozenset(host.casefold() for host in allow)
        self._own = frozenset(own)
        self._detached = detached
        self.attempts: list[Attempt] = []
        self._addresses: set[str] = set()  # of the allowed hosts that were looked up
        self._patches = Patches()

    def start(self) -> None:
        """Begin to refuse."""
        for name in ("connect", "connect_ex"):
            self._patches.replace(socket.socket, name, self._connecting)
        self._patches.replace(socket.socket, "sendto", self._sending)
        self._patches.replace(socket.socket, "sendmsg", self._sending_parts, needed=False)  # not on Windows
        self._patches.replace(socket, "getaddrinfo", self._resolving)
        for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            self._patches.replace(socket, name, self._looking_up)
        # It resolves in another thread, where nobody can tell who asked.
        self._patches.replace(asyncio.BaseEventLoop, "getaddrinfo", self._resolving_async)

    def stop(self) -> None:
        """Put everything back."""
        self._patches.undo()

    def told(self) -> str | None:
        """What to say of the attempts, if there were any."""
        if not self.attempts:
            return None
        tried = "\n  ".join(dict.fromkeys(map(str, self.attempts)))
        return f"{self.because}, but connections were tried:\n  {tried}\n{self.instead}"

    # -- inside ---------------------------------------------------------------------------------------------------

    def _connecting(self, original: Any) -> Any:
        @functools.wraps(original)
        def connect(connection: socket.socket, address: Any) -> Any:
            self._check(connection.family, address)
            return original(connection, address)

        return connect

    def _sending(self, original: Any) -> Any:
        @functools.wraps(original)
        def sendto(connection: socket.socket, data: Any, *args: Any) -> Any:
            self._check(connection.family, args[-1] if args else None)
            return original(connection, data, *args)

        return sendto

    def _sending_parts(self, original: Any) -> Any:
        @functools.wraps(original)
        def sendmsg(
            connection: socket.socket, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None
        ) -> Any:
            self._check(connection.family, address)
            return original(connection, buffers, ancdata, flags, address)

        return sendmsg

    def _looking_up(self, original: Any) -> Any:
        # The name of an address is asked of the network as well.
        check = self._check_host if original.__name__ == "gethostbyaddr" else self._check_name

        @functools.wraps(original)
        def look_up(name: Any) -> Any:
            check(name, None)
            found = original(name)
            if os.fsdecode(name).casefold() in self.allow:
                self._addresses.update([found] if isinstance(found, str) else found[2])
            return found

        return look_up

    def _resolving(self, original: Any) -> Any:
        @functools.wraps(original)
        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            self._check_name(host, port)
            found = original(host, port, *args, **kwargs)
            if isinstance(host, str) and host.casefold() in self.allow:
                self._addresses.update(str(address[0]) for *_, address in found)
            return found

        return getaddrinfo

    def _resolving_async(self, original: Any) -> Any:
        @functools.wraps(original)
        async def getaddrinfo(loop: Any, host: Any, port: Any, **kwargs: Any) -> Any:
            self._check_name(host, port)
            return await original(loop, host, port, **kwargs)

        return getaddrinfo

    def _check(self, family: int, address: Any) -> None:
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return  # a pipe or a Unix socket does not leave the machine
        self._check_host(str(address[0]), address[1])

    def _check_host(self, host: str, port: int | None) -> None:
        if not self._is_allowed(host):
            self._refuse(host, port)

    def _check_name(self, host: Any, port: Any) -> None:
        name = os.fsdecode(host) if isinstance(host, bytes) else host
        # An address needs no look-up; whether it may be reached is asked when it is connected to.
        if isinstance(name, str) and _address(name) is None and not self._is_allowed(name):
            self._refuse(name, port if isinstance(port, int) else None)

    def _is_allowed(self, host: str) -> bool:
        name = host.casefold().rstrip(".")
        if name in _LOOPBACK_NAMES or name in self.allow or name.endswith(".localhost"):
            return True
        address = _address(name)
        if address is None:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return mapped.is_loopback or mapped.is_unspecified or host in self._addresses

    def _refuse(self, host: str, port: int | None) -> None:
        if host in self._own and is_crewais_own():
            raise ConnectionRefusedError(f"{self.because}; crewAI does without {host}")
        attempt = Attempt(host, port, who_is_here())
        self.attempts.append(attempt)
        told = f"{self.because}, but a connection was tried to {attempt}. {self.instead}"
        raise NetworkBlockedError(told) if reaches_somebody(self._detached) else ConnectionRefusedError(told)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
