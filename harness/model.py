"""The nouns: frozen records with no behaviour, shared by every other module.

Quantities are in base units (s, B, 1/s, B/s, 1); tools convert at their border. Times inside a step are
monotonic seconds since the step began; wall time appears only as ISO 8601 UTC text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness.stats.records import Check, Decision, Estimate, Requirement, Verdict
from harness.units import Bytes, Seconds

Value = str | int | float | bool
# Names become folder names and parts of ids: no separators, no spaces.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Count = Annotated[int, Meta(ge=1)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the records that are read from files: immutable, keyword-only, strict about keys."""


class GuestSize(Record, frozen=True, kw_only=True):
    """How large a guest is; every guest of a scenario is of this size."""

    vcpus: Count = 1
    memory: Bytes = msgspec.field(default_factory=lambda: Bytes(512 * 2**20))
    disk: Bytes = msgspec.field(default_factory=lambda: Bytes(2 * 2**30))


class Stage(Record, frozen=True, kw_only=True):
    """One workload of a scenario, repeated in rounds.

    `grid` fans out into points, each with findings of its own; `arms` are compared with each other inside every
    point, round by round, in ABBA order. `quick` replaces some of `params` for a quick look. `background` is load that
    goes on beside the workload: parameters of the one that `harness.background` names.
    """

    workload: str
    name: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")] = ""
    params: dict[str, Value] = {}
    grid: dict[str, tuple[Value, ...]] = {}
    arms: dict[str, tuple[Value, ...]] = {}
    warmups: Annotated[int, Meta(ge=0)] = 0
    quick: dict[str, Value] = {}
    background: dict[str, Value] = {}


class Quick(Record, frozen=True, kw_only=True):
    """What a quick look (`run --quick`) leaves of a scenario: so many fixed rounds of these stages; none named: all."""

    rounds: Count = 1
    stages: tuple[str, ...] = ()


class Repetition(Record, frozen=True, kw_only=True):
    """How many rounds: `fixed`, or `two-stage` (Stein: pilot of `rounds`, then at most `most` for half-width `eps`)."""

    rounds: Count = 5
    rule: Literal["fixed", "two-stage"] = "fixed"
    eps: Annotated[float, Meta(gt=0, lt=1)] = 0.02
    most: Count = 50


class Scenario(Record, frozen=True, kw_only=True):
    """What to do, independent of any platform."""

    name: Name
    title: str
    stage: Annotated[tuple[Stage, ...], Meta(min_length=1)]
    title_zh: str = ""
    description: str = ""
    repetition: Repetition = Repetition()
    quick: Quick | None = None
    guest: GuestSize = GuestSize()


class Step(Record, frozen=True, kw_only=True):
    """One execution of one workload with fixed parameters; `order` counts over all targets of the campaign."""

    id: str
    stage: str
    workload: str
    params: dict[str, Value]
    point: str
    grid: dict[str, Value]
    arm: dict[str, Value]
    round: int
    order: int
    target: str
    warmup: bool = False
    background: dict[str, Value] = {}


class Plan(Record, frozen=True, kw_only=True):
    """The exact steps for one target in the exact order; same inputs and seed, same plan.

    Runs of one campaign were interleaved with each other, so their rounds may be compared in pairs.
    """

    campaign: str
    scenario: Scenario
    target: str
    seed: int
    steps: tuple[Step, ...]


class Series(Record, frozen=True, kw_only=True):
    """Values of one metric within one step; a histogram is a weighted series (weights are counts)."""

    metric: str
    unit: str
    values: tuple[float, ...]
    times: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name, column in (("values", self.values), ("times", self.times), ("weights", self.weights)):
            if not all(map(math.isfinite, column)):
                raise ValueError(f"series {self.metric}: {name} must be finite numbers")
            if name != "values" and column and len(column) != len(self.values):
                raise ValueError(f"series {self.metric}: {len(column)} {name} for {len(self.values)} values")


class Outcome(StrEnum):
    """How an attempted operation ended; UNKNOWN means it may have happened."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Event(Record, frozen=True, kw_only=True):
    """One operation by one actor: a probe, a write, or an injected fault."""

    actor: str
    action: str
    start: float
    end: float
    outcome: Outcome
    detail: str = ""


class History(Record, frozen=True, kw_only=True):
    """All probes of one kind against one machine within one step, column-wise; see `harness.history` for the columns.

    `sent`, `lag` and `latency` are packed arrays of whole nanoseconds, one entry a probe: when it was sent (since the
    step began), how much later than planned that was, and after what time the answer came (-1: never). `interval` and
    `patience` are what the prober was told, in s: the spacing of probes, and after what time it stopped listening.
    """

    probe: str
    kind: str
    machine: str
    interval: float
    patience: float
    count: int
    sent: bytes
    lag: bytes
    latency: bytes
    labels: dict[str, str] = {}


class Evidence(Record, frozen=True, kw_only=True):
    """One untouched output kept under `raw/`: what was called where, how it ended, and the SHA-256 of the bytes."""

    path: str
    sha256: str
    size: int
    source: str
    argv: tuple[str, ...] = ()
    code: int = 0
    start: float = 0.0
    elapsed: float = 0.0


class Status(StrEnum):
    """How a step ended."""

    DONE = "done"
    BROKEN = "broken"
    UNSUPPORTED = "unsupported"


class StepResult(Record, frozen=True, kw_only=True):
    """Everything one step left behind; one self-describing line of `steps.jsonl`.

    `telemetry` holds what was seen around the workload (labels: source = host | guest | controller);
    `conditions` single numbers before and after it, such as load or clock step.
    """

    step: Step
    status: Status
    started: str
    elapsed: float
    error: str = ""
    series: tuple[Series, ...] = ()
    events: tuple[Event, ...] = ()
    histories: tuple[History, ...] = ()
    telemetry: tuple[Series, ...] = ()
    conditions: dict[str, float] = {}
    evidence: tuple[Evidence, ...] = ()


class Run(Record, frozen=True, kw_only=True):
    """A plan, the facts it ran under by machine (target, controller, host.0, guest, client), and the results so far."""

    plan: Plan
    facts: dict[str, dict[str, str]]
    created: str
    version: str
    results: tuple[StepResult, ...] = ()


class Finding(Record, frozen=True, kw_only=True):
    """An indicator at a point with its verdict: one line of the certificate.

    `scores` is the one number per round that the estimate was made of, in the order of `rounds`.
    """

    indicator: str
    target: str
    verdict: Verdict
    point: str = ""
    estimate: Estimate | None = None
    requirement: Requirement | None = None
    decision: Decision | None = None
    scores: tuple[float, ...] = ()
    rounds: tuple[int, ...] = ()
    gates: tuple[Check, ...] = ()
    reasons: tuple[str, ...] = ()


Facts = Mapping[str, str]
__all__ = [
    "Event", "Evidence", "Facts", "Finding", "GuestSize", "History", "Outcome", "Plan", "Quick", "Record", "Repetition",
    "Run", "Scenario", "Seconds", "Series", "Stage", "Status", "Step", "StepResult", "Value", "Verdict",
]
