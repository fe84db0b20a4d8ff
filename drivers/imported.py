"""Results of fio, iperf3 and sysbench that somebody else made, as a run: what `virtmark import` reads.

The one thing to know: files of one kind of load are rounds of one point, in the order given; whether they are true
repetitions (a fresh boot each) only who made them knows. What a file does not say is left out, never guessed: a
network path, a history of rates. Old versions, whose fields mean something else, are refused by name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drivers.tools import fio, iperf3, sysbench
from drivers.tools.reading import Document, document, found, noted
from harness import codec, evidence
from harness.errors import InputError, ToolError
from harness.model import Evidence, Plan, Repetition, Run, Scenario, Series, Stage, Status, Step, StepResult, Value
from harness.units import Seconds

UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "kib": 2**10, "m": 2**20, "mb": 2**20, "mib": 2**20, "g": 2**30,
         "gb": 2**30, "gib": 2**30}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One load found in a file: what it was, and what came of it. `started` is s since 1970, 0 if the file is mute."""

    workload: str
    stage: str
    params: dict[str, Value]
    series: list[Series]
    elapsed: float
    version: str
    started: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run with its results, and the untouched bytes that their evidence names, by path below the run folder."""

    run: Run
    raw: Mapping[str, bytes]


def load(tool: str, files: Sequence[Path], *, target: str = "imported", version: str = "",
         params: Mapping[str, Value] | None = None) -> Imported:
    """Read the files of a tool; `params` adds what they cannot say, such as path = "cross-host".

    InputError names the file, what is wrong with it and what is expected.
    """
    if tool not in READERS:
        raise InputError(f"import: tool {tool!r} is unknown; there are: {', '.join(READERS)}")
    if not files:
        raise InputError(f"import {tool}: no file is given")
    read = [(path, data, each) for path, data in map(_bytes, files)
            for each in _measured(tool, path, data, params or {})]
    scenario = Scenario(name=f"imported-{tool}", title=f"Imported results of {tool}", stage=tuple(_stages(read)),
                        repetition=Repetition(rounds=max(_rounds(read))))
    digest = hashlib.sha256(b"".join(hashlib.sha256(data).digest() for _, data, _ in read)).hexdigest()[:12]
    steps = list(_steps(read, target))
    results = tuple(_result(step, path, data, each) for step, (path, data, each) in zip(steps, read, strict=True))
    versions = sorted({each.version for _, _, each in read})
    facts = {"target": {"vendor": "unknown", "product": target, "version": "unknown", "accelerator": "unknown",
                        "imported": "true"},
             "guest": {f"tool.{tool}": ", ".join(versions)}}
    plan = Plan(campaign=f"imported-{digest}", scenario=scenario, target=target, seed=0, steps=tuple(steps))
    created = max((result.started for result in results), default="")
    return Imported(run=Run(plan=plan, facts=facts, created=created, version=version, results=results),
                    raw={result.evidence[0].path: data for result, (_, data, _) in zip(results, read, strict=True)})


def _bytes(path: Path) -> tuple[Path, bytes]:
    try:
        return path, path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _measured(tool: str, path: Path, data: bytes, params: Mapping[str, Value]) -> list[Measured]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text (byte {error.start}); the output of {tool} is expected") from None
    try:
        made = READERS[tool](text)
    except ToolError as error:
        raise InputError(f"{path}: {error}") from None
    for each in made:
        each.params.update(params)
    return made


def _fio(text: str) -> list[Measured]:
    read = document(text, fio.TOOL)
    fio.sound(read)
    shared = read.data.get("global options", {})
    names = [str(each.get("jobname")) for each in read.at("jobs")]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ToolError(f"{fio.TOOL}: {names.count(twice[0])} jobs called {twice[0]!r} ran side by side and were not "
                        "reported together; fio's group_reporting=1 is needed")
    return [measured for index in range(len(read.at("jobs")))
            if (measured := _fio_job(read, index, shared | read.at("jobs", index).get("job options", {})))]


def _fio_job(read: Document, index: int, options: Mapping[str, str]) -> Measured | None:
    direct = str(int(options.get("direct", "0") not in ("0", "") or options.get("buffered") == "0"))
    labels = {"tool": fio.TOOL, "engine": options.get("ioengine", "psync"), "direct": direct}
    series = fio.job(read, index, labels)
    if not series:
        return None
    params: dict[str, Value] = {"pattern": options.get("rw", "read"), "depth": int(options.get("iodepth", "1")),
                                "jobs": int(options.get("numjobs", "1"))}
    if size := _size(options.get("bs", "4k")):
        params["block"] = f"{size}B"
    runtime = max(read.number("jobs", index, op, "runtime") for op in ("read", "write")) / 1e3
    params |= {"duration": f"{runtime:.0f}s", "window": "none"}  # fio's JSON holds no history of rates
    return Measured(workload="disk", stage=_name(read.at("jobs", index).get("jobname", "job")), params=params,
                    series=noted(series, read.notes), elapsed=runtime, version=fio.version(read),
                    started=float(read.data.get("timestamp_ms", 0)) / 1e3 - runtime)


def _iperf3(text: str) -> list[Measured]:
    read = iperf3.sound(document(text, iperf3.TOOL))
    test = read.at("start", "test_start")
    protocol = str(test.get("protocol", "")).lower()
    if protocol not in ("tcp", "udp"):
        raise ToolError(f"{iperf3.TOOL}: protocol {protocol or 'none'!r}; tcp and udp can be read")
    series = iperf3.tcp(read) if protocol == "tcp" else iperf3.udp(read)
    params: dict[str, Value] = {"measure": protocol, "path": "unknown", "duration": f"{test.get('duration', 0):.0f}s"}
    if protocol == "tcp":
        params["streams"] = int(test.get("num_streams", 1))
    return [Measured(workload="network", stage=f"iperf3-{protocol}", params=params, series=noted(series, read.notes),
                     elapsed=float(test.get("duration", 0)), version=iperf3.version(read),
                     started=float(read.at("start").get("timestamp", {}).get("timesecs", 0)))]


def _sysbench(text: str) -> list[Measured]:
    head = re.search(r"^sysbench (\d+\.\S+)", text, re.MULTILINE)
    if not head or not head[1].startswith("1."):
        raise ToolError(f"{sysbench.TOOL}: {f'version {head[1]}' if head else 'no version line'}; the output of "
                        "sysbench 1.x is expected")
    threads = int(found(r"^Number of threads: (\d+)", text, sysbench.TOOL, "number of threads"))
    elapsed = found(r"total time:\s+([\d.]+)s", text, sysbench.TOOL, "total time")
    params: dict[str, Value] = {"threads": threads, "duration": f"{max(1, round(elapsed))}s"}
    if prime := re.search(r"^Prime numbers limit: (\d+)", text, re.MULTILINE):
        series = sysbench.Cpu(threads=threads, duration=Seconds(60), prime=int(prime[1])).parse(text)
        params |= {"method": "prime", "prime": int(prime[1])}
        return [Measured(workload="compute", stage="sysbench-cpu", params=params, series=series, elapsed=elapsed,
                         version=head[1])]
    operation = re.search(r"^\s+operation: (read|write)\s*$", text, re.MULTILINE)
    if operation and (block := re.search(r"^\s+block size: (\d+)KiB", text, re.MULTILINE)):
        job = sysbench.Memory(threads=threads, operation="read" if operation[1] == "read" else "write")
        params |= {"measure": "bandwidth", "operation": operation[1], "span": f"{block[1]}KiB"}
        return [Measured(workload="memory", stage="sysbench-memory", params=params, series=job.parse(text),
                         elapsed=elapsed, version=head[1])]
    raise ToolError(f"{sysbench.TOOL}: neither a cpu nor a memory test; only these can be read")


READERS: dict[str, Callable[[str], list[Measured]]] = {"fio": _fio, "iperf3": _iperf3, "sysbench": _sysbench}
Read = tuple[Path, bytes, Measured]


def _point(each: Measured) -> str:
    """Return what tells one kind of load from another: a short digest, unless the name alone does."""
    kept = {key: value for key, value in each.params.items() if key != "duration"}
    return f"{each.stage}-{hashlib.sha256(codec.encode(kept)).hexdigest()[:6]}"


def _rounds(read: Iterable[Read]) -> list[int]:
    counts: dict[str, int] = {}
    for _, _, each in read:
        counts[_point(each)] = counts.get(_point(each), 0) + 1
    return list(counts.values())


def _stages(read: Iterable[Read]) -> Iterable[Stage]:
    firsts: dict[str, Measured] = {}
    for _, _, each in read:
        firsts.setdefault(_point(each), each)
    return (Stage(workload=each.workload, name=point, params=each.params) for point, each in firsts.items())


def _steps(read: Iterable[Read], target: str) -> Iterable[Step]:
    counts: dict[str, int] = {}
    for order, (_, _, each) in enumerate(read):
        point = _point(each)
        turn = counts[point] = counts.get(point, -1) + 1
        yield Step(id=f"{point}#{turn}", stage=point, workload=each.workload, params=each.params, point=point, grid={},
                   arm={}, round=turn, order=order, target=target)


def _result(step: Step, path: Path, data: bytes, each: Measured) -> StepResult:
    when = each.started if each.started > 0 else path.stat().st_mtime
    kept = Evidence(path=f"raw/{evidence.name(step)}/01-{_name(path.name)}", sha256=hashlib.sha256(data).hexdigest(),
                    size=len(data), source=str(path.name))
    return StepResult(step=step, status=Status.DONE, series=tuple(each.series), evidence=(kept,), elapsed=each.elapsed,
                      started=datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds"))


def _size(text: str) -> int | None:
    """Return a size as fio writes it ("4k" is 4096), None for one that is no single size ("4k-64k")."""
    match = re.fullmatch(r"(\d+)([a-z]*)", text.strip().lower())
    return int(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else None


def _name(text: str) -> str:
    """Return text as part of a name: no spaces, no separators."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "file"
