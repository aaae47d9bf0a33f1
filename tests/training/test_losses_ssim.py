"""SSIM against the paper's formula in float64 loops, and against scikit-image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from loss_cases import Case, Image, Mask, cases, compare, mean_over_images
from skimage.metrics import structural_similarity

from sweep.training.losses import ssim, ssim_map

RANGE = math.log(100 / 0.1)


def dissimilarity(prediction: Image, target: Image, known: Mask) -> float:
    """1 - SSIM, the mean over windows around known pixels; each window's known pixels share the weight 1."""
    found = []
    for y, x in np.ndindex(*known.shape):
        if not known[y, x]:
            continue
        weights, p, t = [], [], []
        for v in range(max(0, y - 5), min(known.shape[0], y + 6)):
            for u in range(max(0, x - 5), min(known.shape[1], x + 6)):
                if known[v, u]:
                    weights.append(math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * 1.5**2)))
                    p.append((prediction[v, u] - math.log(0.1)) / RANGE)
                    t.append((target[v, u] - math.log(0.1)) / RANGE)
        share = np.array(weights) / sum(weights)
        mean_p, mean_t = share @ p, share @ t
        variance_p, variance_t = share @ (p - mean_p) ** 2, share @ (t - mean_t) ** 2
        covariance = share @ ((p - mean_p) * (t - mean_t))
        found.append(
            (2 * mean_p * mean_t + 0.01**2)
            * (2 * covariance + 0.03**2)
            / ((mean_p**2 + mean_t**2 + 0.01**2) * (variance_p + variance_t + 0.03**2))
        )
    return 1 - float(np.mean(found))


@settings(max_examples=25, deadline=None)  # loops over pixels in Python
@given(cases())
def test_ssim_equals_the_formula(case: Case) -> None:
    assert float(ssim(compare(case))) == pytest.approx(mean_over_images(case, dissimilarity), abs=1e-10)


def test_inside_a_map_without_holes_ssim_is_scikit_images() -> None:
    rng = np.random.default_rng(3)
    prediction, target = rng.normal(1, 1, (2, 40, 48))
    unit_p, unit_t = ((values - math.log(0.1)) / RANGE for values in (prediction, target))
    _, expected = structural_similarity(
        unit_p,
        unit_t,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        truncate=3.5,
        use_sample_covariance=False,
        full=True,
    )
    case = (*(torch.from_numpy(values).view(1, 1, 40, 48) for values in (prediction, target)),)
    found = ssim_map(compare((*case, torch.ones(1, 1, 40, 48, dtype=torch.bool))))
    np.testing.assert_allclose(found[0, 0, 5:-5, 5:-5], expected[5:-5, 5:-5], atol=1e-10)


def test_ssim_sees_a_change_of_contrast_and_of_level_and_no_distance_beyond_its_window() -> None:
    target = torch.linspace(0, 2, 30, dtype=torch.float64).expand(1, 1, 30, 30)
    valid = torch.ones_like(target, dtype=torch.bool)
    flattened = ssim(compare((target.mean() + 0.2 * (target - target.mean()), target, valid)))
    shifted = ssim(compare((target + 0.5, target, valid)))
    assert float(ssim(compare((target, target, valid)))) == pytest.approx(0, abs=1e-12)
    assert float(flattened) > 0.01
    assert float(shifted) > 0.005
    spot = target.clone()
    spot[..., 15, 15] += 3
    changed = ssim_map(compare((spot, target, valid)))[0, 0] < 1 - 1e-9
    near = torch.zeros(30, 30, dtype=torch.bool)
    near[10:21, 10:21] = True
    assert torch.equal(changed, near)
