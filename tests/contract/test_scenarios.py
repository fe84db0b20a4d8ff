"""Every shipped scenario plans against every shipped target, and every shipped profile fits the indicators.

A scenario, target or profile added to the tree is picked up by its file name; nothing has to be listed here.
"""

import math

import pytest

from harness import codec, indicators, plan, profile, registry, scenario
from harness.errors import InputError
from harness.model import Value

SCENARIOS, TARGETS, PROFILES = (sorted(scenario.packaged(kind)) for kind in ("scenario", "target", "profile"))


@pytest.fixture
def quick():
    return scenario.load("quick")


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_scenario_plans_on_every_target(name, target):
    campaign = plan.make([scenario.load(name)], [target], seed=1)
    (own,) = campaign.plans
    assert own.steps
    for step in own.steps:
        workload = codec.convert(registry.find("workloads", step.workload), step.params, step.id)
        assert workload.seconds() > 0
        assert all(isinstance(need, type) for need in workload.needs)
        assert all(isinstance(tool, str) for tool in workload.tools)
    forecast = plan.estimate(campaign)
    assert 0 < forecast.seconds < math.inf
    assert forecast.steps.keys() == {step.order for step in own.steps}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_called_like_its_file(name):
    assert scenario.load(name).name == name


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_stage_feeds_an_indicator(name):
    known = indicators.catalogue().values()
    for step in plan.make([scenario.load(name)], ["any"], seed=1, rounds=1).plans[0].steps:
        assert [row.id for row in known if row.workload == step.workload and row.applies(step)], step.id


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_file_builds_or_says_what_is_missing(name, monkeypatch):
    settings = codec.toml(scenario.packaged("target")[name])
    for variable in (value for key, value in settings.items() if key.endswith("_env")):
        monkeypatch.setenv(variable, "a secret for the test")
    try:
        placed = scenario.target(name)
    except InputError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    assert placed.name == settings.get("name", name)
    assert placed.settings["driver"] in registry.names("targets")
    assert scenario.build(placed.settings, "kept").settings == placed.settings


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_reads_and_names_its_sources(name):
    read = profile.load(name)
    assert read.name == name
    assert read.clauses or read.parts
    for clause in read.clauses:
        assert clause.requirement.indicator_id in indicators.catalogue()
        assert clause.requirement.source.strip()


def test_the_example_profile_asks_only_for_what_quick_measures(quick):
    steps = plan.make([quick], ["any"], seed=1, rounds=1).plans[0].steps
    for clause in profile.load("example").clauses:
        row = indicators.catalogue()[clause.requirement.indicator_id]
        assert any(step.workload == row.workload and row.applies(step) and clause.covers(row.id, step.point)
                   for step in steps), row.id


def test_values_in_scenarios_are_what_the_model_says(quick):
    for step in plan.make([quick], ["any"], seed=1, rounds=1).plans[0].steps:
        assert all(isinstance(value, Value) for value in step.params.values())
