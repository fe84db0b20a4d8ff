"""`virtmark lab`: the embedded lab."""

from __future__ import annotations

import click


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.group()
def lab() -> None:
    """Two hosts a stack, a switch, a client and shared storage, made of namespaces on this machine."""


@lab.command()
@click.option("--stack", "stacks", multiple=True, metavar="NAME",
              help="Debian release that hosts run on: bookworm, trixie; may be given twice.  [default: bookworm]")
@click.option("--links", type=click.IntRange(1, 2), metavar="N",
              help="Cables from each host to the switch: with 2, one can fail.  [default: 1, or what stands]")
def up(stacks: tuple[str, ...], links: int | None) -> None:
    """Bring the lab up, building the guest image first if it is not cached; heals a half-made lab."""
    from drivers.lab import lab as embedded

    embedded.up(stacks or ("bookworm",), links=links, say=_say)


@lab.command()
def down() -> None:
    """Take the lab down and leave nothing; the images stay cached."""
    from drivers.lab import lab as embedded

    embedded.down(say=_say)


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def status(as_json: bool) -> None:
    """Say what stands, what runs on it, and what is left over."""
    from drivers.lab import report
    from harness import codec

    seen = report.status()
    click.echo(codec.encode(seen).decode() if as_json else report.text(seen))


COMMANDS = {"lab": lab}
