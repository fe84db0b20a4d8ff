"""What counts as a level's capacity, and what does not: failures, lateness of the generator, lost workers."""

import itertools
import json

import msgspec
import numpy as np
import pytest

from drivers.load import reading, schedule
from harness.indicators import catalogue
from harness.load import Objective, capacity, levels
from harness.model import Event, Outcome, Status, Step, StepResult
from harness.stats import DEFAULT_POLICY

OBJECTIVE = Objective(limit=0.1, quantile=0.95, errors=0.01)
HEAD = {"head": "alone", "index": 0, "of": 1, "model": "open", "boot": "a", "locust": "2"}


def worker(rows, model="open", begin=0):
    output = reading.Output({**HEAD, "model": model}, begin=begin, names={0: "GET /"}, end={"end": 1})
    log = schedule.Log()
    for row in rows:
        log.add(*row, 0)
    output.blocks.append(json.loads(schedule.block(log.take())))
    return output


def level(rate, took=0.01, *, seconds=10, code=0, bad=0, lag=0.0, model="open", lost=(), mark=""):
    """Return the series of a level: `bad` requests of it end with `code`, all others after `took` s."""
    rows = [(due, round(lag * 1e9), -1 if number < bad and code < 0 else round(took * 1e9), code if number < bad else 0)
            for number, due in enumerate(schedule.arrivals([(seconds, rate, rate)], "even"))]
    shot = reading.Shot(workers=[worker(rows, model)], master=None, seconds=seconds, lost=lost)
    return reading.series(shot, shot.tally(), 0.0, level=f"{rate:g}/s{mark}")


def found(*parts):
    return levels([series for part in parts for series in part])


def test_a_level_is_read_back_from_its_series():
    (one,) = found(level(100, 0.02, bad=7, code=503))
    assert (one.requests, one.failed, one.offered, one.good) == (1000, 7, 100, 99.3)
    assert one.rate == 99.1      # the last two answers came when it was over
    assert one.errors == pytest.approx(0.007)
    assert one.short == 0
    assert one.quantile(0.5).lo <= 20_000_000 <= one.quantile(0.5).hi


def test_a_failed_request_counts_as_slower_than_any_other():
    (one,) = found(level(100, 0.02, bad=20, code=schedule.TIMEOUT))
    assert not one.quantile(0.97).censored
    assert one.quantile(0.99).censored


def test_every_reason_of_failure_is_told():
    parts = [series for rate, bad, code in ((100, 3, schedule.REFUSED), (50, 2, 404), (20, 1, schedule.UNSENT))
             for series in level(rate, bad=bad, code=code)]
    said = {each.labels["reason"]: each.values[0] for each in parts if each.labels.get("stat") == "reason"}
    assert said == {"refused": 3, "status 404": 2, "not sent in time": 1}


def test_the_capacity_is_the_highest_level_within_the_objective():
    search = capacity(found(level(100), level(200), level(400, took=0.2), level(283)), OBJECTIVE)
    assert (search.best.name, search.above.name, search.stopped) == ("283/s", "400/s", "latency")


def test_what_lies_above_a_level_that_missed_does_not_count():
    search = capacity(found(level(100), level(200, bad=100, code=500), level(300)), OBJECTIVE)
    assert (search.best.name, search.stopped) == ("100/s", "errors")


@pytest.mark.parametrize(("parts", "why"), [
    ([level(100), level(200)], ""),
    ([level(100), level(200, lag=3.0, took=3.01)], "generator"),
    ([level(100), level(200, lost=("worker 1 of 2 was lost",))], "generator"),
])
def test_a_limit_that_is_not_the_services_is_told_apart(parts, why):
    search = capacity(found(*parts), OBJECTIVE)
    assert search.stopped == why


def test_of_a_level_that_was_tried_again_the_second_try_counts():
    tried = found(level(100), level(200, lag=2.0, took=2.01), level(200, mark=" (again)"), level(400, took=0.3))
    assert [each.name for each in tried] == ["100/s", "200/s", "200/s (again)", "400/s"]
    search = capacity(tried, OBJECTIVE)
    assert (search.best.name, search.stopped) == ("200/s (again)", "latency")
    worse = capacity([*tried[:2], *found(level(200, lag=2.0, took=2.01, mark=" (again)"))], OBJECTIVE)
    assert (worse.best.name, worse.stopped) == ("100/s", "generator")


def test_a_second_is_short_below_99_percent_of_what_was_due_but_one_request_may_cross_its_border():
    (late,) = found(level(1000, lag=0.015))      # 15 of 1000 leave in the next second
    assert late.short == 1
    (fine,) = found(level(1000, lag=0.009))
    assert fine.short == 0
    (slow,) = found(level(5, lag=0.15))
    assert slow.short == 0


def result(parts, at=0, events=(), **params):
    step = Step(id=f"s#{at}", stage="s", workload="application", params=params, point="s", grid={}, arm={}, round=at,
                order=at, target="t")
    return StepResult(step=step, status=Status.DONE, started="", elapsed=1.0, series=tuple(parts), events=tuple(events))


