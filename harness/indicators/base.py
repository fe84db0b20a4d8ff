"""What an indicator is, and the few ways to come from step results to one number per round and to an estimate.

The one thing to know: a round is the replicate. A score is one number per round, taken from one step (`single`) or
from two arms of the same round (`pair`); what lies inside a step only makes that number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import stats
from harness.model import Series, Status, Step, StepResult, Value
from harness.stats.inputs import About, Common
from harness.stats.records import Check, Direction, Estimate, StatsPolicy
from harness.units import BY_BASE

BACKGROUND = "background"   # in place of a workload: steps of any of them beside which load went on

Applies = Callable[[Step], bool]
Score = Callable[[StepResult], float]
Gate = Callable[[Sequence[StepResult], StatsPolicy], tuple[Check, ...]]
Estimator = Callable[..., Estimate]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An estimate with the scores it was made of, one for each of `rounds`, and the checks of the indicator's own.

    `fail` is a reason, such as lost data, for which the finding is FAIL: with a requirement or without, whatever the
    estimate, and even where a gate keeps the estimate from counting.
    """

    estimate: Estimate
    scores: tuple[float, ...]
    rounds: tuple[int, ...]
    checks: tuple[Check, ...] = ()
    fail: str = ""


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """A number that a specification asks for.

    `applies` picks the steps of a point; `evaluate` gets their results and raises ValueError where they hold too
    little. `workload` is whose steps these are, or `BACKGROUND`. `source` tells where the definition comes from. A
    sub-metric has an id of its own: CPU-02.efficiency.
    """

    id: str
    area: str
    name: str
    name_zh: str
    unit: str
    direction: Direction
    workload: str
    definition: str
    source: str
    applies: Applies
    evaluate: Callable[[Sequence[StepResult], StatsPolicy], Evaluated]


@dataclass(frozen=True, kw_only=True)
class Method:
    """How scores of rounds become an estimate: which statistic, what the instrument resolves, which gates hold.

    `resolution` and `u_b` look at the results and give, in the unit of the estimate, the step of the instrument and
    further standard uncertainties by name. `adjusted` looks at all results before any is scored and gives a factor for
    each: how a part that all rounds must leave out is left out of all of them alike.
    """

    score: Score
    adjusted: Callable[[Sequence[StepResult], StatsPolicy], Score] = lambda results, policy: lambda result: 1.0
    estimator: Estimator = stats.gm_ci
    gates: Sequence[Gate] = ()
    resolution: Callable[[Sequence[StepResult]], float] = lambda results: 0.0
    u_b: Callable[[Sequence[StepResult]], Mapping[str, float]] = lambda results: {}
    warn: Callable[[Sequence[StepResult]], Iterable[str]] = lambda results: ()


def single(method: Method, **row: Any) -> Indicator:
    """Return the indicator that takes one score from the one step of each round."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        found = by_round(results, _scored(method, results, policy))
        about = About(unit=row["unit"], direction=row["direction"], indicator_id=row["id"], measurand=row["name"],
                      policy=policy, resolution=method.resolution(results), u_b=method.u_b(results))
        estimate = method.estimator(list(found.values()), **about)
        return finished(estimate, found, method, results, policy)

    return Indicator(evaluate=evaluate, **row)


def overhead(method: Method, of: Direction, **row: Any) -> Indicator:
    """Return the indicator of what the guest loses against the host below it, paired by round; `of` is the scores'."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        score = _scored(method, results, policy)
        guest, host = (by_round(only(results, where=side), score) for side in ("guest", "host"))
        shared = sorted(guest.keys() & host.keys())
        if not shared:
            raise ValueError(f"{row['id']}: no round has both a guest and a host step")
        about = Common(indicator_id=row["id"], measurand=row["name"], policy=policy)
        estimate = stats.overhead([guest[at] for at in shared], [host[at] for at in shared], of, **about)
        estimate = dataclasses.replace(estimate, direction=Direction.LOWER_IS_BETTER)
        sign = -1.0 if of is Direction.HIGHER_IS_BETTER else 1.0
        losses = {at: sign * (guest[at] / host[at] - 1) for at in shared}
        return finished(estimate, losses, method, results, policy)

    return Indicator(evaluate=evaluate, unit="1", direction=Direction.LOWER_IS_BETTER, **row)


