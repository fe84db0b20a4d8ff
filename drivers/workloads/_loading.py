"""Where load comes from: the generator's processes, on the client, on the controller, on several machines.

The one thing to know: the generator is sent along as it stands, but Locust itself must be there; the controller has it
by `pip install 'virtmark[load]'`. A client of the embedded lab is the controller's kernel and file system seen from
another network, so the controller's Python runs there.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers import load as sources
from drivers import shell
from drivers.load import histories, job, reading
from drivers.shell import Shell
from drivers.tools.reading import complaint
from drivers.workloads._machines import GRACE, free_port
from drivers.workloads._probing import Offset, offset
from harness.errors import ToolError, Unsupported
from harness.model import Event, History, Outcome, Series
from harness.protocols import Completed, Lab, Machine

LOCUSTFILE, LAB, RELAY = job.LOCUSTFILE, "lab:", "drivers.load.relay"
DAY = 86400.0       # s that load beside something else goes on at most
BEGINNING = 60.0    # s that it may take until it begins
BEGUN = "virtmark-load-begun"   # the file in which the generator says that it has, or that it cannot
AWAIT = (f'n=0; until [ -s "$1" ] || [ $n -ge {BEGINNING * 10:.0f} ]; do sleep 0.1; n=$((n + 1)); done; cat "$1"')
FIRST = 0.5         # s after which the first requests are under way
# What a generator is told where nobody says otherwise; see `drivers.load.generator`.
PLAIN: dict[str, Any] = {"model": "open", "process": "even", "seed": 1, "body": "", "connections": 512, "users": 1,
                         "locustfile": "", "title": "", "master": ["", 0]}


@dataclass(frozen=True)
class Seat:
    """A machine with the generator's files in `folder` and a `python` that has Locust."""

    machine: Machine
    python: str
    folder: str

    def argv(self, spec: Mapping[str, Any]) -> list[str]:
        """Return the command line of a process here."""
        file = f"{self.folder}/{LOCUSTFILE}" if spec["locustfile"] else ""
        return reading.argv(self.python, self.folder, {**spec, "locustfile": file})


@dataclass(frozen=True)
class Pods(Seat):
    """Pods of a Kubernetes Job, which call on the ports after `port`; what passes on what they print runs on `machine`.
    """

    port: int = 0

    def argv(self, spec: Mapping[str, Any]) -> list[str]:
        """Return the command line of what stands for the generator in a pod."""
        file = f"{job.FOLDER}/{job.LOCUSTFILE}" if spec["locustfile"] else ""
        return ["env", f"PYTHONPATH={self.folder}", self.python, "-m", RELAY, "serve",
                str(self.port + 1 + spec["index"]), reading.worded({**spec, "locustfile": file})]


class Seats:
    """Where one step's generator runs: the first seat for the master or the only process, the others for workers.

    `address` is where workers on other machines find the master; "" is where their ssh connection came from.
    """

    def __init__(self, lab: Lab, first: Seat, others: Sequence[Seat]) -> None:
        self.lab, self.first, self.others, self.address = lab, first, others, ""
        self.clock: Offset = offset(lab, first.machine)

    def shot(self, spec: Mapping[str, Any], workers: int, port: int) -> tuple[reading.Shot, float]:
        """Send one level of load; return what was written, and when it began in s since the step did."""
        asked = {**spec, "index": 0, "of": workers}
        if workers == 1 and not self.others:
            done = self.first.machine.run(self.first.argv({**asked, "role": "alone"}), timeout=_patience(spec))
            worker = checked(done)
            return reading.Shot(workers=[worker], master=None, seconds=spec["duration"]), self._since(worker)
        return self._cluster(asked, workers, port or free_port(self.lab, self.first.machine))

    def call_from_pods(self, port: int) -> None:
        """Have the pods that call on the ports after `port` for workers."""
        self.others = [Pods(self.first.machine, self.first.python, self.first.folder, port)]

    @contextmanager
    def beside(self, spec: Mapping[str, Any], machine: str) -> Iterator[Beside]:
        """Send one level of load from one process until the context ends; `machine` is what it is sent to. Requests are
        under way when the context begins."""
        sign = f"{self.first.folder}/{BEGUN}"
        asked = {**spec, "index": 0, "of": 1, "role": "alone", "until": "told", "segments": [(DAY, *spec["rates"])],
                 "duration": DAY, "sign": sign}
        found = Beside(asked, machine)
        with self.first.machine.start(self.first.argv(asked)) as running:
            said = self.first.machine.run(["sh", "-c", AWAIT, "sh", sign], timeout=GRACE).stdout.strip()
            if said != "begun":
                checked(running.stop())
                raise ToolError(f"{reading.TOOL}: did not begin within {BEGINNING:g} s")
            self.lab.clock.sleep(FIRST)
            yield found
            found.worker = checked(running.stop())
        found.start = self._since(found.worker)

    def _cluster(self, spec: Mapping[str, Any], workers: int, port: int) -> tuple[reading.Shot, float]:
        seats = self.others or [self.first]
        with ExitStack() as stack:
            running = [stack.enter_context(seat.machine.start(seat.argv(
                {**spec, "role": "worker", "index": index, "master": [self._address(seat), port]})))
                for index, seat in ((index, seats[index % len(seats)]) for index in range(workers))]
            host = "*" if self.others else "127.0.0.1"
            done = self.first.machine.run(self.first.argv({**spec, "role": "master", "master": [host, port]}),
                                          timeout=_patience(spec))
            ends = [each.stop() for each in running]
        outputs = [reading.read(end.stdout) for end in ends]
        if error := next((output.error for output in outputs if output.error), ""):
            raise ToolError(f"{reading.TOOL}: {error}")
        master = checked(done)
        after = dict(master.lost)
        lost = tuple(
            f"worker {index + 1} of {workers} was lost"
            f"{f' {after[index]:.1f} s after the begin' if index in after else ''}: exit status {end.code}"
            for index, (output, end) in enumerate(zip(outputs, ends, strict=True)) if index in after or not output.end)
        heard = [output for output in outputs if output.begin]
        if not heard:
            raise ToolError(f"{reading.TOOL}: {lost[0] if lost else 'no worker began'}")
        return reading.Shot(workers=heard, master=master, seconds=spec["duration"], lost=lost), self._since(master)

    def _address(self, seat: Seat) -> str:
        """Return the address at which a worker finds the master."""
        if seat is self.first or self.address:
            return self.address or "127.0.0.1"
        said = seat.machine.run(["sh", "-c", "echo ${SSH_CONNECTION%% *}"], timeout=GRACE).stdout.strip()
        return said or self.first.machine.address

    def _since(self, output: reading.Output) -> float:
        return output.begin / 1e9 + self.clock.seconds - self.lab.began


