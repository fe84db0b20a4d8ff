"""Before the first round: clean up after earlier runs, boot once, look at every machine, and check the tools.

What cannot work is known before hours are spent on it: a step whose tool is missing becomes BROKEN with the command
that installs it, and a target that cannot be reached is given up. Neither stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import attempt, codec, fingerprint, registry, tools
from harness.errors import InputError, Unsupported, VirtmarkError
from harness.model import GuestSize, Step
from harness.protocols import Cleans, Hosted, Machine, Viewed
from harness.rounds import Boots, Round
from harness.scenario import Placed
from harness.surroundings import HERE, Vantage

MOST_HOSTS = 16
PLATFORM = ("vendor", "product", "version", "accelerator")
BOOT_ID = "/proc/sys/kernel/random/boot_id"
Facts = dict[str, dict[str, str]]
Note = Callable[[str], None]


@dataclass
class Site:
    """A target as the runner finds it: facts by machine, what cannot run there and why, and how booting goes."""

    placed: Placed
    boots: Boots
    facts: Facts = field(default_factory=dict)
    lacking: dict[tuple[str, str], str] = field(default_factory=dict)
    boot: float | None = None
    vantage: Vantage = HERE


def look(site: Site, steps: Sequence[Step], size: GuestSize, note: Note) -> None:
    """Fill `site` with what is found on its target; whatever goes wrong there is noted and never raised."""
    placed, boots = site.placed, site.boots
    try:
        if isinstance(placed.target, Cleans):
            for line in placed.target.clean():
                note(f"{placed.name}: cleaned: {line}")
        site.facts["target"] = dict(placed.target.facts())
    except Exception as error:  # whatever it is, the other targets can be measured
        boots.given_up = f"the target cannot be used: {_said(error)}"
        note(f"{placed.name}: {boots.given_up}")
        return
    with Round(placed.target, size, boots, note) as machines:
        try:
            _look_around(site, machines, list(uses(steps)), note)
            site.boot = machines.booting
        except Exception as error:
            note(f"{placed.name}: {_said(error)}")


def compare(before: Facts, site: Site, note: Note) -> None:
    """Refuse to mix platforms in one run: InputError if the target is another now; lesser changes are noted."""
    for machine in sorted(before.keys() & site.facts.keys()):
        for key, (old, new) in fingerprint.differences(before[machine], site.facts[machine]).items():
            text = f"{site.placed.name}: since the run began, {machine}'s {key} went from {old!r} to {new!r}"
            if machine == "target" and key in PLATFORM:
                raise InputError(f"{text}; begin a new run")
            note(text)


def uses(steps: Iterable[Step]) -> Iterator[tuple[str, str, Any]]:
    """Yield (workload, place, record) once for each kind of step; what does not decode is the step's own error."""
    seen = set()
    for step in steps:
        with suppress(InputError):
            record = codec.convert(registry.find("workloads", step.workload), step.params, step.id)
            key = (step.workload, attempt.place(record))
            if key not in seen:
                seen.add(key)
                yield (*key, record)


def _look_around(site: Site, machines: Round, wanted: list[tuple[str, str, Any]], note: Note) -> None:
    seen = {"guest": machines.guest("sut", 0)}
    if isinstance(site.placed.target, Hosted):
        seen |= {f"host.{number}": host for number, host in enumerate(_hosts(machines))}
    if isinstance(site.placed.target, Viewed):
        with suppress(Unsupported):
            seen["client"] = machines.client()
    programs = set().union(*(record.tools for _, _, record in wanted))
    simulated = site.facts["target"].get("simulated") == "true"
    for name, machine in seen.items():
        try:
            site.facts[name] = dict(fingerprint.machine(machine, tools=() if simulated else sorted(programs)))
            if not simulated:
                _check_tools(site, name.partition(".")[0], machine, wanted, note)
        except VirtmarkError as error:
            note(f"{site.placed.name}: {name} ({machine.name}): {error}")
    if not simulated:
        site.vantage = _vantage(site, seen)


def _vantage(site: Site, seen: dict[str, Machine]) -> Vantage:
    """Find out from where the target is watched: machines with one boot id share this machine's kernel."""
    here = Path(BOOT_ID).read_text(encoding="ascii")
    local = {name for name, machine in seen.items()
             if machine.run(["cat", BOOT_ID], timeout=60).stdout.strip() == here.strip()}
    bare = "guest" in local and site.facts["target"].get("accelerator") == "none"
    return Vantage("host" if ("host.0" if "host.0" in seen else "guest") in local else "controller", not bare)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, VirtmarkError) else f"{type(error).__name__}: {error}"


def _hosts(machines: Round) -> Iterator[Machine]:
    """Yield every machine below the guests, until the target says that there are no more."""
    names: set[str] = set()
    for index in range(MOST_HOSTS):
        try:
            host = machines.host(index)
        except Unsupported:
            return
        if host.name in names:
            return
        names.add(host.name)
        yield host


def _check_tools(site: Site, place: str, machine: Machine, wanted: list[tuple[str, str, Any]], note: Note) -> None:
    """Remember which workloads lack a tool on this machine; a client serves the workloads that need one."""
    due = {(workload, at): set(record.tools) for workload, at, record in wanted
           if place == at or (place == "client" and Viewed in record.needs)}
    absent = set(tools.missing(machine, set().union(*due.values())))
    for key, needed in due.items():
        if lacking := sorted(needed & absent):
            reason = tools.advice(lacking, f"on {place} {machine.name} of {site.placed.name}")
            if key not in site.lacking:
                note(f"{key[0]}: {reason}")
            site.lacking.setdefault(key, reason)
