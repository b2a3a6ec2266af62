"""Requests over http and https that end: a server that only drips bytes is given up.

A timeout of the socket is not enough: it begins anew with each byte that comes, in the headers too.
"""

import io
import socket
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

GRACE = 60  # seconds that a request may take, and more with each byte that comes:
SLOWEST = 2000  # bytes a second


class TooSlow(OSError):
    """A server that sends, but too little."""


class Watched(io.RawIOBase):
    """The bytes that a server sends, for as long as they keep coming."""

    def __init__(self, connection: socket.socket):
        self._socket, self._raw = connection, connection.makefile("rb", buffering=0)
        self._timeout = connection.gettimeout() or GRACE
        self._begun, self._come = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = GRACE + self._come / SLOWEST - (time.monotonic() - self._begun)
        if left <= 0:
            raise self._too_slow()
        self._socket.settimeout(min(self._timeout, left))
        try:
            count = self._raw.readinto(buffer) or 0
        except TimeoutError as error:
            if left < self._timeout:
                raise self._too_slow() from error
            raise
        self._come += count
        return count

    def _too_slow(self) -> TooSlow:
        taken = time.monotonic() - self._begun
        return TooSlow(f"it sent only {self._come:,} bytes in {taken:.0f} seconds")

    def close(self) -> None:
        self._raw.close()
        super().close()


class WatchedResponse(HTTPResponse):
    """A response of which even the headers have to come in time."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any):
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(Watched(sock))


class Http(HTTPConnection):
    """http with such responses."""

    response_class = WatchedResponse


class Https(HTTPSConnection):
    """https with such responses."""

    response_class = WatchedResponse


class HttpHandler(HTTPHandler):
    """Opens addresses of http."""

    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(Http, request)


class HttpsHandler(HTTPSHandler):
    """Opens addresses of https, with the certificates that Python trusts."""

    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(Https, request)


def urlopen(request: Request, timeout: float) -> Any:
    """As that of urllib.request, with a limit on the whole request."""
    return build_opener(HttpHandler, HttpsHandler).open(request, timeout=timeout)
