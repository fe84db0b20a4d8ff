"""What an indicator is made of in a run: the planned steps at a point, and what became of each round of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.errors import Unsupported
from harness.indicators import Evaluated, Indicator
from harness.indicators.base import BACKGROUND
from harness.model import Run, Status, Step, StepResult
from harness.stats.records import StatsPolicy


@dataclass(frozen=True)
class Cell:
    """An indicator at a point of one run: the planned steps that it is made of, without warm-ups, and their results."""

    run: Run
    indicator: Indicator
    point: str
    steps: tuple[Step, ...]
    results: tuple[StepResult, ...]


def cells(runs: Iterable[Run], catalogue: Mapping[str, Indicator]) -> Iterator[Cell]:
    """Yield every indicator at every point that `runs` planned steps for, ordered by indicator."""
    by_workload: dict[str, dict[tuple[int, str], list[Step]]] = {}
    runs = list(runs)
    for number, run in enumerate(runs):
        for step in run.plan.steps:
            for name in () if step.warmup else (step.workload, BACKGROUND) if step.background else (step.workload,):
                by_workload.setdefault(name, {}).setdefault((number, step.point), []).append(step)
    results = [{result.step.id: result for result in run.results} for run in runs]
    for _, indicator in sorted(catalogue.items()):
        for (number, point), planned in by_workload.get(indicator.workload, {}).items():
            if steps := tuple(step for step in planned if indicator.applies(step)):
                done = tuple(results[number][step.id] for step in steps if step.id in results[number])
                yield Cell(runs[number], indicator, point, steps, done)


class Rounds(NamedTuple):
    """The steps of a cell sorted: results of complete rounds, and why there are not more."""

    complete: tuple[StepResult, ...]
    open: str
    broken: tuple[str, ...]
    unsupported: str


def sorted_rounds(cell: Cell) -> Rounds:
    """Return what became of each planned round of a cell."""
    results = {result.step.id: result for result in cell.results}
    by_round: dict[int, list[StepResult | None]] = {}
    for step in cell.steps:
        by_round.setdefault(step.round, []).append(results.get(step.id))
    complete: list[StepResult] = []
    lacking = 0
    reasons: dict[str, list[int]] = {}
    for number, found in sorted(by_round.items()):
        done = [result for result in found if result and result.status is Status.DONE]
        bad = [result for result in found if result and result.status is not Status.DONE]
        for result in bad:
            rounds = reasons.setdefault(result.error, [])
            rounds += [number] if number not in rounds else []
        lacking += not bad and len(done) < len(found)
        complete += done if len(done) == len(found) else []
    unsupported = [result.error for result in cell.results if result.status is Status.UNSUPPORTED]
    open_ = f"{lacking} of {len(by_round)} rounds are not run yet" if lacking else ""
    broken = tuple(f"round {', '.join(map(str, numbers))}: {text}" for text, numbers in reasons.items())
    return Rounds(tuple(complete), open_, broken, unsupported[0] if unsupported and not complete else "")


def evaluated(cell: Cell, results: Sequence[StepResult],
              policy: StatsPolicy) -> tuple[Evaluated | None, tuple[str, ...]]:
    """Return the indicator's numbers; a crash is a reason, never a number. Unsupported is passed on."""
    try:
        return cell.indicator.evaluate(results, policy), ()
    except Unsupported:
        raise
    except Exception as error:
        return None, (f"{cell.indicator.id} could not be evaluated: {type(error).__name__}: {error}",)
