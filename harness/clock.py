"""Time as a value that is passed in, so that tests never sleep.

A target owns its clock: a simulated platform lives in simulated time.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, and the ability to wait."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class RealClock:
    """The machine's monotonic clock."""

    now = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        """Wait; a time already past is no wait."""
        time.sleep(max(0.0, seconds))


class FakeClock:
    """Jumps instead of waiting."""

    def __init__(self, start: float = 0.0) -> None:
        self.time = start

    def now(self) -> float:
        """Return the simulated time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Advance the simulated time."""
        self.time += max(0.0, seconds)
