"""Downloading a data set: resumed where it stopped, checked before it is put in place.

    DATA/.fetch-mnist/mnist/NAME.part        what has come so far; the next run asks for the rest
    DATA/.fetch-mnist/mnist/NAME.part.from   its address, and the server's mark of that version
                                             (ETag or date)
    DATA/.fetch-mnist/mnist/NAME             whole; it waits for the other files of the set
    DATA/mnist/NAME                          in place, after the data set was loaded from
                                             .fetch-mnist and found undamaged

A file gets its last name only by a rename, so that whatever happens, a full disk or kill -9, no
half file is ever found under it. Two processes take turns through a lock on DATA/.fetch.lock; the
second finds the files there.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

from tqdm import tqdm

from minidann.data.connections import urlopen
from minidann.data.store import File, PathLike, present
from minidann.runtime.errors import InputError, in_words
from minidann.runtime.files import read_bytes, replacing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from minidann.data.registry import DataSet

TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 16  # bytes
AGAIN = "run the same command again, which goes on where this one stopped"


class Failed(Exception):
    """An address that did not give the file. Its text says why."""


class RangeBeyondEnd(Exception):
    """Status 416: the file has no bytes from there on."""


def fetch_dataset(dataset: DataSet, folder: PathLike, progress: bool = True) -> list[File]:
    """Download what is missing of a data set, check its content, and put it in place.

    Parameters
    ----------
    dataset : minidann.data.registry.DataSet
        Its ``load`` decides whether the content is undamaged.
    folder : path
        The data folder; made if it is not there.
    progress : bool
        Whether each download shows a bar.

    Returns
    -------
    list of File
        Those that were downloaded; none if all were there.

    Raises
    ------
    InputError
        If a file cannot be downloaded or written, or the content is damaged, whether it is new or
        was there before.
    """
    folder = Path(folder)
    if not missing(dataset, folder):
        # nothing is written, not even a lock: the folder may be read-only
        check(dataset, folder, "delete that file to fetch it anew")
        return []
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / ".fetch.lock"):
            return complete(dataset, folder, progress)


def complete(dataset: DataSet, folder: Path, progress: bool) -> list[File]:
    """The part of :func:`fetch_dataset` that one process at a time executes."""
    files, staging = missing(dataset, folder), folder / f".fetch-{dataset.name}"
    if not files:
        return []  # another process was faster, and has checked them
    for file in dataset.files:
        if path := present(file, folder):
            lend(path, staging / path.relative_to(folder))
        elif not (staging / file.name).exists():
            fetch(file, staging, progress)
    try:
        check(dataset, staging, f"what was downloaded of {dataset.name} is deleted")
    except InputError:
        shutil.rmtree(staging)
        raise
    for file in files:
        move(staging / file.name, folder / file.name)
    shutil.rmtree(staging)
    return files


def fetch(file: File, folder: PathLike, progress: bool = True) -> Path:
    """Download one file, from the first of its addresses that gives it whole.

    Those of https are asked first. Its content is not checked.

    Parameters
    ----------
    file : minidann.data.store.File
    folder : path
        The file is written to ``folder / file.name``, with ``.part`` at the end until it is whole.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If no address gives it, or it cannot be written; what has come of it is kept for the next
        call.
    """
    path = Path(folder, file.name)
    part, failures = path.with_name(path.name + ".part"), []
    begun_at, _ = origin(part)
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        for address in sorted(
            file.addresses, key=lambda one: (one != begun_at, not one.startswith("https:"))
        ):
            try:
                download(address, part, file.largest, progress)
            except Failed as failure:
                failures.append(f"{address}: {failure}")
                continue
            os.replace(part, path)
            note(part).unlink()
            return path
    raise InputError(
        f"{file.name} could not be downloaded ({'; '.join(failures)}); "
        f"look at the connection, then {AGAIN}"
    )


def download(address: str, part: Path, largest: int, progress: bool) -> None:
    """Write what an address gives to ``part``, or the rest of it. Raises Failed."""
    begin, response = answer(address, part)
    with response:
        size = expected_size(response, begin, largest)
        if not begin:
            restart(part, address, response)
        with (
            open(part, "ab" if begin else "wb") as out,
            tqdm(**bar(part, begin, size, progress)) as shown,
        ):
            for chunk in chunks(response):
                if out.tell() + len(chunk) > largest:
                    raise Failed(f"it sent more than {largest:,} bytes, which no such file has")
                out.write(chunk)
                shown.update(len(chunk))
            if size is not None and out.tell() != size:
                raise Failed(f"it sent {out.tell():,} of {size:,} bytes")


def answer(address: str, part: Path) -> tuple[int, HTTPResponse]:
    """The response to a request for a file or its rest, and the byte that it begins with.

    A server that answers with other bytes than those that are missing is asked for the whole file.
    Raises Failed.
    """
    if begin := resumable(part, address):
        try:
            response = connect(address, part, begin)
        except RangeBeyondEnd:
            pass
        else:
            if response.status == 200:
                return 0, response
            if continued(response, begin):
                return begin, response
            response.close()
    response = connect(address, part, 0)
    if response.status != 200:
        response.close()
        raise Failed(f"it answered with the status {response.status}, not with the whole file")
    return 0, response


def continued(response: HTTPResponse, begin: int) -> re.Match | None:
    """Whether a response is the rest of a file from that byte on; group 1 is the file's size."""
    given = response.headers.get("Content-Range", "") if response.status == 206 else ""
    return re.fullmatch(rf"bytes {begin}-\d+/(\d+)", given, re.ASCII)


