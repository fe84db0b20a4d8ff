"""A workload for tests of the harness: one command, one number; goes wrong on request."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from harness.errors import ToolError
from harness.model import Event, Record, Series
from harness.protocols import Lab, Target
from harness.units import Bytes, Seconds

Trouble = Literal["", "bug", "tool", "nothing", "far", "text"]


class Toyload(Record, frozen=True, kw_only=True):
    """Asks the toy tool for a number; `depth` and `block` only make points, `where` makes arms."""

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("toytool",)

    depth: Annotated[int, Meta(ge=1, le=64)] = 1
    block: Bytes = Bytes(4096)
    duration: Seconds = Seconds(5)
    where: Literal["guest", "host"] = "guest"
    trouble: Trouble = ""

    def __post_init__(self) -> None:
        if self.depth > 32 and self.block > 2**20:
            raise ValueError("depth above 32 takes a block of at most 1MiB")

    def seconds(self) -> float:
        """Return the duration."""
        return float(self.duration)

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event]:
        """Run the tool once."""
        if self.trouble == "nothing":
            return
        machine = lab.host() if self.where == "host" else lab.guest()
        done = machine.run(["toytool", str(self.depth), str(lab.rng.randrange(2**32))], timeout=60).checked()
        yield Series(metric="toy.rate", unit="1/s", values=(float(done.stdout),), labels={"where": self.where})
        if self.trouble == "bug":
            raise KeyError("a bug in a workload")
        if self.trouble == "tool":
            raise ToolError("toytool: printed\nnonsense")
        if self.trouble == "far":
            yield Event(actor="a", action="b", start=0.0, end=float("inf"), outcome="ok")
        if self.trouble == "text":
            yield "no series"

