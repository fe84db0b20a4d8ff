"""Machines by their specs, and that nothing outlives a controller, however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import shell
from drivers.shell import Local, guard, owner
from harness.errors import InputError, TargetError, ToolError

ROOT = Path(__file__).parents[3]
CONTROLLER = """
import sys, threading
from drivers import shell
def work(machine):
    with machine.private(sys.argv[1]) as place:
        place.write("there", b"x")
        with place.start(["sh", "-c", "echo $$ >background; exec sleep 600"]):
            place.run(["sh", "-c", "(setsid sh -c 'echo $$ >child; exec sleep 600') & echo $$ >first; sleep 600"],
                      timeout=600)
work(shell.open("local"))
"""


def controller(folder):
    """Start a controller that is busy; return it and the processes that it started."""
    process = subprocess.Popen([sys.executable, "-c", CONTROLLER, str(folder)], cwd=ROOT, stderr=subprocess.PIPE)
    found = [number(process, folder, name) for name in ("background", "child", "first")]
    return process, found


def number(process, folder, name):
    """Return the number that stands in a file once it is there."""
    for _ in waiting(60):
        for path in folder.glob(f"*/{name}"):
            if text := path.read_text().strip():
                return int(text)
        assert process.poll() is None, process.stderr.read()
    raise AssertionError(f"{name} was not started")


def waiting(seconds):
    """Yield until time is up; each look at the system takes a process's time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        subprocess.run(["true"], check=True)


def living(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_controller(tmp_path, how):
    process, started = controller(tmp_path)
    assert all(map(living, started))
    process.send_signal(how)
    process.communicate(timeout=60)
    for _ in waiting(30):
        if not any(map(living, started)) and not list(tmp_path.iterdir()):
            break
    assert [pid for pid in started if living(pid)] == []
    assert list(tmp_path.iterdir()) == []


def test_a_mark_is_found_in_every_descendant(tmp_path):
    machine = Local()
    machine.cwd = str(tmp_path)
    with machine.start(["sh", "-c", "setsid sh -c 'echo $$ >pid; exec sleep 600' & wait"]) as job:
        for _ in waiting(30):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
                break
        pid = int((tmp_path / "pid").read_text())
        mark = next(word for word in Path(f"/proc/{pid}/environ").read_text().split("\0")
                    if word.startswith(guard.MARK)).partition("=")[2]
        assert pid in list(guard.marked(mark))
        assert pid not in list(guard.marked(mark[:-1]))
        job.stop()
        assert list(guard.marked(mark)) == []


def test_owners_and_marks_never_meet():
    assert len({owner.new() for _ in range(100)}) == 100
    assert len({guard.local().new_mark() for _ in range(100)}) == 100


@pytest.mark.parametrize("spec", [
    "", "here", "LOCAL", "local:", "ssh:host", "ssh://", "ssh://host/path", "ssh://user@", "ssh://host:port", "ssh://-oX",
    "ssh://a b", "ssh://-l@host", "netns:", "netns:a/b", "netns:../x", "docker:x", "lab:hZ", "lab:",
])
def test_a_malformed_spec_is_refused(spec):
    with pytest.raises(InputError):
        shell.open(spec)


@given(st.text(max_size=30))
def test_any_text_is_a_machine_or_refused(text):
    try:
        machine = shell.open(text)
    except (InputError, TargetError):
        return
    assert text == "local" or text.startswith("ssh://")
    assert machine.name == text


@pytest.mark.parametrize("spec", [
    "ssh://host", "ssh://root@host", "ssh://root@host:2222", "ssh://host.example.org", "ssh://10.0.0.1",
    "ssh://root@[fe80::1]:22", "ssh://DOMAIN\\user@host",
])
def test_a_well_formed_address_is_opened_without_connecting(spec):
    assert shell.open(spec).name == spec


def test_a_network_namespace_that_is_not_there_is_named():
    with pytest.raises(TargetError, match="no-such-namespace"):
        shell.open("netns:no-such-namespace")


def test_a_private_directory_is_private_and_goes(tmp_path):
    with Local().private(str(tmp_path)) as machine:
        place = Path(machine.cwd)
        assert place.stat().st_mode & 0o777 == 0o700
        machine.write("x", b"1")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TargetError, match="gone"):
        machine.run(["true"], timeout=10)


