"""What is broken heals: at the end of the context, by the guard of a killed controller, at the next start."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from drivers import healing
from harness.errors import TargetError

ROOT = Path(__file__).parents[3]
CONTROLLER = """
import sys, time
from contextlib import ExitStack
from contextlib import suppress
from pathlib import Path
from drivers import healing
from drivers.shell import guard
folder, log = Path(sys.argv[1]), sys.argv[2]
with ExitStack() as stack:
    for name in sys.argv[3:]:
        stack.enter_context(healing.broken(folder, "guest-hang", name, (("sh", "-c", f"echo {name} >>{log}"),)))
    print(guard.local()._process.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def places(tmp_path):
    return tmp_path / "faults", tmp_path / "log"


def controller(places, *names):
    return subprocess.Popen([sys.executable, "-c", CONTROLLER, *map(str, places), *names], cwd=ROOT,
                            stdout=subprocess.PIPE, text=True)


def eventually(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def healed(log):
    return log.read_text().split() if log.exists() else []


def test_leaving_the_context_heals_once_and_strikes_it_out(places):
    folder, log = places
    heal = (("sh", "-c", f"echo healed >>{log}"),)
    with suppress(ZeroDivisionError), healing.broken(folder, "guest-hang", "sut", heal) as entry:
        assert healing.standing(folder) == [entry]
        assert healing.left_behind(folder) == []
        assert str(entry) == "guest-hang of sut"
        raise ZeroDivisionError
    assert healing.standing(folder) == []
    assert healed(log) == ["healed"]


def test_commands_of_one_fault_run_the_last_one_first(places):
    folder, log = places
    with healing.broken(folder, "x", "y", tuple(("sh", "-c", f"echo {n} >>{log}") for n in (1, 2))):
        pass
    assert healed(log) == ["2", "1"]


def test_one_that_cannot_be_healed_is_said_and_stays_for_the_next_start(places):
    folder, log = places
    heal = (("sh", "-c", f"test -e {log} || {{ echo it is not there >&2; exit 1; }}"),)
    with pytest.raises(TargetError, match=r"x of y is not healed: .*: it is not there"), \
            healing.broken(folder, "x", "y", heal) as entry:
        pass
    assert healing.standing(folder) == [entry]
    log.touch()
    assert healing.mend(folder, entry.name)
    assert not healing.mend(folder, entry.name)


def test_the_guard_heals_what_a_killed_controller_broke_the_last_one_first(places):
    folder, log = places
    with controller(places, "first", "second") as process:
        assert process.stdout.readline()
        assert len(healing.standing(folder)) == 2
        process.kill()
    eventually(lambda: not healing.standing(folder))
    assert healed(log) == ["second", "first"]


def test_the_next_start_heals_what_a_killed_guard_did_not(places):
    folder, log = places
    with controller(places, "first", "second") as process:
        os.kill(int(process.stdout.readline()), signal.SIGKILL)
        process.kill()
    assert [each.where for each in healing.left_behind(folder)] == ["first", "second"]
    assert healed(log) == []
    assert healing.mend_left(folder) == ["fault guest-hang of second, healed", "fault guest-hang of first, healed"]
    assert healed(log) == ["second", "first"]
    assert healing.mend_left(folder) == []


def test_what_a_living_controller_broke_is_left_alone(places):
    folder, log = places
    with controller(places, "first") as process:
        assert process.stdout.readline()
        assert healing.mend_left(folder) == []
        assert healed(log) == []
        process.send_signal(signal.SIGINT)
    assert healed(log) == ["first"], "Ctrl-C heals"


def test_nothing_is_broken_where_nothing_is_written_down(tmp_path):
    assert healing.standing(tmp_path / "none") == []
    assert healing.mend_left(tmp_path / "none") == []
