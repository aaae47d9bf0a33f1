"""Everything a run needs to know, typed and frozen; made once from the command line and the space."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from device_farm.types import Target
from sweep.engine.files import SweepFiles
from sweep.search.ports import Start
from sweep.space import ExportChoices, InferenceSetting
from sweep.space.chosen_teacher import ChosenTeacher
from sweep.tracking.addresses import redacted


@dataclass(frozen=True)
class Compute:
    """What one attempt gets of the machine or cluster; None: decide from what is there."""

    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    lookahead: int | None = None
    """Candidates measured ahead of training, at most; None: as many as there are slots and devices."""
    ship_code: bool = False
    """Send this program's code to the cluster's nodes, which then need only its dependencies."""
    own_packages: tuple[str, ...] = ()
    """Packages with one's own parts; see `sweep.engine.own_code.own_packages`."""


@dataclass(frozen=True)
class Stores:
    """Where the sweep's projections are kept: addresses, which may hold passwords; None: the default.

    By default MLflow's store is a file in the folder of all sweeps, and there is no copy of the Optuna study.
    """

    mlflow_uri: str | None = None
    mlflow_artifacts: str | None = None
    optuna_storage: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """The addresses without their passwords."""
        return {key: value and redacted(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Finalizing:
    """Whose winners a finalising sweep trains again: the best ``top`` candidates, each with ``seeds`` seeds."""

    sweep: str
    sweep_id: str
    top: int
    seeds: int


@dataclass(frozen=True)
class RunSettings:
    """One call of ``sweep run``, ``finalize`` or ``resume``. ``time_s`` bounds this call, in seconds.

    ``data`` is the address of the data, None for the demo data (see `sweep.data.open_source`). ``starts`` are the
    first trials; ``finalizing`` is None for a search.
    """

    name: str
    runs: Path
    space: Path
    data: str | None
    farm: str | None
    trials: int
    time_s: float | None
    seed: int
    keep: int
    compute: Compute
    starts: tuple[Start, ...] = ()
    finalizing: Finalizing | None = None
    stores: Stores = field(default_factory=Stores)
    teacher: ChosenTeacher | None = None
    """Who guides the trials whose recipes want it."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for the journal; no passwords."""
        plain = {**asdict(self), "stores": self.stores.to_json()}
        if self.teacher is None:
            del plain["teacher"]
        return {key: str(value) if isinstance(value, Path) else value for key, value in plain.items()}


def starts_from_json(settings: Mapping[str, Any]) -> tuple[Start, ...]:
    """The first trials that a journal's settings hold."""
    return tuple(Start(**start) for start in settings.get("starts", ()))


def teacher_from_json(settings: Mapping[str, Any]) -> ChosenTeacher | None:
    """The teacher that a journal's settings hold, if there is one."""
    found = settings.get("teacher")
    return ChosenTeacher.from_json(found) if found else None


def finalizing_from_json(settings: Mapping[str, Any]) -> Finalizing | None:
    """What a journal's settings say of the sweep that is finalised; None for a search."""
    found = settings.get("finalizing")
    return Finalizing(**found) if found else None


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

    def at(self, setting: InferenceSetting) -> Target:
        """The exact target with other threads and delegate."""
        return Target(self.asked.labels, self.runtime, setting.threads, setting.delegate)


@dataclass(frozen=True)
class Workplace:
    """What the steps of a trial share: paths and figures that every process of the run can use."""

    files: SweepFiles
    dataset_path: Path
    quiet_directory: Path | None
    """Directory of the `QuietHost` locks; None when measurements do not take place on this machine."""
    max_epochs: int
    seed: int
    test_path: Path | None = None
    """The held-out split, which only a finalising sweep has."""
    exports: ExportChoices = field(default_factory=ExportChoices)
    """The files that each network is exported to, and the settings that they are run at."""
    runtime: str = ""
    """The target's, such as tflite-2.5.0; empty: not known, so that files are not held against it."""


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ, each with both values."""
    return [
        f"{key}: {old.get(key)!r} then, {new.get(key)!r} now"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
