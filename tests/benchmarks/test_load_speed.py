"""What the load generator is worth beside others on the same local server, in the same run, and what it costs.

Requests per second of processor time are compared, since server and generator share this machine. The figures are in
`extra_info`; only that they were taken decides the tests, since this machine may be busy with other things.
"""

import importlib.util
import json
import re
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from harness.stats import hist_quantile
from harness.stats.histograms import LatencyHistogram
from tests.support import generator

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("locust"), reason="Locust is not installed")
SECONDS = 4.0
# Locust as its users have it: users without wait, its own statistics, no rows.
PLAIN = """
import sys, time
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from locust import FastHttpUser, HttpUser, constant, task
from locust.env import Environment

class Visitor({"fast": FastHttpUser, "plain": HttpUser}[sys.argv[1]]):
    host, wait_time = sys.argv[2], constant(0)
    @task
    def ask(self):
        self.client.get("/")

environment = Environment(user_classes=[Visitor])
runner = environment.create_local_runner()
runner.start(8, spawn_rate=8, wait=True)
before, had = time.process_time(), environment.stats.total.num_requests
gevent.sleep(float(sys.argv[3]))
print(environment.stats.total.num_requests - had, time.process_time() - before, flush=True)
import os
os._exit(0)
"""


@pytest.fixture(scope="module")
def kept():
    with generator.serving(generator.keeping()) as (_, url):
        yield url


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with generator.serving(generator.page(tmp_path_factory.mktemp("page"))) as (_, url):
        yield url


def ours(url, **spec):
    """Return requests per second of processor time of our generator."""
    output = generator.sent(url, 1000.0, SECONDS, **spec)
    assert output.end["written"]
    return output.end["written"] / ((output.end["cpu"] - output.cpu) / 1e9)


def locust(kind, url):
    done = subprocess.run([sys.executable, "-c", PLAIN, kind, url, str(SECONDS)], capture_output=True, text=True,
                          check=True, timeout=120)
    count, cpu = done.stdout.split()[-2:]
    return int(count) / float(cpu)


def wrk(url):
    """Return the same of wrk; its processor time is what a child of this process used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["wrk", "-t1", "-c8", f"-d{SECONDS:.0f}s", url], capture_output=True, text=True, check=True,
                          timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(re.search(r"(\d+) requests in", done.stdout)[1]) / cpu


def test_requests_per_second_of_a_core(benchmark, kept):
    ways = {"virtmark, open": lambda: ours(kept), "virtmark, closed": lambda: ours(kept, model="closed", users=8),
            "Locust, FastHttpUser": lambda: locust("fast", kept), "Locust, HttpUser": lambda: locust("plain", kept)}
    ways |= {"wrk": lambda: wrk(kept)} if shutil.which("wrk") else {}
    order = [*ways, *reversed(ways)]        # ABBA: a machine that slows down slows all alike
    taken = benchmark.pedantic(lambda: [(name, ways[name]()) for name in order], rounds=1)
    found = {name: float(np.exp(np.mean([np.log(value) for which, value in taken if which == name]))) for name in ways}
    benchmark.extra_info.update({f"{name}, requests/s of a core": round(value) for name, value in found.items()})
    benchmark.extra_info.update({f"virtmark, open / {name}": round(found["virtmark, open"] / value, 3)
                                 for name, value in found.items() if name != "virtmark, open"})
    assert all(value > 0 for value in found.values())


def late(output):
    """Return the median and the 99th percentile of how late requests left (s), and in how many seconds too few did."""
    from drivers.load import reading
    from harness.load import levels

    shot = reading.Shot(workers=[output], master=None, seconds=SECONDS)
    made = reading.series(shot, shot.tally(), 0.0, level="level")
    bins = next(each for each in made if each.metric == "app.lag")
    lag = LatencyHistogram.from_seconds(bins.values, bins.weights)
    return hist_quantile(lag, 0.5).mid / 1e9, hist_quantile(lag, 0.99).mid / 1e9, levels(made)[0].short


def test_how_late_requests_leave(benchmark, kept):
    rates, found, held = [100.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0, 6000.0], {}, 0.0
    for rate in rates:
        median, tail, short = late(generator.sent(kept, rate, SECONDS))
        if rate <= 1000 or not short:
            found[rate] = (median, tail)
        if short and rate > 1000:
            break
        held = rate
    benchmark.pedantic(lambda: None, rounds=1)
    for rate in {100.0, 1000.0, held} & found.keys():
        benchmark.extra_info[f"late at {rate:g}/s, median and p99 (ms)"] = [round(1e3 * x, 3) for x in found[rate]]
    benchmark.extra_info["highest rate held (1/s)"] = held
    assert all(np.isfinite(found[100.0]))


def most(outputs):
    """Return the rate of good answers from 1 s to 3 s (1/s)."""
    answered = np.concatenate([(rows["intended"] + rows["latency"])[rows["code"] == 0]
                               for output in outputs for rows in output.rows()])
    return float(np.sum((answered >= 1e9) & (answered < 3e9))) / 2


def test_two_workers_beside_one(benchmark, page):
    users = {"model": "closed", "users": 16}
    one = most([generator.sent(page, 1.0, SECONDS, **users)])
    two = benchmark.pedantic(lambda: most(generator.together(page, 1.0, SECONDS, 2, **users)[0]), rounds=1)
    benchmark.extra_info.update({"1 worker (1/s)": round(one), "2 workers (1/s)": round(two),
                                 "2 / 1": round(two / one, 2)})
    assert min(one, two) > 0


def test_memory_and_output_of_a_million_requests(benchmark, kept):
    process = generator.started({"url": kept, "duration": 20.0, "segments": [[20.0, 1000.0, 1000.0]]})
    output = benchmark.pedantic(process.output, rounds=1)
    before, after = output.end["resident"]
    size = sum(len(line) for line in process.lines)
    count = output.end["written"]
    short = generator.sent(kept, 1000.0, 5.0).end
    benchmark.extra_info.update({
        "growth in 20 s at 1,000/s (MiB)": round((after - before) / 2**20, 2),
        "growth in 5 s at 1,000/s (MiB)": round((short["resident"][1] - short["resident"][0]) / 2**20, 2),
        "output a request (B)": round(size / count, 1), "requests": count})
    assert count == 20000
    assert json.loads(process.lines[-1])["end"]
