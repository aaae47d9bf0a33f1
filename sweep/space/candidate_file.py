"""Candidate files: one candidate, every value of it fixed, with what was published about it.

```yaml
name: tcl
description: The winner of the 2022 challenge.
architecture: {...}
recipe: {...}
published: {team: TCL, size_mb: 2.9, si_rmse: 0.2773, rmse: 3.47, log10: 0.1103, rel: 0.2997,
            runtime_ms: 46, final_score: 298}
teacher: teacher.yaml
```
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, create_model

from sweep.space.bundled import bundled_file, bundled_names
from sweep.space.candidate import Architecture, Candidate, Recipe
from sweep.space.derive import Language, group_of
from sweep.space.document import Name, editor_schema
from sweep.space.fields import WORDS
from sweep.space.forms import Explain, Form, Group, problems
from sweep.space.own_parts import own_parts
from sweep.space.parts import OwnPart
from sweep.space.possible import reason_of
from sweep.space.problems import Problem, SpaceError, one_of, show
from sweep.space.strict_yaml import MAX_BYTES, read_yaml
from sweep.space.tree import build, resolve

KEYS = "name, architecture and recipe"
NOTHING_OPEN = "one value: a candidate has no open values, which are for search spaces"

_Figure = Annotated[float, Field(gt=0, strict=True), Explain("a number above 0")]


class PublishedRow(Form):
    """What a report says of a system: its figures on the report's data and device, never a trial's own.

    Megabytes are 10^6 bytes; si_rmse is of natural logarithms, rmse in metres.
    """

    team: str = Field(default="", description="Who published it; empty: the file's name.")
    size_mb: _Figure = Field(description="Size of the file in 10^6 bytes.")
    si_rmse: _Figure = Field(description="Scale-invariant RMSE of natural logarithms.")
    rmse: _Figure = Field(description="RMSE in metres.")
    log10: _Figure = Field(description="Mean absolute difference of decimal logarithms.")
    rel: _Figure = Field(description="Mean absolute difference over the truth.")
    runtime_ms: _Figure = Field(description="Runtime in milliseconds.")
    final_score: _Figure = Field(description="The final score.")


@dataclass(frozen=True)
class CandidateFile:
    """A candidate as its file gives it.

    Attributes:
        name: the name that the file gives.
        description: what it is; may be empty.
        candidate: architecture and recipe.
        published: what a report says of it, if anything.
        teacher: the candidate file of the teacher that its recipe asks for, if it names one.
        stands_for: what this candidate is a substitute of where it teaches, if of anything.
        file: the file as the person named it, for messages.
        text: the file's text, to be kept with what was found of it.
        own: the parts of other packages that it names.
    """

    name: str
    description: str
    candidate: Candidate
    published: PublishedRow | None
    teacher: Path | None
    stands_for: str | None
    file: str
    text: str
    own: tuple[type[OwnPart], ...] = ()


class CandidateDocument(Form):
    """A candidate file's keys; ``architecture`` and ``recipe`` hold forms derived from the candidate models."""

    name: Name = Field(description="The candidate's name.")
    description: str = Field(default="", description="What this candidate is.")
    architecture: Group
    recipe: Group
    published: PublishedRow | None = Field(
        default=None, description="A report's row for this system: a mapping with size_mb, si_rmse, ..."
    )
    teacher: Annotated[str, Field(min_length=1, strict=True)] | None = Field(
        default=None, description="Candidate file of the teacher, relative to this file."
    )
    stands_for: Annotated[str, Field(min_length=1, strict=True)] | None = Field(
        default=None, description="What this candidate is a substitute of, where it is a teacher."
    )


def load_candidate(path: str | Path) -> CandidateFile:
    """Load a candidate from a file, or a bundled one by name, such as ``mai2022/tcl``.

    A file in the working directory goes before a bundled one of that name.

    Raises:
        SpaceError: there is no such file, it cannot be read, or what it says is wrong.
    """
    file = str(path)
    place = _place(Path(path), file)
    try:
        with place.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise SpaceError([Problem(file, "", "a directory", "a candidate's YAML file")]) from None
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise SpaceError([Problem(file, "", found, "a candidate's YAML file")]) from None
    return parse_candidate(content, file, place.parent)


def parse_candidate(content: bytes | str, file: str, folder: Path | None = None) -> CandidateFile:
    """Check a candidate's text.

    Args:
        content: the text.
        file: names it in problems.
        folder: what a teacher's path is relative to; None: the working directory.

    Raises:
        SpaceError: with all that is wrong.
    """
    content = content.encode() if isinstance(content, str) else content
    data = read_yaml(content, file, KEYS)
    left_open = [Problem(file, *place) for place in _open_values(data)]
    if left_open:
        raise SpaceError(left_open)
    own = own_parts(data, file)
    try:
        language = Language(own, choices=False)
        document = candidate_document(language).model_validate(data)
    except ValidationError as error:
        raise SpaceError(problems(error, file)) from None
    return CandidateFile(
        name=document.name,
        description=document.description,
        candidate=_candidate(document, file),
        published=document.published,
        teacher=(folder or Path()) / document.teacher if document.teacher else None,
        stands_for=document.stands_for,
        file=file,
        text=content.decode("utf-8-sig"),
        own=own,
    )


@cache
def candidate_document(language: Language) -> type[CandidateDocument]:
    """`CandidateDocument` with ``architecture`` and ``recipe`` in the forms that the candidate models allow."""
    architecture, recipe = (group_of(part, "whole", language) for part in (Architecture, Recipe))
    return create_model(
        "CandidateFile",
        __base__=CandidateDocument,
        __doc__="A candidate: one network and how it is trained, every value of it fixed.",
        architecture=(architecture, Field(description="The network: what latency depends on.")),
        recipe=(recipe, Field(description="How the network is trained.")),
    )


def candidate_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a candidate file, for editors."""
    return editor_schema(candidate_document(Language(choices=False)))


def _place(path: Path, file: str) -> Path:
    bundled = None if path.exists() else bundled_file(path)
    if bundled is not None:
        return Path(str(bundled))
    if path.exists():
        return path
    allowed = f"a YAML file, or a bundled candidate: {one_of(bundled_names(), str(path))}"
    raise SpaceError([Problem(file, "", "no such file", allowed)])


def _open_values(data: object, at: str = "") -> Iterator[tuple[str, str, str]]:
    """Where choices and ranges stand, what they are, and what may stand there. No field is named like them."""
    if not isinstance(data, Mapping):
        return
    if any(word in data for word in WORDS):
        yield at, show(data), NOTHING_OPEN
        return
    for key, value in data.items():
        yield from _open_values(value, f"{at}.{key}" if at else str(key))


def _candidate(document: CandidateDocument, file: str) -> Candidate:
    values = {name: _values(getattr(document, name), name) for name in ("architecture", "recipe")}
    try:
        return Candidate.model_validate(values)
    except ValidationError as error:
        raise SpaceError(
            [
                Problem(
                    file, "", f"values that cannot be together ({reason_of(error)})", "a possible candidate"
                )
            ]
        ) from None


def _values(form: Group, name: str) -> Any:
    def ask(parameter: object) -> Any:
        raise AssertionError(f"{parameter} was not refused")

    return resolve(build(form, name), ask)
