"""`virtmark import`: files of other tools as a run that judge and report accept."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import InputError


@click.command("import")
@click.argument("tool", metavar="TOOL")
@click.argument("files", nargs=-1, required=True, metavar="FILE...",
                type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--target", default="imported", show_default=True, metavar="NAME", help="What the target is called.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="A parameter of the workload that the files cannot tell, such as path=cross-host.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("results"), show_default=True)
def read(tool: str, files: tuple[Path, ...], *, target: str, settings: tuple[str, ...], out: Path) -> None:
    """Turn FILEs that TOOL wrote into a run; files of one load are its rounds, in order.

    TOOLs are listed by `virtmark list imports`.
    """
    from importlib import metadata

    from drivers import imported
    from harness import store

    taken = imported.load(tool, files, target=target, version=metadata.version("virtmark"), params=_params(settings))
    folder = out / target / taken.run.plan.campaign
    store.create(folder, taken.run, {"imported": tool})
    for path, data in taken.raw.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    with store.Journal(folder) as journal:
        for result in taken.run.results:
            journal.append(result)
    click.echo(folder)
    if taken.unscored:
        click.echo(f"kept, but no indicator takes them, since nothing says which way is good (--set better=higher or "
                   f"lower): {', '.join(taken.unscored)}", err=True)


def _params(settings: tuple[str, ...]) -> dict[str, str | int | float | bool]:
    pairs: dict[str, str | int | float | bool] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise InputError(f"--set: {setting!r} is no KEY=VALUE; write, say, path=cross-host")
        pairs[key] = value
    return pairs


COMMANDS = {"import": read}