def _scored(method: Method, results: Sequence[StepResult], policy: StatsPolicy) -> Score:
    factor = method.adjusted([result for result in results if result.status is Status.DONE], policy)
    return lambda result: method.score(result) * factor(result)


def finished(estimate: Estimate, found: Mapping[int, float], method: Method, results: Sequence[StepResult],
             policy: StatsPolicy) -> Evaluated:
    """Return the estimate with the gates among its assumptions, where the verdict looks, and with the warnings."""
    checks = (whole_output(results), *(check for gate in method.gates for check in gate(results, policy)))
    estimate = dataclasses.replace(estimate, assumptions=estimate.assumptions + checks,
                                   warnings=(*estimate.warnings, *method.warn(results)))
    return Evaluated(estimate=estimate, scores=tuple(found.values()), rounds=tuple(found), checks=checks)


def by_round(results: Iterable[StepResult], score: Score) -> dict[int, float]:
    """Return the score of each round, in order; ValueError for none, or for two steps of one round."""
    found: dict[int, float] = {}
    for result in sorted(results, key=lambda result: result.step.round):
        if result.status is not Status.DONE:
            continue
        if result.step.round in found:
            raise ValueError(f"{result.step.point}: two steps in round {result.step.round} count for one number; "
                             "their arms must be told apart")
        found[result.step.round] = score(result)
    if not found:
        raise ValueError("no step of this point was completed")
    return found


def only(results: Iterable[StepResult], **params: Value) -> list[StepResult]:
    """Return the results whose step has these parameters; `where` is "guest" if it is not given."""
    return [result for result in results
            if all(given(result.step, key) == value for key, value in params.items())]


DEFAULTS: Mapping[str, Value] = {
    "where": "guest", "threads": 1, "method": "prime", "depth": 32, "load": "100%", "path": "same-host",
    "loaded": False, "model": "open", "shape": "constant", "slo": "100ms", "slo_quantile": "95%",
    "slo_errors": "1%", "through": False, "canary": "10%",
}
"""What the workloads take where a scenario says nothing; a unit test holds them to it."""


def given(step: Step, key: str) -> Value:
    """Return a parameter of a step as the user wrote it, or the workload's default."""
    value = step.params.get(key, DEFAULTS.get(key, ""))
    return int(value) if key == "threads" and str(value).isdigit() else value


def quantity(step: Step, key: str, base: str) -> float:
    """Return a parameter that carries a unit, in base units."""
    return float(BY_BASE[base].read(str(given(step, key))))


def where(side: str, **params: Value) -> Applies:
    """Return the predicate of steps on one side, with these parameters."""
    return lambda step: given(step, "where") == side and all(given(step, key) == v for key, v in params.items())


def both(test: Applies) -> Applies:
    """Return the predicate of steps that are compared between guest and host and pass `test`."""
    return lambda step: "where" in step.arm and test(step)


def pick(result: StepResult, metric: str, **labels: str) -> list[Series]:
    """Return the series of a step with this metric and these labels."""
    return [series for series in result.series if series.metric == metric and labels.items() <= series.labels.items()]


def value(metric: str, **labels: str) -> Score:
    """Return the score that is the one number of a series; several directions (read and write) are added."""

    def score(result: StepResult) -> float:
        found = pick(result, metric, **labels)
        if not found or any(len(series.values) != 1 for series in found):
            raise ValueError(f"{result.step.id}: no single value of {metric} {labels or ''}".rstrip())
        return sum(series.values[0] for series in found)

    return score


def whole_output(results: Iterable[StepResult]) -> Check:
    """Return whether all tools printed what they should; what was read in spite of a blemish is told."""
    notes = sorted({note for result in results for series in result.series if (note := series.labels.get("note"))})
    cut = [note for note in notes if "terminat" in note or "interrupt" in note]
    return Check("tool output whole", None if cut else True, None, None, "; ".join(cut or notes)[:300])
