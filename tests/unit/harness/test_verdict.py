"""From runs to findings: every way a number can fail to be one has its own verdict, and the worst part decides."""

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import plan, profile, verdict
from harness.errors import Unsupported
from harness.indicators.base import Method, both, overhead, single, value, where
from harness.model import Finding, Repetition, Run, Scenario, Series, Stage, Status, StepResult
from harness.stats import decide, gm_ci
from harness.stats.records import Check, Direction, Verdict
from harness.validity import GateLimits

RATE = Method(score=value("toy.rate"))
COMMON = {"area": "toys", "name_zh": "玩具", "definition": "a number", "source": "test", "workload": "toyload"}
UP = Direction.HIGHER_IS_BETTER


def indicator(**row):
    return single(RATE, **{"id": "TOY-01", "name": "Toy rate", "unit": "1/s", "direction": UP,
                           "applies": where("guest")} | COMMON | row)


LOSS = overhead(RATE, UP, id="TOY-02", name="Toy loss", applies=both(lambda step: True), **COMMON)
TOYS = {row.id: row for row in (indicator(), LOSS)}
ARMS = Stage(workload="toyload", name="load", grid={"depth": (1, 8)}, arms={"where": ("guest", "host")})
QUICK = Scenario(name="quick", title="Quick", stage=(ARMS,), repetition=Repetition(rounds=6))
NOISE = (0.99, 1.01, 1.0, 0.98, 1.02, 1.005)


def result(step, rate=100.0, **changes):
    rate *= NOISE[step.round % 6] * (1.25 if step.params.get("where") == "host" else 1.0)
    done = StepResult(step=step, status=Status.DONE, started="", elapsed=5.0,
                      series=(Series(metric="toy.rate", unit="1/s", values=(rate,)),))
    return msgspec.structs.replace(done, **changes)


def run(scenario=QUICK, target="here", change=lambda step, result: result, results=10**6):
    own = plan.make([scenario], [target], seed=1).plans[0]
    done = [change(step, result(step)) for step in own.steps[:results]]
    return Run(plan=own, facts={}, created="", version="0", results=tuple(done))


def broken(step, found):
    return msgspec.structs.replace(found, status=Status.BROKEN, error="ToolError: it died", series=())


def wants(limit, id_="TOY-01", **entry):
    data = {"name": "p", "title": "P", "requirement": [{"indicator": id_, "limit": limit, "source": "user"} | entry]}
    return profile.read(data, "p", TOYS)


def judged(runs, required=None, **how):
    findings = verdict.judge(runs, required, catalogue=TOYS, **how)
    return {(f.indicator, f.point): f for f in findings}


def test_without_a_profile_numbers_are_measured():
    found = judged([run()])
    assert {key: f.verdict for key, f in found.items()} == {
        (id_, f"load:depth={depth}"): Verdict.MEASURED for id_ in TOYS for depth in (1, 8)}
    rate, loss = found["TOY-01", "load:depth=1"], found["TOY-02", "load:depth=8"]
    assert rate.estimate.estimate == pytest.approx(100, rel=0.01)
    assert (rate.rounds, rate.scores) == (tuple(range(6)), tuple(100 * factor for factor in NOISE))
    assert loss.estimate.estimate == pytest.approx(0.2, abs=0.01)
    assert {check.name for check in rate.gates} >= {"controller.cpu", "clock.step", "rounds.spread"}


@pytest.mark.parametrize(("limit", "expected"), [
    (">= 90/s", Verdict.PASS), (">= 110/s", Verdict.FAIL), (">= 100/s", Verdict.INCONCLUSIVE),
    ("> 90/s", Verdict.PASS), ("between 90/s and 110/s", Verdict.PASS), ("between 105/s and 110/s", Verdict.FAIL),
])
def test_the_whole_interval_decides(limit, expected):
    found = judged([run()], wants(limit))["TOY-01", "load:depth=1"]
    assert found.verdict is expected
    assert found.decision == decide(found.estimate, found.requirement)
    assert found.reasons
    assert judged([run()], wants(limit))["TOY-02", "load:depth=1"].verdict is Verdict.MEASURED


