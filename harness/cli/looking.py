"""`virtmark doctor`, `list` and `schema`: what can run here, what there is, and what a file may say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import click

Row = tuple[str, ...]
KINDS = ("indicators", "scenarios", "targets", "profiles", "workloads", "imports")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def doctor(*, as_json: bool) -> int:
    """Say what can run here; for each missing part, the command that installs it. Exit 2 if something is missing."""
    from harness import codec
    from harness import doctor as checks

    seen = checks.examine()
    if as_json:
        click.echo(codec.encode(seen))
    else:
        for finding in seen:
            click.echo(f"{finding.status:<8} {finding.name:<24} {finding.seen}")
            if finding.fix:
                click.echo(f"{'':<8} {'':<24} -> {finding.fix}")
    return 2 if any(finding.status == "missing" for finding in seen) else 0


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def listed(kind: str | None, *, as_json: bool) -> None:
    """List what there is; without KIND all of it."""
    kinds = [kind] if kind else list(ROWS)
    if as_json:
        click.echo(json.dumps({name: [list(row) for row in ROWS[name]()] for name in kinds}))
        return
    for name in kinds:
        if not kind:
            click.secho(name, bold=True)
        rows = list(ROWS[name]())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@click.command()
@click.argument("kind", type=click.Choice(["scenario", "target", "profile"]))
def schema(kind: str) -> None:
    """Print the JSON Schema of a file that a user writes."""
    from harness import schema as schemas

    click.echo(json.dumps(schemas.of(kind), indent=2, ensure_ascii=False))


def _indicators() -> Iterator[Row]:
    from harness import indicators

    for indicator in indicators.catalogue().values():
        yield indicator.id, indicator.unit, indicator.direction.value, indicator.name, indicator.name_zh


def _scenarios() -> Iterator[Row]:
    from harness import scenario

    for name in scenario.packaged("scenario"):
        yield name, scenario.load(name).title


def _targets() -> Iterator[Row]:
    from harness import codec, scenario

    for name, path in scenario.packaged("target").items():
        yield name, str(codec.toml(path).get("driver", "")), first_comment(path.read_text())


def _profiles() -> Iterator[Row]:
    from harness import profile, scenario

    for name in scenario.packaged("profile"):
        yield name, profile.load(name).title


def _workloads() -> Iterator[Row]:
    from harness import registry

    for name in registry.names("workloads"):
        kind = registry.find("workloads", name)
        yield name, (kind.__doc__ or "").strip().splitlines()[0]


def _imports() -> Iterator[Row]:
    from drivers import imported

    yield from imported.formats().items()


def first_comment(text: str) -> str:
    """Return the first line of a file if it is a comment, without the mark."""
    line = text.lstrip().partition("\n")[0]
    return line.lstrip("# ") if line.startswith("#") else ""


ROWS: dict[str, Callable[[], Iterator[Row]]] = dict(
    zip(KINDS, (_indicators, _scenarios, _targets, _profiles, _workloads, _imports), strict=True))
COMMANDS = {"doctor": doctor, "list": listed, "schema": schema}
