"""Wakes a gevent process on time, and chooses requests by weight.

The one thing to know: the loop's own timers are as coarse as a millisecond. A timer of the kernel's, which the loop
watches as a file, wakes it to within tens of microseconds, and costs nothing in between.
"""

from __future__ import annotations

import bisect
import ctypes
import itertools
import os
import random
import struct
import time
from collections.abc import Callable, Sequence

import gevent

MONOTONIC, NONBLOCK, CLOEXEC, ABSOLUTE = 1, 0o4000, 0o2000000, 1


class Alarm:
    """A timer on the monotonic clock; one greenlet may wait for it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(MONOTONIC, NONBLOCK | CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._hub = gevent.get_hub()
        self._watcher = self._hub.loop.io(self._fd, 1)

    def until(self, moment: int) -> None:
        """Let others run until `moment` ns."""
        if moment <= time.monotonic_ns():
            return
        when = struct.pack("qqqq", 0, 0, *divmod(moment, 10**9))
        self._libc.timerfd_settime(self._fd, ABSOLUTE, when, None)
        self._hub.wait(self._watcher)
        os.read(self._fd, 8)


def chooser(weights: Sequence[float], seed: int) -> Callable[[], int]:
    """Return what gives the number of the next request, drawn by weight from a seed."""
    if len(weights) == 1:
        return lambda: 0
    rng, sums = random.Random(seed), list(itertools.accumulate(weights))
    return lambda: bisect.bisect(sums, rng.random() * sums[-1])