def evaluate(row, parts, events=(), **params):
    return catalogue()[row].evaluate([result(parts, at, events, **params) for at in range(3)], DEFAULT_POLICY)


def checks(evaluated):
    return {check.name: check for check in evaluated.checks}


def test_throughput_is_what_was_answered_at_the_highest_level_within_the_objective():
    parts = level(100) + level(200) + level(400, took=0.3)
    evaluated = evaluate("APP-02", parts, shape="steps", most="400/s", slo="100ms")
    assert evaluated.scores == (200, 200, 200)
    assert checks(evaluated)["limit of the service found"].passed
    assert dict(evaluated.estimate.budget.u_b)["step of the search"] == pytest.approx(200 / 12**0.5)


def test_a_search_that_ran_into_its_end_gives_a_lower_bound_only():
    evaluated = evaluate("APP-02", level(100) + level(200), shape="steps", most="200/s")
    check = checks(evaluated)["limit of the service found"]
    assert check.passed is None
    assert "raise most" in check.note
    assert sum("raise most" in text for text in evaluated.estimate.warnings) == 3


def test_nothing_within_the_objective_is_no_number():
    with pytest.raises(ValueError, match="even 100/s is beyond the objective"):
        evaluate("APP-02", level(100, took=0.5), shape="steps", most="200/s")


def test_latency_of_a_generator_that_fell_behind_is_invalid():
    evaluated = evaluate("APP-02.p50", level(1000, lag=2.0, took=2.01))
    check = checks(evaluated)["offered load reached"]
    assert check.passed is False
    assert "saturated; in 2 of 10 seconds" in check.note


def test_a_lost_worker_makes_every_number_invalid_and_is_named():
    lost = "worker 2 of 2 was lost 3.1 s after the begin: exit status 137"
    event = Event(actor="load", action="level", start=0, end=1, outcome=Outcome.FAILED, detail=f"100/s; {lost}")
    check = checks(evaluate("APP-02.p99", level(100, lost=(lost,)), [event]))["workers of the generator"]
    assert check.passed is False
    assert lost in check.note


def test_what_a_gateway_adds_is_paired_by_round():
    row = catalogue()["APP-01.p50"]
    results = []
    for way, at in itertools.product((True, False), range(4)):
        one = result(level(100, 0.010 + 0.001 * at + 0.005 * way), at, through=way, gateway="http://g")
        results.append(msgspec.structs.replace(one, step=msgspec.structs.replace(one.step, arm={"through": way})))
    assert all(row.applies(each.step) for each in results)
    assert not any(catalogue()["APP-02.p50"].applies(each.step) for each in results if each.step.arm["through"])
    evaluated = row.evaluate(results, DEFAULT_POLICY)
    assert evaluated.scores == pytest.approx([0.005] * 4, rel=0.05)
    assert evaluated.estimate.ci.hi - evaluated.estimate.ci.lo < 0.002      # the rounds' own drift is gone
    with pytest.raises(ValueError, match="no round has a step through the gateway and one around it"):
        row.evaluate([*results[:2], *results[6:]], DEFAULT_POLICY)


def test_errors_are_a_share():
    assert evaluate("APP-02.errors", level(100, bad=10, code=500)).scores == (0.01, 0.01, 0.01)


def test_the_closed_model_has_ids_of_its_own_and_a_caveat():
    evaluated = evaluate("APP-02.closed", level(100, model="closed"), model="closed")
    assert evaluated.scores == (99.9, 99.9, 99.9)
    assert any("closed model" in text for text in evaluated.estimate.warnings)
    closed = {row.id for row in catalogue().values() if row.workload == "application"
              and row.applies(result([], model="closed").step)}
    assert closed == {"APP-02.closed", "APP-02.closedp99"}


def test_clocks_of_other_machines_are_fitted_and_what_they_leave_is_carried():
    stamps = [(at, at + 5_000_000_000 + 400_000 + at // 10**5, at + 5_000_000_000 + 410_000 + at // 10**5, at + 900_000)
              for at in range(0, 40 * 10**9, 10**9)]       # 10 ppm of drift, 0.9 ms round trip
    master = reading.Output({"boot": "m"}, clocks={0: {"clock": 0, "boot": "w", "exchanges": stamps}})
    shot = reading.Shot(workers=[worker([(0, 0, 1, 0)])], master=master, seconds=40)
    bound, share = shot.clock()
    assert share == pytest.approx(10e-6, rel=0.05)
    assert bound == pytest.approx(np.hypot(0.89e-3 / 2 / 3**0.5, 4e-4), rel=0.1)
    shared = [(at, at + 400_000, at + 410_000, at + 900_000) for at in range(0, 40 * 10**9, 10**9)]
    same = reading.Output({"boot": "w"}, clocks={0: {"clock": 0, "boot": "w", "exchanges": shared}})
    assert reading.Shot(workers=shot.workers, master=same, seconds=40).clock() == (0.0, 0.0)
    apart = reading.Output({"boot": "w"}, clocks=master.clocks)     # one kernel, another time namespace
    assert reading.Shot(workers=shot.workers, master=apart, seconds=40).clock() == (bound, share)


