"""Every command and file is kept as it was, with its hash; secrets are the one exception."""

import hashlib
from contextlib import contextmanager

import pytest

from harness import evidence, masking, plan
from harness.clock import FakeClock
from harness.errors import ToolError
from harness.model import Scenario, Stage
from harness.protocols import Completed

STEP = plan.make([Scenario(name="q", title="Q", stage=(Stage(workload="toyload", grid={"depth": (1,)}),))],
                 ["here"], seed=1).plans[0].steps[0]
ODD = b"\x00\xff\xfe text \xc3\xa9\r\n"


class Stopped:
    """A background command that says what it printed."""

    def __init__(self, done):
        self.done = done

    def stop(self):
        return self.done


class Answers:
    """A machine that gives one answer to everything."""

    name, address = "guest-1", "10.0.0.1"

    def __init__(self, clock, *, out=b"", err="", code=0):
        self.clock, self.out, self.err, self.code = clock, out, err, code
        self.files = {"/tmp/hist.log": ODD}

    def run(self, argv, *, timeout, stdin=b""):
        if argv[0] == "absent":
            raise ToolError("absent: not there")
        self.clock.sleep(2.0)
        return Completed(argv=tuple(argv), code=self.code, stdout=self.out.decode("utf-8", "surrogateescape"),
                         stderr=self.err, elapsed=2.0)

    @contextmanager
    def start(self, argv):
        yield Stopped(self.run(argv, timeout=1))

    def read(self, path):
        return self.files[path]

    def write(self, path, data):
        self.files[path] = data


@pytest.fixture
def recorder(tmp_path):
    clock = FakeClock(100.0)
    return evidence.Recorder(tmp_path, STEP, clock)


def test_output_is_kept_to_the_byte(recorder, tmp_path):
    machine = recorder.machine(Answers(recorder.clock, out=ODD, err="a warning\n", code=3))
    recorder.clock.sleep(1.0)
    done = machine.run(["/usr/bin/fio", "--x"], timeout=5)
    assert done.code == 3
    out, err = sorted(recorder.kept(), key=lambda item: item.path, reverse=True)
    assert (tmp_path / out.path).read_bytes() == ODD
    assert out.path == f"raw/00000-{STEP.id.replace(':', '_')}/01-fio.out"
    assert (out.sha256, out.size) == (hashlib.sha256(ODD).hexdigest(), len(ODD))
    assert (out.argv, out.code, out.source, out.start, out.elapsed) == (
        ("/usr/bin/fio", "--x"), 3, "guest-1", 1.0, 2.0)
    assert (tmp_path / err.path).read_bytes() == b"a warning\n"


def test_every_way_of_using_a_machine_is_kept(recorder, tmp_path):
    machine = recorder.machine(Answers(recorder.clock, out=b"said"))
    machine.write("/tmp/job.fio", b"[job]")
    with machine.start(["iperf3", "-s"]):
        machine.run(["iperf3", "-c"], timeout=1, stdin=b"input")
    assert machine.read("/tmp/hist.log") == ODD
    assert (machine.name, machine.address) == ("guest-1", "10.0.0.1")
    kept = {item.path.rpartition("/")[2]: (tmp_path / item.path).read_bytes() for item in recorder.kept()}
    assert kept == {"01-job.fio.in": b"[job]", "02-iperf3.out": b"said", "03-iperf3.in": b"input",
                    "03-iperf3.out": b"said", "04-hist.log": ODD}
    assert [item.source for item in recorder.kept()] == [
        "guest-1:/tmp/job.fio", "guest-1", "guest-1", "guest-1", "guest-1:/tmp/hist.log"]


def test_a_hundred_calls_stay_in_order(recorder):
    machine = recorder.machine(Answers(recorder.clock))
    for number in range(102):
        machine.run(["echo", str(number)], timeout=1)
    assert [item.argv[1] for item in recorder.kept()] == [str(number) for number in range(102)]


def test_what_a_background_command_printed_is_kept_when_the_step_dies(recorder, tmp_path):
    machine = recorder.machine(Answers(recorder.clock, out=b"the last words"))

    def dies():
        with machine.start(["server"]):
            raise ToolError("the step died")

    with pytest.raises(ToolError, match="the step died"):
        dies()
    assert [(tmp_path / item.path).read_bytes() for item in recorder.kept()] == [b"the last words"]


def test_a_command_that_never_ran_leaves_no_file(recorder, tmp_path):
    with pytest.raises(ToolError):
        recorder.machine(Answers(recorder.clock)).run(["absent"], timeout=1)
    assert recorder.kept() == ()
    assert list(tmp_path.iterdir()) == []
    recorder.sync()


def test_secrets_are_masked_before_the_hash_is_taken(tmp_path):
    recorder = evidence.Recorder(tmp_path, STEP, FakeClock(), masking._mask({"hunter2"}))
    recorder.machine(Answers(recorder.clock, out=b"pw=hunter2")).run(["tool", "--pw=hunter2"], timeout=1)
    (kept,) = recorder.kept()
    assert kept.argv == ("tool", "--pw=***")
    assert (tmp_path / kept.path).read_bytes() == b"pw=***"
    assert kept.sha256 == hashlib.sha256(b"pw=***").hexdigest()


@pytest.mark.parametrize(("id_", "name"), [
    ("disk:depth=1,block=4KiB@where=host#3", "00000-disk_depth=1,block=4KiB@where=host#3"),
    ("x:path=/etc/../..#0", "00000-x_path=_etc_.._..#0"),
    ("y:" + "a" * 300, "00000-y_" + "a" * 118),
])
def test_folder_names_stay_below_raw(id_, name):
    import msgspec

    assert evidence.name(msgspec.structs.replace(STEP, id=id_)) == name
