"""The load generator against real servers: a stall is seen as the public would see it, and what goes wrong is told."""

import importlib.util
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.load import reading, schedule
from harness import profile, store, verdict
from harness.cli import main
from harness.load import levels
from harness.stats.records import Verdict
from tests.support import generator, sshd

pytestmark = [pytest.mark.live, pytest.mark.skipif(
    not importlib.util.find_spec("locust"), reason="Locust is not installed: pip install 'virtmark[load]'")]
RATE, SECONDS, SEED = 50.0, 9.0, 20261128
STALL_AFTER, STALL = 3.0, 2.0       # s
LOCUSTFILE = """
from locust import HttpUser, constant, task

class Customer(HttpUser):
    wait_time = constant(0.05)
    host = "{url}"

    @task
    def quote(self):
        print("a word of the user's own", end="")
        self.client.get("/quote")

    @task
    def claim(self):
        with self.client.get("/claim", name="claims", catch_response=True) as answer:
            answer.failure("refused by the user's own check")
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with generator.serving(generator.page(tmp_path_factory.mktemp("page"))) as (server, url):
        yield server, url


def latencies(output):
    return np.concatenate([rows["latency"] for rows in output.rows()]) / 1e9


def p99(values):
    return float(np.sort(values)[math.ceil(0.99 * len(values)) - 1])


def test_a_stalled_server_shows_in_the_open_model_as_computed_and_hides_from_the_closed_one(page):
    server, url = page
    spec = {"url": url, "duration": SECONDS, "segments": [[SECONDS, RATE, RATE]], "process": "poisson", "seed": SEED}
    opened, closed = generator.started(spec), generator.started({**spec, "model": "closed", "users": 1})
    assert opened.begun.wait(60)
    threading.Event().wait(opened.begin / 1e9 + STALL_AFTER - time.monotonic())
    server.send_signal(signal.SIGSTOP)
    stopped = time.monotonic_ns()
    threading.Event().wait(STALL)
    resumed = time.monotonic_ns()
    server.send_signal(signal.SIGCONT)
    seen, hidden = latencies(opened.output()), latencies(closed.output())

    due = opened.begin + np.array(list(schedule.arrivals(spec["segments"], "poisson", SEED)))
    assert len(seen) == len(due)
    waits = np.where((due >= stopped) & (due < resumed), resumed - due, 0) / 1e9
    assert p99(waits) > 0.8 * STALL
    assert p99(seen) == pytest.approx(p99(waits), rel=0.05)
    assert hidden.max() > 0.9 * STALL       # the one request that was under way
    assert p99(hidden) < 0.1 * p99(waits)


def test_several_workers_send_one_schedule_and_their_histogram_is_that_of_all_requests(page):
    workers, master = generator.together(page[1], 200.0, 3.0, 2)
    assert not master.error
    assert not master.lost
    due = sorted(at for worker in workers for rows in worker.rows() for at in rows["intended"].tolist())
    assert due == list(schedule.arrivals([(3.0, 200.0, 200.0)], "even"))
    shot = reading.Shot(workers=workers, master=master, seconds=3.0)
    assert shot.clock() == (0.0, 0.0)
    assert np.array_equal(shot.tally().answered, reading.merged(workers).counts)
    assert {len(said["exchanges"]) >= 16 for said in master.clocks.values()} == {True}


def test_a_worker_whose_clock_is_another_begins_when_it_should_and_the_doubt_is_carried(page):
    launcher = ("unshare", "--time", "--monotonic", "5000", "--fork")
    if subprocess.run([*launcher, "true"], capture_output=True).returncode:
        pytest.skip("no time namespace can be made here")
    workers, master = generator.together(page[1], 100.0, 3.0, 1, launcher=launcher)
    shot = reading.Shot(workers=workers, master=master, seconds=3.0)
    ahead = workers[0].begin - master.begin - 5000 * 10**9
    bound, _ = shot.clock()
    assert 0 < bound < 0.05
    assert abs(ahead) / 1e9 < bound
    due = [at for rows in workers[0].rows() for at in rows["intended"].tolist()]
    assert sorted(due) == list(schedule.arrivals([(3.0, 100.0, 100.0)], "even"))


@pytest.fixture
def namespaces():
    """Four network namespaces, each with a link of its own to this machine; yields their names and its address."""
    names = [f"virtmark-w{os.getpid()}{number}" for number in range(4)]
    try:
        for number, name in enumerate(names):
            for line in (f"netns add {name}", f"link add vmw{number} type veth peer name end netns {name}",
                         f"address add 198.18.{number}.1/30 dev vmw{number}", f"link set vmw{number} up",
                         f"-n {name} address add 198.18.{number}.2/30 dev end", f"-n {name} link set end up",
                         f"-n {name} link set lo up", f"-n {name} route add default via 198.18.{number}.1"):
                made = subprocess.run(["ip", *line.split()], capture_output=True, text=True)
                if made.returncode:
                    pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
        yield names, "198.18.0.1"
    finally:
        for number, name in enumerate(names):
            subprocess.run(["ip", "link", "delete", f"vmw{number}"], capture_output=True)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_workers_in_network_namespaces_send_one_schedule(tmp_path, page, namespaces, count):
    names, address = namespaces
    machines = " ".join(f"netns:{name}" for name in names[:count])
    url = f"http://{address}:{page[1].rpartition(':')[2]}"
    code, (run,) = campaign(tmp_path, f'url = "{url}", rate = "120/s", duration = "3s", workers = {count}, '
                                      f'machines = "{machines}", master = "{address}"')
    assert code == 0
    (one,) = levels(run.results[0].series)
    assert (one.requests, one.failed, one.lost) == (360, 0, 0)
    assert one.due.tolist() == [120.0] * 3
    sources = {kept.source for kept in run.results[0].evidence if kept.path.endswith("env.out")}
    assert len(sources) == count + 1


@pytest.mark.skipif(bool(sshd.missing()), reason=sshd.missing())
def test_workers_are_spread_over_machines_by_ssh(tmp_path, page):
    with sshd.running(tmp_path) as server:
        code, (run,) = campaign(tmp_path, f'url = "{page[1]}", rate = "120/s", duration = "3s", workers = 2, '
                                          f'machines = "{server.spec} {server.spec}", ssh_config = "{server.config}"')
    assert (code, run.results[0].error) == (0, "")
    (one,) = levels(run.results[0].series)
    assert (one.requests, one.failed, one.lost) == (360, 0, 0)
    sources = {kept.source for kept in run.results[0].evidence if kept.path.endswith("env.out")}
    assert {source for source in sources if "127.0.0.1" in source}


def pods(manifest, folder):
    """Start the pods of a manifest here, as a node would: its files mounted, its command run, one index each."""
    settings, its = json.loads(manifest)["items"]
    spec = its["spec"]["template"]["spec"]
    (volume,), (container,) = spec["volumes"], spec["containers"]
    for item in volume["configMap"]["items"]:
        (folder / item["path"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / item["path"]).write_text(settings["data"][item["key"]])
    env = {each["name"]: each["value"] for each in container["env"]} | {
        "PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    return [subprocess.Popen(container["command"], env={**env, "JOB_COMPLETION_INDEX": str(index)}, cwd=folder)
            for index in range(its["spec"]["completions"])]


def test_pods_of_a_job_call_the_master_and_send_one_schedule(tmp_path, page, capsys):
    port = generator.free_port()
    assert main(["job", "-n", "2", "-m", "127.0.0.1", "-p", str(port)]) == 0
    running = pods(capsys.readouterr().out, tmp_path / "pod")
    try:
        code, (run,) = campaign(tmp_path, f'url = "{page[1]}", shape = "steps", rate = "60/s", most = "120/s", '
                                          f'growth = 2.0, bisect = 0, duration = "2s", workers = 2, '
                                          f'machines = "pods", master = "127.0.0.1", port = {port}')
    finally:
        for each in running:
            each.kill()
            each.wait()
    assert (code, run.results[0].error) == (0, "")
    found = levels(run.results[0].series)
    assert [(each.requests, each.failed, each.lost) for each in found] == [(120, 0, 0), (240, 0, 0)]


def test_a_worker_of_another_version_is_refused():
    older = f"""import locust, runpy
