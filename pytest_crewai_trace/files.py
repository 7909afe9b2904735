"""Files that are read up to a size, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600  # its owner's alone
SHARED = 0o666  # as the umask has it, like other files of a project
WRITING = ".writing-"  # begins the name of a file that is not finished
_BINARY = getattr(os, "O_BINARY", 0)


class FileRefusedError(ValueError):
    """A file is not read; the message goes on after its name: "has 5 bytes; at most 4 are read"."""


@contextlib.contextmanager
def replacing(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends; when it raises, what was there stays.

    It is written under another name: whoever finds ``path`` finds all of it.

    Raises:
        OSError: it cannot be written; its ``filename`` is ``path``.
    """
    unfinished = path.with_name(f"{WRITING}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode), "wb") as file:
            yield file
        os.replace(unfinished, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.filename == str(unfinished):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


def opened(path: Path, most_bytes: int) -> BinaryIO:
    """A file, to be read.

    Raises:
        FileRefusedError: it is no file, or has more bytes.
        OSError: it cannot be read.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):  # a pipe would never end
        raise FileRefusedError("is not a file")
    if found.st_size > most_bytes:
        raise FileRefusedError(f"has {found.st_size:,} bytes; at most {most_bytes:,} are read")
    return open(path, "rb")


def bytes_of(path: Path, most_bytes: int) -> bytes:
    """What a file holds.

    Raises:
        FileRefusedError: it is no file, or has more bytes.
        OSError: it cannot be read.
    """
    with opened(path, most_bytes) as file:
        return file.read()


def decoded(content: bytes) -> str:
    """The text of a file, whatever editor or git has made of the ends of its lines.

    Raises:
        FileRefusedError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise FileRefusedError(f"is not UTF-8 (byte {error.start})") from None


def text_of(path: Path, most_bytes: int) -> str:
    """The text that a file holds.

    Raises:
        FileRefusedError: it is no file, has more bytes or is not UTF-8.
        OSError: it cannot be read.
    """
    return decoded(bytes_of(path, most_bytes))
