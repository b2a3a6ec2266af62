"""Archives: what Python's own modules write is read, and what claims too much is not."""

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.runtime import archives
from minidann.runtime.archives import DAMAGE, inflated, open_zip, read_zipped, tar_members

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@contextmanager
def little_memory(megabytes=20):
    """What is asked for within is no more than that."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6


# --- gzip


def unzipped(content, n=-1):
    return inflated(io.BytesIO(content)).read(n)


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 9), st.integers(0, 200_000))
def test_gzip_files_of_several_parts_and_their_padding_are_read(parts, level, padding):
    content = b"".join(gzip.compress(part, level) + bytes(padding) for part in parts)
    if parts:
        assert unzipped(content) == b"".join(parts) == gzip.decompress(content)


@pytest.mark.parametrize("n", [1, 1000, 100_000, 10_000_000])
def test_a_large_gzip_file_is_read_in_pieces_of_any_size(n):
    content = bytes(range(256)) * 12_000
    stream, pieces = inflated(io.BytesIO(gzip.compress(content, 1))), []
    while piece := stream.read(n if n > 1 else 4097):
        pieces.append(piece)
    assert b"".join(pieces) == content


GZIP = gzip.compress(b"some bytes")
DAMAGED_GZIP = {
    "empty": b"",
    "header alone": GZIP[:10],
    "without its end": GZIP[:-1],
    "a wrong checksum": GZIP[:-8] + bytes(4) + GZIP[-4:],
    "a wrong length": GZIP[:-4] + bytes(4),
    "garbage": b"garbage",
    "garbage behind": GZIP + b"garbage",
    "a second part cut short": GZIP + GZIP[:-1],
}


@pytest.mark.parametrize("content", DAMAGED_GZIP.values(), ids=DAMAGED_GZIP.keys())
def test_a_damaged_gzip_file_is_refused(content):
    with pytest.raises(DAMAGE):
        unzipped(content)


def test_no_more_is_decompressed_than_is_asked_for():
    bomb = gzip.compress(bytes(100_000_000))
    with little_memory():
        assert unzipped(bomb, 1000) == bytes(1000)


def test_a_million_empty_parts_are_refused():
    with pytest.raises(ValueError, match="more than 100000 parts"):
        unzipped(gzip.compress(b"") * 100_001, 1)


# --- tar


def tar(members, mode="w", format=tarfile.GNU_FORMAT):
    """An archive of (name, bytes) or TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=format) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def found(content, largest=1 << 20):
    return [
        (name, kind, read(largest) if kind == archives.FILE else None)
        for name, kind, read in tar_members(io.BytesIO(content))
    ]


NAMES = st.text("abü./ ", min_size=1, max_size=6).filter(lambda name: name.strip("/"))
LENGTHS = st.sampled_from([1, 1, 1, 30, 60])


@given(
    st.lists(st.tuples(NAMES, LENGTHS, st.binary(max_size=1100)), max_size=4),
    st.sampled_from(list(FORMATS)),
    st.sampled_from(["w", "w:gz"]),
)
def test_what_tarfile_writes_is_read_as_tarfile_reads_it(members, format, mode):
    members = [(name * times, content) for name, times, content in members]
    try:
        content = tar(members, mode, FORMATS[format])
    except ValueError:  # a name that is too long for this format
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        expected = [
            (member.name.rstrip("/"), archives.FILE, archive.extractfile(member).read())
            for member in archive
        ]
    assert [(name.rstrip("/"), *rest) for name, *rest in found(content)] == expected


def info(name, kind, **fields):
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def test_links_folders_and_devices_are_told_from_files():
    content = tar(
        [
            info("a", tarfile.SYMTYPE, linkname="x" * 200),
            info("b", tarfile.LNKTYPE, linkname="a"),
            info("c", tarfile.DIRTYPE),
            info("d", tarfile.FIFOTYPE),
            info("e", tarfile.CHRTYPE),
            ("f", b"bytes"),
        ]
    )
    kinds = [archives.LINK] * 2 + [archives.OTHER] * 3 + [archives.FILE]
    assert [(name.rstrip("/"), kind) for name, kind, _ in found(content)] == list(
        zip("abcdef", kinds)
    )


def test_what_is_not_read_is_skipped():
    content = tar([("a", bytes(200_001)), ("b", b"bytes")])
    assert [name for name, *_ in tar_members(io.BytesIO(content))] == ["a", "b"]


def header(name=b"a", size=0, kind=b"0", magic=b"ustar  \0"):
    """A header of any size and type."""
    length = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    fields = name.ljust(100, b"\0") + b"0000644\0" * 3 + length + b"0" * 12
    rest = kind + bytes(100) + magic
    checksum = sum(fields + b" " * 8 + rest)
    return (fields + b"%06o\0 " % checksum + rest).ljust(512, b"\0")


