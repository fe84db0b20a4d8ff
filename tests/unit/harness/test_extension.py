"""Two-stage repetition: the pilot's spread decides once, for all targets, and the interval pays for the choice."""

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import extension, indicators, plan, runner, scenario, store, verdict
from harness.model import Repetition, Run, Scenario, Series, Stage, Status, StepResult
from harness.stats import gm_ci, mean_ci, plan_repetitions, stein_ci
from harness.stats.records import Scale

RULE = Repetition(rounds=5, rule="two-stage", eps=0.02, most=12)
STAGED = Scenario(name="staged", title="Staged", stage=(Stage(workload="toyload", grid={"depth": (1, 2)}),),
                  repetition=RULE)


@pytest.fixture(autouse=True)
def toy_indicators(monkeypatch, toys):
    from pathlib import Path

    folder = Path(__file__).parents[2] / "plugins" / "indicators"
    indicators.catalogue.cache_clear()
    monkeypatch.setattr(indicators, "__path__", [*indicators.__path__, str(folder)])
    yield
    indicators.catalogue.cache_clear()


def run(spread, target="a", scenario=STAGED, status=Status.DONE):
    own = plan.make([scenario], [target], seed=1).plans[0]
    noise = random.Random(3)
    results = tuple(StepResult(
        step=step, status=status, started="", elapsed=1.0,
        series=(Series(metric="toy.rate", unit="1/s", values=(100 * math.exp(noise.gauss(0, spread)),)),))
        for step in own.steps)
    return Run(plan=own, facts={}, created="", version="0", results=results)


def test_the_most_demanding_point_of_any_target_decides():
    quiet, loud = run(0.001), run(0.03, "b")
    assert extension.wanted([quiet]) == {"staged": 5}
    scores = {point: [result.series[0].values[0] for result in sorted(loud.results, key=lambda r: r.step.round)
                      if result.step.point == point] for point in ("toyload:depth=1", "toyload:depth=2")}
    needed = max(plan_repetitions(x, 0.02, 12, scale=Scale.LOG).n for x in scores.values())
    assert needed > 5
    assert extension.wanted([quiet, loud]) == {"staged": needed}
    assert extension.wanted([run(0.5)]) == {"staged": 12}


def test_sub_metrics_ride_along():
    toy = indicators.catalogue()["TOY-01"]
    assert extension.wanted([run(0.5)], catalogue={"TOY-01.max": toy}) == {"staged": 5}


def test_fixed_rules_ask_for_nothing_and_lost_pilots_for_no_more():
    fixed = msgspec.structs.replace(STAGED, repetition=Repetition(rounds=5))
    assert extension.wanted([run(0.5, scenario=fixed)]) == {}
    assert extension.wanted([run(0.5, status=Status.BROKEN)]) == {"staged": 5}


def test_only_the_pilot_is_asked():
    pilot = run(0.001)
    longer = plan.extend(plan.Campaign(id="x", plans=(pilot.plan,)), {"staged": 12}).plans[0]
    noisy = tuple(msgspec.structs.replace(pilot.results[0], step=step, series=(
        Series(metric="toy.rate", unit="1/s", values=(float(step.order),)),)) for step in longer.steps[10:])
    later = msgspec.structs.replace(pilot, plan=longer, results=pilot.results + noisy)
    assert extension.wanted([later]) == extension.wanted([pilot]) == {"staged": 5}


SCORES = st.lists(st.floats(1.0, 1000.0), min_size=6, max_size=20).filter(lambda x: len(set(x)) > len(x) // 2)


@given(SCORES, st.integers(2, 5))
def test_the_wider_interval_is_steins(scores, pilot):
    for whole, scale in ((gm_ci(scores), Scale.LOG), (mean_ci(scores), Scale.LINEAR)):
        expected = stein_ci(scores, pilot, scale=scale)
        found = extension.widened(whole, scores, pilot)
        assert (found.ci.lo, found.ci.hi) == pytest.approx((expected.ci.lo, expected.ci.hi), rel=1e-9)
        assert found.ci.lo <= whole.ci.lo
        assert found.ci.hi >= whole.ci.hi


def test_a_pilot_alone_and_equal_scores_change_nothing():
    estimate = gm_ci([1.0, 2.0, 3.0])
    assert extension.widened(estimate, [1.0, 2.0, 3.0], 3) is estimate
    constant = gm_ci([2.0] * 6)
    assert extension.widened(constant, [2.0] * 6, 3) is constant


def test_shares_near_zero_get_an_absolute_precision():
    assert extension._positive((-0.01, 0.0, 0.02), "1") == (0.99, 1.0, 1.02)
    assert extension._positive((-0.01, 0.02), "s") == ()
    assert extension._positive((1.0, math.inf), "s") == ()


def test_a_campaign_runs_its_second_stage_and_goes_on_with_it(tmp_path):
    def targets(**a):
        return [scenario.build({"driver": "toytarget", "name": name} | (a if name == "a" else {}), "x")
                for name in ("a", "b")]

    campaign = plan.make([STAGED], ["a", "b"], seed=1)
    whole = runner.execute(campaign, targets(), tmp_path / "whole")
    runs = [store.load(folder) for folder in whole.folders]
    rounds = extension.wanted(runs)["staged"]
    assert rounds > 5
    for own in runs:
        assert plan.planned_rounds(own.plan) == rounds
        assert [result.step for result in own.results] == list(own.plan.steps)
    assert sorted(s.order for own in runs for s in own.plan.steps) == list(range(2 * 2 * rounds))

    cut = runner.execute(campaign, targets(signal_at=13), tmp_path / "cut")
    assert cut.stopped
    again = runner.resume(cut.folders[0], targets=targets())
    for one, two in zip(again.folders, whole.folders, strict=True):
        first, second = store.load(one), store.load(two)
        assert [result.step for result in first.results] == [result.step for result in second.results]
        assert [r.series for r in first.results] == [r.series for r in second.results]
    findings = verdict.judge(runs)
    assert {finding.estimate.n for finding in findings} == {rounds}


def test_a_stop_between_pilot_and_second_stage(tmp_path):
    campaign = plan.make([STAGED], ["a"], seed=1)
    placed = scenario.build({"driver": "toytarget", "name": "a"}, "x")
    outcome = runner.execute(campaign, [placed], tmp_path)
    path = outcome.folders[0] / store.STEPS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:10]))
    store.replan(outcome.folders[0], plan.extend(campaign, {}).plans[0])
    assert plan.planned_rounds(store.load(outcome.folders[0]).plan) == 5
    again = runner.resume(outcome.folders[0], targets=[placed])
    assert again.counts == {Status.DONE: len(store.load(outcome.folders[0]).plan.steps)}
    assert plan.planned_rounds(store.load(outcome.folders[0]).plan) > 5
