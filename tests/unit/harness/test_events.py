"""Estimates over events: published sample sizes, events that never end, bounds of probes, verdicts against limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats
from harness.indicators import events
from harness.model import Series, Status, Step, StepResult
from harness.stats.records import DEFAULT_POLICY, Direction, Requirement, Verdict

ROW = {"id": "HA-03", "area": "ha", "name": "Recovery time", "name_zh": "恢复时间", "unit": "s", "workload": "failover",
       "direction": Direction.LOWER_IS_BETTER, "definition": "x", "source": "x", "applies": lambda step: True}
SHARE = ROW | {"id": "HA-04", "unit": "1", "direction": Direction.HIGHER_IS_BETTER}


def result(turn, **metrics):
    where = Step(id=f"s-{turn}", stage="failover", workload="failover", params={}, point="", grid={}, arm={},
                 round=turn, order=turn, target="t")
    made = tuple(Series(metric=name.replace("_", "."), unit="s", values=tuple(values))
                 for name, values in metrics.items())
    return StepResult(step=where, status=Status.DONE, started="2026-10-01T10:00:00Z", elapsed=1.0, series=made)


def rounds(values, spread=0.0):
    """Return one event a round; inf is one that never ended."""
    return [result(turn, ha_recovered=[0.0]) if math.isinf(value) else
            result(turn, ha_recovered=[1.0], ha_rto=[value], ha_rto_low=[value - spread], ha_rto_high=[value + spread])
            for turn, value in enumerate(values)]


def evaluated(make, results, row=ROW, of=None):
    of = of or events.measured("ha.rto", ended="ha.recovered")
    return make(of, **row).evaluate(results, DEFAULT_POLICY)


def verdict(found, limit, op="<=", indicator="HA-03", unit="s"):
    return stats.decide(found.estimate, Requirement(indicator_id=indicator, op=op, limit=limit, unit=unit,
                                                    source="test")).verdict


def test_the_worst_of_59_events_bounds_95_percent_and_58_do_not():
    values = [1 + n / 100 for n in range(59)]
    assert evaluated(events.worst, rounds(values)).estimate.ci.hi == values[-1]
    fewer = evaluated(events.worst, rounds(values[1:])).estimate
    assert fewer.ci.hi == math.inf
    assert any("both together need 59 events" in said for said in fewer.warnings)


def test_ten_events_say_the_sentence_and_decide_nothing_good():
    found = evaluated(events.worst, rounds([10.0 + n for n in range(10)]))
    assert any("The largest of 10 events covers the 74.1 % quantile at 95 % confidence, or the 95 % quantile at 40 %"
               in said for said in found.estimate.warnings)
    assert verdict(found, 1000.0) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("limit", "expected"), [
    (1.7, Verdict.PASS), (1.58, Verdict.FAIL), (1.615, Verdict.INCONCLUSIVE)])
def test_a_limit_on_a_tolerance_bound_gives_every_verdict(limit, expected):
    assert verdict(evaluated(events.worst, rounds([1.5 + n / 500 for n in range(59)])), limit) is expected


def test_bounds_of_probes_are_carried_into_the_tolerance_bound():
    found = evaluated(events.worst, rounds([2.0] * 59, spread=0.5)).estimate
    assert (found.ci.lo, found.ci.hi) == (1.5, 2.5)


def test_bounds_of_probes_are_carried_into_the_mean_as_an_uncertainty():
    found = evaluated(events.times, rounds([2.0, 2.2, 2.1, 1.9, 2.0], spread=0.1)).estimate
    assert found.method.startswith(stats.gm_ci([1.0, 2.0, 3.0]).method.split(",")[0])
    assert dict(found.budget.u_b)["spacing of probes"] == pytest.approx(0.1 / math.sqrt(6))


def test_an_event_without_end_leaves_no_mean_and_can_fail_a_limit():
    found = evaluated(events.times, rounds([2.0, math.inf, 2.1, 2.2, 2.3]))
    assert "order statistics" in found.estimate.method
    assert max(found.scores) == math.inf
    assert any("never_recovered: 1 of 5" in said for said in found.estimate.warnings)
    assert verdict(found, 100.0) is Verdict.INCONCLUSIVE
    assert verdict(evaluated(events.times, rounds([math.inf] * 59)), 100.0) is Verdict.FAIL


@given(st.lists(st.floats(0.001, 1000) | st.just(math.inf), min_size=1, max_size=80))
def test_what_never_ended_is_never_dropped(values):
    found = evaluated(events.worst, rounds(values))
    assert found.estimate.n == len(values) == len(found.scores)
    assert found.estimate.ci.hi >= max((v for v in values if v < math.inf), default=0) or len(values) >= 93


def test_success_is_exact_over_all_events_and_no_failure_still_leaves_doubt():
    made = [result(turn, moves=[30.0]) for turn in range(2)]
    found = evaluated(events.success, made, SHARE, lambda result: events.Tally(30, 30))
    assert found.estimate.estimate == 1.0
    assert found.estimate.ci.lo == pytest.approx(0.025 ** (1 / 60))
    assert verdict(found, 0.99, ">=", "HA-04", "1") is Verdict.INCONCLUSIVE
    assert verdict(found, 0.9, ">=", "HA-04", "1") is Verdict.PASS


def test_nothing_lost_bounds_what_may_be_lost():
    row = SHARE | {"direction": Direction.LOWER_IS_BETTER}
    found = evaluated(events.lost, [result(0, a=[1.0])], row, lambda result: events.Tally(0, 59)).estimate
    assert found.ci.hi == pytest.approx(1 - 0.025 ** (1 / 59))     # 6.06 %, two-sided
    assert any(said.startswith("none_seen") for said in found.warnings)


def test_lost_records_fail_whatever_the_number():
    made = events.lost(lambda result: events.Tally(1, 1000), fail=lambda results: "data-loss: 1 of 1000", **SHARE)
    assert made.evaluate([result(0, a=[1.0])], DEFAULT_POLICY).fail == "data-loss: 1 of 1000"


def test_availability_comes_from_all_rounds_and_for_good_down_leaves_no_lower_bound():
    def of(down):
        return lambda result: events.Exposure(3600.0, (down + result.step.round,))

    made = [result(turn, a=[1.0]) for turn in range(5)]
    found = evaluated(events.available, made, SHARE, of(10.0)).estimate
    assert found.estimate == pytest.approx(18000 / 18060)
    assert 0 < found.ci.lo < found.estimate < found.ci.hi < 1
    assert evaluated(events.available, made, SHARE, of(math.inf)).estimate.ci.lo == 0.0


def test_times_that_do_not_fit_the_events_are_refused():
    with pytest.raises(ValueError, match="1 events ended, 0 times"):
        evaluated(events.worst, [result(0, ha_recovered=[1.0])])
    with pytest.raises(ValueError, match="no event"):
        evaluated(events.worst, [result(0)])
