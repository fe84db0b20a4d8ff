"""Every target keeps the promises of harness/protocols.py.

A target is picked up by its packaged file, scenarios/targets/*.toml (but for those called *-example). Those that
need a platform are `live` and skip with the reason where there is none.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from typing import get_args

import pytest

from harness import registry
from harness.errors import TargetError, ToolError, Unsupported, VirtmarkError
from harness.model import Bytes, GuestSize
from harness.protocols import Breaks, Cleans, Fault, FaultKind, GuestSpec, Hosted, Viewed
from tests.support import platforms

SIZE = GuestSize(vcpus=1, memory=Bytes(512 * 2**20), disk=Bytes(2 * 2**30))
SPEC = GuestSpec(role="sut", size=SIZE)
BINARY = bytes(range(256)) * 3 + b"\n\n\x00\xff\xfe"


def sh(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "sh", *arguments]


@pytest.fixture(scope="module", params=platforms.cases())
def target(request, tmp_path_factory):
    with platforms.ready(request.param, tmp_path_factory.mktemp("target")) as target:
        yield target


@pytest.fixture(scope="module")
def guest(target):
    with target.guest(SPEC) as machine:
        yield machine


def test_every_driver_has_a_case():
    covered = {case.driver for case in platforms.CASES}
    assert covered == set(registry.names("targets"))


class TestTarget:
    def test_facts_are_texts_and_name_the_platform(self, target):
        facts = target.facts()
        assert {"vendor", "product", "version", "accelerator"} <= set(facts)
        assert all(isinstance(value, str) and value for value in facts.values())
        assert facts["accelerator"] in ("kvm", "tcg", "container", "none", "simulated")

    def test_simulated_numbers_are_marked(self, target):
        facts = target.facts()
        assert (facts.get("simulated") == "true") == (facts["accelerator"] == "simulated")

    def test_clock_moves_forward(self, target):
        before = target.clock.now()
        target.clock.sleep(0.001)
        assert target.clock.now() > before

    def test_a_host_that_is_not_there_is_unsupported(self, target):
        with pytest.raises(Unsupported), target.guest(GuestSpec(role="sut", size=SIZE, host=99)):
            pass

    def test_guest_is_removed_after_an_exception(self, target):
        with suppress(ZeroDivisionError), target.guest(SPEC) as first:
            first.write("left-behind", b"x")
            raise ZeroDivisionError
        with target.guest(SPEC) as second:
            with pytest.raises(ToolError):
                second.read("left-behind")
            with pytest.raises(VirtmarkError):
                first.run(["cat", "left-behind"], timeout=10).checked()

    def test_clean_is_idempotent(self, target):
        if not isinstance(target, Cleans):
            pytest.skip("the target leaves nothing to clean")
        target.clean()
        assert list(target.clean()) == []

    def test_host_answers_or_says_that_there_is_none(self, target):
        if not isinstance(target, Hosted):
            pytest.skip("the target offers no host")
        with target.host(0) as host:
            assert host.run(["echo", "below"], timeout=30).stdout == "below\n"
            host.write("note", BINARY)
            assert host.read("note") == BINARY
        with pytest.raises(Unsupported), target.host(99):
            pass

    def test_client_answers_or_says_that_there_is_none(self, target):
        if not isinstance(target, Viewed):
            pytest.skip("the target offers no client")
        try:
            view = target.client()
            with view as client:
                said = client.run(["echo", "outside"], timeout=30).stdout
        except Unsupported:
            pytest.skip("this configuration names no client")
        assert said == "outside\n"


class TestFaults:
    """A target that breaks things says which and by what means, and heals what it broke."""

    def test_a_kind_that_it_cannot_have_is_unsupported(self, target):
        if not isinstance(target, Breaks):
            pytest.skip("the target breaks nothing")
        others = set(get_args(FaultKind)) - set(target.faults())
        for kind in others:
            with pytest.raises(Unsupported), target.fault(Fault(kind=kind), None):
                pass

    def test_all_means_are_told(self, target):
        if not isinstance(target, Breaks):
            pytest.skip("the target breaks nothing")
        assert all(kind in get_args(FaultKind) and how for kind, how in target.faults().items())

    @pytest.mark.parametrize("kind", ["guest-hang", "host-isolated", "host-power-off"])
    def test_a_fault_takes_hold_and_heals(self, target, guest, kind):
        if not isinstance(target, Breaks) or kind not in target.faults():
            pytest.skip(f"the target has no {kind}")
        host = 1 if kind == "host-power-off" else 0  # the guest of these tests runs on the other one
        before = target.clock.now()
        with target.fault(Fault(kind=kind, host=host), guest) as injected:
            assert before <= injected.start <= injected.end <= target.clock.now()
            assert injected.how
            assert injected.healed is None
        assert injected.healed is not None
        assert injected.end <= injected.healed <= target.clock.now()
        assert guest.run(["echo", "well"], timeout=60).stdout == "well\n"

    def test_it_heals_after_an_exception_too(self, target, guest):
        if not isinstance(target, Breaks) or "guest-hang" not in target.faults():
            pytest.skip("the target has no guest-hang")
        with suppress(ZeroDivisionError), target.fault(Fault(kind="guest-hang"), guest):
            raise ZeroDivisionError
        assert guest.run(["echo", "well"], timeout=60).stdout == "well\n"


class TestRun:
    def test_output_and_exit_status(self, guest):
        done = guest.run(sh("echo out; echo err >&2; exit 3"), timeout=30)
        assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")
        assert done.argv[0] == "sh"
        assert done.elapsed >= 0

    @pytest.mark.parametrize("code", [1, 125, 126, 127, 128, 254, 255])
    def test_any_exit_status_is_an_answer(self, guest, code):
        assert guest.run(sh(f"exit {code}"), timeout=30).code == code

    def test_death_by_a_signal_is_128_plus_its_number(self, guest):
        assert guest.run(sh("kill -KILL $$"), timeout=30).code == 137

    def test_arguments_arrive_as_they_are(self, guest):
        arguments = ["a b", "", "'", '"', "$HOME", "`id`", "\\n", "*", "a\nb", "-n", "ü", ";", "&&", "~"]
        done = guest.run(sh('for a in "$@"; do printf "%s\\036" "$a"; done', *arguments), timeout=30)
        assert done.stdout.split("\036") == [*arguments, ""]

    def test_stdin(self, guest):
        assert guest.run(["cat"], timeout=30, stdin=b"a\n\x00b").stdout == "a\n\x00b"

    def test_stdin_is_empty_unless_given(self, guest):
        assert guest.run(["cat"], timeout=30).stdout == ""

    def test_output_that_is_not_utf8_can_be_had_back(self, guest):
        done = guest.run(sh("printf '\\377\\000\\376'; printf '\\375' >&2"), timeout=30)
        assert done.stdout.encode("utf-8", "surrogateescape") == b"\xff\x00\xfe"
        assert done.stderr.encode("utf-8", "surrogateescape") == b"\xfd"

    def test_a_lot_of_output(self, guest):
        done = guest.run(sh("head -c 11000000 /dev/zero; head -c 300000 /dev/zero >&2"), timeout=120)
        assert (len(done.stdout), len(done.stderr)) == (11_000_000, 300_000)

    def test_a_missing_program_is_named(self, guest):
        with pytest.raises(ToolError, match="no-such-tool"):
            guest.run(["no-such-tool", "--version"], timeout=30)

    def test_a_file_that_is_no_program_is_refused(self, guest):
        with pytest.raises(ToolError, match="passwd"):
            guest.run(["/etc/passwd"], timeout=30)

    def test_timeout_kills_the_whole_tree(self, guest):
        with pytest.raises(ToolError, match=r"after 1 s"):
            guest.run(sh("(setsid sh -c 'echo $$ >pid; exec sleep 600') & sleep 600"), timeout=1)
        assert gone(guest, "pid")

    def test_commands_run_side_by_side(self, guest):
        found = []
        threads = [threading.Thread(target=lambda n=n: found.append(guest.run(["echo", str(n)], timeout=60).stdout))
                   for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == ["0\n", "1\n", "2\n", "3\n"]

    def test_numbers_have_no_locale(self, guest):
        assert guest.run(sh("echo $LC_ALL"), timeout=30).stdout == "C.UTF-8\n"

    def test_tools_of_the_administrator_are_found(self, guest):
        path = guest.run(sh("echo $PATH"), timeout=30).stdout.strip().split(":")
        assert {"/usr/sbin", "/sbin", "/usr/bin"} <= set(path)


class TestStart:
    def test_stop_ends_it_and_returns_what_it_printed(self, guest):
        script = "trap 'echo bye; exit 0' TERM; echo on >flag; echo on; while :; do sleep 0.1; done"
        with guest.start(sh(script)) as job:
            await_file(guest, "flag")
            done = job.stop()
            assert done.stdout == "on\nbye\n"
            assert done.code == 0
            assert job.stop() == done

    def test_leaving_the_context_stops_it_with_its_children(self, guest):
        with guest.start(sh("(setsid sh -c 'echo $$ >child; exec sleep 600') & wait")):
            await_file(guest, "child")
        assert gone(guest, "child")

    def test_one_that_will_not_go_is_killed(self, guest):
        with guest.start(sh("trap '' TERM; echo $$ >stubborn; while :; do sleep 0.1; done")) as job:
            await_file(guest, "stubborn")
            assert job.stop().code == 137
        assert gone(guest, "stubborn")

    def test_one_that_ended_by_itself(self, guest):
        with guest.start(sh("echo $$ >short; echo done; exit 4")) as job:
            await_file(guest, "short")
            await_end(guest, "short")
            assert (job.stop().code, job.stop().stdout) == (4, "done\n")

    def test_much_output_does_not_block_it(self, guest):
        with guest.start(sh("head -c 1000000 /dev/zero; echo x >written; exec sleep 600")) as job:
            await_file(guest, "written")
            assert len(job.stop().stdout) == 1_000_000

    def test_a_missing_program_is_named(self, guest):
        def left_alone():
            with guest.start(["no-such-tool"]):
                for _ in range(5):
                    guest.run(["true"], timeout=30)

        with pytest.raises(ToolError, match="no-such-tool"):
            left_alone()


class TestFiles:
    @pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
    def test_bytes_survive_the_round_trip(self, guest, size):
        data = (BINARY * (size // len(BINARY) + 1))[:size]
        guest.write("data.bin", data)
        assert guest.read("data.bin") == data
        assert guest.run(sh("wc -c <data.bin"), timeout=30).stdout.strip() == str(size)

    def test_write_replaces(self, guest):
        guest.write("twice", b"longer than the second")
        guest.write("twice", b"short")
        assert guest.read("twice") == b"short"

    def test_a_missing_file_is_named(self, guest):
        with pytest.raises(ToolError, match="not-there"):
            guest.read("/tmp/not-there")

    def test_a_folder_is_no_file(self, guest):
        with pytest.raises(ToolError):
            guest.read("/etc")

    def test_a_place_that_is_not_there_cannot_be_written(self, guest):
        with pytest.raises(ToolError, match="no-such-folder"):
            guest.write("/no-such-folder/x", b"")

    def test_odd_names(self, guest):
        guest.write("-n it's \"odd\" $x", b"1")
        assert guest.read("-n it's \"odd\" $x") == b"1"

    def test_files_of_commands_and_of_the_machine_are_the_same(self, guest):
        guest.run(sh("printf 1 >relative"), timeout=30).checked()
        where = guest.run(["pwd"], timeout=30).stdout.strip()
        assert guest.read("relative") == guest.read(f"{where}/relative") == b"1"


def test_the_guest_has_a_name_and_an_address(guest):
    assert guest.name
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+|[\da-f:]+", guest.address)


def await_file(machine, path):
    """Wait until a file has content; a target that answers slowly decides the pace, not the test."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if machine.run(["test", "-s", path], timeout=30).code == 0:
            return
    raise TargetError(f"{path} did not appear on {machine.name}")


def await_end(machine, path):
    """Wait until the process whose number stands in the file has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if gone(machine, path):
            return
    raise TargetError(f"the process of {path} goes on on {machine.name}")


def gone(machine, path):
    """Tell whether the process whose number stands in the file has ended; a zombie has."""
    script = 'read -r pid <"$1"; ! grep -qs "^State:.[^ZX]" "/proc/$pid/status"'
    return machine.run(sh(script, path), timeout=30).code == 0