def test_requirements_are_for_the_points_they_name():
    found = judged([run()], wants(">= 110/s", point="*depth=8*"))
    assert found["TOY-01", "load:depth=1"].verdict is Verdict.MEASURED
    assert found["TOY-01", "load:depth=8"].verdict is Verdict.FAIL


def test_several_requirements_are_several_findings():
    strict = profile.merge([wants(">= 90/s"), wants(">= 110/s")])
    verdicts = [f.verdict for f in verdict.judge([run()], strict, catalogue=TOYS) if f.indicator == "TOY-01"]
    assert verdicts == [Verdict.PASS, Verdict.FAIL] * 2


@pytest.mark.parametrize("status", [Status.BROKEN, Status.UNSUPPORTED])
def test_one_step_that_broke_makes_a_finding_invalid_and_says_why(status):
    def change(step, found):
        bad = step.round == 3 and step.params["depth"] == 1 and step.params["where"] == "guest"
        return msgspec.structs.replace(broken(step, found), status=status) if bad else found

    found = judged([run(change=change)], wants(">= 90/s"))
    for id_ in TOYS:
        assert found[id_, "load:depth=1"].verdict is Verdict.INVALID
        assert found[id_, "load:depth=1"].reasons == ("round 3: ToolError: it died",)
        assert found[id_, "load:depth=1"].rounds == (0, 1, 2, 4, 5)   # what was seen is shown all the same
    assert found["TOY-01", "load:depth=8"].verdict is Verdict.PASS


def test_equal_reasons_are_told_once():
    found = judged([run(change=broken)])["TOY-01", "load:depth=1"]
    assert (found.verdict, found.estimate) == (Verdict.INVALID, None)
    assert found.reasons == ("round 0, 1, 2, 3, 4, 5: ToolError: it died",)


def no_host(step, found):
    return msgspec.structs.replace(found, status=Status.UNSUPPORTED, error="there is no host", series=()) \
        if step.params["where"] == "host" else found


def test_a_missing_capability_is_not_applicable_unless_it_is_required():
    found = judged([run(change=no_host)], wants("<= 10 %", "TOY-02"))
    assert found["TOY-01", "load:depth=1"].verdict is Verdict.MEASURED
    assert found["TOY-02", "load:depth=1"].verdict is Verdict.NOT_APPLICABLE
    assert found["TOY-02", "load:depth=1"].reasons == ("there is no host",)
    required = judged([run(change=no_host)], wants("<= 10 %", "TOY-02", required=True))["TOY-02", "load:depth=1"]
    assert (required.verdict, required.requirement.limit) == (Verdict.FAIL, 0.1)
    assert required.reasons == ("there is no host", "the profile marks this clause as required")


def test_a_run_cut_short_is_not_run_however_good_it_looks():
    cut = run(results=12)
    found = judged([cut], wants(">= 90/s"))["TOY-01", "load:depth=1"]
    assert found.verdict is Verdict.NOT_RUN
    assert found.estimate.n == 3
    assert found.reasons == ("3 of 6 rounds are not run yet",)
    nothing = judged([run(results=0)])["TOY-01", "load:depth=1"]
    assert (nothing.verdict, nothing.reasons) == (Verdict.NOT_RUN, ("6 of 6 rounds are not run yet",))


def test_a_requirement_that_nothing_measures_is_not_run_on_every_target():
    scenario = Scenario(name="s", title="S", stage=(Stage(workload="toyclient"),))
    findings = verdict.judge([run(scenario, "a"), run(scenario, "b")], wants(">= 90/s", point="x*"), catalogue=TOYS)
    assert [(f.target, f.point, f.verdict) for f in findings] == [
        (name, "x*", Verdict.NOT_RUN) for name in ("a", "b")]
    assert findings[0].reasons == ("no step that measures it at points like 'x*' was planned",)


def test_a_requirement_met_by_one_run_of_a_target_is_met():
    other = Scenario(name="other", title="O", stage=(Stage(workload="toyclient"),))
    findings = verdict.judge([run(other), run()], wants(">= 90/s"), catalogue=TOYS)
    assert {f.verdict for f in findings} == {Verdict.PASS, Verdict.MEASURED}


