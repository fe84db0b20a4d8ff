"""The order of steps: reproducible, balanced against drift, complete."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import codec, plan
from harness.errors import InputError
from harness.model import Plan, Quick, Repetition, Scenario, Stage
from harness.stats import order_abba

STAGE = Stage(workload="toyload", grid={"depth": (1, 8, 32), "block": ("4KiB", "1MiB")},
              arms={"where": ("guest", "host")})
QUICK = Scenario(name="quick", title="Quick", stage=(STAGE, Stage(workload="toyload", name="other", warmups=2)),
                 repetition=Repetition(rounds=4))
NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


@st.composite
def scenarios(draw, name="any"):
    stages = [
        Stage(workload="toyload", name=f"s{number}", warmups=draw(st.integers(0, 2)),
              grid={"depth": tuple(range(1, draw(st.integers(2, 4))))} if draw(st.booleans()) else {},
              arms={"where": ("guest", "host")} if draw(st.booleans()) else {})
        for number in range(draw(st.integers(1, 3)))]
    rule = draw(st.sampled_from(["fixed", "two-stage"]))
    return Scenario(name=name, title="Any", stage=tuple(stages),
                    repetition=Repetition(rounds=draw(st.integers(1, 5)), rule=rule))


@given(scenarios("one"), scenarios("two"), NAMES, st.integers())
def test_same_inputs_same_bytes(one, two, targets, seed):
    first, second = (codec.encode(plan.make([one, two], targets, seed=seed)) for _ in range(2))
    assert first == second


def test_another_seed_is_another_order_of_the_same_steps():
    one, two = (plan.make([QUICK], ["a"], seed=seed).plans[0] for seed in (1, 2))
    assert [step.id for step in one.steps] != [step.id for step in two.steps]
    assert sorted(step.id for step in one.steps) == sorted(step.id for step in two.steps)


@given(scenarios("one"), scenarios("two"), NAMES)
def test_every_step_is_there_once(one, two, targets):
    campaign = plan.make([one, two], targets, seed=1)
    orders = sorted(step.order for own in campaign.plans for step in own.steps)
    assert orders == list(range(len(orders)))
    assert [(own.scenario.name, own.target) for own in campaign.plans] == [
        (scenario.name, target) for scenario in (one, two) for target in targets]
    for own in campaign.plans:
        assert len({step.id for step in own.steps}) == len(own.steps)
        assert {step.target for step in own.steps} == {own.target}
        for stage in own.scenario.stage:
            cells = len(list(plan.cells(stage))) * len(list(plan.arms(stage)))
            mine = [step for step in own.steps if step.stage == plan.label(stage)]
            assert sum(not step.warmup for step in mine) == cells * own.scenario.repetition.rounds
            assert sum(step.warmup for step in mine) == cells * stage.warmups
            assert all(step.warmup == (step.round < 0) for step in mine)


@given(scenarios(), NAMES)
def test_scenarios_run_one_after_the_other_and_targets_in_abba_order(scenario, targets):
    campaign = plan.make([scenario], targets, seed=3)
    blocks = plan.blocks(campaign)
    sequence = [campaign.plans[block.plan].target for block in blocks]
    warm = max(stage.warmups for stage in scenario.stage)
    turns = range(-warm, scenario.repetition.rounds)
    assert sequence == [target for turn in turns for target in plan.abba(targets, turn)]
    assert [step.order for block in blocks for step in block.steps] == sorted(
        step.order for own in campaign.plans for step in own.steps)


@given(scenarios(), st.integers(0, 1000))
def test_arms_are_adjacent_and_change_sides_every_round(scenario, seed):
    for block in plan.blocks(plan.make([scenario], ["a"], seed=seed)):
        arms = {plan.label(stage): plan.abba(plan.arms(stage), block.round) for stage in scenario.stage}
        for _, group in groupby(block.steps, key=lambda step: step.point):
            steps = list(group)
            assert [step.arm for step in steps] == arms[steps[0].stage]


@given(st.integers(0, 30), st.lists(st.text(), unique=True, min_size=1, max_size=4))
def test_the_order_is_the_one_that_the_statistics_assume(rounds, arms):
    assert tuple(arm for turn in range(rounds) for arm in plan.abba(arms, turn)) == order_abba(rounds, arms)


@given(NAMES, st.integers(1, 6))
def test_over_each_two_rounds_every_arm_has_the_same_mean_place(targets, pairs):
    places = {}
    for place, name in enumerate(name for turn in range(2 * pairs) for name in plan.abba(targets, turn)):
        places.setdefault(name, []).append(place)
    assert len({sum(found) for found in places.values()}) == 1


def test_all_targets_see_the_points_of_a_round_in_one_order():
    campaign = plan.make([QUICK], ["a", "b"], seed=5)
    one, two = ([(step.round, step.point, step.arm) for step in own.steps] for own in campaign.plans)
    assert one == two
    assert len({tuple(step[1] for step in one if step[0] == turn) for turn in range(4)}) > 1


def test_names_of_points_and_steps():
    step = plan.make([QUICK], ["a"], seed=5).plans[0].steps[-1]
    assert step.id == f"{step.point}{'@where=' + step.params['where'] if step.arm else ''}#{step.round}"
    stage = Stage(workload="disk", grid={"depth": (1,), "direct": (True,)})
    assert plan.point(stage, {"depth": 1, "direct": True}) == "disk:depth=1,direct=true"
    assert plan.point(Stage(workload="disk", name="seq"), {}) == "seq"


@pytest.mark.parametrize(("given_", "message"), [
    (([QUICK, QUICK], ["a"]), "scenario 'quick' is given twice"),
    (([QUICK], ["a", "b", "a"]), "target 'a' is given twice"),
])
def test_names_must_differ(given_, message):
    with pytest.raises(InputError, match=message):
        plan.make(*given_, seed=1)


def test_rounds_can_be_overridden_and_not_by_none_at_all():
    campaign = plan.make([QUICK], ["a"], seed=1, rounds=2)
    assert plan.planned_rounds(campaign.plans[0]) == 2
    assert campaign.plans[0].scenario.repetition == Repetition(rounds=2)
    with pytest.raises(InputError, match=r"^0 rounds are too few"):
        plan.make([QUICK], ["a"], seed=1, rounds=0)


@given(scenarios("one"), scenarios("two"), NAMES, st.integers(0, 6))
def test_a_second_stage_stands_behind_the_pilots(one, two, targets, more):
    pilot = plan.make([one, two], targets, seed=2)
    wanted = {"one": one.repetition.rounds + more}
    longer = plan.extend(pilot, wanted)
    assert plan.extend(longer, wanted) == longer
    last = max(step.order for own in pilot.plans for step in own.steps)
    orders = sorted(step.order for own in longer.plans for step in own.steps)
    assert orders == list(range(len(orders)))
    for before, after in zip(pilot.plans, longer.plans, strict=True):
        assert after.steps[:len(before.steps)] == before.steps
        assert all(step.order > last for step in after.steps[len(before.steps):])
        rounds = wanted.get(after.scenario.name, before.scenario.repetition.rounds)
        assert plan.planned_rounds(after) == rounds


def test_a_second_stage_goes_on_as_if_it_had_been_planned_at_once():
    at_once = plan.make([QUICK], ["a", "b"], seed=7, rounds=6)
    pilot = plan.make([QUICK], ["a", "b"], seed=7)
    longer = plan.extend(pilot, {"quick": 6})
    for one, two in zip(at_once.plans, longer.plans, strict=True):
        assert [(s.id, s.order) for s in one.steps] == [(s.id, s.order) for s in two.steps]


def test_extension_after_a_stop_between_two_folders():
    pilot = plan.make([QUICK], ["a", "b"], seed=7)
    longer = plan.extend(pilot, {"quick": 6})
    half = plan.Campaign(id=pilot.id, plans=(longer.plans[0], pilot.plans[1]))
    assert plan.extend(half, {"quick": 6}) == longer


def test_the_estimate_adds_up():
    campaign = plan.make([QUICK], ["a", "b"], seed=1)
    found = plan.estimate(campaign, {"a": 0.0, "b": 30.0})
    steps = sum(len(own.steps) for own in campaign.plans)
    assert found.seconds == pytest.approx(steps * (5 + plan.OVERHEAD) + 6 * 30)
    assert found.at_most == found.seconds
    assert sum(found.steps.values()) == pytest.approx(found.seconds)
    assert plan.estimate(campaign).seconds == pytest.approx(steps * (5 + plan.OVERHEAD) + 2 * 6 * plan.BOOT)


def test_the_estimate_of_two_stages_has_an_upper_end():
    rule = Repetition(rounds=4, rule="two-stage", most=10)
    scenario = Scenario(name="q", title="Q", stage=(Stage(workload="toyload"),), repetition=rule)
    found = plan.estimate(plan.make([scenario], ["a"], seed=1), {"a": 2.0})
    assert found.seconds == pytest.approx(4 * (5 + plan.OVERHEAD + 2))
    assert found.at_most == pytest.approx(10 * (5 + plan.OVERHEAD + 2))


def test_an_empty_campaign_takes_no_time():
    empty = plan.Campaign(id="x", plans=(Plan(campaign="x", scenario=QUICK, target="a", seed=1, steps=()),))
    assert plan.estimate(empty).seconds == 0
    assert plan.blocks(empty) == []


def test_a_quick_look_is_a_scenario_of_its_own():
    full = Scenario(name="full", title="Full", quick=Quick(rounds=2, stages=("toyload", "other")), stage=(
        Stage(workload="toyload", params={"depth": 1}, quick={"depth": 8}),
        Stage(workload="toyload", name="other"), Stage(workload="toyload", name="left-out")))
    look = plan.quick(full)
    assert (look.name, look.repetition, look.quick) == ("full-quick", Repetition(rounds=2), None)
    assert [(plan.label(stage), stage.params, stage.quick) for stage in look.stage] == [
        ("toyload", {"depth": 8}, {}), ("other", {}, {})]
    assert full.stage[0].params == {"depth": 1}


def test_a_quick_look_must_be_defined():
    with pytest.raises(InputError, match=r"'quick' has no table \[quick\]"):
        plan.quick(QUICK)
