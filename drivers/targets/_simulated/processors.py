"""Simulated sysbench, stress-ng and cyclictest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drivers.targets._simulated.world import Answer, Conditions, Options, counts

EVENTS = 900.0            # sysbench: passes over primes up to 20000, 1/s
PRODUCTS = 600.0          # stress-ng: bogo operations of matrixprod, 1/s
BANDWIDTH = 8192.0        # MiB/s of one thread
CHANNELS = 2.5            # threads that saturate memory
LEVELS = ((32 << 10, 1.5e-9), (1 << 20, 5e-9), (32 << 20, 18e-9))  # caches: B, s per dependent load
BEYOND = 95e-9
WAKING, WAKING_SIGMA = 14e-6, 0.35
_HEAD = """sysbench 1.0.20 (using system LuaJIT 2.1.0-beta3)

Running the test with following options:
Number of threads: {threads}
Initializing random number generator from current time

{what}
Initializing worker threads...

{ring}Threads started!

{result}
General statistics:
    total time:                          {time:.4f}s
    total number of events:              {events}

Latency (ms):
         min:                                 {low:>7.2f}
         avg:                                 {mean:>7.2f}
         max:                                 {high:>7.2f}
         95th percentile:                     {p95:>7.2f}
         sum:                                 {sum:>7.2f}

Threads fairness:
    events (avg/stddev):           {share:.4f}/{unfair:.2f}
    execution time (avg/stddev):   {busy:.4f}/0.00

"""


def sysbench(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `sysbench cpu|memory|SCRIPT run`."""
    asked = Options(argv)
    kind = asked.words[0] if asked.words else ""
    models = {"cpu": _primes, "memory": _memory}
    return models.get(kind, _chase)(asked, here)


def _primes(asked: Options, here: Conditions) -> Answer:
    threads, time = int(asked.number("threads", 1)), asked.number("time", 10)
    prime = int(asked.number("cpu-max-prime", 10000))
    rate = here.around(EVENTS * here.speed * min(threads, here.processors)) * (20000 / prime) ** 1.4
    return _report(here, threads, time, rate, what=f"\nPrime numbers limit: {prime}\n",
                   result=f"CPU speed:\n    events per second: {rate:>8.2f}\n")


def _memory(asked: Options, here: Conditions) -> Answer:
    threads, time = int(asked.number("threads", 1)), asked.number("time", 10)
    block, operation = asked.number("memory-block-size"), asked.text("memory-oper", "write")
    rate = here.around(BANDWIDTH * here.speed * min(threads, here.processors, CHANNELS))
    rate *= 0.7 if operation == "write" else 1.0
    moved, events = rate * time, rate * 2**20 / block
    what = ("Running memory speed test with the following options:\n"
            f"  block size: {block / 1024:.0f}KiB\n  total size: 1048576000MiB\n  operation: {operation}\n"
            "  scope: local\n")
    return _report(here, threads, time, events, what=what, result=(
        f"Total operations: {round(events * time)} ({events:>8.2f} per second)\n\n"
        f"{moved:.2f} MiB transferred ({rate:.2f} MiB/sec)\n\n"))


def _chase(asked: Options, here: Conditions) -> Answer:
    time, span = asked.number("time", 10), asked.number("span")
    stride, steps = asked.number("stride", 64), asked.number("steps", 20000)
    load = next((late for size, late in LEVELS if span <= size), BEYOND)
    rate = 1.0 / (here.around(load / here.speed) * steps)
    ring = f"ring of {span / stride:.0f} nodes, {stride:.0f} bytes apart\n"
    return _report(here, 1, time, rate, what="", result="", ring=ring)


