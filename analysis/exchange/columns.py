"""The four flat tables: what `virtmark export` writes as CSV and Parquet, and the views of `virtmark query`.

The one thing to know: a column is one row here, with its type and its meaning, and docs/query.md is held to it by a
test. Numbers are in base units; what does not exist is null, never 0 or "". A run is called `target/folder`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from analysis import rows
from analysis.rows import Row
from harness import codec
from harness.model import Finding, Run, Series, StepResult

Kind = Literal["text", "real", "whole", "flag", "time", "json"]


@dataclass(frozen=True)
class Column:
    """One column: its name, the type of its values, their unit ("" for none), and what it means."""

    name: str
    kind: Kind
    unit: str
    meaning: str


def _columns(text: str) -> tuple[Column, ...]:
    """Read lines of `name | kind | unit | meaning`."""
    return tuple(Column(*(part.strip() for part in line.split("|", 3)))  # type: ignore[arg-type]
                 for line in text.strip().splitlines())


RUNS = _columns("""
    run         | text  |   | target and folder of the run: lab/20261123T202441Z-quick
    target      | text  |   | the target by the name of its file
    campaign    | text  |   | runs of one campaign were interleaved with each other
    scenario    | text  |   | name of the scenario
    vendor      | text  |   | as the target gives it
    product     | text  |   | as the target gives it
    version     | text  |   | version of the product
    accelerator | text  |   | kvm, tcg, container, none, ...
    simulated   | flag  |   | true: nothing in it was measured
    commit      | text  |   | commit that was measured, where known
    created     | time  |   | when the run began
    virtmark    | text  |   | version of virtmark that made it
    seed        | whole |   | seed of the plan
    planned     | whole | 1 | steps of the plan
    finished    | whole | 1 | steps with a result, whatever it is
    facts       | json  |   | all facts by machine and key
""")
STEPS = _columns("""
    run        | text  |   | the run it belongs to
    target     | text  |   | its target
    step       | text  |   | id of the step within the run
    stage      | text  |   | stage of the scenario
    workload   | text  |   | kind of load
    point      | text  |   | cell of the parameter grid
    round      | whole | 1 | repetition, from 0
    turn       | whole | 1 | its place in the order of the whole campaign
    warmup     | flag  |   | true: does not count
    status     | text  |   | done, broken, unsupported
    started    | time  |   | when it began
    elapsed    | real  | s | how long it took
    error      | text  |   | why it is not done, null if it is
    params     | json  |   | parameters of the workload as they were written
    arm        | json  |   | which side of a comparison
    background | json  |   | parameters of the load that went on beside it
    conditions | json  |   | single numbers before and after it, such as load
    events     | whole | 1 | how many events it left (probes, writes, faults)
""")
SERIES = _columns("""
    run      | text  |            | the run it belongs to
    target   | text  |            | its target
    step     | text  |            | id of the step within the run
    workload | text  |            | kind of load
    point    | text  |            | cell of the parameter grid
    round    | whole | 1          | repetition, from 0
    warmup   | flag  |            | true: does not count
    origin   | text  |            | workload: what the load measured; telemetry: what was seen around it
    series   | text  |            | metric: disk.rate, net.latency, ...
    labels   | json  |            | what tells series of one metric apart
    unit     | text  |            | unit of value: s, B, B/s, 1/s, 1, ...
    number   | whole | 1          | place of the value in its series, from 0
    since    | real  | s          | when, since the step began; null if the series has no times
    weight   | real  | 1          | how many observations the value stands for; null: one
    value    | real  | see `unit` | the value
""")
FINDINGS = _columns("""
    target        | text  |            | the target by the name of its file
    area          | text  |            | CPU, MEM, STO, ...
    indicator     | text  |            | id in the catalogue
    name          | text  |            | its name
    point         | text  |            | cell of the parameter grid
    verdict       | text  |            | PASS, FAIL, INCONCLUSIVE, INVALID, MEASURED, NOT_RUN, NOT_APPLICABLE
    value         | real  | see `unit` | the estimate, null if there is none
    low           | real  | see `unit` | lower end of its interval, may be -inf
    high          | real  | see `unit` | upper end of its interval, may be inf
    confidence    | real  | 1          | confidence of the interval
    unit          | text  |            | unit of value: s, B, B/s, 1/s, 1, points
    n             | whole | 1          | rounds it was made of
    estimand      | text  |            | what is estimated: geometric mean, ...
    method        | text  |            | by what method
    better        | text  |            | higher or lower
    op            | text  |            | of the requirement: >=, <=, between; null without one
    bound         | real  | see `unit` | its limit
    bound_hi      | real  | see `unit` | its upper limit, for between
    source        | text  |            | where the limit comes from
    mde80         | real  | 1          | relative change that as many rounds show with 80 % power
    rounds_needed | whole | 1          | rounds that would decide, where it is inconclusive
    scores        | json  | see `unit` | the number of each round
    rounds        | json  | 1          | the rounds of these numbers
    reasons       | json  |            | why the verdict is what it is
    warnings      | json  |            | what a reader of the number must know
    policy        | text  |            | hash of the statistical policy
