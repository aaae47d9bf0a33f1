"""Where a sweep keeps what: one directory per sweep, one per trial; paths in the journal are relative to it."""

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What an `OSError` says when only a person can make room: the sweep stops, and nothing counts as failed."""


@dataclass(frozen=True)
class Runs:
    """The folder of all sweeps, with the MLflow store that they share."""

    root: Path

    def sweep(self, name: str) -> "SweepFiles":
        """The files of the sweep called ``name``, which need not exist."""
        return SweepFiles(self.root / name)

    @property
    def mlflow_uri(self) -> str:
        """The tracking store, an SQLite file."""
        return f"sqlite:///{self.root.resolve() / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """The tracking store's files."""
        return self.root.resolve() / "mlflow-artifacts"


@dataclass(frozen=True)
class SweepFiles:
    """The files of one sweep."""

    root: Path

    @property
    def stop_flag(self) -> Path:
        """Exists while the trainers should stop at their next step."""
        return self.root / "stop"

    @property
    def ray(self) -> Path:
        """Ray Tune's own bookkeeping; worthless after a run."""
        return self.root / "ray"

    @property
    def farm(self) -> Path:
        """State of the farm that the sweep starts for itself."""
        return self.root / "farm"

    @property
    def teacher(self) -> "Checkpoints":
        """The teacher's training states; the last one teaches."""
        return Checkpoints(self.root / "teacher")

    def trial(self, number: int) -> "TrialFiles":
        """The files of one trial."""
        return TrialFiles(self.root / "trials" / f"{number:04d}")

    def relative(self, path: Path) -> str:
        """``path`` as the journal stores it."""
        return str(path.resolve().relative_to(self.root.resolve()))


@dataclass(frozen=True)
class TrialFiles:
    """The files of one trial; the folder is deleted when the trial falls out of the best K."""

    root: Path

    @property
    def admission(self) -> Path:
        """The export with untrained weights."""
        return self.root / "admission"

    @property
    def final(self) -> Path:
        """The export of the trained network, its judgement, measurement and picture."""
        return self.root / "final"

    @property
    def checkpoints(self) -> "Checkpoints":
        """The training states."""
        return Checkpoints(self.root / "checkpoints")

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.root, ignore_errors=True)


@dataclass(frozen=True)
class Checkpoints:
    """A trial's training states, a file per epoch; the two newest are kept."""

    root: Path

    def of(self, epoch: int) -> Path:
        """The training state after ``epoch`` epochs."""
        return self.root / f"epoch-{epoch:04d}.pt"

    def forget_before(self, epoch: int) -> None:
        """Delete those of earlier epochs."""
        for path in self.root.glob("epoch-*.pt"):
            if path.name < self.of(epoch).name:
                path.unlink(missing_ok=True)