def _report(here: Conditions, threads: int, time: float, rate: float, *, what: str, result: str,
            ring: str = "") -> Answer:
    events = max(1, round(rate * time))
    busy, mean = 0.997 * time, 1e3 * threads * time / events
    text = _HEAD.format(
        threads=threads, what=what, ring=ring, result=result, time=time + 0.002, events=events, low=0.9 * mean,
        mean=mean, high=mean * here.rng.uniform(2, 9), p95=1.2 * mean, sum=1e3 * busy * threads,
        share=events / threads, unfair=0.01 * events / threads, busy=busy)
    return Answer(stdout=text, seconds=time + 0.05)


def stress_ng(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `stress-ng --cpu N --cpu-method matrixprod` and `stress-ng --stream N`; it prints to standard error."""
    asked = Options(argv, {"metrics"})
    kind = "cpu" if "cpu" in asked else "stream"
    threads, time = int(asked.number(kind, 1)), asked.number("timeout", 60)
    able = min(threads, here.processors)
    rate = here.around((PRODUCTS if kind == "cpu" else 11.0) * here.speed * able)
    number, real = here.rng.randrange(2000, 30000), time + 0.01
    info, metric = f"stress-ng: info:  [{number}] ", f"stress-ng: metrc: [{number}] "
    lines = [f"{info}setting to a {time:.0f} second run per stressor", f"{info}dispatching hogs: {threads} {kind}"]
    if kind == "stream":
        lines += [f"{info}stream: Using CPU cache size of 32768K"]
        lines += [f"stress-ng: info:  [{number + 1 + i}] stream: memory rate: {read:.2f} MB read/sec, "
                  f"{read * 2 / 3:.2f} MB write/sec, {read / 11.4:.2f} Mflop/sec (instance {i})"
                  for i in range(threads)
                  for read in [here.around(BANDWIDTH / 2 * here.speed * min(able, CHANNELS) / threads)]]
    lines += [(f"{metric}stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s CPU used per"
              "       RSS Max"),
              (f"{metric}                           (secs)    (secs)    (secs)   (real time) (usr+sys time) "
              "instance (%)          (KB)"),
              (f"{metric}{kind:<13}{rate * real:>10.0f} {real:>9.2f} {real * able:>9.2f} {0:>9.2f} {rate:>12.2f} "
              f"{rate / able:>14.2f} {100 * able / threads:>12.2f} {3140:>13d}"),
              f"{info}successful run completed in {real + 0.01:.2f}s"]
    return Answer(stderr="\n".join(lines) + "\n", seconds=real + 0.05)


def cyclictest(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `cyclictest --histogram=N --quiet`: log-normal lateness with a thin tail of ten times as much."""
    asked = Options(argv, {"mlockall", "quiet"})
    loops, interval = int(asked.number("loops", 1000)), asked.number("interval", 1000) * 1e-6
    bins = int(asked.number("histogram", 1000))
    late = 1e6 * here.around(WAKING / here.speed, 2 * here.spread)
    edges = [float(edge) for edge in range(bins + 1)] + [math.inf]
    tail = loops // 500
    usual = counts(here.rng, loops - tail, edges, late, WAKING_SIGMA)
    rare = counts(here.rng, tail, edges, 10 * late, 0.8)
    all_of_them = [a + b for a, b in zip(usual, rare, strict=True)]
    seen = [us for us, number in enumerate(all_of_them) if number]
    inside, beyond = all_of_them[:bins], all_of_them[bins]
    mean = sum(us * number for us, number in enumerate(all_of_them)) / max(1, sum(all_of_them))
    lines = ["# /dev/cpu_dma_latency set to 0us", "# Histogram",
             *(f"{us:06d} {number:06d}" for us, number in enumerate(inside)), f"# Total: {sum(inside):09d}",
             f"# Min Latencies: {seen[0]:05d}", f"# Avg Latencies: {mean:05.0f}", f"# Max Latencies: {seen[-1]:05d}",
             f"# Histogram Overflows: {beyond:05d}", "# Histogram Overflow at cycle number:", "# Thread 0:", ""]
    return Answer(stdout="\n".join(lines) + "\n", seconds=loops * interval + 0.1)
