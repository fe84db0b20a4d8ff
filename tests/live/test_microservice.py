"""A real service of several parts in a guest and in a container: what breaks it is seen from outside."""

import importlib.util

import pytest

from harness import store, verdict
from harness.cli import main
from tests.support import lab

pytestmark = [pytest.mark.live, pytest.mark.skipif(
    not importlib.util.find_spec("locust"), reason="Locust is not installed: pip install 'virtmark[load]'")]
SCENARIO = """
name = "service"
title = "Service"
repetition = {{ rounds = 1 }}
guest = {{ memory = "768MiB" }}
{stages}
"""
STAGE = """
[[stage]]
workload = "microservice"
name = "{happens}"
params = {{ happens = "{happens}", rate = "10/s", before = "2s", hold = "{hold}s", after = "{after}s" }}
"""


def measured(folder, target, **happens):
    """Let it happen on a target of the lab, for so many s and what is looked at after; return results and findings."""
    lab.need("hA", "client")
    file = folder / "service.toml"
    file.write_text(SCENARIO.format(stages="".join(
        STAGE.format(happens=name, hold=hold, after=after) for name, (hold, after) in happens.items())))
    assert main(["run", str(file), "--out", str(folder / "results"), "--target", target]) == 0
    run = store.load(*store.runs(folder / "results"))
    found = verdict.judge([run])
    return {result.step.stage: result for result in run.results}, {each.indicator: each for each in found}


def test_a_breaker_opens_and_closes_in_a_guest(tmp_path):
    results, findings = measured(tmp_path, "lab", breaker=(6, 12))
    print({name: (each.estimate and each.estimate.estimate, each.reasons) for name, each in findings.items()})
    assert 0 < findings["APP-03"].scores[0] < 5
    assert 0 <= findings["APP-03.close"].scores[0] < 20
    assert findings["APP-03.fast"].estimate.n > 10
    assert {event.action for event in results["breaker"].events if event.actor == "gateway"} >= {"a down", "a up"}


def test_an_update_loses_nothing_and_a_replica_little_in_a_container(tmp_path):
    results, findings = measured(tmp_path, "lab-podman", update=(1, 2), replica=(3, 4), canary=(6, 1), limit=(6, 1))
    print({name: (each.estimate and each.estimate.estimate, each.reasons) for name, each in findings.items()})
    assert findings["CON-06"].scores == (0.0,)
    assert findings["APP-04.lost"].scores[0] < 0.2
    assert 0 < findings["APP-04.discovery"].scores[0] < 10
    assert findings["APP-05.canary"].scores[0] < 0.9
    assert findings["APP-05"].scores[0] < 0.5
    answers = [series.labels["request"] for series in results["update"].series
               if series.metric == "app.latency" and series.labels.get("stat") == "part"]
    assert {name.rpartition("/")[2] for name in answers} >= {"1]", "2]"}      # both versions answered