locust.__version__ = "2.0.0"
runpy.run_module("{reading.MODULE}", run_name="__main__")"""
    with generator.serving(generator.keeping()) as (_, url):
        whole = {"url": url, "segments": [[1, 10, 10]], "duration": 1, "of": 1,
                 "master": ["127.0.0.1", generator.free_port()]}
        worker = generator.started({**whole, "role": "worker"}, before=("-c", older))
        said = generator.started({**whole, "role": "master"}).output()
        worker.process.kill()
        worker.output()
    assert said.error.startswith("worker 1 of 1 has Locust 2.0.0, the master ")


def test_memory_does_not_grow_with_the_run(page):
    before, after = generator.sent(page[1], 500.0, 10.0).end["resident"]
    assert after - before < 16 * 2**20


def campaign(folder, params):
    """Run a stage on this machine; return exit status and results."""
    (folder / "load.toml").write_text(generator.SCENARIO.format(params=params))
    code = main(["run", str(folder / "load.toml"), "--target", "bare", "--out", str(folder / "results")])
    return code, [store.load(run) for run in folder.glob("results/bare/2*")]


def test_the_guests_own_page_is_loaded_from_the_controller(tmp_path):
    code, (run,) = campaign(tmp_path, 'rate = "100/s", duration = "3s"')
    assert code == 0
    (one,) = levels(run.results[0].series)
    assert (one.requests, one.failed) == (300, 0)
    names = {Path(kept.path).name.partition("-")[2] for kept in run.results[0].evidence}
    assert "env.out" in names       # the rows themselves


def test_a_users_own_locustfile_runs_unchanged_and_is_called_closed(tmp_path, page):
    file = tmp_path / "shop.py"
    file.write_text(LOCUSTFILE.format(url=page[1]))
    code, (run,) = campaign(tmp_path, f'model = "closed", users = 3, duration = "3s", locustfile = "{file}"')
    assert code == 0
    (one,) = levels(run.results[0].series)
    assert one.model == "closed"
    assert 0 < one.failed < one.requests
    failed = {each.labels["request"]: each.values[0] for each in run.results[0].series
              if each.metric == "app.failed" and each.labels.get("stat") == "part"}
    assert failed == {"/quote": 0, "claims": one.failed}


@pytest.mark.parametrize(("text", "said"), [
    ("x = 1\n", "defines no class of users"),
    ("from locust import HttpUser\nraise RuntimeError('not today')\n", ":2: RuntimeError: not today"),
    ("from locust import HttpUser, task\nclass A(HttpUser):\n    @task\n    def a(self): pass\n",
     "class A has no host; set `host` in it, or `url` in the scenario"),
])
def test_a_wrong_locustfile_is_one_line(tmp_path, capsys, text, said):
    (tmp_path / "wrong.py").write_text(text)
    code, (run,) = campaign(tmp_path, f'model = "closed", duration = "1s", locustfile = "{tmp_path / "wrong.py"}"')
    assert code == 2
    assert said in run.results[0].error
    assert "\n" not in run.results[0].error
    assert str(tmp_path / "wrong.py") in run.results[0].error
    capsys.readouterr()


def test_a_service_that_refuses_is_one_line(tmp_path):
    code, (run,) = campaign(tmp_path, f'url = "http://127.0.0.1:{generator.free_port()}", duration = "1s"')
    assert code == 2
    assert run.results[0].error.endswith("cannot be reached: Connection refused")


def test_a_port_in_use_is_one_line(tmp_path, page):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, (run,) = campaign(tmp_path, f'url = "{page[1]}", duration = "1s", workers = 2, port = {port}')
    assert code == 2
    assert run.results[0].error == f"ToolError: locust: port {port} of the master cannot be had: Address already in use"


def test_a_lost_worker_makes_the_step_invalid_and_is_named(tmp_path, page):
    (tmp_path / "load.toml").write_text(generator.SCENARIO.format(
        params=f'url = "{page[1]}", rate = "50/s", duration = "20s", workers = 2'))
    argv = [sys.executable, "-m", "harness", "run", str(tmp_path / "load.toml"), "--target", "bare",
            "--out", str(tmp_path / "results")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        victim = worker_of(page[1])
        threading.Event().wait(6)       # it has come, and sends
        os.kill(victim, signal.SIGKILL)
        process.communicate(timeout=90)
    run = store.load(next(tmp_path.glob("results/bare/2*")))
    (event,) = run.results[0].events
    assert "worker 2 of 2 was lost" in event.detail
    assert "exit status 137" in event.detail
    findings = {each.indicator: each for each in verdict.judge([run], profile.load("example")) if each.estimate}
    assert findings["APP-02.p50"].verdict is Verdict.INVALID
    assert any("worker 2 of 2 was lost" in reason for reason in findings["APP-02.p50"].reasons)


def worker_of(url):
    """Return the process id of the second worker that loads `url`, once it is there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if reading.MODULE in line and all(part in line for part in (url, '"role":"worker"', '"index":1')):
                    return int(entry.name)
        threading.Event().wait(0.05)
    raise AssertionError("no worker came")
