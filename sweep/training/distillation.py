"""What a teacher adds to a student's loss."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sweep.models import DepthNetwork
from sweep.space.candidate import Augmentation, Distillation
from sweep.training.losses import feature_l2, log_l1, pairwise_similarity
from sweep.training.teacher import Teacher, TeacherOutput
from sweep.training.teacher_cache import Lessons, lessons_of


class Guidance(nn.Module):
    """The recipe's weighted sum of differences between a student and its teacher.

    - ``depth``: mean absolute error of the log depth, over all pixels: a teacher knows it where sensors do not.
    - ``features``: squared error of the last features, the student's through a learned 1x1 projection to the
      teacher's channels (Romero et al. 2015, "FitNets").
    - ``pairwise``: squared error of the cosine similarities between places of the feature maps (Liu et al. 2019,
      "Structured Knowledge Distillation"); it needs no projection.

    The projection's parameters are trained and saved with the network's, and are no part of the network.

    Args:
        weights: what counts, and how much.
        student: the network that is trained.
        teacher_channels: channels of the teacher's features.
    """

    def __init__(self, weights: Distillation, student: DepthNetwork, teacher_channels: int) -> None:
        super().__init__()
        self._weights = weights
        self.projection = (
            nn.Conv2d(student.feature_channels, teacher_channels, 1) if weights.features > 0 else None
        )

    @property
    def needs_features(self) -> bool:
        """Whether the student's features count, and not its depth alone."""
        return self._weights.features > 0 or self._weights.pairwise > 0

    def loss(self, log_depth: Tensor, features: Tensor | None, taught: TeacherOutput) -> Tensor:
        """A scalar. Where the true depth is unknown makes no difference to it.

        Args:
            log_depth: (N, 1, h, w), the student's, float32.
            features: (N, C, h, w), the student's, of any float dtype; None if no weight needs them.
            taught: the teacher's outputs on the same images.
        """
        terms = []
        if self._weights.depth > 0:
            everywhere = torch.ones_like(log_depth, dtype=torch.bool)
            terms.append(self._weights.depth * log_l1(log_depth, taught.log_depth, everywhere))
        if features is not None and self.projection is not None:
            terms.append(
                self._weights.features * feature_l2(self.projection(features.float()), taught.features)
            )
        if features is not None and self._weights.pairwise > 0:
            terms.append(self._weights.pairwise * pairwise_similarity(features, taught.features))
        return torch.stack(terms).sum()


@dataclass(frozen=True)
class Guide:
    """A teacher's part in one training.

    Attributes:
        teacher: whose outputs guide.
        guidance: what it adds to the loss, and the parameters that are trained for that.
        lessons: what it says of batches.
        first_epoch: epochs that are trained without it first.
    """

    teacher: Teacher
    guidance: Guidance
    lessons: Lessons
    first_epoch: int

    @property
    def needs_features(self) -> bool:
        """Whether the student's features count, and not its depth alone."""
        return self.guidance.needs_features

    @property
    def trained(self) -> tuple[nn.Module, ...]:
        """What is trained beside the network."""
        return () if self.guidance.projection is None else (self.guidance.projection,)

    def guides(self, epoch: int) -> bool:
        """Whether it guides the epoch that follows ``epoch`` epochs."""
        return epoch >= self.first_epoch


def make_guide(
    weights: Distillation,
    teacher: Teacher,
    student: DepthNetwork,
    *,
    images: int,
    augmentation: Augmentation,
    max_epochs: int,
    seed: int,
) -> Guide:
    """The teacher's part in the training of ``student``, on the student's device.

    Args:
        weights: of the recipe.
        teacher: on the same device.
        student: the network that is trained.
        images: how many training images there are.
        augmentation: what happens to them.
        max_epochs: full fidelity, of which ``weights.start`` is a share.
        seed: of the projection's first weights, which depend on it alone.
    """
    device = student.head.weight.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        guidance = Guidance(weights, student, teacher.feature_channels).to(device)
    lessons = lessons_of(
        teacher,
        student.output_size,
        images=images,
        augmentation=augmentation,
        with_features=guidance.needs_features,
        device=device,
    )
    return Guide(teacher, guidance, lessons, math.floor(weights.start * max_epochs))
