"""An attempt as Ray Tune runs it: a class Trainable that trains one candidate from epoch a to epoch b.

Ray Tune decides nothing here. Each result carries one epoch's figures and the path of its checkpoint; whatever
goes wrong inside comes back as a result as well, so that the driver knows what it was. No attempt ever deletes a
checkpoint: one that is taken for dead may still be at work, and must not harm its successor.
"""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from sweep.engine.attempt_files import attempt_files
from sweep.engine.attempt_spec import AttemptSpec, TeacherSpec
from sweep.engine.files import DISK_FULL
from sweep.engine.quiet import QuietHost
from sweep.engine.shipping import Home

if TYPE_CHECKING:
    from sweep.models.pretrained import PretrainedReport


class StopRequested(Exception):
    """The sweep was asked to stop; the attempt ends where its last checkpoint is."""


class UnusableNode(Exception):
    """No attempt at all can train on this node as it is set up."""


class AttemptTrainable(tune.Trainable):
    """One attempt. Its process is reused for the next one, so that imports are paid once."""

    def setup(self, config: dict[str, Any]) -> None:
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; the result says ``epoch`` with its figures, or ``failure`` and ``reason``.

        ``failure`` is one of stopped, disk_full, unusable (the node, for every attempt), infeasible (the
        candidate), diverged, crashed. ``pretrained`` says what became of the weights that training began with.
        """
        if self._failure is not None:
            return self._failure
        try:
            return self._train_epoch()
        except Exception as error:
            return _failure_of(error)

    def _begin(self, config: dict[str, Any]) -> None:
        self._spec = spec = AttemptSpec.from_config(config)
        self._failure: dict[str, Any] | None = None
        try:
            home = Home.from_config(config["home"]) if config.get("home") else None
            self._files = attempt_files(spec, home)
            self._quiet = _quiet_host(spec, home)
            self._trainer = self._build_trainer(spec)
        except Exception as error:  # reported by the first step: Ray would only tell that the actor died
            self._failure = _failure_of(error)

    def _build_trainer(self, spec: AttemptSpec) -> Any:
        with self._quiet.busy() if self._quiet else nullcontext():  # importing takes seconds of a core
            import torch

            from sweep.data import load_dataset
            from sweep.space.candidate import Candidate
            from sweep.training.trainer import Trainer

        if spec.use_gpu and not torch.cuda.is_available():
            raise UnusableNode(_no_gpu(torch.__version__))
        device = torch.device("cuda" if spec.use_gpu else "cpu")
        dataset = load_dataset(self._files.dataset())
        with self._files.start_checkpoint() as checkpoint:
            trainer = Trainer(
                Candidate.model_validate(spec.candidate),
                dataset,
                max_epochs=spec.max_epochs,
                seed=spec.seed,
                device=device,
                threads=spec.threads,
                teacher=self._load_teacher(spec.teacher, device),
                on_step=self._step,
            )
            if checkpoint is not None:
                trainer.restore(checkpoint)
        return trainer

    def _load_teacher(self, teacher: TeacherSpec | None, device: Any) -> Any:
        if teacher is None:
            return None
        from sweep.space.candidate import Candidate
        from sweep.training.teacher import load_teacher

        architecture = Candidate.model_validate(teacher.candidate).architecture
        with self._files.teacher(teacher.checkpoint) as path:
            return load_teacher(architecture, path, device)

    @contextmanager
    def _step(self) -> Iterator[None]:
        if self._files.stop_requested():
            raise StopRequested
        if self._quiet is None:
            yield
        else:
            with self._quiet.busy():
                yield

    def _train_epoch(self) -> dict[str, Any]:
        report = self._trainer.train_epoch()
        loaded = self._trainer.pretrained
        return {
            **({} if loaded is None else {"pretrained": _summary(loaded)}),
            "epoch": report.epoch,
            "train_loss": report.train_loss,
            "si_rmse": report.si_rmse,
            "learning_rate": report.learning_rate,
            "seconds": report.seconds,
            "checkpoint": self._files.save(report.epoch, self._trainer.save),
            "done": report.epoch >= self._spec.to_epoch,
        }


def _quiet_host(spec: AttemptSpec, home: Home | None) -> QuietHost | None:
    """Whom to step aside for: nobody on another machine than the one where measurements take place."""
    if spec.quiet_directory is None or (home is not None and not home.is_this_machine):
        return None
    return QuietHost(Path(spec.quiet_directory))


def _no_gpu(torch_version: str) -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
    return (
        f"Ray gave an attempt a GPU on node {os.uname().nodename}, but torch {torch_version} sees none there "
        f"(CUDA_VISIBLE_DEVICES is {visible}): install a CUDA build of torch and the driver on that node, start "
        "its Ray with --num-gpus=0, or use --gpus-per-trial 0"
    )


def _failure_of(error: Exception) -> dict[str, Any]:
    """The last result of an attempt that ended with ``error``."""
    from sweep.models.pretrained_sources import PretrainedError
    from sweep.training.progress import Diverged

    if isinstance(error, StopRequested):
        return _failure("stopped", "")
    if isinstance(error, UnusableNode):
        return _failure("unusable", str(error))
    if isinstance(error, PretrainedError):
        return _failure("infeasible", str(error))
    if isinstance(error, Diverged):
        return _failure("diverged", str(error))
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno in DISK_FULL:
        return _failure("disk_full", f"node {os.uname().nodename}: {error}")
    return _failure("crashed", "".join(traceback.format_exception(error, limit=-8)))


def _summary(report: "PretrainedReport") -> str:
    """What became of pretrained weights, in a line."""
    counts = {
        "loaded": report.loaded,
        "missing": report.missing,
        "of another shape": report.mismatched,
        "without a place": report.unexpected,
        "of later layers": report.dropped,
    }
    said = ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)
    return f"{report.source}: tensors {said}"


def _failure(kind: str, reason: str) -> dict[str, Any]:
    return {"failure": kind, "reason": reason, "done": True}
