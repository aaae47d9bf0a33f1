"""A space's teacher with everything that its files say, so that a sweep needs them no more."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweep.hashing import sha256_of
from sweep.space.candidate_file import load_candidate
from sweep.space.problems import Problem, SpaceError, show
from sweep.space.recipe import Distillation
from sweep.space.space import Space
from sweep.space.teacher import TeacherSection


@dataclass(frozen=True)
class ChosenTeacher:
    """Who teaches in a sweep; plain data.

    Attributes:
        name: what it is called.
        candidate: its candidate as plain data.
        candidate_hash: of that.
        epochs: of its training in the sweep; 0 if it was trained before.
        stands_for: what it is a substitute for; None if it is none.
        checkpoint: its trained weights, an absolute path; None if it is trained in the sweep.
        sha256: of that file, in hexadecimal digits.
    """

    name: str
    candidate: Mapping[str, Any]
    candidate_hash: str
    epochs: int
    stands_for: str | None = None
    checkpoint: str | None = None
    sha256: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What students' scores depend on: the candidate and its training, or the trained weights themselves."""
        if self.sha256 is not None:
            return {"candidate": self.candidate_hash, "checkpoint": self.sha256}
        return {"candidate": self.candidate_hash, "epochs": self.epochs}

    @property
    def title(self) -> str:
        """Its name, and what it stands for if it is a substitute."""
        return self.name if self.stands_for is None else f"{self.name} (stands for {self.stands_for})"

    def to_json(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "ChosenTeacher":
        """The inverse of `to_json`."""
        return cls(**found)


def teacher_of(space: Space) -> ChosenTeacher | None:
    """The teacher of ``space``, if it has one; see `choose_teacher`."""
    section, max_epochs = space.document.teacher, space.document.budget.max_epochs
    return None if section is None else choose_teacher(section, space.file, max_epochs)


def choose_teacher(section: TeacherSection, file: str, max_epochs: int) -> ChosenTeacher:
    """Read what ``section`` names.

    Args:
        section: of a space file.
        file: that file; paths are relative to it.
        max_epochs: full fidelity of the sweep, and of the teacher where the section says nothing else.

    Raises:
        SpaceError: the candidate's file or the checkpoint cannot be read, or the candidate is itself guided.
    """
    folder = Path(file).parent
    found = load_candidate(folder / section.candidate)
    if isinstance(found.candidate.recipe.distillation, Distillation):
        raise SpaceError(
            [
                Problem(
                    found.file,
                    "recipe.distillation",
                    "a teacher that has a teacher of its own",
                    "no distillation in a teacher's recipe",
                )
            ]
        )
    checkpoint = None if section.checkpoint is None else (folder / section.checkpoint).resolve()
    return ChosenTeacher(
        name=section.name or found.name,
        candidate=found.candidate.model_dump(mode="json"),
        candidate_hash=found.candidate.hash,
        epochs=0 if checkpoint else section.epochs or max_epochs,
        stands_for=section.stands_for or found.stands_for,
        checkpoint=None if checkpoint is None else str(checkpoint),
        sha256=None if checkpoint is None else _sha256(checkpoint, str(section.checkpoint), file),
    )


def _sha256(path: Path, written: str, file: str) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        found = f"{show(written)} ({error.strerror})"
        raise SpaceError([Problem(file, "teacher.checkpoint", found, "a file that can be read")]) from None
