"""What keeps two runs from being compared: what must agree, told apart from what the products may differ in. Pure.

The one thing to know: a difference is only what both runs tell. What one of them does not tell (a platform that shows
nothing of its hosts) is no difference but a doubt, and `doubts` says so; nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness import fingerprint
from harness.model import Run

# What of a host's facts is its hardware class. The rest (kernel, governor, mitigations, ...) belongs to the platform.
HARDWARE = (
    "arch", "cpu.model", "cpu.vendor", "cpu.family", "cpu.modelnumber", "cpu.stepping", "cpu.threads", "cpu.cores",
    "cpu.sockets", "cpu.smt", "cpu.turbo", "cpu.frequency.max", "numa.nodes", "memory.total", "virt.vendor",
    "virt.type", "dmi.vendor", "dmi.product",
)
# What of a target's facts says how it is set up: nothing that a new version of the same product would change.
SETUP = ("cpu_model", "disk_cache", "domain_type", "hosts", "rootless", "runtime", "storage", "storage_driver")
NEAR = {"memory.total": 0.02}  # kernels keep some memory for themselves; relative
DRIVEN = ("client",)           # machines beside hosts and guests whose hardware makes numbers


class Kind(StrEnum):
    """What a difference is about."""

    SCENARIO = "scenario"
    WORKLOAD = "workload"
    TOOLS = "tools"
    ACCELERATOR = "accelerator"
    IMAGE = "image"
    HOST = "host"
    PRODUCT = "product"
    PLATFORM = "platform"


@dataclass(frozen=True)
class Difference:
    """A fact in which two runs differ, as text; "" stands for what is not there. `key` is as in files and facts."""

    key: str
    one: str
    other: str
    kind: Kind


def differences(one: Run, other: Run, *, same_product: bool = False) -> tuple[Difference, ...]:
    """Return what keeps `one` and `other` from being compared, in the order of `Kind`; nothing if they may be.

    Without `same_product` products are compared: vendor, product, version, set-up and software of the hosts may differ.
    With it one product is compared over time: its version and the software of its hosts may differ, its name and set-up
    must not.
    """
    found = [*_scenario(one, other), *_workloads(one, other), *_tools(one, other)]
    a, b = _target(one), _target(other)
    found += _unequal(a, b, ("accelerator", "simulated"), Kind.ACCELERATOR)
    found += [each for each in _unequal(a, b, ("image_hash",), Kind.IMAGE) if each.one and each.other]
    found += [each for each in _machines(one, other) if each.kind is Kind.HOST]
    if same_product:
        found += _unequal(a, b, ("vendor", "product", *SETUP), Kind.PRODUCT)
    return tuple(found)


def noted(one: Run, other: Run) -> tuple[Difference, ...]:
    """Return what may differ between compared runs and yet explain a result: it belongs to what is compared.

    Key `campaign` stands for rounds that were not interleaved, so that drift of the testbed does not cancel.
    """
    a, b = _target(one), _target(other)
    about = ("vendor", "product", "version", *SETUP)
    campaigns = [Difference("campaign", one.plan.campaign, other.plan.campaign, Kind.PLATFORM)]
    return (*_unequal(a, b, about, Kind.PLATFORM), *(each for each in _machines(one, other)
                                                     if each.kind is Kind.PLATFORM),
            *(campaigns if one.plan.campaign != other.plan.campaign else ()))


def doubts(one: Run, other: Run) -> tuple[str, ...]:
    """Return what cannot be held against each other, since one of the runs does not tell it: keys."""
    a, b = _target(one), _target(other)
    found = ["image_hash"] * (bool(a.get("image_hash")) != bool(b.get("image_hash")))
    return (*found, *(["host"] * (bool(hosts(one)) != bool(hosts(other)))))


def sets(runs: Sequence[Run]) -> tuple[tuple[int, ...], ...]:
    """Return the indices of `runs` in sets whose members may all be compared with each other, in order of first member.

    A run joins the first set with none of whose members it differs.
    """
    groups: list[list[int]] = []
    for index, run in enumerate(runs):
        home = next((group for group in groups if not any(differences(runs[member], run) for member in group)), None)
        if home is None:
            groups.append([index])
        else:
            home.append(index)
    return tuple(map(tuple, groups))


def hosts(run: Run) -> dict[str, Mapping[str, str]]:
    """Return the facts of the machines that carry the guests; without virtualization it is the guest itself."""
    found: dict[str, Mapping[str, str]] = {name: facts for name, facts in run.facts.items() if name.startswith("host.")}
    if not found and _target(run).get("accelerator") == "none" and "guest" in run.facts:
        return {"host.0": run.facts["guest"]}
    return found


def _target(run: Run) -> Mapping[str, str]:
    return run.facts.get("target", {})


def _unequal(one: Mapping[str, str], other: Mapping[str, str], keys: Iterable[str], kind: Kind) -> list[Difference]:
    return [Difference(key, one.get(key, ""), other.get(key, ""), kind)
            for key in keys if one.get(key, "") != other.get(key, "")]


def _scenario(one: Run, other: Run) -> list[Difference]:
    a, b = one.plan.scenario, other.plan.scenario
    pairs = [("name", a.name, b.name), *((f"guest.{key}", getattr(a.guest, key), getattr(b.guest, key))
                                         for key in a.guest.__struct_fields__)]
    return [Difference(f"scenario.{key}", _text(x), _text(y), Kind.SCENARIO) for key, x, y in pairs if x != y]


def _workloads(one: Run, other: Run) -> list[Difference]:
    """Return the parameters in which planned steps differ, by stage; and stages and points that only one plans, unless
    the scenarios are not even called the same."""
    a, b = _planned(one), _planned(other)
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    same = one.plan.scenario.name == other.plan.scenario.name
    for key in dict.fromkeys((*a, *b)) if same else (key for key in a if key in b):
        left, right = a.get(key, {}), b.get(key, {})
        where = f"stage.{key[0]}"
        names = dict.fromkeys((*left, *right)) if left and right else {"": None}
        for name in names:
            x, y = (_text(side[name]) if name in side else "" for side in (left, right)) if name else (
                key[1] if left else "", key[1] if right else "")
            if x != y:
                columns = found.setdefault(f"{where}.{name}".rstrip("."), ({}, {}))
                columns[0][x] = columns[1][y] = None
    return [Difference(key, _listed(x), _listed(y), Kind.WORKLOAD) for key, (x, y) in found.items()]


def _planned(run: Run) -> dict[tuple[str, str], dict[str, object]]:
    """Return what is done by stage and (point, arm, warm-up or not): the workload and its parameters, and
    those of what goes on beside it."""
    return {(step.stage, " ".join(filter(None, (step.point, _text(step.arm) if step.arm else "",
                                                "warm-up" * step.warmup)))):
            {"workload": step.workload, **step.params,
             **{f"background.{key}": value for key, value in step.background.items()}} for step in run.plan.steps}


def _tools(one: Run, other: Run) -> Iterator[Difference]:
    """Yield versions of virtmark and of the tools that differ, machine by machine."""
    if one.version != other.version:
        yield Difference("virtmark", one.version, other.version, Kind.TOOLS)
    yield from (each for each in _machines(one, other) if each.kind is Kind.TOOLS)


def _machines(one: Run, other: Run) -> Iterator[Difference]:
    """Yield what differs between machines of one name, each fact by its kind; guests tell of tools only."""
    a, b = ({**hosts(run), **{name: run.facts[name] for name in ("guest", *DRIVEN) if name in run.facts}}
            for run in (one, other))
    for name in sorted(a.keys() & b.keys()):
        for key, (x, y) in fingerprint.differences(a[name], b[name]).items():
            kind = _kind(name, key)
            if (kind is Kind.HOST and _near(key, x, y)) or (kind is Kind.TOOLS and not (x and y)):
                continue
            yield Difference(f"{name}.{key}", x, y, kind)


def _kind(machine: str, key: str) -> Kind:
    if key.startswith("tool."):
        return Kind.TOOLS
    return Kind.HOST if machine != "guest" and key in HARDWARE else Kind.PLATFORM


def _near(key: str, one: str, other: str) -> bool:
    if key not in NEAR or not (one.isdigit() and other.isdigit()):
        return False
    return abs(int(one) - int(other)) <= NEAR[key] * max(int(one), int(other))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(filter(None, values))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