def connect(address: str, part: Path, begin: int) -> HTTPResponse:
    """The response to a request for a file from byte ``begin`` on.

    Raises Failed, RangeBeyondEnd.
    """
    headers = {"User-Agent": "minidann"}
    if begin:  # If-Range: send the whole file if it is no longer the one that ``part`` began
        headers |= {"Range": f"bytes={begin}-", "If-Range": origin(part)[1]}
    refuse_other_schemes(address)
    try:
        response = urlopen(Request(address, headers=headers), timeout=TIMEOUT)
        refuse_other_schemes(response.url)  # of a redirect
        return response
    except HTTPError as error:
        error.close()
        if error.code == 416 and begin:
            raise RangeBeyondEnd from error
        words = str(error.reason).split()  # some reasons have several lines
        raise Failed(f"{error.code} {' '.join(words)}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise Failed(reason(error)) from error


def refuse_other_schemes(address: str) -> None:
    """Refuse file:, data: and ftp:, which urllib would read as well. Raises Failed."""
    if not address.startswith(("http://", "https://")):
        raise Failed("it is not an address of http or https")


def expected_size(response: HTTPResponse, begin: int, largest: int) -> int | None:
    """Bytes of the whole file, None if the server does not say.

    Raises Failed if the answer cannot be that file.
    """
    if response.headers.get_content_type() == "text/html":
        raise Failed("it answered with a web page, not with the file")
    match = continued(response, begin)
    size = match[1] if begin and match else response.headers.get("Content-Length")
    if size is None:
        return None
    if not re.fullmatch(r"\d{1,18}", size, re.ASCII) or int(size) > largest:
        raise Failed(f"it announced {size[:40]} bytes, but no such file has more than {largest:,}")
    return int(size)


def chunks(response: HTTPResponse) -> Iterator[bytes]:
    """The bytes of a response as they come.

    Raises Failed, so that an error in *writing* them is never taken for one of the network.
    """
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, HTTPException, ValueError) as error:
            raise Failed(reason(error)) from error
        if not chunk:
            return
        yield chunk


def reason(error: Exception) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return f"no answer for {TIMEOUT} seconds"
    cause: Any = error.reason if isinstance(error, URLError) else error
    return in_words(cause)


def bar(part: Path, begin: int, size: int | None, progress: bool) -> dict[str, Any]:
    """Options of tqdm for one download."""
    return {
        "desc": part.name.removesuffix(".part"),
        "initial": begin,
        "total": size,
        "unit": "B",
        "unit_scale": True,
        "disable": not progress,
    }


def note(part: Path) -> Path:
    """Path of the note that says where a partial file came from."""
    return part.with_name(part.name + ".from")


def origin(part: Path) -> tuple[str, str]:
    """(address, mark of the version) of a partial file; empty if they are not known."""
    try:
        address, mark = read_bytes(note(part), 10_000).decode().split("\n")
    except (OSError, ValueError):
        return "", ""
    return address, mark


def resumable(part: Path, address: str) -> int:
    """How many bytes of a partial file are certain to begin the file that the address gives."""
    begun_at, mark = origin(part)
    return part.stat().st_size if begun_at == address and mark and part.exists() else 0


def restart(part: Path, address: str, response: HTTPResponse) -> None:
    """Forget what has come so far, and note where the bytes that come now are from."""
    part.unlink(missing_ok=True)  # before the note changes: a note never speaks of other bytes
    mark = response.headers.get("ETag", "")
    if not mark.startswith('"'):  # a weak ETag, W/"...", does not promise equal bytes
        mark = response.headers.get("Last-Modified", "")
    note(part).write_text(f"{address}\n{mark}")


def check(dataset: DataSet, folder: Path, remedy: str) -> None:
    """Load a data set, which compares its content with what was published.

    Raises
    ------
    InputError
        If it is damaged, with the remedy at the end.
    """
    if dataset.load is None:
        return
    try:
        dataset.load(folder)
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error


def missing(dataset: DataSet, folder: PathLike) -> list[File]:
    """The files of a data set that are not in the folder."""
    return [file for file in dataset.files if not present(file, folder)]


def lend(path: Path, staged: Path) -> None:
    """Show a file that is in place in the staging folder too.

    The data set is loaded as a whole from there.
    """
    staged.parent.mkdir(parents=True, exist_ok=True)
    staged.unlink(missing_ok=True)
    try:
        staged.symlink_to(path.resolve())
    except OSError:  # Windows grants links to some users only
        shutil.copyfile(path, staged)


def move(staged: Path, path: Path) -> None:
    """Put a whole file in its place, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(staged, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # mnist/ is a link to another disk, which a rename cannot cross
        with replacing(path) as temporary:
            shutil.copyfile(staged, temporary)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn an error of the disk (full, read-only, no folder) into an InputError."""
    try:
        yield
    except OSError as error:
        remedy = f"make room or name another folder with --data-dir, and {AGAIN}"
        raise InputError(
            f"nothing more can be written to {folder} ({error.strerror or error}); {remedy}"
        ) from error


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the lock file, and hold it.

    The system releases it when this process ends, however it ends.
    """
    if fcntl is None:
        with alone_by_existence(lock):
            yield
        return
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"Another process is fetching into {lock.parent}; waiting for it.", file=sys.stderr
            )
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def alone_by_existence(lock: Path) -> Iterator[None]:
    """Without fcntl: the process that made the lock file holds it; any other is refused.

    Raises
    ------
    InputError
        If the lock file is there.
    """
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        raise InputError(
            f"another process is fetching into {lock.parent}; wait for it, "
            f"or delete {lock} if process {lock.read_text()} no longer runs"
        ) from None
    try:
        with os.fdopen(handle, "w") as file:
            file.write(str(os.getpid()))
        yield
    finally:
        lock.unlink()
