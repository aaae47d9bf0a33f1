"""A teacher: a trained network that says what it sees in a student's own training images.

Knowledge distillation (Hinton et al. 2015; for depth maps and their features: Liu et al. 2019, "Structured
Knowledge Distillation for Dense Prediction").
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sweep.data import Split
from sweep.hashing import sha256_of
from sweep.models import DepthNetwork, build_network
from sweep.space.candidate import Architecture
from sweep.training.checkpoint import CheckpointError, read_checkpoint
from sweep.training.validation import Validator

Size = tuple[int, int]


@dataclass(frozen=True)
class TeacherOutput:
    """What a teacher sees in a batch, float32, at the student's output size.

    Attributes:
        log_depth: (N, 1, h, w), natural logarithm of the depth in metres.
        features: (N, C, h, w), the last features before depth is predicted.
    """

    log_depth: Tensor
    features: Tensor


class Teacher:
    """A trained network of any architecture, in evaluation mode; its weights stay as they are.

    Args:
        network: trained; it may see images of another size than the student, and predict at another.
        identity: stands for its weights: two teachers of equal identity teach the same.
    """

    def __init__(self, network: DepthNetwork, identity: str) -> None:
        self.identity = identity
        self.network = network.eval().requires_grad_(False)

    @property
    def feature_channels(self) -> int:
        """C of its features."""
        return self.network.feature_channels

    @torch.no_grad()
    def teach(self, images: Tensor, size: Size) -> TeacherOutput:
        """What it sees in ``images``.

        Args:
            images: (N, 3, H, W), the student's batch, RGB 0..255; resized to what the teacher sees.
            size: height and width of the outputs, the student's output size; they are resized to it.

        All resizes are bilinear, and smooth where they shrink.
        """
        features = self.network.features(_resized(images, self.network.inner_size))
        log_depth = self.network.predict(features)
        return TeacherOutput(_resized(log_depth.float(), size), _resized(features.float(), size))


def load_teacher(architecture: Architecture, checkpoint: Path, device: torch.device) -> Teacher:
    """The teacher whose training ``checkpoint`` holds: a trainer's, or a bare state dictionary of the network.

    Its identity is the file's SHA-256, cut to sixteen hexadecimal digits.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or its weights are of another architecture.
    """
    state = read_checkpoint(checkpoint, device)
    with torch.random.fork_rng(devices=[]):
        network = build_network(architecture)
    try:
        network.load_state_dict(_weights(state))
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint} is not of the teacher's architecture: {error}") from None
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unknown to torch's stubs
    return Teacher(network, sha256_of(checkpoint)[:16])


def teacher_si_rmse(teacher: Teacher, split: Split, device: torch.device) -> float:
    """Its partial si-RMSE on ``split``; see ``sweep.training.validation``."""
    return Validator(teacher.network, split, device).si_rmse(nullcontext)


def _weights(state: dict[str, Any]) -> dict[str, Any]:
    found = state.get("network", state)
    return found if isinstance(found, dict) else state


def _resized(maps: Tensor, size: Size) -> Tensor:
    if tuple(maps.shape[2:]) == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)
