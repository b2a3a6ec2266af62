"""Downloads from a local server: whole, broken off, resumed, damaged, refused, two at once."""

import errno
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from minidann.data import __main__ as program
from minidann.data import connections, fetch, mnist, sheets
from minidann.data.registry import DATASETS
from minidann.data.store import File, digest
from minidann.runtime.errors import InputError

IMAGES, LABELS, T10K_IMAGES, T10K_LABELS = mnist.FILES
CUT = 5000  # bytes that a broken transfer gives of the training images


class Site(ThreadingHTTPServer):
    """A server: ``answers[path]``, a function of the handler, answers for an address; else 404."""

    daemon_threads = True

    def __init__(self):
        self.answers, self.requests, self.change = {}, [], threading.Condition()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that was killed is no error here."""

    def asked(self, path):
        """The headers of the requests for a path."""
        return [headers for there, headers in self.requests if there == path]

    def wait_for(self, path, number=1):
        with self.change:
            assert self.change.wait_for(lambda: len(self.asked(path)) >= number, 20), (
                f"nobody asked for {path}"
            )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with self.server.change:
            self.server.requests.append((self.path, dict(self.headers)))
            self.server.change.notify_all()
        self.server.answers.get(self.path, partial(status, code=404))(self)

    def start(self, code, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *args):
        pass


def status(handler, code, **headers):
    handler.start(code, Content_Length=0, **headers)


def whole(handler, body, etag='"1"', mark="ETag"):
    """As a good server answers: ranges, and If-Range to see that the file is still the same."""
    begin = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if not begin or handler.headers.get("If-Range", etag) != etag:
        handler.start(200, Content_Length=len(body), **{mark: etag})
        return handler.wfile.write(body)
    begin = int(begin[1])
    if begin >= len(body):
        return handler.start(416, Content_Length=0, Content_Range=f"bytes */{len(body)}")
    handler.start(
        206,
        Content_Length=len(body) - begin,
        Content_Range=f"bytes {begin}-{len(body) - 1}/{len(body)}",
        **{mark: etag},
    )
    return handler.wfile.write(body[begin:])


def without_ranges(handler, body):
    handler.start(200, Content_Length=len(body))
    handler.wfile.write(body)


def cut(handler, body, etag='"1"', mark="ETag"):
    """The connection ends early."""
    handler.start(200, Content_Length=len(body), **{mark: etag})
    handler.wfile.write(body[:CUT])


def cut_chunks(handler, body):
    handler.start(200, Transfer_Encoding="chunked", ETag='"1"')
    handler.wfile.write(f"{len(body):x}\r\n".encode() + body[:CUT])


def other_bytes(handler, body):
    handler.start(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(body)}")
    handler.wfile.write(body[:10])


def web_page(handler, kind="text/html; charset=utf-8"):
    page = b"<!doctype html><title>Please log in</title>" * 200
    handler.start(200, Content_Length=len(page), Content_Type=kind)
    handler.wfile.write(page)


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def silent(handler):
    handler.start(200, Content_Length=100)
    threading.Event().wait(3)


def endless(handler):
    handler.start(200)
    while True:
        handler.wfile.write(bytes(1 << 16))


@pytest.fixture
def site():
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def small(site, monkeypatch, no_data):
    """A small MNIST on the server, at /a and /b, with its hashes: ``dataset`` and ``bodies``."""
    monkeypatch.delenv("MINIDANN_VERIFY")
    bodies = {name: gzip.compress(content) for name, content in contents().items()}
    files = {}
    for name, body in bodies.items():
        files[name] = File(
            f"mnist/{name}",
            tuple(f"{site.address}/{mirror}/{name}" for mirror in "ab"),
            digest(gzip.decompress(body)),
            largest=1_000_000,
        )
        site.answers |= {f"/{mirror}/{name}": partial(whole, body=body) for mirror in "ab"}
    monkeypatch.setattr(mnist, "FILES", files)
    dataset = DATASETS["mnist"]._replace(files=tuple(files.values()))
    monkeypatch.setitem(DATASETS, "mnist", dataset)
    return SimpleNamespace(dataset=dataset, bodies=bodies)


def contents():
    rng = np.random.default_rng(0)
    shapes = {IMAGES: (200, 28, 28), LABELS: (200,), T10K_IMAGES: (4, 28, 28), T10K_LABELS: (4,)}
    return {
        name: mnist.idx_bytes(
            rng.integers(0, 256 if "images" in name else 10, shape, dtype=np.uint8)
        )
        for name, shape in shapes.items()
    }


def get(small, folder):
    return fetch.fetch_dataset(small.dataset, folder, progress=False)


def assert_whole(small, folder):
    """The four files and nothing else but the lock."""
    assert names_in(folder) == [".fetch.lock", "mnist"] and names_in(folder / "mnist") == sorted(
        small.bodies
    )
    assert all(
        (folder / "mnist" / name).read_bytes() == body for name, body in small.bodies.items()
    )


def names_in(folder):
    return sorted(
        {path.name for path in folder.iterdir()} - {"elsewhere", "home"}
    )  # of the fixture no_data


def part_of(folder, name=IMAGES):
    return folder / ".fetch-mnist" / "mnist" / f"{name}.part"


def test_a_data_set_is_fetched_checked_and_put_in_place(small, site, tmp_path):
    folder = tmp_path / "new" / "data"
    assert get(small, folder) == list(small.dataset.files)
    assert_whole(small, folder)
    assert [path for path, _ in site.requests] == [f"/a/{name}" for name in small.bodies]
    assert {headers["Accept-Encoding"] for _, headers in site.requests} == {
        "identity"
    }  # the bytes of the file, not compressed for the way
    assert len(mnist.load_mnist(folder).x_train) == 200


def test_what_is_there_is_not_asked_for_again_nor_anything_written(small, site, tmp_path):
    get(small, tmp_path)
    (tmp_path / ".fetch.lock").unlink()
    del site.requests[:]
    assert get(small, tmp_path) == [] and site.requests == []
    assert not (tmp_path / ".fetch.lock").exists()


def test_only_what_is_missing_is_fetched_and_the_rest_left_alone(small, site, tmp_path):
    get(small, tmp_path)
    del site.requests[:]
    (tmp_path / "mnist" / IMAGES).unlink()
    plain = tmp_path / "mnist" / LABELS.removesuffix(".gz")
    plain.write_bytes(gzip.decompress((tmp_path / "mnist" / LABELS).read_bytes()))
    (tmp_path / "mnist" / LABELS).unlink()
    assert [file.name for file in get(small, tmp_path)] == [f"mnist/{IMAGES}"]
    assert [path for path, _ in site.requests] == [f"/a/{IMAGES}"]
    assert plain.is_file() and not plain.is_symlink() and not (tmp_path / "mnist" / LABELS).exists()
    assert not (tmp_path / ".fetch-mnist").exists()


def test_damaged_files_that_are_there_are_told_and_kept(small, site, tmp_path):
    get(small, tmp_path)
    path = tmp_path / "mnist" / T10K_LABELS
    path.write_bytes(path.read_bytes()[:-9])
    del site.requests[:]
    with pytest.raises(InputError, match=rf"{T10K_LABELS} .*delete that file to fetch it anew"):
        get(small, tmp_path)
    assert path.exists() and not site.requests


BAD_MIRRORS = {
    "404": (partial(status, code=404), "404 Not Found"),
    "503": (partial(status, code=503), "503 Service Unavailable"),
    "cut": (cut, f"it sent {CUT:,} of "),
    "cut in chunks": (cut_chunks, "IncompleteRead"),
    "web page": (web_page, "a web page"),
    "hangs up": (hang_up, "closed"),
    "5 GiB announced": (partial(status, code=200), "5368709120 bytes"),
    "length is no number": (partial(status, code=200), "many bytes"),
    "to another scheme": (partial(status, code=302, Location="ftp://127.0.0.1/x"), "http"),
    "to a file": (partial(status, code=302, Location="file:///etc/hostname"), "302"),
    "round and round": (partial(status, code=302, Location=f"/a/{IMAGES}"), "infinite loop"),
    "silent": (silent, "no answer for 0.2 seconds"),
    "endless": (endless, "it sent more than 1,000,000 bytes"),
    "another status": (partial(status, code=203), "the status 203"),
}


@pytest.fixture(params=BAD_MIRRORS)
def bad_mirror(request, small, site, monkeypatch):
    """The first address of the training images is of no use: how it answers, and the message."""
    answer, words = BAD_MIRRORS[request.param]
    if answer in (cut, cut_chunks):
        answer = partial(answer, body=small.bodies[IMAGES])
    if request.param in ("5 GiB announced", "length is no number"):
        length = 5 << 30 if request.param.startswith("5") else "many"

        def answer(handler):
            return handler.start(200, Content_Length=length)

    if request.param == "silent":
        monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    site.answers[f"/a/{IMAGES}"] = answer
    return words


def test_the_second_mirror_is_asked_where_the_first_is_of_no_use(bad_mirror, small, site, tmp_path):
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert site.asked(f"/a/{IMAGES}") and len(site.asked(f"/b/{IMAGES}")) == 1
    assert "Range" not in site.asked(f"/b/{IMAGES}")[0]


def test_where_no_mirror_is_of_use_each_ones_reason_is_given(bad_mirror, small, site, tmp_path):
    del site.answers[f"/b/{IMAGES}"]
    with pytest.raises(InputError) as error:
        get(small, tmp_path)
    message = str(error.value)
    assert f"mnist/{IMAGES} could not be downloaded" in message and bad_mirror in message
    assert (
        f"{site.address}/b/{IMAGES}: 404 Not Found" in message
        and "run the same command again" in message
        and "\n" not in message
    )
    assert not (tmp_path / "mnist").exists()


def test_a_mirror_that_refuses_connections_and_one_that_has_no_name(small, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        bad = (
            f"http://127.0.0.1:{closed.getsockname()[1]}/x",
            "http://no-such-name.invalid/x",
            "http://[bad/x",
            "file:///etc/hostname",
            "ftp://127.0.0.1/x",
        )
        good = small.dataset.files[0]
        assert (
            fetch.fetch(
                good._replace(addresses=(*bad, *good.addresses)), tmp_path, progress=False
            ).read_bytes()
            == small.bodies[IMAGES]
        )
        with pytest.raises(InputError) as error:
            fetch.fetch(File("mnist/other", bad), tmp_path, progress=False)
    for address, why in zip(
        bad,
        ("refused", "", "", "not an address of http or https", "not an address of http or https"),
    ):
        assert re.search(re.escape(address) + f": [^;]*{why}", str(error.value))


def test_a_redirect_to_another_scheme_is_not_followed_to_its_bytes(small, tmp_path, monkeypatch):
    monkeypatch.setattr(
        fetch, "urlopen", lambda *args, **kwargs: SimpleNamespace(url="ftp://127.0.0.1/x")
    )
    with pytest.raises(InputError, match="not an address of http or https"):
        get(small, tmp_path)


def broken_off(small, site, folder, answer=cut, **options):
    """A first run that ends within the training images."""
    site.answers[f"/a/{IMAGES}"] = partial(answer, body=small.bodies[IMAGES], **options)
    mirror = site.answers.pop(f"/b/{IMAGES}")
    with pytest.raises(InputError, match="it sent 5,000 of "):
        get(small, folder)
    assert part_of(folder).read_bytes() == small.bodies[IMAGES][:CUT]
    assert not (folder / "mnist").exists()
    site.answers[f"/b/{IMAGES}"] = mirror
    del site.requests[:]


@pytest.mark.parametrize(
    "mark, value", [("ETag", '"1"'), ("Last-Modified", "Sun, 22 Nov 1998 05:00:00 GMT")]
)
def test_a_partial_file_is_resumed(small, site, tmp_path, mark, value):
    broken_off(small, site, tmp_path, etag=value, mark=mark)
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES], etag=value, mark=mark)
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    (asked,) = site.asked(f"/a/{IMAGES}")
    assert asked["Range"] == f"bytes={CUT}-" and asked["If-Range"] == value


def test_a_partial_file_is_resumed_where_it_is_from(small, site, tmp_path):
    """The first mirror failed and the second broke off: the second is asked first for the rest."""
    site.answers |= {
        f"/a/{IMAGES}": hang_up,
        f"/b/{IMAGES}": partial(cut, body=small.bodies[IMAGES]),
    }
    with pytest.raises(InputError):
        get(small, tmp_path)
    site.answers |= {
        f"/{mirror}/{IMAGES}": partial(whole, body=small.bodies[IMAGES]) for mirror in "ab"
    }
    del site.requests[:]
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert (
        not site.asked(f"/a/{IMAGES}") and site.asked(f"/b/{IMAGES}")[0]["Range"] == f"bytes={CUT}-"
    )


def test_a_server_that_ignores_ranges_gives_the_file_anew(small, site, tmp_path):
    broken_off(small, site, tmp_path)
    site.answers[f"/a/{IMAGES}"] = partial(without_ranges, body=small.bodies[IMAGES])
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert "Range" in site.asked(f"/a/{IMAGES}")[0]


def test_a_file_that_changed_on_the_server_is_not_mixed_with_its_old_beginning(
    small, site, tmp_path
):
    old = small.bodies[IMAGES]
    small.bodies[IMAGES] = gzip.compress(gzip.decompress(old), 1)
    assert small.bodies[IMAGES][:CUT] != old[:CUT]
    site.answers[f"/a/{IMAGES}"] = partial(cut, body=old)
    site.answers[f"/b/{IMAGES}"] = hang_up
    with pytest.raises(InputError):
        get(small, tmp_path)
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES], etag='"2"')
    get(small, tmp_path)
    assert_whole(small, tmp_path)


def test_a_stop_before_the_first_byte_of_a_new_version_leaves_none_of_the_old(
    small, site, tmp_path, monkeypatch
):
    def stop(*args):
        raise KeyboardInterrupt

    broken_off(small, site, tmp_path)
    small.bodies[IMAGES] = gzip.compress(gzip.decompress(small.bodies[IMAGES]), 1)
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES], etag='"2"')
    monkeypatch.setattr(fetch, "open", stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        get(small, tmp_path)
    monkeypatch.delattr(fetch, "open")
    get(small, tmp_path)
    assert_whole(small, tmp_path)


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_a_sure_mark_of_the_version_a_file_is_fetched_anew(small, site, tmp_path, etag):
    broken_off(small, site, tmp_path, etag=etag)
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES], etag=etag)
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert "Range" not in site.asked(f"/a/{IMAGES}")[0]


def test_a_partial_file_that_has_all_its_bytes_or_more_is_fetched_anew(small, site, tmp_path):
    for extra in (b"", b"more"):
        folder = tmp_path / f"data{len(extra)}"
        broken_off(small, site, folder)
        site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES])
        part_of(folder).write_bytes(small.bodies[IMAGES] + extra)
        get(small, folder)
        assert_whole(small, folder)
        asked = site.asked(f"/a/{IMAGES}")
        assert "Range" in asked[-2] and "Range" not in asked[-1] and not site.asked(f"/b/{IMAGES}")


def test_other_bytes_than_those_asked_for_are_not_appended(small, site, tmp_path):
    broken_off(small, site, tmp_path)
    site.answers[f"/a/{IMAGES}"] = partial(other_bytes, body=small.bodies[IMAGES])
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert site.asked(f"/a/{IMAGES}") and site.asked(f"/b/{IMAGES}")


def wrong_rest(handler, body):
    """Its ranges are wrong; without one it gives the whole file."""
    (other_bytes if "Range" in handler.headers else without_ranges)(handler, body)


def test_a_server_whose_ranges_are_wrong_is_asked_for_the_whole_file(small, site, tmp_path):
    broken_off(small, site, tmp_path)
    site.answers[f"/a/{IMAGES}"] = partial(wrong_rest, body=small.bodies[IMAGES])
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert ["Range" in asked for asked in site.asked(f"/a/{IMAGES}")] == [True, False]
    assert not site.asked(f"/b/{IMAGES}")


def test_a_part_that_nobody_asked_for_is_not_the_file(small, site, tmp_path):
    site.answers[f"/a/{IMAGES}"] = partial(other_bytes, body=small.bodies[IMAGES])
    del site.answers[f"/b/{IMAGES}"]
    with pytest.raises(InputError, match="the status 206, not with the whole file"):
        get(small, tmp_path)


def test_addresses_of_https_are_asked_first(tmp_path, monkeypatch):
    asked = []

    def download(address, *_):
        asked.append(address)
        raise fetch.Failed("never")

    monkeypatch.setattr(fetch, "download", download)
    addresses = ("http://a/x", "https://b/x", "http://c/x", "https://d/x")
    with pytest.raises(InputError, match="never"):
        fetch.fetch(File("set/x", addresses), tmp_path, progress=False)
    assert asked == ["https://b/x", "https://d/x", "http://a/x", "http://c/x"]


def test_every_file_that_has_an_address_has_a_secure_one_and_a_size():
    files = {file for dataset in DATASETS.values() for file in dataset.files if file.addresses}
    assert files
    for file in files:
        assert any(address.startswith("https:") for address in file.addresses), file.name
        assert file.largest < 1 << 31, file.name


# servers that have no end ---------------------------------------------------------------------


def drip(handler, begin=b"", piece=b"x"):
    """Never still for long enough to be called silent."""
    handler.wfile.write(begin)
    while True:
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(0.02)


ENDLESS = {
    "bytes": partial(drip, begin=b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"),
    "a status line": partial(drip, begin=b"HTTP/1.1 200 "),
    "headers": partial(drip, begin=b"HTTP/1.1 200 OK\r\nX: "),
    "the length of a chunk": partial(
        drip, begin=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", piece=b"0"
    ),
    "trailers": partial(
        drip,
        begin=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        piece=b"a: b\r\n",
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_server_that_only_drips_is_given_up(small, site, tmp_path, monkeypatch, what):
    monkeypatch.setattr(connections, "GRACE", 0.3)
    site.answers[f"/a/{IMAGES}"] = ENDLESS[what]
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    del site.answers[f"/b/{IMAGES}"]
    with pytest.raises(InputError, match=r"it sent only \d+ bytes in \d seconds"):
        get(small, tmp_path / "other")


def test_a_server_that_is_slow_but_steady_is_waited_for(small, site, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "GRACE", 0.2)
    monkeypatch.setattr(connections, "SLOWEST", 1000)
    body = small.bodies[T10K_LABELS] = small.bodies[T10K_LABELS] + gzip.compress(b"") * 30

    def slow(handler):
        handler.start(200, Content_Length=len(body))
        for k in range(0, len(body), 60):
            handler.wfile.write(body[k : k + 60])
            handler.wfile.flush()
            time.sleep(0.03)

    site.answers[f"/a/{T10K_LABELS}"] = slow
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert not site.asked(f"/b/{T10K_LABELS}")


def flipped(body):
    content = bytearray(gzip.decompress(body))
    content[1000] ^= 1
    return gzip.compress(content)


DAMAGES = {
    "one bit of the content": (flipped, "does not hold what was published"),
    "cut before it was uploaded": (lambda body: body[:CUT], "cannot be read"),
    "another format": (
        lambda body: gzip.compress(b"a picture of another kind"),
        "does not hold what was published",
    ),
    "nothing": (lambda body: b"", "does not hold what was published"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_content_is_told_and_deleted(small, site, tmp_path, damage):
    change, words = DAMAGES[damage]
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=change(small.bodies[IMAGES]))
    with pytest.raises(InputError, match=rf"{IMAGES} .*{words}.*is deleted"):
        get(small, tmp_path)
    assert names_in(tmp_path) == [".fetch.lock"]
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES])
    get(small, tmp_path)
    assert_whole(small, tmp_path)


def test_a_web_page_that_calls_itself_data_is_damaged_content(small, site, tmp_path):
    site.answers[f"/a/{IMAGES}"] = partial(web_page, kind="application/octet-stream")
    with pytest.raises(InputError, match=f"{IMAGES} .*is deleted"):
        get(small, tmp_path)
    assert not (tmp_path / "mnist").exists() and not (tmp_path / ".fetch-mnist").exists()


def test_a_file_beside_damaged_ones_is_safe(small, site, tmp_path):
    """What is in place is lent to the check, and outlives its failure."""
    get(small, tmp_path)
    (tmp_path / "mnist" / IMAGES).unlink()
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=flipped(small.bodies[IMAGES]))
    with pytest.raises(InputError, match="is deleted"):
        get(small, tmp_path)
    assert names_in(tmp_path / "mnist") == sorted({*small.bodies} - {IMAGES})
    assert all(
        (tmp_path / "mnist" / name).read_bytes() == small.bodies[name]
        for name in {*small.bodies} - {IMAGES}
    )


def test_a_full_disk_is_told_and_what_has_come_is_kept(small, site, tmp_path, monkeypatch):
    @contextmanager
    def open_on_full_disk(path, mode):
        with open(path, mode) as file:

            def write(chunk, write=file.write):
                if file.tell() + len(chunk) > CUT:
                    raise OSError(errno.ENOSPC, "No space left on device")
                write(chunk)

            yield SimpleNamespace(write=write, tell=file.tell)

    monkeypatch.setattr(fetch, "CHUNK", 1000)
    monkeypatch.setattr(fetch, "open", open_on_full_disk, raising=False)
    with pytest.raises(
        InputError,
        match=r"\(No space left on device\); make room or name another folder with --data-dir",
    ):
        get(small, tmp_path)
    assert not (tmp_path / "mnist").exists() and not site.asked(f"/b/{IMAGES}")
    assert part_of(tmp_path).read_bytes() == small.bodies[IMAGES][:CUT]
    monkeypatch.delattr(fetch, "open")
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert site.asked(f"/a/{IMAGES}")[1]["Range"] == f"bytes={CUT}-"


def test_a_data_folder_may_be_a_link_to_another_disk(small, tmp_path, monkeypatch):
    def replace(source, goal, replace=os.replace):
        if ".fetch-" in str(source) and ".fetch-" not in str(goal):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, goal)

    monkeypatch.setattr(os, "replace", replace)
    get(small, tmp_path)
    assert_whole(small, tmp_path)


def test_where_links_are_not_granted_files_are_lent_as_copies(small, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("a required privilege is not held by the client")

    get(small, tmp_path)
    (tmp_path / "mnist" / IMAGES).unlink()
    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    get(small, tmp_path)
    assert_whole(small, tmp_path)


# another process ----------------------------------------------------------------------------------

PROGRAM = """
import json, sys
from minidann.data import __main__ as program, mnist
from minidann.data.registry import DATASETS
from minidann.data.store import File
mnist.FILES = {name: File(*file) for name, file in json.loads(sys.argv[2]).items()}
DATASETS["mnist"] = DATASETS["mnist"]._replace(files=tuple(mnist.FILES.values()))
sys.exit(program.main(["fetch", "mnist", "--data-dir", sys.argv[1]]))
"""


def start(folder):
    files = json.dumps(
        {name: [file.name, list(file.addresses), file.sha256] for name, file in mnist.FILES.items()}
    )
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder, files],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def held_open(handler, body, release):
    """Two thirds at once, the rest when the test says so."""
    handler.start(200, Content_Length=len(body), ETag='"1"')
    handler.wfile.write(body[: 2 * len(body) // 3])
    handler.wfile.flush()
    release.wait(30)
    handler.wfile.write(body[2 * len(body) // 3 :])


def test_two_processes_at_once_take_turns(small, site, tmp_path):
    release = threading.Event()
    site.answers[f"/a/{IMAGES}"] = partial(held_open, body=small.bodies[IMAGES], release=release)
    first = start(tmp_path)
    site.wait_for(f"/a/{IMAGES}")
    second = start(tmp_path)
    assert "waiting for it" in second.stderr.readline()
    assert first.poll() is None and not (tmp_path / "mnist").exists()
    release.set()
    for process in (first, second):
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
    assert sorted(path for path, _ in site.requests) == sorted(
        f"/a/{name}" for name in small.bodies
    )
    assert_whole(small, tmp_path)


def test_after_kill_9_within_a_file_the_next_run_goes_on(small, site, tmp_path):
    release = threading.Event()
    site.answers[f"/a/{IMAGES}"] = partial(held_open, body=small.bodies[IMAGES], release=release)
    process, deadline = start(tmp_path), time.monotonic() + 20
    while (
        not (part_of(tmp_path).exists() and part_of(tmp_path).stat().st_size)
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    release.set()
    come = part_of(tmp_path).stat().st_size
    assert 0 < come < len(small.bodies[IMAGES]) and not (tmp_path / "mnist").exists()
    site.answers[f"/a/{IMAGES}"] = partial(whole, body=small.bodies[IMAGES])
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert site.asked(f"/a/{IMAGES}")[1]["Range"] == f"bytes={come}-"


def test_after_kill_9_between_two_files_the_next_run_fetches_the_rest(small, site, tmp_path):
    release = threading.Event()
    site.answers[f"/a/{T10K_IMAGES}"] = partial(
        held_open, body=small.bodies[T10K_IMAGES], release=release
    )
    process = start(tmp_path)
    site.wait_for(f"/a/{T10K_IMAGES}")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    release.set()
    assert not (tmp_path / "mnist").exists()
    assert (tmp_path / ".fetch-mnist" / "mnist" / IMAGES).read_bytes() == small.bodies[IMAGES]
    site.answers[f"/a/{T10K_IMAGES}"] = partial(whole, body=small.bodies[T10K_IMAGES])
    del site.requests[:]
    get(small, tmp_path)
    assert_whole(small, tmp_path)
    assert [path for path, _ in site.requests] == [f"/a/{T10K_IMAGES}", f"/a/{T10K_LABELS}"]


def test_without_locks_of_the_system_a_second_process_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "fcntl", None)
    lock = tmp_path / ".fetch.lock"
    lock.write_text("4242")
    with pytest.raises(
        InputError, match=r"wait for it, or delete .*\.fetch\.lock if process 4242 no longer runs"
    ):
        get(small, tmp_path)
    assert lock.read_text() == "4242"
    lock.unlink()
    get(small, tmp_path)
    assert not lock.exists() and (tmp_path / "mnist" / IMAGES).exists()


# the command line ---------------------------------------------------------------------------------


def run(*options):
    return program.main([str(option) for option in options])


def error(capsys):
    """What was printed as an error: one line."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_fetch_from_the_command_line(small, site, tmp_path, capsys):
    assert run("fetch", "mnist", "mnist", "--data-dir", tmp_path) == 0
    assert_whole(small, tmp_path)
    shown = capsys.readouterr()
    assert (
        shown.out == f"mnist: 4 files downloaded, checked and put in {tmp_path}\n"
        and IMAGES in shown.err
    )
    assert run("--data-dir", tmp_path, "fetch", "mnist") == 0
    assert (
        capsys.readouterr().out == f"mnist: there already, checked, in {tmp_path}\n"
        and len(site.requests) == 4
    )


