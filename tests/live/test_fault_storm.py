"""Faults in a row, each in a controller of its own that gets kill -9 at a random moment: every one is healed.

`python -m tests.live.test_fault_storm 200` does it longer and prints what happened, one line an event; in a lab where
no cluster stands, since that fences hosts which are short of time.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from drivers import healing
from drivers.lab import faults, report
from drivers.lab.layout import Layout
from drivers.shell import guard, owner
from drivers.targets import _faults
from drivers.targets._agent import Agent
from harness import scenario
from harness.errors import LabError, VirtmarkError
from harness.model import GuestSize
from harness.protocols import Fault, GuestSpec
from tests.support import lab

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
EVENTS, SEED = 5, 1     # the moments are left to chance, the kinds are not
MOMENTS = ("before", "during", "while it lasts", "healing")
LINES = {"before": "begun", "during": "injecting", "while it lasts": "injected", "healing": "healing"}
SPEC = GuestSpec(role="storm", size=GuestSize())
FATAL = ("guest-kill", "guest-panic", "storage-error", "storage-read-only", "manager-kill")
PATIENCE = 90.0


class Storm:
    """One guest of the parent, which outlives the controllers that break it; a fresh one where a fault ended it."""

    def __init__(self, seed):
        self.rng, self.layout = random.Random(seed), Layout.current()
        self.target, self.stack, self.guest = scenario.target("lab").target, ExitStack(), None
        self.kinds = sorted(_faults.kinds(self.target))

    def event(self):
        """Break one thing, kill its controller and perhaps its guard, and return what happened."""
        kind, moment = self.rng.choice(self.kinds), self.rng.choice(MOMENTS)
        guarded = self.rng.random() < 0.5
        if self.guest is None:
            self.guest = self.stack.enter_context(self.target.guest(SPEC))
        self._controller(kind, moment, guarded)
        noted = len(healing.standing(faults.folder(self.layout)))
        by = "nothing to heal" if not noted else "guard" if guarded and self._heals_alone() else "next start"
        self._next_start()
        self._check(kind)
        return kind, moment, "guard lives" if guarded else "guard killed", by

    def close(self):
        self.stack.close()
        self.target.close()

    def _controller(self, kind, moment, guarded):
        argv = [sys.executable, "-m", "tests.live.test_fault_storm", "--controller", kind,
                self.guest.channel.domain.name(), self.guest.address]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            watcher = 0
            for line in process.stdout:
                word, _, rest = line.strip().partition(" ")
                watcher = int(rest) if word == "begun" else watcher
                if word == LINES[moment]:
                    break
            with contextlib.suppress(subprocess.TimeoutExpired):  # the moment is random, that is the test
                process.wait(self.rng.uniform(0, {"during": 0.1, "healing": 0.6}.get(moment, 0.3)))
            if not guarded and watcher:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(watcher, signal.SIGKILL)
            process.kill()

    def _heals_alone(self):
        try:
            _eventually(lambda: not healing.standing(faults.folder(self.layout)))
        except LabError:
            return False
        return True

    def _next_start(self):
        fresh = scenario.target("lab").target
        fresh.clean()
        fresh.close()

    def _check(self, kind):
        found = report.status(self.layout)
        assert (found.faults, found.leftovers, found.up) == ((), (), True), (kind, found)
        if kind in FATAL or (kind == "host-power-off" and self._ended()):
            self.stack.close()
            self.guest = None
        else:
            assert self.guest.run(["echo", "lives"], timeout=PATIENCE).stdout == "lives\n", kind

    def _ended(self):
        try:
            return not self.guest.channel.domain.isActive()
        except Exception:
            return True


def controller(kind, name, address):
    """Break it and wait for ever, or until killed."""
    target = scenario.target("lab").target
    domain = target._daemon(0).connection.lookupByName(name)
    guest = Agent(domain, "storm", address, "/scratch")
    guest.channel.await_agent()
    print("begun", guard.local()._process.pid, flush=True)
    print("injecting", flush=True)
    with target.fault(Fault(kind=kind, host=1 if kind == "host-power-off" else 0, share=0.3), guest):
        print("injected", flush=True)
        target.clock.sleep(0.3)
        print("healing", flush=True)
    print("healed", flush=True)


def storm(events, seed, say=lambda _: None):
    """Let it storm; return how often what happened."""
    found, weather = Counter(), Storm(seed)
    try:
        for number in range(events):
            began = time.monotonic()
            happened = weather.event()
            found[happened] += 1
            say(f"{number + 1:4} {', '.join(happened)}, {time.monotonic() - began:.1f} s")
    finally:
        weather.close()
    return found


def left(layout):
    """Return the guests, mounts of killed controllers, tables, stopped things that are left."""
    found = report.status(layout)
    guests = [name for each in found.machines for name in each.guests if owner.left_behind(name)]
    return [*found.faults, *found.leftovers, *guests, *faults.tables(layout),
            *map(str, faults.folder(layout).glob("*.json"))]


def _eventually(true):
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise LabError("not healed by the guard")
        time.sleep(0.02)


def test_every_fault_is_healed_though_its_controller_is_killed():
    layout = lab.need("hA", "hB")
    assert sum(storm(EVENTS, SEED).values()) == EVENTS
    assert left(layout) == []


def main(argv):
    if argv[0] == "--controller":
        try:
            controller(*argv[1:])
        except VirtmarkError as error:
            print(f"error {error}", flush=True)
        return
    seed = int(argv[1]) if len(argv) > 1 else 1
    found = storm(int(argv[0]), seed, lambda line: print(line, flush=True))
    for part, name in enumerate(("kinds", "moments", "guards", "healed by")):
        total = Counter()
        for happened, count in found.items():
            total[happened[part]] += count
        print(f"{name}: {', '.join(f'{key} {count}' for key, count in sorted(total.items()))}")
    print(f"left at the end: {left(Layout.current()) or 'nothing'}")


if __name__ == "__main__":
    main(sys.argv[1:])
