"""What the gate says: the outcome of each indicator at each point, and of the whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from harness.comparability import Difference
from harness.regression.contrast import Contrast, relative
from harness.stats.records import DEFAULT_POLICY, Direction, Scale

Key = tuple[str, str]


class Outcome(StrEnum):
    """What became of an indicator at a point; the order is that of a report."""

    WORSE = "worse"
    MISSING = "missing"
    INVALID = "invalid"
    UNDECIDED = "cannot tell"
    BETTER = "better"
    SAME = "same"
    NEW = "new"
    UNGATED = "not gated"


@dataclass(frozen=True, kw_only=True)
class Change:
    """An indicator at a point of a run against the baseline.

    `floor`, `limit` and `mde` are shares of the baseline (0.05: 5 % worse), for shares differences; `mde` is the least
    loss that this gate calls worse in 80 of 100 repetitions, `more` the rounds on each side beyond those of the run
    that would tell. `run` and `baseline` are the levels in `unit`: geometric means, for shares means.
    """

    indicator: str
    point: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    unit: str = ""
    direction: Direction = Direction.TARGET
    contrast: Contrast | None = None
    run: float | None = None
    baseline: float | None = None
    floor: float = 0.0
    floor_source: str = ""
    limit: float = 0.0
    p: float | None = None
    p_adjusted: float | None = None
    mde: float | None = None
    more: int | None = None

    @property
    def key(self) -> Key:
        """Return indicator and point."""
        return self.indicator, self.point

    @property
    def loss(self) -> tuple[float, float, float] | None:
        """Return how much worse, with the interval, as shares of the baseline (differences for shares)."""
        its = self.contrast
        return (relative(its.loss, its.scale), relative(its.low, its.scale), relative(its.high, its.scale)
                ) if its else None

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """Return run / baseline with its interval, for shares run - baseline, as they were measured."""
        its = self.contrast
        if its is None:
            return None
        log, up = its.scale is Scale.LOG, self.direction is Direction.HIGHER_IS_BETTER
        ends = sorted((-its.low, -its.high) if up else (its.low, its.high))
        return tuple(1 + relative(x, its.scale) if log else x  # type: ignore[return-value]
                     for x in (-its.loss if up else its.loss, *ends))


@dataclass(frozen=True, kw_only=True)
class Gated:
    """The whole gate, ordered by outcome, indicator and point; `differences` are those it was forced over."""

    target: str
    scenario: str
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()
    forced: bool = False
    strict: bool = False
    simulated: bool = False
    fdr: float = DEFAULT_POLICY.fdr
    policy: str = DEFAULT_POLICY.hash

    @property
    def counts(self) -> dict[Outcome, int]:
        """Return how many changes have each outcome, those that occur."""
        found = Counter(change.outcome for change in self.changes)
        return {outcome: found[outcome] for outcome in Outcome if found[outcome]}

    @property
    def tested(self) -> int:
        """Return how many indicators and points were held to the baseline at all."""
        return sum(change.p is not None for change in self.changes)

    @property
    def exit_code(self) -> int:
        """1 something is worse; 2 something is missing; 3 invalid, nothing tested, or (strict) not to be told; else 0.

        Forced, what is missing or invalid is told but does not count.
        """
        counts = self.counts
        if Outcome.WORSE in counts:
            return 1
        if Outcome.MISSING in counts and not self.forced:
            return 2
        undecided = Outcome.UNDECIDED in counts and self.strict
        return 3 if undecided or not self.tested or (Outcome.INVALID in counts and not self.forced) else 0


__all__ = ["Change", "Gated", "Key", "Outcome"]
