"""Records to JSON and TOML data and back, strictly.

Decoding reports the key path and what is allowed; a quantity field is read from text with a unit. Infinite
floats (an outage that never ended) are written as the strings "inf" and "-inf", since JSON has none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import InputError
from harness.units import Quantity

T = TypeVar("T")


def convert(kind: type[T], data: Any, where: str) -> T:
    """Build a `kind` from plain data; `where` (a file or step) begins the error message."""
    try:
        return msgspec.convert(data, kind, dec_hook=_read, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_explain(str(error), kind)}") from None


def plain(record: Any) -> Any:
    """Return `record` as JSON-ready data; infinities become strings, NaN is refused."""
    return _finite(msgspec.to_builtins(record, enc_hook=_write))


def encode(record: Any) -> bytes:
    """Return `record` as one line of JSON, without the newline; equal records give equal bytes."""
    line = msgspec.json.encode(record, enc_hook=_write)
    return msgspec.json.encode(plain(record)) if b"null" in line else line  # msgspec writes inf and nan as null


def decode(kind: type[T], line: bytes | str, where: str) -> T:
    """Read back a stored record; steps and plans hold no infinities, so none are read."""
    try:
        return msgspec.json.decode(line, type=kind, dec_hook=_read_stored)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InputError(f"{where}: {error}") from None


def toml(path: Path) -> dict[str, Any]:
    """Return the data of a TOML file; a missing, unreadable or ill-formed one is an InputError naming it."""
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise InputError(f"{path}: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}") from None
    for key in _unbounded(data, ""):
        raise InputError(f"{path}: {key}: must be a finite number")
    return data


def _unbounded(value: Any, path: str) -> Iterator[str]:
    """Yield the key paths of all nan and inf inside `value`: TOML has them, no file of ours may."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _unbounded(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unbounded(item, f"{path}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Quantity):
        return kind.read(value)
    raise NotImplementedError(f"no way to read a {kind}")


def _read_stored(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Quantity) and isinstance(value, (int, float)):
        return kind(value)
    return _read(kind, value)


def _write(value: Any) -> Any:
    if isinstance(value, Quantity):
        return float(value)
    raise NotImplementedError(f"no way to write a {type(value).__name__}")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise ValueError("NaN is no measurement")
        return "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


_PROBLEMS = (
    (r"Object missing required field `(.+)`", r"key '\1' is missing"),
    (r"Expected `str` matching regex .*", "only letters, digits, '.', '_' and '-', and a letter or digit first"),
    (r"Object contains unknown field `(.+)`", r"unknown key '\1'"),
    (r"Invalid enum value (.+)", r"\1 is unknown"),
    (r"Expected `(.+?)`, got `(.+?)`", r"expected \1, got \2"),
    (r"Expected `(.+?)` (.+)", r"must be \1 \2"),
)


def _explain(message: str, kind: Any) -> str:
    """Turn msgspec's "problem - at `$.path`" into "path: problem; what is allowed"."""
    problem, _, path = message.partition(" - at ")
    path = path.strip("`").removeprefix("$").lstrip(".")
    allowed: list[str] = []
    if "unknown field" in problem:
        allowed = [field.encode_name for field in msgspec.structs.fields(_at(kind, path))]
    elif problem.startswith("Invalid enum value"):
        allowed = _choices(_at(kind, path))
    for pattern, plainly in _PROBLEMS:
        problem = re.sub(f"^{pattern}$", plainly, problem)
    return ": ".join(filter(None, (path, problem))) + (f"; allowed: {', '.join(allowed)}" if allowed else "")


def _at(kind: Any, path: str) -> Any:
    """Return the type at `path` inside `kind`: a record, or the annotation of a field that holds none."""
    kind = _record_in(kind) or kind
    for name in [part for part in re.split(r"[.\[\]]+", path) if part and not part.isdigit()]:
        kind = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}[name]
        kind = _record_in(kind) or kind
    return kind


def _choices(annotation: Any) -> list[str]:
    """Return the values that a Literal or an enumeration, perhaps inside another annotation, admits."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    found = [choice for part in getattr(annotation, "__args__", ()) for choice in _choices(part)]
    return found or [str(part) for part in getattr(annotation, "__args__", ()) if isinstance(part, (str, int))]


def _record_in(annotation: Any) -> Any:
    """Return the record type inside `annotation`, such as Stage in tuple[Stage, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _record_in(part))), None)
