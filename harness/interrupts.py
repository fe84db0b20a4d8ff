"""Ctrl-C and termination signals: the first unwinds, so that everything cleans up after itself; the third gives up.

While a line is being written the signal waits. Only the main thread of a process can receive signals; anywhere else
this does nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 3


class Interrupts:
    """Turns the first signal into a KeyboardInterrupt, the second into advice; the third is an interrupt again."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._held = 0
        self._pending = False
        self.count = 0

    def received(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal."""
        self.count += 1
        if self.count == 1 or self.count >= PATIENCE:
            self._pending = True
            self._deliver()
        else:
            self._note("still cleaning up; interrupt once more to give up, and let the next start clean what is left")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put off interrupts until the end of the block."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self._deliver()

    def _deliver(self) -> None:
        if self._pending and not self._held:
            self._pending = False
            raise KeyboardInterrupt


@contextmanager
def guarded(note: Callable[[str], None]) -> Iterator[Interrupts]:
    """Handle SIGINT, SIGTERM and SIGHUP in the block, and put back what handled them before."""
    interrupts = Interrupts(note)
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (SIGNALS if here else ())}
    mine = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in mine:  # what was ignored, as nohup does with SIGHUP, stays ignored
        signal.signal(number, interrupts.received)
    try:
        yield interrupts
    finally:
        for number, handler in mine.items():
            signal.signal(number, handler)
