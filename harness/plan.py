"""Turn scenarios and targets into the exact steps, in order. Pure: same inputs and seed, same plan.

One command makes one *campaign*. Its rounds are interleaved over the targets (A B C, then C B A, ...), so that slow
drift of a shared machine falls on all of them alike and rounds can be compared in pairs. Within a round the points are
shuffled, the same way for every target; the arms of a point stay adjacent and change sides from round to round.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from harness import codec, registry
from harness.errors import InputError
from harness.model import Plan, Record, Repetition, Scenario, Stage, Step, Value

BOOT = 20.0
"""Allowance in s for making, booting and removing the guests of a round, where the caller knows no better."""
OVERHEAD = 0.5
"""Allowance in s for what surrounds one step."""
BESIDE = 5.0
"""Allowance in s for bringing load to where it runs beside a workload, and for taking it away."""

T = TypeVar("T")


class Campaign(Record, frozen=True, kw_only=True):
    """One plan for each scenario and target; together they hold every step once, and `Step.order` counts over all."""

    id: str
    plans: tuple[Plan, ...]


class Block(NamedTuple):
    """The steps of one round of one plan, in order: what runs on the same freshly booted guests."""

    plan: int
    round: int
    steps: tuple[Step, ...]


class Forecast(NamedTuple):
    """How long a campaign takes in s: as planned, at most (two-stage repetition), and by step order."""

    seconds: float
    at_most: float
    steps: dict[int, float]


def make(scenarios: Sequence[Scenario], targets: Sequence[str], *, seed: int, rounds: int | None = None) -> Campaign:
    """Return the campaign of all `scenarios`, one after the other, each on all `targets`; `rounds` overrides theirs.

    InputError if two scenarios or two targets have one name: their run folders and findings could not be told apart.
    """
    for kind, names in (("scenario", [scenario.name for scenario in scenarios]), ("target", list(targets))):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"{kind} {twice[0]!r} is given twice; each {kind} of a campaign needs a name of its own")
    if rounds is not None and rounds < 1:
        raise InputError(f"{rounds} rounds are too few; at least 1")
    chosen = [_with_rounds(scenario, rounds) for scenario in scenarios]
    digest = hashlib.sha256(codec.encode([chosen, list(targets), seed])).hexdigest()[:12]
    plans: list[Plan] = []
    first = 0
    for scenario in chosen:
        turns = range(-max(stage.warmups for stage in scenario.stage), scenario.repetition.rounds)
        steps = list(_steps(scenario, targets, seed, turns, first))
        first += len(steps)
        plans += [Plan(campaign=digest, scenario=scenario, target=target, seed=seed,
                       steps=tuple(step for step in steps if step.target == target)) for target in targets]
    return Campaign(id=digest, plans=tuple(plans))


def extend(campaign: Campaign, wanted: Mapping[str, int]) -> Campaign:
    """Return the campaign with `wanted` rounds in all, by scenario name: the second stage of a two-stage repetition.

    The new steps stand behind those of all pilots, and every target gets them, so that rounds still pair. What an
    earlier call added is replaced, so that a campaign stopped between two folders is extended to the same steps again.
    """
    pilots = [tuple(step for step in plan.steps if step.round < plan.scenario.repetition.rounds)
              for plan in campaign.plans]
    first = max((step.order for steps in pilots for step in steps), default=-1) + 1
    added: dict[int, list[Step]] = {number: [] for number in range(len(pilots))}
    for name, rounds in wanted.items():
        own = {plan.target: number for number, plan in enumerate(campaign.plans) if plan.scenario.name == name}
        for plan in (campaign.plans[number] for number in list(own.values())[:1]):
            turns = range(plan.scenario.repetition.rounds, rounds)
            for step in _steps(plan.scenario, list(own), plan.seed, turns, first):
                added[own[step.target]].append(step)
                first = step.order + 1
    plans = [msgspec.structs.replace(plan, steps=(*pilots[number], *added[number]))
             for number, plan in enumerate(campaign.plans)]
    return msgspec.structs.replace(campaign, plans=tuple(plans))


def quick(scenario: Scenario) -> Scenario:
    """Return the quick look of a scenario, a scenario of its own; InputError if it does not say what that is."""
    look = scenario.quick
    if look is None:
        raise InputError(f"scenario {scenario.name!r} has no table [quick]; a quick look at it is not defined")
    stages = tuple(
        msgspec.structs.replace(stage, params={**stage.params, **stage.quick}, quick={}, name=label(stage))
        for stage in scenario.stage if not look.stages or label(stage) in look.stages)
    return msgspec.structs.replace(
        scenario, name=f"{scenario.name}-quick", title=f"{scenario.title} (quick look)", stage=stages, quick=None,
        repetition=Repetition(rounds=look.rounds))


def planned_rounds(plan: Plan) -> int:
    """Return how many measured rounds `plan` holds, warm-up rounds not counted."""
    return max((step.round for step in plan.steps), default=-1) + 1


def blocks(campaign: Campaign) -> list[Block]:
    """Return the campaign as it is carried out: rounds of single targets, one after the other."""
    steps = sorted(((step.order, number, step) for number, plan in enumerate(campaign.plans) for step in plan.steps),
                   key=lambda item: item[:2])
    grouped = itertools.groupby(steps, key=lambda item: (item[1], item[2].round))
    return [Block(number, turn, tuple(step for _, _, step in group)) for (number, turn), group in grouped]


def estimate(campaign: Campaign, boots: Mapping[str, float] | None = None) -> Forecast:
    """Return how long the campaign takes; `boots` are seconds per round by target, where they are known."""
    known: dict[bytes, float] = {}
    steps: dict[int, float] = {}
    extra = 0.0
    for plan in campaign.plans:
        boot = (boots or {}).get(plan.target, BOOT)
        for block in blocks(Campaign(id="", plans=(plan,))):
            for number, step in enumerate(block.steps):
                around = OVERHEAD + (boot if number == 0 else 0.0) + (BESIDE if step.background else 0.0)
                steps[step.order] = _seconds(step, known) + around
        rule, rounds = plan.scenario.repetition, planned_rounds(plan)
        if rule.rule == "two-stage" and rounds:
            measured = sum(steps[step.order] for step in plan.steps if not step.warmup)
            extra += measured / rounds * max(0, rule.most - rounds)
    total = math.fsum(steps.values())
    return Forecast(total, total + extra, steps)


def label(stage: Stage) -> str:
    """Return what the stage is called in points and ids."""
    return stage.name or stage.workload


def cells(stage: Stage) -> Iterator[dict[str, Value]]:
    """Yield every cell of the stage's grid, each a point with findings of its own."""
    return _product(stage.grid)


