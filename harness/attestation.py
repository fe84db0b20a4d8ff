"""Answers to the clauses that no measurement can decide: the questionnaire, and the file in which it comes back.

The one thing to know: "yes" counts only with evidence, a name and a date. Anything else is open, however it is put.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness import codec
from harness.errors import InputError
from harness.model import Name, Record
from harness.standard import Clause, Kind, Part

HOW = ('Fill in: answer = "yes" or "no"; evidence: documents, or files beside this one; who signs, and when.',
       '填写：answer 为 "yes" 或 "no"；evidence 为文件名称，或与本文件同目录的文件；signed_by 为签署人；date 为日期。')
Text = Annotated[str, Meta(min_length=1)]


class Answer(Record, frozen=True, kw_only=True):
    """One [[answer]]: `evidence` are names of documents, or files beside the answers, whose hashes are then shown.

    `target` is the one that it is about, all for "".
    """

    clause: str
    answer: Literal["yes", "no", ""] = ""
    evidence: tuple[Text, ...] = ()
    signed_by: str = ""
    date: Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""
    target: str = ""
    remark: str = ""

    @property
    def counts(self) -> bool:
        """Say whether it says yes and is backed and signed."""
        return self.answer == "yes" and bool(self.evidence and self.signed_by and self.date)


class AnswersFile(Record, frozen=True, kw_only=True):
    """Answers as written, for the profile of that name."""

    profile: Name
    answer: tuple[Answer, ...] = ()


def load(path: Path, parts: Sequence[Part]) -> list[Answer]:
    """Return the answers of a file; InputError names file, answer, what is wrong and what is allowed."""
    file = codec.convert(AnswersFile, codec.toml(path), str(path))
    part = next((each for each in parts if each.name == file.profile), None)
    if part is None:
        raise InputError(f"{path}: profile: {file.profile!r} is not judged here; allowed: "
                         f"{', '.join(each.name for each in parts) or 'none, for no profile has questions'}")
    asked = [clause.id for clause in part.clauses if clause.kind is Kind.ATTESTED]
    seen: set[tuple[str, str]] = set()
    for number, answer in enumerate(file.answer):
        _check(answer, asked, seen, f"{path}: answer[{number}]")
        seen.add((answer.clause, answer.target))
    return [_hashed(answer, path.parent) for answer in file.answer]


def _check(answer: Answer, asked: Sequence[str], seen: set[tuple[str, str]], where: str) -> None:
    if answer.clause not in asked:
        raise InputError(f"{where}.clause: {answer.clause!r} asks nothing; allowed: {', '.join(asked)}")
    if (answer.clause, answer.target) in seen:
        raise InputError(f"{where}.clause: {answer.clause!r} is answered twice; take one of them out")
    lacking = [key for key in ("evidence", "signed_by", "date") if not getattr(answer, key)]
    if answer.answer == "yes" and lacking:
        raise InputError(f"{where}.{lacking[0]}: is empty; \"yes\" needs evidence, signed_by and date")
    try:
        datetime.date.fromisoformat(answer.date or "2000-01-01")
    except ValueError:
        raise InputError(f"{where}.date: {answer.date!r} is no day; write it like 2026-01-31") from None
    if answer.answer == "no" and not answer.signed_by:
        raise InputError(f"{where}.signed_by: is empty; who says no?")


def _hashed(answer: Answer, folder: Path) -> Answer:
    """Return the answer with the SHA-256 of each piece of evidence that is a file."""
    def shown(name: str) -> str:
        path = folder / name
        if not path.is_file():
            return name
        return f"{name} (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()})"

    return msgspec.structs.replace(answer, evidence=tuple(map(shown, answer.evidence)))


def questionnaire(part: Part) -> str:
    """Return the file to fill in; InputError if the profile asks nothing."""
    asked = [clause for clause in part.clauses if clause.kind is Kind.ATTESTED]
    if not asked:
        raise InputError(f"profile {part.name!r}: no clause of it is attested; there is nothing to ask")
    return "\n".join(_lines(part, asked)) + "\n"


def _lines(part: Part, asked: Sequence[Clause]) -> Iterator[str]:
    yield f"# {part.title}"
    yield f"# {part.title_zh}"
    yield from (f"# {line}" for line in HOW)
    yield f'profile = "{part.name}"'
    for clause in asked:
        yield ""
        yield f"# {clause.number or clause.id}  {clause.title} / {clause.title_zh}"
        for lang, evidence in (("en", "Evidence"), ("zh", "证据")):
            yield f"#   {clause.said('question', lang)}"
            yield f"#   {evidence}: {clause.said('evidence', lang)}"
        yield "[[answer]]"
        yield f'clause = "{clause.id}"'
        yield 'answer = ""'
        yield "evidence = []"
        yield f'signed_by = ""      # {clause.signs}'
        yield 'date = ""           # 2026-01-31'


__all__ = ["Answer", "AnswersFile", "load", "questionnaire"]
