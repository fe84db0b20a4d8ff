"""The simulated platform: its programs print what the real ones print, follow the knobs, and go wrong as told."""

import json
import math
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.targets._simulated import PROGRAMS, disk
from drivers.targets._simulated.world import Options
from drivers.targets.fake import Fake
from drivers.tools import cyclictest, fio, iperf3, ping, sockperf, stress_ng, sysbench
from harness import scenario
from harness.errors import InputError, TargetError, ToolError
from harness.model import GuestSize
from harness.protocols import GuestSpec
from harness.stats.layouts import FioLayout
from harness.units import Bytes, Rate, Seconds, Share

RECORDED = Path(__file__).parents[2] / "data" / "tools"
SIZE = GuestSize(vcpus=2)
SUT, PEER = GuestSpec(role="sut", size=SIZE), GuestSpec(role="peer", size=SIZE)
MIB = 2**20
PLAIN = [
    sysbench.Cpu(threads=2, duration=Seconds(10)), sysbench.Memory(threads=1, duration=Seconds(10)),
    sysbench.Memory(threads=2, duration=Seconds(10), operation="write"),
    sysbench.Chase(script="./chase.lua", span=Bytes(64 * MIB)), stress_ng.Matrixprod(threads=2),
    stress_ng.Stream(threads=2), cyclictest.Cyclictest(duration=Seconds(60)), ping.Ping(address="192.0.2.9"),
    fio.Load(file="f", size=Bytes(MIB), pattern="randread"),
    fio.Load(file="f", size=Bytes(MIB), pattern="randrw", jobs=2, block=Bytes(8192), mix=Share(0.7)),
    fio.Load(file="f", size=Bytes(MIB), pattern="write", block=Bytes(MIB), depth=4),
    fio.Load(file="f", size=Bytes(MIB), pattern="randwrite", depth=1, rate=Rate(2000)),
]


def settings(**given):
    return {"driver": "fake", "name": "fake", **given}


def build(**given):
    return scenario.build(settings(**given), "test.toml").target


def run(target, job, spec=SUT):
    with target.guest(spec) as guest:
        done = guest.run(job.argv(), timeout=1e6)
        return job.parse(done.stdout + done.stderr)


def one(series, metric, **labels):
    found = [each for each in series if each.metric == metric and labels.items() <= each.labels.items()
             and len(each.values) == 1]
    return found[0].values[0]


@pytest.mark.parametrize("job", PLAIN, ids=lambda job: f"{type(job).__name__}")
def test_the_parsers_of_the_real_tools_read_it(job):
    with build().guest(SUT) as guest:
        done = guest.run(job.argv(), timeout=1e6)
    series = job.parse(done.stdout + done.stderr)
    assert series
    assert done.code == 0
    assert all(value >= 0 and math.isfinite(value) for each in series for value in each.values)
    asked = float(getattr(job, "duration", 0) or getattr(job, "count", 0) * getattr(job, "interval", 0))
    assert asked <= done.elapsed <= asked + 1


def test_a_file_is_filled_and_the_log_of_windows_lies_beside_it():
    target = build()
    job = fio.Load(file="f", size=Bytes(MIB), pattern="randrw", jobs=2, duration=Seconds(30), logs="log")
    with target.guest(SUT) as guest:
        fill = fio.Fill(file="f", size=Bytes(64 * MIB), loops=2)
        fill.parse(guest.run(fill.argv(), timeout=100).stdout)
        series = job.parse(guest.run(job.argv(), timeout=100).stdout)
        windows = fio.windows(guest.read("log_iops.log").decode(), "disk.rate", "1/s", Seconds(1), {})
    for op, each in zip(("read", "write"), windows, strict=True):
        assert len(each.values) == 30
        assert statistics.fmean(each.values) == pytest.approx(one(series, "disk.rate", op=op), rel=0.02)


@pytest.mark.parametrize("streams", [1, 4])
def test_iperf3_between_two_guests(streams):
    target = build()
    with target.guest(SUT) as near, target.guest(PEER) as far:
        job = iperf3.Tcp(address=far.address, port=5201, streams=streams, duration=Seconds(10))
        with far.start(iperf3.server(5201)):
            assert "1451" in far.run(["cat", "/proc/net/tcp"], timeout=5).stdout
            series = job.parse(near.run(job.argv(), timeout=100).stdout)
        assert one(series, "net.bandwidth", side="receiver") == pytest.approx(9.4e9 / 8, rel=0.1)
        with pytest.raises(ToolError, match="refused"):
            job.parse(near.run(job.argv(), timeout=100).stdout)


