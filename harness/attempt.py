"""Run one step. Whatever a platform, a tool or a workload does wrong becomes a result; it is never raised.

Raised are only what ends the whole run: an interrupt, and a full disk.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from harness import codec, registry
from harness.background import FULL, Background
from harness.errors import TargetError, Unsupported, VirtmarkError
from harness.evidence import Call, Recorder
from harness.masking import Mask
from harness.model import Event, History, Series, Status, Step, StepResult
from harness.protocols import Workload
from harness.rounds import Round, StepLab
from harness.surroundings import Surroundings, Vantage

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Under what steps run.

    `lacking` says why steps cannot run, by workload and by the place of its commands; `seconds` how long each is
    expected to take, by its order.
    """

    folder: Path
    seed: int
    mask: Mask
    vantage: Vantage
    lacking: Mapping[tuple[str, str], str]
    wall: Callable[[], str]
    seconds: Mapping[int, float] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
    note: Callable[[str], None] = lambda text: None


def attempt(step: Step, machines: Round, setting: Setting) -> StepResult:
    """Run one step on the machines of its round; times of the result are in s since it began."""
    clock, started, booted = machines.target.clock, setting.wall(), machines.booting
    recorder = Recorder(setting.folder, step, clock, setting.mask)
    seen = Surroundings(clock, setting.vantage, setting.seconds.get(step.order, 0.0))
    records: list[Series | Event | History] = []
    beside = Background(
        step, machines.target, StepLab(machines, recorder, seen, f"{setting.seed}/{step.id}/background"))
    lab = StepLab(machines, recorder, seen, f"{setting.seed}/{step.id}", beside.met)
    status, error = Status.DONE, ""
    try:
        workload = _workload(step, machines, setting)
        with seen, beside:
            for record in workload.run(machines.target, lab):
                records.append(_checked(record))
        if not records:
            raise VirtmarkError("the workload ended without a single result")
    except Unsupported as problem:
        status, error = Status.UNSUPPORTED, str(problem)
    except VirtmarkError as problem:
        status, error = Status.BROKEN, f"{type(problem).__name__}: {problem}"
        if isinstance(problem, TargetError):
            machines.discard()  # a guest that cannot be reached would break all that follow
    except Exception as problem:
        _stop_if_full(problem)
        _trace(recorder)
        status, error = Status.BROKEN, f"{type(problem).__name__}: {problem}"
    records += beside.records
    elapsed = round(clock.now() - recorder.begin, 6)
    for text in seen.notes():
        setting.note(text)
    conditions = seen.conditions() | dict(setting.extra)
    if machines.booting > booted:
        conditions["boot"] = machines.booting - booted
    recorder.sync()
    return StepResult(
        step=step, status=status, started=started, elapsed=elapsed,
        error=setting.mask.text(_one_line(error, beside.trouble)), series=_only(Series, records),
        events=(*lab.events, *_only(Event, records)), histories=_only(History, records), telemetry=seen.series(),
        evidence=recorder.kept(), conditions={name: round(value, 9) for name, value in conditions.items()})


def untried(step: Step, reason: str, started: str) -> StepResult:
    """Return the result of a step that was not begun because it cannot succeed."""
    return StepResult(step=step, status=Status.BROKEN, started=started, elapsed=0.0, error=reason)


def place(workload: Any) -> str:
    """Return where a workload's commands run: "guest", or "host" for the baseline arm of an overhead."""
    return str(getattr(workload, "where", "guest"))


def _workload(step: Step, machines: Round, setting: Setting) -> Workload:
    kind = registry.find("workloads", step.workload)
    workload: Workload = codec.convert(kind, step.params, step.id)
    if missing := [need.__name__ for need in kind.needs if not isinstance(machines.target, need)]:
        raise Unsupported(f"the target does not offer: {', '.join(missing)}")
    if reason := setting.lacking.get((step.workload, place(workload))):
        raise VirtmarkError(reason)
    return workload


def _checked(record: Any) -> Series | Event | History:
    """Return what a workload yielded; refuse what could not be stored, while it is known who yielded it."""
    if isinstance(record, Event) and not (math.isfinite(record.start) and math.isfinite(record.end)):
        raise ValueError(f"event {record.actor} {record.action}: times must be finite numbers")
    if not isinstance(record, (Series, Event, History)):
        raise TypeError(f"a workload yields Series, Event and History, not {type(record).__name__}")
    return record


def _trace(recorder: Recorder) -> None:
    """Keep where a bug showed itself."""
    file = f"{recorder.number():02d}-traceback.txt"
    recorder.keep(file, traceback.format_exc().encode(), Call("controller", recorder.clock.now()))


def _one_line(*texts: str) -> str:
    return " ".join("; ".join(filter(None, texts)).split())


def _stop_if_full(problem: Exception) -> None:
    if isinstance(problem, OSError) and problem.errno in FULL:
        raise problem


def _only(kind: type[T], records: list[Any]) -> tuple[T, ...]:
    return tuple(record for record in records if isinstance(record, kind))
