"""Runs made up from scores, through the real indicators of memory: bandwidth (higher is better) and latency (lower)."""

import msgspec
import numpy as np

from harness.model import Plan, Repetition, Run, Scenario, Series, Stage, Status, Step, StepResult

METRICS = {"bandwidth": ("memory.bandwidth", "B/s", {"part": "all"}), "latency": ("memory.latency", "s", {})}


def run(scores, *, campaign="a", target="site", created="2026-01-02T03:04:05.000Z", broken=(), missing=(), **facts):
    """Return a run; `scores` are those of each measure by round, `broken` (measure, round) pairs that went wrong."""
    stages = tuple(Stage(workload="memory", name=measure, params={"measure": measure}) for measure in scores)
    scenario = Scenario(name="made-up", title="Made up", stage=stages, repetition=Repetition(rounds=5))
    steps, results = [], []
    for measure, values in scores.items():
        for turn, score in enumerate(values):
            step = Step(id=f"{measure}#{turn}", stage=measure, workload="memory", params={"measure": measure},
                        point=measure, grid={}, arm={}, round=turn, order=len(steps), target=target)
            steps.append(step)
            if (measure, turn) not in missing:
                results.append(_result(step, measure, float(score), broken=(measure, turn) in broken))
    plan = Plan(campaign=campaign, scenario=scenario, target=target, seed=1, steps=tuple(steps))
    told = {"vendor": "Made", "product": "Up", "version": "1", "accelerator": "kvm"} | facts
    return Run(plan=plan, facts={"target": told, "controller": {"virtmark.revision": "0123456789ab"}}, created=created,
               version="1", results=tuple(results))


def _result(step, measure, score, *, broken):
    metric, unit, labels = METRICS[measure]
    result = StepResult(step=step, status=Status.DONE, started="", elapsed=1.0,
                        series=(Series(metric=metric, unit=unit, values=(score,), labels=labels),))
    return msgspec.structs.replace(result, status=Status.BROKEN, error="it broke", series=()) if broken else result


def noisy(rng, level, cv, rounds):
    """Return scores of independent rounds, lognormal about `level`."""
    return level * np.exp(rng.normal(0, cv, rounds))