def test_udp_and_round_trips_grow_on_a_busy_line():
    target = build()
    with target.guest(SUT) as near, target.guest(PEER) as far, far.start(iperf3.server(5201)):
        udp = iperf3.Udp(address=far.address, port=5201, duration=Seconds(5))
        assert one(udp.parse(near.run(udp.argv(), timeout=100).stdout), "net.jitter") > 0
        echoes = ping.Ping(address=far.address, count=500)
        quiet = echoes.parse(near.run(echoes.argv(), timeout=100).stdout)[0].values
        with near.start(iperf3.Tcp(address=far.address, port=5201, duration=Seconds(60)).argv()) as load:
            busy = echoes.parse(near.run(echoes.argv(), timeout=100).stdout)[0].values
            load.stop()
        assert statistics.median(busy) > 3 * statistics.median(quiet)
        assert statistics.median(echoes.parse(near.run(echoes.argv(), timeout=100).stdout)[0].values) < 1e-3


def test_sockperf_leaves_its_log():
    target = build()
    with target.guest(SUT) as near, target.guest(PEER) as far, far.start(sockperf.server(far.address, 23000, "udp")):
        job = sockperf.Pingpong(address=far.address, port=23000, log="log.csv", duration=Seconds(5))
        done = near.run(job.argv(), timeout=100)
        series = job.parse(done.stdout, near.read("log.csv").decode())
    assert sum(series[0].weights) > 1000


@pytest.mark.parametrize(("recorded", "job"), [
    ("fio/randread-qd32.txt", fio.Load(file="f", size=Bytes(MIB), pattern="randread")),
    ("fio/mixed-8k-2jobs.txt", fio.Load(file="f", size=Bytes(MIB), pattern="randrw", jobs=2)),
    ("fio/fill.txt", fio.Fill(file="f", size=Bytes(MIB))),
])
def test_fio_has_the_keys_of_the_real_one(recorded, job):
    real = json.loads((RECORDED / recorded).read_text())
    with build().guest(SUT) as guest:
        made = json.loads(guest.run(job.argv(), timeout=1000).stdout)
    assert list(made) == list(real)
    assert shape(made["jobs"][0], "job") >= shape(real["jobs"][0], "job")


@pytest.mark.parametrize(("recorded", "job"), [
    ("iperf3/tcp-1.out", iperf3.Tcp(address="192.0.2.12", port=5201)),
    ("iperf3/udp-20M.out", iperf3.Udp(address="192.0.2.12", port=5201)),
])
def test_iperf3_has_only_keys_of_the_real_one(recorded, job):
    real = json.loads((RECORDED / recorded).read_text())
    target = build()
    with target.guest(SUT) as near, target.guest(PEER) as far, far.start(iperf3.server(5201)):
        made = json.loads(near.run(job.argv(), timeout=1000).stdout)
    for part in ("start", "intervals", "end"):
        assert shape(made[part], part) <= shape(real[part], part)


def shape(value, path):
    """Return the paths of all keys; options, histogram bins and elements of lists count as one."""
    if isinstance(value, dict) and path.endswith((".bins", "job options", ".percentile")):
        return {path}
    if isinstance(value, dict):
        return set().union({path}, *(shape(item, f"{path}.{key}") for key, item in value.items()))
    if isinstance(value, list):
        return set().union({path}, *(shape(item, f"{path}[]") for item in value))
    return {path}


@given(st.integers(0, 16_000_000_000))
def test_bins_are_those_of_fio(nanoseconds):
    number = disk.index(nanoseconds)
    assert disk.lowest(number) <= nanoseconds < disk.lowest(number + 1)
    assert number == FioLayout().index(nanoseconds)
    assert disk.middle(number) == FioLayout().key(number)


def test_the_same_seed_gives_the_same_bytes():
    def output(seed):
        with build(seed=seed).guest(SUT) as guest:
            return [guest.run(job.argv(), timeout=1e6).stdout for job in PLAIN]

    assert output(7) == output(7)
    assert all(a != b for a, b in zip(output(7), output(8), strict=True) if a)


