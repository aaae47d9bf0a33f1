"""A folder of candidate files as one text, which a sweep keeps: it needs none of the files again."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from sweep.space.candidate import Distillation
from sweep.space.candidate_file import CandidateFile, parse_candidate
from sweep.space.document import Target
from sweep.space.problems import Problem, SpaceError
from sweep.space.strict_yaml import MAX_BYTES

DEFAULT_EPOCHS: Final = 6
"""Epochs of each training, unless somebody asks for others."""


@dataclass(frozen=True)
class Folder:
    """A folder's candidate files.

    Attributes:
        candidates: by file name without its ending, sorted.
        teacher: the candidate file of the teacher that they name.
        notes: files that were passed over and why, a sentence each.
    """

    candidates: Mapping[str, CandidateFile]
    teacher: Path | None
    notes: tuple[str, ...]


def read_folder(directory: Path, shown: str) -> Folder:
    """Read all candidate files of a folder; search spaces, and the teacher of the others, are passed over.

    Args:
        directory: the folder.
        shown: the folder as the person named it.

    Raises:
        SpaceError: there is no such folder, it holds no candidate, a file is wrong, or two teachers are named.
    """
    contents = _contents(directory, shown)
    spaces = [name for name, content in contents.items() if is_space(content)]
    files = {
        name: parse_candidate(content, f"{shown.rstrip('/')}/{name}", directory)
        for name, content in contents.items()
        if name not in spaces
    }
    teacher = _teacher(files.values(), shown)
    teachers = [name for name in files if (directory / name).resolve() == teacher]
    candidates = {Path(name).stem: file for name, file in files.items() if name not in teachers}
    if not candidates:
        raise SpaceError([Problem(shown, "", "no candidate", "a folder with candidates' YAML files")])
    notes = [f"{name} is passed over: it is a search space" for name in spaces]
    notes += [f"{name} is passed over: it is the others' teacher" for name in teachers]
    return Folder(candidates, teacher, tuple(notes))


def kept_text(folder: Folder, name: str, shown: str, target: Target) -> str:
    """A folder as YAML for `sweep.space.load.parse_space`.

    Each candidate is tried once, in the order of the files' names, under one budget, without early stopping. The
    teacher that they name is that of the sweep.

    Args:
        folder: the files.
        name: the folder's own name.
        shown: the folder as the person named it.
        target: what latencies are measured on.
    """
    asked = target.model_dump(mode="json", exclude_defaults=True)
    candidates = folder.candidates
    document = {
        "name": re.sub(r"[^A-Za-z0-9_.-]", "_", name).strip("_.-")[:64] or "candidates",
        "description": f"The candidates of {shown}, each of them tried once.",
        **({"target": asked} if asked else {}),
        "budget": {"trials": len(candidates), "max_epochs": DEFAULT_EPOCHS},
        "sampler": {"kind": "random"},
        "start_from": [{"candidate": candidate} for candidate in candidates],
        "keep": len(candidates),
        **({"teacher": {"candidate": str(folder.teacher)}} if folder.teacher else {}),
        "candidates": {key: {"file": file.file, "text": file.text} for key, file in candidates.items()},
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def is_space(content: bytes) -> bool:
    """Whether a YAML file is a search space rather than a candidate: it has a budget."""
    return re.search(rb"^[\"']?budget[\"']?\s*:", content, re.MULTILINE) is not None


def _contents(directory: Path, shown: str) -> dict[str, bytes]:
    """The folder's YAML files by name, sorted."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix in (".yaml", ".yml"))
        return {path.name: _start_of(path) for path in paths if path.is_file()}
    except OSError as error:
        found = f"a folder that cannot be read ({error.strerror})"
        raise SpaceError([Problem(shown, "", found, "a folder with candidates' YAML files")]) from None


def _start_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _teacher(files: Iterable[CandidateFile], shown: str) -> Path | None:
    """The one teacher that the candidates name."""
    files = tuple(files)
    wrong = [
        Problem(file.file, "teacher", "nothing", "PATH, for its recipe.distillation asks for a teacher")
        for file in files
        if isinstance(file.candidate.recipe.distillation, Distillation) and file.teacher is None
    ]
    named = {file.teacher.resolve(): file for file in files if file.teacher}
    if len(named) > 1:
        one, other, *_ = named.items()
        found = f"{one[0]} in {one[1].file} and {other[0]} in {other[1].file}"
        wrong.append(Problem(shown, "teacher", found, "one teacher for all candidates of a folder"))
    if wrong:
        raise SpaceError(wrong)
    return next(iter(named), None)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)
