"""Images per second of the trainer's loop, beside the same steps on batches in memory and on DataLoaders.

    python benchmarks/training.py [--quick] [--threads 1] [--device cpu] [--steps 40] [--rounds 7] [--no-variants]

Each row trains one network with one augmentation. Its four loops take turns, an epoch of a few steps each: the
trainer's own batches, batches already in memory, and plain torch DataLoaders (no worker process, two workers)
that augment one image at a time with OpenCV. Ratios are medians over the rounds of paired epochs. The roofline's
share is the least time that the step's FLOPs and bytes need on this machine, over the time of the trainer's step.
"""

import argparse
import os
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from training_arms import InMemory, Loader, Source, own_batches
from training_roofline import Peaks, Work, measure_peaks, measure_work
from training_variants import time_variants, variants

from sweep.data import Dataset, Split, default_cache, prepare_dataset
from sweep.lifecycle import SweepState
from sweep.search.ports import Start
from sweep.search.proposer import make_proposer
from sweep.space import load_space
from sweep.space.candidate import Candidate
from sweep.space.samplers import RandomSampler
from sweep.training.trainer import Trainer

IN_MEMORY = 8  # batches
CROP = {"kind": "random", "min_scale": 0.6}
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {"flip": False, "crop": {"kind": "none"}, "colour": 0.0},
    "flip": {"flip": True, "crop": {"kind": "none"}, "colour": 0.0},
    "flip, colour": {"flip": True, "crop": {"kind": "none"}, "colour": 0.3},
    "flip, crop, colour": {"flip": True, "crop": CROP, "colour": 0.3},
    "all, rotation": {"flip": True, "crop": CROP, "colour": 0.3, "rotation": 10.0, "vertical_flip": True},
}
# Changes to the bundled space's first candidate.
NETWORKS: dict[str, dict[str, Any]] = {
    "96x128": {"input": {"height": 96, "width": 128, "resize": "bilinear"}},
    "160x192": {"input": {"height": 160, "width": 192, "resize": "bilinear"}},
    "small 96x128": {
        "input": {"height": 96, "width": 128, "resize": "bilinear"},
        "decoder": {"kind": "add", "width": 16, "upsampling": "nearest"},
    },
}


@dataclass(frozen=True)
class Arguments:
    """Of the command line."""

    quick: bool
    threads: int
    device: torch.device
    steps: int
    rounds: int
    variants: bool


def main() -> None:
    """Print the peaks, a row for each network and augmentation, and the variants of a step."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    dataset = prepare_dataset(None, default_cache(), lambda *_: None)
    peaks = measure_peaks(arguments.device)
    print(
        f"{arguments.threads} threads, {arguments.device}; peaks: {peaks.matmul / 1e9:.0f} GFLOP/s (product), "
        f"{peaks.convolution / 1e9:.0f} GFLOP/s (convolution), {peaks.bytes / 1e9:.1f} GB/s (copy)"
    )
    columns = ("images/s", "in memory", "ratio", "0 workers", "2 workers", "compute", "bytes", "roofline")
    print(f"{'network':<14}{'augmentation':<20}" + "".join(f"{column:>11}" for column in columns))
    for network in list(NETWORKS)[: 1 if arguments.quick else None]:
        for augmentation in ["flip, colour", "all, rotation"] if arguments.quick else AUGMENTATIONS:
            candidate = make_candidate(network, augmentation)
            print(f"{network:<14}{augmentation:<20}{row(candidate, dataset, peaks, arguments)}", flush=True)
    if arguments.variants:
        for network in list(NETWORKS)[: 1 if arguments.quick else 2]:
            show_variants(network, dataset, arguments)


def parse() -> Arguments:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one network, two augmentations, few steps, nothing compiled"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--no-variants", dest="variants", action="store_false")
    given = parser.parse_args()
    given.steps = given.steps or (20 if given.quick else 40)
    given.rounds = given.rounds or (3 if given.quick else 7)
    return Arguments(**vars(given))


def make_candidate(network: str, augmentation: str) -> Candidate:
    """The bundled space's first candidate, changed."""
    space = load_space("mobilenetv3")
    start = Start(space.start_from[0], "start")
    proposal = make_proposer(space, RandomSampler(kind="random"), 0, max_epochs=1, starts=[start]).propose(
        SweepState()
    )
    if proposal is None:
        raise RuntimeError("the bundled space proposes nothing")
    found = proposal.candidate.model_dump(mode="json")
    found["architecture"] |= NETWORKS[network]
    found["recipe"]["augmentation"] = AUGMENTATIONS[augmentation]
    return Candidate.model_validate(found)


