"""Read the files that say what to measure and where: scenarios and targets, both TOML, both strictly.

A name such as "quick" or "lab" means a packaged file; anything with a slash or ".toml" is a path. Every value of a
scenario is checked against the workload it is for when the file is read, not when the step begins.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from harness import background, codec, masking, plan, registry
from harness.errors import InputError
from harness.masking import Mask
from harness.model import Name, Scenario, Stage
from harness.protocols import Target

FOLDERS = {"scenario": "", "target": "targets", "profile": "profiles"}


class Placed(NamedTuple):
    """A target under its name, the settings it was built from (no secrets: they name variables), and its mask."""

    name: str
    target: Target
    settings: dict[str, Any]
    mask: Mask


def load(name: str | Path) -> Scenario:
    """Return the scenario called `name`; InputError names file, key, what is wrong and what is allowed."""
    path = find("scenario", name)
    scenario = codec.convert(Scenario, codec.toml(path), str(path))
    check(scenario, str(path))
    return scenario


def target(name: str | Path) -> Placed:
    """Return the target called `name`; its file's `driver` chooses the class, all other keys are that class's fields.

    An optional key `name` renames it; else it is called like its file.
    """
    path = find("target", name)
    return build({"name": path.stem} | codec.toml(path), str(path))


def build(settings: Mapping[str, Any], where: str) -> Placed:
    """Return the target that `settings` (with `driver` and `name`) describe."""
    fields = dict(settings)
    name = codec.convert(Name, fields.pop("name", ""), f"{where}: name")
    if "driver" not in fields:
        raise InputError(f"{where}: key 'driver' is missing; there are: {', '.join(registry.names('targets'))}")
    driver = codec.convert(str, fields.pop("driver"), f"{where}: driver")
    mask = masking.of(fields, where)
    return Placed(name, _built(_driver(driver, where), fields, where), {"driver": driver, "name": name} | fields, mask)


def find(kind: str, name: str | Path) -> Path:
    """Return the file of the scenario, target or profile called `name`, packaged or a path."""
    text = str(name)
    if "/" in text or text.endswith(".toml"):
        return Path(text)
    if text in packaged(kind):
        return packaged(kind)[text]
    raise InputError(f"{kind} {text!r} is unknown; give a path to a .toml file, or one of: {', '.join(packaged(kind))}")


def packaged(kind: str) -> dict[str, Path]:
    """Return the files that ship with virtmark, by name."""
    folder = Path(str(importlib.resources.files("scenarios"))) / FOLDERS[kind]
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def check(scenario: Scenario, where: str) -> None:
    """Refuse what the types alone cannot: unknown workloads and parameters, wrong units, ambiguous names."""
    rule = scenario.repetition
    if rule.rule == "two-stage" and rule.most < rule.rounds:
        raise InputError(f"{where}: repetition.most: {rule.most} is fewer than the pilot's {rule.rounds} rounds")
    names = [plan.label(stage) for stage in scenario.stage]
    for wanted in scenario.quick.stages if scenario.quick else ():
        if wanted not in names:
            raise InputError(f"{where}: quick.stages: {wanted!r} is unknown; allowed: {', '.join(names)}")
    seen: dict[str, int] = {}
    for number, stage in enumerate(scenario.stage):
        here, name = f"{where}: stage[{number}]", plan.label(stage)
        if name in seen:
            raise InputError(f"{here}.name: {name!r} is stage[{seen[name]}] already; give each stage a name of its own")
        seen[name] = number
        _check_stage(stage, here)


def _check_stage(stage: Stage, here: str) -> None:
    if stage.workload not in registry.names("workloads"):
        raise InputError(f"{here}.workload: {stage.workload!r} is unknown; allowed: "
                         f"{', '.join(registry.names('workloads'))}")
    kind = registry.find("workloads", stage.workload)
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    single = {key: (value,) for key, value in stage.params.items()}
    owner: dict[str, str] = {}
    swift = {key: (value,) for key, value in stage.quick.items()}
    for table, entries in (("params", single), ("quick", swift), ("grid", stage.grid), ("arms", stage.arms)):
        for key, values in entries.items():
            if key not in types:
                raise InputError(f"{here}.{table}: unknown key {key!r}; {stage.workload} has: {', '.join(types)}")
            if table == "quick" and key in single:
                owner[key] = table
            if owner.setdefault(key, table) != table:
                raise InputError(f"{here}.{table}.{key}: stands in {owner[key]} too; allowed once")
            _check_values(types[key], values, f"{here}.{table}.{key}")
    if stage.background:
        background.check(stage.background, stage.workload, f"{here}.background")
    for cell in plan.cells(stage):
        for arm in plan.arms(stage):
            codec.convert(kind, {**stage.params, **cell, **arm}, f"{here} ({plan.point(stage, cell)})")
            codec.convert(kind, {**stage.params, **stage.quick, **cell, **arm}, f"{here}.quick")


def _check_values(kind: Any, values: tuple[Any, ...], here: str) -> None:
    if not values:
        raise InputError(f"{here}: is empty; list at least one value")
    if len({(type(value), value) for value in values}) < len(values):
        raise InputError(f"{here}: a value stands in it twice; each one makes a point or arm of its own")
    for value in values:
        codec.convert(kind, value, here)


def _driver(name: str, where: str) -> Any:
    if name not in registry.names("targets"):
        raise InputError(f"{where}: driver: {name!r} is unknown; allowed: {', '.join(registry.names('targets'))}")
    try:
        return registry.find("targets", name)
    except ImportError as error:
        raise InputError(f"{where}: driver: {name!r} cannot be loaded ({error}); "
                         f"run: pip install 'virtmark[{name}]'") from None


def _built(kind: Any, settings: dict[str, Any], where: str) -> Target:
    """Build a driver, a msgspec record or a dataclass; the latter does not refuse unknown keys by itself."""
    if dataclasses.is_dataclass(kind):
        allowed = [field.name for field in dataclasses.fields(kind) if field.init]
        for key in settings:
            if key not in allowed:
                raise InputError(f"{where}: unknown key {key!r}; allowed: {', '.join(['driver', 'name', *allowed])}")
    built: Target = codec.convert(kind, settings, where)
    return built
