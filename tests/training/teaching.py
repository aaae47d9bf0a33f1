"""A tiny teacher for tiny students, as if it were trained."""

from typing import Any

import torch
from tiny_training import make_candidate

from sweep.models import DepthNetwork, build_network
from sweep.space.candidate import Candidate
from sweep.training.teacher import Teacher

GUIDED = {"kind": "teacher", "start": 0.5, "depth": 0.5, "features": 0.25, "pairwise": 2.0}
MIRRORED = {"flip": True, "vertical_flip": True, "crop": {"kind": "none"}, "colour": 0}

#: Sees more than the students and says more: other inner and output sizes, other channels.
TEACHER_ARCHITECTURE = {
    "input": {"height": 48, "width": 64, "resize": "bilinear"},
    "decoder": {"kind": "separable", "width": 24, "upsampling": "bilinear", "kernel": 3},
    "output": {"stride": 1, "upsampling": "bilinear"},
}


def teacher_candidate(**recipe: Any) -> Candidate:
    return make_candidate(architecture=TEACHER_ARCHITECTURE, **recipe)


def teacher_network(seed: int = 9) -> DepthNetwork:
    """With statistics and head that differ from the initial ones, as a trained one's do."""
    torch.manual_seed(seed)
    network = build_network(teacher_candidate().architecture)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(255 * torch.rand(4, 3, *network.inner_size))
        network.head.weight.normal_(std=0.3)
    return network


def make_teacher(seed: int = 9) -> Teacher:
    return Teacher(teacher_network(seed), f"teacher {seed}")