END = bytes(1024)
TAR = tar([("a", bytes(1000)), ("b", b"bytes")])
PAX = b"30 path=" + b"x" * 21 + b"\n"
DAMAGED_TAR = {
    "empty": b"",
    "half a header": TAR[:256],
    "a header alone": TAR[:512],
    "half the bytes": TAR[:1000],
    "without its end": TAR[: 512 + 1024 + 512 + 512],
    "a flipped bit in a header": TAR[:3] + b"!" + TAR[4:],
    "a size that is no number": header()[:124] + b"-0000000007\0" + header()[136:] + END,
    "a sparse file": header(kind=b"S") + END,
    "3.5 GB": header(size=3_500_000_000) + END,
    "2^80 bytes": header(size=1 << 80) + END,
    "a name of 3.5 GB": header(kind=b"L", size=3_500_000_000) + END,
    "a link's name of 3.5 GB": header(kind=b"K", size=3_500_000_000) + END,
    "attributes of 3.5 GB": header(kind=b"x", size=3_500_000_000) + END,
    "attributes for all of 3.5 GB": header(kind=b"g", size=3_500_000_000) + END,
    "attributes of a length that lies": header(kind=b"x", size=30)
    + PAX.replace(b"30", b"99").ljust(512, b"\0")
    + END,
    "attributes without a length": header(kind=b"x", size=30) + b"x" * 30 + bytes(482) + END,
    "a size that is text": header(kind=b"x", size=11) + b"11 size=ab\n" + bytes(501) + END,
}


@pytest.mark.parametrize("packed", [False, True], ids=["tar", "tgz"])
@pytest.mark.parametrize("content", DAMAGED_TAR.values(), ids=DAMAGED_TAR.keys())
def test_a_damaged_tar_archive_is_refused_before_memory_is_asked_for(content, packed):
    with little_memory(), pytest.raises(DAMAGE):
        found(gzip.compress(content) if packed else content, largest=1 << 40)


def test_the_handmade_headers_are_else_right():
    content = header(kind=b"x", size=30) + PAX.ljust(512, b"\0") + header(size=5) + b"bytes"
    assert found(content.ljust(2048, b"\0") + END) == [("x" * 21, archives.FILE, b"bytes")]


def test_a_file_of_more_bytes_than_are_wanted_is_refused():
    with pytest.raises(ValueError, match="a file in it has 1000 bytes, more than 999"):
        found(TAR, largest=999)


def test_a_million_members_are_refused_in_little_memory(monkeypatch):
    monkeypatch.setattr(archives, "MEMBERS", 5000)
    content = gzip.compress(header() * 20_000, 1)
    with little_memory(1), pytest.raises(ValueError, match="more than 5000 members"):
        for _ in tar_members(io.BytesIO(content)):
            pass


def test_an_archive_that_is_small_but_packed_is_refused_after_a_gigabyte(monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED", 10_000_000)
    content = gzip.compress(tar([("a", bytes(6_000_000)), ("b", bytes(6_000_000))]))
    with little_memory(2), pytest.raises(ValueError, match="holds more than 10000000 bytes"):
        for _ in tar_members(io.BytesIO(content)):
            pass


# --- zip


def zipped(tmp_path, members, compression=zipfile.ZIP_DEFLATED):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def unpacked(path, largest=1 << 20):
    with open_zip(path) as archive:
        return {
            member.filename: read_zipped(archive, member, largest) for member in archive.infolist()
        }


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_writes_is_read(tmp_path, compression):
    members = {"a/b.png": b"bytes" * 30_000, "c": b""}
    assert unpacked(zipped(tmp_path, members.items(), compression)) == members


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_what_zipfile_would_decompress_without_a_bound_is_refused(tmp_path, compression):
    path = zipped(tmp_path, [("a", bytes(50_000_000))], compression)
    with little_memory(), pytest.raises(ValueError, match="not compressed by deflate"):
        unpacked(path)


def test_a_bomb_is_not_decompressed_whether_it_says_its_size_or_not(tmp_path):
    path = zipped(tmp_path, [("a", bytes(50_000_000))])
    with little_memory(), pytest.raises(ValueError, match="has 50000000 bytes, more than 1048576"):
        unpacked(path)
    content, size = path.read_bytes(), struct.pack("<I", 50_000_000)
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, struct.pack("<I", 5)))
    with little_memory(), pytest.raises(DAMAGE):
        unpacked(path)


def test_a_directory_larger_than_any_is_refused(tmp_path, monkeypatch):
    path = zipped(tmp_path, [(f"{k:0100d}", b"") for k in range(700)])
    assert len(unpacked(path)) == 700
    monkeypatch.setattr(archives._Bounded, "largest", 100_000)
    with pytest.raises(ValueError, match="more than 100000 bytes"):
        unpacked(path)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(DAMAGE):
        unpacked(path)
