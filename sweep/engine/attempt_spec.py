"""What a trainer needs to run one attempt, as plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sweep.engine.files import Checkpoints
from sweep.engine.settings import Workplace

TEACHER = -1
"""The number in the place of a trial's in attempts of the sweep's teacher."""


@dataclass(frozen=True)
class AttemptResources:
    """What each attempt trains with."""

    threads: int
    use_gpu: bool


@dataclass(frozen=True)
class TeacherSpec:
    """A trained teacher: its candidate as plain data, and its checkpoint in the sweep's folder."""

    candidate: Mapping[str, Any]
    checkpoint: str


@dataclass(frozen=True)
class AttemptSpec:
    """What the trainer needs; plain data, it travels as the Ray trial's config.

    ``trial`` is `TEACHER` where the sweep's teacher is trained; ``teacher`` guides the training, if anybody does.
    """

    trial: int
    attempt: int
    candidate: Mapping[str, Any]
    to_epoch: int
    checkpoint: str | None
    checkpoint_directory: str
    dataset_path: str
    max_epochs: int
    seed: int
    threads: int
    use_gpu: bool
    stop_flag: str
    quiet_directory: str | None
    teacher: TeacherSpec | None = None

    def to_config(self) -> dict[str, Any]:
        """The config of a Ray trial."""
        return {"attempt": asdict(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "AttemptSpec":
        """The spec of a Ray trial's config."""
        values = dict(config["attempt"])
        teacher = values.pop("teacher")
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**known, teacher=TeacherSpec(**teacher) if teacher else None)


def attempt_spec(
    workplace: Workplace,
    resources: AttemptResources,
    *,
    trial: int,
    attempt: int,
    candidate: Mapping[str, Any],
    epochs: tuple[int, int],
    checkpoint: str | None,
    checkpoints: Checkpoints,
    seed: int,
    teacher: TeacherSpec | None = None,
) -> AttemptSpec:
    """The spec of an attempt at ``workplace``.

    Args:
        workplace: of the sweep.
        resources: what it trains with.
        trial: its number, or `TEACHER`.
        attempt: its number, from 1.
        candidate: what is trained, as plain data.
        epochs: where this attempt ends, and full fidelity.
        checkpoint: where it starts, relative to the sweep's folder; None: at the beginning.
        checkpoints: where its own go.
        seed: of the training.
        teacher: who guides it.
    """
    files, quiet = workplace.files, workplace.quiet_directory
    return AttemptSpec(
        trial=trial,
        attempt=attempt,
        candidate=candidate,
        to_epoch=epochs[0],
        checkpoint=str(files.root / checkpoint) if checkpoint else None,
        checkpoint_directory=str(checkpoints.root),
        dataset_path=str(workplace.dataset_path),
        max_epochs=epochs[1],
        seed=seed,
        threads=resources.threads,
        use_gpu=resources.use_gpu,
        stop_flag=str(files.stop_flag),
        quiet_directory=str(quiet) if quiet else None,
        teacher=teacher,
    )
