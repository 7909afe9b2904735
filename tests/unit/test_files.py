"""Files are replaced whole or not at all, and read up to a size."""

from __future__ import annotations

import os
import stat

import pytest

from pytest_crewai_trace.files import PRIVATE, SHARED, FileRefusedError, opened, replacing, text_of

posix = pytest.mark.skipif(os.name != "posix", reason="modes and pipes of POSIX")


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "one.txt"
    made.write_bytes(b"old")
    return made


def write(path, content=b"new", mode=PRIVATE):
    with replacing(path, mode) as file:
        file.write(content)


def test_the_new_file_takes_the_place_of_the_old_one(path):
    with replacing(path, PRIVATE) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["one.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_s36_s39_what_cannot_be_finished_leaves_the_old_file(path, error):
    def begin():
        with replacing(path, PRIVATE) as file:
            file.write(b"ne")
            raise error

    with pytest.raises(type(error)) as caught:
        begin()

    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["one.txt"]


def test_s39_a_full_disk_at_the_last_moment(path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space") as caught:
        write(path)

    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["one.txt"]


def test_an_error_names_the_file_and_not_the_unfinished_one(tmp_path):
    path = tmp_path / "missing" / "one.txt"

    with pytest.raises(FileNotFoundError) as caught:
        write(path)

    assert str(caught.value) == f"[Errno 2] No such file or directory: {str(path)!r}"


@posix
def test_s70_who_may_read_it(path):
    before = os.umask(0o027)
    try:
        modes = []
        for mode in (PRIVATE, SHARED):
            write(path, mode=mode)
            modes.append(stat.S_IMODE(path.stat().st_mode))
    finally:
        os.umask(before)

    assert modes == [0o600, 0o640]


@posix
def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(path):
    link = path.with_name("link.txt")
    link.symlink_to(path)

    write(link)

    assert not link.is_symlink()
    assert path.read_bytes() == b"old"


def test_ends_of_lines_and_a_byte_order_mark_are_no_content(path):
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")

    assert text_of(path, 100) == "one\ntwo\n"


def test_s62_a_large_file_is_refused(path):
    assert text_of(path, 3) == "old"
    with pytest.raises(FileRefusedError, match=r"^has 3 bytes; at most 2 are read$"):
        opened(path, 2)


def test_what_is_not_utf_8_is_refused(path):
    path.write_bytes(b"a\xff")
    with pytest.raises(FileRefusedError, match=r"^is not UTF-8 \(byte 1\)$"):
        text_of(path, 100)


@posix
def test_a_pipe_and_a_folder_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(FileRefusedError, match=r"^is not a file$"):
            opened(path, 100)
