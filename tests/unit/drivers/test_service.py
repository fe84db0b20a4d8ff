"""The service of several parts: what its gateway is told, what a watcher prints, and what is refused in one line."""

import json
import shutil
import subprocess

import pytest

from drivers import service
from drivers.service import Ports
from drivers.workloads import _service
from drivers.workloads._probing import Offset
from drivers.workloads.microservice import Microservice
from harness import codec, store
from harness.cli import main
from harness.errors import InputError

PORTS = Ports(*range(20001, 20009))


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed here")
@pytest.mark.parametrize("settings", [{}, {"limit": 50.0}, {"canary": 0.01}, {"canary": 0.99}])
def test_the_gateway_takes_its_configuration(tmp_path, settings):
    file = tmp_path / "gateway.cfg"
    file.write_text(service.gateway(PORTS, patience=5.0, **settings))
    done = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_weights_are_the_share_that_is_asked_for():
    text = service.gateway(PORTS, patience=5.0, canary=0.25)
    assert f"server a 127.0.0.1:{PORTS.a} weight 192" in text
    assert f"server b 127.0.0.1:{PORTS.b} weight 64" in text
    assert "deny_status" not in text
    assert "deny_status 429 if { sc_gpc0_rate(0) ge 40 }" in service.gateway(PORTS, patience=5.0, limit=40.0)


def test_what_finds_a_replica_does_not_find_who_looks_for_it():
    argv = " ".join(service.replica("b", 2, PORTS, "shop.py"))
    assert '"name":"b"' in argv
    assert '"name":"b"' not in service.pattern("b")


def test_changes_of_replicas_are_events_between_two_looks():
    def line(start, end, **states):
        return json.dumps({"from": start * 10**9, "to": end * 10**9, "servers": {
            name: {"state": state, "weight": "128", "requests": "1"} for name, state in states.items()}})

    text = "\n".join([line(99, 100, a="UP", b="UP"), line(105, 106, a="UP", b="DOWN"), line(110, 111, a="UP", b="UP"),
                      '{"from": 112'])
    found = _service.seen(text, Offset(0.5, 0.0), 100.0)
    assert [(event.action, event.start, event.end) for event in found] == [("b down", 5.5, 6.5), ("b up", 10.5, 11.5)]


@pytest.mark.parametrize(("params", "words"), [
    ({"happens": "flood"}, "'flood' is unknown; allowed: breaker, replica, update, limit, canary"),
    ({"happens": "breaker", "rate": "1/s"}, "rate must be between 2/s and 1000/s"),
    ({"happens": "breaker", "hold": "0s"}, "at least 1s"),
    ({"happens": "canary", "canary": "100%"}, "canary must be between 1% and 99%"),
    ({"happens": "replica", "request": "FETCH /"}, "request: 'FETCH /' is none"),
])
def test_what_cannot_be_is_refused_in_one_line(params, words):
    with pytest.raises(InputError, match=words):
        codec.convert(Microservice, params, "stage[0]")


def test_a_simulated_platform_starts_no_real_servers(tmp_path):
    assert main(["run", "microservice", "--quick", "--out", str(tmp_path), "--target", "fake"]) in (0, 2)
    (run,) = [store.load(folder) for folder in store.runs(tmp_path)]
    assert {result.status.value for result in run.results} <= {"unsupported", "broken"}
    assert all("not simulated" in result.error or "missing" in result.error for result in run.results)
