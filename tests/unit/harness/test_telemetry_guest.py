"""The sampler in guests: real shells, output recorded in an emulated guest and a container, and trouble."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import telemetry
from harness.errors import TargetError, ToolError
from harness.protocols import Completed
from harness.telemetry.counters import TICKS, window
from harness.telemetry.guest import command, parse

DATA = Path(__file__).parents[2] / "data" / "observe"


def metric(found, name):
    return next(s for s in found if s.metric == name)


class Shell:
    """A machine that is a real shell; only what the sampler needs of one."""

    name, address = "shell", "127.0.0.1"

    @contextmanager
    def start(self, argv):
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        read = []

        class Background:
            def stop(self):
                os.killpg(child.pid, signal.SIGTERM)
                return Completed(argv=tuple(argv), code=child.wait(), stdout="".join(read) + child.stdout.read())

        try:
            while sum(line.startswith("@") for line in read) < 3 and child.poll() is None:
                read.append(child.stdout.readline())
            yield Background()
        finally:
            child.wait()
            child.stdout.close()


    def run(self, argv, *, timeout):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
        self.rehearsal = done.stdout
        return Completed(argv=tuple(argv), code=done.returncode, stdout=done.stdout)


def test_a_short_step_is_read_before_and_after():
    machine = Shell()
    with telemetry.guest(machine, rate=0) as inside:
        before = machine.rehearsal
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"], check=True)
    assert before.count("@ ") == machine.rehearsal.count("@ ") == 1
    assert inside.notes == ()
    assert len(metric(inside.series(), "cpu.busy").values) == 1
    assert 0 <= inside.conditions()["guest.busy"] <= 1
    assert "guest.telemetry.cost" not in inside.conditions()   # nothing of it ran in the step


@pytest.mark.parametrize(("after", "said"), [
    ("boot another\nscope guest\n@ 99", "printed: boot another"), ("", "printed: nothing"),
    ("swap", "the guest booted meanwhile")])
def test_a_guest_that_booted_or_fell_silent_in_a_short_step_is_not_observed(after, said):
    class Rebooted(Shell):
        def run(self, argv, *, timeout):
            done = super().run(argv, timeout=timeout)
            said = done.stdout.replace("boot ", "boot 0") if after == "swap" else after
            return done if first.pop() else Completed(argv=done.argv, code=0, stdout=said)

    first = [False, True]
    with telemetry.guest(Rebooted(), rate=0) as inside:
        pass
    assert said in inside.notes[0]
    assert inside.series() == ()
    assert inside.conditions() == {}


class Broken(Shell):
    def __init__(self, at):
        self.at = at

    @contextmanager
    def start(self, argv):
        if self.at == "start":
            raise ToolError("sh: not found")

        class Background:
            def stop(self):
                raise TargetError("guest: gone")

        yield Background()


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox"])
def test_the_sampler_runs_in_a_real_shell(shell):
    if not (path := shutil.which(shell)):
        pytest.skip(f"no {shell} here")
    *_, period, count, seconds, script = command(rate=20.0)
    assert int(seconds) == 4 * 3600
    argv = [path, *(["sh"] if shell == "busybox" else []), "-c", script, "telemetry", period, "3", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    scope, samples, _ = parse(done.stdout)
    assert done.stderr == ""
    assert (scope, len(samples), count) in {("guest", 3, "288000"), ("host", 3, "288000")}
    assert samples[-1].time >= 0.08  # two pauses of 50 ms, on a clock that counts in 10 ms
    assert all(sample.values["memory.used"] > 0 for sample in samples)


def test_a_guest_is_watched_while_the_step_runs():
    machine = Shell()
    with telemetry.guest(machine, rate=20.0) as inside:
        assert machine.rehearsal.startswith("boot ")  # one start was waited for, without a sample
        assert "@" not in machine.rehearsal
    assert inside.notes == ()
    used = metric(inside.series(), "memory.used")
    assert len(used.values) >= 2
    assert used.labels["source"] == "guest"
    assert used.labels["machine"] == "shell"


@pytest.mark.parametrize(("where", "said"), [("start", "no telemetry: sh: not found"), ("stop", "lost: guest: gone")])
def test_trouble_with_the_sampler_becomes_a_note(where, said):
    with telemetry.guest(Broken(where)) as inside:
        pass
    assert said in inside.notes[0]
    assert inside.series() == ()
    assert inside.conditions() == {}


RECORDED = sorted(DATA.glob("sampler-*.txt"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.stem)
def test_recorded_output_of_the_sampler(path):
    text = path.read_text()
    scope, samples, cost = parse(text)
    ticks = [[int(x) for x in line.split()[1:9]] for line in text.splitlines() if line.startswith("cpu ")]
    first, last = ticks[0], ticks[-1]
    spent = dict(zip(TICKS, (b - a for a, b in zip(first, last, strict=True)), strict=True))
    assert window(samples)["cpu.steal"] == pytest.approx(spent["steal"] / sum(spent.values()))
    assert window(samples)["cpu.iowait"] == pytest.approx(spent["iowait"] / sum(spent.values()))
    assert samples[0].time == 0.0
    assert scope in {"host", "guest"}
    assert cost >= 0


def test_a_container_sees_the_machine_below_and_how_long_its_quota_held_it_back():
    scope, samples, _ = parse((DATA / "sampler-container-podman.txt").read_text())
    assert scope == "host"
    assert 0.5 < window(samples)["cpu.throttled"] < 1  # it spun, with a quota of a tenth of a CPU
    assert parse((DATA / "sampler-guest-tcg.txt").read_text())[0] == "guest"


@given(st.sampled_from(RECORDED), st.data())
def test_output_cut_short_anywhere_loses_at_most_the_sample_at_the_cut(path, data):
    text = path.read_text()
    cut = data.draw(st.integers(0, len(text)))
    whole, part = parse(text)[1], parse(text[:cut])[1]
    begun = text[:cut].count("\n@ ")
    assert part == whole[:len(part)]
    assert len(part) in {begun, begun - 1}


@given(st.text())
def test_any_text_can_be_parsed(text):
    assert parse(text)[1] == [] or "@ " in text


def test_the_sampler_ends_when_the_shell_that_started_it_is_gone():
    argv = command(rate=50.0, samples=2000)
    argv[-2] = "20"  # so that what pauses it is gone soon too
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        while "@" not in (line := child.stdout.readline()):
            assert line
        child.kill()
        child.wait()
        assert child.stdout.read().count("@") < 1000  # all that it printed until it ended


def test_the_sampler_ends_by_itself():
    done = subprocess.run(command(rate=1000.0, samples=3), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("@ ") == 3
    assert done.stderr == ""
