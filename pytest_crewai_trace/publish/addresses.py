"""Which addresses are ours to talk to, and which may be shown."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

# What a URL is made of, and nothing that a terminal, Markdown or HTML could take for something else.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&()*+,;=%]{1,2000}")
_PORTS = {"http": 80, "https": 443}


def _split(value: object) -> SplitResult | None:
    """An absolute http(s) URL without user info; of anything else ``None``."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        return None
    try:
        found = urlsplit(value)
        port = found.port
    except ValueError:
        return None
    whole = found.scheme in _PORTS and found.hostname and port != 0 and found.username is None
    return found if whole else None


def origin(url: str) -> str:
    """Scheme, host and port of a server's address; its path is left out, as crewAI does.

    Raises ``ValueError`` with one sentence for what is no such address.
    """
    found = _split(url)
    if found is None:
        raise ValueError("it should look like https://app.crewai.com, without a user name")
    return f"{found.scheme}://{found.netloc}"


def page_of(value: object, base: str) -> str | None:
    """A page of the server's own origin; of any other value ``None``."""
    page, own = _split(value), urlsplit(base)
    if page is None or not isinstance(value, str):
        return None
    same = (page.scheme, page.hostname, page.port or _PORTS[page.scheme]) == (
        own.scheme,
        own.hostname,
        own.port or _PORTS.get(own.scheme),
    )
    return value if same else None


def collector_at(value: object) -> str | None:
    """The address of a collector: https, or http on this machine; of any other value ``None``."""
    found = _split(value)
    if found is None or not isinstance(value, str):
        return None
    return value if found.scheme == "https" or is_loopback(found.hostname or "") else None


def is_loopback(host: str) -> bool:
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
