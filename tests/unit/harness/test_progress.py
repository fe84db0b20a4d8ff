"""The time left: believes the forecast at first, and what really happened later."""

import pytest

from harness import plan
from harness.model import Repetition, Scenario, Stage
from harness.progress import SILENT, Remaining

CAMPAIGN = plan.make([Scenario(name="q", title="Q", stage=(Stage(workload="toyload", params={"duration": "59.5s"}),),
                               repetition=Repetition(rounds=10))], ["a"], seed=1)
STEPS = CAMPAIGN.plans[0].steps


@pytest.fixture
def remaining(toys):
    return Remaining(plan.estimate(CAMPAIGN, {"a": 0.0}), STEPS)


def test_before_anything_happened_the_forecast_stands(remaining):
    assert (remaining.steps, remaining.seconds) == (10, pytest.approx(600))


def test_what_takes_twice_as_long_will_take_longer(remaining):
    for step in STEPS[:5]:
        remaining.done(step, 120.0)
    assert remaining.steps == 5
    assert remaining.seconds == pytest.approx(300 * (600 + 60) / (300 + 60))


def test_a_step_counts_once_and_strangers_never(remaining):
    for _ in range(3):
        remaining.done(STEPS[0], 60.0)
    assert remaining.seconds == pytest.approx(540)
    assert Remaining(plan.estimate(CAMPAIGN, {"a": 0.0}), STEPS[8:]).steps == 2


def test_the_end_is_zero(remaining):
    for step in STEPS:
        remaining.done(step, 1.0)
    assert (remaining.steps, remaining.seconds) == (0, 0.0)


def test_a_silent_watch_says_nothing(capsys):
    SILENT.campaign(CAMPAIGN, 10, 600.0)
    SILENT.begin(STEPS[0], 600.0)
    SILENT.note("x")
    assert capsys.readouterr() == ("", "")
