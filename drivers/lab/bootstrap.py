"""Root file systems out of Debian packages, by mmdebstrap and from the mirrors that this machine itself uses.

The one thing to know: mirrors are asked of apt on this machine and re-pointed at the suite that is wanted; without
any Debian source here, mmdebstrap's own default is used.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drivers.lab.command import call, environment, logged

TARGETS_FORMAT = "$(REPO_URI)|$(RELEASE)|$(SIGNED_BY)"
PASSED_ON = re.compile(r'Acquire::(?:https?::|Check-Valid-Until|Check-Date|Retries|ForceIPv[46]|By-Hash)')
SECONDS = 1800.0
LEAN = tuple(f"path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info", "lintian"))


@dataclass(frozen=True)
class Recipe:
    """What a root file system is made of; all of it goes into the hash of its recipe."""

    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    variant: str = "essential"
    dpkg: tuple[str, ...] = field(default=LEAN)


def bootstrap(recipe: Recipe, root: Path, log: Path) -> None:
    """Unpack and configure the packages of `recipe` into the new folder `root`; LabError if that fails."""
    argv = ["mmdebstrap", "--mode=root", "--format=directory", f"--variant={recipe.variant}",
            f"--include={','.join(recipe.packages)}"]
    argv += [f"--dpkgopt={option}" for option in recipe.dpkg]
    argv += [f"--aptopt={option}" for option in passed_on(call(["apt-config", "dump", "Acquire"]))]
    argv += [f"--customize-hook={hook}" for hook in recipe.hooks]
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    logged([*argv, recipe.suite, str(root), *mirrors(recipe.suite)], log, timeout=SECONDS)


def mirrors(suite: str) -> list[str]:
    """Return apt source lines for `suite` at the mirrors of this machine; none where it has no Debian sources."""
    try:
        listing = call(["apt-get", "indextargets", "--format", TARGETS_FORMAT, "Created-By: Packages"])
    except Exception:
        return []
    return repoint(listing.splitlines(), codename(), suite)


def codename() -> str:
    """Return this machine's Debian release, such as "bookworm"; "" where it has none."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return ""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return found.get("VERSION_CODENAME", "").strip('"') if found.get("ID", "").strip('"') == "debian" else ""


def repoint(listing: Iterable[str], have: str, want: str) -> list[str]:
    """Turn lines `uri|release|signed-by` of release `have` into source lines of release `want`, each once."""
    lines = []
    for uri, release, signed in (line.split("|") for line in listing if line.count("|") == 2):
        base, dash, pocket = release.strip().partition("-")
        if base == have and pocket in ("", "updates", "security"):
            key = "" if signed.strip().startswith("$(") or not signed.strip() else f"[signed-by={signed.strip()}] "
            lines.append(f"deb {key}{uri.strip()} {want}{dash}{pocket} main")
    return list(dict.fromkeys(lines))


def passed_on(dump: str) -> list[str]:
    """Return the lines of `apt-config dump` that tell how to reach a mirror (proxies, certificates, date checks)."""
    return [line for line in dump.splitlines() if PASSED_ON.match(line) and not line.endswith(' "";')]


def versions(root: Path) -> dict[str, str]:
    """Return package -> version of everything installed in a root file system."""
    said = subprocess.run(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\\n"],
                          capture_output=True, text=True, check=True, env=environment()).stdout
    return dict(line.split(" ", 1) for line in said.splitlines())


def lines(text: str) -> list[str]:
    """Return the lines of a data file without comments and blank lines."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def tagged(listed: Sequence[str], tag: str) -> list[str]:
    """Return the words of all lines `tag: word word ...`."""
    return [word for line in listed if line.startswith(f"{tag}:") for word in line.partition(":")[2].split()]
