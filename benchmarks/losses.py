"""What each loss costs beside the network: its share of a training step, at output strides 2 and 4.

    python benchmarks/losses.py [--rounds 30] [--batch-size 8] [--threads 1] [--device cpu]

The network is the first starting point of search_spaces/mobilenetv3.yaml at 128x160. Its part of a step (forward,
backward, optimiser) and each loss (forward, and back to the prediction) are timed in turn, round after round, so
that whatever else the machine does falls on all alike; medians are printed. A loss's share is its time over that
of a step with this loss alone. Losses between features compare the last ones with a teacher's of their size.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from farm_process import machine, print_table
from torch import Tensor

from sweep.models import build_network
from sweep.space import load_space
from sweep.space.candidate import Candidate
from sweep.space.losses import WEIGHTS, Loss
from sweep.training.losses import depth_loss, feature_l2, pairwise_similarity
from sweep.training.optimizers import build_optimizer

Work = Callable[[], object]

INNER_SIZE = (128, 160)
STRIDES = (2, 4)
UNKNOWN = 0.1
WARM_UP = 3
ALL_OF_AIIA_HIT = {"silog": 1.0, "gradient": 0.25, "virtual_normal": 2.5, "robust": 0.6}


def main() -> None:
    """Time the parts of a step and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = torch.device(asked.device)
    times = {
        stride: medians(pieces(stride, asked.batch_size, device), asked.rounds, device) for stride in STRIDES
    }
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{asked.threads} threads"
    print(f"{machine()}, torch {torch.__version__} on {where}")
    sizes = ", ".join(f"{INNER_SIZE[0] // s}x{INNER_SIZE[1] // s} at stride {s}" for s in STRIDES)
    print(f"batch {asked.batch_size}, {sizes}, median of {asked.rounds} rounds\n")
    headings = [cell for stride in STRIDES for cell in (f"stride {stride}: ms", "share")]
    print_table([["part of a step", *headings], *(row(part, times) for part in times[STRIDES[0]])])


def pieces(stride: int, batch_size: int, device: torch.device) -> dict[str, Work]:
    """The parts of a step to be timed, by name; the network's is called network."""
    candidate = starting_point(stride)
    network = build_network(candidate.architecture).to(device, memory_format=torch.channels_last).train()
    optimizer = build_optimizer(candidate.recipe, network)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    images = (random(batch_size, 3, *INNER_SIZE) * 60 + 128).contiguous(memory_format=torch.channels_last)
    shape = (batch_size, 1, *network.output_size)
    prediction = (1 + 0.5 * random(*shape)).requires_grad_()
    target, gradient = 1 + 0.5 * random(*shape), random(*shape)
    valid = (torch.rand(shape, generator=generator) >= UNKNOWN).to(device)
    features = random(batch_size, network.feature_channels, *network.output_size).requires_grad_()
    teacher = random(batch_size, network.feature_channels, *network.output_size)

    def network_part() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            predicted = network(images)
        optimizer.zero_grad(set_to_none=True)
        predicted.float().backward(gradient)
        optimizer.step()

    def of_depth(**weights: float) -> Work:
        loss = Loss.model_validate(weights)
        return lambda: torch.autograd.grad(depth_loss(loss, prediction, target, valid), prediction)

    def of_features(loss: Callable[[Tensor, Tensor], Tensor]) -> Work:
        return lambda: torch.autograd.grad(loss(features, teacher), features)

    return {
        "network": network_part,
        **{name: of_depth(**{name: 1.0}) for name in WEIGHTS},
        "silog + gradient + l1": of_depth(silog=1.0, gradient=0.25, l1=0.1),
        "AIIA HIT's four": of_depth(**ALL_OF_AIIA_HIT),
        "feature_l2": of_features(feature_l2),
        "pairwise_similarity": of_features(pairwise_similarity),
    }


def starting_point(stride: int) -> Candidate:
    """The first entry of ``start_from``, with this output stride."""
    space = load_space("mobilenetv3")
    assignment: dict[str, Any] = {**space.start_from[0], "architecture.output.stride": stride}
    return space.candidate(assignment)


def medians(parts: dict[str, Work], rounds: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds of each part; the parts take turns."""
    samples: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(WARM_UP + rounds):
        for name, part in parts.items():
            seconds = timed(part, device)
            if number >= WARM_UP:
                samples[name].append(1000 * seconds)
    return {name: statistics.median(taken) for name, taken in samples.items()}


def timed(part: Work, device: torch.device) -> float:
    """Seconds until the device has done it."""
    started = time.perf_counter()
    part()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def row(part: str, times: dict[int, dict[str, float]]) -> list[str]:
    """The part's milliseconds and share at each stride."""
    cells = [part]
    for of_stride in times.values():
        taken, network = of_stride[part], of_stride["network"]
        cells += [f"{taken:.2f}", "" if part == "network" else f"{taken / (taken + network):.1%}"]
    return cells


if __name__ == "__main__":
    main()