def test_fetch_puts_files_where_the_environment_says_or_into_the_cache(
    small, tmp_path, monkeypatch
):
    assert run("fetch", "mnist") == 0
    assert_whole(small, tmp_path / "home" / ".cache" / "minidann")
    (tmp_path / "home").rename(tmp_path / "away")
    monkeypatch.setenv("MINIDANN_DATA", str(tmp_path / "environment"))
    assert run("fetch", "mnist") == 0
    assert_whole(small, tmp_path / "environment")


def test_without_a_folder_named_what_is_in_any_of_them_counts(
    small, site, tmp_path, monkeypatch, capsys
):
    get(small, tmp_path / "elsewhere" / "datasets")
    monkeypatch.setenv("MINIDANN_DATA", str(tmp_path / "environment"))
    del site.requests[:]
    assert run("fetch", "mnist") == 0
    assert (
        capsys.readouterr().out == "mnist: there already, checked, in datasets\n"
        and not site.requests
    )


def test_a_set_made_of_others_is_fetched_as_these(small, monkeypatch, tmp_path):
    fetched = []
    monkeypatch.setattr(
        program, "fetch_dataset", lambda dataset, folder: fetched.append(dataset.name) or []
    )
    assert run("fetch", "mnistm", "mnist", "usps", "--data-dir", tmp_path) == 0
    assert fetched == ["mnist", "bsds500", "usps"]


