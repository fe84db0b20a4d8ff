"""One driver over all recorded runs: the argv that was used, the output that came, and what must be read from it.

The expected values were taken from the output by other means than the parsers under test.
"""

import importlib
import json
from pathlib import Path

import pytest

from drivers.tools import fio
from harness import codec
from harness.errors import ToolError, VirtmarkError
from harness.units import Seconds

DATA = Path(__file__).parents[2] / "data" / "tools"
CASES = sorted(DATA.glob("*/*.json"))
TOOLS = {path.stem for path in Path(fio.__file__).parent.glob("*.py")} - {"__init__", "reading"}


def load(path):
    case = json.loads(path.read_text())
    kind = getattr(importlib.import_module(f"drivers.tools.{case['tool']}"), case["job"])
    return case, codec.convert(kind, case["arguments"], path.name)


def output(path, case):
    files = [path.with_name(name).read_text() for name in case.get("files", {}).values() if case["tool"] == "sockperf"]
    return (path.with_name(case["output"]).read_text(), *files)


def simple(series):
    return {"metric": series.metric, "unit": series.unit, "labels": series.labels,
            "values": list(series.values), "weights": list(series.weights), "times": list(series.times)}


def key(record):
    return (record["metric"], sorted(record["labels"].items()))


def test_every_tool_has_recorded_runs():
    assert {path.parent.name for path in CASES} == TOOLS


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_argv(path):
    case, job = load(path)
    assert job.argv() == case["argv"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_parse(path):
    case, job = load(path)
    if "error" in case:
        with pytest.raises(VirtmarkError, match=case["error"]) as caught:
            job.parse(*output(path, case))
        assert "\n" not in str(caught.value)
        return
    found = sorted(map(simple, job.parse(*output(path, case)) or ()), key=key)
    wanted = sorted(case["expected"], key=key)
    assert [key(record) for record in found] == [key(record) for record in wanted]
    for have, want in zip(found, wanted, strict=True):
        assert have["unit"] == want["unit"]
        assert have["values"] == pytest.approx(want.get("values", [want.get("value")]), rel=1e-12)
        assert have["weights"] == want.get("weights", [])
        assert have["times"] == pytest.approx(want.get("times", []))


@pytest.mark.parametrize("path", [path for path in CASES if "error" not in json.loads(path.read_text())],
                         ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("share", [0.0, 0.15, 0.4, 0.6])
def test_output_cut_short_is_an_error_of_one_line(path, share):
    case, job = load(path)
    text, *files = output(path, case)
    with pytest.raises(ToolError) as caught:
        job.parse(text[:int(len(text) * share)], *files)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(case["argv"][0])


def test_windows_of_two_jobs_are_added():
    log = (DATA / "fio" / "mixed-8k-2jobs.log").read_text()
    rows = [tuple(map(int, line.split(",")[:3])) for line in log.splitlines()]
    read, write = fio.windows(log, "disk.rate", "1/s", Seconds(0.2), {"tool": "fio"})
    assert read.labels == {"tool": "fio", "op": "read", "stat": "series", "window": "0.2"}
    assert len(read.values) * 4 == len(rows)  # two jobs, two directions
    assert sum(read.values) == sum(value for _, value, way in rows if way == 0)
    assert sum(write.values) == sum(value for _, value, way in rows if way == 1)
    assert read.values[:2] == (14635 + 8505, 8755 + 8485)
    assert read.times[:3] == pytest.approx([0.2, 0.401, 0.6])


def test_windows_of_a_job_that_ended_early_are_left_out():
    log = "200, 10, 0, 0, 0\n400, 11, 0, 0, 0\n200, 20, 0, 0, 0\n"
    (series,) = fio.windows(log, "disk.rate", "1/s", Seconds(0.2), {})
    assert (series.values, series.times) == ((30.0,), (0.2,))


def test_windows_of_uneven_length_are_all_kept():
    log = "124, 30419, 0, 0, 0\n175, 14860, 0, 0, 0\n225, 42940, 0, 0, 0\n279, 19018, 0, 0, 0\n"  # a busy machine
    (series,) = fio.windows(log, "disk.rate", "1/s", Seconds(0.05), {})
    assert (series.values, series.times) == ((30419.0, 14860.0, 42940.0, 19018.0), (0.124, 0.175, 0.225, 0.279))


def test_an_empty_log_has_no_windows():
    assert fio.windows("\n", "disk.rate", "1/s", Seconds(1), {}) == []


def test_a_broken_log_names_its_line():
    with pytest.raises(ToolError, match="line 2 of a log"):
        fio.windows("200, 10, 0, 0\n40", "disk.rate", "1/s", Seconds(0.2), {})


def test_old_fio_is_refused():
    text = (DATA / "fio" / "randread-qd32.txt").read_text().replace("fio-3.33", "fio-2.21")
    _, job = load(DATA / "fio" / "randread-qd32.json")
    with pytest.raises(ToolError, match=r"'fio-2\.21'; fio 3\.0 or later"):
        job.parse(text)


def test_a_damaged_histogram_is_refused():
    text = (DATA / "fio" / "randread-qd32.txt").read_text()
    _, job = load(DATA / "fio" / "randread-qd32.json")
    first = next(line for line in text.partition('"bins" : {')[2].splitlines() if ":" in line)
    name, _, count = first.partition(":")
    with pytest.raises(ToolError, match="bins hold"):
        job.parse(text.replace(first, f"{name}: {int(count.strip(' ,')) + 1},", 1))


def test_a_run_that_was_stopped_early_is_no_run():
    _, job = load(DATA / "fio" / "randread-qd32.json")
    text = (DATA / "fio" / "randread-qd32.txt").read_text()
    with pytest.raises(ToolError, match=r"ran 1\.\d* s of 60 s"):
        type(job)(file=job.file, size=job.size, pattern=job.pattern, duration=Seconds(60)).parse(text)


def test_missing_stream_process_is_an_error():
    _, job = load(DATA / "stress_ng" / "stream-2.json")
    text = (DATA / "stress_ng" / "stream-2.txt").read_text()
    with pytest.raises(ToolError, match="1 of 2 processes"):
        job.parse("\n".join(line for line in text.splitlines() if "instance 1" not in line))


def test_a_fatal_message_of_sysbench_is_passed_on():
    _, job = load(DATA / "sysbench" / "cpu-1.json")
    with pytest.raises(ToolError, match=r"^sysbench: Cannot create thread"):
        job.parse("sysbench 1.0.20\n\nFATAL: Cannot create thread, errno = 11\n")
