"""What can go wrong on a connection, for a server on loopback to do."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.support.amp import Override
from tests.support.loopback import Raw, Reply, Request

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def reset(connection: socket.socket, closing: threading.Event) -> None:
    """RST instead of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang_up(connection: socket.socket, closing: threading.Event) -> None:
    """Close without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def half(connection: socket.socket, closing: threading.Event) -> None:
    """Promise 100 bytes and give 10."""
    connection.sendall(_HEAD + b"Content-Length: 100\r\n\r\n" + b'{"token": ')
    connection.shutdown(socket.SHUT_RDWR)


def silence(connection: socket.socket, closing: threading.Event) -> None:
    """Never answer."""
    closing.wait()


def endless(connection: socket.socket, closing: threading.Event) -> None:
    """An answer without an end."""
    connection.sendall(_HEAD + b"Connection: close\r\n\r\n")
    _repeat(connection, closing, b" " * 65_536, every=0)


def trickling_head(connection: socket.socket, closing: threading.Event) -> None:
    """One byte of a header every 100 ms."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _repeat(connection, closing, b"x", every=0.1)


def trickling_body(connection: socket.socket, closing: threading.Event) -> None:
    """One byte of an answer every 100 ms."""
    connection.sendall(_HEAD + b"Connection: close\r\n\r\n")
    _repeat(connection, closing, b" ", every=0.1)


def _repeat(connection: socket.socket, closing: threading.Event, data: bytes, *, every: float) -> None:
    with contextlib.suppress(OSError):
        while not closing.wait(every):
            connection.sendall(data)


def gigabyte(connection: socket.socket, closing: threading.Event) -> None:
    """An answer of 1 GB, of which as much comes as somebody reads."""
    connection.sendall(_HEAD + b"Content-Length: 1073741824\r\n\r\n")
    _repeat(connection, closing, b" " * 65_536, every=0)


BOMB = Reply(content=gzip.compress(bytes(20_000_000)), headers={"Content-Encoding": "gzip"})
HTML = Reply(content=b"<html>Sign in to the hotel's network</html>", content_type="text/html")


def at(path: str, *replies: Reply | Raw | None) -> Override:
    """An override that deals these out to what comes to a path, the last one for ever; ``None``: as usual."""
    left, lock = list(replies), threading.Lock()

    def override(request: Request) -> Reply | Raw | None:
        if not request.path.endswith(path):
            return None
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return override


@contextmanager
def full_backlog() -> Iterator[str]:
    """The URL of a port on which connections are neither taken nor refused."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    try:
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for one in (*waiting, listener):
            one.close()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1 with a certificate that it signed itself, and the file of that certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, whole = folder / "server.crt", folder / "server.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    whole.write_bytes(private + public.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(whole)
    return context, public