def make_trainer(candidate: Candidate, dataset: Dataset, arguments: Arguments) -> Trainer:
    """A trainer whose epochs have ``arguments.steps`` steps, and which validates on one frame."""
    few = Dataset(
        dataset.name,
        dataset.fingerprint,
        dataset.path,
        part(dataset.train, arguments.steps * candidate.recipe.batch_size),
        part(dataset.validation, 1),
        dataset.is_demo,
    )
    device, threads = arguments.device, arguments.threads
    return Trainer(candidate, few, max_epochs=1000, seed=0, device=device, threads=threads)


def part(split: Split, count: int) -> Split:
    """The first pairs of a split."""
    return Split(split.names[:count], split.rgb[:count], split.depth_mm[:count])


def row(candidate: Candidate, dataset: Dataset, peaks: Peaks, arguments: Arguments) -> str:
    """The figures of one network and augmentation."""
    trainer = make_trainer(candidate, dataset, arguments)
    recipe, device = candidate.recipe, arguments.device
    own = own_batches(dataset.train, trainer.network, recipe, device)
    in_memory = InMemory(own, IN_MEMORY)
    loaders = [
        Loader(dataset.train, trainer.network, recipe, device, steps=arguments.steps, workers=workers)
        for workers in (0, 2)
    ]
    speeds = images_per_second(trainer, [own, in_memory, *loaders], arguments.rounds)
    batch = next(in_memory.epoch(0, 0))
    trainer.network.train()
    work = measure_work(lambda: trainer._step(0, batch))
    return figures(speeds, work, peaks, recipe.batch_size)


def images_per_second(trainer: Trainer, sources: list[Source], rounds: int) -> list[list[float]]:
    """For each source, each round's; the first round warms up and is left out."""
    speeds: list[list[float]] = [[] for _ in sources]
    for number in range(rounds + 1):
        for own, source in zip(speeds, sources, strict=True):
            trainer._batches = source
            report = trainer.train_epoch()
            if number > 0:
                own.append(report.images_per_second)
    return speeds


def figures(speeds: list[list[float]], work: Work, peaks: Peaks, batch_size: int) -> str:
    """A row's columns."""
    own, in_memory, *loaders = speeds
    ratios = [median_ratio(own, other) for other in (in_memory, *loaders)]
    seconds = batch_size / statistics.median(own)
    shares = (
        work.flops / peaks.flops / seconds,
        work.bytes / peaks.bytes / seconds,
        work.seconds(peaks) / seconds,
    )
    rates = f"{statistics.median(own):>11.1f}{statistics.median(in_memory):>11.1f}{ratios[0]:>11.1%}"
    against = "".join(f"{ratio:>10.2f}x" for ratio in ratios[1:])
    return rates + against + "".join(f"{share:>11.1%}" for share in shares)


def median_ratio(own: list[float], other: list[float]) -> float:
    """The median over rounds of paired figures."""
    return statistics.median(a / b for a, b in zip(own, other, strict=True))


def show_variants(network: str, dataset: Dataset, arguments: Arguments) -> None:
    """Print a row for each way of computing the step of one network."""
    candidate, device = make_candidate(network, "flip, colour"), arguments.device
    first = make_trainer(candidate, dataset, arguments)
    batch = next(own_batches(dataset.train, first.network, candidate.recipe, device).epoch(0, 0))

    def make(chosen: Candidate) -> Trainer:
        return make_trainer(chosen, dataset, arguments)

    found = variants(make, candidate, batch, device, compiled=not arguments.quick)
    timed = [
        [1000 * s for s in own] for own in time_variants(found, arguments.steps, arguments.rounds, device)
    ]
    plain = statistics.median(timed[0])
    print(f"\n{network:<28}{'step, ms':>10}{'speed':>8}{'first step, s':>15}{'pays after':>14}")
    for variant, milliseconds in zip(found, timed, strict=True):
        step_ms = statistics.median(milliseconds)
        gained = plain - step_ms
        pays = f"{1000 * variant.prepare_seconds / gained:.0f} steps" if gained > 0 else "never"
        pays = pays if variant.prepare_seconds else ""
        speed = median_ratio(timed[0], milliseconds)
        first_s = f"{variant.prepare_seconds:.1f}" if variant.prepare_seconds else ""
        print(f"{variant.name:<28}{step_ms:>10.1f}{speed:>7.2f}x{first_s:>15}{pays:>14}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as in the sweep's own trainers
    main()
