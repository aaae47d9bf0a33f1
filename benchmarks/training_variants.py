"""Other ways of computing the same training step: are they faster, and when do they pay?"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from training_roofline import synchronize

from sweep.space.candidate import Candidate
from sweep.training.batches import Batch
from sweep.training.losses import depth_loss
from sweep.training.optimizers import build_optimizer
from sweep.training.trainer import Trainer

MakeTrainer = Callable[[Candidate], Trainer]
Step = Callable[[], object]


@dataclass(frozen=True)
class Variant:
    """A way of computing a step.

    Attributes:
        name: for the table.
        step: one step on a batch in memory.
        prepare_seconds: what the first step took beyond a usual one: compiling, or capturing.
    """

    name: str
    step: Step
    prepare_seconds: float


def variants(
    make: MakeTrainer, candidate: Candidate, batch: Batch, device: torch.device, *, compiled: bool
) -> list[Variant]:
    """All that this machine can run; compiling takes minutes on a CPU, and is left out unless wanted."""
    half = candidate.model_copy(
        update={"recipe": candidate.recipe.model_copy(update={"precision": "bfloat16"})}
    )
    full = candidate.model_copy(
        update={"recipe": candidate.recipe.model_copy(update={"precision": "float32"})}
    )
    found = [
        _eager("float32, channels last", make(full), batch),
        _contiguous("float32, contiguous", make(full), batch),
        _eager("bfloat16, channels last", make(half), batch),
    ]
    if compiled:
        found.append(_compiled("float32, torch.compile", make(full), batch, device))
        found.append(_compiled("bfloat16, torch.compile", make(half), batch, device))
    if device.type == "cuda":
        try:
            found.append(_captured("bfloat16, CUDA graph", make(half), full, batch, device))
        except RuntimeError as error:  # an operator of the loss or the network that a capture does not allow
            print(f"no CUDA graph: {error}")
    return found


def _eager(name: str, trainer: Trainer, batch: Batch) -> Variant:
    trainer.network.train()
    return Variant(name, lambda: trainer._step(0, batch), 0.0)


def _contiguous(name: str, trainer: Trainer, batch: Batch) -> Variant:
    trainer.network.to(memory_format=torch.contiguous_format)
    images = batch.images.contiguous(memory_format=torch.contiguous_format)
    return _eager(name, trainer, Batch(images, batch.target, batch.valid, batch.indices, batch.drawn))


def _compiled(name: str, trainer: Trainer, batch: Batch, device: torch.device) -> Variant:
    """The network's forward and backward pass, compiled in place; loss and optimiser stay as they are."""
    trainer.network.train()
    trainer.network.compile()
    first = _seconds(lambda: trainer._step(0, batch), device)
    return Variant(name, lambda: trainer._step(0, batch), first)


def _captured(
    name: str, trainer: Trainer, candidate: Candidate, batch: Batch, device: torch.device
) -> Variant:
    """Forward pass, loss, backward pass and optimiser as one CUDA graph on buffers that stay in place."""
    started = time.perf_counter()
    network = trainer.network.train()
    optimizer = build_optimizer(candidate.recipe, network)
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.tensor(1e-4, device=device)  # changed in place between replays
    images, target, valid = batch.images.clone(), batch.target.clone(), batch.valid.clone()

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        # A cache of half-precision weights would be made once and never again.
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False):
            prediction = network(images)
        loss = depth_loss(candidate.recipe.loss, prediction.float(), target, valid)
        loss.backward()
        optimizer.step()
        return loss

    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):  # kernels are chosen and memory is allocated before the capture
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay() -> None:
        images.copy_(batch.images)
        target.copy_(batch.target)
        valid.copy_(batch.valid)
        graph.replay()

    synchronize(device)
    return Variant(name, replay, time.perf_counter() - started)


def _seconds(step: Step, device: torch.device) -> float:
    synchronize(device)
    started = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - started


def time_variants(found: list[Variant], steps: int, rounds: int, device: torch.device) -> list[list[float]]:
    """Seconds of one step: for each variant, a mean over ``steps`` in each round; rounds take turns."""
    seconds: list[list[float]] = [[] for _ in found]
    for variant in found:
        variant.step()  # warms up
    for _ in range(rounds):
        for own, variant in zip(seconds, found, strict=True):
            own.append(_seconds(partial(_repeat, variant.step, steps), device) / steps)
    return seconds


def _repeat(step: Step, times: int) -> None:
    for _ in range(times):
        step()
