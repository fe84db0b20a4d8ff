"""A question over 1,000 runs of 200 steps: by the index, beside reading the files in plain Python, in the same run.

The target is under 2 s and 1 GiB for `virtmark query` on an index that is there, on two cores; `extra_info` holds what
the whole command took as a process of its own, how much memory it had at most, and how long it took to index the runs.
With --benchmark-disable there are 20 runs and nothing is timed. Memory and equal answers decide, never the time.
"""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from analysis.questions import engine
from harness import codec, store
from harness.model import Plan, Repetition, Run, Scenario, Series, Stage, Status, Step, StepResult

ROOT = Path(__file__).parents[2]
RUNS, STEPS, FEW = 1000, 200, 20
SQL = """SELECT target, point, count(*) AS n, avg(value) AS mean, max(value) AS most FROM series
         WHERE series = 'memory.bandwidth' GROUP BY ALL ORDER BY target, point"""
FINDINGS = """SELECT r.version, f.point, avg(f.value) AS mean FROM findings f JOIN runs r USING (run)
              WHERE f.indicator = 'MEM-01' GROUP BY ALL ORDER BY ALL"""


def steps(target):
    return tuple(Step(id=f"p{at % 10}#{at // 10}", stage=f"p{at % 10}", workload="memory", point=f"p{at % 10}", grid={},
                      params={"measure": "bandwidth", "span": "64MiB", "duration": "1s"}, arm={}, round=at // 10,
                      order=at, target=target) for at in range(STEPS))


def result(step, values, rates):
    labels = {"tool": "sysbench", "operation": "read", "part": "all", "threads": "1", "where": "guest"}
    return StepResult(
        step=step, status=Status.DONE, started="2026-10-01T10:00:00.000Z", elapsed=1.2,
        conditions={"load.before": 0.1, "load.after": 0.3, "controller.cpu": 0.02},
        series=(Series(metric="memory.bandwidth", unit="B/s", values=(float(values),), labels=labels),),
        telemetry=(Series(metric="cpu.busy", unit="1", values=tuple(map(float, rates)), times=(0.0, 0.5, 1.0),
                          labels={"source": "host"}),))


def write(folder, number, rng):
    target = f"target-{number % 10}"
    planned = steps(target)
    scenario = Scenario(name="synthetic", title="Made up", repetition=Repetition(rounds=STEPS // 10),
                        stage=tuple(Stage(workload="memory", name=f"p{at}") for at in range(10)))
    run = Run(plan=Plan(campaign=f"c{number}", scenario=scenario, target=target, seed=1, steps=planned),
              facts={"target": {"vendor": "Made up", "product": "None", "version": str(number // 100),
                                "accelerator": "simulated", "simulated": "true"}},
              created="2026-10-01T10:00:00Z", version="0")
    store.create(folder, run, {"driver": "fake"})
    values, rates = 1e10 * rng.lognormal(0, 0.05, STEPS), rng.random((STEPS, 3))
    lines = [codec.encode(result(*each)) for each in zip(planned, values, rates, strict=True)]
    (folder / store.STEPS).write_bytes(b"\n".join(lines) + b"\n")


@pytest.fixture(scope="module")
def place(request, tmp_path_factory):
    """Folders of runs in a cold cache; how many there are depends on whether anything is timed."""
    out = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(1)
    for number in range(FEW if request.config.getoption("benchmark_disable") else RUNS):
        write(out / "runs" / f"target-{number % 10}" / f"{number:05d}-synthetic", number, rng)
    return out


def by_index(place, sql=SQL):
    with engine.ask(sql, store.runs(place / "runs"), cache=place / "cache/virtmark/query") as (rows, _):
        return [tuple(row.values()) for row in rows.read_all().to_pylist()]


def in_plain_python(place):
    found = defaultdict(list)
    for path in sorted((place / "runs").glob("*/*/steps.jsonl")):
        with path.open() as lines:
            for line in lines:
                read = json.loads(line)
                for series in read["series"]:
                    if series["metric"] == "memory.bandwidth":
                        found[read["step"]["target"], read["step"]["point"]] += series["values"]
    return [(*key, len(values), sum(values) / len(values), max(values)) for key, values in sorted(found.items())]


def command(place, sql):
    """Run `virtmark query` and return its answer, the s it took, and the most memory it had in B."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "harness", "query", sql, "--in", str(place / "runs"), "--json"],
                               cwd=ROOT, env=os.environ | {"XDG_CACHE_HOME": str(place / "cache")},
                               stdout=subprocess.PIPE)
    text = process.stdout.read()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return json.loads(text), time.perf_counter() - begin, 1024 * used.ru_maxrss


@pytest.mark.benchmark(group="a question over 1,000 runs of 200 steps: the index beside plain Python")
@pytest.mark.parametrize("way", [by_index, in_plain_python])
def test_question(benchmark, way, place):
    runs = store.runs(place / "runs")
    if way is by_index:
        begin = time.perf_counter()
        _, _, first = command(place, SQL)
        _, _, judged = command(place, FINDINGS)
        benchmark.extra_info["s to index, series and findings"] = round(time.perf_counter() - begin, 1)
        assert max(first, judged) < 2**30
        for name, sql in (("series", SQL), ("findings", FINDINGS)):
            _, took, memory = command(place, sql)
            assert memory < 2**30
            benchmark.extra_info |= {f"s of the whole command, {name}": round(took, 2),
                                     f"MiB at most, {name}": round(memory / 2**20)}
        benchmark.extra_info["runs"] = len(runs)
        print("\n", dict(benchmark.extra_info))
    found = benchmark.pedantic(way, (place,), rounds=3, warmup_rounds=1)
    assert sum(row[2] for row in found) == len(runs) * STEPS
    if way is by_index:
        wanted = in_plain_python(place)
        assert [row[:3] for row in found] == [row[:3] for row in wanted]
        assert [row[3] for row in found] == pytest.approx([row[3] for row in wanted])