""")
OF_ROW: dict[str, Callable[[Row], Any]] = {    # where each of these is from
    "target": lambda row: row.party.target, "area": lambda row: row.area, "indicator": lambda row: row.indicator,
    "name": lambda row: row.name_en or None, "point": lambda row: row.point, "verdict": lambda row: row.verdict.name,
    "value": lambda row: row.value, "low": lambda row: row.low, "high": lambda row: row.high,
    "confidence": lambda row: row.confidence, "unit": lambda row: row.unit,
    "n": lambda row: row.n if row.value is not None else None, "estimand": lambda row: row.estimand or None,
    "method": lambda row: row.method or None,
    "better": lambda row: row.direction.value if row.value is not None else None, "op": lambda row: row.op or None,
    "bound": lambda row: row.limit, "bound_hi": lambda row: row.limit_hi, "source": lambda row: row.source or None,
    "mde80": lambda row: row.mde, "rounds_needed": lambda row: row.needed, "scores": lambda row: _json(row.scores),
    "rounds": lambda row: _json(row.rounds), "reasons": lambda row: _json(row.reasons),
    "warnings": lambda row: _json(row.warnings), "policy": lambda row: row.policy or None,
}
TABLES: dict[str, tuple[Column, ...]] = {
    "runs": RUNS, "steps": STEPS, "series": SERIES,
    "findings": (Column("run", "text", "", "the run it belongs to"), *FINDINGS)}
Cells = Iterator[tuple[Any, ...]]


def called(folder: Path) -> str:
    """Return what a run is called: target and folder, so that it does not depend on where one looks from."""
    return "/".join(os.path.abspath(folder).split(os.sep)[-2:])


def of_run(name: str, run: Run) -> Cells:
    """Yield the one row of `runs`."""
    about = run.facts.get("target", {})
    yield (name, run.plan.target, run.plan.campaign, run.plan.scenario.name,
           *(about.get(key) or None for key in ("vendor", "product", "version", "accelerator")),
           about.get("simulated") == "true", about.get("commit"), when(run.created), run.version, run.plan.seed,
           len(run.plan.steps), len(run.results), _json(run.facts))


def of_steps(name: str, run: Run) -> Cells:
    """Yield a row for every step that has a result, in the order of the journal."""
    for result in run.results:
        step = result.step
        yield (name, step.target, step.id, step.stage, step.workload, step.point, step.round, step.order, step.warmup,
               result.status.value, when(result.started), result.elapsed, result.error or None, _json(step.params),
               _json(step.arm), _json(step.background), _json(result.conditions), len(result.events))


def of_series(name: str, run: Run) -> Cells:
    """Yield a row for every value of every series."""
    for result in run.results:
        for origin, kept in (("workload", result.series), ("telemetry", result.telemetry)):
            for series in kept:
                yield from _values(name, result, origin, series)


def _values(name: str, result: StepResult, origin: str, series: Series) -> Cells:
    step = result.step
    head = (name, step.target, step.id, step.workload, step.point, step.round, step.warmup, origin, series.metric,
            _json(series.labels), series.unit)
    nothing = (None,) * len(series.values)
    for number, cells in enumerate(zip(series.times or nothing, series.weights or nothing, series.values, strict=True)):
        yield (*head, number, *cells)


def of_findings(name: str, run: Run, findings: Iterable[Finding]) -> Cells:
    """Yield a row for every finding, in the order of reports."""
    for row in rows.material([run], findings).rows:
        yield (name, *(OF_ROW[column.name](row) for column in FINDINGS))


def of(table: str, name: str, run: Run, findings: Sequence[Finding] = ()) -> Cells:
    """Yield the rows of a table for one run; `findings` are looked at for the table of that name."""
    if table == "findings":
        return of_findings(name, run, findings)
    return {"runs": of_run, "steps": of_steps, "series": of_series}[table](name, run)


def when(text: str) -> datetime | None:
    """Return a time as it is kept in runs, ISO 8601 with an offset, None for none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _json(value: Any) -> str:
    return json.dumps(codec.plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
