"""What a trainer needs to run one attempt, as plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class AttemptSpec:
    """What the trainer needs; plain data, it travels as the Ray trial's config."""

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

    def to_config(self) -> dict[str, Any]:
        """The config of a Ray trial."""
        return {"attempt": asdict(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "AttemptSpec":
        """The spec of a Ray trial's config."""
        values = config["attempt"]
        return cls(**{field.name: values[field.name] for field in fields(cls)})
