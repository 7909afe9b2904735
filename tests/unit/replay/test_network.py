"""What the network block lets through, without any connection."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_crewai_trace.errors import NetworkBlockedError
from pytest_crewai_trace.replay.network import NetworkBlock

REACHED = "reached"


LOOK_UPS = {
    "gethostbyname": "192.0.2.99",
    "gethostbyname_ex": ("api.example.com", [], ["192.0.2.99"]),
    "gethostbyaddr": ("api.example.com", [], ["192.0.2.99"]),
}


def named(name, answer):
    def look_up(host):
        return answer

    look_up.__name__ = name
    return look_up


@pytest.fixture
def reached(monkeypatch):
    """The operating system's part, which notes where it was asked to connect."""
    hosts = []

    def note(connection, address, *more):
        hosts.append(address)
        return REACHED

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, note, raising=False)
    monkeypatch.setattr(
        socket.socket, "sendmsg", lambda to, parts, extra, flags, address: note(to, address), raising=False
    )
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.99", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    for name, answer in LOOK_UPS.items():
        monkeypatch.setattr(socket, name, named(name, answer))
    return hosts


@pytest.fixture
def block(reached):
    block = NetworkBlock("no network here", "Do not.", ["api.example.com", "192.0.2.7"], ["pypi.org"])
    block.start()
    yield block
    block.stop()


def connect(host, family=socket.AF_INET):
    with socket.socket(family) as connection:
        return connection.connect((host, 80))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "localhost", "LOCALHOST.", "x.localhost", "192.0.2.7"]
)
def test_this_machine_and_what_is_allowed(host, block):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    assert connect(host, family) == REACHED
    assert block.told() is None


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "169.254.169.254"])
def test_the_rest(host, block, reached):
    with pytest.raises(NetworkBlockedError, match=r"no network here, but a connection was tried to .*Do not\."):
        connect(host, socket.AF_INET6 if ":" in host else socket.AF_INET)
    assert not reached
    assert host in block.told()
    assert "test_network.py" in block.told()
    assert "in connect()" in block.told()


@pytest.mark.parametrize("name", ["example.com", b"example.com", "localhost.example.com", "api.example.com.evil.org"])
def test_a_name_is_not_even_looked_up(name, block):
    with pytest.raises(NetworkBlockedError):
        socket.getaddrinfo(name, 443)


@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_no_way_to_look_a_name_up(look_up, block):
    with pytest.raises(NetworkBlockedError, match=r"tried to example\.com, by"):
        getattr(socket, look_up)("example.com")
    assert getattr(socket, look_up)("localhost") == LOOK_UPS[look_up]
    getattr(socket, look_up)("api.example.com")
    assert connect("192.0.2.99") == REACHED


def test_the_name_of_an_address_is_not_asked_for(block):
    with pytest.raises(NetworkBlockedError):
        socket.gethostbyaddr("192.0.2.1")
    assert socket.gethostbyname("192.0.2.1")  # is its own address


@pytest.mark.skipif(not hasattr(socket.socket, "sendmsg"), reason="Windows has none")
def test_a_message_in_parts(block, reached):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        with pytest.raises(NetworkBlockedError):
            sender.sendmsg([b"x"], [], 0, ("192.0.2.1", 53))
        assert not reached
        assert sender.sendmsg([b"x"], [], 0, ("127.0.0.1", 53)) == REACHED
        assert sender.sendmsg([b"x"]) == REACHED  # to whom it is connected


@pytest.mark.parametrize("name", [None, "", "localhost", "127.0.0.1", "10.0.0.1", "api.example.com", "API.example.com"])
def test_a_name_that_is_looked_up(name, block):
    assert socket.getaddrinfo(name, 443)


def test_the_address_of_an_allowed_host(block):
    with pytest.raises(NetworkBlockedError):
        connect("192.0.2.99")
    socket.getaddrinfo("api.example.com", 443)

    assert connect("192.0.2.99") == REACHED


def test_names_async(block):
    """There it is looked up in another thread; who asked is told all the same."""

    async def who_asks():
        await asyncio.get_running_loop().getaddrinfo("example.com", 443)

    with pytest.raises(NetworkBlockedError, match=r"in who_asks\(\)"):
        asyncio.run(who_asks())


def test_datagrams(block):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection, pytest.raises(NetworkBlockedError):
        connection.sendto(b"x", ("192.0.2.1", 8125))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        assert connection.sendto(b"x", ("127.0.0.1", 8125)) == REACHED


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_unix_sockets(block):
    with socket.socket(socket.AF_UNIX) as connection:
        assert connection.connect("/tmp/x") == REACHED


def test_what_crewai_can_do_without(block):
    """Its look-up of versions is refused as by any network, and goes on; whoever else asks the same host is told."""
    look_up = "def look_up():\n    socket.getaddrinfo('pypi.org', 443)\n"
    crewais = {"socket": socket, "__name__": "crewai_core.version"}
    exec(look_up, crewais)

    with pytest.raises(ConnectionRefusedError):
        crewais["look_up"]()
    assert block.told() is None
    with pytest.raises(NetworkBlockedError):
        socket.getaddrinfo("pypi.org", 443)


@pytest.mark.parametrize("detached", [False, True])
def test_where_it_reaches_nobody_it_is_an_error_of_the_network(detached, reached):
    block = NetworkBlock("no network here", "Do not.", detached=lambda: detached)
    block.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            error = pool.submit(socket.getaddrinfo, "example.com", 443).exception()
    finally:
        block.stop()
    assert type(error) is (ConnectionRefusedError if detached else NetworkBlockedError)
    assert "a connection was tried to example.com:443" in str(error)
    assert len(block.attempts) == 1


def test_everything_is_put_back():
    def now():
        methods = [vars(socket.socket).get(name) for name in ("connect", "connect_ex", "sendto", "sendmsg")]
        return methods, [getattr(socket, name) for name in ("getaddrinfo", *LOOK_UPS)]

    before = now()
    block = NetworkBlock("x", "y")
    block.start()
    assert all(one != other for parts in zip(before, now(), strict=True) for one, other in zip(*parts, strict=True))
    block.stop()

    assert now() == before