@pytest.mark.parametrize(
    "name, words",
    [
        ("mnst", "there is no data set 'mnst'; choose from mnist, "),
        ("digits", "needs no files"),
        ("blobs", "needs no files"),
        ("moons", "needs no files"),
        ("synth", "needs no files"),
        ("mnistm-release", "by hand"),
        ("synsigns", "by hand"),
    ],
)
def test_what_can_not_be_fetched_is_said_before_anything_is(
    small, site, tmp_path, capsys, name, words
):
    assert run("fetch", "mnist", name, "--data-dir", tmp_path) == 1
    line = error(capsys)
    assert name in line and words in line
    assert not site.requests


def test_a_data_dir_that_is_no_folder(small, site, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("fetch", "mnist", "--data-dir", tmp_path / "file") == 1
    assert f"{tmp_path / 'file'} is not a folder" in error(capsys)
    assert run("fetch", "mnist", "--data-dir", tmp_path / "file" / "below") == 1
    assert "Not a directory" in error(capsys) and not site.requests
    assert run("--data-dir", tmp_path / "nowhere") == 1
    assert "nowhere is not a folder" in error(capsys)


def test_a_folder_that_can_not_be_written(small, site, tmp_path, monkeypatch, capsys):
    def refuse(path, *args):
        raise PermissionError(
            errno.EACCES, "Permission denied", path
        )  # as root, who runs many a CI, never sees it

    monkeypatch.setattr(os, "open", refuse)
    assert run("fetch", "mnist", "--data-dir", tmp_path) == 1
    line = error(capsys)
    assert (
        f"nothing more can be written to {tmp_path} (Permission denied)" in line
        and "--data-dir" in line
        and not site.requests
    )


def test_ctrl_c_says_that_the_next_run_goes_on(small, monkeypatch, tmp_path, capsys):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "fetch_dataset", stop)
    assert run("fetch", "mnist", "--data-dir", tmp_path) == 130
    assert "goes on where this one was" in capsys.readouterr().err