@dataclass(eq=False)
class Beside:
    """Load that ran beside something else; `worker` is what it wrote, from `start` s after the step began, once it has
    ended."""

    spec: Mapping[str, Any]
    machine: str
    worker: reading.Output = field(default_factory=lambda: reading.Output({}))
    start: float = 0.0

    def records(self) -> Iterator[Series | Event | History]:
        """Yield what became of the requests: each of them, their rates and response times, when which failed."""
        length = max(0.0, (self.worker.end.get("end", self.worker.begin) - self.worker.begin) / 1e9)
        shot = reading.Shot(workers=[self.worker], master=None, seconds=length)
        yield histories.history(shot, self.start, self.spec["rates"][0], self.spec["patience"], self.machine)
        tally = shot.tally()
        yield from reading.series(shot, tally, self.start, stat="beside")
        yield from reading.timeline([(tally, self.start, length)], {
            "tool": reading.TOOL, "model": "open", "stat": "series", "load": "beside"})
        yield from histories.failures(shot, self.start)
        yield Event(actor="load", action="beside", start=self.start, end=self.start + length, outcome=Outcome.OK,
                    detail=f"{self.spec['rates'][0]:g}/s to {self.spec['url']}")


@contextmanager
def seated(lab: Lab, where: str, machines: Sequence[Shell], locustfile: str) -> Iterator[Seats]:
    """Bring the generator to where it runs, and take it away in the end; ToolError where Locust is missing."""
    with ExitStack() as stack:
        first = stack.enter_context(_seat(lab, stack.enter_context(_machine(lab, where)), locustfile))
        others = [stack.enter_context(_seat(lab, stack.enter_context(_private(lab, machine)), locustfile))
                  for machine in machines]
        yield Seats(lab, first, others)


@contextmanager
def _machine(lab: Lab, where: str) -> Iterator[Machine]:
    """Yield the client; the controller where that is asked for, or where there is no client."""
    if where != "controller":
        try:
            client = lab.client()
        except Unsupported:
            if where == "client":
                raise
        else:
            if not client.name.startswith(LAB):
                yield client
                return
            with _private(lab, shell.lab_machine(client.name.removeprefix(LAB), tools=False)) as machine:
                yield machine
            return
    with _private(lab, shell.open("local")) as machine:
        yield machine


@contextmanager
def _private(lab: Lab, outside: Shell) -> Iterator[Machine]:
    """Yield a machine that is not the target's, in a directory of its own."""
    with outside as machine, machine.private(tempfile.gettempdir()) as inside:
        yield lab.recorded(inside)


@contextmanager
def _seat(lab: Lab, machine: Machine, locustfile: str) -> Iterator[Seat]:
    folder = f"virtmark-load-{lab.rng.randrange(16**8):08x}"
    python = _python(machine)
    here = Path(sources.__file__).parent
    machine.run(["mkdir", "-p", f"{folder}/drivers/load"], timeout=GRACE).checked()
    try:
        machine.write(f"{folder}/drivers/__init__.py", b"")
        for name in job.FILES:
            machine.write(f"{folder}/drivers/load/{name}", (here / name).read_bytes())
        if locustfile:
            machine.write(f"{folder}/{LOCUSTFILE}", Path(locustfile).read_bytes())
        yield Seat(machine, python, folder)
    finally:
        machine.run(["rm", "-rf", folder], timeout=GRACE)


def _python(machine: Machine) -> str:
    """Return a Python on `machine` that has Locust: the controller's own if it is there too, else python3."""
    for python in dict.fromkeys((sys.executable, "python3")):
        try:
            if not machine.run([python, "-c", reading.VERSION], timeout=GRACE).code:
                return python
        except ToolError:
            continue    # there is no such program
    raise ToolError(f"locust: not installed on {machine.name}; there run: pip install 'locust>=2.32', "
                    "or let the load come from the controller (generator = \"controller\")")


def checked(done: Completed) -> reading.Output:
    """Return what a process wrote; ToolError with its one line where it could not do what it should."""
    found = reading.read(done.stdout)
    if found.error:
        raise ToolError(f"{reading.TOOL}: {found.error}")
    if not found.head or not found.begin:
        said = complaint(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.stdout)
        raise ToolError(f"{reading.TOOL}: exit status {done.code}; it said {said or 'nothing'!r}")
    return found


def _patience(spec: Mapping[str, Any]) -> float:
    return float(spec["duration"] + spec["patience"] + GRACE)


__all__ = ["BEGUN", "LOCUSTFILE", "Seat", "Seats", "checked", "seated"]
