"""What training does to a latency measured beside it, with and without their exclusion.

    python benchmarks/exclusion.py

Measures one exported network through a farm on this machine: alone, beside one training process per core that
does not step aside, and beside the same processes when both sides take the `QuietHost` locks.
"""

import multiprocessing
import os
import statistics
import tempfile
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path

from device_farm.client import FarmClient
from device_farm.local import LocalFarm
from device_farm.types import MeasurementSettings, Target
from sweep.data import default_cache, load_dataset, prepare_dataset
from sweep.engine.quiet import QuietHost
from sweep.lifecycle import SweepState
from sweep.search.ports import Start
from sweep.search.proposer import make_proposer
from sweep.space import load_space
from sweep.space.candidate import Candidate
from sweep.space.samplers import RandomSampler

ROUNDS = 3
SETTINGS = MeasurementSettings(interval_width=0.0001, min_invocations=100, sampling_seconds=2.0)
SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    """Print median and 95th percentile of all samples for the three cases, and the ratios to the first."""
    dataset = prepare_dataset(None, default_cache(), lambda *_: None)
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        locks = Path(folder) / "locks"
        model = export_first_candidate(Path(folder), dataset.path)
        with LocalFarm(Path(folder) / "farm") as farm, FarmClient(farm.address) as client:
            cases = {"alone": (False, False), "training beside": (True, False), "excluded": (True, True)}
            samples: dict[str, list[float]] = {name: [] for name in cases}
            for _ in range(ROUNDS):
                for name, (training, excluded) in cases.items():
                    samples[name] += measure(client, model, dataset.path, locks, training, excluded)
    alone = statistics.median(samples["alone"])
    print(f"{'':<16} {'median ms':>10} {'p95 ms':>8} {'median / alone':>15}")
    for name, values in samples.items():
        middle, high = statistics.median(values), statistics.quantiles(values, n=20)[-1]
        print(f"{name:<16} {middle:>10.3f} {high:>8.3f} {middle / alone:>15.3f}")


def export_first_candidate(folder: Path, dataset_path: Path) -> Path:
    """The bundled space's first candidate as a TFLite file, untrained."""
    from sweep.export import export_network
    from sweep.models import build_network

    candidate = first_candidate()
    frames = load_dataset(dataset_path).validation.rgb[:1]
    return export_network(build_network(candidate.architecture), folder / "export", frames).tflite


def first_candidate() -> Candidate:
    """The bundled space's first candidate."""
    space = load_space("mobilenetv3")
    proposal = make_proposer(
        space, RandomSampler(kind="random"), 0, max_epochs=1, starts=[Start(space.start_from[0], "start")]
    ).propose(SweepState())
    if proposal is None:
        raise RuntimeError("the bundled space proposes nothing")
    return proposal.candidate


def measure(
    client: FarmClient, model: Path, dataset_path: Path, locks: Path, training: bool, excluded: bool
) -> list[float]:
    """The samples of one measurement in milliseconds."""
    trainers = [start_trainer(dataset_path, locks, excluded) for _ in range(cores() if training else 0)]
    try:
        with QuietHost(locks).quiet() if excluded else nullcontext():
            return list(client.measure(model, Target(), SETTINGS).samples_ms)
    finally:
        for trainer in trainers:
            trainer.kill()
            trainer.join()


def start_trainer(dataset_path: Path, locks: Path, excluded: bool) -> multiprocessing.process.BaseProcess:
    """A process that trains until it is killed; returns once it has begun."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=train, args=(dataset_path, locks, excluded, there), daemon=True)
    process.start()
    here.recv()
    return process


def train(dataset_path: Path, locks: Path, excluded: bool, begun: Connection) -> None:
    """Train for ever on one thread; takes the lock for each step if ``excluded``."""
    import torch

    from sweep.training.trainer import Trainer

    hook = QuietHost(locks).busy if excluded else nullcontext
    trainer = Trainer(
        first_candidate(),
        load_dataset(dataset_path),
        max_epochs=1000,
        seed=0,
        device=torch.device("cpu"),
        threads=1,
        on_step=hook,
    )
    begun.send("begun")
    while True:
        trainer.train_epoch()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
