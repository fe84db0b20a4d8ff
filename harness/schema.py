"""JSON Schemas of the files that people write, for editors that complete and check while one types.

They come from the records that decode the files, so they cannot lag behind; what only the whole file shows (names used
twice, an arm that is also a parameter) is left to `scenario.load` and `profile.load`.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from harness import background, indicators, profile, registry
from harness.errors import InputError
from harness.model import Name, Scenario
from harness.units import Quantity

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REF = "#/$defs/{name}"
Json = dict[str, Any]


def of(kind: str) -> Json:
    """Return the schema of a "scenario", "target" or "profile" file."""
    schemas: dict[str, Callable[[], Json]] = {"scenario": _scenario, "target": _target, "profile": _profile}
    if kind not in schemas:
        raise InputError(f"schema {kind!r} is unknown; there are: {', '.join(schemas)}")
    return {"$schema": DIALECT, "title": f"virtmark {kind}"} | schemas[kind]()


def _scenario() -> Json:
    """Return the schema of a scenario; what a stage may say follows from its workload."""
    names = registry.names("workloads")
    schema, found = _components([Scenario, *(registry.find("workloads", name) for name in names)])
    stage = found["Stage"]
    stage["properties"]["workload"] = {"enum": names}
    stage["properties"]["background"] = _beside(_named(found, schema[1 + names.index(background.WORKLOAD)]))
    stage["allOf"] = [
        {"if": {"properties": {"workload": {"const": name}}}, "then": {"properties": _stage(_named(found, ref))}}
        for name, ref in zip(names, schema[1:], strict=True)]
    return schema[0] | {"$defs": found}


def _stage(workload: Json) -> Json:
    """Return the parameters, grid and arms of a stage from the schema of its workload's record."""
    fields = workload["properties"]
    lists = {name: {"type": "array", "minItems": 1, "uniqueItems": True,
                    "items": {key: value for key, value in field.items() if key != "default"}}
             for name, field in fields.items()}
    tables = {"params": fields, "grid": lists, "arms": lists}
    return {table: {"type": "object", "properties": entries, "additionalProperties": False}
            for table, entries in tables.items()}


def _beside(workload: Json) -> Json:
    """Return the parameters of what goes on beside a stage, from the schema of its record."""
    allowed = registry.find("workloads", background.WORKLOAD).alongside
    fields = {key: workload["properties"][key] | ({"enum": list(values)} if values else {})
              for key, values in allowed.items()}
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _target() -> Json:
    """Return the schema of a target; its driver decides about all other keys."""
    drivers: dict[str, Any] = {}
    absent: list[str] = []
    for name in registry.names("targets"):
        try:
            drivers[name] = registry.find("targets", name)
        except ImportError:
            absent.append(name)
    (common, *schemas), found = _components([Name, *drivers.values()])
    for name, ref in zip(drivers, schemas, strict=True):
        own = _named(found, ref)
        own["properties"] = {"driver": {"const": name}, "name": common} | own["properties"]
        own["required"] = ["driver", *own.get("required", ())]
    chosen = [{"if": {"properties": {"driver": {"const": name}}}, "then": ref}
              for name, ref in zip(drivers, schemas, strict=True)]
    note = {"$comment": f"not described, since they cannot be loaded here: {', '.join(absent)}"} if absent else {}
    return {"type": "object", "required": ["driver"], "allOf": chosen, "$defs": found, **note,
            "properties": {"driver": {"enum": [*drivers, *absent]}}}


def _profile() -> Json:
    (schema,), found = _components([profile.ProfileFile])
    entry = found["Entry"]["properties"]
    entry["indicator"] = {"enum": sorted(indicators.catalogue())}
    entry["limit"] |= {"pattern": r"^\s*((>=|<=|>|<)\s*\S|between\s+\S.*\sand\s+\S)",
                       "examples": [">= 1000 /s", "<= 10 ms", "between -5 % and 5 %"]}
    return schema | {"$defs": found}


def _components(kinds: Iterable[Any]) -> tuple[list[Json], Json]:
    found, components = msgspec.json.schema_components(
        [_twin(kind) for kind in kinds], schema_hook=_quantity, ref_template=REF)
    return list(found), dict(components)


def _named(components: Json, ref: Json) -> Json:
    """Return the schema that a reference points to."""
    found: Json = components[ref["$ref"].rpartition("/")[2]]
    return found


def _quantity(kind: Any) -> Json:
    if not (isinstance(kind, type) and issubclass(kind, Quantity)):
        raise NotImplementedError
    units = "|".join(sorted(map(re.escape, kind.units), key=len, reverse=True))
    return {"type": "string", "pattern": rf"^\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*({units})\s*$",
            "examples": [kind.example], "description": f"a quantity in {kind.base}: a number and its unit"}


@functools.cache
def _twin(kind: Any) -> Any:
    """Return a type like `kind` whose defaults can be shown: msgspec does not know how to show those of a quantity."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = [(field.name, _twin(field.type), _default(field)) for field in msgspec.structs.fields(kind)]
        return msgspec.defstruct(
            kind.__name__, [field[:2] if field[2] is msgspec.NODEFAULT else field for field in fields],
            namespace={"__doc__": inspect.cleandoc(kind.__doc__ or "")}, kw_only=True, forbid_unknown_fields=True,
            rename={field.name: field.encode_name for field in msgspec.structs.fields(kind)})
    arguments = get_args(kind)
    if not any(_holds_record(part) for part in arguments):
        return kind
    twins = tuple(_twin(part) if part is not Ellipsis else part for part in arguments)
    if get_origin(kind) is Annotated:
        return Annotated[(twins[0], *arguments[1:])]
    return Union[twins] if get_origin(kind) in (Union, types.UnionType) else get_origin(kind)[twins]  # noqa: UP007


def _holds_record(kind: Any) -> bool:
    if isinstance(kind, type) and not get_args(kind):
        return issubclass(kind, msgspec.Struct)
    return any(_holds_record(part) for part in get_args(kind))


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """Return what stands for the default of a field: itself, a quantity as text, or nothing that would be shown."""
    if field.required:
        return msgspec.NODEFAULT
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, Quantity):
        return text(value)
    shown = isinstance(value, (str, int, float, bool)) or value is None
    return value if shown else msgspec.field(default_factory=lambda: None)


def text(value: Quantity) -> str:
    """Return a quantity as one would write it, so that reading it gives the same number: "512MiB", "30s", "2%"."""
    whole = ((unit, value / factor) for unit, factor in sorted(value.units.items(), key=lambda item: -item[1])
             if value and (value / factor).is_integer())
    for unit, number in whole:
        if value.read(f"{int(number)} {unit}") == value:
            return f"{int(number)}{unit}" if not unit[:1].isdigit() else f"{int(number)} {unit}"
    base = next(unit for unit, factor in value.units.items() if factor == 1.0)
    return f"{float(value)!r}{base}"
