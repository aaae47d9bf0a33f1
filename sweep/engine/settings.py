"""Everything a run needs to know, typed and frozen; made once from the command line and the space."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from device_farm.types import Target
from sweep.engine.files import SweepFiles


@dataclass(frozen=True)
class Compute:
    """What one attempt gets of the machine or cluster; None: decide from what is there."""

    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None


@dataclass(frozen=True)
class RunSettings:
    """One call of ``sweep run`` or ``sweep resume``. ``time_s`` bounds this call, in seconds."""

    name: str
    runs: Path
    space: Path
    data: Path | None
    farm: str | None
    trials: int
    time_s: float | None
    seed: int
    keep: int
    compute: Compute

    def to_json(self) -> dict[str, Any]:
        """Plain data for the journal."""
        plain = asdict(self)
        return {key: str(value) if isinstance(value, Path) else value for key, value in plain.items()}


@dataclass(frozen=True)
class ResolvedTarget:
    """The target as the farm answered it: one device class, one runtime by name and version."""

    asked: Target
    device_class: str
    runtime: str
    emulated: bool

    def to_json(self) -> dict[str, Any]:
        """Plain data for the sweep's identity."""
        return {
            "labels": dict(self.asked.labels),
            "runtime": self.runtime,
            "threads": self.asked.threads,
            "delegate": self.asked.delegate,
            "device_class": self.device_class,
            "emulated": self.emulated,
        }

    @property
    def exact(self) -> Target:
        """The target with the runtime's resolved name, as each measurement asks for it."""
        return Target(self.asked.labels, self.runtime, self.asked.threads, self.asked.delegate)


@dataclass(frozen=True)
class Workplace:
    """What the steps of a trial share: paths and figures that every process of the run can use."""

    files: SweepFiles
    dataset_path: Path
    quiet_directory: Path | None
    """Directory of the `QuietHost` locks; None when measurements do not take place on this machine."""
    max_epochs: int
    seed: int


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ, each with both values."""
    return [
        f"{key}: {old.get(key)!r} then, {new.get(key)!r} now"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