def test_a_failed_gate_makes_a_finding_invalid():
    def change(step, found):
        return msgspec.structs.replace(found, conditions={"clock.step": 2.0} if step.round == 4 else {})

    found = judged([run(change=change)], wants(">= 90/s"))["TOY-01", "load:depth=1"]
    assert found.verdict is Verdict.INVALID
    (reason,) = found.reasons
    assert reason.startswith("the wall clock was set by 2 s during the step")
    assert reason.endswith("[round 4]")
    (gate,) = [check for check in found.gates if check.name == "clock.step"]
    assert (gate.passed, gate.value) == (False, 2.0)


def test_limits_of_gates_come_from_the_profile_or_the_caller():
    def change(step, found):
        return msgspec.structs.replace(found, conditions={"host.steal": 0.03})

    lax = profile.read({"name": "p", "title": "P", "gates": {"steal_invalid": "2 %"}}, "p", TOYS)
    point = "TOY-01", "load:depth=1"
    assert judged([run(change=change)])[point].verdict is Verdict.MEASURED
    assert judged([run(change=change)], lax)[point].verdict is Verdict.INVALID
    assert judged([run(change=change)], lax, gates=GateLimits())[point].verdict is Verdict.MEASURED


def test_the_worst_step_speaks_for_a_gate():
    def change(step, found):
        steal = {0: 0.02, 1: 0.04, 2: 0.0}.get(step.round)
        return msgspec.structs.replace(found, conditions={} if steal is None else {"host.steal": steal})

    (gate,) = [check for check in judged([run(change=change)])["TOY-01", "load:depth=1"].gates
               if check.name == "host.steal"]
    assert gate.passed
    assert gate.note.startswith("caution: ")
    assert gate.value == 0.02


@pytest.mark.parametrize("crash", [ValueError("no data"), ZeroDivisionError("x"), KeyError("y")])
def test_a_crash_in_an_evaluation_is_invalid_never_pass(crash):
    def evaluate(results, policy):
        raise crash

    toys = {"TOY-01": dataclasses.replace(indicator(), evaluate=evaluate)}
    (found, *_) = verdict.judge([run()], wants(">= 0/s"), catalogue=toys)
    assert found.verdict is Verdict.INVALID
    assert found.reasons == (f"TOY-01 could not be evaluated: {type(crash).__name__}: {crash}",)


def test_an_indicator_may_say_that_it_does_not_apply():
    def evaluate(results, policy):
        raise Unsupported("containers have no stolen time")

    toys = {"TOY-01": dataclasses.replace(indicator(), evaluate=evaluate)}
    (found, *_) = verdict.judge([run()], wants(">= 0/s"), catalogue=toys)
    assert (found.verdict, found.reasons) == (Verdict.NOT_APPLICABLE, ("containers have no stolen time",))


def test_a_crash_in_a_decision_is_invalid_never_pass():
    wrong = wants(">= 0/s")
    clause = dataclasses.replace(wrong.clauses[0],
                                 requirement=dataclasses.replace(wrong.clauses[0].requirement, unit="s"))
    found = judged([run()], dataclasses.replace(wrong, clauses=(clause,)))["TOY-01", "load:depth=1"]
    assert found.verdict is Verdict.INVALID
    assert found.reasons[0].startswith("the decision failed: ValueError: ")


def test_an_indicators_own_gate_makes_its_finding_invalid():
    unsteady = Check("steady", False, 0.3, 0.2, "not steady: it drifts")
    method = Method(score=value("toy.rate"), gates=(lambda results, policy: (unsteady,),))
    toys = {"TOY-01": single(method, **{"id": "TOY-01", "name": "Toy rate", "unit": "1/s", "direction": UP,
                                        "applies": where("guest")} | COMMON)}
    (found, *_) = verdict.judge([run()], catalogue=toys)
    assert (found.verdict, found.reasons) == (Verdict.INVALID, ("not steady: it drifts",))


def test_warm_ups_do_not_count():
    warm = Scenario(name="w", title="W", repetition=Repetition(rounds=6),
                    stage=(Stage(workload="toyload", name="load", warmups=2),))

    def change(step, found):
        return broken(step, found) if step.warmup else found

    found = judged([run(warm, change=change)])["TOY-01", "load"]
    assert (found.verdict, found.rounds) == (Verdict.MEASURED, tuple(range(6)))


