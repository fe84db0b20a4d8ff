"""`virtmark bundle` and `verify`: evidence in one file that others can check, and the check.

The one thing to know: signatures are those of OpenSSH (`ssh-keygen -Y`, namespace "virtmark"), so that the keys which
people have already will do, and nobody needs virtmark to check them.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import InputError, ToolError

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from harness.bundle import Check, Checked, Inside, Sign, Signed

TOOL, NAMESPACE, PATIENCE = "ssh-keygen", "virtmark", 60.0


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="RUN...",
                type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "out", required=True, metavar="FILE", type=click.Path(path_type=Path),
              help="The bundle; one that is there already is replaced.")
@click.option("--profile", "-p", "profiles", multiple=True, metavar="P",
              help="A packaged profile or a path to a .toml file; several are merged.")
@click.option("--attest", "answers", metavar="FILE", multiple=True,
              type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Answers to the questions of a profile; documents beside it that it names go with it.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True,
              help="The language of the report.")
@click.option("--sign", "key", type=click.Path(path_type=Path), metavar="KEY",
              help="Sign with this private key of OpenSSH, or with the agent by a public one.")
@click.option("--no-report", is_flag=True, help="Findings alone, without the report.")
def bundle(folders: tuple[Path, ...], profiles: tuple[str, ...], answers: tuple[Path, ...], *, out: Path, lang: str,
           key: Path | None, no_report: bool) -> None:
    """Put run folders, profiles, findings and report into one file, with hashes of everything and a signature."""
    from harness import bundle as bundles

    sign = _signing(key) if key else None
    derive = functools.partial(derived, lang="" if no_report else lang)
    written = bundles.write(out, folders, derive, profiles=profiles, answers=answers, sign=sign)
    click.echo(out)
    signed = f"signed with {key}" if key else "not signed"
    click.echo(f"runs: {written.runs}, files: {written.files}, {written.size / 1e6:.2f} MB, {signed}", err=True)


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--signers", type=click.Path(path_type=Path), metavar="FILE",
              help="Who may sign, in the format of allowed signers of ssh-keygen; the bundle must then be signed.")
@click.option("--json", "as_json", is_flag=True, help="Machine output alone on stdout.")
def verify(path: Path, *, signers: Path | None, as_json: bool) -> int:
    """Check every byte of a bundle and derive its findings again; exit 0 well, 1 damaged or forged, 2 no bundle."""
    from harness import bundle as bundles

    checked = bundles.verify(path, derived, _checking(signers) if signers else None)
    if as_json:
        click.echo(json.dumps({"bundle": str(path), "well": not checked.problems} | checked._asdict(),
                              ensure_ascii=False))
    else:
        _print(path, checked)
    return 1 if checked.problems else 0


def derived(inside: Inside, lang: str = "") -> dict[str, bytes]:
    """Return the files that follow from the evidence in a bundle, the report among them if a language is given."""
    from analysis import export
    from analysis import report as pages
    from harness.cli.judging import judging

    judged = judging(inside.runs, inside.profiles, inside.answers)
    files = {"findings.json": export.findings_json(judged.findings).encode()}
    if judged.assessments:
        files["assessments.json"] = export.assessments_json(judged.assessments).encode()
    if lang:
        with tempfile.TemporaryDirectory(prefix="virtmark-") as made:
            pages.write(list(judged.runs.values()), judged.findings, judged.profile, Path(made), lang=lang,
                        folders=[run.relative_to(inside.root) for run in judged.runs], assessments=judged.assessments)
            files |= {f"report/{path.relative_to(made).as_posix()}": path.read_bytes()
                      for path in Path(made).rglob("*") if path.is_file()}
    return files


def _print(path: Path, checked: Checked) -> None:
    for line in checked.problems:
        click.echo(f"{path}: {line}")
    for line in checked.remarks:
        click.echo(f"{path}: note: {line}")
    said = {"": "", "none": "not signed: hashes tell accidents, not who wrote it",
            "not checked": "signed, not checked: give --signers"}
    if signature := said.get(checked.signature, f"signature {checked.signature}"):
        click.echo(f"{path}: {signature}")
    if not checked.problems:
        click.echo(f"{path}: well: the findings follow from the evidence; runs: {checked.runs}, "
                   f"steps: {checked.steps}, files: {checked.files}")


def _signing(key: Path) -> Sign:
    """Return what signs a file with `key`; InputError or ToolError at once where that cannot work."""
    _readable(key, "--sign")
    _tool()

    def sign(path: Path) -> None:
        done = _ran(["sign", "-n", NAMESPACE, "-f", str(key), str(path)], None)
        if done.returncode or not Path(f"{path}.sig").exists():
            raise InputError(f"--sign: {key}: {TOOL} cannot sign with it: {_last(done)}; give a private key as "
                             f"{TOOL} -t ed25519 makes it")

    return sign


def _checking(signers: Path) -> Check:
    """Return what says which of `signers` signed a file; InputError or ToolError at once where that cannot work."""
    _readable(signers, "--signers")
    _tool()
    from harness.bundle import Signed

    def check(path: Path, signature: Path) -> Signed:
        found = _ran(["find-principals", "-f", str(signers), "-s", str(signature)], None)
        names = found.stdout.splitlines()
        if found.returncode or not names:
            return Signed("", f"is of nobody in {signers}: {_last(found)}")
        done = found
        for name in names:
            done = _ran(["verify", "-n", NAMESPACE, "-I", name, "-f", str(signers), "-s", str(signature)], path)
            if done.returncode == 0:
                return Signed(name)
        return Signed("", f"does not fit {path.name}: {_last(done)}")

    return check


def _ran(arguments: Sequence[str], stdin: Path | None) -> CompletedProcess[str]:
    """Run ssh-keygen; it asks for a passphrase on the terminal by itself, and signing waits for that."""
    import os
    import subprocess

    patience = None if arguments[0] == "sign" else PATIENCE
    with open(stdin or os.devnull, "rb") as file:
        try:
            return subprocess.run([TOOL, "-Y", *arguments], stdin=file, capture_output=True, text=True,
                                  errors="replace", timeout=patience, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolError(f"{TOOL}: {error}") from None


def _last(done: CompletedProcess[str]) -> str:
    """Return the last line of what a program said: that is the one which says why it gave up."""
    said = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return said[-1] if said else f"exit status {done.returncode}"


def _tool() -> None:
    import shutil

    if not shutil.which(TOOL):
        raise ToolError(f"{TOOL} is missing here; run: apt-get install openssh-client")


def _readable(path: Path, option: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{option}: {path}: {error.strerror}") from None


COMMANDS = {"bundle": bundle, "verify": verify}
