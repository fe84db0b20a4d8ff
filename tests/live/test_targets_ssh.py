"""Machines by ssh against a real sshd on loopback: noise at login, lost connections, refusals, killed controllers."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from drivers import shell
from harness.errors import TargetError
from tests.support import sshd

pytestmark = [pytest.mark.live, pytest.mark.skipif(bool(sshd.missing()), reason=sshd.missing())]
ROOT = Path(__file__).parents[2]
CONTROLLER = """
import sys
from drivers import shell
with shell.open(sys.argv[1], ssh_options=("-F", sys.argv[2])) as machine, machine.private(sys.argv[3]) as place:
    place.run(["sh", "-c", "(setsid sh -c 'echo $$ >child; exec sleep 600') & echo $$ >first; sleep 600"], timeout=600)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def machine(server):
    with shell.open(server.spec, ssh_options=server.options) as machine:
        yield machine


def living(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sessions(server):
    """Return the processes of the server's connections."""
    return psutil.Process(server.pid).children()


def test_start_files_that_print_do_not_get_into_output(tmp_path):
    with sshd.running(tmp_path, rc="echo hello; echo watch out >&2; seq 100") as noisy, shell.open(
            noisy.spec, ssh_options=noisy.options) as machine:
        done = machine.run(["sh", "-c", "echo out; echo err >&2; exit 255"], timeout=60)
        assert (done.code, done.stdout, done.stderr) == (255, "out\n", "err\n")
        machine.write(str(tmp_path / "data"), b"\0\xff\n")
        assert machine.read(str(tmp_path / "data")) == b"\0\xff\n"


def test_one_connection_serves_all_commands(server, machine):
    machine.run(["true"], timeout=60)
    before = {each.pid for each in sessions(server)}
    for _ in range(5):
        machine.run(["true"], timeout=60)
    assert {each.pid for each in sessions(server)} == before


def test_a_lost_connection_is_told_and_made_again(server, machine):
    machine.run(["true"], timeout=60)
    with machine.start(["sleep", "600"]) as job:
        for each in sessions(server):
            each.kill()
        with pytest.raises(TargetError, match="ssh://"):
            job.stop()
        assert machine.run(["echo", "again"], timeout=60).stdout == "again\n"


def test_commands_that_were_lost_with_their_connection_are_ended(server, machine, tmp_path):
    machine.run(["true"], timeout=60)
    machine.cwd = str(tmp_path)
    job = machine.spawn(["sh", "-c", "echo $$ >pid; exec sleep 600"], b"")
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
    for each in sessions(server):
        each.kill()
    with pytest.raises(TargetError):
        job.wait(60)
    deadline = time.monotonic() + 60    # noticing the loss may have taken all of the first one on a busy machine
    while living(int((tmp_path / "pid").read_text())) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert not living(int((tmp_path / "pid").read_text()))


def test_closing_one_connection_leaves_the_other_alone(server, machine):
    other = shell.open(server.spec, ssh_options=server.options)
    with machine.start(["sh", "-c", "trap 'echo kept; exit 0' TERM; echo up; while :; do sleep 0.1; done"]) as job:
        other.run(["true"], timeout=60)
        other.close()
        assert machine.run(["true"], timeout=60).code == 0
        assert job.stop().stdout in ("up\nkept\n", "")  # empty if it was stopped before its trap stood


def test_a_wrong_host_key_is_told_in_one_line(server, tmp_path):
    known = tmp_path / "known"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    known.write_text(f"[127.0.0.1]:{server.port} {(tmp_path / 'other.pub').read_text()}")
    options = (*server.options, "-o", f"UserKnownHostsFile={known}")
    with pytest.raises(TargetError, match=r"[Hh]ost key") as told:
        shell.open(server.spec, ssh_options=options).run(["true"], timeout=60)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("spec", "said"), [
    ("ssh://127.0.0.1:1", "Connection refused"), ("ssh://no-such-user@127.0.0.1:{port}", "Permission denied"),
    ("ssh://no-such-host.invalid", "no-such-host.invalid"),
])
def test_a_machine_that_cannot_be_reached_is_told(server, spec, said):
    machine = shell.open(spec.format(port=server.port), ssh_options=server.options)
    with pytest.raises(TargetError, match=said):
        machine.run(["true"], timeout=60)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_controller_on_the_far_side(server, tmp_path, how):
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, server.spec, server.options[1], str(tmp_path)],
                                  cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(found := [path.read_text().strip() for path in tmp_path.glob("*/*") if path.read_text().strip()]) < 2:
        assert time.monotonic() < deadline
        assert controller.poll() is None
    controller.send_signal(how)
    controller.communicate(timeout=60)
    while (any(living(int(pid)) for pid in found) or os.listdir(tmp_path)) and time.monotonic() < deadline + 60:
        pass
    assert [pid for pid in found if living(int(pid))] == []
    assert os.listdir(tmp_path) == []
