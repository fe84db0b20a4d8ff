"""Records to JSON and TOML data and back, strictly.

Decoding reports the key path and what is allowed; a quantity field is read from text with a unit. Infinite
floats (an outage that never ended) are written as the strings "inf" and "-inf", since JSON has none.
"""

from __future__ import annotations

import math
import re
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
    return msgspec.json.encode(plain(record))


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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise InputError(f"{path}: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}") from None


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


def _explain(message: str, kind: Any) -> str:
    """Turn msgspec's "problem - at `$.path`" into "path: problem; what is allowed"."""
    problem, _, path = message.partition(" - at ")
    path = path.strip("`").removeprefix("$").lstrip(".")
    if match := re.search(r"unknown field `(.+)`", problem):
        return ": ".join(filter(None, (path, f"unknown key {match[1]!r}; allowed: {', '.join(_keys(kind, path))}")))
    return ": ".join(filter(None, (path, problem)))


def _keys(kind: Any, path: str) -> list[str]:
    """Return the keys that the record at `path` inside `kind` allows."""
    for name in [part for part in re.split(r"[.\[\]]+", path) if part and not part.isdigit() and part != "..."]:
        kind = _record_in({field.name: field.type for field in msgspec.structs.fields(kind)}[name])
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _record_in(annotation: Any) -> Any:
    """Return the record type inside `annotation`, such as Stage in tuple[Stage, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _record_in(part))), None)
