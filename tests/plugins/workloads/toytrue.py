"""The shortest step there is: one run of `true`."""

from collections.abc import Iterator
from typing import ClassVar

from harness.model import Event, Record, Series
from harness.protocols import Lab, Target


class Toytrue(Record, frozen=True, kw_only=True):
    """Runs `true` and yields one number."""

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("true",)

    def seconds(self) -> float:
        """Return no time."""
        return 0.0

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event]:
        """Run it once."""
        done = lab.guest().run(["true"], timeout=10).checked()
        yield Series(metric="toy.elapsed", unit="s", values=(done.elapsed,))