def test_guests_are_slower_than_their_host_by_the_overhead():
    target = build(overhead="20%", noise="0.1%", spread="0.1%")
    job = sysbench.Cpu(duration=Seconds(10))
    with target.guest(SUT) as guest, target.host(0) as host:
        rates = [one(job.parse(each.run(job.argv(), timeout=100).stdout), "cpu.rate") for each in (guest, host)]
    assert rates[0] / rates[1] == pytest.approx(0.8, rel=0.01)


def test_speed_drift_and_noise_are_what_was_asked_for():
    job = sysbench.Cpu(duration=Seconds(10))
    double = one(run(build(speed=2.0, noise="0.1%"), job), "cpu.rate")
    assert double / one(run(build(noise="0.1%"), job), "cpu.rate") == pytest.approx(2, rel=0.05)
    drifting = build(drift="50%", noise="0.1%")
    before = one(run(drifting, job), "cpu.rate")
    drifting.clock.sleep(3600)
    assert one(run(drifting, job), "cpu.rate") / before == pytest.approx(0.5, rel=0.05)
    noisy = build(noise="10%", spread="0.1%")
    logs = [math.log(one(run(noisy, job), "cpu.rate")) for _ in range(60)]
    assert 0.07 < statistics.stdev(logs) < 0.13


def test_time_is_simulated_and_passes():
    target = build()
    before = target.clock.now()
    with target.guest(SUT) as guest:
        booted = target.clock.now()
        guest.run(sysbench.Cpu(duration=Seconds(3600)).argv(), timeout=4000)
        assert target.clock.now() == pytest.approx(booted + 3600.05)
    assert 3 < booted - before < 12


def test_processors_are_those_of_the_guest():
    with build().guest(GuestSpec(role="sut", size=GuestSize(vcpus=3))) as guest:
        assert guest.run(["sh", "-c", "nproc"], timeout=10).stdout == "3\n"


@pytest.mark.parametrize("how", ["missing", "dies", "text", "nan", "full", "hangs"])
@pytest.mark.parametrize("job", PLAIN, ids=lambda job: type(job).__name__)
def test_failures_are_told_or_survived(job, how):
    target = build(failures=[{"tool": job.argv()[0], "how": how, "every": 2}])
    with target.guest(SUT) as guest:
        good = job.parse("".join(read(guest.run(job.argv(), timeout=1e6))))
        try:
            bad = job.parse("".join(read(guest.run(job.argv(), timeout=1e6))))
        except ToolError:
            assert how not in ("text",)
        else:
            assert how in ("text", "nan", "dies")  # a nan may stand where nobody looks, half a table still be one
            assert {each.metric for each in bad} == {each.metric for each in good}
        assert job.parse("".join(read(guest.run(job.argv(), timeout=1e6))))


def read(done):
    return done.stdout, done.stderr


def test_every_other_guest_does_not_boot():
    target = build(boot_fails_every=2)
    with target.guest(SUT):
        pass
    with pytest.raises(TargetError, match="console"), target.guest(SUT):
        pass
    with target.guest(SUT):
        pass


@pytest.mark.parametrize(("wrong", "said"), [
    ({"speeed": 1.0}, "unknown key 'speeed'"), ({"overhead": 0.05}, "overhead"), ({"overhead": "120%"}, "below 100%"),
    ({"speed": 0.0}, "above 0"), ({"hosts": 0}, "at least 1"), ({"failures": [{"tool": "fio", "how": "melts"}]}, "how"),
    ({"failures": [{"tool": "fio", "how": "dies", "every": 0}]}, "every"), ({"boot": 6}, "boot"),
])
def test_wrong_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        build(**wrong)


def test_it_says_that_it_is_simulated():
    assert Fake().facts()["simulated"] == "true"


@given(st.lists(st.sampled_from(["--a=1", "--b", "2", "-c", "3ms", "word"]), max_size=6))
def test_options_of_any_order_are_read(words):
    options = Options(["program", *words], {"b"})
    assert all(isinstance(value, str) for value in options.named.values())


def test_every_program_answers_its_version():
    with build().guest(SUT) as guest:
        for program in PROGRAMS:
            assert program in guest.run([program, "--version"], timeout=5).stdout
