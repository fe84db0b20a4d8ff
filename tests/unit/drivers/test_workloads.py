"""Workloads against machines that answer with recorded output: what they call, what they yield, what they leave."""

import json
import random
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import codec, registry
from harness.clock import FakeClock
from harness.errors import InputError, ToolError, Unsupported
from harness.model import Series
from harness.protocols import Completed

DATA = Path(__file__).parents[2] / "data" / "tools"
PORT = re.compile(r"--port (\d+)")


def recorded(tool, name):
    case = json.loads((DATA / tool / f"{name}.json").read_text())
    return (DATA / tool / case["output"]).read_text()


ANSWERS = [  # (pattern of the command line, recorded output)
    (r"^sysbench cpu", recorded("sysbench", "cpu-2")),
    (r"^sysbench memory", recorded("sysbench", "memory-read-1")),
    (r"^sysbench \./virtmark", recorded("sysbench", "chase-32MiB")),
    (r"^stress-ng --cpu", recorded("stress_ng", "matrixprod-2")),
    (r"^stress-ng --stream", recorded("stress_ng", "stream-2")),
    (r"^cyclictest", recorded("cyclictest", "2s")),
    (r"^fio --name=fill", recorded("fio", "fill")),
    (r"^fio .*--rw=randrw", recorded("fio", "mixed-8k-2jobs")),
    (r"^fio .*--rw=randread", recorded("fio", "randread-qd32")),
    (r"^iperf3 .*--udp", recorded("iperf3", "udp-20M")),
    (r"^iperf3 --client", recorded("iperf3", "tcp-4")),
    (r"^ping", recorded("ping", "lossy")),
    (r"^sockperf ping-pong", recorded("sockperf", "pingpong")),
    (r"^sh -c nproc", "2\ntsc kvm-clock\n"),
    (r"^(rm|cat|sh) ", ""),
]


class Recorded:
    """A machine that answers from the list; servers open their port at the third look."""

    def __init__(self, name, lab, address="10.0.0.1", answers=()):
        self.name, self.lab, self.address = name, lab, address
        self.answers, self.files, self.calls = [*answers, *ANSWERS], {}, []
        self.port, self.looks, self.running = None, 0, 0

    def run(self, argv, *, timeout, stdin=b""):
        line = " ".join(argv)
        self.calls.append(line)
        if argv[:2] == ["cat", "/proc/net/tcp"] or argv[:2] == ["cat", "/proc/net/udp"]:
            return Completed(argv=tuple(argv), code=0, stdout=self.table())
        answer = next((text for pattern, text in self.answers if re.search(pattern, line)), None)
        assert answer is not None, f"no recorded answer to: {line}"
        if isinstance(answer, Completed | Exception):
            return self.give(answer)
        return Completed(argv=tuple(argv), code=0, stdout=answer)

    def give(self, answer):
        if isinstance(answer, Exception):
            raise answer
        return answer

    def table(self):
        head = "  sl  local_address rem_address   st\n   0: 0100007F:0016 00000000:0000 0A 0\n"
        self.looks += self.port is not None
        return head + (f"   1: 00000000:{self.port:04X} 00000000:0000 0A 0\n" if self.looks > 2 else "")

    @contextmanager
    def start(self, argv):
        line = " ".join(argv)
        self.calls.append(f"start {line}")
        port = PORT.search(line)
        if "--client" not in line:
            self.port, self.looks = int(port[1]), 0
        self.running += 1
        try:
            yield self
        finally:
            self.running -= 1

    def stop(self):
        return Completed(argv=("server",), code=143, stdout="", stderr="bind failed")

    def read(self, path):
        self.calls.append(f"read {path}")
        if path.endswith("_iops.log"):
            return (DATA / "fio" / "mixed-8k-2jobs.log").read_bytes()
        return (DATA / "sockperf" / "pingpong.log").read_bytes()

    def write(self, path, data):
        self.files[path] = data


