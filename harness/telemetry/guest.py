"""Watching a guest from inside: a shell loop that prints /proc, and the parser of what it printed.

A step of seconds is not sampled but read before and after (`Ends`): its counters say the same of the whole, and the
step does not share the guest with a sampler.

A shell loop and not Python with psutil: starting Python costs an emulated guest more CPU time (0.5 to 1.4 s were
measured) than the loop needs in a minute. Trouble here never breaks the step; it is told in `notes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from importlib.resources import files

from harness.errors import ToolError, VirtmarkError
from harness.model import Series
from harness.protocols import Machine, Running
from harness.telemetry.counters import TICKS, Sample, series, window
from harness.telemetry.kernel import throttled_time

HERTZ = 100.0     # USER_HZ, the unit of /proc/stat, on every architecture that virtmark runs on
LONGEST = 4 * 3600.0  # s after which a forgotten sampler ends by itself
PATIENCE = 60.0   # s
LAUNCH = 'b=; command -v busybox >/dev/null 2>&1 && b=busybox; exec $b sh -c "$4" telemetry "$1" "$2" "$3"'
_BOOT = re.compile(r"^boot (\S+)", re.MULTILINE)
_TIMES = re.compile(r"(\d+)m([\d.]+)s")


class Inside:
    """One step's watch over a guest; see `guest`."""

    def __init__(self, machine: Machine, rate: float) -> None:
        self._machine, self._rate = machine, rate
        self._context: AbstractContextManager[Running] | None = None
        self._running: Running | None = None
        self._samples: list[Sample] = []
        self._labels = {"source": "guest", "machine": machine.name}
        self.cost: float | None = None
        self.notes: tuple[str, ...] = ()

    def __enter__(self) -> Inside:
        try:
            self._context = self._machine.start(command(self._rate))
            self._running = self._context.__enter__()
            # An emulated guest needs a while to start the sampler. When the same start, made a second time, has
            # ended, the first one has too, and the step does not compete with it.
            self._machine.run(command(self._rate, samples=0), timeout=PATIENCE)
        except VirtmarkError as error:
            self.notes += (f"{self._machine.name}: no telemetry: {error}",)
        return self

    def __exit__(self, *trouble: object) -> None:
        if not self._running or not self._context:
            return
        try:
            text = self._running.stop().stdout
            self._context.__exit__(None, None, None)
        except VirtmarkError as error:
            self._lose(str(error))
            return
        self._keep(text)

    def _lose(self, why: str) -> None:
        self._samples = []
        self.notes += (f"{self._machine.name}: telemetry lost: {why}",)

    def _keep(self, text: str) -> None:
        scope, self._samples, spent = parse(text)
        self._labels["scope"] = scope
        if len(self._samples) < 2:
            said = " ".join(text.split())[:80] or "nothing"
            self.notes += (f"{self._machine.name}: fewer than two samples of telemetry; it printed: {said}",)
        elif elapsed := self._samples[-1].time:
            self.cost = spent / elapsed

    def series(self) -> tuple[Series, ...]:
        """Return what was sampled, after the watch ended; times in s of the guest's clock since its first sample.

        Label `scope` is "host" in a container, whose /proc shows the whole machine below it, else "guest".
        """
        return series(self._samples, self._labels)

    def conditions(self) -> dict[str, float]:
        """Return guest.busy, .steal, .iowait, .throttled (shares over the whole watch) and guest.telemetry.cost."""
        whole = window(self._samples)
        seen = {f"guest.{name}": whole.get(f"cpu.{name}") for name in ("busy", "steal", "iowait", "throttled")}
        seen["guest.telemetry.cost"] = self.cost
        return {name: value for name, value in seen.items() if value is not None}


class Ends(Inside):
    """A guest's counters as they are before and after a step; nothing runs in between."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, 1.0)
        self._boot = ""

    def __enter__(self) -> Ends:
        try:
            self._boot, self._labels["scope"], self._samples = self._read()
        except VirtmarkError as error:
            self.notes += (f"{self._machine.name}: no telemetry: {error}",)
        return self

    def __exit__(self, *trouble: object) -> None:
        if not self._samples:
            return
        try:
            boot, _, after = self._read()
        except VirtmarkError as error:
            self._lose(str(error))
            return
        if boot != self._boot:
            self._lose("the guest booted meanwhile")
            return
        self._samples = [Sample(each.time - self._samples[0].time, each.values) for each in self._samples + after]

    def _read(self) -> tuple[str, str, list[Sample]]:
        """Return (boot id, scope, one sample at the guest's uptime); ToolError if it printed anything else."""
        text = self._machine.run(command(1.0, samples=1), timeout=PATIENCE).stdout
        head, *blocks = re.split(r"^@ ", text, flags=re.MULTILINE)
        sample = _sample(blocks[0].splitlines()) if blocks else None
        if not sample:
            raise ToolError(f"the sampler printed: {' '.join(text.split())[:80] or 'nothing'}")
        return "".join(_BOOT.findall(head)), _scope(head), [sample]


def guest(machine: Machine, *, rate: float = 1.0) -> Inside:
    """Return a context manager that samples `machine` from inside, `rate` times a second, while it is open.

    A rate of 0 reads the counters before and after, and no more.
    """
    return Inside(machine, rate) if rate else Ends(machine)


def command(rate: float, *, samples: int | None = None) -> list[str]:
    """Return the argv of the sampler, which ends by itself after so many samples."""
    script = (files("harness.telemetry") / "guest.sh").read_text(encoding="utf-8")
    most = math.ceil(LONGEST * rate) if samples is None else samples
    return ["sh", "-c", LAUNCH, "telemetry", f"{1 / rate:g}", str(most), str(math.ceil(most / rate)), script]


def parse(text: str) -> tuple[str, list[Sample], float]:
    """Return (scope, samples, CPU time of the sampler from first to last sample in s) from what it printed.

    A sample cut short is left out.
    """
    head, *blocks = re.split(r"^@ ", text, flags=re.MULTILINE)
    found = [sample for block in blocks if (sample := _sample(block.splitlines() or [""]))]
    start = found[0].time if found else 0.0
    spent = [sum(_cpu_time(block)) for block in blocks if _TIMES.search(block)]
    samples = [Sample(sample.time - start, sample.values) for sample in found]
    return _scope(head), samples, max(spent, default=0.0) - min(spent, default=0.0)


def _scope(head: str) -> str:
    return "host" if "scope host" in head else "guest"


def _sample(lines: list[str]) -> Sample | None:
    """Read one block; None if it is no sample at all or cut short: the last line of a whole one is from `times`."""
    if not _TIMES.search(lines[-1]):
        return None
    fields = {words[0].rstrip(":"): words[1:] for line in lines[1:] if len(words := line.split()) > 1}
    try:
        ticks = {tick: int(text) / HERTZ for tick, text in zip(TICKS, fields["cpu"], strict=False)}
        used = 1024.0 * (int(fields["MemTotal"][0]) - int(fields["MemAvailable"][0]))
        held = throttled_time("\n".join(line for line in lines if line.startswith("throttled_")))
        extra = {} if held is None else {"cpu.throttled": held}
        return Sample(float(lines[0]), ticks | {"memory.used": used} | extra)
    except (KeyError, ValueError, IndexError):
        return None


def _cpu_time(block: str) -> Iterable[float]:
    """Yield the times in s that the shell's `times` printed for itself and its children."""
    found: Iterator[re.Match[str]] = _TIMES.finditer(block)
    return (60 * int(match[1]) + float(match[2]) for match in found)
