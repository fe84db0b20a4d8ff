"""Other people's results as a run: recorded output of the real tools, and everything that is refused."""

import hashlib
import json
from pathlib import Path

import pytest

from drivers import imported
from harness import codec
from harness.errors import InputError
from harness.indicators import catalogue
from harness.model import Run, Status
from harness.stats.records import DEFAULT_POLICY

DATA = Path(__file__).parents[2] / "data" / "tools"
FIO = DATA / "fio" / "randread-qd32.txt"


def evaluate(run, name):
    indicator = catalogue()[name]
    return indicator.evaluate([each for each in run.results if indicator.applies(each.step)], DEFAULT_POLICY)


def test_fio_becomes_rounds_of_a_disk_point():
    made = imported.load("fio", [FIO, FIO], target="theirs", version="9")
    run = made.run
    assert [result.step.round for result in run.results] == [0, 1]
    assert len({result.step.point for result in run.results}) == 1
    said = json.loads(FIO.read_text())["jobs"][0]
    assert evaluate(run, "STO-01").scores == (said["read"]["iops"], said["read"]["iops"])
    assert run.results[0].step.params == {"pattern": "randread", "depth": 32, "jobs": 1, "block": "4096B",
                                          "duration": "1s", "window": "none"}
    assert run.facts["guest"] == {"tool.fio": "3.33"}
    assert (run.version, run.plan.target) == ("9", "theirs")
    assert all(result.status is Status.DONE for result in run.results)
    assert run.results[0].started.startswith("2026-")


def test_what_is_not_in_the_file_stays_open():
    run = imported.load("fio", [FIO]).run
    (check,) = [each for each in evaluate(run, "STO-01").checks if each.name == "steady state"]
    assert (check.passed, check.note.partition(": ")[2]) == (None, "no rate per window was recorded")
    assert not catalogue()["STO-07"].applies(run.results[0].step)
    network = imported.load("iperf3", [DATA / "iperf3" / "tcp-4.out"]).run
    assert not [row.id for row in catalogue().values() if row.applies(network.results[0].step)
                and row.workload == "network"]
    network = imported.load("iperf3", [DATA / "iperf3" / "tcp-4.out"], params={"path": "cross-host"}).run
    said = json.loads((DATA / "iperf3" / "tcp-4.out").read_text())["end"]["sum_received"]["bits_per_second"]
    assert evaluate(network, "NET-02").scores == (said / 8,)


@pytest.mark.parametrize(("tool", "file", "indicator", "params"), [
    ("iperf3", "iperf3/udp-20M.out", "NET-05", {"measure": "udp", "path": "unknown", "duration": "2s"}),
    ("sysbench", "sysbench/cpu-1.txt", "CPU-01", {"threads": 1, "duration": "1s", "method": "prime", "prime": 20000}),
    ("sysbench", "sysbench/memory-write-2.txt", "MEM-01",
     {"threads": 2, "duration": "1s", "measure": "bandwidth", "operation": "write", "span": "65536KiB"}),
])
def test_each_tool_reaches_its_indicator(tool, file, indicator, params):
    run = imported.load(tool, [DATA / file]).run
    assert run.results[0].step.params == params
    assert evaluate(run, indicator).estimate.n == 1


def test_the_bytes_are_kept_and_hashed():
    made = imported.load("fio", [FIO])
    ((path, data),) = made.raw.items()
    (kept,) = made.run.results[0].evidence
    assert (kept.path, kept.size, kept.sha256) == (path, len(data), hashlib.sha256(FIO.read_bytes()).hexdigest())
    assert path.startswith("raw/00000-")
    assert data == FIO.read_bytes()


def test_a_run_survives_being_stored():
    run = imported.load("sysbench", [DATA / "sysbench" / "cpu-1.txt"]).run
    assert codec.decode(Run, codec.encode(run), "run") == run


def test_several_kinds_of_load_are_several_points():
    run = imported.load("fio", [FIO, DATA / "fio" / "randwrite-qd1.txt", FIO]).run
    assert [(result.step.point, result.step.round) for result in run.results] == [
        (run.plan.steps[0].point, 0), (run.plan.steps[1].point, 0), (run.plan.steps[0].point, 1)]
    assert run.plan.scenario.repetition.rounds == 2
    assert len(run.plan.scenario.stage) == 2


def broken(tmp_path, data):
    path = tmp_path / "result.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("tool", "data", "problem"), [
    ("fio", b"", "fio: printed nothing"),
    ("fio", b"\xff\xfe\x00", "is not text (byte 0); the output of fio is expected"),
    ("fio", FIO.read_bytes()[:3000], "breaks off after"),
    ("fio", FIO.read_bytes().replace(b"fio-3.33", b"fio-2.1.4"), "'fio-2.1.4'; fio 3.0 or later is needed"),
    ("fio", b'{"fio version": "fio-3.33", "jobs": []}', "no job in its JSON"),
    ("fio", b'{"intervals": []}', "an unnamed version"),
    ("iperf3", (DATA / "iperf3" / "refused.out").read_bytes(), "unable to connect to server"),
    ("iperf3", (DATA / "iperf3" / "tcp-1.out").read_bytes().replace(b"iperf 3.12", b"iperf 3.0.7"),
     "'iperf 3.0.7'; iperf 3.1 or later is needed"),
    ("iperf3", FIO.read_bytes(), "start: is missing in its JSON"),
    ("sysbench", b"sysbench 0.4.12:  multi-threaded system evaluation benchmark\n",
     "version 0.4.12:; the output of sysbench 1.x is expected"),
    ("sysbench", b"hello", "no version line"),
    ("sysbench", (DATA / "sysbench" / "cpu-1.txt").read_bytes().replace(b"Prime numbers limit", b"Rows"),
     "neither a cpu nor a memory test"),
    ("sysbench", (DATA / "sysbench" / "cpu-1.txt").read_bytes()[:500], "printed no "),
    ("stopwatch", b"", "tool 'stopwatch' is unknown; there are: fio, iperf3, "),
])
def test_what_cannot_be_read_is_an_input_error_of_one_line(tmp_path, tool, data, problem):
    path = broken(tmp_path, data)
    with pytest.raises(InputError) as caught:
        imported.load(tool, [path])
    assert problem in str(caught.value)
    assert tool == "stopwatch" or str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_jobs_side_by_side_that_were_not_reported_together_are_refused(tmp_path):
    said = json.loads(FIO.read_text())
    said["jobs"] *= 2
    with pytest.raises(InputError, match=r"2 jobs called 'load' ran side by side .* group_reporting=1 is needed"):
        imported.load("fio", [broken(tmp_path, json.dumps(said).encode())])


def test_a_missing_file_and_no_file():
    with pytest.raises(InputError, match=r"nowhere\.json: No such file"):
        imported.load("fio", [Path("/nonexistent/nowhere.json")])
    with pytest.raises(InputError, match="no file is given"):
        imported.load("fio", [])