def test_few_rounds_are_never_a_pass():
    for rounds in range(1, 5):
        few = msgspec.structs.replace(QUICK, repetition=Repetition(rounds=rounds))
        found = judged([run(few)], wants(">= 1/s"))["TOY-01", "load:depth=1"]
        assert found.verdict is Verdict.INVALID
        assert f"replicates violated ({rounds}, limit 5)" in found.reasons[0]


def test_the_interval_after_a_second_stage_keeps_the_pilots_spread():
    rule = Repetition(rounds=3, rule="two-stage", most=6)
    pilot = plan.make([msgspec.structs.replace(QUICK, repetition=rule)], ["here"], seed=1)
    longer = plan.extend(pilot, {"quick": 6}).plans[0]
    staged = Run(plan=longer, facts={}, created="", version="0", results=tuple(map(result, longer.steps)))
    plain, wide = (judged([each])["TOY-01", "load:depth=1"].estimate for each in (run(), staged))
    assert plain == dataclasses.replace(gm_ci(list(judged([run()])["TOY-01", "load:depth=1"].scores)),
                                        **{f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)
                                           if f.name not in ("estimate", "ci", "n")})
    assert wide.estimate == plain.estimate
    assert wide.ci.lo < plain.ci.lo < plain.ci.hi < wide.ci.hi
    assert wide.method.startswith("two-stage ")


FINDINGS = st.builds(Finding, indicator=st.just("A"), target=st.just("t"), verdict=st.sampled_from(Verdict))


@given(st.lists(FINDINGS, min_size=1))
def test_the_whole_is_the_worst_of_its_parts(findings):
    whole = verdict.overall(findings)
    assert whole.verdict == max(finding.verdict for finding in findings)
    assert sum(whole.counts.values()) == len(findings)
    assert list(whole.counts) == sorted(whole.counts)
    assert (whole.exit_code == 1) == (Verdict.FAIL in whole.counts)
    assert whole.exit_code != 0 or not {Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.NOT_RUN} & whole.counts.keys()


@pytest.mark.parametrize(("worst", "code"), [
    (Verdict.NOT_APPLICABLE, 0), (Verdict.MEASURED, 0), (Verdict.PASS, 0), (Verdict.NOT_RUN, 2),
    (Verdict.INCONCLUSIVE, 3), (Verdict.INVALID, 3), (Verdict.FAIL, 1),
])
def test_exit_codes(worst, code):
    assert verdict.overall([Finding(indicator="A", target="t", verdict=worst)]).exit_code == code


def test_no_findings_at_all_are_not_run():
    assert verdict.overall([]) == (Verdict.NOT_RUN, {})
    assert verdict.overall([]).exit_code == 2


def losing(lost=1):
    def evaluate(results, policy):
        found = TOYS["TOY-01"].evaluate(results, policy)
        return dataclasses.replace(found, fail=f"data-loss: {lost} acknowledged records are missing" if lost else "")

    return {"TOY-01": dataclasses.replace(TOYS["TOY-01"], evaluate=evaluate)}


@pytest.mark.parametrize("required", [None, ">= 90/s", ">= 110/s"])
@pytest.mark.parametrize("load", [0.01, 0.5])   # a controller that is so busy makes a number invalid
def test_lost_data_fails_whatever_else_is_true(required, load):
    def busy(step, found):
        return msgspec.structs.replace(found, conditions={"controller.cpu": load})

    requirement = wants(required) if required else None
    findings = verdict.judge([run(change=busy)], requirement, catalogue=losing())
    assert {f.verdict for f in findings} == {Verdict.FAIL}
    for finding in findings:
        assert finding.reasons[0] == "data-loss: 1 acknowledged records are missing"
        assert finding.estimate.estimate == pytest.approx(100, rel=0.01)    # the figure is shown all the same
    assert verdict.overall(findings).exit_code == 1
    kept = verdict.judge([run(change=busy)], requirement, catalogue=losing(0))
    assert "data-loss" not in str(kept)
    assert load < 0.1 or kept[0].verdict is Verdict.INVALID


def test_a_round_that_broke_does_not_hide_lost_data_in_another():
    def change(step, found):
        return broken(step, found) if step.round == 3 else found

    first, _ = verdict.judge([run(change=change)], None, catalogue=losing())
    assert first.verdict is Verdict.FAIL
    assert first.reasons == ("data-loss: 1 acknowledged records are missing", "round 3: ToolError: it died")
