"""Stops a process of this machine for a while and tells of it, as a platform does that pauses a guest."""

from collections.abc import Iterator
from typing import ClassVar

from harness.model import Event, Outcome, Record
from harness.protocols import Lab, Target
from harness.units import Seconds


class Toystall(Record, frozen=True, kw_only=True):
    """After `quiet` stops the process `pid` for at least `length`, and looks on for as long as `quiet` again."""

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("kill",)

    pid: int
    quiet: Seconds = Seconds(3)
    length: Seconds = Seconds(1)
    trouble: bool = False

    def seconds(self) -> float:
        """Return how long it takes."""
        return 2 * self.quiet + self.length

    def run(self, target: Target, lab: Lab) -> Iterator[Event]:
        """Stop it once."""
        guest = lab.guest()
        lab.clock.sleep(self.quiet)
        start = lab.clock.now() - lab.began
        guest.run(["kill", "-STOP", str(self.pid)], timeout=10).checked()
        lab.clock.sleep(self.length)
        guest.run(["kill", "-CONT", str(self.pid)], timeout=10).checked()
        end = lab.clock.now() - lab.began
        yield Event(actor="fault", action="pause", start=start, end=end, outcome=Outcome.OK)
        if self.trouble:
            raise KeyError("a bug in a workload")
        lab.clock.sleep(self.quiet)