def table(capsys, *options):
    """name -> the first line of each data set, and what is said of it below."""
    assert run(*options) == 0
    lines = capsys.readouterr().out.split("\n\n", 1)[1].splitlines()
    assert all(len(line) < 80 or " " not in line.strip() for line in lines)  # an address is whole
    rows = {}
    for line in lines:
        if not line.startswith(" "):
            first = line
        name = first.split()[0]
        rows[name] = (first, f"{rows[name][1]} {line.strip()}" if line != first else "")
    return rows


def test_the_table_lists_every_data_set_with_size_licence_and_source(no_data, capsys):
    rows = table(capsys)
    assert list(rows) == list(DATASETS)
    for name, (first, second) in rows.items():
        dataset = DATASETS[name]
        assert dataset.images in first and all(
            part and part in second for part in (dataset.title, dataset.licence, dataset.source)
        )
        state = "not present" if dataset.files or dataset.parts else "needs no files"
        assert re.match(rf"{name} +{state}  ", first) and "MB" not in first


def test_the_table_says_what_is_there_and_where(small, tmp_path, capsys):
    get(small, tmp_path)
    megabytes = sum(map(len, small.bodies.values())) / 1e6
    rows = table(capsys, "--data-dir", tmp_path)
    assert re.match(
        rf"mnist +present +{megabytes:.1f} MB .*; here: {tmp_path / 'mnist'}$",
        "".join(rows["mnist"]),
    )
    assert re.match(r"mnistm +4 of 5 files ", rows["mnistm"][0]) and re.match(
        r"usps +not present", rows["usps"][0]
    )
    (tmp_path / "mnist" / LABELS).unlink()
    assert re.match(r"mnist +3 of 4 files ", table(capsys, "--data-dir", tmp_path)["mnist"][0])


def test_show_hands_its_options_on(monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr(sheets, "show", lambda *args: calls.append(args))
    assert run("show", "mnist", "usps") == 0
    assert (
        run("show", "blobs", "--out", tmp_path / "b.pdf", "--seed", 3, "--data-dir", tmp_path) == 0
    )
    assert [(names, str(out), folder, seed) for names, out, folder, seed in calls] == [
        (["mnist", "usps"], "sheet.png", None, 0),
        (["blobs"], str(tmp_path / "b.pdf"), str(tmp_path), 3),
    ]
    assert "sheet.png" in capsys.readouterr().out
    assert (
        run("show", "mnst") == 1
        and "there is no data set 'mnst'" in error(capsys)
        and len(calls) == 2
    )


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_loads_or_says_what_is_missing(name, no_data):
    dataset = DATASETS[name]
    assert dataset.name == name and all(
        address.startswith(("http://", "https://"))
        for file in dataset.files
        for address in file.addresses
    )
    if not dataset.files and not dataset.parts:
        assert len(dataset.load(None)[0])
        return
    with pytest.raises(InputError, match=r"mnist|bsds500|svhn|usps|amazon|signs"):
        dataset.load(None)
