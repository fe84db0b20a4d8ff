"""Commands that a guard runs after kill -9 of its controller: the last first, unless their context was left."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.shell import guard

ROOT = Path(__file__).parents[3]
CONTROLLER = """
import sys, time
from contextlib import ExitStack
from drivers.shell import guard
with ExitStack() as stack:
    for word in sys.argv[2:]:
        argv = ["sh", "-c", 'echo "$1" >>"$2"', "sh", word, sys.argv[1]]
        if word.startswith("left"):
            with guard.local().run_at_end(argv):
                pass
        else:
            stack.enter_context(guard.local().run_at_end(argv))
    print("up", flush=True)
    time.sleep(600)
"""


def ended(tmp_path, number, *words):
    """Return what the commands wrote once the guard of a controller that got a signal has done its work."""
    log = tmp_path / "log"
    log.touch()
    with subprocess.Popen([sys.executable, "-c", CONTROLLER, str(log), *words], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "up\n"
        guards = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
    deadline = time.monotonic() + 30
    while any(running(pid) for pid in guards):
        assert time.monotonic() < deadline, "the guard does not end"
        time.sleep(0.01)
    return log.read_text().splitlines()


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_kill_9_runs_them_the_last_one_first(tmp_path):
    assert ended(tmp_path, signal.SIGKILL, "one", "two", "it's \"odd\" $HOME; *") == [
        "it's \"odd\" $HOME; *", "two", "one"]


def test_those_whose_context_was_left_do_not_run(tmp_path):
    assert ended(tmp_path, signal.SIGKILL, "one", "left two", "three") == ["three", "one"]


def test_a_controller_that_ends_in_order_leaves_none_to_run(tmp_path):
    assert ended(tmp_path, signal.SIGINT, "one", "two") == []


def test_a_command_of_several_lines_is_refused():
    with pytest.raises(ValueError, match="one line"), guard.local().run_at_end(["echo", "a\nb"]):
        pass
