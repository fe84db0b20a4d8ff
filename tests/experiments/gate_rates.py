"""How often the gate is wrong: equal things that fail, and slow-downs that it misses, on the simulated target.

    python -m tests.experiments.gate_rates equal    # 1,000 gates of equal things   -> tests/data/gate/equal.json
    python -m tests.experiments.gate_rates slower   # slow-downs over rounds and CV -> tests/data/gate/slower.json
    python -m tests.experiments.gate_rates table    # both as the tables of docs/gate.md

Runs come from the planner and the runner, and are judged like any other; one long campaign is cut into runs of n
rounds, since a round is a fresh guest and knows nothing of the others. Some 10 minutes each on one core.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from scipy import special

from harness import codec, plan, runner, scenario, stats, store, verdict
from harness.model import Run, Scenario, Step, StepResult
from harness.regression import DEFAULT_FLOOR, Outcome, gate
from harness.stats.moments import t_quantile

DATA = Path(__file__).parents[1] / "data" / "gate"
ONE = {"name": "one", "title": "One indicator", "stage": [
    {"workload": "memory", "params": {"measure": "bandwidth", "span": "64MiB", "duration": "1s"}}]}
MANY = {"name": "many", "title": "Several indicators", "stage": [
    *ONE["stage"], {"workload": "compute", "params": {"duration": "1s"}, "arms": {"where": ["guest", "host"]}},
    {"workload": "network", "params": {"measure": "rtt", "path": "cross-host", "duration": "1s"}}]}
EQUAL, EACH, ROUNDS, SPREADS = 1000, 200, (5, 10, 20), (0.01, 0.02, 0.04)
SLOWER, FLOOR = 0.05, math.log1p(DEFAULT_FLOOR)


class Pool(NamedTuple):
    """A long run, its steps and results by round."""

    run: Run
    steps: dict[int, list[Step]]
    results: dict[int, list[StepResult]]


def pooled(run: Run) -> Pool:
    """Return a run ready to be cut."""
    steps: dict[int, list[Step]] = {}
    results: dict[int, list[StepResult]] = {}
    for step in run.plan.steps:
        steps.setdefault(step.round, []).append(step)
    for result in run.results:
        results.setdefault(result.step.round, []).append(result)
    return Pool(run, steps, results)


def pool(document: dict, rounds: int, *, seed: int, cv: float, speed: float = 1.0) -> Pool:
    """Return one campaign of so many rounds on a simulated target whose guests scatter by `cv`."""
    wanted = codec.convert(Scenario, document, "experiment")
    with tempfile.TemporaryDirectory() as folder:
        settings = {"driver": "fake", "name": "fake", "seed": seed, "noise": f"{100 * cv / math.sqrt(1.25)}%",
                    "spread": f"{50 * cv / math.sqrt(1.25)}%", "speed": speed}
        placed = scenario.build(settings, "experiment")
        outcome = runner.execute(plan.make([wanted], ["fake"], seed=1, rounds=rounds), [placed], Path(folder))
        return pooled(store.load(outcome.folders[0]))


def pick(whole: Pool, rounds: Sequence[int], label: str) -> Run:
    """Return these rounds of a run as a run of its own, of a campaign called `label`."""
    replace = msgspec.structs.replace
    own = replace(whole.run.plan, campaign=label, steps=tuple(
        replace(step, round=turn) for turn, old in enumerate(rounds) for step in whole.steps[old]))
    return replace(whole.run, plan=own, results=tuple(
        replace(result, step=replace(result.step, round=turn))
        for turn, old in enumerate(rounds) for result in whole.results.get(old, ())))


def runs(whole: Pool, rounds: int, label: str) -> Iterator[Run]:
    """Yield the runs of so many rounds that a campaign can be cut into, none of which were interleaved."""
    for start in range(0, len(whole.steps) - rounds + 1, rounds):
        yield pick(whole, range(start, start + rounds), f"{label}/{start}")


def equal() -> dict[str, Any]:
    """Return what 1,000 gates of equal things said, five rounds against five, several indicators each."""
    sides = [list(runs(pool(MANY, 5 * EQUAL, seed=seed, cv=0.02), 5, str(seed))) for seed in (101, 102)]
    codes: list[int] = []
    outcomes: Counter[str] = Counter()
    tested: set[int] = set()
    for one, other in zip(*sides, strict=True):
        gated = gate([one], [other])
        codes.append(gated.exit_code)
        tested.add(gated.tested)
        outcomes.update({str(name): number for name, number in gated.counts.items()})
    return {"command": "python -m tests.experiments.gate_rates equal", "target": "fake (SIMULATED)", "rounds": 5,
            "cv": 0.02, "tests_a_gate": sorted(tested), "outcomes": dict(outcomes), "codes": "".join(map(str, codes))}


def slower() -> dict[str, Any]:
    """Return how many slow-downs were caught, of 5 % and of the size that is promised to be caught."""
    cells = []
    for cv in SPREADS:
        base = pool(ONE, EACH * max(ROUNDS), seed=1, cv=cv)
        five = pool(ONE, EACH * max(ROUNDS), seed=2, cv=cv, speed=1 / (1 + SLOWER))
        for n in ROUNDS:
            size = math.expm1(_mde(cv, n))
            least = pool(ONE, EACH * n, seed=10 + n, cv=cv, speed=1 / (1 + size))
            cells += [_cell(base, slow, n, cv, aim) for slow, aim in ((five, "5 %"), (least, "mde"))]
    return {"command": "python -m tests.experiments.gate_rates slower", "target": "fake (SIMULATED)", "gates": EACH,
            "floor": DEFAULT_FLOOR, "cells": cells}


def promised(effect: float, sd: float, n: int) -> float:
    """Return the probability that a gate of one indicator calls a true `effect` (of logs) worse: exact for the normal.

    Over the chi-squared distribution of the variance, P(estimate beyond the floor and beyond t times its error).
    """
    dof, error = 2 * n - 2, sd * math.sqrt(2 / n)
    found = special.chdtri(dof, 1 - (np.arange(4000) + 0.5) / 4000) / dof
    bound = np.maximum(FLOOR, t_quantile(dof, 0.975) * error * np.sqrt(found))
    return float(special.ndtr((effect - bound) / error).mean())


def _mde(sd: float, n: int) -> float:
    """Return what the gate says that it catches in 80 of 100 repetitions, with the true standard deviation."""
    dof, error = 2 * n - 2, sd * math.sqrt(2 / n)
    return max(stats.mde(error * math.sqrt(dof + 1), dof + 1), FLOOR + t_quantile(dof, 0.8) * error)


def _cell(base: Pool, slow: Pool, n: int, cv: float, aim: str) -> dict[str, Any]:
    """Gate every run of `slow` against one of `base`, n rounds each."""
    gates = [gate([one], [other]) for one, other in zip(runs(slow, n, "slow"), runs(base, n, "base"), strict=False)]
    logs = [np.log(verdict.judge([one.run])[0].scores) for one in (base, slow)]
    sd, effect = float(np.mean([log.std(ddof=1) for log in logs])), float(logs[0].mean() - logs[1].mean())
    return {"rounds": n, "cv": cv, "aim": aim, "gates": len(gates), "true_cv": round(sd, 5),
            "true_slow_down": round(math.expm1(effect), 5), "promised": round(promised(effect, sd, n), 4),
            "caught": sum(gated.changes[0].outcome is Outcome.WORSE for gated in gates),
            "said_better": sum(gated.changes[0].outcome is Outcome.BETTER for gated in gates),
            "median_mde": round(float(np.median([gated.changes[0].mde or 0.0 for gated in gates])), 5)}


def table() -> str:
    """Return both experiments as Markdown."""
    flat, steep = (json.loads((DATA / f"{name}.json").read_text()) for name in ("equal", "slower"))
    passed, gates = flat["codes"].count("0"), len(flat["codes"])
    ci = stats.proportion_ci(passed, gates).ci
    lines = [f"{passed} of {gates} gates of equal things passed: {passed / gates:.1%} [{ci.lo:.1%} … {ci.hi:.1%}].", "",
             "| rounds | CV of a round | true slow-down | promised | caught | [95 %] |", "|---|---|---|---|---|---|"]
    for cell in steep["cells"]:
        share = cell["caught"] / cell["gates"]
        ci = stats.proportion_ci(cell["caught"], cell["gates"]).ci
        lines.append(f"| {cell['rounds']} | {cell['true_cv']:.2%} | {cell['true_slow_down']:.2%} | "
                     f"{cell['promised']:.0%} | {share:.1%} | {ci.lo:.0%} … {ci.hi:.0%} |")
    return "\n".join(lines)


def main(what: str) -> None:
    """Carry out one experiment and keep its data, or print the tables."""
    if what == "table":
        print(table())
        return
    found = {"equal": equal, "slower": slower}[what]()
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / f"{what}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