def test_a_private_directory_needs_a_place():
    with pytest.raises(TargetError, match="No such file"), Local().private("/no/such/place"):
        pass


def test_an_environment_of_its_own(monkeypatch):
    monkeypatch.setenv("LEAK", "1")
    done = Local(environment={"HOME": "/x"}).run(["env"], timeout=10).stdout.splitlines()
    names = {line.partition("=")[0] for line in done}
    assert names == {"HOME", "LC_ALL", "PATH", guard.MARK}
    assert "LEAK=1" in Local().run(["env"], timeout=10).stdout.splitlines()


def nicer(by):
    """Return the niceness of a command that is started so much nicer than these tests, which may run niced."""
    return min(19, os.nice(0) + by)


def test_a_launcher_enters_with_the_working_directory(tmp_path):
    machine = Local("entered", prefix=("nice", "-n", "1"))
    machine.cwd = str(tmp_path)
    assert machine.run(["sh", "-c", "nice; pwd"], timeout=10).stdout == f"{nicer(1)}\n{tmp_path}\n"
    with pytest.raises(ToolError, match="no-such-tool"):
        machine.run(["no-such-tool"], timeout=10)
    assert machine.run(["sh", "-c", "exit 127"], timeout=10).code == 127


def test_a_program_inside_a_machine_is_entered_through_its_launcher():
    machine = shell.Inside(Local(), ("nice", "-n", "2"), "inner", address="192.0.2.1", cwd="/")
    done = machine.run(["sh", "-c", "nice; pwd; exit 5"], timeout=10)
    assert (done.stdout, done.code, done.argv[0]) == (f"{nicer(2)}\n/\n", 5, "sh")
    with pytest.raises(ToolError, match="no such program on inner"):
        machine.run(["no-such-tool"], timeout=10)


def test_an_argument_with_a_null_byte_is_refused():
    with pytest.raises(ToolError):
        Local().run(["echo", "a\0b"], timeout=10)


def test_a_background_command_that_is_interrupted_is_ended():
    with suppress(KeyboardInterrupt), Local().start(["sleep", "600"]) as job:
        mark = job._job._mark
        assert list(guard.marked(mark))
        raise KeyboardInterrupt
    assert list(guard.marked(mark)) == []


def test_an_interrupt_while_waiting_ends_the_command(tmp_path):
    machine = Local()
    machine.cwd = str(tmp_path)
    pid, main = tmp_path / "pid", threading.get_ident()

    def interrupt():
        for _ in waiting(60):
            if pid.exists() and pid.read_text().strip():
                signal.pthread_kill(main, signal.SIGINT)
                break

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        machine.run(["sh", "-c", "echo $$ >pid; exec sleep 600"], timeout=120)
    thread.join()
    assert not living(int((tmp_path / "pid").read_text()))


def test_a_process_that_nobody_holds_any_more_ends():
    mark = guard.local().new_mark()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = Local().popen(["sleep", "600"], mark, **pipes)
    pid = process.pid
    del process
    assert not living(pid)


def test_a_process_that_never_began_leaves_nothing_to_end():
    begun = []
    with pytest.raises(ToolError, match="no-such-tool"):
        Local().popen(["no-such-tool"], "m", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, begun=begun)
    begun[0].reap()


def test_the_guard_does_not_carry_a_mark_itself():
    guard.local()
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")
            if b"virtmark-guard" in _command_line(folder) and guard.local().owner.encode() in _command_line(folder)]
    assert len(pids) == 1
    assert guard.MARK.encode() not in Path(f"/proc/{pids[0]}/environ").read_bytes()
    assert os.getsid(pids[0]) != os.getsid(0)


def _command_line(folder):
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def test_directories_of_dead_controllers_are_cleaned_and_no_others(tmp_path):
    script = "from drivers.shell import owner; print(owner.new_name('work'))"
    dead = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    (tmp_path / dead.stdout.strip() / "sub").mkdir(parents=True)
    (tmp_path / "virtmark-mine").mkdir()
    with Local().private(str(tmp_path)) as machine:
        assert [line.endswith(dead.stdout.strip()) for line in Local().clean(str(tmp_path))] == [True]
        assert Path(machine.cwd).is_dir()
    assert os.listdir(tmp_path) == ["virtmark-mine"]
    assert Local().clean(str(tmp_path)) == Local().clean("/no/such/place") == []
