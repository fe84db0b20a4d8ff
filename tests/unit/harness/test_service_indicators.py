"""What becomes of requests when something happens to a service: numbers out of requests that are written by hand."""

import math

import msgspec
import pytest

from harness import indicators
from harness.indicators import service
from harness.stats.records import StatsPolicy
from tests.support.served import BACK, INTERVAL, KILLED, broken, event, result


def found(name, *results):
    return indicators.catalogue()[name].evaluate(list(results), StatsPolicy())


def test_a_breaker_is_open_after_the_last_request_that_reached_what_failed():
    (timed,) = service.opened(broken())
    last = 20.9 + 0.05
    assert (timed.low, timed.high) == pytest.approx((last - KILLED[1], last - KILLED[0] + INTERVAL))
    assert timed.low < found("APP-03", broken()).estimate.estimate < timed.high


def test_a_breaker_is_closed_after_the_last_request_that_failed():
    (timed,) = service.recovered("back")(broken())
    last = 21.0 + 0.1 * 114 + 0.003
    assert (timed.low, timed.high) == pytest.approx((last - BACK[1], last - BACK[0] + INTERVAL))


def test_refusals_of_an_open_breaker_are_fast_or_not():
    assert found("APP-03.fast", broken()).estimate.estimate == 1.0
    slow = result([(21.0, 0.003, "status 503"), (22.0, 0.8, "status 503")], broken().events, happens="breaker")
    assert found("APP-03.fast", slow).estimate.estimate == 0.5


def test_a_refusal_before_the_fault_is_a_false_opening():
    assert service.false(broken()).number == 0
    early = result([(3.0, 0.003, "status 503")], broken().events, happens="breaker")
    assert service.false(early) == (1, 200)


def test_a_breaker_that_never_opens_is_infinite_and_stays_in():
    never = result([(20.5 + 0.1 * number, 0.05, "status 500") for number in range(95)], broken().events)
    assert service.opened(never) == [(math.inf,) * 3]
    assert found("APP-03", never).estimate.estimate == math.inf


def test_a_service_that_fails_to_the_end_has_not_recovered():
    dead = result([(20.5 + 0.1 * number, 0.05, "refused") for number in range(395)], broken().events)
    assert service.recovered("back")(dead) == [(math.inf,) * 3]


def died(failures=(), seen=(20.5, 20.6)):
    events = [event("service", "killed", KILLED), event("service", "back", BACK)]
    return result(failures, [*events, *([event("gateway", "b down", seen)] if seen else [])], happens="replica")


def test_a_replica_that_dies_unnoticed_by_anyone_has_no_window_of_errors():
    (timed,) = service.recovered("killed")(died())
    assert (timed.low, timed.high) == pytest.approx((0.0, INTERVAL))
    lost = found("APP-04.lost", died()).estimate
    assert lost.estimate == 0.0
    assert 0 < lost.ci.hi < 0.05


def test_the_gateway_takes_a_replica_out_between_two_looks():
    (timed,) = service.noticed(died())
    assert (timed.low, timed.high) == pytest.approx((20.5 - KILLED[1], 20.6 - KILLED[0]))
    assert service.noticed(died(seen=None)) == [(math.inf,) * 3]


def test_requests_that_fail_while_a_replica_is_away_are_counted():
    tally = service.failed("killed", "back")(died([(20.1, 0.01, "refused"), (25.0, 0.01, "refused"),
                                                   (40.0, 0.01, "refused")]))
    assert tally.number == 2
    assert tally.of == pytest.approx((BACK[1] - KILLED[0]) / INTERVAL, abs=2)


def test_a_limit_is_held_to_half_of_what_comes():
    exact = result([(0.1 * number, 0.001, "status 429") for number in range(0, 600, 2)], happens="limit")
    estimate = found("APP-05", exact).estimate
    assert estimate.estimate == pytest.approx(0.0, abs=0.01)
    assert estimate.ci.lo == 0.0
    lax = result([(0.1 * number, 0.001, "status 429") for number in range(0, 600, 4)], happens="limit")
    assert found("APP-05", lax).estimate.estimate == pytest.approx(0.5, abs=0.02)
    assert found("APP-05", lax).estimate.ci.lo > 0.3


def test_a_canary_is_held_to_the_share_that_was_set():
    good = found("APP-05.canary", result(by={"a/1": 900, "b/1": 100}, happens="canary")).estimate
    assert good.estimate == pytest.approx(0.0, abs=1e-12)
    off = found("APP-05.canary", result(by={"a/1": 800, "b/1": 200, "": 5}, happens="canary")).estimate
    assert off.estimate == pytest.approx(1.0)
    assert 0.7 < off.ci.lo < 1.0 < off.ci.hi
    assert found("APP-05.canary", result(by={"a/1": 50, "b/1": 50}, happens="canary", canary="50%")
                 ).estimate.estimate == 0.0


def test_a_rolling_update_counts_from_its_begin_to_the_end_of_its_rollback():
    events = [event("service", "update", (10.0, 14.0)), event("service", "rollback", (20.0, 25.0))]
    its = result([(9.0, 0.1, "status 503"), (12.0, 0.1, "status 503"), (24.0, 0.1, "refused")], events,
                 happens="update")
    assert found("CON-06", its).estimate.estimate == pytest.approx(2 / 151, rel=0.02)
    assert service.lasted("update")(its)[0].value == 4.0
    assert found("CON-06.rollback", its, msgspec.structs.replace(
        its, step=msgspec.structs.replace(its.step, round=1))).estimate.estimate == pytest.approx(5.0)


def test_what_was_not_done_or_not_loaded_is_refused():
    with pytest.raises(ValueError, match="nothing of the service is said to be 'killed'"):
        found("APP-04", result(happens="replica"))
    bare = msgspec.structs.replace(died(), histories=())
    with pytest.raises(ValueError, match="no load beside it"):
        found("APP-04", bare)
