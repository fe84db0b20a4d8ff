"""`virtmark job`: the Kubernetes Job whose pods are the workers of a load."""

from __future__ import annotations

import re
from pathlib import Path

import click

from harness.errors import InputError

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@click.command(help="The Kubernetes Job that spreads the workers of a load over a cluster; for machines = \"pods\".")
@click.option("--workers", "-n", type=click.IntRange(1, 1000), required=True, help="How many pods, as the stage says.")
@click.option("--master", "-m", required=True, help="Address at which pods reach the machine of the generator.")
@click.option("--port", "-p", type=click.IntRange(1024, 64000), required=True,
              help="The stage's port; pods call on those after it.")
@click.option("--image", default="", help="Image with Python and Locust; default: Locust's own, of the version here.")
@click.option("--name", default="virtmark-load", show_default=True, help="Name of the Job and its ConfigMap.")
@click.option("--namespace", default="default", show_default=True, help="Namespace.")
@click.option("--locustfile", type=click.Path(path_type=Path), help="The stage's locustfile.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to a file instead of standard output.")
def job(workers: int, master: str, port: int, image: str, name: str, namespace: str, locustfile: Path | None,
        output: Path | None) -> int:
    """Write the manifest."""
    from drivers.load import job as jobs

    for option, given, allowed, what in (("--master", master, HOST, "address"), ("--name", name, NAME, "name"),
                                         ("--namespace", namespace, NAME, "name")):
        if not allowed.fullmatch(given):
            raise InputError(f"{option}: {given!r} is no {what}")
    text = jobs.manifest(workers=workers, master=master, port=port, image=image or jobs.image(), name=name,
                         namespace=namespace, locustfile=locustfile)
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.write_text(text)
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}") from None
    click.echo(str(output))
    return 0


COMMANDS = {"job": job}
