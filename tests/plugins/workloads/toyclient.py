"""A workload that needs a machine outside the hosts."""

from collections.abc import Iterator
from typing import ClassVar

from harness.model import Event, Record, Series
from harness.protocols import Lab, Target, Viewed


class Toyclient(Record, frozen=True, kw_only=True):
    """Asks the toy tool on the client."""

    needs: ClassVar[tuple[type, ...]] = (Viewed,)
    tools: ClassVar[tuple[str, ...]] = ("toytool",)

    def seconds(self) -> float:
        """Return no time."""
        return 1.0

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event]:
        """Run the tool once."""
        done = lab.client().run(["toytool", "1", str(lab.rng.randrange(2**32))], timeout=60).checked()
        yield Series(metric="toy.latency", unit="s", values=(1 / float(done.stdout),))
