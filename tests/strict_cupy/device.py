"""The device itself: one, with one stream, on which all that is asked for is done at once."""

import time

from strict_cupy.counting import meter


class _MemoryPool:
    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0


_memory_pool = _MemoryPool()


def get_default_memory_pool():
    return _memory_pool


class Stream:
    def synchronize(self):
        meter.synchronize()


class cuda:
    """``cupy.cuda``."""

    class runtime:
        class CUDARuntimeError(RuntimeError):
            pass

        @staticmethod
        def getDeviceCount():
            return 1

        @staticmethod
        def getDeviceProperties(device):
            return {"name": b"Stand-in", "totalGlobalMem": 8 << 30}

    class Device:
        def __init__(self, device=None):
            self.id = device or 0
            self.mem_info = (8 << 30, 8 << 30)  # free and total bytes

    class Event:
        """A mark in the stream of work; it has a time once the host has waited for the device."""

        def record(self, stream=None):
            self._time, self._waits = time.perf_counter(), meter.waits

        def synchronize(self):
            meter.synchronize()

    @staticmethod
    def get_elapsed_time(start_event, end_event):
        if meter.waits == end_event._waits:
            raise cuda.runtime.CUDARuntimeError(
                "cudaErrorNotReady: nothing has waited for the end event"
            )
        return (end_event._time - start_event._time) * 1000

    @staticmethod
    def get_current_stream():
        return Stream()
