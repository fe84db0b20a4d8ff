"""A machine whose measuring programs are simulated, in simulated time.

Every other command (cat, ls, sh, ...) really runs here, in a private directory, so that workloads find the files that
they wrote; it takes `ORDINARY` seconds of simulated time, whatever it really took.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from drivers.shell import Job, Local, Shell
from drivers.targets._simulated import PROGRAMS
from drivers.targets._simulated.platform import Cluster
from drivers.targets._simulated.watching import Watching
from drivers.targets._simulated.world import Answer, Conditions
from harness.clock import FakeClock
from harness.errors import TargetError, ToolError
from harness.model import Record
from harness.protocols import Completed

ORDINARY = 0.002
UNANSWERED = 0.5  # s until a command to a guest that is down is given up
_FACTS = """os.name=Simulated Linux 1
kernel.release=6.1.0-simulated
arch=x86_64
cpuinfo.model name=Simulated Processor
cpuinfo.vendor_id=Simulated
meminfo.MemTotal={memory} kB
cpu.online=0-{last}
"""
_TABLE = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
_NUMBERS = {"fio": r'(?<="iops" : )[1-9][\d.]*', "iperf3": r'(?<="bits_per_second":\t)[\d.]+',
            "sysbench": r"(?<=second: )\s*[\d.]+|(?<=avg/stddev\):)\s+[\d.]+"}


class Failure(Record, frozen=True, kw_only=True):
    """How every `every`-th call of `tool` goes wrong.

    missing: there is no such program. dies: killed half-way. text: a line before its output. nan: its first number is
    none. full: no space left. hangs: it never ends.
    """

    tool: str
    how: Literal["missing", "dies", "text", "nan", "full", "hangs"]
    every: int = 1


@dataclass
class World:
    """What the machines of one target share: time, who listens where, what went on so far."""

    clock: FakeClock
    seed: int
    spread: float
    failures: tuple[Failure, ...] = ()
    listening: dict[str, set[int]] = field(default_factory=dict)
    busy_until: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    cluster: Cluster | None = None
    watching: Watching | None = None

    def reach(self, machine: Simulated) -> None:
        """Return if a guest takes commands now; TargetError if it is down."""
        tenant = self.cluster.tenants.get(machine.address) if self.cluster else None
        if tenant and not tenant.answers(self.clock.now()):
            self.clock.sleep(UNANSWERED)
            raise TargetError(f"{machine.name}: does not answer")

    def answer(self, argv: Sequence[str], machine: Simulated) -> Answer:
        """Let a program answer, or go wrong as it was told to."""
        program = argv[0]
        self.calls[program] += 1
        wrong = [each for each in self.failures if each.tool == program and not self.calls[program] % each.every]
        if any(each.how == "missing" for each in wrong):
            raise ToolError(f"{program}: no such program on {machine.name}")
        if "--version" in argv:
            return Answer(stdout=f"{program} 1.0 (simulated)\n")
        if program == "ping" and not self._heard(argv[-1]):
            return Answer(stdout=f"PING {argv[-1]}\n", code=1, seconds=1.0)
        here = Conditions(
            rng=random.Random(f"{self.seed}/{machine.identity}/{program}/{self.calls[program]}"), speed=machine.speed,
            processors=machine.processors, now=self.clock.now(), spread=self.spread,
            reached=lambda address, port: port in self.listening.get(address, ()),
            busy=self.clock.now() < self.busy_until)
        answer = PROGRAMS[program](argv, here)
        for each in wrong:
            answer = _spoilt(answer, each, program)
        return answer


    def _heard(self, address: str) -> bool:
        tenant = self.cluster.tenants.get(address) if self.cluster else None
        return tenant is None or tenant.answers(self.clock.now())


class Simulated(Shell):
    """One machine; `files` is where its ordinary commands run."""

    def __init__(self, world: World, files: Local, name: str, *, identity: str, address: str, speed: float,
                 processors: int, memory: int) -> None:
        self.world, self.name, self.identity, self._address = world, name, identity, address
        self.speed, self.processors, self.memory = speed, processors, memory
        self._files = copy.copy(files)
        self._files.name = name

    @property
    def address(self) -> str:
        return self._address

    def spawn(self, argv: Sequence[str], stdin: bytes) -> Job:
        self.world.reach(self)
        if self.world.watching and (watching := self.world.watching.answer(argv, self._address)):
            return SimulatedJob(self, argv, watching)
        if argv[0] in PROGRAMS:
            return SimulatedJob(self, argv, self.world.answer(argv, self))
        if argv[0] == "cat" and argv[1:] and all(word.startswith("/proc/net/") for word in argv[1:]):
            return SimulatedJob(self, argv, Answer(stdout=self._ports()))
        if list(argv[:2]) == ["sh", "-s"]:
            facts = _FACTS.format(memory=self.memory // 1024, last=self.processors - 1)
            return SimulatedJob(self, argv, Answer(stdout=facts))
        return OrdinaryJob(self._files.spawn(argv, stdin), self.world.clock)

    def remove_at_end(self, path: str) -> None:
        self._files.remove_at_end(path)

    def _ports(self) -> str:
        """Return who listens here, as the kernel would."""
        ports = sorted(self.world.listening.get(self._address, ()))
        return _TABLE + "".join(f"   {n}: 00000000:{port:04X} 00000000:0000 0A\n" for n, port in enumerate(ports))


class SimulatedJob:
    """A program that ends when simulated time has come to its end."""

    def __init__(self, machine: Simulated, argv: Sequence[str], answer: Answer) -> None:
        self._machine, self._argv, self._answer = machine, tuple(argv), answer
        self._clock, self._began = machine.world.clock, machine.world.clock.now()
        self._done: Completed | None = None
        if answer.listens:
            machine.world.listening.setdefault(machine.address, set()).add(answer.listens)

    def wait(self, timeout: float) -> Completed | None:
        """Let time pass until it ends, or `timeout` has passed."""
        left = self._began + self._answer.seconds - self._clock.now()
        self._clock.sleep(min(left, timeout))
        if self._done is None and left <= timeout:
            for path, data in self._answer.files.items():
                self._machine.write(path, data)
            self._end(self._answer.code)
        return self._done

    def signal(self, name: str) -> None:
        """End it; a server ends as it does when it is told to, anything else without a result."""
        if self._done is None:
            code = 137 if name == "KILL" else self._answer.code if self._answer.listens else 143
            if not self._answer.listens and not self._answer.ending:
                self._answer = dataclasses.replace(self._answer, stdout="", stderr="")
            self._end(code)

    def drain(self) -> None:
        """A program in the background; a client fills the line for as long as it runs."""
        if "--client" in self._argv:
            self._machine.world.busy_until = self._began + self._answer.seconds

    def _end(self, code: int) -> None:
        elapsed = self._clock.now() - self._began
        if self._answer.ending:
            self._answer = dataclasses.replace(self._answer, stdout=self._answer.ending())
        self._done = Completed(argv=self._argv, code=code, stdout=self._answer.stdout, stderr=self._answer.stderr,
                               elapsed=elapsed)
        self._machine.world.busy_until = min(self._machine.world.busy_until, self._clock.now())
        self._machine.world.listening.get(self._machine.address, set()).discard(self._answer.listens)


class OrdinaryJob:
    """A command that really runs, and takes no time worth speaking of."""

    def __init__(self, job: Job, clock: FakeClock) -> None:
        self._job, self._clock = job, clock
        self.signal, self.drain = job.signal, job.drain

    def wait(self, timeout: float) -> Completed | None:
        """Return what it printed, or None if it still really runs after `timeout` real seconds."""
        done = self._job.wait(timeout)
        self._clock.sleep(ORDINARY)
        return done and dataclasses.replace(done, elapsed=ORDINARY)


def _spoilt(answer: Answer, failure: Failure, program: str) -> Answer:
    if failure.how == "hangs":
        return dataclasses.replace(answer, seconds=math.inf)
    if failure.how == "full":
        return Answer(stderr=f"{program}: No space left on device\n", code=1, seconds=0.1)
    if failure.how == "dies":
        half = dataclasses.replace(answer, code=137, seconds=answer.seconds / 2, files={})
        return _reworded(half, lambda said: said[:len(said) // 2])
    if failure.how == "text":
        return _reworded(answer, lambda said: f"{program}: a warning that was not asked for\n{said}")
    number = _NUMBERS.get(program, r"\d+\.\d+")
    return _reworded(answer, lambda said: re.sub(number, "nan", said, count=1))


def _reworded(answer: Answer, change: Callable[[str], str]) -> Answer:
    """Change what a program prints, on the stream that it uses."""
    if answer.stdout:
        return dataclasses.replace(answer, stdout=change(answer.stdout))
    return dataclasses.replace(answer, stderr=change(answer.stderr))
