"""Seconds for one training epoch of the demo data: threads of one trainer, and trainers side by side.

    python benchmarks/epoch.py

The bundled space's first candidate (128x160, width 0.75), 1,000 images, validation included.
"""

import multiprocessing
import os
import statistics
import time
from pathlib import Path

from sweep.data import default_cache, load_dataset, prepare_dataset
from sweep.lifecycle import SweepState
from sweep.search.ports import Start
from sweep.search.proposer import make_proposer
from sweep.space import load_space
from sweep.space.samplers import RandomSampler

ROUNDS = 3


def main() -> None:
    """Print the seconds per epoch of each arrangement: median of the rounds, minimum and maximum."""
    path = prepare_dataset(None, default_cache(), lambda *_: None).path
    cores = len(os.sched_getaffinity(0))
    arrangements = {"one trainer, one thread": (1, 1), f"one trainer, {cores} threads": (1, cores)}
    arrangements[f"{cores} trainers, one thread each"] = (cores, 1)
    seconds: dict[str, list[float]] = {name: [] for name in arrangements}
    for _ in range(ROUNDS):
        for name, (trainers, threads) in arrangements.items():
            with multiprocessing.get_context("spawn").Pool(trainers) as pool:
                seconds[name] += pool.starmap(epoch_seconds, [(path, threads)] * trainers)
    print(f"{'seconds per epoch':<32} {'median':>7} {'min':>6} {'max':>6} {'epochs per minute':>18}")
    for name, (trainers, _) in arrangements.items():
        values = seconds[name]
        middle = statistics.median(values)
        rate = 60 * trainers / middle
        print(f"{name:<32} {middle:>7.1f} {min(values):>6.1f} {max(values):>6.1f} {rate:>18.1f}")


def epoch_seconds(dataset_path: Path, threads: int) -> float:
    """Wall time of the first epoch, in a process of its own."""
    import torch

    from sweep.training.trainer import Trainer

    space = load_space("mobilenetv3")
    proposal = make_proposer(
        space, RandomSampler(kind="random"), 0, max_epochs=1, starts=[Start(space.start_from[0], "start")]
    ).propose(SweepState())
    if proposal is None:
        raise RuntimeError("the bundled space proposes nothing")
    trainer = Trainer(
        proposal.candidate,
        load_dataset(dataset_path),
        max_epochs=6,
        seed=0,
        device=torch.device("cpu"),
        threads=threads,
    )
    started = time.perf_counter()
    trainer.train_epoch()
    return time.perf_counter() - started


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as in the sweep's own trainers
    main()
