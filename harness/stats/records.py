"""The result records of the statistics core: what every number carries, and the policy it was computed under.

Vocabulary: VIM (JCGM 200) for measurand and resolution, GUM (JCGM 100) for uncertainties, JCGM 106 and
ISO 14253-1 for decision rules. Values are in base units (s, B, B/s, 1/s, 1).
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any, TypeVar

Revised = TypeVar("Revised")


class Direction(StrEnum):
    """Which way is good."""

    LOWER_IS_BETTER = "lower"
    HIGHER_IS_BETTER = "higher"
    TARGET = "target"


class Scale(StrEnum):
    """The scale on which differences are meaningful: of values, or of their logarithms (ratios)."""

    LINEAR = "linear"
    LOG = "log"


class Verdict(IntEnum):
    """Ordered by severity, so that the verdict of many parts is their maximum."""

    NOT_APPLICABLE = 0
    MEASURED = 1
    PASS = 2
    NOT_RUN = 3
    INCONCLUSIVE = 4
    INVALID = 5
    FAIL = 6


@dataclass(frozen=True)
class Interval:
    """A confidence interval; `confidence` is nominal, `exact_confidence` what the method really gives where known."""

    lo: float
    hi: float
    confidence: float
    exact_confidence: float | None = None
    sided: int = 2


@dataclass(frozen=True)
class Budget:
    """The uncertainty budget after GUM: Type A, each Type B part by name, combined, coverage factor, expanded."""

    u_a: float
    u_b: tuple[tuple[str, float], ...]
    u_c: float
    k: float
    U: float
    dof_eff: float


@dataclass(frozen=True)
class Check:
    """One assumption or gate: whether it held (None: could not be judged), by what number, against which limit."""

    name: str
    passed: bool | None
    value: float | None = None
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True)
class StatsPolicy:
    """Every constant of the decided methods; its hash goes into every result."""

    confidence: float = 0.95
    alpha_verdict: float = 0.025
    n0: int = 10
    n_min: int = 5
    n_min_median: int = 6
    n_max: int = 50
    looks: int = 3
    bootstrap: int = 9999
    permutations: int = 1999
    quantile_method: str = "inverted_cdf"
    snia_rounds: int = 5
    snia_round_s: float = 60.0
    snia_range: float = 0.20
    snia_slope: float = 0.10
    changepoint_penalty: float = 4.0
    changepoint_min_segment: int = 10
    equivalent: float = 0.02
    trend: float = 0.05
    trend_alpha: float = 0.01
    ess_min: float = 50.0
    block_s: float = 10.0
    alarm_alpha: float = 0.01
    fdr: float = 0.05
    noise_floor_factor: float = 2.0
    resolution_ratio: float = 10.0

    @cached_property
    def hash(self) -> str:
        """Return the first 16 hex digits of SHA-256 over the fields in order."""
        text = repr([(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


DEFAULT_POLICY = StatsPolicy()


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its honesty attached; `n` counts replicates (rounds), never inner samples.

    On the log scale `dispersion` is the standard deviation of logs. `cv` and `mde80` (the change that n runs show with
    80 % power) are relative to the estimate; for ratios and overheads mde80 is a change of the ratio.
    """

    estimate: float
    ci: Interval
    n: int
    method: str
    estimand: str
    unit: str = "1"
    direction: Direction = Direction.TARGET
    indicator_id: str = ""
    measurand: str = ""
    n_by_level: dict[str, int] = field(default_factory=dict)
    dispersion: float = 0.0
    cv: float = 0.0
    scale: Scale = Scale.LINEAR
    budget: Budget | None = None
    resolution: float = 0.0
    noise_floor: float | None = None
    mde80: float | None = None
    assumptions: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    flagged: tuple[int, ...] = ()
    excluded: tuple[tuple[int, str], ...] = ()
    sensitivity: Estimate | None = None
    policy_hash: str = ""
    data_hash: str = ""
    seed: int = 0
    code_version: str = ""


def revised(record: Revised, **changes: Any) -> Revised:
    """Return a record with some fields changed: `dataclasses.replace` in a tenth of its time, for records of which
    nothing has to be checked. TypeError for what is no field."""
    fields = vars(record)
    if not changes.keys() <= fields.keys():
        raise TypeError(f"{type(record).__name__} has no {', '.join(sorted(changes.keys() - fields.keys()))}")
    made: Revised = object.__new__(type(record))
    vars(made).update(fields)
    vars(made).update(changes)
    return made


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A limit and where it comes from; `op` is one of >=, >, <=, <, between."""

    indicator_id: str
    op: str
    limit: float
    unit: str
    source: str
    limit_hi: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict of one estimate against one requirement, with what it would take to do better."""

    verdict: Verdict
    estimate: Estimate
    requirement: Requirement
    margin: float
    p_pass_power: float | None = None
    n_needed: int | None = None
    look: int = 1
    looks_planned: int = 1
    reasons: tuple[str, ...] = ()


__all__ = [
    "DEFAULT_POLICY", "Budget", "Check", "Decision", "Direction", "Estimate", "Interval", "Requirement", "Scale",
    "StatsPolicy", "Verdict",
]
