"""Trains one candidate, an epoch at a time.

An attempt calls ``train_epoch`` until its last epoch, then ``save``; the next attempt makes the same trainer,
calls ``restore`` and goes on. Nothing depends on where the cut is: the order of images and their augmentation
come from (seed, epoch), the learning rate from the step within full fidelity, and everything else is in the
checkpoint. On a CPU with the same number of threads the weights come out bit for bit as without the cut.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from sweep.data import Dataset
from sweep.models import DepthNetwork, build_network
from sweep.space.candidate import Candidate, Distillation, NotPretrained, QuantizationAware
from sweep.training.batches import Batch, Batches, steps_per_epoch
from sweep.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from sweep.training.distillation import Guide, make_guide
from sweep.training.int8_simulation import Int8Simulation
from sweep.training.losses import depth_loss
from sweep.training.optimizers import build_optimizer
from sweep.training.progress import Diverged, EpochReport
from sweep.training.schedules import learning_rate_factor
from sweep.training.teacher import Teacher
from sweep.training.validation import Validator

if TYPE_CHECKING:
    from sweep.models.pretrained import PretrainedReport

__all__ = ["Diverged", "EpochReport", "StepHook", "Trainer"]

StepHook = Callable[[], AbstractContextManager[object]]

_LOSS_CHECK_INTERVAL: Final = 32  # steps; looking at each loss would make a GPU wait for the host every step


class Trainer:
    """One candidate's network, optimiser and place in its schedule.

    Args:
        candidate: the architecture and the recipe.
        dataset: train split at training resolution, validation split at 480x640.
        max_epochs: full fidelity; the schedule ends there.
        seed: of the initial weights, the order of images and the augmentation.
        device: a CPU or CUDA device. On CUDA the network runs in bfloat16 with float32 weights, unless the
            recipe's ``precision`` says otherwise. Epochs that simulate int8 run in float32 whatever it says:
            bfloat16 is coarser than int8.
        threads: CPU threads of torch's operators, while this trainer works.
        teacher: guides a recipe with ``distillation``; other recipes do not look at it.
        on_step: makes a context manager that is entered around every piece of heavy work: preparing the
            images, each optimisation step, each validation batch. Whoever must have the machine to
            itself holds training up there.

    Raises:
        ValueError: the recipe wants a teacher, and there is none.
    """

    def __init__(
        self,
        candidate: Candidate,
        dataset: Dataset,
        *,
        max_epochs: int,
        seed: int,
        device: torch.device,
        threads: int,
        teacher: Teacher | None = None,
        on_step: StepHook = nullcontext,
    ) -> None:
        self._candidate = candidate
        self._dataset = dataset
        self._seed = seed
        self._device = device
        self._threads = threads
        self._on_step = on_step
        self._held_up_seconds = 0.0
        self._max_epochs = max_epochs
        self._steps_per_epoch = steps_per_epoch(len(dataset.train.names), candidate.recipe.batch_size)
        self.epoch = 0
        self.network = _initial_network(candidate, seed, device)
        self.pretrained: PretrainedReport | None = None
        self._guide = self._find_guide(teacher)
        # The projection starts later than the network, which fused SGD would not take from a single optimiser.
        trained = (self.network, *(self._guide.trained if self._guide else ()))
        self._optimizers = tuple(build_optimizer(candidate.recipe, module) for module in trained)
        self._float_epochs, self._int8 = max_epochs, None
        if isinstance(candidate.recipe.quantization, QuantizationAware):
            self._float_epochs = math.floor(candidate.recipe.quantization.start * max_epochs)
            self._int8 = Int8Simulation(self.network)
        with _torch_threads(threads), self._hold_up():
            self._batches = Batches(
                dataset.train,
                inner_size=self.network.inner_size,
                output_size=self.network.output_size,
                augmentation=candidate.recipe.augmentation,
                batch_size=candidate.recipe.batch_size,
                device=device,
            )
            self._validator = Validator(self.network, dataset.validation, device)

    def train_epoch(self) -> EpochReport:
        """Train for one epoch, then validate. The recipe's pretrained weights are loaded before the first one.

        Raises:
            PretrainedError: the recipe's pretrained weights cannot be had, or do not fit the encoder.
            Diverged: a loss, or the partial si-RMSE, is not finite. The trainer is of no further use.
            ValueError: full fidelity is reached already.
        """
        if self.epoch >= self._max_epochs:
            raise ValueError(
                f"all {self._max_epochs} epochs of full fidelity are done; none is left to train"
            )
        if self.epoch == 0:
            self._load_pretrained()
        self._held_up_seconds = 0.0
        with _torch_threads(self._threads):
            start = time.perf_counter()
            train_loss = self._train()
            training_seconds = time.perf_counter() - start - self._held_up_seconds
            si_rmse = self._validator.si_rmse(self._hold_up, self._model)
        seconds = time.perf_counter() - start - self._held_up_seconds
        if not math.isfinite(si_rmse):
            raise Diverged(self.epoch + 1, None)
        self.epoch += 1
        return EpochReport(
            epoch=self.epoch,
            train_loss=train_loss,
            si_rmse=si_rmse,
            seconds=seconds,
            learning_rate=self._optimizers[0].param_groups[0]["lr"],
            images_per_second=self._images_per_epoch / training_seconds,
            held_up_seconds=self._held_up_seconds,
        )

    def save(self, path: Path) -> None:
        """Write the whole training state; a crash leaves the old file or the new one, never half a file.

        Raises:
            OSError: the folder does not exist or the disk is full.
        """
        state = {
            "run": self._identity,
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self._optimizers[0].state_dict(),
        }
        if self._int8 is not None:
            state["int8_ranges"] = self._int8.ranges.state_dict()
        if self._guide is not None:
            state["guidance"] = {
                "parameters": self._guide.guidance.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self._optimizers[1:]],
            }
        write_checkpoint(path, state)

    def restore(self, path: Path) -> None:
        """Go on where the trainer that saved ``path`` was.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: the file is damaged, or was saved by a trainer of another candidate, data set,
                seed, full fidelity or teacher.
        """
        state = read_checkpoint(path, self._device)
        found = state.get("run")
        if found != self._identity:
            raise CheckpointError(f"{path} was saved by another run: {found}; this one is {self._identity}")
        self.network.load_state_dict(state["network"])
        self._optimizers[0].load_state_dict(state["optimizer"])
        if self._int8 is not None:
            self._int8.ranges.load_state_dict(state["int8_ranges"])
        if self._guide is not None:
            self._guide.guidance.load_state_dict(state["guidance"]["parameters"])
            for optimizer, saved in zip(self._optimizers[1:], state["guidance"]["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        self.epoch = state["epoch"]

    @property
    def _model(self) -> nn.Module:
        """What this epoch trains and validates: the network, or the same network on int8 numbers."""
        if self._int8 is None or self.epoch < self._float_epochs:
            return self.network
        return self._int8

    @property
    def _identity(self) -> dict[str, Any]:
        """What must agree between two trainers for one to go on where the other stopped."""
        identity = {
            "candidate": self._candidate.hash,
            "dataset": self._dataset.fingerprint,
            "seed": self._seed,
            "max_epochs": self._max_epochs,
        }
        return identity if self._guide is None else {**identity, "teacher": self._guide.teacher.identity}

    @property
    def _images_per_epoch(self) -> int:
        return min(self._steps_per_epoch * self._candidate.recipe.batch_size, len(self._dataset.train.names))

    def _train(self) -> float:
        """One pass over the training split; the mean loss."""
        self.network.train()
        self._model.train()
        losses: list[Tensor] = []
        batches = self._batches.epoch(self._seed, self.epoch)
        for step in range(self._steps_per_epoch):
            with self._hold_up():
                losses.append(self._step(step, next(batches)))
            last = step + 1 == self._steps_per_epoch
            if last or (step + 1) % _LOSS_CHECK_INTERVAL == 0:
                self._check_finite(losses)
        return float(torch.stack(losses).mean())

    @contextmanager
    def _hold_up(self) -> Iterator[None]:
        """``on_step``, with the time spent waiting for it added up."""
        asked = time.perf_counter()
        with self._on_step():
            self._held_up_seconds += time.perf_counter() - asked
            yield

    def _step(self, step: int, batch: Batch) -> Tensor:
        """One optimisation step; the loss, left on the device."""
        self._set_learning_rate(step)
        loss = self._loss(batch)
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._clip_gradients()
        for optimizer in self._optimizers:
            optimizer.step()
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        """The recipe's loss, and in guided epochs what the teacher adds to it."""
        guide = self._guide if self._guide and self._guide.guides(self.epoch) else None
        with self._arithmetic():
            features = self.network.features(batch.images) if guide and guide.needs_features else None
            log_depth = self._model(batch.images) if features is None else self.network.predict(features)
        loss = depth_loss(self._candidate.recipe.loss, log_depth.float(), batch.target, batch.valid)
        if guide is None:
            return loss
        with self._arithmetic():
            taught = guide.lessons.of(batch)
        return loss + guide.guidance.loss(log_depth.float(), features, taught)

    def _arithmetic(self) -> AbstractContextManager[object]:
        """The precision of this epoch's forward passes."""
        precision = self._candidate.recipe.precision
        half = precision == "bfloat16" or (precision == "auto" and self._device.type == "cuda")
        enabled = half and self._model is self.network
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=enabled)

    def _clip_gradients(self) -> None:
        """Scale all gradients together down to the recipe's largest norm; the host does not wait for it."""
        limit = self._candidate.recipe.gradient_clip
        if limit is not None:
            parameters = [p for group in self._groups() for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, limit)

    def _set_learning_rate(self, step: int) -> None:
        done = self.epoch * self._steps_per_epoch + step
        total = self._max_epochs * self._steps_per_epoch
        recipe = self._candidate.recipe
        for group in self._groups():
            group["lr"] = recipe.learning_rate * learning_rate_factor(recipe.schedule, done, total)

    def _groups(self) -> Iterator[dict[str, Any]]:
        """The parameter groups of all optimisers."""
        return chain.from_iterable(optimizer.param_groups for optimizer in self._optimizers)

    def _check_finite(self, losses: list[Tensor]) -> None:
        finite = torch.stack(losses).isfinite().tolist()
        if not all(finite):
            raise Diverged(self.epoch + 1, finite.index(False) + 1)

    def _find_guide(self, teacher: Teacher | None) -> Guide | None:
        recipe = self._candidate.recipe
        if not isinstance(recipe.distillation, Distillation):
            return None
        if teacher is None:
            raise ValueError("the recipe's distillation needs a teacher, and the trainer was given none")
        return make_guide(
            recipe.distillation,
            teacher,
            self.network,
            images=len(self._dataset.train.names),
            augmentation=recipe.augmentation,
            max_epochs=self._max_epochs,
            seed=self._seed,
        )

    def _load_pretrained(self) -> None:
        wanted = self._candidate.recipe.pretrained
        if not isinstance(wanted, NotPretrained):
            from sweep.models.pretrained import load_pretrained

            encoder = self._candidate.architecture.encoder
            self.pretrained = load_pretrained(self.network.encoder, encoder, wanted)


def _initial_network(candidate: Candidate, seed: int, device: torch.device) -> DepthNetwork:
    """A network whose weights depend on the seed alone; torch's global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(candidate.architecture)
    network.to(device)
    # Channels last makes a step about a third faster on a CPU, and is what a GPU's tensor cores want.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unknown to torch's stubs
    return network


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Run with so many operator threads; other work in the process gets its own number back."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
