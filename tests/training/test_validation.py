"""The partial score against a float64 recomputation in NumPy from the network's own outputs."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_training import make_candidate, make_split

from sweep.data import Dataset, Split
from sweep.models import DepthNetwork, build_network
from sweep.training.targets import sample_nearest
from sweep.training.validation import PARTIAL_SIZE, Validator

CPU = torch.device("cpu")


def network_with(upsampling: str = "bilinear", resize: str = "bilinear", spread: float = 1.0) -> DepthNetwork:
    """A network whose untrained predictions already vary by ``spread`` in the log."""
    candidate = make_candidate(
        architecture={
            "input": {"height": 32, "width": 48, "resize": resize},
            "output": {"stride": 2, "upsampling": upsampling},
        }
    )
    torch.manual_seed(0)
    network = build_network(candidate.architecture)
    torch.nn.init.normal_(network.head.weight, std=spread)
    return network


def si_rmse_by_numpy(network: DepthNetwork, split: Split) -> float:
    """Frame by frame: the network's own resize, forward pass and upsampling, then float64."""
    network.eval()
    scores = []
    for rgb, depth_mm in zip(split.rgb, split.depth_mm, strict=True):
        frame = torch.from_numpy(np.asarray(rgb)).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            log_metres = network(network.resize_frames(frame).round())
            metres = torch.exp(log_metres.clamp(math.log(0.1), math.log(100.0)))
            metres = F.interpolate(metres, size=(240, 320), mode=network.architecture.output.upsampling)
        target = sample_nearest(depth_mm[None], (240, 320))[0].astype(np.float64)
        known = target > 1
        if known.any():
            d = np.log(1000 * metres[0, 0].numpy().astype(np.float64)[known]) - np.log(target[known])
            scores.append(math.sqrt((d * d).mean() - d.mean() ** 2))
    return float(np.mean(scores))


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("resize", ["bilinear", "pooled"])
def test_the_partial_score_equals_the_formula(upsampling: str, resize: str) -> None:
    network, split = network_with(upsampling, resize), make_split(3, 480, 640, seed=3)
    found = Validator(network, split, CPU).si_rmse(nullcontext)
    assert found == pytest.approx(si_rmse_by_numpy(network, split), abs=1e-6)


def test_predictions_beyond_the_networks_range_are_clamped_as_in_the_exported_file() -> None:
    network, split = network_with(spread=30.0), make_split(2, 96, 128, seed=4)
    found = Validator(network, split, CPU).si_rmse(nullcontext)
    assert found == pytest.approx(si_rmse_by_numpy(network, split), abs=1e-5)


def test_frames_without_known_depth_are_left_out() -> None:
    network, split = network_with(), make_split(20, 96, 128, seed=5)
    split.depth_mm[[1, 18]] = 1
    found = Validator(network, split, CPU).si_rmse(nullcontext)
    assert found == pytest.approx(si_rmse_by_numpy(network, split), abs=1e-6)


def test_the_score_follows_the_networks_weights(tiny_dataset: Dataset) -> None:
    network = network_with()
    validator = Validator(network, tiny_dataset.validation, CPU)
    before = validator.si_rmse(nullcontext)
    torch.nn.init.zeros_(network.head.weight)
    constant = validator.si_rmse(nullcontext)
    targets = sample_nearest(tiny_dataset.validation.depth_mm, PARTIAL_SIZE)
    assert constant == pytest.approx(np.mean([np.log(frame[frame > 1]).std() for frame in targets]), abs=1e-6)
    assert constant != before


def test_validation_leaves_the_network_as_it_is(tiny_dataset: Dataset) -> None:
    network = network_with()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Validator(network, tiny_dataset.validation, CPU).si_rmse(nullcontext)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_hook_is_entered_around_every_batch() -> None:
    entered = []

    @contextmanager
    def hook() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    Validator(network_with(), make_split(20, 48, 64, seed=6), CPU).si_rmse(hook)
    assert entered == ["in", "out"] * 2  # 16 frames and 4