def arms(stage: Stage) -> Iterator[dict[str, Value]]:
    """Yield every combination of the stage's arms; one empty one if there are none."""
    return _product(stage.arms)


def point(stage: Stage, cell: Mapping[str, Value]) -> str:
    """Return the name of a point, the same on every target: "disk:depth=1,block=4KiB", or "disk" without a grid."""
    return ":".join(filter(None, (label(stage), _text(cell))))


def abba(items: Iterable[T], turn: int) -> list[T]:
    """Return `items` forwards in even rounds and backwards in odd ones: linear drift cancels over each two rounds."""
    return list(items)[::1 if turn % 2 == 0 else -1]


def _with_rounds(scenario: Scenario, rounds: int | None) -> Scenario:
    if rounds is None:
        return scenario
    return msgspec.structs.replace(scenario, repetition=Repetition(rounds=rounds))


def _steps(scenario: Scenario, targets: Sequence[str], seed: int, turns: range, first: int) -> Iterator[Step]:
    order = itertools.count(first)
    for turn in turns:
        batch = [(stage, cell) for stage in scenario.stage if turn >= -stage.warmups for cell in cells(stage)]
        random.Random(f"{seed}/{scenario.name}/{turn}").shuffle(batch)
        for target in abba(targets, turn):
            for stage, cell in batch:
                for arm in abba(arms(stage), turn):
                    name, side = point(stage, cell), f"@{_text(arm)}" if arm else ""
                    yield Step(
                        id=f"{name}{side}#{turn}", stage=label(stage), workload=stage.workload, point=name, grid=cell,
                        params={**stage.params, **cell, **arm}, arm=arm, round=turn, order=next(order), target=target,
                        warmup=turn < 0, background=stage.background)


def _product(table: Mapping[str, tuple[Value, ...]]) -> Iterator[dict[str, Value]]:
    return (dict(zip(table, values, strict=True)) for values in itertools.product(*table.values()))


def _text(cell: Mapping[str, Value]) -> str:
    return ",".join(f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in cell.items())


def _seconds(step: Step, known: dict[bytes, float]) -> float:
    key = codec.encode([step.workload, step.params])
    if key not in known:
        kind = registry.find("workloads", step.workload)
        known[key] = float(codec.convert(kind, step.params, step.id).seconds())
    return known[key]
