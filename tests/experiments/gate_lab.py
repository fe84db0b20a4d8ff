"""Whether the gate catches a real slow-down of 5 % in a guest, as often as it promises: on the embedded lab.

    virtmark lab up
    python -m tests.experiments.gate_lab measure OUT [ROUNDS]    # rounds of two targets, 75 s each. Again: goes on
    python -m tests.experiments.gate_lab judge OUT               # -> tests/data/gate/lab.json
    virtmark lab down

`measure` looks at the lab first (6 rounds), then lets rounds of the lab and of the lab held back alternate: by a CPU
quota, by operations per second on the disk, by a token bucket on the network, each at 1 / 1.05 of what was seen.
`judge` draws gates of n rounds a side at random from those rounds, since there are too few for as many gates of their
own: 2,000 of a slow run against a usual one, and 2,000 of usual against usual.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import drivers.targets
from harness import codec, indicators, plan, runner, scenario, stats, store, verdict
from harness.model import Run, Scenario
from harness.regression import Outcome, gate
from tests.experiments import gate_rates

PLACE = Path(__file__).parent / "targets"
SLOWER, LOOK, ROUNDS, GATES, SIZES = 1.05, 6, 60, 2000, (5, 10, 20)
WIRE = 8 * 1514 / 1448  # bits that the token bucket counts, of frames, for a byte that TCP carries
BY = {"CPU-01": "CPU quota", "STO-01": "block throttle (io.max)", "NET-02": "token bucket (tbf)"}
DISK = {"pattern": "randread", "depth": 16, "size": "64MiB", "precondition": 1, "keep": True, "duration": "6s",
        "window": "200ms"}
SCENARIO = codec.convert(Scenario, {
    "name": "held-back", "title": "One processor, one disk, one path", "guest": {"vcpus": 1}, "stage": [
        {"workload": "compute", "params": {"duration": "3s"}}, {"workload": "disk", "params": DISK},
        {"workload": "network", "params": {"measure": "tcp", "path": "cross-host", "duration": "3s"}}]}, "experiment")


def measure(out: Path, rounds: int = ROUNDS) -> None:
    """Measure both targets into `out`, or go on with what was begun there."""
    drivers.targets.__path__ = [*drivers.targets.__path__, str(PLACE)]
    if store.runs(out / "pairs"):
        runner.resume(out / "pairs")
        return
    lab = scenario.target("lab")
    if not store.runs(out / "look"):
        runner.execute(plan.make([SCENARIO], [lab.name], seed=1, rounds=LOOK), [lab], out / "look")
    seen = levels(store.load(store.runs(out / "look")[0]))
    held = scenario.build(lab.settings | {
        "driver": "slowed", "name": "slowed", "quota": 1 / SLOWER, "iops": round(seen["STO-01"] / SLOWER),
        "bits": round(WIRE * seen["NET-02"] / SLOWER)}, "experiment")
    campaign = plan.make([SCENARIO], [lab.name, held.name], seed=2, rounds=rounds)
    runner.execute(campaign, [lab, held], out / "pairs")


def levels(run: Run) -> dict[str, float]:
    """Return the geometric mean of the scores of each indicator, whatever the gates of validity say."""
    return {one.indicator: float(np.exp(np.mean(np.log(one.scores)))) for one in verdict.judge([run])
            if one.indicator in BY and one.scores}


def judge(out: Path, gates: int = GATES, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Return what gates drawn from the rounds in `out` said, one row an indicator and number of rounds."""
    folders = {store.head(folder).plan.target: folder for folder in store.runs(out / "pairs")}
    usual, held = (gate_rates.pooled(store.load(folders[name])) for name in ("lab", "slowed"))
    limits = {key: store.settings(folders["slowed"]).get(key) for key in ("quota", "iops", "bits")}
    rows = [_row(usual, held, name, n, gates) for name in BY for n in sizes if 2 * n <= len(usual.steps)]
    return {"command": "python -m tests.experiments.gate_lab", "rounds": len(usual.steps), "gates": gates,
            "held": limits, "facts": usual.run.facts["target"], "rows": rows}


def _row(usual: gate_rates.Pool, held: gate_rates.Pool, name: str, n: int,
         gates: int) -> dict[str, Any]:
    """Draw gates of one indicator, so that nothing else is tested beside it."""
    known = {name: indicators.catalogue()[name]}
    logs = [np.log(next(one.scores for one in verdict.judge([its.run], catalogue=known)))
            for its in (held, usual)]
    sd, effect = float(np.sqrt(np.mean([log.var(ddof=1) for log in logs]))), float(logs[1].mean() - logs[0].mean())
    rng = np.random.default_rng(3)
    caught, false, undone = 0, 0, 0
    for _ in range(gates):
        mixed = rng.permutation(len(usual.steps))
        base, other = (gate_rates.pick(usual, mixed[at:at + n].tolist(), f"usual/{at}") for at in (0, n))
        slow = gate_rates.pick(held, rng.permutation(len(held.steps))[:n].tolist(), "held")
        said = [gate([one], [base], known=known, force=True).changes[0].outcome for one in (slow, other)]
        caught += said[0] is Outcome.WORSE
        false += said[1] is Outcome.WORSE
        undone += said[0] in (Outcome.INVALID, Outcome.UNGATED)
    return {"indicator": name, "by": BY[name], "rounds": n, "true_slow_down": round(math.expm1(effect), 5),
            "true_cv": round(sd, 5), "promised": round(gate_rates.promised(effect, sd, n), 4), "caught": caught / gates,
            "false_alarms": false / gates, "invalid": undone / gates,
            "slow_down_95": [round(math.expm1(end), 5) for end in _interval(logs)]}


def _interval(logs: list[np.ndarray]) -> tuple[float, float]:
    its = stats.welch(logs[1], logs[0]).ci
    return its.lo, its.hi


def table() -> str:
    """Return the experiment as Markdown."""
    found = json.loads((gate_rates.DATA / "lab.json").read_text())
    head = ("held back by", "indicator", "rounds", "CV of a round", "true slow-down [95 %]", "promised", "caught",
            "false alarms")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in found["rows"]:
        low, high = row["slow_down_95"]
        lines.append(f"| {row['by']} | {row['indicator']} | {row['rounds']} | {row['true_cv']:.0%} | "
                     f"{row['true_slow_down']:.0%} [{low:.0%} … {high:.0%}] | {row['promised']:.0%} | "
                     f"{row['caught']:.1%} | {row['false_alarms']:.1%} |")
    return "\n".join(lines)


def main(what: str, out: str = "", rounds: str = str(ROUNDS)) -> None:
    """Measure, judge and keep the data, or print the table."""
    if what == "measure":
        measure(Path(out), int(rounds))
    elif what == "table":
        print(table())
    else:
        (gate_rates.DATA / "lab.json").write_text(json.dumps(judge(Path(out)), indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
