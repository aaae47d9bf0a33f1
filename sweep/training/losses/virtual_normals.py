"""Virtual normals (Yin et al. 2019, "Enforcing Geometric Constraints of Virtual Normal for Depth Prediction").

Three points of the scene that lie well apart span a plane; its normal tells of the shape of the scene over long
distances. The loss is the difference between the normals of planes in the predicted and in the true point cloud.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sweep.models.network import FRAME_SIZE
from sweep.training.losses.comparison import Comparison, mean_where

FOCAL_SHARE = 0.7
"""Assumed focal length over the frame's width, a horizontal view of 71 degrees: about that of a stereo camera of
90 degrees at 16:9 when its image is cut to 4:3. Data sets come without intrinsics, and a crop or a rotation of
the training image is not undone; both clouds are bent alike."""

TRIPLES_PER_PIXEL = 0.15  # as in the authors' code
NEAREST_M = 0.6  # points of a triple nearer to each other than this span a plane of noise; as in the paper
WIDEST_COSINE = 0.75**0.5  # of any angle of a triple, 30 degrees: so none is above 120; as in the paper

_LARGEST_LOG_DEPTH = 10.0  # a prediction beyond 22 km or under 45 um gets no gradient, and none overflows
_SHORTEST_NORMAL = 1e-12  # square metres; below it a triple has no direction
_HASH_MULTIPLIER = 0x45D9F3B
_32_BITS = 0xFFFFFFFF


def virtual_normal(compared: Comparison) -> Tensor:
    """Mean L1 distance between the unit normals of random triples, predicted and true.

    New triples of known pixels are drawn in every step, 0.15 per pixel of the map. Those whose true points are
    nearer than 0.6 m to each other or nearly on a line are dropped, and the mean is over the others of an image,
    then over the images that have one, as Yin et al. have it. AIIA HIT's entry drew its points from the predicted
    cloud instead, and the challenge's report prints a sum, to which that entry's weight belongs.
    """
    return normal_difference(compared, draw_triples(compared))


def draw_triples(compared: Comparison) -> Tensor:
    """(N, T, 3) int64: pixels by their place in the flattened (H, W) map, uniformly from each image's known ones.

    The numbers are a hash of the batch's targets and of their place in the result. So each step draws others, the
    same step draws the same ones however often it is taken (training that resumes from a checkpoint goes on bit
    for bit), and the host has no part in it. An image without a known pixel gets pixels all the same.
    """
    frames, _, height, width = compared.valid.shape
    triples = max(round(TRIPLES_PER_PIXEL * height * width), 1)
    device = compared.valid.device
    key = (compared.known_target.detach().double() * 2**20).to(torch.int64).sum()
    places = torch.arange(frames * triples * 3, device=device)
    numbers = _hashed(places ^ _hashed(key)).view(frames, triples * 3)
    known_so_far = compared.valid.flatten(1).cumsum(dim=1)
    ranks = (numbers * known_so_far[:, -1:]) >> 32
    pixels = torch.searchsorted(known_so_far, ranks, right=True).clamp(max=height * width - 1)
    return pixels.view(frames, triples, 3)


def normal_difference(compared: Comparison, triples: Tensor) -> Tensor:
    """The loss for given ``triples``, (N, T, 3) int64, as `draw_triples` gives them."""
    known = compared.valid.flatten(1).gather(1, triples.flatten(1)).view(triples.shape).all(dim=2)
    true_normals, apart = _planes(compared.known_target, triples)
    normals, _ = _planes(compared.known_prediction, triples)
    counts = known & apart
    distance = torch.where(counts, (normals - true_normals).abs().sum(dim=1), 0.0)
    kept = counts.sum(dim=1)
    return mean_where(kept > 0, distance.sum(dim=1) / kept.clamp(min=1))


def _planes(log_depth: Tensor, triples: Tensor) -> tuple[Tensor, Tensor]:
    """Unit normals (N, 3, T) of the triples' planes, and whether their points are well apart, (N, T) bool."""
    first, second, third = _points(log_depth, triples).unbind(dim=3)
    sides = torch.stack((second - first, third - second, first - third))
    normals = torch.linalg.cross(sides[0], sides[2], dim=1)
    with torch.no_grad():
        lengths = torch.linalg.vector_norm(sides, dim=2)
        cosines = (sides * sides.roll(1, 0)).sum(dim=2).abs() / (lengths * lengths.roll(1, 0))
        apart = (lengths > NEAREST_M).all(dim=0) & (cosines < WIDEST_COSINE).all(dim=0)
    return F.normalize(normals, dim=1, eps=_SHORTEST_NORMAL), apart


def _points(log_depth: Tensor, triples: Tensor) -> Tensor:
    """(N, 3, T, 3): x, y and z in metres of the T triples' three points, seen by the assumed pinhole camera.

    The map shows the whole frame, whatever its own aspect ratio is.
    """
    height, width = log_depth.shape[2:]
    at_triples = log_depth.flatten(1).gather(1, triples.flatten(1)).view(triples.shape)
    depth_m = at_triples.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
    columns, rows = (triples % width).to(depth_m.dtype), (triples // width).to(depth_m.dtype)
    across = ((columns + 0.5) / width - 0.5) / FOCAL_SHARE
    down = ((rows + 0.5) / height - 0.5) / FOCAL_SHARE * (FRAME_SIZE[0] / FRAME_SIZE[1])
    return torch.stack((across, down, torch.ones_like(across)), dim=1) * depth_m.unsqueeze(1)


def _hashed(numbers: Tensor) -> Tensor:
    """int64 to 32 bits that look random, elementwise: xor-shift and multiply, twice, without overflow."""
    for _ in range(2):
        numbers = numbers & _32_BITS
        numbers = (numbers ^ (numbers >> 16)) * _HASH_MULTIPLIER
    numbers = numbers & _32_BITS
    return numbers ^ (numbers >> 16)