class Lab:
    """A lab of recorded machines; `hosted` and `hosts` say what the target offers."""

    def __init__(self, *, hosted=True, hosts=2, answers=()):
        self.clock, self.rng = FakeClock(), random.Random(7)
        self.hosted, self.hosts, self.answers, self.machines = hosted, hosts, answers, {}

    def machine(self, name, address):
        return self.machines.setdefault(name, Recorded(name, self, address, self.answers))

    def guest(self, role="sut", *, host=0):
        if host >= self.hosts:
            raise Unsupported(f"there is no host {host}")
        return self.machine(f"{role}.{host}", f"10.0.{host}.{len(role)}")

    def host(self, index=0):
        if not self.hosted:
            raise Unsupported("nothing below")
        return self.machine(f"host.{index}", f"10.1.0.{index}")

    def client(self):
        return self.machine("client", "10.2.0.1")

    def calls(self):
        return [f"{name}: {call}" for name, machine in self.machines.items() for call in machine.calls]


def make(name, **params):
    return codec.convert(registry.find("workloads", name), params, "step-1")


def run(name, lab, **params):
    return list(make(name, **params).run(None, lab))


GOOD = [
    ("compute", {"threads": 2, "duration": "1s"}, {"cpu.rate"}),
    ("compute", {"threads": "all", "duration": "1s", "method": "matrixprod"}, {"cpu.rate", "cpu.operations"}),
    ("compute", {"threads": "all", "duration": "1s", "where": "host"}, {"cpu.rate"}),
    ("memory", {"measure": "bandwidth", "duration": "1s"}, {"memory.bandwidth"}),
    ("memory", {"measure": "bandwidth", "operation": "stream", "threads": "all", "duration": "6s"},
     {"memory.bandwidth"}),
    ("memory", {"measure": "latency", "span": "32MiB", "duration": "1s"}, {"memory.latency"}),
    ("scheduling", {"duration": "2s"}, {"scheduling.latency", "scheduling.overflow"}),
    ("disk", {"pattern": "randread", "duration": "1s", "size": "32MiB", "window": "200ms"},
     {"disk.rate", "disk.bandwidth", "disk.latency", "disk.count"}),
    ("disk", {"pattern": "randrw", "duration": "2s", "size": "32MiB", "window": "200ms", "load": "70%", "where": "host",
              "calibrate": "2s"}, {"disk.rate", "disk.bandwidth", "disk.latency", "disk.count", "disk.offered"}),
    ("network", {"measure": "tcp", "path": "cross-host", "streams": 4, "duration": "2s"},
     {"net.bandwidth", "net.retransmits", "net.sent", "net.segment", "net.latency", "net.cpu"}),
    ("network", {"measure": "udp", "path": "client", "duration": "2s"},
     {"net.jitter", "net.loss", "net.packets", "net.bandwidth", "net.cpu"}),
    ("network", {"measure": "rtt", "duration": "1s"}, {"net.latency", "net.loss", "net.packets"}),
    ("network", {"measure": "rtt", "duration": "2s", "tool": "sockperf", "path": "cross-host", "where": "host"},
     {"net.latency", "net.loss", "net.packets"}),
    ("network", {"measure": "rtt", "duration": "1s", "loaded": True}, {"net.latency", "net.loss", "net.packets"}),
]


