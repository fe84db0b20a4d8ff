"""The machines of one round: guests booted on first use and removed together, and what one step sees of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from harness.clock import Clock
from harness.errors import Unsupported
from harness.evidence import Recorder
from harness.model import GuestSize
from harness.protocols import GuestSpec, Hosted, Machine, Target, Viewed
from harness.surroundings import Surroundings


@dataclass
class Boots:
    """How booting goes on one target, over all rounds; after `limit` failures in a row the target is given up."""

    limit: int = 3
    failed: int = 0
    given_up: str = ""

    def succeeded(self) -> None:
        """Count a boot that went well."""
        self.failed = 0

    def fell_through(self, error: Exception) -> None:
        """Count a boot that failed."""
        self.failed += 1
        if self.failed >= self.limit:
            self.given_up = f"given up after {self.failed} failed boots in a row, the last: {error}"


class Round:
    """Machines of one round, as a context; leaving it removes all of them."""

    def __init__(self, target: Target, size: GuestSize, boots: Boots, note: Callable[[str], None]) -> None:
        self.target, self._size, self._boots, self._note = target, size, boots, note
        self._stack = ExitStack()
        self._machines: dict[tuple[str, int], Machine] = {}
        self.booting = 0.0

    def __enter__(self) -> Round:
        return self

    def __exit__(self, *trouble: object) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove all machines now; the next use gets fresh ones. What goes wrong is noted: results are kept anyhow."""
        try:
            self._stack.close()
        except Exception as error:  # drivers of others raise what they like; the next round counts
            self._note(f"while removing the machines of a round: {type(error).__name__}: {error}")
        self._machines.clear()

    def guest(self, role: str, host: int) -> Machine:
        """Return the guest, booting it if need be; what that took is added to `booting`, in s."""
        if (role, host) not in self._machines:
            start = self.target.clock.now()
            try:
                spec = GuestSpec(role=role, size=self._size, host=host)
                self._machines[role, host] = self._stack.enter_context(self.target.guest(spec))
            except Unsupported:
                raise
            except Exception as error:
                self._boots.fell_through(error)
                raise
            finally:
                self.booting += self.target.clock.now() - start
            self._boots.succeeded()
        return self._machines[role, host]

    def host(self, index: int) -> Machine:
        """Return the machine below the guests."""
        if not isinstance(self.target, Hosted):
            raise Unsupported("the target offers no commands on the machine below its guests")
        if ("host", -1 - index) not in self._machines:
            self._machines["host", -1 - index] = self._stack.enter_context(self.target.host(index))
        return self._machines["host", -1 - index]

    def client(self) -> Machine:
        """Return the machine outside."""
        if not isinstance(self.target, Viewed):
            raise Unsupported("the target offers no client machine outside its hosts")
        if ("client", -1) not in self._machines:
            self._machines["client", -1] = self._stack.enter_context(self.target.client())
        return self._machines["client", -1]


class StepLab:
    """A round's machines as one step gets them: recorded, and watched while it runs. Implements `Lab`."""

    def __init__(self, machines: Round, recorder: Recorder, seen: Surroundings, seed: str) -> None:
        self._round, self._recorder, self._seen = machines, recorder, seen
        self._rng = random.Random(seed)

    @property
    def clock(self) -> Clock:
        """The target's clock."""
        return self._round.target.clock

    @property
    def rng(self) -> random.Random:
        """Random numbers that depend on the seed of the plan and the step alone."""
        return self._rng

    def guest(self, role: str = "sut", *, host: int = 0) -> Machine:
        """Return the round's guest of that role on that host."""
        machine = self._round.guest(role, host)
        self._seen.guest(machine)
        return self._recorder.machine(machine)

    def host(self, index: int = 0) -> Machine:
        """Return the machine below the guests."""
        return self._recorder.machine(self._round.host(index))

    def client(self) -> Machine:
        """Return the client."""
        return self._recorder.machine(self._round.client())
