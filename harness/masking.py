"""Secrets: a file names an environment variable, and what that variable holds is shown nowhere.

A setting whose key ends in `_env` is the name of an environment variable. Its value is replaced by `***` in whatever
virtmark prints or stores: errors, progress, step results, facts and raw tool output.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError

HIDDEN = "***"
SHORTEST = 4


@dataclass(frozen=True)
class Mask:
    """The secrets of a run; without any, everything passes through untouched."""

    secrets: tuple[str, ...] = ()

    def text(self, shown: str) -> str:
        """Return `shown` without secrets."""
        for secret in self.secrets:
            shown = shown.replace(secret, HIDDEN)
        return shown

    def data(self, raw: bytes) -> bytes:
        """Return `raw` without the UTF-8 bytes of secrets."""
        for secret in self.secrets:
            raw = raw.replace(secret.encode(), HIDDEN.encode())
        return raw

    def tree(self, value: Any) -> Any:
        """Return JSON-ready data with every string in it masked; numbers and keys stay as they are."""
        if not self.secrets:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.tree(item) for key, item in value.items()}
        return [self.tree(item) for item in value] if isinstance(value, (list, tuple)) else value

    def __or__(self, other: Mask) -> Mask:
        return _mask({*self.secrets, *other.secrets})


UNMASKED = Mask()


def of(settings: Mapping[str, Any], where: str) -> Mask:
    """Return the mask for the secrets that `settings` names; InputError if a variable is not set or holds too little.

    A secret of fewer than four characters would hide half of everything, and reveal itself by that.
    """
    found = {}
    for key, variable in _named(settings, ""):
        secret = os.environ.get(variable, "") if isinstance(variable, str) else ""
        if not secret:
            raise InputError(f"{where}: {key}: environment variable {variable!r} is not set; set it, and never write "
                             "the secret into a file")
        if len(secret) < SHORTEST:
            raise InputError(f"{where}: {key}: environment variable {variable!r} holds fewer than {SHORTEST} "
                             "characters, which cannot be masked; use a longer secret")
        found[key] = secret
    return _mask(set(found.values()))


def _mask(secrets: set[str]) -> Mask:
    """Longest first, so that no secret is left over behind one that it contains."""
    return Mask(tuple(sorted(secrets, key=lambda secret: (-len(secret), secret))))


def _named(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            here = f"{path}.{key}".lstrip(".")
            if str(key).endswith("_env"):
                yield here, item
            else:
                yield from _named(item, here)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _named(item, f"{path}[{number}]")
