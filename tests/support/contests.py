"""Runs with given scores under a small catalogue of their own, to be compared; nothing here was measured.

`contest("a", fast=[...], slow=[...])` is a run of target a whose rounds scored that; the catalogue below turns metrics
into indicators: XX-01 is better higher, XX-02 lower, XX-03 a share, YY-01 better higher.
"""

from __future__ import annotations

import msgspec

from harness import stats
from harness.indicators.base import Method, single, value
from harness.model import Plan, Run, Scenario, Series, Stage, Status, Step, StepResult
from harness.stats.records import Direction

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
_ROWS = {"XX-01": ("fast", UP, "1/s", stats.gm_ci), "XX-02": ("slow", DOWN, "s", stats.gm_ci),
         "XX-03": ("lost", DOWN, "1", stats.mean_ci), "XX-01.sub": ("sub", UP, "1/s", stats.gm_ci),
         "YY-01": ("wide", UP, "1/s", stats.gm_ci), "YY-02": ("worst", DOWN, "s", stats.median_ci)}
CATALOGUE = {
    name: single(Method(score=value(metric), estimator=estimator), id=name, area=name[:2], name=metric, name_zh=metric,
                 unit=unit, direction=direction, workload="contest", definition="", source="",
                 applies=lambda step, metric=metric: step.stage == metric)
    for name, (metric, direction, unit, estimator) in _ROWS.items()}
FACTS = {"vendor": "Example", "product": "Cloud", "version": "1", "accelerator": "kvm", "image_hash": "abc"}


def contest(target, campaign="c", points=None, facts=None, **metrics):
    """Return a run of `target`; each metric is a list of scores, one a round, None for a round that broke.

    `points` maps a metric to further points, each with a list of scores.
    """
    steps, results = [], []
    wanted = [(metric, "", scores) for metric, scores in metrics.items()]
    wanted += [(metric, point, scores) for metric, more in (points or {}).items() for point, scores in more.items()]
    for metric, point, scores in wanted:
        for at, score in enumerate(scores):
            step = Step(id=f"{metric}{point}#{at}", stage=metric, workload="contest", params={}, point=point, grid={},
                        arm={}, round=at, order=len(steps), target=target)
            steps.append(step)
            series = (Series(metric=metric, unit="1", values=(score,)),) if score is not None else ()
            results.append(StepResult(step=step, status=Status.DONE if score is not None else Status.BROKEN,
                                      started="2026-01-01T00:00:00Z", elapsed=1.0, series=series,
                                      error="" if score is not None else "fio died"))
    scenario = Scenario(name="contest", title="Contest", stage=(Stage(workload="contest"),))
    plan = Plan(campaign=campaign, scenario=scenario, target=target, seed=1, steps=tuple(steps))
    return Run(plan=plan, facts={"target": FACTS | (facts or {})}, created="2026-01-01T00:00:00Z", version="0",
               results=tuple(results))


def told(run, **facts):
    """Return the run with other facts of its target."""
    return msgspec.structs.replace(run, facts=run.facts | {"target": run.facts["target"] | facts})