@pytest.mark.parametrize(("name", "params", "metrics"), GOOD, ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_workload_yields_and_leaves(name, params, metrics):
    lab = Lab()
    series = run(name, lab, **params)
    assert all(isinstance(each, Series) for each in series)
    assert {each.metric for each in series} == metrics
    assert {each.labels["where"] for each in series} == {params.get("where", "guest")}
    assert all(machine.running == 0 for machine in lab.machines.values())


@pytest.mark.parametrize(("name", "params", "metrics"), GOOD, ids=lambda value: value if isinstance(value, str) else "")
def test_estimates_grow_with_the_duration(name, params, metrics):
    short, long = make(name, **params).seconds(), make(name, **{**params, "duration": "100s"}).seconds()
    assert short >= float(params["duration"].removesuffix("s"))
    assert long > short


BAD = [
    ("compute", {"threads": 0}, "threads = 0; at least 1"),
    ("compute", {"duration": "1500ms"}, "1.5 s is no duration for sysbench; it counts whole seconds"),
    ("compute", {"duration": "30"}, "is no quantity in s"),
    ("compute", {"method": "magic"}, "magic"),
    ("memory", {}, "measure"),
    ("memory", {"measure": "latency", "threads": "all"}, "leave out threads"),
    ("memory", {"measure": "bandwidth", "pages": "huge"}, "pages = huge is for measure = latency"),
    ("memory", {"measure": "bandwidth", "operation": "stream", "duration": "2s"}, "takes 5 s at least"),
    ("memory", {"measure": "latency", "span": "5kB"}, "whole pages"),
    ("scheduling", {"interval": "1us"}, "from 50us"),
    ("scheduling", {"limit": "2s"}, "from 1ms to 1s"),
    ("disk", {"pattern": "backwards"}, "backwards"),
    ("disk", {"pattern": "read", "engine": "psync", "depth": 4}, "psync has one I/O at a time"),
    ("disk", {"pattern": "read", "depth": 0}, "must be at least 1"),
    ("disk", {"pattern": "read", "block": "3kB"}, "the size a multiple of it"),
    ("disk", {"pattern": "read", "load": "120%"}, "load must be above 0% and at most 100%"),
    ("disk", {"pattern": "read", "duration": "1s"}, "two windows at least"),
    ("network", {"measure": "tcp", "where": "host"}, "one machine talking to itself"),
    ("network", {"measure": "rtt", "streams": 4}, "streams must be between 1 and 128"),
    ("network", {"measure": "tcp", "loaded": True}, "loaded is for measure = rtt"),
    ("network", {"measure": "rtt", "tool": "sockperf", "duration": "1s"}, "needs a duration of 2s"),
    ("network", {"measure": "udp", "rate": "0bit/s"}, "rate must be above 0"),
    ("network", {"measure": "udp", "colour": "red"}, "unknown key 'colour'; allowed: measure, path"),
]


@pytest.mark.parametrize(("name", "params", "problem"), BAD)
def test_a_bad_combination_is_an_input_error_of_one_line(name, params, problem):
    with pytest.raises(InputError) as caught:
        make(name, **params)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("step-1: ")
    assert "\n" not in str(caught.value)


def test_all_threads_of_the_host_arm_are_the_guests():
    lab = Lab(answers=[(r"^sh -c nproc", "7\n")])
    run("compute", lab, threads="all", duration="1s", where="host")
    (call,) = lab.machines["host.0"].calls
    assert "--threads=7" in call
    assert lab.machines["sut.0"].calls[0].startswith("sh -c nproc")


def test_the_host_arm_is_unsupported_where_nothing_lies_below():
    with pytest.raises(Unsupported):
        run("compute", Lab(hosted=False), where="host", duration="1s")


@pytest.mark.parametrize("fails", [r"^fio --name=load", r"^fio --name=fill"])
def test_disk_removes_its_file_whatever_happens(fails):
    lab = Lab(answers=[(fails, ToolError("fio: killed"))])
    with pytest.raises(ToolError, match="killed"):
        run("disk", lab, pattern="randread", duration="1s", size="32MiB", window="200ms")
    made = {name for call in lab.calls() for name in re.findall(r"--filename=(\S+)", call)}
    removed = {name for call in lab.calls() if " rm -f " in call for name in call.split()}
    assert made
    assert made <= removed


def test_disk_goes_without_o_direct_where_the_file_system_has_none():
    refused = Completed(argv=("fio",), code=1, stdout=recorded("fio", "no-direct"),
                        stderr="fio: looks like your file system does not support direct=1/buffered=0")
    lab = Lab(answers=[(r"--name=fill.*--direct=1", refused)])
    series = run("disk", lab, pattern="randread", duration="1s", size="32MiB", window="200ms")
    assert {each.labels["direct"] for each in series} == {"0"}
    assert [call for call in lab.calls() if "--name=load" in call and "--direct=0" in call]
    with pytest.raises(ToolError, match="error 22"):
        run("disk", Lab(answers=[(r"--name=fill.*--direct=1", refused)]), pattern="randread", duration="1s",
            size="32MiB", window="200ms", direct="yes")


def test_disk_keeps_its_file_for_the_round_if_asked():
    lab = Lab(answers=[(r"^sh -c ls virtmark-33554432-1\.\*", "virtmark-33554432-1.direct\n")])
    run("disk", lab, pattern="randread", duration="1s", size="32MiB", window="200ms", precondition=1, keep=True)
    assert not [call for call in lab.calls() if "fill" in call or " rm " in call]
    assert [call for call in lab.calls() if "--filename=virtmark-33554432-1.direct" in call]


def test_disk_offers_a_share_of_what_it_measured():
    series = run("disk", Lab(), pattern="randread", duration="1s", calibrate="1s", size="32MiB", window="200ms",
                 load="50%")
    (offered,) = [each for each in series if each.metric == "disk.offered"]
    (reached,) = [each for each in series if each.metric == "disk.rate" and each.labels["stat"] == "mean"]
    assert offered.values[0] == pytest.approx(0.5 * reached.values[0])  # the recorded run answers both times


def test_a_server_is_waited_for_and_stopped():
    lab = Lab()
    run("network", lab, measure="tcp", path="cross-host", duration="2s", streams=4)
    far = lab.machines["peer.1"]
    order = [call.split()[0] for call in far.calls]
    assert order == ["cat", "start", "cat", "cat", "cat"]
    assert far.running == 0
    (client,) = [call for call in lab.machines["sut.0"].calls if call.startswith("iperf3")]
    assert f"--client 10.0.1.4 --port {far.port} " in client


def test_a_server_that_never_listens_is_a_tool_error():
    lab = Lab()
    lab.guest("peer").table = lambda: ""
    with pytest.raises(ToolError, match=r"did not open port \d+ within 15 s; it said 'bind failed'"):
        run("network", lab, measure="tcp", duration="1s")
    assert lab.clock.now() >= 15
    assert lab.machines["peer.0"].running == 0


def test_a_taken_port_is_not_chosen():
    class Busy(Lab):
        def guest(self, role="sut", *, host=0):
            machine = super().guest(role, host=host)
            if role == "peer":
                rows = "".join(f"   {n}: 00000000:{n:04X} 00000000:0000 0A 0\n"
                               for n in range(20000, 32000) if n != 20017)
                opened = f"   9: 00000000:{20017:04X} 00000000:0000 0A 0\n"
                machine.table = lambda: rows + (opened if machine.port else "")
            return machine

    lab = Busy()
    run("network", lab, measure="tcp", duration="1s")
    assert lab.machines["peer.0"].port == 20017


def test_paths():
    ends = {"same-host": ("sut.0", "peer.0"), "cross-host": ("sut.0", "peer.1"), "client": ("client", "sut.0")}
    for path, (near, far) in ends.items():
        lab = Lab()
        series = run("network", lab, measure="udp", path=path, duration="1s")
        assert {each.labels["path"] for each in series} == {path}
        assert [call for call in lab.machines[near].calls if call.startswith("iperf3 --client")]
        assert [call for call in lab.machines[far].calls if call.startswith("start iperf3")]
    with pytest.raises(Unsupported):
        run("network", Lab(hosts=1), measure="udp", path="cross-host", duration="1s")


def test_one_machine_as_both_ends_is_called_loopback():
    lab = Lab()
    lab.guest("peer").address = "127.0.0.1"
    assert {each.labels["path"] for each in run("network", lab, measure="udp", duration="1s")} == {"loopback"}


def test_a_failed_background_load_is_told():
    class Failing(Recorded):
        def stop(self):
            return Completed(argv=("iperf3",), code=1, stdout=recorded("iperf3", "refused"))

    lab = Lab()
    lab.machines["sut.0"] = Failing("sut.0", lab)
    with pytest.raises(ToolError, match="the load beside the round-trip test failed"):
        run("network", lab, measure="rtt", duration="1s", loaded=True)


def test_an_unprivileged_guest_has_no_scheduling_latency():
    lab = Lab(answers=[(r"^cyclictest", recorded("cyclictest", "unprivileged"))])
    with pytest.raises(Unsupported, match="CAP_SYS_NICE"):
        run("scheduling", lab, duration="1s")


def test_the_chase_script_is_put_there_and_removed():
    lab = Lab()
    run("memory", lab, measure="latency", span="32MiB", duration="1s")
    machine = lab.machines["sut.0"]
    ((path, script),) = machine.files.items()
    assert b"function event()" in script
    assert machine.calls[-1] == f"rm -f {path}"
