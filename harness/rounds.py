"""The machines of one round: guests booted on first use and removed together, and what one step sees of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.clock import Clock
from harness.errors import Unsupported
from harness.evidence import Call, Recorded, Recorder
from harness.model import Event, GuestSize, Outcome
from harness.protocols import (
    Breaks,
    Disturbs,
    Dropped,
    Fault,
    Gathers,
    GuestSpec,
    Hosted,
    Injected,
    Life,
    Machine,
    Migrates,
    Migration,
    Moved,
    Protects,
    Target,
    Viewed,
)
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


Guest = tuple[str, int, Life]    # role, first host, life


class Round:
    """Machines of one round, as a context; leaving it removes all of them.

    `usual` are the guests that earlier rounds of the plan used; where the target can, all boot side by side on the
    first use of one of them. A round adds what it learns.
    """

    def __init__(self, target: Target, size: GuestSize, boots: Boots, note: Callable[[str], None],
                 usual: set[Guest] | None = None) -> None:
        self.target, self._size, self._boots, self._note = target, size, boots, note
        self._usual: set[Guest] = set() if usual is None else usual
        self._stack = ExitStack()
        self._machines: dict[tuple[str, int, str], Machine] = {}
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

    def guest(self, role: str, host: int, life: Life = "plain") -> Machine:
        """Return the guest, booting it if need be; what that took is added to `booting`, in s."""
        if (role, host, life) not in self._machines:
            start = self.target.clock.now()
            try:
                self._boot((role, host, life))
            except Unsupported:
                raise
            except Exception as error:
                self._usual.clear()   # whichever it was: from now on none waits for another
                self._boots.fell_through(error)
                raise
            finally:
                self.booting += self.target.clock.now() - start
            self._boots.succeeded()
        return self._machines[role, host, life]

    def _boot(self, asked: Guest) -> None:
        """Boot the guest asked for, and with it those that are sure to be asked for soon."""
        together = [asked]
        if isinstance(self.target, Gathers) and asked in self._usual:
            together += sorted(self._usual - self._machines.keys() - {asked})
        specs = [GuestSpec(role=role, size=self._size, host=host, life=life) for role, host, life in together]
        found = self._stack.enter_context(
            self.target.guests(specs) if isinstance(self.target, Gathers) else _alone(self.target, specs[0]))
        self._machines.update(zip(together, found, strict=True))
        if asked[2] == "plain":
            self._usual.add(asked)

    def host(self, index: int) -> Machine:
        """Return the machine below the guests."""
        if not isinstance(self.target, Hosted):
            raise Unsupported("the target offers no commands on the machine below its guests")
        if ("host", index, "below") not in self._machines:
            self._machines["host", index, "below"] = self._stack.enter_context(self.target.host(index))
        return self._machines["host", index, "below"]

    def client(self) -> Machine:
        """Return the machine outside."""
        if not isinstance(self.target, Viewed):
            raise Unsupported("the target offers no client machine outside its hosts")
        if ("client", 0, "outside") not in self._machines:
            self._machines["client", 0, "outside"] = self._stack.enter_context(self.target.client())
        return self._machines["client", 0, "outside"]


class StepLab:
    """A round's machines as one step gets them: recorded, and watched while it runs. Implements `Lab`.

    `met` is told of every guest that the step gets, before the step gets it.
    """

    def __init__(self, machines: Round, recorder: Recorder, seen: Surroundings, seed: str,
                 met: Callable[[Machine], None] = lambda guest: None) -> None:
        self._round, self._recorder, self._seen, self._met = machines, recorder, seen, met
        self._rng = random.Random(seed)
        self.events: list[Event] = []

    @property
    def clock(self) -> Clock:
        """The target's clock."""
        return self._round.target.clock

    @property
    def rng(self) -> random.Random:
        """Random numbers that depend on the seed of the plan and the step alone."""
        return self._rng

    @property
    def began(self) -> float:
        """When the step began, on the target's clock."""
        return self._recorder.begin

    def guest(self, role: str = "sut", *, host: int = 0, life: Life = "plain") -> Machine:
        """Return the round's guest of that role and life which began on that host."""
        machine = self._round.guest(role, host, life)
        self._seen.guest(machine)
        found = self._recorder.machine(machine)
        self._met(found)
        return found

    def host(self, index: int = 0) -> Machine:
        """Return the machine below the guests."""
        return self._recorder.machine(self._round.host(index))

    def client(self) -> Machine:
        """Return the client."""
        return self._recorder.machine(self._round.client())

    def recorded(self, machine: Machine) -> Machine:
        """Return a machine that is not the target's, recorded."""
        return self._recorder.machine(machine)

    def migrate(self, guest: Machine, to: int, how: Migration) -> Moved:
        """Migrate a guest, and keep what the platform answered."""
        target = self._round.target
        if not isinstance(target, Migrates):
            raise Unsupported("the target does not migrate guests")
        moved = target.migrate(_plain(guest), to, how)
        self.keep("migration.json", moved.raw, f"the platform, of {guest.name}")
        return moved

    def whereabouts(self, guest: Machine) -> Sequence[int]:
        """Return the hosts on which a guest runs now; empty where the target cannot tell."""
        target = self._round.target
        return tuple(target.whereabouts(_plain(guest))) if isinstance(target, Migrates) else ()

    def chronicle(self, guest: Machine, since: float) -> Sequence[Event]:
        """Return what the platform's own log tells of a guest since then; empty where it has none."""
        target = self._round.target
        return target.chronicle(_plain(guest), since) if isinstance(target, Protects) else ()

    @contextmanager
    def fault(self, fault: Fault, guest: Machine | None = None) -> Iterator[Injected]:
        """Inject a fault and heal it; both become events, whatever the workload makes of them."""
        target = self._round.target
        if not isinstance(target, Breaks):
            raise Unsupported("the target does not break anything on purpose")
        injected: Injected | None = None
        try:
            with target.fault(fault, guest and _plain(guest)) as injected:
                yield injected
        finally:
            if injected is not None:
                self._tell(fault, injected)

    @contextmanager
    def cut(self, guest: Machine, windows: Sequence[tuple[float, float]]) -> Iterator[Sequence[tuple[float, float]]]:
        """Cut the client's path to a guest; each cut that is over when the context ends becomes an event."""
        with self._disturbing().cut(_plain(guest), windows) as exact:
            try:
                yield exact
            finally:
                now = self.clock.now()
                for begin, end in exact:
                    if end <= now:
                        self._disturbed("cut", begin, end, "nftables, by the kernel's clock")

    @contextmanager
    def pausing(self, guest: Machine) -> Iterator[Callable[[float], tuple[float, float]]]:
        """Pause a guest for so long, as often as wanted; each pause becomes an event."""
        def told(length: float) -> tuple[float, float]:
            begin, end = pause(length)
            self._disturbed("pause", begin, end, "SIGSTOP and SIGCONT")
            return begin, end

        with self._disturbing().pausing(_plain(guest)) as pause:
            yield told

    def lose(self, guest: Machine, share: float, length: float) -> Dropped:
        """Drop a share of what the client sends to a guest; it becomes an event."""
        dropped = self._disturbing().lose(_plain(guest), share, length)
        self._disturbed("loss", dropped.start, dropped.end, "nftables, at random")
        return dropped

    def keep(self, name: str, data: bytes, source: str) -> None:
        """Keep bytes as evidence of this step."""
        self._recorder.keep(f"{self._recorder.number():02d}-{name}", data, Call(source, self.clock.now()))

    def _disturbing(self) -> Disturbs:
        target = self._round.target
        if not isinstance(target, Disturbs):
            raise Unsupported("the target cannot disturb a guest and its client's path in ways that are exactly known")
        return target

    def _disturbed(self, what: str, begin: float, end: float, how: str) -> None:
        began = self._recorder.begin
        self.events.append(Event(actor="fault", action=what, start=begin - began, end=end - began, outcome=Outcome.OK,
                                 detail=how))

    def _tell(self, fault: Fault, injected: Injected) -> None:
        began = self._recorder.begin
        self.events.append(Event(actor="fault", action=fault.kind, start=injected.start - began,
                                 end=injected.end - began, outcome=Outcome.OK, detail=injected.how))
        if injected.healed is not None:
            healed = injected.healed - began
            self.events.append(Event(actor="fault", action="healed", start=healed, end=healed, outcome=Outcome.OK,
                                     detail=fault.kind))


@contextmanager
def _alone(target: Target, spec: GuestSpec) -> Iterator[Sequence[Machine]]:
    with target.guest(spec) as machine:
        yield (machine,)


def _plain(machine: Machine) -> Machine:
    """Return the target's own object of a machine that a step got recorded."""
    return machine.machine if isinstance(machine, Recorded) else machine
