"""What a program prints, if somebody still reads it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any


class WhileRead:
    """Standard output until its reader has left, as ``| head`` does; what follows is lost.

    The program goes on: it may have files to write. Any other error is raised.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or lose it."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._lose()
            return len(text)

    def flush(self) -> None:
        """Write what waits in the buffer, or lose it."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._lose()

    def _lose(self) -> None:
        """Let the rest go nowhere: Python itself flushes once more as it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def while_read() -> Iterator[None]:
    """Print to a reader who may leave early."""
    stream = WhileRead(sys.stdout)
    with redirect_stdout(stream):
        try:
            yield
        finally:
            stream.flush()
