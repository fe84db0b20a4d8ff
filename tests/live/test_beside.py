"""Load beside a workload on this machine: the real generator, from the first guest to the workload's end."""

import importlib.util
import json

import pytest

import drivers.workloads
from harness import profile, store, verdict
from harness.cli import main
from harness.history import NEVER, columns
from harness.indicators import beside
from harness.model import Status
from harness.stats.records import Verdict
from tests.support import generator

pytestmark = [pytest.mark.live, pytest.mark.skipif(
    not importlib.util.find_spec("locust"), reason="Locust is not installed: pip install 'virtmark[load]'")]
STALL = 2.0       # s


@pytest.fixture(autouse=True)
def toys(monkeypatch, request):
    folder = request.config.rootpath / "tests/plugins/workloads"
    monkeypatch.setattr(drivers.workloads, "__path__", [*drivers.workloads.__path__, str(folder)])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with generator.serving(generator.page(tmp_path_factory.mktemp("page"))) as (server, url):
        yield server, url


def campaign(folder, background, workload="toystall", **params):
    """Run a stage on this machine; return exit status and the run."""
    written = ", ".join(f"{key} = {json.dumps(value)}" for key, value in params.items())
    text = generator.BESIDE.format(workload=workload, params=written, background=background)
    (folder / "stall.toml").write_text(text)
    code = main(["run", str(folder / "stall.toml"), "--target", "bare", "--out", str(folder / "results")])
    return code, store.load(next(folder.glob("results/bare/2*")))


def test_a_stall_of_the_service_is_seen_by_the_load_beside_it(tmp_path, page):
    server, url = page
    code, run = campaign(tmp_path, f'url = "{url}", rate = "20/s"', pid=server.pid, length=f"{STALL}s")
    (result,) = run.results
    assert (code, result.error) == (0, "")
    stall, load = sorted(result.events, key=lambda event: -event.start)
    assert (load.actor, load.action) == ("load", "beside")
    assert load.start < stall.start - 2.9      # requests went on before the workload did
    (history,) = result.histories
    seen = columns(history)
    assert history.kind == "load"
    assert (seen.latency != NEVER).all()
    findings = {each.indicator: each for each in verdict.judge([run], profile.load("example")) if each.estimate}
    assert findings["LOAD-01"].scores == (0.0,)
    assert findings["LOAD-02"].scores[0] > 0.5
    slack = beside.late(result) / 1e9 + 2 / 20      # how slow this machine is anyhow, and the spacing
    assert STALL - slack <= findings["LOAD-03"].scores[0] <= stall.end - stall.start + slack
    if findings["LOAD-03"].verdict is Verdict.INVALID:      # a busy machine: then the generator's lateness is why
        assert any("send lag" in reason for reason in findings["LOAD-03"].reasons)


def test_the_page_of_the_guests_own_witness_is_loaded_where_no_address_is_given(tmp_path):
    code, run = campaign(tmp_path, 'rate = "20/s"', workload="application", rate="10/s", duration="2s")
    (result,) = run.results
    assert (code, result.error) == (0, "")
    (history,) = result.histories
    seen = columns(history)
    assert (seen.latency != NEVER).all()
    assert seen.sent[0] / 1e9 < min(event.start for event in result.events if event.action == "level")
    assert any(kept.path.endswith("env.out") and '"until":"told"' in " ".join(kept.argv) for kept in result.evidence)


def test_what_went_wrong_in_the_workload_is_told_and_the_load_ends_and_is_kept(tmp_path, page):
    server, url = page
    code, run = campaign(tmp_path, f'url = "{url}", rate = "20/s"', pid=server.pid, quiet="1s", trouble=True)
    (result,) = run.results
    assert (code, result.status) == (2, Status.BROKEN)
    assert result.error == "KeyError: 'a bug in a workload'"
    assert result.histories[0].count > 20


def test_a_service_that_cannot_be_reached_is_one_line_and_the_workload_is_not_begun(tmp_path, page):
    url = f"http://127.0.0.1:{generator.free_port()}"
    code, run = campaign(tmp_path, f'url = "{url}", rate = "20/s"', pid=page[0].pid)
    (result,) = run.results
    assert code == 2
    assert result.error == f"ToolError: background: locust: {url}: cannot be reached: Connection refused"
    assert result.events == ()
