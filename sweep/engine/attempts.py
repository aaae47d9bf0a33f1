"""An attempt as Ray Tune runs it: a class Trainable that trains one candidate from epoch a to epoch b.

Ray Tune decides nothing here. Each result carries one epoch's figures and the path of its checkpoint; whatever
goes wrong inside comes back as a result as well, so that the driver knows what it was.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ray import tune

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.files import DISK_FULL, Checkpoints
from sweep.engine.quiet import QuietHost


class StopRequested(Exception):
    """The sweep was asked to stop; the attempt ends where its last checkpoint is."""


class AttemptTrainable(tune.Trainable):
    """One attempt. Its process is reused for the next one, so that imports are paid once."""

    def setup(self, config: dict[str, Any]) -> None:
        self._begin(AttemptSpec.from_config(config))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(AttemptSpec.from_config(new_config))
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; the result says ``epoch`` with its figures, or ``failure`` and ``reason``."""
        from sweep.training.trainer import Diverged

        try:
            if self._failure:
                return _failure("crashed", self._failure)
            return self._train_epoch()
        except StopRequested:
            return _failure("stopped", "")
        except OSError as error:
            if error.errno in DISK_FULL:
                return _failure("disk_full", str(error))
            return _failure("crashed", traceback.format_exc(limit=-8))
        except Diverged as error:
            return _failure("diverged", str(error))
        except Exception:
            return _failure("crashed", traceback.format_exc(limit=-8))

    def _begin(self, spec: AttemptSpec) -> None:
        self._spec = spec
        self._failure = ""
        self._quiet = QuietHost(Path(spec.quiet_directory)) if spec.quiet_directory else None
        try:
            self._trainer = self._build_trainer(spec)
        except Exception:  # reported by the first step: Ray would only tell that the actor died
            self._failure = traceback.format_exc(limit=-8)

    def _build_trainer(self, spec: AttemptSpec) -> Any:
        with self._quiet.busy() if self._quiet else nullcontext():  # importing takes seconds of a core
            import torch

            from sweep.data import load_dataset
            from sweep.space.candidate import Candidate
            from sweep.training.trainer import Trainer

        trainer = Trainer(
            Candidate.model_validate(spec.candidate),
            load_dataset(Path(spec.dataset_path)),
            max_epochs=spec.max_epochs,
            seed=spec.seed,
            device=torch.device("cuda" if spec.use_gpu else "cpu"),
            threads=spec.threads,
            on_step=self._step,
        )
        if spec.checkpoint is not None:
            trainer.restore(Path(spec.checkpoint))
        return trainer

    @contextmanager
    def _step(self) -> Iterator[None]:
        if Path(self._spec.stop_flag).exists():
            raise StopRequested
        if self._quiet is None:
            yield
        else:
            with self._quiet.busy():
                yield

    def _train_epoch(self) -> dict[str, Any]:
        report = self._trainer.train_epoch()
        checkpoints = Checkpoints(Path(self._spec.checkpoint_directory))
        checkpoints.root.mkdir(parents=True, exist_ok=True)
        self._trainer.save(checkpoints.of(report.epoch))
        checkpoints.forget_before(
            report.epoch - 1
        )  # the journal knows the one before, maybe not yet this one
        return {
            "epoch": report.epoch,
            "train_loss": report.train_loss,
            "si_rmse": report.si_rmse,
            "learning_rate": report.learning_rate,
            "seconds": report.seconds,
            "checkpoint": str(checkpoints.of(report.epoch)),
            "done": report.epoch >= self._spec.to_epoch,
        }


def _failure(kind: str, reason: str) -> dict[str, Any]:
    return {"failure": kind, "reason": reason, "done": True}
