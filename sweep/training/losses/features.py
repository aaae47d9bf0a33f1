"""Losses between a student's and a teacher's feature maps; no gradient reaches the teacher.

Feature maps are (N, C, H, W), of any size; they are compared in float32, or in float64 if that is what they are.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_LOCATIONS = 192


def feature_l2(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the features; a teacher's map of another size is resized to the student's.

    Resizing is bilinear with half-pixel centres, and smooths where it shrinks.

    Raises:
        ValueError: the number of images or of channels differs.
    """
    if student.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f"the student's features are {_shape(student)} and the teacher's {_shape(teacher)}; their images and "
            "channels (N, C) must agree: project the student's to the teacher's channels first"
        )
    student, teacher = _precise(student), _precise(teacher.detach())
    if student.shape != teacher.shape:
        teacher = F.interpolate(
            teacher, size=student.shape[2:], mode="bilinear", align_corners=False, antialias=True
        )
    return F.mse_loss(student, teacher)


def pairwise_similarity(student: Tensor, teacher: Tensor, most_locations: int = MOST_LOCATIONS) -> Tensor:
    """Structured distillation (Liu et al. 2019): how alike each two places of an image are, to both networks.

    ``mean (a_ij of the student - a_ij of the teacher)^2`` over all pairs i, j of locations and then over the
    images, where a_ij is the cosine of the feature vectors there. Channels may differ. Both maps are first
    averaged to one grid of at most ``most_locations`` cells: there are as many pairs as the square of that.

    Raises:
        ValueError: the number of images differs.
    """
    if len(student) != len(teacher):
        raise ValueError(
            f"the student's features are {_shape(student)} and the teacher's {_shape(teacher)}; their images (N) "
            "must agree"
        )
    grid = _grid(
        min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]), most_locations
    )
    return F.mse_loss(_cosines(student, grid), _cosines(teacher.detach(), grid))


def _cosines(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """(N, L, L): the cosine of each two cells' feature vectors, 0 for vectors of zeros."""
    cells = F.adaptive_avg_pool2d(_precise(features), grid).flatten(2)
    directions = F.normalize(cells, dim=1, eps=1e-6)
    return directions.transpose(1, 2) @ directions


def _grid(height: int, width: int, most: int) -> tuple[int, int]:
    """Height and width of about the map's aspect ratio, at most ``most`` cells together, each side at least 1."""
    if height * width <= most:
        return height, width
    rows = min(max(math.floor(math.sqrt(most * height / width)), 1), most)
    return rows, min(max(most // rows, 1), width)


def _precise(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()


def _shape(features: Tensor) -> str:
    return "x".join(map(str, features.shape))
