"""Archives and compressed files that nobody has to trust: gzip, tar and zip.

What a file claims is compared with a bound before memory is asked for, and whatever is wrong with
it is one of ``DAMAGE``. An archive is read from its beginning to its end and never unpacked to
disk.

A tar archive is a sequence of blocks of 512 bytes. A member is a header, then its bytes, padded:

    0    name       100    124  size    12, octal      148  checksum   8, octal
    156  type       1      257  magic    6             345  prefix   155

    type    "0" a file, "5" a folder, "1" and "2" links; "L" and "K" hold a long name for the next
            member, "x" and "g" records of its attributes such as "18 path=a/b.jpg\\n"

A block of zeros ends it. Python's tarfile takes a header's word for its size (a name of 3.5 GB) and
keeps every member in memory, so archives are read here.
"""

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from minidann.runtime.files import open_regular

DAMAGE = (  # what reading a damaged archive raises
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
GZIP = b"\x1f\x8b"
CHUNK = 1 << 16  # bytes
BLOCK = 512  # bytes
UNPACKED = 1 << 30  # bytes of a whole tar archive; BSDS500 has 75 million
MEMBERS = 100_000  # of a tar archive or a gzip file
HEADERS = 1 << 23  # bytes of all long names and attributes of a tar archive
DIRECTORY = 1 << 24  # bytes of the directory of a zip archive; that of 100,000 signs has 10 million
FILE, LINK, OTHER = "file", "link", "other"
KINDS = dict.fromkeys((b"0", b"\0", b"7"), FILE) | dict.fromkeys((b"1", b"2"), LINK)
WITHOUT_BYTES = (b"1", b"2", b"3", b"4", b"5", b"6")


class Member(NamedTuple):
    """A member of a tar archive; ``read(largest)`` gives its bytes while it is the latest one."""

    name: str
    kind: str
    read: Callable[[int], bytes]


class Inflated(io.RawIOBase):
    """What a gzip file holds, member after member.

    Python's gzip takes minutes over a file of a million empty members.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._rest, self._members = file, file.read(CHUNK), 0
        self._begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        while not content and len(buffer):
            if self._inflater.eof:
                self._rest = self._inflater.unused_data
                if not self._skip_padding():
                    return 0
                self._begin()
            self._rest = self._rest or self._file.read(CHUNK)
            if not self._rest:
                raise EOFError("it is cut short")
            content = self._inflater.decompress(self._rest, len(buffer))
            self._rest = self._inflater.unconsumed_tail
        buffer[: len(content)] = content
        return len(content)

    def _begin(self) -> None:
        self._members += 1
        if self._members > MEMBERS:
            raise ValueError(f"it has more than {MEMBERS} parts")
        self._inflater = zlib.decompressobj(wbits=31)  # with the header of gzip

    def _skip_padding(self) -> bool:
        """Whether anything but zeros follows a member."""
        self._rest = self._rest.lstrip(b"\0")
        while not self._rest and (more := self._file.read(CHUNK)):
            self._rest = more.lstrip(b"\0")
        return bool(self._rest)


def inflated(file: BinaryIO) -> BinaryIO:
    """A gzip file, decompressed as it is read."""
    return io.BufferedReader(Inflated(file), CHUNK)


def tar_members(file: BinaryIO) -> Iterator[Member]:
    """The members of a tar archive, compressed by gzip or not, one after another.

    Raises
    ------
    DAMAGE
        If it is damaged, cut short or larger than any archive that is read here.
    """
    start = file.read(len(GZIP))
    file.seek(0)
    stream = _Tar(inflated(file) if start == GZIP else file)
    attributes: dict[str, str] = {}  # that members of their own give the next one
    while header := stream.header():
        size, kind = _number(header[124:136]), header[156:157]
        if kind in b"LKxg":
            attributes |= _attributes(kind, stream.attributes(size))
            continue
        if kind == b"S":
            raise ValueError("it holds a sparse file")
        name = attributes.get("path") or _name(header)
        size = 0 if kind in WITHOUT_BYTES else int(attributes.get("size", size))
        attributes = {}
        yield Member(name, KINDS.get(kind, OTHER), stream.begin(size))
        stream.skip()


class _Tar:
    """The blocks of an archive, none of which is read before it is known to be within bounds."""

    def __init__(self, stream: BinaryIO):
        self._stream, self._left, self._padding = stream, 0, 0
        self._unpacked = self._members = self._headers = 0

    def header(self) -> bytes:
        """The next header, with its checksum right; empty at the end."""
        header = self._exactly(BLOCK)
        if not header.strip(b"\0"):
            return b""
        self._members += 1
        if self._members > MEMBERS:
            raise ValueError(f"it has more than {MEMBERS} members")
        if sum(header) - sum(header[148:156]) + 8 * ord(" ") != _number(header[148:156]):
            raise ValueError("a header in it is damaged")
        return header

    def attributes(self, size: int) -> bytes:
        """The bytes of a member that is about the next one."""
        self._headers += size
        if self._headers > HEADERS:
            raise ValueError(f"its names and attributes have more than {HEADERS} bytes")
        self.begin(size)
        content = self._exactly(size)
        self._left = 0
        self.skip()
        return content

    def begin(self, size: int) -> Callable[[int], bytes]:
        """A function that reads the bytes of the member that follows."""
        self._left, self._padding = size, -size % BLOCK
        if self._unpacked + size > UNPACKED:
            raise ValueError(f"it holds more than {UNPACKED} bytes")

        def read(largest: int) -> bytes:
            if self._left > largest:
                raise ValueError(f"a file in it has {self._left} bytes, more than {largest}")
            content = self._exactly(self._left)
            self._left = 0
            return content

        return read

    def skip(self) -> None:
        """Go behind the member."""
        left = self._left + self._padding
        while left:
            left -= len(self._exactly(min(left, CHUNK)))
        self._left = self._padding = 0

    def _exactly(self, n: int) -> bytes:
        content = self._stream.read(n)
        if len(content) != n:
            raise EOFError("it is cut short")
        self._unpacked += n
        return content


def _name(header: bytes) -> str:
    """The name in a header, of which the POSIX form keeps the beginning apart."""
    parts = [header[:100]]
    if header[257:263] == b"ustar\0":
        parts = [header[345:500], *parts]
    return "/".join(filter(None, map(_text, parts)))


def _text(content: bytes) -> str:
    return content.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """A number in a header: octal digits, or a large one in binary behind a byte of 0x80."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip() or b"0"
    if not re.fullmatch(b"[0-7]+", digits):
        raise ValueError("a header in it is damaged")
    return int(digits, 8)


def _attributes(kind: bytes, content: bytes) -> dict[str, str]:
    """The name and size that a member of type L, K, x or g gives the next one."""
    if kind == b"L":
        return {"path": _text(content)}
    found = {}
    at = 0 if kind == b"x" else len(content)  # g is about all members: neither name nor size
    while at < len(content):
        match = re.compile(rb"([1-9]\d{0,8}) ([^=\n]+)=").match(content, at)
        end = at + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise ValueError("the attributes of a file in it are damaged")
        if match[2] in (b"path", b"size"):
            found[match[2].decode()] = content[match.end() : end - 1].decode()
        at = end
    if not re.fullmatch(r"\d{1,18}", found.get("size", "0"), re.ASCII):
        raise ValueError("the attributes of a file in it are damaged")
    return found


class _Bounded(io.BufferedReader):
    """A file that gives no more than so many bytes at a time."""

    largest = DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        everything = size is None or size < 0
        content = super().read(self.largest + 1 if everything else min(size or 0, self.largest + 1))
        if len(content) > self.largest:
            raise ValueError(f"a part of it has more than {self.largest} bytes")
        return content


@contextmanager
def open_zip(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    """A zip archive, refused if its directory is larger than that of any which is read here.

    Raises
    ------
    DAMAGE
        If it is no archive, or a damaged one.
    """
    with _Bounded(open_regular(path).detach()) as file, zipfile.ZipFile(file) as archive:
        file.largest = os.fstat(file.fileno()).st_size  # the directory has been read
        yield archive


def read_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, largest: int) -> bytes:
    """The bytes of a file in a zip archive.

    Raises
    ------
    DAMAGE
        If it is damaged, has more than ``largest`` bytes, or is compressed otherwise than programs
        usually do: zipfile decompresses LZMA and bzip2 without a bound.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} in it is not compressed by deflate, the usual way")
    if member.file_size > largest:
        raise ValueError(
            f"{member.filename} in it has {member.file_size} bytes, more than {largest}"
        )
    with archive.open(member) as file:
        return file.read(member.file_size)  # without a number zipfile decompresses all there is


def file_in(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """The bytes of the file of that name in a zip archive; see :func:`read_zipped`."""
    return read_zipped(archive, archive.getinfo(name), largest)
